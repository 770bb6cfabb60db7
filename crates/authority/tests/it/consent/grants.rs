//! `/v1/grants`: people see and take back what they gave, and whoever may stop others does.

use chancery_model::id::GrantId;
use serde_json::{Value, json};

use super::flow::{BOB, furnished};
use crate::request::ask;

#[tokio::test]
async fn person_takes_one_grant_back_and_the_others_stay() {
    let flow = furnished().await;
    let (gone, refresh) = flow.tokens().await;
    let (stays, _) = flow.tokens().await;
    let grants = flow.grants().await;
    assert_eq!(grants.len(), 2);
    let claims = crate::house::claims(&gone);
    let path = format!(
        "/v1/grants/{}/revoke",
        claims["grant_id"].as_str().expect("an id")
    );
    let stopped = flow
        .house
        .as_login(&flow.login, "POST", &path, json!({"reason": "no longer"}))
        .await
        .ok();
    assert_eq!(stopped["status"], "revoked");
    assert_eq!(stopped["id"], claims["grant_id"]);
    assert!(stopped["receipt"].is_object());
    assert!(!flow.is_active(&gone).await && flow.is_active(&stays).await);
    flow.renew(&refresh).await.oauth_error(400, "invalid_grant");
    let ended = flow.house.last_event("grant.revoked").await;
    assert_eq!(ended["actor"]["id"], BOB);
    assert_eq!(ended["reason"], "no longer");
    assert_eq!(ended["decision"]["policies"][0], "person-consents");
    let again = flow
        .house
        .as_login(&flow.login, "POST", &path, json!({"reason": "again"}))
        .await;
    again.refused(409, "conflict");
}

#[tokio::test]
async fn grant_of_another_is_neither_seen_nor_ended_nor_known() {
    let flow = furnished().await;
    let (token, _) = flow.tokens().await;
    let grant = flow.grants().await[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let house = &flow.house;
    house.add_person("carol@example.com").await;
    // A role that no policy knows: a person like any other.
    let carol = house.login("carol@example.com", &["auditor"]).await;
    house
        .database
        .run("UPDATE login SET roles = 'nothing' WHERE roles = 'auditor'")
        .await;
    house.add_person("dora@example.com").await;
    let list =
        async |login: &str, path: &str| house.as_login(login, "GET", path, Value::Null).await;
    assert_eq!(list(&carol, "/v1/grants").await.ok()["items"], json!([]));
    list(&carol, "/v1/grants?owner=bob@example.com")
        .await
        .refused(403, "access_denied");
    assert_eq!(
        list(&flow.login, "/v1/grants").await.ok()["items"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    let unknown = GrantId::generate(house.now(), &*house.entropy).to_string();
    let mut told = Vec::new();
    for grant in [&grant, &unknown, "x"] {
        let path = format!("/v1/grants/{grant}/revoke");
        let answer = house
            .as_login(&carol, "POST", &path, json!({"reason": "mine"}))
            .await;
        answer.refused(403, "access_denied");
        told.push(answer.bytes);
    }
    told.dedup();
    assert_eq!(told.len(), 1);
    assert!(flow.is_active(&token).await);
    // An operator stops what others gave.
    let operator = house.login("dora@example.com", &["operator"]).await;
    let path = format!("/v1/grants/{grant}/revoke");
    house
        .as_login(&operator, "POST", &path, json!({"reason": "an incident"}))
        .await
        .ok();
    assert!(!flow.is_active(&token).await);
    let missing = format!("/v1/grants/{unknown}/revoke");
    house
        .as_login(&operator, "POST", &missing, json!({"reason": "x"}))
        .await
        .refused(404, "not_found");
}

/// What one process ends, the others refuse as soon as they hear of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grant_that_ends_at_one_process_ends_at_all() {
    let flow = furnished().await;
    let other = flow.house.beside(2).await;
    let (token, _) = flow.tokens().await;
    other.catch_up_with(&flow.house).await;
    let questions = other.questions(&flow.server).await;
    assert!(other.is_told_active(&questions, &token).await);
    let grant = flow.grants().await[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let path = format!("/v1/grants/{grant}/revoke");
    flow.house
        .as_login(&flow.login, "POST", &path, json!({"reason": "enough"}))
        .await
        .ok();
    other.catch_up_with(&flow.house).await;
    assert!(!other.is_told_active(&questions, &token).await);
    let seen = other
        .send(ask("GET", "/v1/grants").bearer(&flow.login))
        .await
        .ok();
    assert_eq!(seen["items"][0]["status"], "revoked");
}

#[tokio::test]
async fn aud_08_every_event_of_a_grant_names_the_person_the_agent_and_the_grant() {
    let flow = furnished().await;
    let (_, refresh) = flow.tokens().await;
    flow.renew(&refresh).await.ok();
    let uri = flow.pushed(|_| ()).await;
    let form = super::flow::field(&flow.open(&uri).await, "form");
    super::flow::landed(&flow.decide(&flow.login, &uri, &form, "deny").await);
    let silent = flow.pushed(|form| super::flow::put(form, "prompt", "none"));
    super::flow::landed(&flow.open(&silent.await).await);
    let grant = flow.grants().await[0].clone();
    let path = format!("/v1/grants/{}/revoke", grant["id"].as_str().expect("an id"));
    let because = json!({"reason": "enough"});
    flow.house
        .as_login(&flow.login, "POST", &path, because)
        .await
        .ok();
    flow.renew(&refresh).await.oauth_error(400, "invalid_grant");
    let given = flow.house.last_event("grant.given").await;
    let bob = given["subject"].clone();
    assert!(bob.as_str().is_some_and(|id| id.starts_with("own_")));
    for (kind, count, facts, has_decision) in [
        (
            "grant.given",
            1,
            &[
                "grant",
                "agent",
                "resource",
                "scope",
                "redirect_uri",
                "version",
            ][..],
            true,
        ),
        (
            "code.issued",
            2,
            &["grant", "agent", "resource", "redirect_uri"],
            false,
        ),
        ("token.issued", 2, &["grant", "scope"], true),
        ("grant.refused", 1, &["redirect_uri"], false),
        ("grant.revoked", 1, &["grant", "agent", "resource"], true),
    ] {
        let events = flow.house.events_of(kind).await;
        assert_eq!(events.len(), count, "{kind}");
        for event in events {
            assert_eq!(event["subject"], bob, "{event}");
            assert_eq!(event["agent"]["id"], flow.agent.id, "{event}");
            for fact in facts {
                assert!(event["facts"][*fact].is_string(), "no `{fact}` in {event}");
            }
            if facts.contains(&"grant") {
                assert_eq!(event["facts"]["grant"], grant["id"], "{event}");
            }
            assert!(!has_decision || event["decision"].is_object(), "{event}");
        }
    }
    let refused = flow.house.last_event("token.refused").await;
    assert_eq!(refused["outcome"], "grant_not_in_force");
    assert_eq!(refused["facts"]["grant"], grant["id"]);
}
