//! `PUT /v1/agents/{agent}`: versions, their review, and updates that meet each other.

use std::sync::Arc;

use chancery_wire::document::verify_chain;
use serde_json::{Value, json};

use crate::house::{ADMIN, House};
use crate::request::{Answer, ask};

/// Proposes what `change` makes of the document in force.
async fn propose(house: &House, secret: &str, change: impl FnOnce(&mut Value)) -> Answer {
    let view = house.get("/v1/agents/refund-bot").await;
    let mut document = view["document"].clone();
    change(&mut document);
    let update = ask("PUT", "/v1/agents/refund-bot").bearer(secret);
    let update = update.header("if-match", format!("\"{}\"", view["revision"]));
    house
        .send(update.json(&json!({"document": document})))
        .await
}

async fn decide(house: &House, secret: &str, number: i64, verdict: &str) -> Answer {
    let path = format!("/v1/agents/refund-bot/versions/{number}/{verdict}");
    let body = if verdict == "reject" {
        json!({"reason": "not needed"})
    } else {
        Value::Null
    };
    house.as_login(secret, "POST", &path, body).await
}

#[tokio::test]
async fn idr_06_wider_version_waits_for_a_second_person_and_gives_nothing_until_then() {
    let house = House::found().await;
    house.register("refund-bot").await;
    house.add_person("bob@example.com").await;
    house.add_person("carol@example.com").await;
    let bob = house.login("bob@example.com", &["administrator"]).await;
    let carol = house.login("carol@example.com", &["approver"]).await;
    let dora = house.login("carol@example.com", &["auditor"]).await;
    for (what, widening) in [
        (
            "a tool",
            json!({"tools": [{"server": "desk", "tool": "*"}]}),
        ),
        (
            "a capability",
            json!({"capabilities": [{"name": "payments.write", "risk": "high"}]}),
        ),
        (
            "data",
            json!({"data_access": [{"resource": "customers", "access": ["read"], "classification": "confidential"}]}),
        ),
    ] {
        let before = house.get("/v1/agents/refund-bot").await;
        let apply = |document: &mut Value| {
            for (name, value) in widening.as_object().expect("members") {
                document[name] = value.clone();
            }
        };
        let view = propose(&house, &bob, apply).await.ok();
        let number = view["pending_version"].as_i64().expect("one that waits");
        assert!(
            !view["pending_because"]
                .as_array()
                .expect("a list")
                .is_empty(),
            "{what}: {view}"
        );
        assert_eq!(
            view["version"], before["version"],
            "{what}: nothing changed yet"
        );
        assert_eq!(view["document"], before["document"]);
        // A second proposal has to wait, and who proposed it does not decide it.
        propose(&house, &bob, apply).await.refused(409, "conflict");
        decide(&house, &bob, number, "accept")
            .await
            .refused(403, "access_denied");
        decide(&house, &dora, number, "accept")
            .await
            .refused(403, "access_denied");
        let view = decide(&house, &carol, number, "accept").await.ok();
        assert_eq!(view["version_number"], number, "{what}");
        decide(&house, &carol, number, "accept")
            .await
            .refused(409, "conflict");
    }
    // Rights go at once, without a second person.
    let narrowed = propose(&house, ADMIN, |document| {
        document.as_object_mut().expect("members").remove("tools");
    });
    let view = narrowed.await.ok();
    assert!(view["pending_version"].is_null(), "{view}");
    assert!(view["document"]["tools"].is_null());
    // Even the local administrator does not widen alone.
    let wide = |document: &mut Value| document["tools"] = json!([{"server": "desk", "tool": "*"}]);
    let number = propose(&house, ADMIN, wide).await.ok()["pending_version"]
        .as_i64()
        .expect("one that waits");
    decide(&house, ADMIN, number, "accept")
        .await
        .refused(403, "access_denied");
    decide(&house, &carol, number, "reject").await.ok();
    decide(&house, &carol, number, "accept")
        .await
        .refused(409, "conflict");
    assert!(house.get("/v1/agents/refund-bot").await["document"]["tools"].is_null());
}

#[tokio::test]
async fn idr_06_draft_of_an_administrator_waits_for_another_person() {
    let house = House::found().await;
    house.add_person("bob@example.com").await;
    let bob = house.login("bob@example.com", &["administrator"]).await;
    let body = json!({"document": {"name": "draft-bot", "owner": "bob@example.com"}});
    assert_eq!(
        house.as_login(&bob, "POST", "/v1/agents", body).await.ok()["status"],
        "draft"
    );
    let path = "/v1/agents/draft-bot/activate";
    house
        .as_login(&bob, "POST", path, Value::Null)
        .await
        .refused(403, "access_denied");
    assert_eq!(
        house.admin("POST", path, Value::Null).await.ok()["status"],
        "active"
    );
    house
        .admin("POST", path, Value::Null)
        .await
        .refused(409, "conflict");
}

