//! Races: a stop beats issuing, and one use is one use.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::house::{House, token_form};

const R1: &str = "https://r1.example";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn race_04_no_token_of_before_the_stop_passes_once_it_is_answered() {
    let house = Arc::new(House::found().await);
    let server = house.resource(R1).await;
    let agent = Arc::new(house.register("refund-bot").await);
    for round in 0..15 {
        let racing: Vec<_> = (0..6)
            .map(|_| {
                let (house, agent) = (Arc::clone(&house), Arc::clone(&agent));
                tokio::spawn(async move {
                    let mut won = Vec::new();
                    for _ in 0..4 {
                        let answer = house.ask_token(&agent, R1).await;
                        if answer.status == 200 {
                            let token = answer.json()["access_token"]
                                .as_str()
                                .expect("a token")
                                .to_owned();
                            won.push(token);
                        } else {
                            answer.oauth_error(401, "invalid_client");
                        }
                    }
                    won
                })
            })
            .collect();
        // Time goes on under the race, as it would.
        house.advance_unseen(Duration::from_millis(3));
        tokio::task::yield_now().await;
        house.suspend("refund-bot").await.ok();
        // From here on nothing is issued, and nothing from before passes.
        house
            .ask_token(&agent, R1)
            .await
            .oauth_error(401, "invalid_client");
        house.advance_unseen(Duration::from_millis(3));
        let mut tokens = Vec::new();
        for racer in racing {
            tokens.extend(racer.await.expect("a task"));
        }
        for token in &tokens {
            assert!(!house.is_active(&server, token).await, "round {round}");
        }
        house.resume("refund-bot").await.ok();
        for token in &tokens {
            assert!(
                !house.is_active(&server, token).await,
                "round {round}, after the resume"
            );
        }
        house.advance_unseen(Duration::from_millis(3));
        let fresh = house.token(&agent, R1).await;
        assert!(house.is_active(&server, &fresh).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn race_05_of_fifty_uses_of_one_assertion_exactly_one_gets_a_token() {
    let house = Arc::new(House::found().await);
    let other = Arc::new(house.beside(2).await);
    house.resource(R1).await;
    let agent = house.register("refund-bot").await;
    other.catch_up_with(&house).await;
    for round in 0..10 {
        let assertion = house.assertion(&agent);
        let mut racing = Vec::new();
        for racer in 0..50 {
            let node = if racer % 2 == 0 { &house } else { &other };
            let nonce = node.nonce(&agent).await;
            let form = token_form(&[("client_assertion", &assertion), ("resource", R1)]);
            let ask = form.header("dpop", node.proof(&agent.key, &nonce));
            let node = Arc::clone(node);
            racing.push(tokio::spawn(async move { node.send(ask).await }));
        }
        let mut won = 0;
        for racer in racing {
            let answer = racer.await.expect("a task");
            if answer.status == 200 {
                won += 1;
            } else {
                answer.oauth_error(401, "invalid_client");
            }
        }
        assert_eq!(won, 1, "round {round}");
    }
    assert_eq!(house.events_of("token.issued").await.len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn idr_09_of_conflicting_transitions_one_wins() {
    let house = Arc::new(House::found().await);
    house.register("refund-bot").await;
    for _round in 0..10 {
        let racing: Vec<_> = (0..8)
            .map(|_| {
                let house = Arc::clone(&house);
                tokio::spawn(async move { house.suspend("refund-bot").await })
            })
            .collect();
        let mut won = 0;
        for racer in racing {
            let answer = racer.await.expect("a task");
            match answer.status.as_u16() {
                200 => won += 1,
                // Who lost every one of a few attempts is told to come again.
                409 | 412 | 503 => {}
                _ => panic!("{answer:?}"),
            }
        }
        assert_eq!(won, 1);
        house.resume("refund-bot").await.ok();
    }
    let kinds = house.events_of("agent.suspended").await;
    assert_eq!(kinds.len(), 10);
    assert!(
        kinds
            .iter()
            .all(|event| event["reason"] == json!("it looked odd"))
    );
}
