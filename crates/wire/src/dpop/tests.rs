use std::cell::Cell;

use proptest::prelude::*;

use super::*;
use crate::base64url;
use crate::nonce::NonceKey;
use crate::vectors;
use chancery_model::secret::Secret;

const URL: &str = "https://rs.example/mcp";
const NOW: i64 = 1_790_000_000;

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::Es256).expect("a key")
}

fn request() -> Request<'static> {
    Request {
        method: "POST",
        url: URL,
        jti: "proof-1",
        now: Timestamp::from_secs(NOW),
        nonce: None,
        access_token: Some("the.access.token"),
    }
}

fn expect() -> Expect<'static> {
    Expect {
        method: "POST",
        url: URL,
        now: Timestamp::from_secs(NOW + 1),
        window: WINDOW,
        access_token: Some("the.access.token"),
        bound_jkt: None,
        nonce: NonceRule::NotRequired,
    }
}

fn code(proof: &str, expect: &Expect<'_>) -> Result<(), &'static str> {
    verify(proof, expect).map(drop).map_err(DpopError::code)
}

/// The outcome for good claims with one member replaced, under a good signature.
fn with_claim(name: &str, value: Value) -> Result<(), &'static str> {
    let key = key();
    let mut claims = json!({
        "jti": "proof-1", "htm": "POST", "htu": URL, "iat": NOW,
        "ath": hash::sha256_base64url(b"the.access.token"),
    });
    match value {
        Value::String(remove) if remove == "(absent)" => {
            claims.as_object_mut().expect("an object").remove(name);
        }
        value => claims[name] = value,
    }
    code(
        &jws::sign_with_jwk(&key, TYP, claims.to_string().as_bytes()),
        &expect(),
    )
}

#[test]
fn what_a_client_proves_the_server_accepts() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let key = PrivateKey::generate(algorithm).expect("a key");
        let jkt = key.public().thumbprint();
        let proof = proof(&key, &request());
        let bound = Expect {
            bound_jkt: Some(jkt),
            ..expect()
        };
        let verified = verify(&proof, &bound).expect("a good proof");
        assert_eq!(verified.jkt(), jkt);
        let until = Timestamp::from_secs(NOW + 61);
        assert_eq!(verified.expires_at(), until);
        let late = Expect {
            now: until,
            ..bound
        };
        assert_eq!(code(&proof, &late), Err("expired"));
    }
}

#[test]
fn dpop_02_a_proof_by_another_key_is_refused() {
    let (holder, thief) = (key(), key());
    let bound = Expect {
        bound_jkt: Some(holder.public().thumbprint()),
        ..expect()
    };
    let stolen = verify(&proof(&thief, &request()), &bound).map(drop);
    assert_eq!(stolen, Err(DpopError::KeyMismatch));
    assert_eq!(DpopError::KeyMismatch.error_code(), ErrorCode::InvalidToken);
    assert_eq!(code(&proof(&holder, &request()), &bound), Ok(()));

    // The holder's key in the header, the thief's signature under it.
    let header = base64url::encode(
        json!({"typ": TYP, "alg": "ES256", "jwk": holder.public().bare_jwk()})
            .to_string()
            .as_bytes(),
    );
    let genuine = proof(&holder, &request());
    let claims = genuine.split('.').nth(1).expect("three parts");
    let input = format!("{header}.{claims}");
    let forged = format!(
        "{input}.{}",
        base64url::encode(&thief.sign(input.as_bytes()))
    );
    assert_eq!(code(&forged, &bound), Err("bad_signature"));
}

#[test]
fn dpop_03_a_proof_names_itself_by_key_and_jti() {
    let (one, two) = (key(), key());
    let name = |key: &PrivateKey, jti: &str| {
        let request = Request { jti, ..request() };
        verify(&proof(key, &request), &expect())
            .expect("a good proof")
            .jti_hash()
    };
    assert_eq!(name(&one, "a"), name(&one, "a"));
    assert_ne!(name(&one, "a"), name(&one, "b"));
    assert_ne!(name(&one, "a"), name(&two, "a"));
}

