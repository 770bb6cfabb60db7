use chancery_model::id::ClientId;
use serde_json::json;

use super::*;
use crate::jwk::{Algorithm, PrivateKey};
use crate::{client_assertion, jws};

const CLIENT: &str = "agt_01hzy0000000000000000000aa";
const ISSUER: &str = "https://as.example";
const NOW: i64 = 1_790_000_000;

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::Es256).expect("a key")
}

fn good() -> Value {
    json!({
        "iss": CLIENT, "client_id": CLIENT, "aud": ISSUER,
        "iat": NOW, "nbf": NOW, "exp": NOW + 60, "jti": "j-1",
        "response_type": "code", "scope": "a b", "max_age": 60,
        "authorization_details": [{"type": "tool_call", "identifier": "refund"}],
    })
}

fn read_by(object: &str, key: &PrivateKey) -> Result<Form<'static>, &'static str> {
    let keys = KeySet::of_keys([key.public().clone()]).expect("a set");
    let expect = Expect {
        client: CLIENT,
        issuer: ISSUER,
        now: Timestamp::from_secs(NOW),
    };
    read(object, &keys, &expect).map_err(RequestObjectError::code)
}

fn outcome(typ: &str, claims: &Value) -> Result<Form<'static>, &'static str> {
    let key = key();
    read_by(&jws::sign(&key, typ, claims.to_string().as_bytes()), &key)
}

fn with(name: &str, value: Value) -> Result<Form<'static>, &'static str> {
    let mut claims = good();
    claims[name] = value;
    outcome(TYP, &claims)
}

fn without(name: &str) -> Result<Form<'static>, &'static str> {
    let mut claims = good();
    claims.as_object_mut().expect("an object").remove(name);
    outcome(TYP, &claims)
}

#[test]
fn parameters_are_what_the_client_signed() {
    let form = outcome(TYP, &good()).expect("a good object");
    assert_eq!(form.fetch("client_id"), Some(CLIENT));
    assert_eq!(form.fetch("scope"), Some("a b"));
    assert_eq!(form.fetch("max_age"), Some("60"));
    let details = form.fetch("authorization_details").expect("details");
    let details: Value = serde_json::from_str(details).expect("JSON");
    assert_eq!(details, good()["authorization_details"]);
    for name in ABOUT_ITSELF {
        assert_eq!(form.fetch(name), None, "{name}");
    }
    let form = with("resource", json!(["https://r.example"])).expect("one resource in a list");
    assert_eq!(form.fetch("resource"), Some("https://r.example"));
    with("aud", json!([ISSUER])).expect("our issuer in a list");
}

#[test]
fn object_is_by_the_client_for_us_and_in_its_time() {
    for (name, value, code) in [
        ("iss", json!("agt_x"), "wrong_client"),
        ("client_id", json!("agt_x"), "wrong_client"),
        ("aud", json!("https://other.example"), "wrong_audience"),
        (
            "aud",
            json!([ISSUER, "https://other.example"]),
            "wrong_audience",
        ),
        ("aud", json!([]), "wrong_audience"),
        ("aud", json!({"a": ISSUER}), "wrong_audience"),
        ("exp", json!(NOW - 5), "expired"),
        ("nbf", json!(NOW - 3_600), "expired"),
        ("nbf", json!(NOW + 11), "not_yet_valid"),
        ("iat", json!(NOW + 61), "not_yet_valid"),
        ("exp", json!(NOW + 3_601), "lifetime_too_long"),
        ("exp", json!("soon"), "malformed"),
        ("iss", json!(null), "malformed"),
        ("scope", json!(null), "malformed"),
        ("scope", json!("a\nb"), "malformed"),
        ("resource", json!([1]), "malformed"),
        ("sub", json!(CLIENT), "foreign_member"),
        ("request", json!("a.b.c"), "foreign_member"),
        ("request_uri", json!("urn:x"), "foreign_member"),
        ("client_assertion", json!("a.b.c"), "foreign_member"),
    ] {
        let refused = with(name, value.clone()).expect_err("refused");
        assert_eq!(refused, format!("request_object_{code}"), "{name}: {value}");
    }
    for name in ["iss", "client_id", "aud", "exp", "nbf"] {
        let refused = without(name).expect_err("refused");
        assert_eq!(refused, "request_object_claim_missing", "{name}");
    }
    for (name, value) in [
        ("exp", NOW + 3_600),
        ("exp", NOW - 4),
        ("nbf", NOW - 3_000),
        ("nbf", NOW + 10),
    ] {
        let mut claims = good();
        claims[name] = value.into();
        if name == "nbf" && value > NOW {
            claims["exp"] = (NOW + 60).into();
        }
        if value == NOW - 4 {
            claims["nbf"] = (NOW - 60).into();
        }
        outcome(TYP, &claims).unwrap_or_else(|code| panic!("{name} {value}: {code}"));
    }
    without("iat").expect("it need not say when it was made");
}

#[test]
fn jwt_13_nothing_else_that_a_client_signs_is_a_request_object() {
    for typ in ["JWT", "at+jwt", "dpop+jwt", client_assertion::TYP] {
        let refused = outcome(typ, &good()).expect_err("refused");
        assert_eq!(refused, "request_object_typ_mismatch", "{typ}");
    }
    let key = key();
    let client: ClientId = CLIENT.parse().expect("an id");
    let assertion = client_assertion::sign(client, ISSUER, "j", Timestamp::from_secs(NOW), &key);
    assert!(read_by(&assertion, &key).is_err());
    // Nor is an object an assertion.
    let object = jws::sign(&key, TYP, good().to_string().as_bytes());
    assert!(client_assertion::UnverifiedAssertion::parse(&object).is_err());
    for text in ["", "a.b.c", "eyJhbGciOiJub25lIn0.e30."] {
        assert!(read_by(text, &key).is_err(), "{text}");
    }
}

#[test]
fn only_a_registered_key_signs() {
    let (own, other) = (key(), key());
    let object = jws::sign(&other, TYP, good().to_string().as_bytes());
    let refused = read_by(&object, &own).expect_err("refused");
    assert_eq!(refused, "request_object_unknown_key");
    let object = jws::sign(&own, TYP, good().to_string().as_bytes());
    let (signed, signature) = object.rsplit_once('.').expect("a signature");
    let (header, _) = signed.split_once('.').expect("a header");
    let mut claims = good();
    claims["scope"] = "more".into();
    let claims = crate::base64url::encode(claims.to_string().as_bytes());
    let refused = read_by(&format!("{header}.{claims}.{signature}"), &own).expect_err("refused");
    assert_eq!(refused, "request_object_bad_signature");
    read_by(&object, &own).expect("a good object");
}
