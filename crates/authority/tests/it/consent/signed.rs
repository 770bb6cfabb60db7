//! Requests that their client signed (RFC 9101), at `POST /oauth/par`.

use chancery_wire::{hash, jws, request_object};
use serde_json::{Value, json};

use super::flow::{CALLBACK, Flow, R1, VERIFIER, furnished, landed, put};
use crate::house::new_key;
use crate::request::{Answer, ask};

const ISSUER: &str = "https://id.example";

/// What the client would ask for with parameters, as claims.
fn claims(flow: &Flow) -> Value {
    let now = flow.house.now().as_secs();
    let mut claims = json!({
        "iss": flow.agent.id, "aud": ISSUER, "client_id": flow.agent.id,
        "nbf": now, "iat": now, "exp": now + 60,
    });
    for (name, value) in flow.request() {
        claims[name] = value.into();
    }
    claims
}

fn sign(flow: &Flow, claims: &Value) -> String {
    let claims = claims.to_string();
    jws::sign(&flow.agent.key, request_object::TYP, claims.as_bytes())
}

async fn push(flow: &Flow, object: &str) -> Answer {
    let pairs = vec![("request", object.to_owned())];
    flow.push_as(&flow.agent, &pairs).await
}

#[tokio::test]
async fn client_asks_with_what_it_signed() {
    let flow = furnished().await;
    let object = sign(&flow, &claims(&flow));
    let pushed = push(&flow, &object).await;
    assert_eq!(pushed.status, 201, "{pushed:?}");
    // What was asked is in the record, in a way that the client cannot deny.
    let event = flow.house.last_event("client.authenticated").await;
    let digest = hash::sha256(object.as_bytes()).to_string();
    assert_eq!(event["facts"]["request_object"], digest);
    assert_eq!(event["facts"]["resource"], R1);
    let uri = pushed.json()["request_uri"]
        .as_str()
        .expect("a name")
        .to_owned();
    let code = landed(&flow.approve(&uri).await)["code"].clone();
    let token = flow.redeem(&code).await.ok();
    assert_eq!(token["scope"], "read write");

    let metadata = ask("GET", "/.well-known/openid-configuration");
    let metadata = flow.house.send(metadata).await.ok();
    assert_eq!(metadata["request_parameter_supported"], true);
    assert_eq!(metadata["request_uri_parameter_supported"], false);
    assert_eq!(
        metadata["request_object_signing_alg_values_supported"],
        json!(["ES256", "EdDSA", "PS256"])
    );
}

#[tokio::test]
async fn authz_10_only_what_is_signed_counts() {
    let flow = furnished().await;
    let mut signed = claims(&flow);
    signed["scope"] = "read".into();
    let mut pairs = flow.request();
    put(&mut pairs, "scope", "read write admin");
    put(&mut pairs, "redirect_uri", "https://attacker.example/");
    put(&mut pairs, "prompt", "none login");
    pairs.push(("request", sign(&flow, &signed)));
    let pushed = flow.push_as(&flow.agent, &pairs).await;
    assert_eq!(pushed.status, 201, "{pushed:?}");
    let uri = pushed.json()["request_uri"]
        .as_str()
        .expect("a name")
        .to_owned();
    let answer = landed(&flow.approve(&uri).await);
    assert_eq!(flow.redeem(&answer["code"]).await.ok()["scope"], "read");
    // What is left out of the object is not taken from beside it.
    let mut signed = claims(&flow);
    let members = signed.as_object_mut().expect("an object");
    members.remove("code_challenge");
    let mut pairs = flow.request();
    pairs.push(("request", sign(&flow, &signed)));
    flow.push_as(&flow.agent, &pairs)
        .await
        .oauth_error(400, "invalid_request");
    // Nor does the name of a request come beside it.
    let mut pairs = vec![("request", sign(&flow, &claims(&flow)))];
    pairs.push((
        "request_uri",
        "urn:ietf:params:oauth:request_uri:x".to_owned(),
    ));
    flow.push_as(&flow.agent, &pairs)
        .await
        .oauth_error(400, "invalid_request");
}

#[tokio::test]
async fn jwt_13_object_of_another_client_kind_or_authority_is_none() {
    let flow = furnished().await;
    let other = flow.house.register("other-bot").await;
    for (name, value) in [
        ("iss", json!(other.id)),
        ("client_id", json!(other.id)),
        ("aud", json!("https://other.example")),
        ("exp", json!(flow.house.now().as_secs() - 6)),
        ("sub", json!(flow.agent.id)),
        ("client_assertion", json!("a.b.c")),
        ("request_uri", json!("urn:x")),
    ] {
        let mut claims = claims(&flow);
        claims[name] = value;
        let answer = push(&flow, &sign(&flow, &claims)).await;
        answer.oauth_error(400, "invalid_request_object");
    }
    assert_eq!(
        flow.refused_because().await,
        "request_object_foreign_member"
    );
    let text = claims(&flow).to_string();
    for object in [
        jws::sign(&new_key(), request_object::TYP, text.as_bytes()),
        jws::sign(&other.key, request_object::TYP, text.as_bytes()),
        jws::sign(&flow.agent.key, "JWT", text.as_bytes()),
        flow.house.assertion(&flow.agent),
        "a.b.c".to_owned(),
    ] {
        let answer = push(&flow, &object).await;
        answer.oauth_error(400, "invalid_request_object");
    }
    // What the object says is held to the same as parameters are.
    for (name, value, error) in [
        (
            "redirect_uri",
            "https://attacker.example/",
            "invalid_request",
        ),
        ("code_challenge", VERIFIER, "invalid_request"),
        ("response_type", "token", "unsupported_response_type"),
        ("resource", "https://nowhere.example", "invalid_target"),
    ] {
        let mut claims = claims(&flow);
        claims[name] = value.into();
        let answer = push(&flow, &sign(&flow, &claims)).await;
        answer.oauth_error(400, error);
    }
    let mut claims = claims(&flow);
    claims["redirect_uri"] = CALLBACK.into();
    assert_eq!(push(&flow, &sign(&flow, &claims)).await.status, 201);
}
