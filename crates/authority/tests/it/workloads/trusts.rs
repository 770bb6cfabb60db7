//! `/v1/agents/{agent}/trusts`: what of a workload must be said, and who may say it.

use serde_json::{Value, json};

use super::world::{SUBJECT, bare, working};

#[tokio::test]
async fn trust_is_part_of_what_an_agent_is_and_ends_with_its_tokens() {
    let works = working().await;
    let trusts = works.trusts().await;
    assert_eq!(trusts.len(), 1);
    assert_eq!(
        (&trusts[0]["issuer"], &trusts[0]["subject"]),
        (&json!("ci"), &json!(SUBJECT))
    );
    let added = works.house.last_event("agent.trust_added").await;
    assert_eq!(added["agent"]["id"], works.agent.id);
    assert_eq!(added["facts"]["subject"], SUBJECT);
    assert_eq!(added["facts"]["issuer"], "ci");
    works.trust(json!({})).await.refused(409, "conflict");
    let claims = json!({"claims": {"environment": "prod"}});
    works.trust(claims).await.ok();
    let added = works.house.last_event("agent.trust_added").await;
    assert_eq!(added["facts"]["claim environment"], "prod");
    let token = works.token().await;
    assert!(works.is_active(&token).await);
    for trust in works.trusts().await {
        let id = trust["id"].as_str().expect("an id").to_owned();
        let path = format!("/v1/agents/refund-bot/trusts/{id}");
        let remove = || works.house.admin("DELETE", &path, Value::Null);
        remove().await.ok();
        assert!(!works.is_active(&token).await);
        remove().await.refused(404, "not_found");
    }
    let removed = works.house.last_event("agent.trust_removed").await;
    assert_eq!(removed["facts"]["subject"], SUBJECT);
    assert!(works.trusts().await.is_empty());
    works.get(json!({})).await.oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn fed_05_trust_is_exact_and_chooses_by_no_reserved_claim() {
    let works = bare().await;
    works.trust(json!({})).await.refused(404, "not_found");
    works.add_issuer(json!({})).await.ok();
    for changes in [
        json!({"subject": "repo:acme/*"}),
        json!({"subject": ""}),
        json!({"subject": null}),
        json!({"subject": ["a"]}),
        json!({"subject": "a\nb"}),
        json!({"claims": {"sub": "x"}}),
        json!({"claims": {"aud": "x"}}),
        json!({"claims": {"cnf": "x"}}),
        json!({"claims": {"environment": "pro*"}}),
        json!({"claims": {"environment": ["prod"]}}),
        json!({"claims": {"run_number": 7}}),
        json!({"agent": "other-bot"}),
    ] {
        let refused = works.trust(changes.clone()).await;
        assert_eq!(refused.status.as_u16(), 400, "{changes}: {refused:?}");
    }
    for number in 0..32 {
        works
            .trust(json!({"subject": format!("job-{number}")}))
            .await
            .ok();
    }
    works.trust(json!({})).await.refused(409, "conflict");
    // Another agent's trust is not removed by way of this one.
    works.house.register("other-bot").await;
    let id = works.trusts().await[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let path = format!("/v1/agents/other-bot/trusts/{id}");
    let answer = works.house.admin("DELETE", &path, Value::Null).await;
    answer.refused(404, "not_found");
    assert_eq!(works.trusts().await.len(), 32);
}
