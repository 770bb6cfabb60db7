//! Searching the record.

use std::sync::Arc;

use chancery_model::event::{Actor, ActorKind, Event, EventKind};
use serde_json::Value;

use crate::audit::record::tour;
use crate::house::House;

/// The indexes that a search gives, page by page.
async fn pages(house: &House, query: &str) -> Vec<u64> {
    let mut indexes = Vec::new();
    let mut path = format!("/v1/events?{query}");
    for _page in 0..1_000 {
        let page = house.get(&path).await;
        let items = page["items"].as_array().expect("a list");
        indexes.extend(
            items
                .iter()
                .map(|item| item["index"].as_u64().expect("an index")),
        );
        let Some(next) = page["next"].as_str() else {
            return indexes;
        };
        path = format!("/v1/events?{query}&after={next}");
    }
    panic!("pages without end");
}

#[tokio::test]
async fn pages_give_every_event_once_in_both_directions() {
    let house = House::found().await;
    tour(&house).await;
    let size = house.sealed().await;
    let up: Vec<u64> = (0..size).collect();
    let mut down = up.clone();
    down.reverse();
    for limit in [1, 3, 500] {
        assert_eq!(
            pages(&house, &format!("limit={limit}")).await,
            up,
            "limit {limit}"
        );
        assert_eq!(
            pages(&house, &format!("newest=true&limit={limit}")).await,
            down,
            "limit {limit}"
        );
    }
    let some = pages(&house, "kind=owner.added&limit=1").await;
    let all = pages(&house, "kind=owner.added").await;
    assert_eq!(some, all);
    assert_eq!(all.len(), 3, "alice, bob and a team");
    assert!(
        pages(&house, "kind=owner").await.is_empty(),
        "a kind is named whole"
    );
}

#[tokio::test]
async fn events_of_one_agent_are_found_and_no_others() {
    let house = House::found().await;
    let agent = tour(&house).await;
    let found = house.get(&format!("/v1/events?agent={}", agent.id)).await;
    let items = found["items"].as_array().expect("a list");
    assert!(items.len() >= 9, "{found}");
    assert!(
        items
            .iter()
            .all(|item| item["event"]["agent"]["id"] == agent.id.as_str())
    );
    let everything = house.events().await;
    let of_agent = everything
        .iter()
        .filter(|event| event["agent"]["id"] == agent.id.as_str())
        .count();
    assert_eq!(items.len(), of_agent);
}

#[tokio::test]
async fn dos_07_pages_are_capped_and_nonsense_is_refused() {
    let house = House::found().await;
    tour(&house).await;
    for path in [
        "/v1/events?limit=1000000000",
        "/v1/agents?limit=4294967295",
        "/v1/owners?limit=501",
        "/v1/resources?limit=9999",
        "/v1/mcp?limit=9999",
        "/v1/agents/draft-bot/versions?limit=9999",
    ] {
        let page = house.get(path).await;
        assert!(page["items"].as_array().expect("a list").len() <= 500);
    }
    for path in [
        "/v1/events?limit=99999999999999999999",
        "/v1/events?limit=-1",
        "/v1/events?offset=1",
        "/v1/events?kind=%25",
        "/v1/events?kind=a%20b",
        "/v1/events?agent=%27",
        "/v1/events?limit=1&limit=2",
        "/v1/agents?status=any",
        "/v1/agents?limit=x",
        "/v1/agents/draft-bot/versions?after=x",
    ] {
        house
            .admin("GET", path, Value::Null)
            .await
            .refused(400, "invalid_request");
    }
    for path in [
        "/v1/events?after=18446744073709551615",
        "/v1/events?newest=true&after=0",
        "/v1/agents?after=zzzz",
    ] {
        assert!(
            house.get(path).await["items"]
                .as_array()
                .expect("a list")
                .is_empty(),
            "{path}"
        );
    }
}

/// Everything that the log holds, page by page; whoever is told to come again does.
async fn export(house: Arc<House>) -> Vec<u64> {
    let mut indexes = Vec::new();
    let mut path = "/v1/events?limit=500".to_owned();
    loop {
        let answer = house.admin("GET", &path, Value::Null).await;
        if answer.status == 503 {
            answer.refused(503, "unavailable");
            assert!(!answer.header("retry-after").is_empty());
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        }
        let page = answer.ok();
        let items = page["items"].as_array().expect("a list").iter();
        indexes.extend(items.map(|item| item["index"].as_u64().expect("an index")));
        let Some(next) = page["next"].as_str() else {
            return indexes;
        };
        path = format!("/v1/events?limit=500&after={next}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn dos_07_fifty_exports_at_once_are_whole_and_hold_up_no_stop() {
    let house = Arc::new(House::found().await);
    let agent = house.register("refund-bot").await;
    let (now, entropy) = (house.now(), &*house.entropy);
    let nobody = Actor {
        id: String::new(),
        kind: ActorKind::Unknown,
    };
    let writing: Vec<_> = (0..2_000)
        .map(|_| {
            let event = Event::new(EventKind::RequestRefused, nobody.clone(), now, entropy);
            let journal = house.authority.journal.clone();
            tokio::spawn(async move { journal.append(event).await })
        })
        .collect();
    for written in writing {
        written.await.expect("a task").expect("durable");
    }
    let size = house.sealed().await;
    let exporting: Vec<_> = (0..50)
        .map(|_| tokio::spawn(export(Arc::clone(&house))))
        .collect();
    for _ in 0..5 {
        house.suspend("refund-bot").await.ok();
        let snapshot = house.authority.current.load_full();
        let id = agent.id.parse().expect("an id");
        assert!(snapshot.agents[&id].live(house.now()).is_err());
        house.resume("refund-bot").await.ok();
    }
    for export in exporting {
        let indexes = export.await.expect("a task");
        // What came meanwhile may be in it or not; nothing is missing or there twice.
        assert!(indexes.len() as u64 >= size);
        assert!(indexes.iter().copied().eq(0..indexes.len() as u64));
    }
}
