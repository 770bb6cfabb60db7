//! Possession: a bound token is worth nothing without a fresh proof by its key.

use std::time::Duration;

use chancery_model::event::EventKind;
use chancery_wire::dpop;
use http::StatusCode;
use serde_json::json;

use crate::upstream::{Speaks, Upstream};
use crate::world::{Answer, Ask, Bot, ISSUER, World, call_body, world};

fn ask(world: &World, token: &str, proofs: &[&str]) -> Ask {
    let ask = world
        .bare(&call_body("add", json!({"a": 1, "b": 2})))
        .header("authorization", &format!("DPoP {token}"));
    proofs
        .iter()
        .fold(ask, |ask, proof| ask.header("dpop", proof))
}

#[track_caller]
fn assert_refused(world: &World, answer: &Answer, error: &str, code: &str) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
    assert!(
        answer.challenge().contains(&format!("error=\"{error}\"")),
        "{answer:?}"
    );
    let events = world.events();
    assert_eq!(events.last().expect("an event").outcome, code);
}

/// The first step of every client is a challenge, and no event.
#[track_caller]
fn assert_challenged(world: &World, answer: &Answer) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
    assert!(
        answer.challenge().contains("error=\"use_dpop_nonce\""),
        "{answer:?}"
    );
    assert!(answer.headers.contains_key("dpop-nonce"), "{answer:?}");
    let outcomes = world.outcomes();
    let refused = |(kind, _): &(EventKind, String)| *kind == EventKind::CallRefused;
    assert!(!outcomes.iter().any(refused), "{outcomes:?}");
}

#[tokio::test]
async fn dpop_01_t3_a_bound_token_is_worthless_as_bearer() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    // Even where bearer tokens are taken: the token decides, not the scheme.
    let until = world.clock_now().after(Duration::from_secs(600));
    world.change_server("desk", |server| server.bearer_until = Some(until));
    let nonce = world.nonce().await;
    let token = world.token(&world.alice, "desk");
    let proof = world.proof(&world.alice, "desk", &token, Some(&nonce));
    let bearer = ask(&world, &token, &[]).without("authorization");
    let bearer = bearer.header("authorization", &format!("Bearer {token}"));
    assert_refused(
        &world,
        &world.send(bearer).await,
        "invalid_token",
        "bound_token_as_bearer",
    );
    let with_proof = ask(&world, &token, &[&proof]).without("authorization");
    let with_proof = with_proof.header("authorization", &format!("Bearer {token}"));
    assert_refused(
        &world,
        &world.send(with_proof).await,
        "invalid_token",
        "bound_token_as_bearer",
    );
    assert!(upstream.calls().is_empty());
    assert_eq!(
        world.send(ask(&world, &token, &[&proof])).await.status,
        StatusCode::OK
    );
}

#[tokio::test]
async fn dpop_02_a_proof_by_another_key_is_refused() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let nonce = world.nonce().await;
    let token = world.token(&world.alice, "desk");
    let stolen = world.proof(&world.bob, "desk", &token, Some(&nonce));
    let answer = world.send(ask(&world, &token, &[&stolen])).await;
    assert_refused(&world, &answer, "invalid_token", "jkt_mismatch");
    assert!(upstream.calls().is_empty());
}

#[tokio::test]
async fn dpop_03_a_proof_passes_once_also_in_parallel() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let nonce = world.nonce().await;
    let token = world.token(&world.alice, "desk");
    let proof = world.proof(&world.alice, "desk", &token, Some(&nonce));
    let asked: Vec<_> = (0..50)
        .map(|_| world.send(ask(&world, &token, &[&proof])))
        .collect();
    let answers = futures_util::future::join_all(asked).await;
    let passed = answers
        .iter()
        .filter(|answer| answer.status == StatusCode::OK)
        .count();
    assert_eq!(passed, 1);
    assert_eq!(upstream.calls().len(), 1);
    world.advance(Duration::from_secs(2));
    let again = world.send(ask(&world, &token, &[&proof])).await;
    assert_refused(&world, &again, "invalid_dpop_proof", "proof_replayed");
}

