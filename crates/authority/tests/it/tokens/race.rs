//! Races: a stop beats issuing, and one use is one use.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::house::{House, Party, token_form};
use crate::request::{Answer, ask};

const R1: &str = "https://r1.example";
/// Rounds of fifty over HTTP; the store below runs two hundred of them.
const ROUNDS: usize = 40;
/// How long a replaced key verifies where keys are replaced again and again.
const OVERLAP: Duration = Duration::from_secs(2);

/// Asks for a token; the token when one was given, and nothing when the agent is stopped.
async fn try_for_token(house: Arc<House>, agent: Arc<Party>) -> Option<String> {
    let answer = house.ask_token(&agent, R1).await;
    if answer.status == 200 {
        return Some(token_of(&answer));
    }
    answer.oauth_error(401, "invalid_client");
    None
}

fn token_of(answer: &Answer) -> String {
    let answer = answer.ok();
    answer["access_token"].as_str().expect("a token").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn race_04_no_token_of_before_the_stop_passes_once_it_is_answered() {
    let house = Arc::new(House::found().await);
    let server = house.resource(R1).await;
    let questions = house.questions(&server).await;
    let agent = Arc::new(house.register("refund-bot").await);
    house.nonce(&agent).await;
    let mut issued = 0;
    for round in 0..200_u64 {
        let racing: Vec<_> = (0..12)
            .map(|_| tokio::spawn(try_for_token(Arc::clone(&house), Arc::clone(&agent))))
            .collect();
        // Time goes on, as it would; the stop comes at the beginning, in the middle or towards the end of it.
        house.advance_unseen(Duration::from_millis(3));
        for _ in 0..round % 12 {
            tokio::task::yield_now().await;
        }
        house.suspend("refund-bot").await.ok();
        // From here on nothing is issued, and nothing from before passes.
        let late = try_for_token(Arc::clone(&house), Arc::clone(&agent)).await;
        assert_eq!(late, None, "round {round}");
        let mut tokens = Vec::new();
        for racer in racing {
            tokens.extend(racer.await.expect("a task"));
        }
        issued += tokens.len();
        let none_passes = async |when: &str| {
            for token in &tokens {
                let passes = house.is_told_active(&questions, token).await;
                assert!(!passes, "round {round}, {when}");
            }
        };
        none_passes("after the stop").await;
        house.resume("refund-bot").await.ok();
        none_passes("after the resume").await;
        let fresh = house.token(&agent, R1).await;
        assert!(house.is_told_active(&questions, &fresh).await);
    }
    assert!(issued > 0, "nothing was issued before any stop");
}

/// The same at three processes: who did not stop it follows within five seconds, and the one that did at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn race_04_stop_at_one_of_three_processes_holds_at_all() {
    let house = Arc::new(House::found().await);
    let server = house.resource(R1).await;
    let agent = Arc::new(house.register("refund-bot").await);
    let others = [
        Arc::new(house.beside(2).await),
        Arc::new(house.beside(3).await),
    ];
    let questions = house.questions(&server).await;
    for round in 0..5 {
        for other in &others {
            other.catch_up_with(&house).await;
        }
        let racing: Vec<_> = (0..51)
            .map(|racer| {
                let node = others.get(racer % 3).unwrap_or(&house);
                tokio::spawn(try_for_token(Arc::clone(node), Arc::clone(&agent)))
            })
            .collect();
        house.advance_unseen(Duration::from_millis(3));
        tokio::task::yield_now().await;
        house.suspend("refund-bot").await.ok();
        let stopped = tokio::time::Instant::now();
        let mut tokens = Vec::new();
        for racer in racing {
            tokens.extend(racer.await.expect("a task"));
        }
        for token in &tokens {
            assert!(!house.is_told_active(&questions, token).await);
        }
        for other in &others {
            other.catch_up_with(&house).await;
            assert!(stopped.elapsed() < Duration::from_secs(5));
            let late = try_for_token(Arc::clone(other), Arc::clone(&agent)).await;
            assert_eq!(late, None, "round {round}");
        }
        house.resume("refund-bot").await.ok();
        for other in &others {
            other.catch_up_with(&house).await;
            for token in &tokens {
                assert!(!other.is_told_active(&questions, token).await);
            }
            let fresh = other.token(&agent, R1).await;
            assert!(other.is_told_active(&questions, &fresh).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rev_03_revocation_among_many_who_ask_is_for_good() {
    let house = Arc::new(House::found().await);
    let server = house.resource(R1).await;
    let questions: Arc<str> = house.questions(&server).await.into();
    let agent = house.register("refund-bot").await;
    for round in 0..200_u64 {
        let token: Arc<str> = house.token(&agent, R1).await.into();
        let neighbour = house.token(&agent, R1).await;
        let answered = Arc::new(AtomicBool::new(false));
        let asking: Vec<_> = (0..6)
            .map(|_| {
                let (house, token) = (Arc::clone(&house), Arc::clone(&token));
                let (questions, answered) = (Arc::clone(&questions), Arc::clone(&answered));
                tokio::spawn(async move {
                    let mut was_inactive = false;
                    for asked in 0..40 {
                        let must_be_inactive = was_inactive || answered.load(Ordering::SeqCst);
                        let is_active = house.is_told_active(&questions, &token).await;
                        assert!(!(is_active && must_be_inactive), "round {round}");
                        was_inactive = !is_active;
                        if must_be_inactive && asked > 4 {
                            return;
                        }
                        tokio::task::yield_now().await;
                    }
                })
            })
            .collect();
        for _ in 0..round % 20 {
            tokio::task::yield_now().await;
        }
        let body = json!({"token": &*token, "reason": "leaked"});
        house.admin("POST", "/v1/tokens/revoke", body).await.ok();
        answered.store(true, Ordering::SeqCst);
        for asker in asking {
            asker.await.expect("a task");
        }
        assert!(!house.is_told_active(&questions, &token).await);
        assert!(house.is_told_active(&questions, &neighbour).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn jwks_04_rotation_among_many_who_issue_and_ask_is_no_outage() {
    let house = Arc::new(House::found_with(|config| config.key_overlap = OVERLAP).await);
    let server = house.resource(R1).await;
    let agent = Arc::new(house.register("refund-bot").await);
    house.nonce(&agent).await;
    for round in 0..200 {
        let questions: Arc<str> = house.questions(&server).await.into();
        let racing: Vec<_> = (0..4)
            .map(|_| {
                let (house, agent) = (Arc::clone(&house), Arc::clone(&agent));
                let questions = Arc::clone(&questions);
                tokio::spawn(async move {
                    for _ in 0..3 {
                        let token = token_of(&house.ask_token(&agent, R1).await);
                        let is_active = house.is_told_active(&questions, &token).await;
                        assert!(is_active, "round {round}: a token that nobody knows");
                    }
                })
            })
            .collect();
        let body = json!({"purpose": "access_token"});
        house.admin("POST", "/v1/keys/rotate", body).await.ok();
        for racer in racing {
            racer.await.expect("a task");
        }
        // The keys of rounds long ago end, so that there are never many.
        house.advance_unseen(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn jwks_04_key_withdrawn_among_many_who_issue_verifies_nothing_from_the_answer_on() {
    let house = Arc::new(House::found().await);
    let server = house.resource(R1).await;
    let agent = Arc::new(house.register("refund-bot").await);
    house.nonce(&agent).await;
    for round in 0..60 {
        let before = house.token(&agent, R1).await;
        let racing: Vec<_> = (0..8)
            .map(|_| tokio::spawn(try_for_token(Arc::clone(&house), Arc::clone(&agent))))
            .collect();
        let body = json!({"purpose": "access_token", "withdraw": true});
        let made = house.admin("POST", "/v1/keys/rotate", body).await.ok();
        let questions = house.questions(&server).await;
        let passes = house.is_told_active(&questions, &before).await;
        assert!(!passes, "round {round}");
        for racer in racing {
            let token = racer.await.expect("a task").expect("a token");
            let by_new_key = key_of(&token) == made["kid"];
            let is_active = house.is_told_active(&questions, &token).await;
            assert_eq!(is_active, by_new_key, "round {round}");
        }
        let published = house.send(ask("GET", "/oauth/jwks")).await.ok();
        assert_eq!(published["keys"].as_array().map(Vec::len), Some(2));
    }
}

/// The name of the key that signed a token.
fn key_of(token: &str) -> Value {
    let header = token.split('.').next().expect("a header");
    let header = chancery_wire::base64url::decode(header).expect("base64url");
    serde_json::from_slice::<Value>(&header).expect("JSON")["kid"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn race_05_of_fifty_uses_of_one_assertion_exactly_one_gets_a_token() {
    let house = Arc::new(House::found().await);
    let other = Arc::new(house.beside(2).await);
    house.resource(R1).await;
    let agent = house.register("refund-bot").await;
    other.catch_up_with(&house).await;
    for round in 0..ROUNDS {
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
    assert_eq!(house.events_of("token.issued").await.len(), ROUNDS);
}

/// A proof is spent as an assertion is, whatever assertion it comes with.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn race_05_dpop_03_of_fifty_uses_of_one_proof_exactly_one_gets_a_token() {
    let house = Arc::new(House::found().await);
    let other = Arc::new(house.beside(2).await);
    house.resource(R1).await;
    let agent = house.register("refund-bot").await;
    other.catch_up_with(&house).await;
    let nonce = house.nonce(&agent).await;
    for round in 0..ROUNDS {
        let proof = house.proof(&agent.key, &nonce);
        let racing: Vec<_> = (0..50)
            .map(|racer| {
                let node = if racer % 5 == 4 { &other } else { &house };
                let ask = node.token_request(&agent, R1, &proof);
                let node = Arc::clone(node);
                tokio::spawn(async move { node.send(ask).await })
            })
            .collect();
        let mut won = 0;
        for racer in racing {
            let answer = racer.await.expect("a task");
            assert!([200, 400, 401].contains(&answer.status.as_u16()));
            won += usize::from(answer.status == 200);
        }
        assert_eq!(won, 1, "round {round}");
    }
    assert_eq!(house.events_of("token.issued").await.len(), ROUNDS);
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
