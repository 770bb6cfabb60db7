use std::time::Duration;

use chancery_model::time::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::jwk::{Algorithm, PrivateKey};
use crate::jws::{self, Unverified, Verified};
use crate::openid::id_token::IdToken;
use crate::openid::logout_token::LogoutToken;

const ISSUER: &str = "https://idp.example";
const CLIENT: &str = "chancery";
const NONCE: &str = "n-0S6_WzA2Mj";

fn now() -> Timestamp {
    Timestamp::from_secs(1_800_000_000)
}

fn key(algorithm: Algorithm) -> PrivateKey {
    PrivateKey::generate(algorithm).expect("a key")
}

fn signed(typ: &str, claims: &Value) -> Verified {
    let key = key(Algorithm::Es256);
    let text = jws::sign(&key, typ, claims.to_string().as_bytes());
    let token = Unverified::parse(&text, json::TOKEN).expect("a token");
    token.verify(key.public()).expect("a signature")
}

fn id_claims() -> Value {
    let at = now().as_secs();
    json!({
        "iss": ISSUER, "sub": "248289761001", "aud": CLIENT, "exp": at + 300, "iat": at, "nonce": NONCE,
        "auth_time": at - 60, "sid": "08a5019c", "email": "alice@example.com",
    })
}

fn expect() -> id_token::Expect<'static> {
    id_token::Expect {
        issuer: ISSUER,
        client_id: CLIENT,
        nonce: NONCE,
        access_token: None,
        signed_in_since: None,
        now: now(),
    }
}

fn id_token(change: impl FnOnce(&mut Value)) -> Result<IdToken, OpenIdError> {
    let mut claims = id_claims();
    change(&mut claims);
    IdToken::of(&signed("JWT", &claims), &expect())
}

#[test]
fn id_token_says_who_signed_in_and_when() {
    let token = id_token(|_| {}).expect("a token");
    assert_eq!(token.subject(), "248289761001");
    assert_eq!(
        token.auth_time(),
        Some(now().before(Duration::from_secs(60)))
    );
    assert_eq!(token.session(), Some("08a5019c"));
    assert_eq!(token.claims()["email"], "alice@example.com");
    // A provider whose clock is ahead makes no sign-in newer than now.
    let ahead =
        id_token(|claims| claims["auth_time"] = json!(now().as_secs() + 5)).expect("a token");
    assert_eq!(ahead.auth_time(), Some(now()));
}

#[test]
fn fed_01_id_token_for_another_client_is_refused() {
    for (aud, azp) in [
        (json!("other"), json!(null)),
        (json!(["other"]), json!(null)),
        (json!([CLIENT, "other"]), json!(null)),
        (json!([CLIENT, "other"]), json!("other")),
        (json!(CLIENT), json!("other")),
        (json!("chancery "), json!(null)),
        (json!([]), json!(null)),
    ] {
        let refused = id_token(|claims| {
            claims["aud"] = aud.clone();
            if !azp.is_null() {
                claims["azp"] = azp.clone();
            }
        });
        assert_eq!(
            refused.err(),
            Some(OpenIdError::WrongAudience),
            "{aud} {azp}"
        );
    }
    for (aud, azp) in [
        (json!([CLIENT]), json!(null)),
        (json!(CLIENT), json!(CLIENT)),
        (json!(["other", CLIENT]), json!(CLIENT)),
    ] {
        let taken = id_token(|claims| {
            claims["aud"] = aud.clone();
            if !azp.is_null() {
                claims["azp"] = azp.clone();
            }
        });
        assert!(taken.is_ok(), "{aud} {azp}");
    }
}

#[test]
fn fed_01_every_claim_of_an_id_token_is_checked() {
    let at = now().as_secs();
    for (member, value, expected) in [
        (
            "iss",
            json!("https://idp.example/"),
            OpenIdError::WrongIssuer,
        ),
        ("nonce", json!("another"), OpenIdError::NonceMismatch),
        ("exp", json!(at - 5), OpenIdError::Expired),
        ("iat", json!(at - 600), OpenIdError::Expired),
        ("iat", json!(at + 11), OpenIdError::NotYetValid),
        ("nbf", json!(at + 11), OpenIdError::NotYetValid),
        ("exp", json!("soon"), OpenIdError::Malformed),
        ("sub", json!(""), OpenIdError::Malformed),
        ("sub", json!("a\nb"), OpenIdError::Malformed),
        ("sub", json!("a".repeat(256)), OpenIdError::Malformed),
        ("sub", json!(7), OpenIdError::Malformed),
        ("azp", json!(7), OpenIdError::Malformed),
        ("auth_time", json!("now"), OpenIdError::Malformed),
    ] {
        let refused = id_token(|claims| claims[member] = value.clone());
        assert_eq!(refused.err(), Some(expected), "{member}: {value}");
    }
    for member in ["iss", "sub", "aud", "exp", "iat", "nonce"] {
        let refused = id_token(|claims| {
            claims.as_object_mut().expect("claims").remove(member);
        });
        assert_eq!(refused.err(), Some(OpenIdError::ClaimMissing(member)));
    }
}

