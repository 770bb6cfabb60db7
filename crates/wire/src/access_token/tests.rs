use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::jwk::Algorithm;
use crate::{base64url, hash};

const ISSUER: &str = "https://as.example";
const RESOURCE: &str = "https://r1.example/mcp";
const NOW: i64 = 1_790_000_000;

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::Es256).expect("a key")
}

fn claims() -> Claims {
    Claims {
        iss: ISSUER.to_owned(),
        sub: "agt_01hzy0000000000000000000aa".to_owned(),
        aud: RESOURCE.to_owned(),
        client_id: "agt_01hzy0000000000000000000aa".to_owned(),
        iat: NOW,
        exp: NOW + 300,
        jti: "tok_01hzy0000000000000000000aa".parse().expect("an id"),
        scope: Some("crm.read crm.write".to_owned()),
        authorization_details: None,
        cnf: Some(Cnf {
            jkt: Some("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".to_owned()),
            x5t: None,
        }),
        auth_time: None,
        acr: None,
        act: None,
        grant_id: None,
        agent: Some(AgentClaims {
            epoch: 0,
            id: None,
            instance: Some("worker-1".to_owned()),
            version: hash::sha256(b"document"),
            owner: "alice@example.com".to_owned(),
            name: "bot".to_owned(),
            model: None,
        }),
    }
}

fn expect() -> Expect<'static> {
    Expect {
        issuer: ISSUER,
        audience: Some(RESOURCE),
        now: Timestamp::from_secs(NOW + 1),
    }
}

fn outcome(token: &str, key: &PrivateKey) -> Result<(), &'static str> {
    verify(token, &[key.public().clone()], &expect())
        .map(drop)
        .map_err(TokenError::code)
}

/// A token with any header over any payload, under a good signature.
fn forge(header: &Value, payload: &str, key: &PrivateKey) -> String {
    let segments = [header.to_string().as_bytes(), payload.as_bytes()].map(base64url::encode);
    let input = segments.join(".");
    let signature = base64url::encode(&key.sign(input.as_bytes()));
    format!("{input}.{signature}")
}

fn header(key: &PrivateKey) -> Value {
    json!({"typ": TYP, "alg": "ES256", "kid": key.public().thumbprint()})
}

/// The outcome for good claims with one member replaced.
fn with_claim(name: &str, value: Value) -> Result<(), &'static str> {
    let key = key();
    let mut payload = serde_json::to_value(claims()).expect("JSON");
    payload[name] = value;
    outcome(&forge(&header(&key), &payload.to_string(), &key), &key)
}

/// The outcome for good claims under a header with one member replaced.
fn with_header(name: &str, value: Value) -> Result<(), &'static str> {
    let key = key();
    let mut header = header(&key);
    header[name] = value;
    let payload = serde_json::to_string(&claims()).expect("JSON");
    outcome(&forge(&header, &payload, &key), &key)
}

#[track_caller]
fn the_twin_is_accepted() {
    let key = key();
    assert_eq!(outcome(&sign(&claims(), &key), &key), Ok(()));
}

#[test]
fn a_signed_token_verifies_to_the_same_claims() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let key = PrivateKey::generate(algorithm).expect("a key");
        let token = sign(&claims(), &key);
        assert_eq!(review(&token, &claims()), Ok(()));
        let keys = [self::key().public().clone(), key.public().clone()];
        let verified = verify(&token, &keys, &expect()).expect("a good token");
        assert_eq!(verified.claims(), &claims());
        assert_eq!(
            verified.bound_jkt(),
            claims().cnf.and_then(|cnf| cnf.jkt).as_deref()
        );
        assert_eq!(verified.expires_at(), Timestamp::from_secs(NOW + 300));
        assert!(verified.scopes().eq(["crm.read", "crm.write"]));
    }
}

#[test]
fn what_was_verified_stands_only_as_long_as_its_key_and_its_issuer() {
    let key = key();
    let token = sign(&claims(), &key);
    let verified = verify(&token, &[key.public().clone()], &expect()).expect("a good token");
    let other = self::key().public().clone();
    let overlapping = [other.clone(), key.public().clone()];
    assert!(verified.is_still_signed(ISSUER, &overlapping));
    assert!(!verified.is_still_signed(ISSUER, &[other]));
    assert!(!verified.is_still_signed(ISSUER, &[]));
    assert!(!verified.is_still_signed("https://as.example/", &overlapping));
}

