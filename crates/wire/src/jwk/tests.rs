use serde_json::{Value, json};

use super::*;
use crate::vectors;

fn es256() -> PrivateKey {
    PrivateKey::generate(Algorithm::Es256).expect("a key")
}

fn with(jwk: &Value, member: &str, value: impl Into<Value>) -> Value {
    let mut changed = jwk.clone();
    changed[member] = value.into();
    changed
}

#[track_caller]
fn refused(jwk: &Value, reason: JwkError) {
    assert_eq!(PublicKey::from_jwk(jwk).err(), Some(reason), "{jwk}");
}

/// The RSA key of RFC 7638 3.1, with 2048 bits.
fn rsa() -> Value {
    json!({
        "kty": "RSA",
        "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
        "e": "AQAB",
        "alg": "RS256",
    })
}

#[test]
fn keys_printed_then_parsed_are_the_same() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let key = PrivateKey::generate(algorithm).expect("a key");
        let public = PublicKey::from_jwk(&key.public().to_jwk()).expect("a public key");
        assert_eq!(&public, key.public());
        let jwk = serde_json::from_str(key.to_jwk().expose()).expect("JSON");
        let pkcs8 = key.to_pkcs8();
        let copies = [
            PrivateKey::from_jwk(&jwk).expect("a private key"),
            PrivateKey::from_pkcs8(algorithm, pkcs8.expose()).expect("a private key"),
        ];
        for copy in copies {
            let signature = copy.sign(b"message");
            assert_eq!(signature.len(), 64);
            assert_eq!(public.verify(b"message", &signature), Ok(()));
            assert_eq!(public.verify(b"massage", &signature), Err(BadSignature));
        }
        assert!(!format!("{key:?}").contains(jwk["d"].as_str().expect("d")));
        refused(&jwk, JwkError::Private);
    }
}

#[test]
fn a_private_part_must_belong_to_its_public_part() {
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        let jwk = |key: PrivateKey| -> Value {
            serde_json::from_str(key.to_jwk().expose()).expect("JSON")
        };
        let one = jwk(PrivateKey::generate(algorithm).expect("a key"));
        let other = jwk(PrivateKey::generate(algorithm).expect("a key"));
        assert!(PrivateKey::from_jwk(&one).is_ok());
        let mixed = with(&one, "d", other["d"].clone());
        let refusal = PrivateKey::from_jwk(&mixed).err();
        assert_eq!(refusal, Some(JwkError::Inconsistent));
    }
    let refusal = PrivateKey::generate(Algorithm::Rs256).err();
    assert_eq!(refusal, Some(JwkError::Unsupported));
}

#[test]
fn jwks_02_weak_and_invalid_keys_are_refused_each_with_its_reason() {
    let good = es256().public().to_jwk();
    assert!(PublicKey::from_jwk(&good).is_ok());
    let x = good["x"].as_str().expect("x");
    refused(&with(&good, "y", x), JwkError::InvalidPoint);
    let zero = base64url::encode(&[0; 32]);
    let infinity = with(&with(&good, "x", &*zero), "y", &*zero);
    refused(&infinity, JwkError::InvalidPoint);
    // The prime of the field is no coordinate below it.
    let prime = "_____wAAAAEAAAAAAAAAAAAAAAD_______________8";
    refused(&with(&good, "x", prime), JwkError::InvalidPoint);
    let long = base64url::encode(&[0; 33]);
    refused(&with(&good, "x", long), JwkError::Malformed("x"));
    refused(&with(&good, "x", 7), JwkError::Malformed("x"));
    refused(&with(&good, "x", format!("{x}=")), JwkError::Malformed("x"));
    refused(&with(&good, "crv", "P-384"), JwkError::Unsupported);
    refused(&with(&good, "crv", "secp256k1"), JwkError::Unsupported);
    refused(&with(&good, "kty", "AKP"), JwkError::Unsupported);
    refused(&with(&good, "alg", "ES384"), JwkError::Unsupported);
    refused(&with(&good, "alg", "none"), JwkError::Unsupported);
    refused(&with(&good, "alg", "EdDSA"), JwkError::AlgorithmMismatch);
    refused(&with(&good, "alg", Value::Null), JwkError::Malformed("alg"));
    refused(&with(&good, "use", "enc"), JwkError::WrongUse);
    refused(&with(&good, "key_ops", json!(["sign"])), JwkError::WrongUse);
    refused(
        &with(&good, "key_ops", "verify"),
        JwkError::Malformed("key_ops"),
    );
    assert!(PublicKey::from_jwk(&with(&good, "key_ops", json!(["verify"]))).is_ok());
    refused(&with(&good, "d", "AA"), JwkError::Private);
    refused(&json!({"kty": "oct", "k": "c2VjcmV0"}), JwkError::Symmetric);
    refused(&json!("key"), JwkError::Malformed("kty"));
    refused(&json!({}), JwkError::Malformed("kty"));
}

