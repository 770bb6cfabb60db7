//! Who may call: tokens, their audience, their end, and what every stranger gets.

use std::sync::Arc;
use std::time::Duration;

use chancery_model::agent::AgentState;
use chancery_model::event::{ActorKind, EventKind};
use chancery_model::reason::Reason;
use chancery_wire::access_token;
use chancery_wire::jwk::{Algorithm, PrivateKey};
use chancery_wire::jws;
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::upstream::{Speaks, Upstream};
use crate::world::{Answer, World, call_body, modern, world};

/// The refusal of a call with these credentials; nothing may reach the server.
#[track_caller]
fn assert_refused(world: &World, upstream: &Upstream, answer: &Answer, code: &str) {
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{answer:?}");
    assert!(answer.challenge().starts_with("DPoP "), "{answer:?}");
    let metadata =
        "resource_metadata=\"https://id.example/.well-known/oauth-protected-resource/mcp/desk\"";
    assert!(answer.challenge().contains(metadata), "{answer:?}");
    assert!(upstream.calls().is_empty());
    let events = world.events();
    let last = events.last().expect("an event");
    assert_eq!(
        (last.kind, last.outcome.as_str()),
        (EventKind::CallRefused, code)
    );
    assert_eq!(last.actor.kind, ActorKind::Unknown);
}

async fn legitimate_call_succeeds(world: &World) {
    let answer = world.call("add", json!({"a": 1, "b": 2})).await;
    assert_eq!(
        answer.json()["result"]["structuredContent"]["result"],
        3,
        "{answer:?}"
    );
}

#[tokio::test]
async fn mcp_02_fabricated_credentials_are_refused_for_every_method() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let methods = [
        "initialize",
        "server/discover",
        "tools/list",
        "tools/call",
        "ping",
        "nothing",
    ];
    for method in methods {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"name": "add", "arguments": {}}});
        world.advance(Duration::from_secs(2));
        let answer = world.send(world.bare(&body)).await;
        assert_refused(&world, &upstream, &answer, "no_credentials");
        assert!(!answer.challenge().contains("error="), "{answer:?}");
        let credentials = [
            ("Bearer sk-random", "malformed"),
            ("", "credentials_malformed"),
            ("Bearer ", "credentials_malformed"),
            ("Bearer  x", "credentials_malformed"),
            ("Negotiate abc", "credentials_malformed"),
            ("Basic YTpi", "credentials_malformed"),
            ("DPoP a.b.c", "malformed"),
        ];
        for (value, code) in credentials {
            let answer = world
                .send(world.bare(&body).header("authorization", value))
                .await;
            assert_refused(&world, &upstream, &answer, code);
            assert!(!answer.text.contains("sk-random"));
        }
    }
    let nonce = world.nonce().await;
    let token = world.token(&world.alice, "desk");
    let proof = world.proof(&world.alice, "desk", &token, Some(&nonce));
    let credential = format!("DPoP {token}");
    let twice = world
        .bare(&call_body("add", json!({"a": 1, "b": 2})))
        .header("authorization", &credential)
        .header("authorization", &credential)
        .header("dpop", &proof);
    let answer = world.send(twice).await;
    assert_refused(&world, &upstream, &answer, "credentials_malformed");
    legitimate_call_succeeds(&world).await;
}

#[tokio::test]
async fn t13_a_token_for_another_server_is_refused() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let body = call_body("add", json!({"a": 1, "b": 2}));
    // Known from its own server first: what is remembered must not open another one.
    let other = world
        .send(world.with(&world.alice, "other", &body).await)
        .await;
    assert_eq!(
        other.json()["result"]["structuredContent"]["result"],
        3,
        "{other:?}"
    );
    let nonce = world.nonce().await;
    let token = world.token(&world.alice, "other");
    let used = world.proof(&world.alice, "other", &token, Some(&nonce));
    let mut ask = world
        .bare(&body)
        .header("authorization", &format!("DPoP {token}"))
        .header("dpop", &used);
    ask.server = "other";
    assert_eq!(world.send(ask).await.status, StatusCode::OK);
    let before = upstream.calls().len();
    let proof = world.proof(&world.alice, "desk", &token, Some(&nonce));
    let ask = world
        .bare(&body)
        .header("authorization", &format!("DPoP {token}"))
        .header("dpop", &proof);
    let answer = world.send(ask).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert!(
        answer.challenge().contains("error=\"invalid_token\""),
        "{answer:?}"
    );
    assert_eq!(upstream.calls().len(), before);
}

