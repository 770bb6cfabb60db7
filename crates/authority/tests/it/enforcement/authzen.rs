//! AuthZEN: answers to enforcement points that are not ours.

use serde_json::{Value, json};

use crate::house::{ADMIN, House, ISSUER};
use crate::request::ask;

fn question() -> Value {
    json!({
        "subject": {"type": "user", "id": "alice"},
        "action": {"name": "read"},
        "resource": {"type": "record", "id": "1"},
    })
}

#[tokio::test]
async fn pol_12_strangers_and_malformed_questions_get_no_decision() {
    let house = House::found().await;
    let agent = house.register("refund-bot").await;
    house.resource("https://r1.example").await;
    let agents_token = house.token(&agent, "https://r1.example").await;
    for path in ["/access/v1/evaluation", "/access/v1/evaluations"] {
        house
            .send(ask("POST", path).json(&question()))
            .await
            .refused(401, "unauthenticated");
        let as_agent = ask("POST", path).bearer(&agents_token).json(&question());
        house.send(as_agent).await.refused(401, "unauthenticated");
        let wrong_kind = ask("POST", path)
            .bearer(ADMIN)
            .body("text/plain", question().to_string());
        house.send(wrong_kind).await.refused(400, "invalid_request");
        let large = ask("POST", path)
            .bearer(ADMIN)
            .body("application/json", vec![b' '; 10 << 20]);
        let large = house.send(large).await;
        assert!([400, 413].contains(&large.status.as_u16()), "{large:?}");
        assert_eq!(house.send(ask("GET", path).bearer(ADMIN)).await.status, 405);
    }
    let changed = |name: &str, value: Value| {
        let mut question = question();
        question[name] = value;
        question
    };
    for bad in [
        json!({}),
        json!([]),
        json!(null),
        changed("subject", Value::Null),
        changed("action", Value::Null),
        changed("action", json!({"name": null})),
        changed("resource", json!("record/1")),
        changed("subject", json!({"type": "user"})),
        changed("context", json!("x")),
        changed("subject", json!({"type": 1, "id": "alice"})),
    ] {
        house
            .admin("POST", "/access/v1/evaluation", bad)
            .await
            .refused(400, "invalid_request");
    }
    // Nobody is told whether a subject or a resource exists.
    let unknown = house
        .admin("POST", "/access/v1/evaluation", question())
        .await
        .ok();
    let known = changed("subject", json!({"type": "agent", "id": agent.id}));
    let known = house
        .admin("POST", "/access/v1/evaluation", known)
        .await
        .ok();
    assert_eq!(
        (&unknown["decision"], &known["decision"]),
        (&json!(false), &json!(false))
    );
}

#[tokio::test]
async fn pol_12_malformed_item_among_many_is_denied_by_itself() {
    let house = House::found().await;
    let mut many = question();
    many["evaluations"] =
        json!([{}, {"action": null}, {"resource": {"type": "record", "id": "2"}}]);
    let answers = house
        .admin("POST", "/access/v1/evaluations", many.clone())
        .await
        .ok();
    let answers = answers["evaluations"].as_array().expect("a list").clone();
    assert_eq!(answers.len(), 3);
    assert!(
        answers.iter().all(|answer| answer["decision"] == false),
        "{answers:?}"
    );
    many["options"] = json!({"evaluations_semantic": "deny_on_first_deny"});
    let answers = house
        .admin("POST", "/access/v1/evaluations", many.clone())
        .await
        .ok();
    assert_eq!(answers["evaluations"].as_array().expect("a list").len(), 1);
    many["evaluations"] = Value::Array(vec![json!({}); 257]);
    house
        .admin("POST", "/access/v1/evaluations", many)
        .await
        .refused(400, "invalid_request");
}

#[tokio::test]
async fn denial_is_an_answer_that_is_recorded_and_a_resource_server_may_ask() {
    let house = House::found().await;
    let server = house.resource("https://r1.example").await;
    let mine = house
        .send(house.token_request(&server, ISSUER, ""))
        .await
        .ok();
    let request = ask("POST", "/access/v1/evaluation")
        .bearer(mine["access_token"].as_str().expect("a token"));
    let answer = house
        .send(request.header("x-request-id", "q-7").json(&question()))
        .await;
    assert_eq!(answer.ok()["decision"], false);
    assert_eq!(answer.header("x-request-id"), "q-7");
    let recorded = house.last_event("decision.made").await;
    assert_eq!(recorded["actor"]["id"], server.id);
    assert_eq!(recorded["outcome"], "deny");
    assert_eq!(recorded["subject"], "user/alice");
    let metadata = house
        .send(ask("GET", "/.well-known/authzen-configuration"))
        .await
        .ok();
    let url = metadata["access_evaluation_endpoint"]
        .as_str()
        .expect("a URL");
    assert_eq!(url, "https://id.example/access/v1/evaluation");
}

/// POL-09: about a registered agent only the registry is believed.
#[tokio::test]
async fn pol_09_asker_does_not_describe_a_registered_agent() {
    let house = House::found().await;
    let upstream = crate::upstream::Upstream::start(vec![crate::upstream::add()]).await;
    house
        .admin("POST", "/v1/mcp", upstream.as_server("desk"))
        .await
        .ok();
    let without = house.register("plain-bot").await;
    let with = house
        .register_document(json!({"name": "granted-bot", "owner": "alice@example.com", "tools": [{"server": "desk", "tool": "add"}]}))
        .await;
    let decide = async |id: &str, properties: Value| {
        let question = json!({
            "subject": {"type": "agent", "id": id, "properties": properties},
            "action": {"name": "call_tool"},
            "resource": {"type": "tool", "id": "desk/add"},
            "context": {"args": {"a": 1, "b": 2}},
        });
        house
            .admin("POST", "/access/v1/evaluation", question)
            .await
            .ok()["decision"]
            == true
    };
    assert!(decide(&with.id, json!({})).await);
    assert!(
        !decide(
            &without.id,
            json!({"status": "active", "callable": ["desk/add"]})
        )
        .await
    );
    house.suspend("granted-bot").await.ok();
    assert!(!decide(&with.id, json!({"status": "active"})).await);
}