#[tokio::test]
async fn dpop_03_a_proof_for_an_earlier_process_is_refused() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let nonce = world.nonce().await;
    let token = world.token(&world.alice, "desk");
    let proof = world.proof(&world.alice, "desk", &token, Some(&nonce));
    assert_eq!(
        world.send(ask(&world, &token, &[&proof])).await.status,
        StatusCode::OK
    );
    let restarted = world.restarted();
    let replayed = restarted.send(ask(&restarted, &token, &[&proof])).await;
    assert_challenged(&restarted, &replayed);
}

/// Two gateways of one authority at a time: a proof carries the nonce of one of them, and only that one takes it.
#[tokio::test]
async fn dpop_03_of_two_gateways_only_the_one_that_gave_the_nonce_takes_a_proof() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let other = world.beside();
    let challenge = world.send_to(&other, world.bare(&json!({}))).await;
    let given = challenge.headers["dpop-nonce"].to_str().expect("text");
    let nonces = [world.nonce().await, given.to_owned()];
    for round in 0..20 {
        let giver = round % 2;
        let token = world.token(&world.alice, "desk");
        let proof = world.proof(&world.alice, "desk", &token, Some(&nonces[giver]));
        let asked = (0..50).map(|number| {
            let gateway = if number % 2 == 0 {
                &world.router
            } else {
                &other
            };
            world.send_to(gateway, ask(&world, &token, &[&proof]))
        });
        let answers = futures_util::future::join_all(asked).await;
        for (number, answer) in answers.iter().enumerate() {
            let is_ok = answer.status == StatusCode::OK;
            assert!(!is_ok || number % 2 == giver, "{answer:?}");
        }
        let passed = answers
            .iter()
            .filter(|answer| answer.status == StatusCode::OK)
            .count();
        assert_eq!(passed, 1, "round {round}");
        assert_eq!(upstream.calls().len(), round + 1);
    }
}

fn proof_for(
    world: &World,
    bot: &Bot,
    token: &str,
    nonce: &str,
    method: &str,
    url: &str,
) -> String {
    let jti = format!("jti-{:032}", world.next());
    let request = dpop::Request {
        method,
        ..world.proof_request(&jti, url, Some(nonce), token)
    };
    dpop::proof(&bot.key, &request)
}

#[tokio::test]
async fn dpop_04_t2_method_and_url_must_be_those_of_the_request() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let nonce = world.nonce().await;
    let token = world.token(&world.alice, "desk");
    let own = format!("{ISSUER}/mcp/desk");
    for url in [
        "https://evil.example/mcp/desk",
        "https://id.example/mcp/other",
        "https://id.example:8443/mcp/desk",
        "http://id.example/mcp/desk",
        "https://id.example/mcp%2Fdesk",
        "https://id.example/mcp/desk/",
        "https://user@id.example/mcp/desk",
    ] {
        world.advance(Duration::from_secs(1));
        let proof = proof_for(&world, &world.alice, &token, &nonce, "POST", url);
        // A header that names the other host changes nothing.
        let forged = ask(&world, &token, &[&proof]).header("x-forwarded-host", "evil.example");
        assert_refused(
            &world,
            &world.send(forged).await,
            "invalid_dpop_proof",
            "htu_mismatch",
        );
    }
    let get = proof_for(&world, &world.alice, &token, &nonce, "GET", &own);
    let answer = world.send(ask(&world, &token, &[&get])).await;
    assert_refused(&world, &answer, "invalid_dpop_proof", "htm_mismatch");
    assert!(upstream.calls().is_empty());
    for url in ["HTTPS://ID.EXAMPLE:443/mcp/desk", own.as_str()] {
        let proof = proof_for(&world, &world.alice, &token, &nonce, "POST", url);
        assert_eq!(
            world.send(ask(&world, &token, &[&proof])).await.status,
            StatusCode::OK,
            "{url}"
        );
    }
}