#[test]
fn review_sees_every_difference() {
    let key = key();
    let token = sign(&claims(), &key);
    assert_eq!(review(&token, &claims()), Ok(()));
    let mut longer = claims();
    longer.exp += 1;
    let mut wider = claims();
    wider.scope = None;
    let mut unbound = claims();
    unbound.cnf = None;
    for other in [longer, wider, unbound] {
        assert_eq!(review(&token, &other), Err(ReviewFailed));
    }
    let payload = serde_json::to_vec(&claims()).expect("JSON");
    let other_kind = jws::sign(&key, "JWT", &payload);
    assert_eq!(review(&other_kind, &claims()), Err(ReviewFailed));
}

#[test]
fn the_bytes_of_a_token_are_pinned() {
    let payload = serde_json::to_string(&claims()).expect("JSON");
    assert_eq!(
        payload,
        concat!(
            r#"{"iss":"https://as.example","sub":"agt_01hzy0000000000000000000aa","#,
            r#""aud":"https://r1.example/mcp","client_id":"agt_01hzy0000000000000000000aa","#,
            r#""iat":1790000000,"exp":1790000300,"jti":"tok_01hzy0000000000000000000aa","#,
            r#""scope":"crm.read crm.write","#,
            r#""cnf":{"jkt":"0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"},"#,
            r#""chancery.agent":{"instance":"worker-1","version":"sha256:"#,
            r#"43cc23fa52b87b4cc1d02b5b114154151d6adddb17c9fddc06b027fa99e24008","#,
            r#""epoch":0,"#,
            r#""owner":"alice@example.com","name":"bot"}}"#,
        )
    );
}

#[test]
fn jwt_01_alg_none_is_refused() {
    let key = key();
    let mut unsigned = header(&key);
    unsigned["alg"] = "none".into();
    let payload = serde_json::to_string(&claims()).expect("JSON");
    let input = [unsigned.to_string(), payload].map(|text| base64url::encode(text.as_bytes()));
    for signature in ["", "AAAA"] {
        let token = format!("{}.{signature}", input.join("."));
        assert_eq!(outcome(&token, &key), Err("alg_not_allowed"));
    }
    the_twin_is_accepted();
}

#[test]
fn jwt_02_a_public_key_is_never_an_hmac_secret() {
    let key = key();
    let jwk = key.public().to_jwk();
    let side = |name: &str| base64url::decode(jwk[name].as_str().expect("a text")).expect("bytes");
    let point = [side("x"), side("y")].concat();
    let bare = key.public().bare_jwk().to_string();
    let mut header = header(&key);
    header["alg"] = "HS256".into();
    let payload = serde_json::to_string(&claims()).expect("JSON");
    let input = [header.to_string(), payload].map(|text| base64url::encode(text.as_bytes()));
    let input = input.join(".");
    for secret in [
        &point[..],
        jwk.to_string().as_bytes(),
        bare.as_bytes(),
        b"",
        b"\n",
    ] {
        let mac = hash::hmac_sha256(secret, input.as_bytes());
        let token = format!("{input}.{}", base64url::encode(&mac));
        assert_eq!(outcome(&token, &key), Err("alg_not_allowed"));
    }
    the_twin_is_accepted();
}

#[test]
fn jwt_03_an_unknown_key_is_an_error_and_not_an_empty_one() {
    assert_eq!(with_header("kid", json!("no-such-key")), Err("unknown_key"));
    assert_eq!(with_header("kid", json!("")), Err("malformed"));
    let key = key();
    let payload = serde_json::to_string(&claims()).expect("JSON");
    let anonymous = forge(&json!({"typ": TYP, "alg": "ES256"}), &payload, &key);
    assert_eq!(outcome(&anonymous, &key), Err("unknown_key"));
    assert!(verify(&sign(&claims(), &key), &[], &expect()).is_err());
    the_twin_is_accepted();
}