#[test]
fn dpop_04_method_and_url_are_those_of_the_request() {
    for method in ["GET", "post", ""] {
        assert_eq!(with_claim("htm", json!(method)), Err("htm_mismatch"));
    }
    for url in [
        "https://other.example/mcp",
        "https://rs.example/other",
        "https://rs.example:8443/mcp",
        "http://rs.example/mcp",
        "https://rs.example/%6dcp",
        "https://rs.example%2Fmcp",
        "https://rs.example/mcp/",
        "https://user@rs.example/mcp",
    ] {
        assert_eq!(with_claim("htu", json!(url)), Err("htu_mismatch"), "{url}");
    }
    for url in ["HTTPS://RS.example:443/mcp", "https://rs.example/mcp?a=1#b"] {
        assert_eq!(with_claim("htu", json!(url)), Ok(()), "{url}");
    }
    let key = key();
    let with_query = Request {
        url: "https://rs.example/mcp?a=1",
        ..request()
    };
    assert_eq!(code(&proof(&key, &with_query), &expect()), Ok(()));
}

#[test]
fn dpop_05_the_hash_of_the_access_token_is_required() {
    assert_eq!(with_claim("ath", json!("(absent)")), Err("claim_missing"));
    let other = hash::sha256_base64url(b"another.access.token");
    assert_eq!(with_claim("ath", json!(other)), Err("ath_mismatch"));
    let decoded = base64url::encode(b"the.access.token");
    assert_eq!(with_claim("ath", json!(decoded)), Err("ath_mismatch"));
    assert_eq!(with_claim("ath", json!(null)), Err("malformed"));
    let good = hash::sha256_base64url(b"the.access.token");
    assert_eq!(with_claim("ath", json!(good)), Ok(()));
}

#[test]
fn dpop_06_a_required_nonce_is_required_and_ours() {
    let key = key();
    let now = Timestamp::from_secs(NOW);
    let ours = NonceKey::new(&Secret::new([1; 32]), "gateway");
    let theirs = NonceKey::new(&Secret::new([1; 32]), "token endpoint");
    let accepts = |nonce: &str| ours.check(nonce, now, Duration::from_secs(60));
    let required = Expect {
        nonce: NonceRule::Required(&accepts),
        ..expect()
    };
    let with = |nonce: Option<&str>| {
        verify(&proof(&key, &Request { nonce, ..request() }), &required).map(drop)
    };
    assert_eq!(with(None), Err(DpopError::UseNonce));
    assert_eq!(with(Some("guess")), Err(DpopError::UseNonce));
    assert_eq!(with(Some(&theirs.issue(now))), Err(DpopError::UseNonce));
    let old = ours.issue(now.before(Duration::from_secs(61)));
    assert_eq!(with(Some(&old)), Err(DpopError::UseNonce));
    assert_eq!(with(Some(&ours.issue(now))), Ok(()));
    assert_eq!(DpopError::UseNonce.error_code(), ErrorCode::UseDpopNonce);
}

#[test]
fn dpop_08_names_of_proofs_are_short() {
    assert_eq!(with_claim("jti", json!("j".repeat(256))), Ok(()));
    assert_eq!(with_claim("jti", json!("j".repeat(257))), Err("malformed"));
    assert_eq!(with_claim("jti", json!("")), Err("malformed"));
    assert_eq!(with_claim("jti", json!(7)), Err("malformed"));
}

#[test]
fn times_are_within_the_window() {
    let now = NOW + 1;
    assert_eq!(with_claim("iat", json!(now - 60)), Ok(()));
    assert_eq!(with_claim("iat", json!(now - 61)), Err("expired"));
    assert_eq!(with_claim("iat", json!(now + 60)), Ok(()));
    assert_eq!(with_claim("iat", json!(now + 61)), Err("not_yet_valid"));
    assert_eq!(with_claim("exp", json!(now)), Err("expired"));
    assert_eq!(with_claim("exp", json!(now + 1)), Ok(()));
    assert_eq!(with_claim("nbf", json!(now + 61)), Err("not_yet_valid"));
    for name in ["jti", "htm", "htu", "iat"] {
        assert_eq!(
            with_claim(name, json!("(absent)")),
            Err("claim_missing"),
            "{name}"
        );
    }
}