#[tokio::test]
async fn dpop_05_the_proof_names_the_token() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let nonce = world.nonce().await;
    let token = world.token(&world.alice, "desk");
    let another = world.token(&world.alice, "desk");
    assert_ne!(token, another);
    let jti = "jti-without-ath-0123456789";
    let url = format!("{ISSUER}/mcp/desk");
    let without = dpop::Request {
        access_token: None,
        ..world.proof_request(jti, &url, Some(&nonce), &token)
    };
    let without = dpop::proof(&world.alice.key, &without);
    let answer = world.send(ask(&world, &token, &[&without])).await;
    assert_refused(&world, &answer, "invalid_dpop_proof", "proof_claim_missing");
    let of_another = world.proof(&world.alice, "desk", &another, Some(&nonce));
    let answer = world.send(ask(&world, &token, &[&of_another])).await;
    assert_refused(&world, &answer, "invalid_dpop_proof", "ath_mismatch");
    assert!(upstream.calls().is_empty());
}

#[tokio::test]
async fn dpop_06_every_proof_carries_a_nonce_of_ours_that_is_fresh() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let token = world.token(&world.alice, "desk");
    let without = world.proof(&world.alice, "desk", &token, None);
    let answer = world.send(ask(&world, &token, &[&without])).await;
    assert_challenged(&world, &answer);
    let given = answer.headers["dpop-nonce"]
        .to_str()
        .expect("text")
        .to_owned();
    let foreign = world.proof(
        &world.alice,
        "desk",
        &token,
        Some("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
    );
    let answer = world.send(ask(&world, &token, &[&foreign])).await;
    assert_challenged(&world, &answer);
    assert!(upstream.calls().is_empty());

    let proof = world.proof(&world.alice, "desk", &token, Some(&given));
    let answer = world.send(ask(&world, &token, &[&proof])).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.headers.get("dpop-nonce").is_none());

    // A nonce that grows old is replaced with the answer, before it would be refused.
    world.advance(Duration::from_secs(200));
    let proof = world.proof(&world.alice, "desk", &token, Some(&given));
    let answer = world.send(ask(&world, &token, &[&proof])).await;
    assert_eq!(answer.status, StatusCode::OK);
    let next = answer.headers["dpop-nonce"]
        .to_str()
        .expect("text")
        .to_owned();
    world.advance(Duration::from_secs(150));
    let token = world.token(&world.alice, "desk");
    let old = world.proof(&world.alice, "desk", &token, Some(&given));
    let answer = world.send(ask(&world, &token, &[&old])).await;
    assert_challenged(&world, &answer);
    let fresh = world.proof(&world.alice, "desk", &token, Some(&next));
    assert_eq!(
        world.send(ask(&world, &token, &[&fresh])).await.status,
        StatusCode::OK
    );

    // A refusal renews it as well as a result does.
    world.advance(Duration::from_secs(140));
    let proof = world.proof(&world.alice, "desk", &token, Some(&next));
    let mut denied = ask(&world, &token, &[&proof]);
    denied.body = call_body("gone", json!({})).to_string();
    let answer = world.send(denied).await;
    assert_eq!(answer.json()["error"]["code"], -32010, "{answer:?}");
    assert!(answer.headers.contains_key("dpop-nonce"), "{answer:?}");
}

#[tokio::test]
async fn there_is_exactly_one_proof_and_it_is_of_now() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let nonce = world.nonce().await;
    let token = world.token(&world.alice, "desk");
    let answer = world.send(ask(&world, &token, &[])).await;
    assert_refused(&world, &answer, "invalid_dpop_proof", "proof_missing");
    let (one, two) = (
        world.proof(&world.alice, "desk", &token, Some(&nonce)),
        world.proof(&world.alice, "desk", &token, Some(&nonce)),
    );
    let answer = world.send(ask(&world, &token, &[&one, &two])).await;
    assert_refused(&world, &answer, "invalid_dpop_proof", "proof_twice");
    world.advance(Duration::from_secs(61));
    let answer = world.send(ask(&world, &token, &[&one])).await;
    assert_refused(&world, &answer, "invalid_dpop_proof", "proof_expired");
    assert!(upstream.calls().is_empty());
}
