use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::json::TOKEN;
use crate::jwk::{JwkError, KeySet};
use crate::vectors;

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::Es256).expect("a key")
}

/// A token with any header, under a good signature.
fn forge(header: &str, payload: &str, key: &PrivateKey) -> String {
    let input = format!(
        "{}.{}",
        base64url::encode(header.as_bytes()),
        base64url::encode(payload.as_bytes())
    );
    let signature = key.sign(input.as_bytes());
    format!("{input}.{}", base64url::encode(&signature))
}

#[track_caller]
fn verdict(header: &str, expected: Result<(), JwsError>) {
    let key = key();
    let token = forge(header, "{}", &key);
    let verified = Unverified::parse(&token, TOKEN).and_then(|token| token.verify(key.public()));
    assert_eq!(verified.map(drop), expected, "{header}");
}

#[test]
fn what_was_signed_verifies_and_names_its_key() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let key = PrivateKey::generate(algorithm).expect("a key");
        let token = sign(&key, "at+jwt", b"{\"a\":1}");
        assert_eq!(token.capacity(), token.len());
        let unverified = Unverified::parse(&token, TOKEN).expect("a token");
        assert_eq!(
            unverified.header().kid.as_deref(),
            Some(key.public().thumbprint())
        );
        let verified = unverified.verify(key.public()).expect("verifies");
        assert_eq!(verified.payload(), b"{\"a\":1}");
        assert!(verified.header().typ_is("at+jwt"));
        assert_eq!(verified.claims::<Value>(TOKEN), Ok(json!({"a": 1})));
    }
}

#[test]
fn media_types_compare_without_case_and_prefix() {
    let header = |typ: &str| Header {
        alg: Algorithm::Es256,
        typ: Some(typ.to_owned()),
        kid: None,
        jwk: None,
    };
    assert!(header("at+jwt").typ_is("at+jwt"));
    assert!(header("application/AT+JWT").typ_is("at+jwt"));
    for other in [
        "",
        "JWT",
        "jwt",
        "at+jwt ",
        "text/at+jwt",
        "application/",
        "dpop+jwt",
        "ä",
    ] {
        assert!(!header(other).typ_is("at+jwt"), "{other}");
    }
}

