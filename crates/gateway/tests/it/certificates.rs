//! Tokens that are bound to a certificate (RFC 8705): worth nothing over any other connection.

use chancery_model::event::EventKind;
use chancery_wire::access_token::Cnf;
use chancery_wire::certificate::PeerCertificate;
use http::StatusCode;
use serde_json::json;

use crate::upstream::{Speaks, Upstream};
use crate::world::{Answer, Ask, World, call_body, modern, world};

fn connection(name: &str) -> PeerCertificate {
    // The gateway compares what the handshake saw, and reads nothing of it.
    PeerCertificate::of_handshake([name.as_bytes().to_vec()]).expect("a certificate")
}

/// A token of alice's bot, bound to this.
fn bound(world: &World, cnf: Option<Cnf>) -> String {
    let mut claims = world.claims(&world.alice, "desk");
    claims.cnf = cnf;
    world.sign(&claims)
}

fn call(world: &World, scheme: &str, token: &str) -> Ask {
    let body = call_body("add", json!({"a": 1, "b": 2}));
    let credential = format!("{scheme} {token}");
    world.bare(&body).header("authorization", &credential)
}

#[track_caller]
fn assert_refused(world: &World, answer: &Answer, code: &str) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
    let is_told = answer.challenge().contains("error=\"invalid_token\"");
    assert!(is_told, "{answer:?}");
    let events = world.events();
    let last = events.last().expect("an event");
    let told = (last.kind, last.outcome.as_str());
    assert_eq!(told, (EventKind::CallRefused, code));
}

#[tokio::test]
async fn x509_01_bound_token_opens_nothing_over_another_connection() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let (own, other) = (connection("own"), connection("other"));
    let token = bound(&world, Cnf::of(None, Some(own.thumbprint())));
    // Also where tokens are taken that are bound to nothing: the token decides.
    for takes_bearer in [false, true] {
        let until = world.clock_now().after(std::time::Duration::from_secs(600));
        let until = takes_bearer.then_some(until);
        world.change_server("desk", |server| server.bearer_until = until);
        let bare = world.send(call(&world, "Bearer", &token)).await;
        assert_refused(&world, &bare, "certificate_missing");
        let over_other = call(&world, "Bearer", &token).over(&other);
        let refused = world.send(over_other).await;
        assert_refused(&world, &refused, "certificate_mismatch");
        let named = call(&world, "Bearer", &token)
            .header("x-forwarded-client-cert", own.thumbprint())
            .header("client-cert", ":b3du:");
        assert_refused(&world, &world.send(named).await, "certificate_missing");
        let as_dpop = call(&world, "DPoP", &token).over(&own);
        let refused = world.send(as_dpop).await;
        assert_refused(&world, &refused, "unbound_token_with_proof");
        let list = modern(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}));
        let credential = format!("Bearer {token}");
        let list = world.bare(&list).header("authorization", &credential);
        let refused = world.send(list.over(&other)).await;
        assert_refused(&world, &refused, "certificate_mismatch");
    }
    assert!(upstream.calls().is_empty());
    // Over its own connection, as the bearer token that it is, without any exception.
    world.change_server("desk", |server| server.bearer_until = None);
    let right = call(&world, "Bearer", &token).over(&own);
    let answer = world.send(right).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let permitted = world.recorded(EventKind::CallPermitted).await;
    let token = permitted.token.expect("a token");
    assert_eq!(token.x5t.as_deref(), Some(own.thumbprint()));
    assert_eq!(token.jkt, None);
}

#[tokio::test]
async fn x509_01_token_that_is_bound_to_a_key_and_a_certificate_is_held_to_both() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let (own, other) = (connection("own"), connection("other"));
    let jkt = world.alice.key.public().thumbprint();
    let token = bound(&world, Cnf::of(Some(jkt), Some(own.thumbprint())));
    let body = call_body("add", json!({"a": 1, "b": 2}));
    let proved = async || {
        let asking = world.with_token(&world.alice, "desk", &token, &body);
        asking.await
    };
    let without_proof = call(&world, "Bearer", &token).over(&own);
    let refused = world.send(without_proof).await;
    assert_refused(&world, &refused, "bound_token_as_bearer");
    assert_refused(
        &world,
        &world.send(proved().await).await,
        "certificate_missing",
    );
    let over_other = proved().await.over(&other);
    assert_refused(
        &world,
        &world.send(over_other).await,
        "certificate_mismatch",
    );
    assert!(upstream.calls().is_empty());
    let right = proved().await.over(&own);
    assert_eq!(world.send(right).await.status, StatusCode::OK);
    // A token that is bound to a key alone does not care about the connection.
    let token = world.token(&world.alice, "desk");
    let asking = world.with_token(&world.alice, "desk", &token, &body);
    let answer = world.send(asking.await.over(&other)).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
}
