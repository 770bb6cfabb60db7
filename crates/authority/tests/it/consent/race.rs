//! Races: one code is one use, and a grant that was taken back is taken back.

use std::sync::Arc;

use serde_json::json;

use super::flow::{Flow, field, furnished};
use crate::request::Answer;

/// Fifty who have the same code: one of them gets tokens at most, and since it came more than once nothing that came of
/// it is in force afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn race_01_of_fifty_redemptions_of_one_code_one_is_recorded_and_nothing_stays_in_force() {
    let flow = Arc::new(furnished().await);
    for round in 1..=6 {
        let code = flow.code().await;
        let mut asks = Vec::new();
        for _ in 0..50 {
            asks.push(
                flow.ask_with(&flow.agent, &flow.agent, &Flow::redemption(&code))
                    .await,
            );
        }
        let racing: Vec<_> = asks
            .into_iter()
            .map(|ask| {
                let flow = Arc::clone(&flow);
                tokio::spawn(async move { flow.house.send(ask).await })
            })
            .collect();
        let mut won: Vec<Answer> = Vec::new();
        for racer in racing {
            let answer = racer.await.expect("a task");
            match answer.status.as_u16() {
                200 => won.push(answer),
                _ => answer.oauth_error(400, "invalid_grant"),
            }
        }
        assert!(won.len() <= 1, "round {round}: {} won", won.len());
        let issued = flow.house.events_of("token.issued").await;
        assert_eq!(issued.len(), round, "one token was made");
        for answer in &won {
            let answer = answer.ok();
            assert!(
                !flow
                    .is_active(answer["access_token"].as_str().expect("a token"))
                    .await
            );
            let refresh = answer["refresh_token"].as_str().expect("a token");
            flow.renew(refresh).await.oauth_error(400, "invalid_grant");
        }
        let grants = flow.grants().await;
        assert!(
            grants.iter().all(|grant| grant["status"] == "revoked"),
            "{grants:?}"
        );
    }
}

/// A refresh token is one family whoever asks at the same time, and keeps its one end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn race_02_refreshes_at_the_same_time_are_of_one_grant() {
    let flow = Arc::new(furnished().await);
    let (_, refresh) = flow.tokens().await;
    let mut racing = Vec::new();
    for _ in 0..50 {
        let (flow, refresh) = (Arc::clone(&flow), refresh.clone());
        racing.push(tokio::spawn(async move { flow.renew(&refresh).await.ok() }));
    }
    let mut tokens = Vec::new();
    for racer in racing {
        let answer = racer.await.expect("a task");
        assert_eq!(answer.get("refresh_token"), None);
        tokens.push(answer["access_token"].as_str().expect("a token").to_owned());
    }
    assert_eq!(flow.grants().await.len(), 1);
    let grant = flow.grants().await[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let path = format!("/v1/grants/{grant}/revoke");
    flow.house
        .as_login(&flow.login, "POST", &path, json!({"reason": "enough"}))
        .await
        .ok();
    for token in &tokens {
        assert!(!flow.is_active(token).await);
    }
}

/// Once the grant is taken back nothing of it is issued and nothing passes, not even what was made at that moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rev_05_nothing_of_a_grant_passes_once_its_end_is_answered() {
    let flow = Arc::new(furnished().await);
    for round in 0..30_u64 {
        let (_, refresh) = flow.tokens().await;
        let grants = flow.grants().await;
        let grant = grants
            .iter()
            .find(|grant| grant["status"] == "in_force")
            .expect("a grant");
        let path = format!("/v1/grants/{}/revoke", grant["id"].as_str().expect("an id"));
        let mut racing = Vec::new();
        for _ in 0..8 {
            let (flow, refresh) = (Arc::clone(&flow), refresh.clone());
            racing.push(tokio::spawn(async move { flow.renew(&refresh).await }));
        }
        for _ in 0..round % 8 {
            tokio::task::yield_now().await;
        }
        flow.house
            .as_login(&flow.login, "POST", &path, json!({"reason": "enough"}))
            .await
            .ok();
        flow.renew(&refresh).await.oauth_error(400, "invalid_grant");
        for racer in racing {
            let answer = racer.await.expect("a task");
            if answer.status.as_u16() == 200 {
                let answer = answer.ok();
                let token = answer["access_token"].as_str().expect("a token");
                assert!(!flow.is_active(token).await, "round {round}");
            } else {
                answer.oauth_error(400, "invalid_grant");
            }
        }
    }
}

/// Yes and no at the same time: one of them counts, and the record says which.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn race_03_yes_and_no_at_the_same_time_are_one_answer() {
    let flow = Arc::new(furnished().await);
    for _ in 0..10 {
        let before = flow.grants().await.len();
        let uri = flow.pushed(|_| ()).await;
        let form = field(&flow.open(&uri).await, "form");
        let mut racing = Vec::new();
        for number in 0..10 {
            let (flow, uri, form) = (Arc::clone(&flow), uri.clone(), form.clone());
            let answer = if number % 2 == 0 { "approve" } else { "deny" };
            racing.push(tokio::spawn(async move {
                flow.decide(&flow.login, &uri, &form, answer).await
            }));
        }
        let (mut codes, mut denials) = (std::collections::HashSet::new(), 0);
        for racer in racing {
            let answer = racer.await.expect("a task");
            if answer.status.as_u16() != 303 {
                assert_eq!(answer.status.as_u16(), 409, "{answer:?}");
                continue;
            }
            match super::flow::landed(&answer).remove("code") {
                Some(code) => drop(codes.insert(code)),
                None => denials += 1,
            }
        }
        let given = flow.grants().await.len() - before;
        assert_eq!(
            (codes.len(), given, denials),
            if given == 1 { (1, 1, 0) } else { (0, 0, 1) }
        );
    }
}