#[test]
fn jwt_02_the_header_cannot_choose_another_algorithm() {
    verdict(r#"{"alg":"ES256"}"#, Ok(()));
    for alg in [
        "none", "None", "HS256", "es256", "ES384", "RS512", "A128KW", "",
    ] {
        verdict(
            &json!({ "alg": alg }).to_string(),
            Err(JwsError::AlgNotAllowed),
        );
    }
    for alg in ["EdDSA", "RS256", "PS256"] {
        // These exist, and are not the key's.
        verdict(
            &json!({ "alg": alg }).to_string(),
            Err(JwsError::AlgNotAllowed),
        );
    }
    verdict(r#"{"alg":["ES256"]}"#, Err(JwsError::Malformed));
    verdict(r#"{"alg":null}"#, Err(JwsError::Malformed));
    verdict(r#"{"typ":"JWT"}"#, Err(JwsError::Malformed));
}

#[test]
fn jwt_06_names_of_keys_are_short_and_plain() {
    for kid in [
        "k1",
        "../../../../dev/null",
        "' UNION SELECT 'a' --",
        "__proto__",
        "k1%00",
    ] {
        // Plain texts, which name nothing: a kid is compared and nothing else.
        verdict(&json!({"alg": "ES256", "kid": kid}).to_string(), Ok(()));
    }
    let long = "k".repeat(257);
    for kid in ["", "k1\r\nX: y", "k1\0", "k\u{85}", &long] {
        let header = json!({"alg": "ES256", "kid": kid}).to_string();
        verdict(&header, Err(JwsError::InvalidKid));
    }
    let huge = json!({"alg": "ES256", "kid": "k".repeat(64 * 1024)}).to_string();
    verdict(&huge, Err(JwsError::TooLarge));
    verdict(r#"{"alg":"ES256","kid":7}"#, Err(JwsError::Malformed));
}

#[test]
fn jwt_07_critical_headers_are_refused() {
    verdict(r#"{"alg":"ES256","x-strict":true}"#, Ok(()));
    for header in [
        r#"{"alg":"ES256","kid":"k1","crit":["x-strict"],"x-strict":true}"#,
        r#"{"alg":"ES256","crit":[]}"#,
        r#"{"alg":"ES256","crit":["x-absent"]}"#,
        r#"{"alg":"ES256","crit":["exp"]}"#,
        r#"{"alg":"ES256","crit":null}"#,
        r#"{"alg":"ES256","b64":false,"crit":["b64"]}"#,
        r#"{"alg":"ES256","b64":true}"#,
    ] {
        verdict(header, Err(JwsError::CriticalHeader));
    }
}

#[test]
fn jwt_08_signatures_outside_the_group_are_refused() {
    let key = key();
    let token = sign(&key, "JWT", b"{}");
    let (input, _) = token.rsplit_once('.').expect("three parts");
    let mut order = [0xff; 32];
    order[4..8].fill(0);
    order[16..].copy_from_slice(&[
        0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25,
        0x51,
    ]);
    let mut one = [0; 32];
    one[31] = 1;
    for r in [[0; 32], one, order] {
        for s in [[0; 32], one, order] {
            let psychic = format!("{input}.{}", base64url::encode(&[r, s].concat()));
            let refusal = Unverified::parse(&psychic, TOKEN)
                .expect("a token")
                .verify(key.public())
                .map(drop);
            assert_eq!(refusal, Err(JwsError::BadSignature));
        }
    }
    let genuine = Unverified::parse(&token, TOKEN).expect("a token");
    assert!(genuine.verify(key.public()).is_ok());
}

#[test]
fn jwt_11_duplicate_header_members_are_refused() {
    verdict(r#"{"alg":"ES256","typ":"a"}"#, Ok(()));
    verdict(r#"{"alg":"ES256","alg":"ES256"}"#, Err(JwsError::Malformed));
    verdict(r#"{"alg":"ES256","x":1,"x":1}"#, Err(JwsError::Malformed));
}

#[test]
fn jwt_12_only_the_compact_form_is_a_token() {
    let key = key();
    let token = sign(&key, "JWT", b"{}");
    let parts: Vec<&str> = token.split('.').collect();
    let flat = json!({
        "payload": parts[1],
        "protected": parts[0],
        "header": {"alg": "HS256"},
        "signature": parts[2],
    });
    let general = json!({
        "payload": parts[1],
        "signatures": [{"protected": parts[0], "signature": parts[2]}],
    });
    for form in [flat.to_string(), general.to_string()] {
        assert_eq!(
            Unverified::parse(&form, TOKEN).err(),
            Some(JwsError::Malformed)
        );
    }
    assert!(Unverified::parse(&token, TOKEN).is_ok());
}

#[test]
fn jwt_14_encrypted_and_compressed_tokens_do_not_exist() {
    let header = base64url::encode(br#"{"alg":"dir","enc":"A256GCM","zip":"DEF"}"#);
    let bomb = format!("{header}..AAAA.{}.AAAA", "A".repeat(8_000));
    assert_eq!(
        Unverified::parse(&bomb, TOKEN).err(),
        Some(JwsError::AlgNotAllowed)
    );
    let header = base64url::encode(br#"{"alg":"ES256","enc":"A256GCM","zip":"DEF"}"#);
    let bomb = format!("{header}..AAAA.AAAA.AAAA");
    assert_eq!(
        Unverified::parse(&bomb, TOKEN).err(),
        Some(JwsError::Malformed)
    );
}

#[test]
fn jwt_15_large_tokens_and_floods_of_separators_are_refused() {
    let key = key();
    let fits = sign(&key, "JWT", "7".repeat(11_000).as_bytes());
    assert!(Unverified::parse(&fits, TOKEN).is_ok());
    let large = sign(&key, "JWT", "7".repeat(900_000).as_bytes());
    assert_eq!(
        Unverified::parse(&large, TOKEN).err(),
        Some(JwsError::TooLarge)
    );
    let flood = ".".repeat(1_000_000);
    assert_eq!(
        Unverified::parse(&flood, TOKEN).err(),
        Some(JwsError::TooLarge)
    );
    let flood = ".".repeat(TOKEN.bytes);
    assert_eq!(
        Unverified::parse(&flood, TOKEN).err(),
        Some(JwsError::Malformed)
    );
}

#[test]
fn jwt_16_a_token_has_one_text() {
    let key = key();
    let token = sign(&key, "JWT", b"{\"a\":\"?\"}");
    let changed = [
        format!("{token}="),
        format!("{token}\n"),
        format!(" {token}"),
        token.replacen('.', ".\n", 1),
        token.replacen('.', "=.", 1),
        token.replacen('e', "%65", 1),
        format!("{token}."),
        format!(".{token}"),
    ];
    for text in changed {
        let verified = Unverified::parse(&text, TOKEN).and_then(|token| token.verify(key.public()));
        assert!(verified.is_err(), "{text}");
    }
    let genuine = Unverified::parse(&token, TOKEN).expect("a token");
    assert!(genuine.verify(key.public()).is_ok());
}

proptest! {
    #[test]
    fn a_changed_token_never_verifies(
        claims in "\\PC{0,60}",
        place: prop::sample::Index,
        byte in prop_oneof![0u8..128, prop::sample::select(b"ABab01-_.=".to_vec())],
        ed: bool,
    ) {
        let algorithm = if ed { Algorithm::EdDsa } else { Algorithm::Es256 };
        let key = PrivateKey::generate(algorithm).expect("a key");
        let token = sign(&key, "at+jwt", claims.as_bytes());
        let mut bytes = token.clone().into_bytes();
        let place = place.index(bytes.len());
        bytes[place] = byte;
        let changed = String::from_utf8(bytes).expect("ASCII");
        let verified = Unverified::parse(&changed, TOKEN)
            .and_then(|token| token.verify(key.public()));
        prop_assert_eq!(verified.is_ok(), changed == token);
    }

    #[test]
    fn any_text_is_refused_without_panic(text in "[A-Za-z0-9_.=-]{0,200}|\\PC{0,60}") {
        let key = key();
        let verified = Unverified::parse(&text, TOKEN).and_then(|token| token.verify(key.public()));
        prop_assert!(verified.is_err());
    }
}

fn is_accepted(key: &Value, token: &Value) -> bool {
    let text = match token {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let Ok(token) = Unverified::parse(&text, TOKEN) else {
        return false;
    };
    if key.get("keys").is_some() {
        let Ok(set) = KeySet::parse(key) else {
            return false;
        };
        let kid = token.header().kid.clone();
        let found = set.find(kid.as_deref(), token.header().alg).next().cloned();
        return found.is_some_and(|key| token.verify(&key).is_ok());
    }
    PublicKey::from_jwk(key).is_ok_and(|key| token.verify(&key).is_ok())
}

/// Whether a key, or the first key of a set, is for an algorithm that exists here.
fn exists_here(key: &Value) -> bool {
    let key = key.get("keys").map_or(key, |keys| &keys[0]);
    key["kty"] != "oct"
        && key["alg"]
            .as_str()
            .is_none_or(|alg| Algorithm::from_name(alg).is_some())
}

#[test]
fn vectors_wycheproof_jose() {
    let files = [
        ("json_web_signature_test.json", 241),
        ("json_web_key_test.json", 19),
        // The other 26 cases of this file are JWE, which does not exist here.
        ("json_web_crypto_test.json", 28),
    ];
    for (name, least) in files {
        let Some(file) = vectors::file("wycheproof-jose", name) else {
            return;
        };
        let (mut ran, mut valid, mut left_out) = (0, 0, Vec::new());
        for group in file["testGroups"].as_array().expect("a list") {
            let key = group.get("public").unwrap_or(&group["private"]);
            for case in group["tests"].as_array().expect("a list") {
                let Some(token) = case.get("jws") else {
                    continue;
                };
                ran += 1;
                let accepted = is_accepted(key, token);
                // Valid under algorithms that the profile leaves out (HMAC, SHA-384 and SHA-512,
                // P-521): refused. Case 350 has the header `PS384` over a key whose `alg` is
                // `PS256`.
                let id = case["tcId"].as_u64().expect("a number");
                if case["result"] == "valid" && (!exists_here(key) || id == 350) {
                    assert!(!accepted, "{name} {id}");
                    left_out.push(id);
                    continue;
                }
                assert_eq!(accepted, case["result"] == "valid", "{name} {id}");
                valid += u32::from(accepted);
            }
        }
        println!("wycheproof-jose {name}: {ran} cases, {valid} accepted, left out {left_out:?}");
        assert!(ran >= least, "{name}: {ran}");
    }
}

#[test]
fn vectors_jose_cookbook_rfc7520() {
    let Some(folder) = vectors::folder("jose-cookbook-rfc7520") else {
        return;
    };
    let file = |name: &str| -> Value {
        let text = std::fs::read(folder.join(name)).expect("a file");
        serde_json::from_slice(&text).expect("JSON")
    };
    let reason = |name: &str| PublicKey::from_jwk(&file(name)).err();
    // P-521 does not exist here.
    assert_eq!(
        reason("jwk/3_1.ec_public_key.json"),
        Some(JwkError::Unsupported)
    );
    assert_eq!(
        reason("jwk/3_2.ec_private_key.json"),
        Some(JwkError::Private)
    );
    // An RSA key must name its algorithm, and the cookbook's does not.
    assert_eq!(
        reason("jwk/3_3.rsa_public_key.json"),
        Some(JwkError::AlgorithmMissing)
    );
    assert_eq!(
        reason("jwk/3_4.rsa_private_key.json"),
        Some(JwkError::Private)
    );
    let symmetric = Some(JwkError::Symmetric);
    assert_eq!(
        reason("jwk/3_5.symmetric_key_mac_computation.json"),
        symmetric
    );
    assert_eq!(reason("jwk/3_6.symmetric_key_encryption.json"), symmetric);

    let public = file("jwk/3_3.rsa_public_key.json");
    let rsa = PublicKey::from_jwk_for(&public, Algorithm::Rs256).expect("a key");
    let compact = |name: &str| file(name)["output"]["compact"].clone();
    let signed = compact("jws/4_1.rsa_v15_signature.json");
    let token = Unverified::parse(signed.as_str().expect("a token"), TOKEN).expect("a token");
    assert!(token.verify(&rsa).is_ok());
    // ES512 and HS256 do not exist here.
    for name in [
        "jws/4_3.ecdsa_signature.json",
        "jws/4_6.protecting_specific_header_fields.json",
        "rfc7797/4.2.hmac-sha2_b64_false.json",
    ] {
        if let Some(token) = compact(name).as_str() {
            assert_eq!(
                Unverified::parse(token, TOKEN).err(),
                Some(JwsError::AlgNotAllowed)
            );
        }
    }
    let several = file("jws/4_8.multiple_signatures.json")["output"]["json"].to_string();
    assert_eq!(
        Unverified::parse(&several, TOKEN).err(),
        Some(JwsError::Malformed)
    );
    println!("jose-cookbook-rfc7520: 11 cases; the other 12 are JWE");
}
