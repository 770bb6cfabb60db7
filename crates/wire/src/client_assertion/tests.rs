use serde_json::{Value, json};

use super::*;
use crate::base64url;

const ISSUER: &str = "https://as.example";
const CLIENT: &str = "agt_01hzy0000000000000000000aa";
const NOW: i64 = 1_790_000_000;

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::Es256).expect("a key")
}

fn client() -> ClientId {
    CLIENT.parse().expect("an id")
}

fn verify(assertion: &str, key: &PrivateKey) -> Result<VerifiedAssertion, AssertionError> {
    let keys = KeySet::of_keys([key.public().clone()]).expect("a set");
    let expect = Expect {
        issuer: ISSUER,
        now: Timestamp::from_secs(NOW),
    };
    UnverifiedAssertion::parse(assertion)?.verify(&keys, &expect)
}

fn good() -> Value {
    json!({
        "iss": CLIENT, "sub": CLIENT, "aud": ISSUER,
        "iat": NOW, "exp": NOW + 60, "jti": "j-1",
    })
}

fn outcome(typ: &str, claims: &Value) -> Result<(), &'static str> {
    let key = key();
    let assertion = jws::sign(&key, typ, claims.to_string().as_bytes());
    verify(&assertion, &key)
        .map(drop)
        .map_err(AssertionError::code)
}

fn with(name: &str, value: Value) -> Result<(), &'static str> {
    let mut claims = good();
    claims[name] = value;
    outcome(TYP, &claims)
}

#[test]
fn what_a_client_signs_the_authority_accepts() {
    let key = key();
    let now = Timestamp::from_secs(NOW);
    let assertion = sign(client(), ISSUER, "j-1", now, &key);
    let unverified = UnverifiedAssertion::parse(&assertion).expect("an assertion");
    assert_eq!(unverified.claimed_client_id(), client());
    let verified = verify(&assertion, &key).expect("a good assertion");
    assert_eq!(verified.client_id(), client());
    assert_eq!(verified.expires_at(), now.after(Duration::from_secs(65)));
    let again = verify(&assertion, &key).expect("a good assertion");
    assert_eq!(verified.jti_hash(), again.jti_hash());
    let other = verify(&sign(client(), ISSUER, "j-2", now, &key), &key).expect("good");
    assert_ne!(verified.jti_hash(), other.jti_hash());
}

#[test]
fn t1_the_audience_is_the_issuer_alone() {
    for other in [
        json!("https://as.example/oauth/token"),
        json!("https://as.example/"),
        json!("https://AS.example"),
        json!([ISSUER]),
        json!([ISSUER, "https://other.example"]),
        json!({"aud": ISSUER}),
        json!(""),
    ] {
        assert_eq!(with("aud", other.clone()), Err("wrong_audience"), "{other}");
    }
    assert_eq!(with("aud", json!(ISSUER)), Ok(()));
}

#[test]
fn issuer_and_subject_are_one_agent() {
    let other = json!("agt_01hzy0000000000000000000ab");
    assert_eq!(with("iss", other.clone()), Err("wrong_client"));
    assert_eq!(with("sub", other), Err("wrong_client"));
    let mut stranger = good();
    stranger["iss"] = "alice@example.com".into();
    stranger["sub"] = "alice@example.com".into();
    assert_eq!(outcome(TYP, &stranger), Err("wrong_client"));
    assert_eq!(outcome(TYP, &good()), Ok(()));
}