#[test]
fn t2_private_and_symmetric_keys_are_refused() {
    let key = key();
    let private: Value = serde_json::from_str(key.to_jwk().expose()).expect("JSON");
    let genuine = proof(&key, &request());
    let claims = genuine.split('.').nth(1).expect("three parts");
    let outcome = |header: Value| {
        let header = base64url::encode(header.to_string().as_bytes());
        let input = format!("{header}.{claims}");
        let signature = base64url::encode(&key.sign(input.as_bytes()));
        code(&format!("{input}.{signature}"), &expect())
    };
    let public = key.public().bare_jwk();
    let with = |jwk: Value| json!({"typ": TYP, "alg": "ES256", "jwk": jwk});
    assert_eq!(outcome(with(public.clone())), Ok(()));
    assert_eq!(outcome(with(private)), Err("key_refused"));
    let symmetric = json!({"kty": "oct", "k": "c2VjcmV0"});
    assert_eq!(outcome(with(symmetric.clone())), Err("key_refused"));
    let mac = json!({"typ": TYP, "alg": "HS256", "jwk": symmetric});
    assert_eq!(outcome(mac), Err("alg_not_allowed"));
    let other = json!({"typ": TYP, "alg": "EdDSA", "jwk": public});
    assert_eq!(outcome(other), Err("key_refused"));
    assert_eq!(
        outcome(json!({"typ": TYP, "alg": "ES256"})),
        Err("key_refused")
    );
    let token = json!({"typ": "at+jwt", "alg": "ES256", "jwk": public});
    assert_eq!(outcome(token), Err("typ_mismatch"));
}

#[test]
fn a_known_header_is_not_parsed_again_and_only_its_own_key_counts() {
    let (one, two) = (key(), key());
    let first = verify(&proof(&one, &request()), &expect()).expect("a good proof");
    let known = first.key().clone();
    let asked = Cell::new(false);
    let second = Request {
        jti: "proof-2",
        ..request()
    };
    let verified = verify_with(&proof(&one, &second), &expect(), |header| {
        asked.set(header == known.header());
        Some(known.clone())
    });
    assert!(asked.get());
    assert_eq!(
        verified.expect("a good proof").jkt(),
        one.public().thumbprint()
    );
    // A cache that answers with another sender's key changes nothing.
    let other = verify_with(&proof(&two, &second), &expect(), |_| Some(known.clone()));
    assert_eq!(
        other.expect("a good proof").jkt(),
        two.public().thumbprint()
    );
}

proptest! {
    #[test]
    fn a_changed_proof_is_refused_without_panic(place: prop::sample::Index, bit in 0u8..7) {
        let proof = proof(&key(), &request());
        let mut bytes = proof.into_bytes();
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let changed = String::from_utf8(bytes).expect("ASCII");
        prop_assert!(verify(&changed, &expect()).is_err());
    }
}

#[test]
fn vectors_dpop_rfc9449() {
    let Some(file) = vectors::file("dpop-rfc9449", "cases.json") else {
        return;
    };
    let cases = file["cases"].as_array().expect("a list");
    for case in cases {
        let text = |name: &str| case.get(name).and_then(Value::as_str);
        let wanted = text("required_nonce");
        let accepts = |nonce: &str| {
            if Some(nonce) == wanted {
                Ok(())
            } else {
                Err(NonceError::Unknown)
            }
        };
        let expect = Expect {
            method: text("method").expect("a method"),
            url: text("url").expect("a URL"),
            now: Timestamp::from_secs(case["now"].as_i64().expect("a time")),
            window: Duration::from_secs(300),
            access_token: text("access_token"),
            bound_jkt: text("bound_jkt"),
            nonce: match wanted {
                Some(_) => NonceRule::Required(&accepts),
                None => NonceRule::NotRequired,
            },
        };
        let verdict = verify(text("proof").expect("a proof"), &expect);
        assert_eq!(
            verdict.is_ok(),
            case["expect"] == "accept",
            "{}: {verdict:?}",
            case["id"]
        );
        if let (Ok(verified), Some(jkt)) = (&verdict, text("jkt")) {
            assert_eq!(verified.jkt(), jkt);
        }
    }
    println!("dpop-rfc9449: {} cases", cases.len());
    assert!(cases.len() >= 35);
}