#[tokio::test]
async fn jwt_tokens_that_are_not_ours_are_refused() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let good = world.claims(&world.alice, "desk");
    let text = world.sign(&good);
    let payload = text.split('.').nth(1).expect("a payload");
    let stranger = PrivateKey::generate(Algorithm::Es256).expect("a key");
    let claims_text = serde_json::to_vec(&good).expect("claims");
    let mut tokens = vec![
        // JWT-01
        (
            format!("eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.{payload}.AAAA"),
            "alg_not_allowed",
        ),
        // JWT-04
        (access_token::sign(&good, &stranger), "unknown_key"),
        // JWT-08
        (
            format!(
                "{}.{}",
                text.rsplit_once('.').expect("parts").0,
                "A".repeat(86)
            ),
            "bad_signature",
        ),
        // JWT-13
        (
            jws::sign(&world.signing, "JWT", &claims_text),
            "typ_mismatch",
        ),
        (
            jws::sign(&world.signing, "dpop+jwt", &claims_text),
            "typ_mismatch",
        ),
    ];
    for audience in [
        "https://id.example/mcp/desk/",
        "HTTPS://ID.EXAMPLE/mcp/desk",
        "https://id.example",
        "https://id.example/mcp/desk2",
    ] {
        // JWT-17
        let claims = access_token::Claims {
            aud: audience.to_owned(),
            ..good.clone()
        };
        tokens.push((world.sign(&claims), "wrong_audience"));
    }
    // JWT-19
    let claims = access_token::Claims {
        iss: "https://id.example/".to_owned(),
        ..good.clone()
    };
    tokens.push((world.sign(&claims), "wrong_issuer"));
    let claims = access_token::Claims {
        exp: good.iat - 10,
        ..good.clone()
    };
    tokens.push((world.sign(&claims), "expired"));
    let nonce = world.nonce().await;
    for (token, code) in tokens {
        world.advance(Duration::from_secs(1));
        let proof = world.proof(&world.alice, "desk", &token, Some(&nonce));
        let ask = world
            .bare(&call_body("add", json!({"a": 1, "b": 2})))
            .header("authorization", &format!("DPoP {token}"))
            .header("dpop", &proof);
        let answer = world.send(ask).await;
        assert_refused(&world, &upstream, &answer, code);
        assert!(!answer.text.contains(&token));
    }
    legitimate_call_succeeds(&world).await;
}

#[tokio::test]
async fn jwt_15_a_huge_credential_is_refused_before_it_is_parsed() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let huge = format!("Bearer {}", "a.".repeat(60_000));
    let ask = world
        .bare(&call_body("add", json!({})))
        .header("authorization", &huge);
    assert_refused(&world, &upstream, &world.send(ask).await, "too_large");
}

#[tokio::test]
async fn a_remembered_token_ends_with_its_time_its_key_its_revocation_and_its_agent() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let nonce = world.nonce().await;
    let claims = world.claims(&world.alice, "desk");
    let token = world.sign(&claims);
    let call = async || {
        let proof = world.proof(&world.alice, "desk", &token, Some(&nonce));
        let ask = world
            .bare(&call_body("add", json!({"a": 1, "b": 2})))
            .header("authorization", &format!("DPoP {token}"))
            .header("dpop", &proof);
        let answer = world.send(ask).await;
        let last = world
            .events()
            .into_iter()
            .rev()
            .find(|event| event.kind != EventKind::CallCompleted);
        (answer.status, last.expect("an event").outcome)
    };
    let passes = (StatusCode::OK, "ok".to_owned());
    let refused = |code: &str| (StatusCode::UNAUTHORIZED, code.to_owned());
    assert_eq!(call().await, passes);

    world.change(|snapshot| {
        Arc::make_mut(&mut snapshot.revoked).insert(claims.jti);
    });
    assert_eq!(call().await, refused("revoked"));
    world.change(|snapshot| {
        Arc::make_mut(&mut snapshot.revoked).remove(&claims.jti);
    });
    assert_eq!(call().await, passes);

    let key = world.current.load().token_keys.clone();
    world.change(|snapshot| snapshot.token_keys.clear());
    assert_eq!(call().await, refused("unknown_key"));
    world.change(|snapshot| snapshot.token_keys = key);
    assert_eq!(call().await, passes);

    let reason = Reason::parse("test").expect("a reason");
    let at = world.clock_now();
    world.change_agent(world.alice.id, |known| {
        known.agent.state = AgentState::Suspended { at, reason }
    });
    assert_eq!(call().await, refused("principal_inactive"));
    world.change_agent(world.alice.id, |known| known.owner_is_live = false);
    assert_eq!(call().await, refused("principal_inactive"));
    world.change_agent(world.alice.id, |known| known.not_before = at);
    assert_eq!(call().await, refused("stopped"));
    world.change_agent(world.alice.id, |known| {
        known.agent.version = Some((2, chancery_model::digest::Digest::from_bytes([6; 32])));
    });
    assert_eq!(call().await, refused("version_superseded"));
    world.change(|snapshot| drop(snapshot.agents.remove(&world.alice.id)));
    assert_eq!(call().await, refused("principal_inactive"));
    world.change_agent_back();
    assert_eq!(call().await, passes);

    world.advance(Duration::from_secs(299));
    world.forget_nonce();
    let nonce = world.nonce().await;
    let last = world.proof(&world.alice, "desk", &token, Some(&nonce));
    let ask = |proof: &str| {
        world
            .bare(&call_body("add", json!({"a": 1, "b": 2})))
            .header("authorization", &format!("DPoP {token}"))
            .header("dpop", proof)
    };
    assert_eq!(world.send(ask(&last)).await.status, StatusCode::OK);
    world.advance(Duration::from_secs(1));
    let late = world.proof(&world.alice, "desk", &token, Some(&nonce));
    let answer = world.send(ask(&late)).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
    assert_eq!(world.events().last().expect("an event").outcome, "expired");
}

