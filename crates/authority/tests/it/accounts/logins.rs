//! Logins: shown once, for a time, and over when the person leaves.

use std::time::Duration;

use serde_json::{Value, json};

use crate::house::{ADMIN, House};
use crate::request::ask;

#[tokio::test]
async fn login_is_a_secret_that_is_shown_once_and_kept_as_a_hash() {
    let house = House::found().await;
    house.add_person("bob@example.com").await;
    let one = house.login("bob@example.com", &["auditor"]).await;
    let two = house.login("bob@example.com", &["auditor"]).await;
    assert_ne!(one, two);
    assert!(one.starts_with("chl_") && one.len() >= 40);
    let me = house
        .as_login(&one, "GET", "/v1/whoami", Value::Null)
        .await
        .ok();
    assert_eq!(
        me,
        json!({
            "kind": "human", "id": "bob@example.com", "issued_by": "local-administrator", "roles": ["auditor"],
            "signed_in_with": "login"
        })
    );
    let stored = house.database.texts("SELECT secret_hash FROM login").await;
    assert!(stored.iter().all(|hash| hash.starts_with("sha256:")));
    let me = house.get("/v1/whoami").await;
    assert_eq!(me["kind"], "local_administrator");
    assert_eq!(me["signed_in_with"], "credential");
}

/// Whoever may issue logins can have one made in another person's name, so who did is told and recorded.
#[tokio::test]
async fn login_says_who_had_it_made_and_so_does_the_record() {
    let house = House::found().await;
    house.add_person("alice@example.com").await;
    house.add_person("bob@example.com").await;
    let alice = house.login("alice@example.com", &["administrator"]).await;
    // Events of one moment are sealed in any order.
    house.advance_unseen(Duration::from_millis(1));
    let body = json!({"roles": ["auditor"], "lifetime": 600});
    let made = house
        .as_login(&alice, "POST", "/v1/owners/bob@example.com/logins", body)
        .await
        .ok();
    assert_eq!(made["owner"], "bob@example.com");
    assert_eq!(made["issued_by"], "alice@example.com");
    let events = house.events().await;
    let issued: Vec<&Value> = events
        .iter()
        .filter(|event| event["kind"] == "login.issued")
        .collect();
    let [first, last] = issued[..] else {
        panic!("{issued:?}");
    };
    assert_eq!(first["actor"]["kind"], "local_administrator");
    assert_eq!(first["facts"]["handle"], "alice@example.com");
    assert_eq!(last["actor"]["id"], "alice@example.com");
    assert_eq!(last["facts"]["handle"], "bob@example.com");
    assert_eq!(last["facts"]["expires_at"], made["expires_at"]);
    assert_eq!(last["facts"]["login"], made["name"]);
    assert_ne!(first["facts"]["login"], made["name"]);
    let secret = made["token"].as_str().expect("a secret");
    assert!(!last.to_string().contains(secret));
}

#[tokio::test]
async fn login_ends_at_its_time() {
    let house = House::found().await;
    house.add_person("bob@example.com").await;
    let body = json!({"roles": ["auditor"], "lifetime": 60});
    let login = house
        .admin("POST", "/v1/owners/bob@example.com/logins", body)
        .await
        .ok();
    let secret = login["token"].as_str().expect("a secret");
    house.advance(Duration::from_secs(59)).await;
    house
        .as_login(secret, "GET", "/v1/agents", Value::Null)
        .await
        .ok();
    house.advance(Duration::from_secs(1)).await;
    house
        .as_login(secret, "GET", "/v1/agents", Value::Null)
        .await
        .refused(401, "unauthenticated");
}

#[tokio::test]
async fn login_ends_when_its_person_leaves() {
    let house = House::found().await;
    house.add_person("bob@example.com").await;
    let bob = house.login("bob@example.com", &["administrator"]).await;
    house
        .as_login(&bob, "GET", "/v1/agents", Value::Null)
        .await
        .ok();
    let left = json!({"reason": "left"});
    house
        .admin("POST", "/v1/owners/bob@example.com/disable", left.clone())
        .await
        .ok();
    house
        .as_login(&bob, "GET", "/v1/agents", Value::Null)
        .await
        .refused(401, "unauthenticated");
    house
        .admin("POST", "/v1/owners/bob@example.com/disable", left)
        .await
        .refused(409, "conflict");
    let body = json!({"roles": ["auditor"]});
    house
        .admin("POST", "/v1/owners/bob@example.com/logins", body)
        .await
        .refused(409, "conflict");
}

#[tokio::test]
async fn roles_and_lifetimes_are_those_that_exist() {
    let house = House::found().await;
    house.add_person("bob@example.com").await;
    house
        .admin("POST", "/v1/owners", json!({"handle": "team:desk"}))
        .await
        .ok();
    let path = "/v1/owners/bob@example.com/logins";
    for bad in [
        json!({"roles": []}),
        json!({"roles": ["root"]}),
        json!({"roles": ["auditor", "Root"]}),
        json!({}),
        json!({"roles": ["auditor"], "lifetime": 59}),
        json!({"roles": ["auditor"], "lifetime": 7_776_001}),
        json!({"roles": ["auditor"], "lifetime": -1}),
        json!({"roles": ["auditor"], "token": "chosen"}),
    ] {
        house
            .admin("POST", path, bad)
            .await
            .refused(400, "invalid_request");
    }
    let body = json!({"roles": ["auditor"]});
    house
        .admin("POST", "/v1/owners/team:desk/logins", body.clone())
        .await
        .refused(409, "conflict");
    house
        .admin("POST", "/v1/owners/carol@example.com/logins", body.clone())
        .await
        .refused(404, "not_found");
    house.admin("POST", path, body).await.ok();
}

#[tokio::test]
async fn credential_is_one_header_of_one_form() {
    let house = House::found().await;
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "bearer x",
        "Basic Og==",
        "DPoP x",
        ADMIN,
        &format!("Bearer  {ADMIN}"),
        &format!("Bearer {ADMIN} "),
        &format!("Bearer {}", "x".repeat(300)),
    ] {
        let request = ask("GET", "/v1/agents").header("authorization", value);
        house.send(request).await.refused(401, "unauthenticated");
    }
    let twice = ask("GET", "/v1/agents").bearer(ADMIN).bearer(ADMIN);
    house.send(twice).await.refused(401, "unauthenticated");
    let in_query = ask("GET", &format!("/v1/agents?access_token={ADMIN}"));
    house.send(in_query).await.refused(401, "unauthenticated");
    house
        .send(ask("GET", "/v1/agents").bearer(ADMIN))
        .await
        .ok();
}
