//! Documents of clients: what is read, what is not, and that nobody learns anything else by it.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::Instant;

use crate::clients::world::{World, stays_here};
use crate::house::House;

const UNKNOWN: &str = "This client cannot be recognised";

#[tokio::test]
async fn reg_01_document_must_be_about_the_url_that_is_the_client() {
    let world = World::new().await;
    let url = world.app.url("/bad");
    let wrong = [
        json!("https://other.example/client.json"),
        json!(format!("{url}/")),
        json!(url.to_uppercase()),
        json!(null),
    ];
    let clients: Vec<String> = wrong
        .iter()
        .enumerate()
        .map(|(place, id)| {
            world.app.put_client(&format!("/bad{place}"), |document| {
                document["client_id"] = id.clone()
            })
        })
        .collect();
    let queries: Vec<String> = clients
        .iter()
        .map(|client| world.query(client, &[]))
        .collect();
    for refused in join_all(
        queries
            .iter()
            .map(|query| world.authorize(&world.alice, query)),
    )
    .await
    {
        stays_here(&refused, UNKNOWN);
    }
    assert_eq!(
        world
            .authorize(&world.alice, &world.query(&world.client, &[]))
            .await
            .status,
        200
    );
    let refused = world.house.last_event("request.refused").await;
    assert_eq!(refused["outcome"], "unknown_client");
    assert_eq!(refused["actor"]["id"], "alice@example.com");
}

#[tokio::test]
async fn reg_02_ssrf_03_ssrf_04_whatever_is_wrong_with_a_document_looks_and_lasts_the_same() {
    let world = World::new().await;
    let app = &world.app;
    let good = app.put_client("/good", |_| {});
    app.put(
        "/large",
        200,
        "application/json",
        format!("{{\"client_id\":\"{}\"}}", "x".repeat(10 << 20)),
    );
    app.put("/slow", 200, "slow", "{}");
    app.put("/html", 200, "text/html", "{}");
    app.put("/bytes", 200, "application/json", "\u{0}\u{1}");
    app.put("/deep", 200, "application/json", "[".repeat(4_000));
    app.put("/created", 201, "application/json", "{}");
    app.put("/empty", 204, "application/json", "");
    app.put("/denied", 401, "application/json", "{}");
    for status in [301, 302, 303, 307, 308] {
        app.put(&format!("/redirect{status}"), status, &good, "");
    }
    app.put("/unchanged", 304, "application/json", "");
    let mut clients: Vec<String> = [
        "/large",
        "/slow",
        "/html",
        "/bytes",
        "/deep",
        "/created",
        "/empty",
        "/denied",
        "/redirect301",
        "/redirect302",
        "/redirect303",
        "/redirect307",
        "/redirect308",
        "/unchanged",
        "/missing",
    ]
    .iter()
    .map(|path| app.url(path))
    .collect();
    // A port at which nothing listens.
    clients.push("http://127.0.0.1:9/closed".to_owned());
    let asked = app.asked();
    let mut pages = Vec::new();
    // Few documents are fetched at a time.
    for some in clients.chunks(8) {
        let began = Instant::now();
        let queries: Vec<String> = some.iter().map(|client| world.query(client, &[])).collect();
        let timed = queries.iter().map(|query| async {
            let answer = world.authorize(&world.alice, query).await;
            (answer, began.elapsed())
        });
        pages.extend(join_all(timed).await);
    }
    for (page, took) in &pages {
        stays_here(page, UNKNOWN);
        assert_eq!(page.bytes, pages[0].0.bytes);
        assert!(*took >= Duration::from_secs(5), "{took:?}");
    }
    assert!(app.asked() <= asked + 15);
    // A failure is believed for a minute, and no longer.
    let asked = app.asked();
    let html = app.put_client("/html", |_| {});
    stays_here(
        &world
            .authorize(&world.alice, &world.query(&html, &[]))
            .await,
        UNKNOWN,
    );
    assert_eq!(app.asked(), asked);
    world.house.advance(Duration::from_secs(61)).await;
    assert_eq!(
        world
            .authorize(&world.alice, &world.query(&html, &[]))
            .await
            .status,
        200
    );
    // A good one is not fetched again at once.
    let asked = app.asked();
    assert_eq!(
        world
            .authorize(&world.alice, &world.query(&html, &[]))
            .await
            .status,
        200
    );
    assert_eq!(app.asked(), asked);
}

#[tokio::test]
async fn reg_03_client_is_shown_by_who_answers_for_it_and_its_name_as_a_claim() {
    let world = World::new().await;
    let client = world.app.put_client("/brand", |document| {
        document["client_name"] = json!("G\u{43e}\u{43e}gle Drive (verified)");
        document["logo_uri"] = json!("https://app.example/logo.svg");
    });
    let page = world
        .authorize(&world.alice, &world.query(&client, &[]))
        .await;
    assert_eq!(page.status, 200, "{page:?}");
    let text = page.text();
    assert!(text.contains("nothing that can be shown"), "{text}");
    assert!(!text.contains("Drive") && !text.contains("logo"), "{text}");
    let host = text.find("class=\"client\"").expect("the host");
    assert!(host < text.find("It calls itself").expect("the claim"));
    assert!(
        text[host..].starts_with("class=\"client\"><bdi>127.0.0.1:"),
        "{text}"
    );
    assert!(
        page.header("content-security-policy")
            .contains("default-src 'none'")
    );
}

#[tokio::test]
async fn ssrf_01_authority_that_is_not_on_loopback_fetches_nothing_there() {
    let world = World::new().await;
    let house = House::found().await;
    house.add_person("alice@example.com").await;
    let alice = house.login("alice@example.com", &["auditor"]).await;
    let port = world
        .app
        .origin
        .rsplit(':')
        .next()
        .expect("a port")
        .to_owned();
    let asked = world.app.asked();
    let clients = [
        world.client.clone(),
        format!("http://localhost:{port}/client.json"),
        format!("https://127.0.0.1:{port}/client.json"),
        format!("https://localhost:{port}/client.json"),
        format!("https://2130706433:{port}/client.json"),
        format!("https://[::ffff:127.0.0.1]:{port}/client.json"),
        "https://169.254.169.254/latest/meta-data".to_owned(),
        "https://LOCALHOST./client.json".to_owned(),
    ];
    let ask = clients.iter().map(|client| {
        let query = world.query(client, &[]);
        let ask = crate::clients::world::authorize(&query).bearer(&alice);
        house.send(ask)
    });
    for refused in join_all(ask).await {
        stays_here(&refused, UNKNOWN);
    }
    assert_eq!(world.app.asked(), asked);
    // Here the same client is one.
    assert_eq!(
        world
            .authorize(&world.alice, &world.query(&world.client, &[]))
            .await
            .status,
        200
    );
}