#[tokio::test]
async fn idr_02_versions_form_one_chain_that_only_grows() {
    let house = House::found().await;
    house.register("refund-bot").await;
    for words in ["second", "third"] {
        propose(&house, ADMIN, |document| {
            document["description"] = json!(words)
        })
        .await
        .ok();
    }
    // An older document comes back only as a new version.
    propose(&house, ADMIN, |document| {
        document["description"] = json!("second")
    })
    .await
    .ok();
    let page = house.get("/v1/agents/refund-bot/versions").await;
    let versions = page["items"].as_array().expect("a list");
    let numbers: Vec<i64> = versions
        .iter()
        .map(|version| version["number"].as_i64().expect("a number"))
        .collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    for pair in versions.windows(2) {
        assert_eq!(pair[1]["previous"], pair[0]["digest"]);
    }
    let states: Vec<&str> = versions
        .iter()
        .map(|version| version["state"].as_str().expect("a state"))
        .collect();
    assert_eq!(
        states,
        ["superseded", "superseded", "superseded", "in_force"]
    );
    decide(&house, ADMIN, 2, "accept")
        .await
        .refused(409, "conflict");
    decide(&house, ADMIN, 9, "accept")
        .await
        .refused(404, "not_found");
    // The chain verifies with the published keys alone.
    let agent = house.get("/v1/agents/refund-bot").await["id"]
        .as_str()
        .expect("an id")
        .parse()
        .expect("an id");
    let mut tx = house.authority.store.read().await.expect("a transaction");
    let stored = chancery_store::versions::list(&mut tx, agent, 0, 10)
        .await
        .expect("versions");
    let keys = [house.authority.keys.load().document.public().clone()];
    verify_chain(&stored, &keys).expect("a chain");
    let mut swapped = stored.clone();
    swapped.swap(1, 2);
    verify_chain(&swapped, &keys).expect_err("out of order");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn idr_07_of_two_updates_from_one_revision_one_is_refused() {
    let house = Arc::new(House::found().await);
    house.register("refund-bot").await;
    let view = house.get("/v1/agents/refund-bot").await;
    let update = |words: &str| {
        let mut document = view["document"].clone();
        document["description"] = json!(words);
        ask("PUT", "/v1/agents/refund-bot")
            .bearer(ADMIN)
            .json(&json!({"document": document}))
    };
    house
        .send(update("without"))
        .await
        .refused(428, "precondition_required");
    house
        .send(update("nonsense").header("if-match", "x"))
        .await
        .refused(412, "precondition_failed");
    house
        .send(update("any").header("if-match", "*"))
        .await
        .refused(412, "precondition_failed");
    let revision = view["revision"].to_string();
    let (one, two) = tokio::join!(
        house.send(update("one").header("if-match", revision.clone())),
        house.send(update("two").header("if-match", revision.clone())),
    );
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 412]);
    house
        .send(update("late").header("if-match", revision))
        .await
        .refused(412, "precondition_failed");
    let shown = house
        .admin("GET", "/v1/agents/refund-bot", Value::Null)
        .await;
    let etag = shown.header("etag").to_owned();
    house
        .send(update("with its tag").header("if-match", etag))
        .await
        .ok();
}

#[tokio::test]
async fn name_and_owner_are_not_changed_by_an_update() {
    let house = House::found().await;
    house.register("refund-bot").await;
    propose(&house, ADMIN, |document| {
        document["name"] = json!("other-bot")
    })
    .await
    .refused(400, "invalid_request");
    propose(&house, ADMIN, |document| {
        document["owner"] = json!("bob@example.com")
    })
    .await
    .refused(400, "invalid_request");
    propose(&house, ADMIN, |_| {})
        .await
        .refused(409, "conflict");
    let to = json!({"owner": "bob@example.com"});
    let view = house
        .admin("POST", "/v1/agents/refund-bot/transfer", to.clone())
        .await
        .ok();
    assert_eq!(
        (&view["owner"], &view["version_number"]),
        (&json!("bob@example.com"), &json!(2))
    );
    house
        .admin("POST", "/v1/agents/refund-bot/transfer", to)
        .await
        .refused(409, "conflict");
}
