//! The stop: at once, everywhere, with a receipt; and new keys, which are a stop for what the old ones signed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::audit::verify_receipt;
use crate::house::{House, life, new_key};

const R1: &str = "https://r1.example";

#[tokio::test]
async fn stop_is_answered_with_a_receipt_and_says_what_may_still_run() {
    let house = House::found().await;
    house.register("refund-bot").await;
    for bad in [
        json!({}),
        json!({"reason": " "}),
        json!({"reason": "x", "until": "later"}),
        json!({"reason": "x".repeat(501)}),
    ] {
        house
            .admin("POST", "/v1/agents/refund-bot/suspend", bad)
            .await
            .refused(400, "invalid_request");
    }
    let stopped = house.suspend("refund-bot").await.ok();
    assert_eq!(stopped["status"], "suspended");
    assert!(!stopped["stopped"].as_array().expect("a list").is_empty());
    assert!(
        !stopped["may_still_run"]
            .as_array()
            .expect("a list")
            .is_empty()
    );
    let event = verify_receipt(&house, &stopped["receipt"]).await;
    assert_eq!(event["kind"], "agent.suspended");
    assert_eq!(event["agent"]["id"], stopped["id"]);
    assert_eq!(event["reason"], "it looked odd");
    house
        .admin("POST", "/v1/agents/nobody/suspend", json!({"reason": "x"}))
        .await
        .refused(404, "not_found");
}

#[test]
fn inc_02_stop_outlives_the_process_and_reaches_the_others() {
    let (database, clock, agent, server, token) = life(async {
        let house = House::found().await;
        let server = house.resource(R1).await;
        let agent = house.register("refund-bot").await;
        let token = house.token(&agent, R1).await;
        let other = house.beside(2).await;
        assert!(other.is_active(&server, &token).await);
        house.suspend("refund-bot").await.ok();
        // The other node sees it within the bound, by looking.
        let started = tokio::time::Instant::now();
        other.catch_up_with(&house).await;
        assert!(started.elapsed() < Duration::from_secs(5));
        assert!(!other.is_active(&server, &token).await);
        other
            .ask_token(&agent, R1)
            .await
            .oauth_error(401, "invalid_client");
        (
            house.database.clone(),
            house.clock.clone(),
            agent,
            server,
            token,
        )
    });
    life(async {
        let house = House::open(database, clock, 3, |_| {}).await;
        assert_eq!(
            house.get("/v1/agents/refund-bot").await["status"],
            "suspended"
        );
        assert!(!house.is_active(&server, &token).await);
        house
            .ask_token(&agent, R1)
            .await
            .oauth_error(401, "invalid_client");
    });
}

#[tokio::test]
async fn new_keys_end_what_the_old_ones_authenticated() {
    let house = House::found().await;
    let server = house.resource(R1).await;
    let mut agent = house.register("refund-bot").await;
    let token = house.token(&agent, R1).await;
    house.advance(Duration::from_millis(10)).await;
    let next = new_key();
    let body = json!({"jwks": crate::house::jwks(&next)});
    let view = house
        .admin("PUT", "/v1/agents/refund-bot/keys", body)
        .await
        .ok();
    assert_eq!(view["keys"], json!([next.public().thumbprint()]));
    assert!(!house.is_active(&server, &token).await);
    house
        .ask_token(&agent, R1)
        .await
        .oauth_error(401, "invalid_client");
    agent.key = next;
    house.advance(Duration::from_millis(10)).await;
    assert!(
        house
            .is_active(&server, &house.token(&agent, R1).await)
            .await
    );
    house
        .admin(
            "PUT",
            "/v1/agents/refund-bot/keys",
            json!({"jwks": Value::Null}),
        )
        .await
        .refused(400, "invalid_request");
}