#[tokio::test]
async fn unbound_tokens_pass_only_by_an_exception_that_ends() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let claims = access_token::Claims {
        cnf: None,
        ..world.claims(&world.alice, "desk")
    };
    let token = world.sign(&claims);
    let ask = || {
        world
            .bare(&call_body("add", json!({"a": 1, "b": 2})))
            .header("authorization", &format!("Bearer {token}"))
    };
    assert_refused(
        &world,
        &upstream,
        &world.send(ask()).await,
        "bearer_not_allowed",
    );
    let until = world.clock_now().after(Duration::from_secs(60));
    world.change_server("desk", |server| server.bearer_until = Some(until));
    let answer = world.send(ask()).await;
    assert_eq!(
        answer.json()["result"]["structuredContent"]["result"],
        3,
        "{answer:?}"
    );
    let stranger = world.send(world.bare(&call_body("add", json!({})))).await;
    let schemes: Vec<_> = stranger
        .headers
        .get_all("www-authenticate")
        .iter()
        .collect();
    assert_eq!(schemes.len(), 2, "{stranger:?}");
    world.advance(Duration::from_secs(60));
    assert_eq!(world.send(ask()).await.status, StatusCode::UNAUTHORIZED);
    let proof = world.proof(&world.alice, "desk", &token, None);
    let ask = ask()
        .without("authorization")
        .header("authorization", &format!("DPoP {token}"));
    assert_eq!(
        world.send(ask.header("dpop", &proof)).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn mcp_07_other_sites_and_other_hosts_get_nothing() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let body = call_body("add", json!({"a": 1, "b": 2}));
    let changes = [
        ("origin", "https://evil.example", StatusCode::FORBIDDEN),
        ("origin", "null", StatusCode::FORBIDDEN),
        ("host", "evil.example", StatusCode::FORBIDDEN),
        (
            "content-type",
            "text/plain",
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
    ];
    for (name, value, status) in changes {
        let ask = world
            .with(&world.alice, "desk", &body)
            .await
            .without(name)
            .header(name, value);
        let answer = world.send(ask).await;
        assert_eq!(answer.status, status, "{name}: {value}");
        assert!(answer.headers.get("access-control-allow-origin").is_none());
    }
    assert!(upstream.calls().is_empty());
    let same = world
        .with(&world.alice, "desk", &body)
        .await
        .header("origin", "https://id.example");
    assert_eq!(world.send(same).await.status, StatusCode::OK);
}

async fn get(world: &World, method: Method, path: &str) -> (StatusCode, http::HeaderMap, Value) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(axum::body::Body::empty());
    let response = world
        .router
        .clone()
        .oneshot(request.expect("a request"))
        .await
        .expect("an answer");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
    (parts.status, parts.headers, json)
}

#[tokio::test]
async fn t11_the_metadata_is_about_the_url_that_is_called() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    let path = "/.well-known/oauth-protected-resource/mcp/desk";
    let (status, _, document) = get(&world, Method::GET, path).await;
    assert_eq!(status, StatusCode::OK);
    let expected = json!({
        "resource": "https://id.example/mcp/desk",
        "authorization_servers": ["https://id.example"],
        "authorization_details_types_supported": ["tool_call"],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": ["ES256", "EdDSA", "PS256"],
        "dpop_bound_access_tokens_required": true,
        "tls_client_certificate_bound_access_tokens": true,
    });
    assert_eq!(document, expected);
    let (status, _, _) = get(
        &world,
        Method::GET,
        "/.well-known/oauth-protected-resource/mcp/none",
    )
    .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn get_and_delete_are_no_methods_here() {
    let upstream = Upstream::start(Speaks::Modern).await;
    let world = world(&upstream.url());
    for method in [Method::GET, Method::DELETE, Method::PUT] {
        let (status, headers, _) = get(&world, method, "/mcp/desk").await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(headers["allow"], "POST");
    }
    let mut ask = world
        .with(&world.alice, "desk", &modern(call_body("add", json!({}))))
        .await;
    ask.server = "none";
    assert_eq!(world.send(ask).await.status, StatusCode::NOT_FOUND);
}