#[test]
fn jwt_13_other_kinds_of_token_are_no_id_tokens_and_no_logout_tokens() {
    for typ in ["at+jwt", "logout+jwt", "secevent+jwt", "dpop+jwt"] {
        let refused = IdToken::of(&signed(typ, &id_claims()), &expect());
        assert_eq!(refused.err(), Some(OpenIdError::TypMismatch), "{typ}");
    }
    for typ in ["at+jwt", "dpop+jwt", "secevent+jwt"] {
        let refused = LogoutToken::of(&signed(typ, &logout_claims()), &expect_logout());
        assert_eq!(refused.err(), Some(OpenIdError::TypMismatch), "{typ}");
    }
    // An ID token lacks what makes a logout token, whatever its header says.
    let refused = LogoutToken::of(&signed("logout+jwt", &id_claims()), &expect_logout());
    assert!(refused.is_err());
}

#[test]
fn new_sign_in_is_held_to_the_moment_that_it_was_asked_for() {
    let with = |auth_time: Option<i64>, since: i64| {
        let mut claims = id_claims();
        match auth_time {
            Some(at) => claims["auth_time"] = json!(at),
            None => drop(claims.as_object_mut().expect("claims").remove("auth_time")),
        }
        let expect = id_token::Expect {
            signed_in_since: Some(Timestamp::from_secs(since)),
            ..expect()
        };
        IdToken::of(&signed("JWT", &claims), &expect).map(drop)
    };
    let at = now().as_secs();
    assert_eq!(with(Some(at), at - 20), Ok(()));
    assert_eq!(
        with(Some(at - 30), at - 19),
        Err(OpenIdError::SignedInBefore)
    );
    assert_eq!(with(None, at - 20), Err(OpenIdError::AuthTimeMissing));
}

#[test]
fn access_token_is_held_to_the_hash_beside_it() {
    // The example of OpenID Connect Core 1.0, A.3.
    let access_token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
    let of = |hash: &str| {
        let mut claims = id_claims();
        claims["at_hash"] = json!(hash);
        let expect = id_token::Expect {
            access_token: Some(access_token),
            ..expect()
        };
        IdToken::of(&signed("JWT", &claims), &expect).map(drop)
    };
    assert_eq!(of("77QmUPtjPfzWtF2AnpK9RQ"), Ok(()));
    assert_eq!(
        of("77QmUPtjPfzWtF2AnpK9RA"),
        Err(OpenIdError::AccessTokenMismatch)
    );
    assert_eq!(of(""), Err(OpenIdError::AccessTokenMismatch));
}

fn logout_claims() -> Value {
    let at = now().as_secs();
    json!({
        "iss": ISSUER, "sub": "248289761001", "aud": CLIENT, "exp": at + 120, "iat": at, "jti": "bWJq",
        "sid": "08a5019c", "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    })
}

fn expect_logout() -> logout_token::Expect<'static> {
    logout_token::Expect {
        issuer: ISSUER,
        client_id: CLIENT,
        now: now(),
    }
}

fn logout(change: impl FnOnce(&mut Value)) -> Result<LogoutToken, OpenIdError> {
    let mut claims = logout_claims();
    change(&mut claims);
    LogoutToken::of(&signed("logout+jwt", &claims), &expect_logout())
}

#[test]
fn logout_token_says_whose_session_ended() {
    let token = logout(|_| {}).expect("a token");
    assert_eq!(token.subject.as_deref(), Some("248289761001"));
    assert_eq!(token.session.as_deref(), Some("08a5019c"));
    assert!(token.expires_at > now());
    let other = logout(|claims| claims["jti"] = json!("other")).expect("a token");
    assert_ne!(other.jti_hash, token.jti_hash);
}

#[test]
fn every_claim_of_a_logout_token_is_checked() {
    let at = now().as_secs();
    for (member, value, expected) in [
        (
            "iss",
            json!("https://evil.example"),
            OpenIdError::WrongIssuer,
        ),
        ("aud", json!("other"), OpenIdError::WrongAudience),
        ("aud", json!([CLIENT, "other"]), OpenIdError::WrongAudience),
        ("exp", json!(at - 10), OpenIdError::Expired),
        ("iat", json!(at - 310), OpenIdError::Expired),
        ("iat", json!(at + 11), OpenIdError::NotYetValid),
        ("nonce", json!(NONCE), OpenIdError::TypMismatch),
        ("events", json!({}), OpenIdError::TypMismatch),
        ("events", json!([]), OpenIdError::TypMismatch),
        (
            "events",
            json!({"http://schemas.openid.net/event/backchannel-logout": true}),
            OpenIdError::TypMismatch,
        ),
        ("jti", json!(7), OpenIdError::Malformed),
        ("sub", json!(null), OpenIdError::Malformed),
    ] {
        let refused = logout(|claims| claims[member] = value.clone());
        assert_eq!(refused.err(), Some(expected), "{member}: {value}");
    }
    for member in ["iss", "aud", "exp", "iat", "jti", "events"] {
        let refused = logout(|claims| {
            claims.as_object_mut().expect("claims").remove(member);
        });
        assert_eq!(refused.err(), Some(OpenIdError::ClaimMissing(member)));
    }
    let nobody = logout(|claims| {
        let claims = claims.as_object_mut().expect("claims");
        claims.remove("sub");
        claims.remove("sid");
    });
    assert_eq!(nobody.err(), Some(OpenIdError::ClaimMissing("sub")));
}
