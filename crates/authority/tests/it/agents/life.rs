//! The life of an agent: the edges that exist, who may walk them, and ids that are never given again.

use std::time::Duration;

use serde_json::{Value, json};

use crate::house::{ADMIN, House};
use crate::request::ask;

const R1: &str = "https://r1.example";

#[tokio::test]
async fn idr_09_only_the_edges_that_exist_are_walked() {
    let house = House::found().await;
    house.add_person("bob@example.com").await;
    let bob = house.login("bob@example.com", &["administrator"]).await;
    let because = json!({"reason": "as planned"});
    let walk = async |name: &str, verb: &str| {
        if verb == "activate" {
            return house.activate(ADMIN, name).await;
        }
        let body = if ["suspend", "retire"].contains(&verb) {
            because.clone()
        } else {
            Value::Null
        };
        house
            .admin("POST", &format!("/v1/agents/{name}/{verb}"), body)
            .await
    };
    // From each state every verb, and whether it is an edge.
    for (state, verbs) in [
        (
            "draft",
            [("suspend", false), ("resume", false), ("activate", true)],
        ),
        (
            "active",
            [("activate", false), ("resume", false), ("suspend", true)],
        ),
        (
            "suspended",
            [("activate", false), ("suspend", false), ("resume", true)],
        ),
        (
            "retired",
            [("activate", false), ("suspend", false), ("resume", false)],
        ),
    ] {
        let name = format!("{state}-bot");
        let document = json!({"document": {"name": name, "owner": "bob@example.com"}});
        let owner = if state == "draft" {
            bob.as_str()
        } else {
            ADMIN
        };
        house
            .as_login(owner, "POST", "/v1/agents", document)
            .await
            .ok();
        match state {
            "suspended" => drop(walk(&name, "suspend").await.ok()),
            "retired" => drop(walk(&name, "retire").await.ok()),
            _ => {}
        }
        assert_eq!(
            house.get(&format!("/v1/agents/{name}")).await["status"],
            state
        );
        for (verb, is_edge) in verbs {
            let answer = walk(&name, verb).await;
            if is_edge {
                answer.ok();
            } else {
                answer.refused(409, "conflict");
                assert_eq!(
                    house.get(&format!("/v1/agents/{name}")).await["status"],
                    state,
                    "{verb}"
                );
            }
        }
        let again = walk(&name, "retire").await;
        if state == "retired" {
            again.refused(409, "conflict");
        } else {
            again.ok();
        }
        let keys = json!({"jwks": crate::house::jwks(&crate::house::new_key())});
        let path = format!("/v1/agents/{name}/keys");
        assert!(
            house
                .admin("PUT", &path, keys)
                .await
                .status
                .is_client_error()
        );
        let transfer = json!({"owner": "carol@example.com"});
        let path = format!("/v1/agents/{name}/transfer");
        assert!(
            house
                .admin("POST", &path, transfer)
                .await
                .status
                .is_client_error()
        );
    }
    // Each edge is in the record, with who walked it.
    for kind in [
        "agent.activated",
        "agent.suspended",
        "agent.resumed",
        "agent.retired",
    ] {
        for event in house.events_of(kind).await {
            assert_eq!(event["actor"]["id"], "local-administrator", "{event}");
        }
    }
}

#[tokio::test]
async fn idr_09_agent_does_not_walk_its_own_edges() {
    let house = House::found().await;
    let agent = house.register("refund-bot").await;
    house.resource(R1).await;
    let token = house.token(&agent, R1).await;
    house.suspend("refund-bot").await.ok();
    for scheme in ["Bearer", "DPoP"] {
        for verb in ["resume", "activate"] {
            let request = ask("POST", &format!("/v1/agents/refund-bot/{verb}"));
            let request = request.header("authorization", format!("{scheme} {token}"));
            house.send(request).await.refused(401, "unauthenticated");
        }
    }
    assert_eq!(
        house.get("/v1/agents/refund-bot").await["status"],
        "suspended"
    );
}

#[tokio::test]
async fn idr_08_id_is_never_given_again_and_a_name_gets_a_new_one() {
    let house = House::found().await;
    let server = house.resource(R1).await;
    let first = house.register("refund-bot").await;
    let twin = json!({"document": {"name": "refund-bot", "owner": "alice@example.com"}});
    house
        .admin("POST", "/v1/agents", twin)
        .await
        .refused(409, "conflict");
    let token = house.token(&first, R1).await;
    house
        .admin(
            "POST",
            "/v1/agents/refund-bot/retire",
            json!({"reason": "done"}),
        )
        .await
        .ok();
    let second = house.register("refund-bot").await;
    assert_ne!(first.id, second.id);
    // Nothing of the first attaches to the second.
    assert!(!house.is_active(&server, &token).await);
    house
        .ask_token(&first, R1)
        .await
        .oauth_error(401, "invalid_client");
    let thief = crate::house::Party {
        id: second.id.clone(),
        key: first.key,
    };
    house.forget_nonce();
    house.nonce(&second).await;
    house
        .ask_token(&thief, R1)
        .await
        .oauth_error(401, "invalid_client");
    house.token(&second, R1).await;
    // The name leads to the living one; the id still leads to the first.
    assert_eq!(house.get("/v1/agents/refund-bot").await["id"], second.id);
    let path = format!("/v1/agents/{}", first.id);
    assert_eq!(house.get(&path).await["status"], "retired");
    // A name that reads like an id would be ambiguous.
    let named = json!({"document": {"name": first.id, "owner": "alice@example.com"}});
    house
        .admin("POST", "/v1/agents", named)
        .await
        .refused(400, "invalid_request");
}

#[tokio::test]
async fn agent_ends_by_itself_at_its_time() {
    let house = House::found().await;
    house.resource(R1).await;
    let document = json!({"name": "short-bot", "owner": "alice@example.com", "expires_at": "2027-01-15T08:10:00Z"});
    let agent = house.register_document(document.clone()).await;
    house.token(&agent, R1).await;
    house.advance(Duration::from_secs(599)).await;
    house.forget_nonce();
    house.token(&agent, R1).await;
    house.advance(Duration::from_secs(1)).await;
    house
        .ask_token(&agent, R1)
        .await
        .oauth_error(401, "invalid_client");
    let mut late = document;
    late["name"] = json!("late-bot");
    house
        .admin("POST", "/v1/agents", json!({"document": late}))
        .await
        .refused(400, "invalid_request");
}
