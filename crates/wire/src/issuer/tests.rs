use serde_json::{Value, json};

use super::*;
use crate::jwk::PrivateKey;
use crate::jws::{self, Unverified};

const ISSUER: &str = "https://idp.example/realm";

fn document() -> Value {
    json!({
        "issuer": ISSUER,
        "jwks_uri": "https://idp.example/realm/keys",
        "authorization_endpoint": "https://idp.example/realm/authorize?p=1",
        "token_endpoint": "https://idp.example/realm/token",
        "authorization_response_iss_parameter_supported": true,
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none", "ES512"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt", "tls_client_auth"],
        "scopes_supported": ["openid", "offline_access"],
        "claims_supported": ["sub"],
    })
}

fn read(document: &Value) -> Result<IssuerMetadata, InvalidDocument> {
    IssuerMetadata::of_document(document.to_string().as_bytes(), ISSUER)
}

#[test]
fn document_is_read_as_far_as_it_is_understood() {
    let metadata = read(&document()).expect("metadata");
    assert_eq!(metadata.issuer, ISSUER);
    assert!(metadata.promises_iss);
    assert_eq!(metadata.algorithms, [Algorithm::Rs256, Algorithm::Es256]);
    assert_eq!(
        metadata.client_authentication,
        [
            ClientAuthentication::SecretPost,
            ClientAuthentication::PrivateKeyJwt
        ]
    );
    let bare = json!({"issuer": ISSUER, "jwks_uri": "https://idp.example/keys"});
    let metadata = read(&bare).expect("metadata");
    assert_eq!(metadata.algorithms, [Algorithm::Rs256]);
    assert_eq!(
        metadata.client_authentication,
        [ClientAuthentication::SecretBasic]
    );
    assert_eq!(metadata.authorization_endpoint, None);
    assert!(!metadata.promises_iss);
}

#[test]
fn jwt_19_document_of_another_issuer_is_not_believed() {
    for other in [
        "https://idp.example/realm/",
        "https://idp.example/Realm",
        "https://IDP.example/realm",
        "https://idp.example:443/realm",
        "https://idp.example",
        "https://evil.example/realm",
        "",
    ] {
        let mut document = document();
        document["issuer"] = other.into();
        assert_eq!(
            read(&document),
            Err(InvalidDocument::AnotherIssuer),
            "{other}"
        );
    }
}

#[test]
fn members_of_another_form_are_errors_and_not_absences() {
    for (member, value) in [
        ("issuer", json!(null)),
        ("jwks_uri", json!(7)),
        ("jwks_uri", json!("file:///etc/passwd")),
        ("jwks_uri", json!("https://user@idp.example/keys")),
        ("token_endpoint", json!("javascript:alert(1)")),
        ("token_endpoint", json!(null)),
        (
            "authorization_endpoint",
            json!("https://idp.example/authorize#x"),
        ),
        (
            "authorization_response_iss_parameter_supported",
            json!("yes"),
        ),
        ("id_token_signing_alg_values_supported", json!("RS256")),
    ] {
        let mut document = document();
        document[member] = value.clone();
        assert!(read(&document).is_err(), "{member}: {value}");
    }
    let twice =
        document()
            .to_string()
            .replacen('{', r#"{"jwks_uri": "https://evil.example/keys", "#, 1);
    assert!(IssuerMetadata::of_document(twice.as_bytes(), ISSUER).is_err());
    let large = format!("{}{}", document(), " ".repeat(DOCUMENT.bytes));
    assert!(IssuerMetadata::of_document(large.as_bytes(), ISSUER).is_err());
}

#[test]
fn issuer_is_named_by_one_spelling_of_a_protected_url() {
    for text in [
        "https://accounts.google.com",
        "https://tenant.auth0.example/",
        "https://login.example/1234/v2.0",
        "https://sso.example:8443/realms/a",
    ] {
        assert!(parse(text, false).is_ok(), "{text}");
    }
    for text in [
        "http://idp.example",
        "https://IDP.example",
        "https://idp.example:443",
        "https://idp.example/a/../b",
        "https://idp.example/?tenant=1",
        "https://idp.example/#x",
        "https://user@idp.example/",
        "ftp://idp.example",
        "idp.example",
        "",
    ] {
        assert!(parse(text, false).is_err(), "{text}");
        assert!(parse(text, true).is_err(), "{text}");
    }
    assert!(parse("http://127.0.0.1:9000", true).is_ok());
    assert!(parse("http://127.0.0.1:9000", false).is_err());
    let url = discovery_url("https://tenant.auth0.example/");
    assert_eq!(
        url,
        "https://tenant.auth0.example/.well-known/openid-configuration"
    );
}

fn named(key: &PrivateKey, kid: &str) -> Value {
    let mut jwk = key.public().to_jwk();
    jwk["kid"] = kid.into();
    jwk
}

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::Es256).expect("a key")
}