#[test]
fn times_are_short_and_present() {
    assert_eq!(with("exp", json!(NOW - 4)), Err("malformed"));
    assert_eq!(with("exp", json!(NOW - 5)), Err("expired"));
    assert_eq!(with("exp", json!(NOW + 70)), Ok(()));
    // With `iat`, what counts is the minute after it, however far `exp` is.
    assert_eq!(with("exp", json!(NOW + 300)), Ok(()));
    let aged = |iat: i64| {
        let mut claims = good();
        claims["iat"] = json!(iat);
        claims["exp"] = json!(NOW + 300);
        outcome(TYP, &claims)
    };
    assert_eq!(aged(NOW - 64), Ok(()));
    assert_eq!(aged(NOW - 65), Err("expired"));
    let undated = |exp: i64| {
        let mut claims = good();
        claims.as_object_mut().expect("an object").remove("iat");
        claims["exp"] = json!(exp);
        outcome(TYP, &claims)
    };
    assert_eq!(undated(NOW + 70), Ok(()));
    assert_eq!(undated(NOW + 71), Err("lifetime_too_long"));
    assert_eq!(with("exp", json!((NOW + 60).to_string())), Err("malformed"));
    assert_eq!(with("exp", json!(null)), Err("malformed"));
    assert_eq!(with("iat", json!(NOW + 10)), Ok(()));
    assert_eq!(with("iat", json!(NOW + 11)), Err("not_yet_valid"));
    assert_eq!(with("iat", json!("now")), Err("malformed"));
    assert_eq!(with("nbf", json!(NOW + 11)), Err("not_yet_valid"));
    let mut late = good();
    (late["iat"], late["exp"]) = (json!(NOW - 60), json!(NOW - 4));
    assert_eq!(outcome(TYP, &late), Ok(()));
}

#[test]
fn jwt_10_required_claims_are_required_and_iat_is_not() {
    for name in ["iss", "sub", "aud", "exp", "jti"] {
        let mut claims = good();
        claims.as_object_mut().expect("an object").remove(name);
        assert_eq!(outcome(TYP, &claims), Err("claim_missing"), "{name}");
    }
    let mut claims = good();
    claims.as_object_mut().expect("an object").remove("iat");
    assert_eq!(outcome(TYP, &claims), Ok(()));
}

#[test]
fn names_of_assertions_are_short() {
    assert_eq!(with("jti", json!("j".repeat(256))), Ok(()));
    for bad in [json!("j".repeat(257)), json!(""), json!("a\0b"), json!(7)] {
        assert_eq!(with("jti", bad), Err("malformed"));
    }
}

#[test]
fn jwt_13_other_kinds_of_token_are_not_assertions() {
    for typ in ["at+jwt", "dpop+jwt", "secevent+jwt", "oauth-id-jag+jwt", ""] {
        assert_eq!(outcome(typ, &good()), Err("typ_mismatch"), "{typ}");
    }
    for typ in [TYP, "JWT", "jwt", "application/client-authentication+jwt"] {
        assert_eq!(outcome(typ, &good()), Ok(()), "{typ}");
    }
}

#[test]
fn the_client_of_the_assertion_chooses_the_keys_and_only_they_verify() {
    let (ours, other) = (key(), key());
    let now = Timestamp::from_secs(NOW);
    let assertion = sign(client(), ISSUER, "j-1", now, &ours);
    let refusal = verify(&assertion, &other).map(drop);
    assert_eq!(refusal, Err(AssertionError::UnknownKey));
    assert!(verify(&assertion, &ours).is_ok());
}

#[test]
fn without_a_kid_any_key_of_the_client_may_have_signed() {
    let keys = [key(), key()];
    let set = KeySet::of_keys(keys.iter().map(|key| key.public().clone())).expect("a set");
    let expect = Expect {
        issuer: ISSUER,
        now: Timestamp::from_secs(NOW),
    };
    let anonymous = |key: &PrivateKey| {
        let header = base64url::encode(br#"{"alg":"ES256"}"#);
        let input = format!(
            "{header}.{}",
            base64url::encode(good().to_string().as_bytes())
        );
        format!("{input}.{}", base64url::encode(&key.sign(input.as_bytes())))
    };
    let verify = |assertion: &str| {
        UnverifiedAssertion::parse(assertion)
            .expect("an assertion")
            .verify(&set, &expect)
            .map(drop)
    };
    assert_eq!(verify(&anonymous(&keys[1])), Ok(()));
    assert_eq!(
        verify(&anonymous(&key())),
        Err(AssertionError::BadSignature)
    );
}

#[test]
fn cry_04_algorithms_outside_the_profile_are_refused() {
    for alg in ["none", "HS256", "RS256", "ES256K", "RS1"] {
        let header = base64url::encode(json!({ "alg": alg }).to_string().as_bytes());
        let claims = base64url::encode(good().to_string().as_bytes());
        let assertion = format!("{header}.{claims}.AAAA");
        let refusal = UnverifiedAssertion::parse(&assertion).map(drop);
        assert_eq!(refusal, Err(AssertionError::AlgNotAllowed), "{alg}");
    }
    assert_eq!(outcome(TYP, &good()), Ok(()));
}
