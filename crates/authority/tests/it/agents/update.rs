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
    let erin = house
        .login_by(&bob, "carol@example.com", &["approver"])
        .await;
    decide(&house, &erin, number, "accept")
        .await
        .refused(409, "conflict");
    assert!(house.get("/v1/agents/refund-bot").await["document"]["tools"].is_null());
}

/// Who has a login made sees its secret, so it makes no second person of them.
#[tokio::test]
async fn idr_06_login_that_somebody_had_made_is_no_second_person_to_them() {
    let house = House::found().await;
    house.register("refund-bot").await;
    for person in ["bob", "carol", "dora", "erin"] {
        house.add_person(&format!("{person}@example.com")).await;
    }
    let made_by = async |maker: &str, person: &str| {
        let handle = format!("{person}@example.com");
        house.login_by(maker, &handle, &["administrator"]).await
    };
    let alice = house.login("alice@example.com", &["administrator"]).await;
    let carol = house.login("carol@example.com", &["approver"]).await;
    let bob_by_alice = made_by(&alice, "bob").await;
    let dora_by_alice = made_by(&alice, "dora").await;
    let erin_by_bob = made_by(&bob_by_alice, "erin").await;
    let me = house
        .as_login(&erin_by_bob, "GET", "/v1/whoami", Value::Null)
        .await
        .ok();
    assert_eq!(me["issued_by"], "bob@example.com");
    let all_alice = [&alice, &bob_by_alice, &dora_by_alice, &erin_by_bob];
    let cases = [
        // Alice proposes, whichever login of hers she does it with; Carol is somebody else.
        (&alice, &all_alice[..], &carol),
        (&bob_by_alice, &all_alice[..], &carol),
        (&erin_by_bob, &all_alice[..], &carol),
        (&carol, &[&carol][..], &bob_by_alice),
        // A login that the local administrator gave out itself is no second person to it.
        (&ADMIN.to_owned(), &[&alice, &carol][..], &dora_by_alice),
    ];
    for (round, (proposer, same, other)) in cases.into_iter().enumerate() {
        let wide = |document: &mut Value| {
            document["capabilities"] = json!([{"name": format!("pay.{round}"), "risk": "low"}]);
        };
        let proposed = if proposer == &carol {
            // An approver proposes nothing, so she is made an administrator for this.
            let carol = house.login("carol@example.com", &["administrator"]).await;
            propose(&house, &carol, wide).await.ok()
        } else {
            propose(&house, proposer, wide).await.ok()
        };
        let number = proposed["pending_version"]
            .as_i64()
            .expect("one that waits");
        for accepter in same {
            let refused = decide(&house, accepter, number, "accept").await;
            refused.refused(403, "access_denied");
        }
        let view = decide(&house, other, number, "accept").await.ok();
        assert_eq!(view["version_number"], number, "round {round}");
        let path = format!("/v1/agents/refund-bot/versions?after={}", number - 1);
        let version = &house.get(&path).await["items"][0];
        assert_ne!(version["proposed_by"], version["decided_by"]);
    }
}

/// A login from before the authority kept who had it made.
#[tokio::test]
async fn login_of_which_it_is_not_known_who_had_it_made_is_no_second_person() {
    let house = House::found().await;
    house.register("refund-bot").await;
    house.add_person("bob@example.com").await;
    let alice = house.login("alice@example.com", &["administrator"]).await;
    let bob = house.login("bob@example.com", &["approver"]).await;
    house.database.run("DELETE FROM login_maker").await;
    // The next change of people reads the logins anew.
    house.add_person("carol@example.com").await;
    let carol = house.login("carol@example.com", &["approver"]).await;
    let wide = |document: &mut Value| document["autonomy_level"] = json!("autonomous");
    let proposed = propose(&house, &alice, wide).await.ok();
    let number = proposed["pending_version"]
        .as_i64()
        .expect("one that waits");
    for unknown in [&bob, &carol] {
        let refused = decide(&house, unknown, number, "accept").await;
        refused.refused(403, "access_denied");
    }
    decide(&house, &carol, number, "reject").await.ok();
    let alice = house.login("alice@example.com", &["administrator"]).await;
    let number = propose(&house, &alice, wide).await.ok()["pending_version"].clone();
    let number = number.as_i64().expect("one that waits");
    decide(&house, &bob, number, "accept")
        .await
        .refused(403, "access_denied");
    decide(&house, &carol, number, "accept").await.ok();
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
    house
        .activate(&bob, "draft-bot")
        .await
        .refused(403, "access_denied");
    assert_eq!(
        house.activate(ADMIN, "draft-bot").await.ok()["status"],
        "active"
    );
    house
        .activate(ADMIN, "draft-bot")
        .await
        .refused(409, "conflict");
}

#[tokio::test]
async fn idr_06_draft_that_was_replaced_after_it_was_looked_at_does_not_come_into_force() {
    let house = House::found().await;
    house.add_person("bob@example.com").await;
    let bob = house.login("bob@example.com", &["administrator"]).await;
    let document = json!({"name": "draft-bot", "owner": "bob@example.com"});
    let body = json!({"document": document});
    house.as_login(&bob, "POST", "/v1/agents", body).await.ok();
    let seen = house.get("/v1/agents/draft-bot").await["revision"].to_string();
    // What one reviewer looks at is refused by another, and replaced by something that may do more.
    let because = json!({"reason": "not like this"});
    let reject = "/v1/agents/draft-bot/versions/1/reject";
    house.admin("POST", reject, because).await.ok();
    let mut wider = document;
    wider["capabilities"] = json!([{"name": "refunds.issue", "risk": "critical"}]);
    let replaced = ask("PUT", "/v1/agents/draft-bot").bearer(&bob);
    let replaced = replaced.header("if-match", seen.clone());
    house
        .send(replaced.json(&json!({"document": wider})))
        .await
        .ok();
    house
        .activate_seen(ADMIN, "draft-bot", &seen)
        .await
        .refused(412, "precondition_failed");
    let unseen = ask("POST", "/v1/agents/draft-bot/activate").bearer(ADMIN);
    house
        .send(unseen)
        .await
        .refused(428, "precondition_required");
    assert_eq!(house.get("/v1/agents/draft-bot").await["status"], "draft");
    house.activate(ADMIN, "draft-bot").await.ok();
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
    // A page begins where another ends, and the chain holds across the two.
    let page = house.get("/v1/agents/refund-bot/versions?after=2").await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(2));
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
    verify_chain(None, &stored, &keys).expect("a chain");
    let mut swapped = stored.clone();
    swapped.swap(1, 2);
    verify_chain(None, &swapped, &keys).expect_err("out of order");
    drop(tx);
    // What was taken out of the middle is missed, whichever page is asked for.
    let gone = "DELETE FROM agent_version WHERE number = 2";
    house.database.run(gone).await;
    for page in ["", "?after=1", "?after=2"] {
        let path = format!("/v1/agents/refund-bot/versions{page}");
        let answer = house.admin("GET", &path, Value::Null).await;
        answer.refused(500, "internal_error");
    }
    let page = house.get("/v1/agents/refund-bot/versions?after=3").await;
    assert_eq!(page["items"].as_array().map(Vec::len), Some(1));
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