fn keys(jwks: &[Value]) -> Result<IssuerKeys, InvalidDocument> {
    IssuerKeys::of_document(json!({"keys": jwks}).to_string().as_bytes())
}

#[test]
fn keys_that_are_not_for_us_are_passed_over() {
    let ours = key();
    let set = [
        json!({"kty": "RSA", "kid": "enc", "use": "enc", "alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB"}),
        json!({"kty": "EC", "kid": "384", "crv": "P-384", "x": "AA", "y": "AA"}),
        json!({"kty": "RSA", "kid": "weak", "alg": "RS256", "n": "AQAB", "e": "AQAB"}),
        named(&ours, ours.public().thumbprint()),
    ];
    let keys = keys(&set).expect("a set");
    let token = jws::sign(&ours, "JWT", b"{}");
    let token = Unverified::parse(&token, json::TOKEN).expect("a token");
    assert!(keys.verify(&token).is_ok());
    let other = key();
    let token = jws::sign(&other, "JWT", b"{}");
    let token = Unverified::parse(&token, json::TOKEN).expect("a token");
    assert_eq!(keys.verify(&token).err(), Some(NotSigned::UnknownKey));
}

#[test]
fn jwks_01_issuer_with_two_keys_of_one_name_is_not_believed() {
    let (one, two) = (key(), key());
    assert_eq!(
        keys(&[named(&one, "a"), named(&two, "a")]).err(),
        Some(InvalidDocument::DuplicateKid)
    );
    // The same key twice takes nobody in, and neither do two names.
    assert!(keys(&[named(&one, "a"), named(&one, "a"), named(&two, "b")]).is_ok());
}

#[test]
fn issuer_that_publishes_what_is_secret_is_not_believed() {
    let private: Value = serde_json::from_str(key().to_jwk().expose()).expect("a JWK");
    let secret = json!({"kty": "oct", "k": "AAAA", "kid": "s"});
    for jwk in [private, secret] {
        assert_eq!(keys(&[jwk]).err(), Some(InvalidDocument::PrivateKey));
    }
}

#[test]
fn rsa_key_without_an_algorithm_is_for_both_and_for_nothing_else() {
    // The key of RFC 7638 3.1.
    let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCi\
             FV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgn\
             Yb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqb\
             w0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";
    let jwk = json!({"kty": "RSA", "kid": "r", "use": "sig", "n": n, "e": "AQAB"});
    let all = keys(&[jwk]).expect("a set");
    for (algorithm, count) in [
        (Algorithm::Rs256, 1),
        (Algorithm::Ps256, 1),
        (Algorithm::Es256, 0),
        (Algorithm::EdDsa, 0),
    ] {
        assert_eq!(all.find(Some("r"), algorithm).count(), count);
        assert_eq!(all.find(None, algorithm).count(), count);
        assert_eq!(all.find(Some("s"), algorithm).count(), 0);
    }
}
