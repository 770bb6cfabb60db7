//! Policies in force decide at once, and doubt denies.

use serde_json::{Value, json};

use crate::house::House;

const R1: &str = "https://r1.example";

const FORBID: &str = r#"@id("no-tokens") @reason("nobody gets tokens today")
forbid (principal is Chancery::Agent, action == Chancery::Action::"issue_token", resource);"#;

#[tokio::test]
async fn pol_08_change_of_policy_decides_the_next_question_here_and_soon_elsewhere() {
    let house = House::found().await;
    let other = house.beside(2).await;
    house.resource(R1).await;
    let agent = house.register("refund-bot").await;
    other.catch_up_with(&house).await;
    house.token(&agent, R1).await;
    other.token(&agent, R1).await;
    house
        .admin("PUT", "/v1/policies/no-tokens", json!({"text": FORBID}))
        .await
        .ok();
    let refused = house.ask_token(&agent, R1).await;
    assert_eq!(refused.json()["error"], "access_denied", "{refused:?}");
    let started = tokio::time::Instant::now();
    other.catch_up_with(&house).await;
    assert!(started.elapsed() < std::time::Duration::from_secs(5));
    assert_eq!(
        other.ask_token(&agent, R1).await.json()["error"],
        "access_denied"
    );
    house
        .admin("DELETE", "/v1/policies/no-tokens", Value::Null)
        .await
        .ok();
    house.token(&agent, R1).await;
    house
        .admin("DELETE", "/v1/policies/no-tokens", Value::Null)
        .await
        .refused(404, "not_found");
}

#[tokio::test]
async fn pol_01_text_that_does_not_compile_leaves_the_last_good_one_in_force() {
    let house = House::found().await;
    house.resource(R1).await;
    let agent = house.register("refund-bot").await;
    house
        .admin("PUT", "/v1/policies/no-tokens", json!({"text": FORBID}))
        .await
        .ok();
    for bad in [
        "permit(",
        "permit(principal, action, resource",
        "nonsense",
        r#"permit (principal, action == Chancery::Action::"no_such_action", resource);"#,
        r#"permit (principal is Chancery::Ghost, action, resource);"#,
    ] {
        let problem = house
            .admin("PUT", "/v1/policies/no-tokens", json!({"text": bad}))
            .await;
        let problem = problem.refused(422, "unacceptable");
        assert!(
            problem["fix"].as_str().is_some_and(|fix| !fix.is_empty()),
            "{problem}"
        );
    }
    let listed = house.get("/v1/policies").await;
    assert!(
        listed.to_string().contains("nobody gets tokens today"),
        "{listed}"
    );
    assert_eq!(
        house.ask_token(&agent, R1).await.json()["error"],
        "access_denied"
    );
    // Nothing is left of what was tried.
    assert_eq!(house.events_of("policy.added").await.len(), 1);
}

#[tokio::test]
async fn pol_01_without_a_policy_that_permits_the_answer_is_no() {
    let house = House::found().await;
    house.add_person("bob@example.com").await;
    let agent = house.register("refund-bot").await;
    for question in [
        json!({"subject": {"type": "agent", "id": agent.id}, "action": {"name": "call_tool"}, "resource": {"type": "tool", "id": "desk/add"}}),
        json!({"subject": {"type": "agent", "id": agent.id}, "action": {"name": "no_such"}, "resource": {"type": "tool", "id": "desk/add"}}),
        json!({"subject": {"type": "ghost", "id": "x"}, "action": {"name": "read"}, "resource": {"type": "thing", "id": "y"}}),
    ] {
        let answer = house
            .admin("POST", "/access/v1/evaluation", question)
            .await
            .ok();
        assert_eq!(answer["decision"], false, "{answer}");
        assert!(answer["context"]["reason_code"].is_string(), "{answer}");
    }
}

#[tokio::test]
async fn pol_02_policy_that_could_miss_an_attribute_is_refused_at_load() {
    let house = House::found().await;
    let missing = r#"forbid (principal is Chancery::Agent, action in Chancery::Action::"call_tool", resource)
        when { principal.environment == "staging" };"#;
    house
        .admin("PUT", "/v1/policies/staging", json!({"text": missing}))
        .await
        .refused(422, "unacceptable");
    let guarded = r#"@id("staging") forbid (principal is Chancery::Agent, action in Chancery::Action::"call_tool", resource)
        when { principal has environment && principal.environment == "staging" };"#;
    house
        .admin("PUT", "/v1/policies/staging", json!({"text": guarded}))
        .await
        .ok();
}

#[tokio::test]
async fn policies_are_checked_and_explained_without_coming_into_force() {
    let house = House::found().await;
    house.register("refund-bot").await;
    let good = house
        .admin("POST", "/v1/policies/check", json!({"text": FORBID}))
        .await
        .ok();
    assert_eq!(good, json!({"ok": true, "problems": []}));
    let bad = house
        .admin("POST", "/v1/policies/check", json!({"text": "permit("}))
        .await
        .ok();
    assert_eq!(bad["ok"], false);
    assert!(!bad["problems"].as_array().expect("a list").is_empty());
    assert!(
        !house
            .get("/v1/policies")
            .await
            .to_string()
            .contains("nobody gets tokens")
    );
    let call = json!({"agent": "refund-bot", "server": "desk", "tool": "add", "arguments": {}});
    let explained = house.admin("POST", "/v1/policies/explain", call).await.ok();
    assert!(explained.to_string().contains("deny"), "{explained}");
    assert!(
        house.events_of("decision.made").await.is_empty(),
        "nothing was decided"
    );
    assert!(
        house.get("/v1/policies/schema").await["text"]
            .as_str()
            .expect("a text")
            .contains("Agent")
    );
}