#[test]
fn jwt_04_an_embedded_key_is_not_a_key() {
    let (attacker, ours) = (key(), key());
    let payload = serde_json::to_string(&claims()).expect("JSON");
    for kid in [attacker.public().thumbprint(), ours.public().thumbprint()] {
        let header = json!({
            "typ": TYP, "alg": "ES256", "kid": kid,
            "jwk": attacker.public().bare_jwk(), "x5c": ["MIIB"],
        });
        assert!(outcome(&forge(&header, &payload, &attacker), &ours).is_err());
    }
    // What is ignored does no harm to a token that we did sign.
    assert_eq!(with_header("jwk", attacker.public().bare_jwk()), Ok(()));
}

#[test]
fn jwt_05_key_urls_are_not_followed() {
    let (attacker, ours) = (key(), key());
    let payload = serde_json::to_string(&claims()).expect("JSON");
    for url in [
        "https://attacker.example/jwks.json",
        "http://169.254.169.254/",
    ] {
        let header = json!({
            "typ": TYP, "alg": "ES256", "kid": attacker.public().thumbprint(),
            "jku": url, "x5u": url,
        });
        let token = forge(&header, &payload, &attacker);
        assert_eq!(outcome(&token, &ours), Err("unknown_key"));
    }
    assert_eq!(with_header("jku", json!("https://as.example/jwks")), Ok(()));
}

#[test]
fn jwt_09_claims_of_the_wrong_type_are_errors_and_not_absences() {
    for (name, value) in [
        ("exp", json!("9999999999")),
        ("exp", json!(true)),
        ("exp", json!(null)),
        ("exp", json!(-1)),
        ("exp", json!(1e300)),
        ("nbf", json!("tomorrow")),
        ("nbf", json!(null)),
        ("iat", json!({})),
        ("aud", json!([RESOURCE])),
        ("aud", json!([[RESOURCE]])),
        ("iss", json!(7)),
        ("sub", json!(null)),
        ("scope", json!(["crm.read"])),
        ("cnf", json!("jkt")),
        ("cnf", json!({})),
        ("cnf", json!(null)),
        ("jti", json!("agt_01hzy0000000000000000000aa")),
        ("chancery.agent", json!({"name": "bot"})),
    ] {
        assert_eq!(
            with_claim(name, value.clone()),
            Err("malformed"),
            "{name}: {value}"
        );
    }
    assert_eq!(with_claim("nbf", json!(NOW)), Ok(()));
    assert_eq!(with_claim("exp", json!(NOW as f64 + 100.5)), Ok(()));
}

#[test]
fn jwt_10_every_required_claim_is_required() {
    let key = key();
    for name in ["iss", "sub", "aud", "client_id", "iat", "exp", "jti"] {
        let mut payload = serde_json::to_value(claims()).expect("JSON");
        payload.as_object_mut().expect("an object").remove(name);
        let token = forge(&header(&key), &payload.to_string(), &key);
        assert_eq!(outcome(&token, &key), Err("claim_missing"), "{name}");
    }
    the_twin_is_accepted();
}

#[test]
fn jwt_11_duplicate_claims_are_refused() {
    let key = key();
    let payload = serde_json::to_string(&claims()).expect("JSON");
    for twice in [r#"{"sub":"C2","#, r#"{"x":{"a":1,"a":2},"#] {
        let payload = payload.replacen('{', twice, 1);
        let token = forge(&header(&key), &payload, &key);
        assert_eq!(outcome(&token, &key), Err("malformed"));
    }
    the_twin_is_accepted();
}