#[test]
fn jwks_02_weak_rsa_keys_are_refused() {
    let good = rsa();
    assert!(PublicKey::from_jwk(&good).is_ok());
    assert!(PublicKey::from_jwk(&with(&good, "alg", "PS256")).is_ok());
    let mut anonymous = good.clone();
    anonymous.as_object_mut().expect("an object").remove("alg");
    refused(&anonymous, JwkError::AlgorithmMissing);
    assert!(PublicKey::from_jwk_for(&anonymous, Algorithm::Ps256).is_ok());
    refused(&with(&good, "alg", "ES256"), JwkError::AlgorithmMismatch);

    let n = base64url::decode(good["n"].as_str().expect("n")).expect("bytes");
    let modulus = |n: &[u8]| with(&good, "n", base64url::encode(n));
    refused(&modulus(&n[..128]), JwkError::RsaSize);
    refused(&modulus(&[&n[..], &n, &n[..1]].concat()), JwkError::RsaSize);
    refused(&modulus(&[&[0], &n[..]].concat()), JwkError::Malformed("n"));
    refused(&modulus(&[&n[..255], &[0]].concat()), JwkError::RsaWeak);
    for (e, reason) in [
        ("AQ", JwkError::RsaExponent),
        ("Aw", JwkError::RsaExponent),
        ("AQAA", JwkError::RsaExponent),
        ("AQAAAAE", JwkError::RsaExponent),
        ("AAEAAQ", JwkError::Malformed("e")),
        ("", JwkError::Malformed("e")),
    ] {
        refused(&with(&good, "e", e), reason);
    }
}

#[test]
fn small_order_and_non_canonical_ed25519_keys_are_refused() {
    let good = PrivateKey::generate(Algorithm::EdDsa).expect("a key");
    assert!(PublicKey::from_jwk(&good.public().to_jwk()).is_ok());
    let mut prime = [0xff; 32];
    (prime[0], prime[31]) = (0xed, 0x7f);
    let mut signed_one = [0; 32];
    (signed_one[0], signed_one[31]) = (1, 0x80);
    for x in [[0; 32], prime, [0xff; 32], signed_one] {
        let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url::encode(&x)});
        refused(&jwk, JwkError::InvalidPoint);
    }
}

#[test]
fn jwks_01_two_keys_of_one_name_are_refused() {
    let (one, two) = (es256().public().to_jwk(), es256().public().to_jwk());
    let named = |one_kid: &str, two_kid: &str| {
        KeySet::parse(&json!({"keys": [with(&one, "kid", one_kid), with(&two, "kid", two_kid)]}))
    };
    assert_eq!(named("k1", "k1").err(), Some(JwkError::DuplicateKid));
    let set = named("k1", "k2").expect("a set");
    let found: Vec<_> = set.find(Some("k2"), Algorithm::Es256).collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].to_jwk()["x"], two["x"]);
    assert_eq!(set.find(None, Algorithm::Es256).count(), 2);
    assert_eq!(set.find(Some("k2"), Algorithm::EdDsa).count(), 0);
    assert_eq!(set.find(Some("k3"), Algorithm::Es256).count(), 0);
    assert_eq!(named("k1", "\r\n").err(), Some(JwkError::Malformed("kid")));
}

#[test]
fn sets_have_one_to_sixteen_keys_and_one_text() {
    let set = |count| KeySet::of_keys((0..count).map(|_| es256().public().clone()));
    assert_eq!(set(0).err(), Some(JwkError::SetSize));
    assert_eq!(set(17).err(), Some(JwkError::SetSize));
    let set = set(16).expect("a set");
    let text = set.to_canonical_json();
    let again = KeySet::parse(&serde_json::from_str(&text).expect("JSON")).expect("a set");
    assert_eq!(again.to_canonical_json(), text);
    assert_eq!(again.keys().count(), 16);
    let names: Vec<&str> = set.keys().map(PublicKey::thumbprint).collect();
    assert_eq!(again.find(Some(names[3]), Algorithm::Es256).count(), 1);
    assert!(KeySet::parse(&json!({"keys": {}})).is_err());
    assert!(KeySet::parse(&json!([])).is_err());
}

#[test]
fn an_absent_kid_is_the_thumbprint() {
    let key = es256();
    let jwk = key.public().bare_jwk();
    let set = KeySet::parse(&json!({ "keys": [jwk] })).expect("a set");
    let thumbprint = key.public().thumbprint();
    assert_eq!(set.find(Some(thumbprint), Algorithm::Es256).count(), 1);
}

#[test]
fn cry_04_a_set_can_be_held_to_the_algorithms_of_its_use() {
    let set = |jwk: Value| KeySet::parse(&json!({ "keys": [jwk] })).expect("a set");
    let allowed = crate::client_assertion::ALGORITHMS;
    let refusal = set(rsa()).restricted_to(&allowed).err();
    assert_eq!(refusal, Some(JwkError::AlgorithmNotAllowed));
    assert!(
        set(with(&rsa(), "alg", "PS256"))
            .restricted_to(&allowed)
            .is_ok()
    );
    assert!(
        set(es256().public().to_jwk())
            .restricted_to(&allowed)
            .is_ok()
    );
}

