use serde_json::json;

use super::*;
use crate::issuer::IssuerKeys;
use crate::jwk::PrivateKey;
use crate::jws;

const ISSUER: &str = "https://ci.example";
const AUDIENCE: &str = "https://id.example";
const NOW: i64 = 1_800_000_000;

fn claims() -> Value {
    json!({
        "iss": ISSUER,
        "sub": "repo:acme/x:ref:refs/heads/main",
        "aud": AUDIENCE,
        "iat": NOW,
        "nbf": NOW - 300,
        "exp": NOW + 300,
        "jti": "one",
        "environment": "prod",
        "run_number": 7,
    })
}

/// Signs, takes apart and checks, as the authority does.
fn checked(typ: &str, claims: &Value) -> Result<VerifiedWorkload, WorkloadError> {
    let key = PrivateKey::generate(Algorithm::Es256).expect("a key");
    let jwks = json!({"keys": [key.public().to_jwk()]}).to_string();
    let keys = IssuerKeys::of_document(jwks.as_bytes()).expect("keys");
    let token = jws::sign(&key, typ, claims.to_string().as_bytes());
    let workload = UnverifiedWorkload::parse(&token)?;
    let verified = keys.verify(workload.token()).expect("a signature");
    let expect = Expect {
        issuer: ISSUER,
        audience: AUDIENCE,
        now: Timestamp::from_secs(NOW),
    };
    check(&verified, &expect)
}

fn changed(name: &str, value: Value) -> Result<VerifiedWorkload, WorkloadError> {
    let mut claims = claims();
    match value {
        Value::Null => {
            claims.as_object_mut().expect("claims").remove(name);
        }
        value => claims[name] = value,
    }
    checked("JWT", &claims)
}

#[test]
fn workload_is_known_by_what_its_issuer_says() {
    let workload = checked("JWT", &claims()).expect("a workload");
    assert_eq!(workload.subject(), "repo:acme/x:ref:refs/heads/main");
    assert_eq!(workload.claim("environment"), Some("prod"));
    assert_eq!(workload.claim("run_number"), None, "no text");
    assert_eq!(workload.claim("other"), None);
    assert_eq!(workload.expires_at(), Timestamp::from_secs(NOW + 305));
    // A pod's tokens have a list of one audience.
    changed("aud", json!([AUDIENCE])).expect("a workload");
}

#[test]
fn jwt_13_other_kinds_of_token_vouch_for_nobody() {
    for typ in [
        "at+jwt",
        "logout+jwt",
        "client-authentication+jwt",
        "dpop+jwt",
        "application/at+jwt",
        "",
    ] {
        let found = checked(typ, &claims()).err();
        assert_eq!(found, Some(WorkloadError::TypMismatch), "{typ}");
    }
    for typ in ["JWT", "jwt", "application/jwt"] {
        checked(typ, &claims()).expect(typ);
    }
}

#[test]
fn fed_01_token_for_another_audience_or_for_others_too_is_refused() {
    for audience in [
        json!("https://other.example"),
        json!("https://id.example/"),
        json!([AUDIENCE, "https://other.example"]),
        json!([AUDIENCE, AUDIENCE]),
        json!([]),
        json!([[AUDIENCE]]),
        json!({"0": AUDIENCE}),
        json!(true),
    ] {
        let found = changed("aud", audience.clone()).err();
        assert_eq!(found, Some(WorkloadError::WrongAudience), "{audience}");
    }
}

#[test]
fn jwt_10_what_a_workload_must_say_is_required_and_of_its_type() {
    for name in ["iss", "sub", "aud", "exp", "iat"] {
        let found = changed(name, Value::Null).err();
        let expected = match name {
            // It was found by its issuer, so without one it is not even looked at.
            "iss" => WorkloadError::ClaimMissing("iss"),
            name => WorkloadError::ClaimMissing(name),
        };
        assert_eq!(found, Some(expected), "{name}");
        let found = changed(name, json!({"a": 1})).err();
        let wrong = match name {
            "aud" => WorkloadError::WrongAudience,
            _ => WorkloadError::Malformed,
        };
        assert_eq!(found, Some(wrong), "{name}");
    }
    for (name, value) in [
        ("sub", json!("")),
        ("sub", json!("a\u{0}b")),
        ("sub", json!("x".repeat(513))),
        ("jti", json!("")),
        ("jti", json!(7)),
        ("exp", json!("1800000300")),
        ("nbf", json!([])),
    ] {
        let found = changed(name, value.clone()).err();
        assert_eq!(found, Some(WorkloadError::Malformed), "{name} {value}");
    }
}

#[test]
fn workload_is_vouched_for_now_and_for_an_hour_at_most() {
    for (name, offset, expected) in [
        ("exp", 1, None),
        ("exp", -4, None),
        ("exp", -5, Some(WorkloadError::Expired)),
        ("exp", -3_000_000, Some(WorkloadError::Expired)),
        ("exp", 3_600, None),
        ("exp", 3_601, Some(WorkloadError::TooLong)),
        ("iat", 10, None),
        ("iat", 11, Some(WorkloadError::NotYetValid)),
        ("iat", -3_300, None),
        ("iat", -3_301, Some(WorkloadError::TooLong)),
        ("nbf", 10, None),
        ("nbf", 11, Some(WorkloadError::NotYetValid)),
    ] {
        let mut claims = claims();
        claims[name] = json!(NOW + offset);
        if name == "exp" && offset < 0 {
            // So that only its end is wrong.
            claims["iat"] = json!(NOW + offset - 60);
            claims["nbf"] = json!(NOW + offset - 60);
        }
        assert_eq!(checked("JWT", &claims).err(), expected, "{name} {offset}");
    }
}

#[test]
fn token_has_one_name_and_no_other_token_has_it() {
    let hash = |claims: &Value| checked("JWT", claims).expect("a workload").hash();
    let first = claims();
    // The name is what counts; whatever else differs, it is of use once.
    let mut same = first.clone();
    same["run_number"] = json!(8);
    assert_eq!(hash(&first), hash(&same));
    let mut other = first.clone();
    other["jti"] = json!("two");
    assert_ne!(hash(&first), hash(&other));
    let mut bare = first.clone();
    bare.as_object_mut().expect("claims").remove("jti");
    let mut bare_later = bare.clone();
    bare_later["iat"] = json!(NOW - 1);
    assert_eq!(hash(&bare), hash(&bare), "signed anew it is the same");
    assert_ne!(hash(&bare), hash(&bare_later));
    assert_ne!(hash(&bare), hash(&first));
}