#[test]
fn jwt_13_other_kinds_of_token_are_not_access_tokens() {
    for typ in [
        "JWT",
        "dpop+jwt",
        "client-authentication+jwt",
        "oauth-id-jag+jwt",
        "txntoken+jwt",
        "secevent+jwt",
        "token-introspection+jwt",
        "wit+jwt",
        "statuslist+jwt",
        "logout+jwt",
        "chancery-agent-version+jwt",
        "JOSE",
        "",
    ] {
        assert_eq!(with_header("typ", json!(typ)), Err("typ_mismatch"), "{typ}");
    }
    let key = key();
    let payload = serde_json::to_string(&claims()).expect("JSON");
    let untyped = json!({"alg": "ES256", "kid": key.public().thumbprint()});
    assert_eq!(
        outcome(&forge(&untyped, &payload, &key), &key),
        Err("typ_mismatch")
    );
    assert_eq!(with_header("typ", json!(["at+jwt"])), Err("malformed"));
    assert_eq!(with_header("typ", json!("application/at+jwt")), Ok(()));
}

#[test]
fn jwt_15_an_oversized_token_is_refused_before_it_is_parsed() {
    let key = key();
    let mut large = claims();
    large.scope = Some("s".repeat(16 * 1024));
    assert_eq!(outcome(&sign(&large, &key), &key), Err("too_large"));
    the_twin_is_accepted();
}

#[test]
fn jwt_17_audiences_that_look_alike_are_others() {
    for other in [
        "https://r1.example/mcp/",
        "https://r1.example/mcp2",
        "https://r1.example.attacker.example/mcp",
        "HTTPS://R1.EXAMPLE/mcp",
        "https://r1.example",
        "https://r1.example:443/mcp",
        "",
    ] {
        assert_eq!(
            with_claim("aud", json!(other)),
            Err("wrong_audience"),
            "{other}"
        );
    }
    assert_eq!(with_claim("aud", json!(RESOURCE)), Ok(()));
}

#[test]
fn jwt_19_issuers_that_look_alike_are_others() {
    for other in [
        "https://as.example/",
        "https://AS.example",
        "https://u@as.example",
        "https://as.example:443",
        "https://as.example.attacker.example",
        "https://as.example/t2",
        "",
    ] {
        assert_eq!(
            with_claim("iss", json!(other)),
            Err("wrong_issuer"),
            "{other}"
        );
    }
    assert_eq!(with_claim("iss", json!(ISSUER)), Ok(()));
}

#[test]
fn times_have_their_leeway_and_no_more() {
    let now = NOW + 1;
    assert_eq!(with_claim("exp", json!(now - 4)), Ok(()));
    assert_eq!(with_claim("exp", json!(now - 5)), Err("expired"));
    assert_eq!(with_claim("iat", json!(now + 10)), Ok(()));
    assert_eq!(with_claim("iat", json!(now + 11)), Err("not_yet_valid"));
    assert_eq!(with_claim("nbf", json!(now + 10)), Ok(()));
    assert_eq!(with_claim("nbf", json!(now + 11)), Err("not_yet_valid"));
}

#[test]
fn another_key_of_the_same_name_does_not_verify() {
    let (ours, other) = (key(), key());
    let payload = serde_json::to_string(&claims()).expect("JSON");
    let token = forge(&header(&ours), &payload, &other);
    assert_eq!(outcome(&token, &ours), Err("bad_signature"));
    the_twin_is_accepted();
}

proptest! {
    #[test]
    fn a_changed_token_is_refused_without_panic(
        place: prop::sample::Index,
        bit in 0u8..7,
        cut in 0usize..40,
    ) {
        let key = key();
        let token = sign(&claims(), &key);
        let mut bytes = token.clone().into_bytes();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let changed = String::from_utf8(bytes).expect("ASCII");
        prop_assert!(outcome(&changed, &key).is_err());
        prop_assert!(outcome(&token[..token.len() - 1 - cut], &key).is_err());
    }

    #[test]
    fn any_payload_is_judged_without_panic(payload in "\\PC{0,60}|\\{(\"(iss|exp|aud|jti)\":[0-9\"a-z\\[\\]{}]{0,5},?){0,4}\\}") {
        let key = key();
        let token = forge(&header(&key), &payload, &key);
        prop_assert!(outcome(&token, &key).is_err());
    }
}