fn hex(text: &Value) -> Vec<u8> {
    let text = text.as_str().expect("hexadecimal digits");
    (0..text.len() / 2)
        .map(|place| u8::from_str_radix(&text[place * 2..place * 2 + 2], 16).expect("digits"))
        .collect()
}

#[test]
fn vectors_jwk_thumbprint_rfc7638() {
    let Some(vectors) = vectors::file("jwk-thumbprint-rfc7638", "vectors.json") else {
        return;
    };
    let cases = match &vectors {
        Value::Array(cases) => cases,
        other => other["vectors"].as_array().expect("a list"),
    };
    for case in cases {
        let key = match case["jwk"]["kty"].as_str() {
            Some("RSA") => PublicKey::from_jwk_for(&case["jwk"], Algorithm::Rs256),
            _ => PublicKey::from_jwk(&case["jwk"]),
        };
        assert_eq!(key.expect("a key").thumbprint(), case["sha256"]);
    }
    println!("jwk-thumbprint-rfc7638: {} cases", cases.len());
    assert!(cases.len() >= 3);
}

/// The key of a group as a JWK: not every group brings one, all bring the numbers.
fn jwk_of(group: &Value, algorithm: Algorithm) -> Value {
    let key = &group["publicKey"];
    let text = |bytes: &[u8]| base64url::encode(bytes);
    match algorithm {
        Algorithm::Es256 => {
            let point = hex(&key["uncompressed"]);
            json!({"kty": "EC", "crv": "P-256", "x": text(&point[1..33]), "y": text(&point[33..])})
        }
        Algorithm::EdDsa => json!({"kty": "OKP", "crv": "Ed25519", "x": text(&hex(&key["pk"]))}),
        Algorithm::Ps256 | Algorithm::Rs256 => {
            // Signed integers there: a zero stands before the highest bit.
            let (n, e) = (hex(&key["modulus"]), hex(&key["publicExponent"]));
            let alg = algorithm.name();
            json!({"kty": "RSA", "alg": alg, "n": text(&n[1..]), "e": text(&e)})
        }
    }
}

#[test]
fn vectors_wycheproof_signatures() {
    let files = [
        ("ecdsa_secp256r1_sha256_p1363_test.json", Algorithm::Es256),
        ("ed25519_test.json", Algorithm::EdDsa),
        ("rsa_signature_2048_sha256_test.json", Algorithm::Rs256),
        ("rsa_pss_2048_sha256_mgf1_32_test.json", Algorithm::Ps256),
    ];
    let mut ran = 0;
    for (name, algorithm) in files {
        let Some(file) = vectors::file("wycheproof-signatures", name) else {
            return;
        };
        for group in file["testGroups"].as_array().expect("a list") {
            let key = PublicKey::from_jwk(&jwk_of(group, algorithm)).expect("a key");
            for case in group["tests"].as_array().expect("a list") {
                let verdict = key.verify(&hex(&case["msg"]), &hex(&case["sig"]));
                // The one `acceptable` case (`MissingNull`) may go either way, and is refused here.
                let expected = case["result"] == "valid";
                assert_eq!(verdict.is_ok(), expected, "{name} {}", case["tcId"]);
                ran += 1;
            }
        }
    }
    println!("wycheproof-signatures: {ran} cases");
    assert!(ran >= 529);
}

#[test]
fn vectors_ed25519_cctv() {
    let Some(cases) = vectors::file("ed25519-cctv", "ed25519vectors.json") else {
        return;
    };
    let cases = cases.as_array().expect("a list");
    let mut accepted = 0;
    for case in cases {
        let flags = case["flags"].as_array();
        let flagged = |name: &str| flags.is_some_and(|flags| flags.iter().any(|flag| flag == name));
        let x = base64url::encode(&hex(&case["key"]));
        let key = PublicKey::from_jwk(&json!({"kty": "OKP", "crv": "Ed25519", "x": x}));
        let is_bad_key = flagged("low_order_A") || flagged("non_canonical_A");
        assert_eq!(key.is_err(), is_bad_key, "{case}");
        let Ok(key) = key else { continue };
        let message = case["msg"].as_str().expect("a text");
        let verdict = key.verify(message.as_bytes(), &hex(&case["sig"]));
        // The equation is checked without the cofactor, and R byte by byte.
        let expected = !flagged("low_order_residue") && !flagged("non_canonical_R");
        assert_eq!(verdict.is_ok(), expected, "{case}");
        accepted += u32::from(verdict.is_ok());
    }
    println!("ed25519-cctv: {} cases, {accepted} accepted", cases.len());
    assert!(cases.len() >= 602);
}
