//! Revocation: by the client whose token it is, and by an administrator with a receipt.

use std::time::Duration;

use chancery_wire::client_assertion::ASSERTION_TYPE;
use serde_json::{Value, json};

use crate::house::{House, Party, claims};
use crate::request::{Answer, ask};

const R1: &str = "https://r1.example";

async fn revoke(house: &House, party: &Party, token: &str) -> Answer {
    let form = [
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", &house.assertion(party)),
        ("token", token),
        ("token_type_hint", "refresh_token"),
    ];
    house.send(ask("POST", "/oauth/revoke").form(&form)).await
}

#[tokio::test]
async fn rev_04_token_of_someone_else_stays_and_the_answer_is_the_same() {
    let house = House::found().await;
    let server = house.resource(R1).await;
    let (owner, other) = (
        house.register("owner-bot").await,
        house.register("other-bot").await,
    );
    let token = house.token(&owner, R1).await;
    let mut answers = Vec::new();
    for nothing in [token.as_str(), "x", "a.b.c", &house.assertion(&owner)] {
        let answer = revoke(&house, &other, nothing).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("cache-control"), "no-store");
        answers.push(answer.bytes);
    }
    assert!(house.is_active(&server, &token).await);
    assert!(house.events_of("token.revoked").await.is_empty());
    // Its own client's request looks the same and works.
    answers.push(revoke(&house, &owner, &token).await.bytes);
    answers.dedup();
    assert_eq!(answers.len(), 1);
    assert!(!house.is_active(&server, &token).await);
    let recorded = house.last_event("token.revoked").await;
    assert_eq!(recorded["token"]["jti"], claims(&token)["jti"]);
    assert_eq!(recorded["actor"]["id"], owner.id);
    // Twice is not an error.
    assert_eq!(revoke(&house, &owner, &token).await.status, 200);
    assert_eq!(house.events_of("token.revoked").await.len(), 1);
}

#[tokio::test]
async fn administrator_revokes_with_a_receipt() {
    let house = House::found().await;
    let server = house.resource(R1).await;
    let agent = house.register("refund-bot").await;
    let (by_token, by_id) = (house.token(&agent, R1).await, house.token(&agent, R1).await);
    let jti = claims(&by_id)["jti"].clone();
    for bad in [
        json!({"reason": "leaked"}),
        json!({"token": by_token, "jti": jti, "reason": "leaked"}),
        json!({"token": by_token, "reason": ""}),
        json!({"token": "x", "reason": "leaked"}),
    ] {
        house
            .admin("POST", "/v1/tokens/revoke", bad)
            .await
            .refused(400, "invalid_request");
    }
    for body in [
        json!({"token": by_token, "reason": "leaked"}),
        json!({"jti": jti, "reason": "leaked"}),
    ] {
        let stopped = house
            .admin("POST", "/v1/tokens/revoke", body.clone())
            .await
            .ok();
        assert_eq!(stopped["status"], "revoked");
        crate::audit::verify_receipt(&house, &stopped["receipt"]).await;
        house
            .admin("POST", "/v1/tokens/revoke", body)
            .await
            .refused(409, "conflict");
    }
    assert!(!house.is_active(&server, &by_token).await);
    assert!(!house.is_active(&server, &by_id).await);
    // Another process sees it too.
    let other = house.beside(2).await;
    assert!(!other.is_active(&server, &by_token).await);
    // A token of its own afterwards is as good as ever.
    assert!(
        house
            .is_active(&server, &house.token(&agent, R1).await)
            .await
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rev_05_after_the_stop_is_answered_no_token_of_before_passes() {
    let house = House::found().await;
    let server = house.resource(R1).await;
    house.register("other-bot").await;
    let agent = house.register("refund-bot").await;
    for round in 0..20 {
        house.advance_unseen(Duration::from_millis(10));
        let token = house.token(&agent, R1).await;
        let racing = house.right_request(&agent, R1).await;
        let body = json!({"token": token, "reason": "leaked"});
        let (revoked, minted) = tokio::join!(
            house.admin("POST", "/v1/tokens/revoke", body),
            house.send(racing),
        );
        revoked.ok();
        assert!(!house.is_active(&server, &token).await, "round {round}");
        // A single token was revoked; what else was issued lives on, and nothing revives the first.
        let minted: Value = minted.ok();
        assert!(
            house
                .is_active(&server, minted["access_token"].as_str().expect("a token"))
                .await
        );
        assert!(!house.is_active(&server, &token).await, "round {round}");
    }
}