#[test]
fn token_that_says_half_of_on_whose_behalf_it_is_is_for_nobody() {
    let own = claims();
    assert_eq!(own.acting(), Ok(Acting::Autonomous));
    let (subject, grant) = (
        "own_01hzy0000000000000000000aa",
        "grt_01hzy0000000000000000000aa".parse().expect("an id"),
    );
    let act = Act {
        sub: own.client_id.clone(),
        iss: own.iss.clone(),
    };
    let delegated = Claims {
        sub: subject.to_owned(),
        act: Some(act.clone()),
        grant_id: Some(grant),
        ..own.clone()
    };
    let says = Acting::Delegated {
        subject: subject.parse().expect("an id"),
        grant,
    };
    assert_eq!(delegated.acting(), Ok(says));
    let other = |sub: &str, iss: &str| {
        Some(Act {
            sub: sub.to_owned(),
            iss: iss.to_owned(),
        })
    };
    for half in [
        Claims {
            act: None,
            ..delegated.clone()
        },
        Claims {
            grant_id: None,
            ..delegated.clone()
        },
        Claims {
            act: None,
            grant_id: None,
            ..delegated.clone()
        },
        Claims {
            sub: own.client_id.clone(),
            ..delegated.clone()
        },
        Claims {
            act: other("agt_01hzy0000000000000000000ab", &own.iss),
            ..delegated.clone()
        },
        Claims {
            act: other(&own.client_id, "https://other.example"),
            ..delegated.clone()
        },
        Claims {
            act: Some(act),
            ..own
        },
    ] {
        assert_eq!(half.acting(), Err(Muddled), "{half:?}");
    }
}

#[test]
fn token_of_a_public_client_is_of_the_agent_that_acts() {
    let own = claims();
    let agent = own.client_id.clone();
    assert_eq!(own.agent_id(), agent.parse().ok());
    let public = Claims {
        sub: "own_01hzy0000000000000000000aa".to_owned(),
        client_id: "https://app.example/client.json".to_owned(),
        act: Some(Act {
            sub: agent.clone(),
            iss: own.iss.clone(),
        }),
        grant_id: Some("grt_01hzy0000000000000000000aa".parse().expect("an id")),
        ..own
    };
    assert_eq!(public.agent_id(), agent.parse().ok());
    assert!(matches!(public.acting(), Ok(Acting::Delegated { .. })));
    // On its own behalf no public client has a token, and a name that is none of ours is no client.
    let alone = Claims {
        sub: public.client_id.clone(),
        act: None,
        grant_id: None,
        ..public.clone()
    };
    assert_eq!(alone.agent_id(), None);
    let odd = Claims {
        client_id: "something".to_owned(),
        ..public
    };
    assert_eq!(odd.acting(), Err(Muddled));
}

#[test]
fn x509_01_token_is_taken_over_the_connection_that_it_is_bound_to() {
    let [own, other] = [b"own".to_vec(), b"other".to_vec()]
        .map(|der| PeerCertificate::of_handshake([der]).expect("a certificate"));
    let key = key();
    let token = |cnf| {
        let claims = Claims { cnf, ..claims() };
        let expect = expect();
        verify(&sign(&claims, &key), &[key.public().clone()], &expect).expect("a token")
    };
    let bound = token(Cnf::of(None, Some(own.thumbprint())));
    assert_eq!(bound.require_certificate(Some(&own)), Ok(()));
    let missing = Err(TokenError::CertificateMissing);
    assert_eq!(bound.require_certificate(None), missing);
    let mismatch = Err(TokenError::CertificateMismatch);
    assert_eq!(bound.require_certificate(Some(&other)), mismatch);
    assert!(bound.is_bound() && bound.bound_jkt().is_none());
    let unbound = token(None);
    assert_eq!(unbound.require_certificate(Some(&other)), Ok(()));
    assert_eq!(unbound.require_certificate(None), Ok(()));
    assert!(!unbound.is_bound());
    // A confirmation of another kind is no confirmation of ours, and does not make the token unbound.
    let mut foreign = serde_json::to_value(claims()).expect("JSON");
    foreign["cnf"] = json!({"other": "x"});
    let foreign = jws::sign(&key, TYP, foreign.to_string().as_bytes());
    let refused = verify(&foreign, &[key.public().clone()], &expect());
    assert_eq!(refused.err(), Some(TokenError::Malformed));
}
