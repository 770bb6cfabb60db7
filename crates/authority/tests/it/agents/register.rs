//! `POST /v1/agents`: what may be registered, and what is refused with a reason.

use serde_json::{Value, json};

use crate::house::{ADMIN, House, jwks, new_key};
use crate::request::ask;

fn document(changes: Value) -> Value {
    let mut document = json!({"name": "refund-bot", "owner": "alice@example.com"});
    for (name, value) in changes.as_object().expect("members") {
        document[name] = value.clone();
    }
    json!({"document": document})
}

#[tokio::test]
async fn agent_is_registered_with_an_identity_of_its_own() {
    let house = House::found().await;
    let key = new_key();
    let mut body = document(json!({"description": "pays refunds"}));
    body["jwks"] = jwks(&key);
    let view = house.admin("POST", "/v1/agents", body).await.ok();
    assert!(view["id"].as_str().expect("an id").starts_with("agt_"));
    assert_eq!(view["status"], "active");
    assert_eq!(view["version_number"], 1);
    assert_eq!(view["keys"], json!([key.public().thumbprint()]));
    assert_eq!(house.get("/v1/agents/refund-bot").await, view);
    let by_id = format!("/v1/agents/{}", view["id"].as_str().expect("an id"));
    assert_eq!(house.get(&by_id).await, view);
    assert_eq!(house.get("/v1/agents").await["items"], json!([view]));
    // The signature is one that a stranger checks with the published keys.
    let keys = house
        .send(ask("GET", "/.well-known/chancery/document-keys"))
        .await
        .ok();
    let key = chancery_wire::jwk::PublicKey::from_jwk(&keys["keys"][0]).expect("a key");
    let signed = chancery_wire::jws::Unverified::parse(
        view["signature"].as_str().expect("a JWS"),
        chancery_wire::json::TOKEN,
    );
    let verified = signed.expect("a JWS").verify(&key).expect("our signature");
    let said: Value = serde_json::from_slice(verified.payload()).expect("JSON");
    assert!(
        said.to_string()
            .contains(view["version"].as_str().expect("a digest")),
        "{said}"
    );
}

#[tokio::test]
async fn idr_03_somebody_answers_for_every_agent() {
    let house = House::found().await;
    let bot = house.register("first-bot").await;
    for owner in [
        json!(""),
        Value::Null,
        json!(bot.id),
        json!("team:"),
        json!(["alice@example.com"]),
    ] {
        house
            .admin("POST", "/v1/agents", document(json!({"owner": owner})))
            .await
            .refused(400, "invalid_request");
    }
    let mut without = document(json!({}));
    without["document"]
        .as_object_mut()
        .expect("members")
        .remove("owner");
    house
        .admin("POST", "/v1/agents", without)
        .await
        .refused(400, "invalid_request");
    let unknown_team = document(json!({"owner": "team:nobody"}));
    house
        .admin("POST", "/v1/agents", unknown_team)
        .await
        .refused(400, "invalid_request");
    let of_team = document(json!({"owner": "team:empty"}));
    house
        .admin("POST", "/v1/owners", json!({"handle": "team:empty"}))
        .await
        .ok();
    house
        .admin("POST", "/v1/agents", of_team.clone())
        .await
        .refused(409, "conflict");
    let members = json!({"handle": "team:empty", "members": ["alice@example.com"]});
    house.admin("POST", "/v1/owners", members).await.ok();
    house.admin("POST", "/v1/agents", of_team).await.ok();
    let left = json!({"reason": "left"});
    house
        .admin("POST", "/v1/owners/alice@example.com/disable", left)
        .await
        .ok();
    let after = document(json!({"name": "late-bot"}));
    house
        .admin("POST", "/v1/agents", after)
        .await
        .refused(409, "conflict");
    let after = document(json!({"name": "late-bot", "owner": "team:empty"}));
    house
        .admin("POST", "/v1/agents", after)
        .await
        .refused(409, "conflict");
}

#[tokio::test]
async fn idr_03_agent_whose_last_person_left_is_no_longer_live() {
    let house = House::found().await;
    house.resource("https://r1.example").await;
    house.add_person("alice@example.com").await;
    house.add_person("bob@example.com").await;
    let members =
        json!({"handle": "team:desk", "members": ["alice@example.com", "bob@example.com"]});
    house.admin("POST", "/v1/owners", members).await.ok();
    let agent = house
        .register_document(json!({"name": "desk-bot", "owner": "team:desk"}))
        .await;
    house.token(&agent, "https://r1.example").await;
    let left = json!({"reason": "left"});
    house
        .admin("POST", "/v1/owners/alice@example.com/disable", left.clone())
        .await
        .ok();
    house.token(&agent, "https://r1.example").await;
    house
        .admin("POST", "/v1/owners/bob@example.com/disable", left)
        .await
        .ok();
    let orphan = house.ask_token(&agent, "https://r1.example").await;
    orphan.oauth_error(401, "invalid_client");
    // Somebody who answers brings it back.
    house.add_person("carol@example.com").await;
    let to = json!({"owner": "carol@example.com"});
    house
        .admin("POST", "/v1/agents/desk-bot/transfer", to)
        .await
        .ok();
    house.token(&agent, "https://r1.example").await;
}

#[tokio::test]
async fn idr_04_documents_have_one_canonical_form_or_are_refused() {
    let house = House::found().await;
    let raw = |body: &str| {
        ask("POST", "/v1/agents")
            .bearer(ADMIN)
            .body("application/json", body)
    };
    for bad in [
        r#"{"document":{"name":"a-bot","name":"b-bot","owner":"alice@example.com"}}"#,
        r#"{"document":{"name":"a-bot","owner":"alice@example.com"},"document":{}}"#,
        "\u{feff}{\"document\":{\"name\":\"a-bot\",\"owner\":\"alice@example.com\"}}",
        r#"{"document":{"name":"a-bot","owner":"alice@example.com"}} {}"#,
        r#"{"document":{"name":"a-bot","owner":"alice@example.com","description":"\ud800"}}"#,
        r#"{"document":{"name":"a-bot","owner":"alice@example.com","autonomy_level":9007199254740993}}"#,
        r#"{"document":{"name":"a-bot","owner":"alice@example.com","autonomy_level":NaN}}"#,
        r#"{"document":{"name":"A-Bot","owner":"alice@example.com"}}"#,
        "{\"document\":{\"name\":\"a-bot\",\"owner\":\"alice@example.com\"}",
        "",
    ] {
        house.send(raw(bad)).await.refused(400, "invalid_request");
    }
    // Order of members and escapes do not matter: the digest is that of the canonical form.
    let one = r#"{"document":{"name":"a-bot","owner":"alice@example.com","description":"a/ü"}}"#;
    let other = r#"{ "document" : {"description":"a\/\u00fc", "owner":"alice@example.com","name":"a-bot"}}"#;
    let first = house.send(raw(one)).await.ok();
    house
        .admin(
            "POST",
            "/v1/agents/a-bot/retire",
            json!({"reason": "again"}),
        )
        .await
        .ok();
    let second = house.send(raw(other)).await.ok();
    assert_eq!(first["version"], second["version"]);
    assert_ne!(first["id"], second["id"]);
    // Another normal form of the same letter is another text.
    house
        .admin(
            "POST",
            "/v1/agents/a-bot/retire",
            json!({"reason": "again"}),
        )
        .await
        .ok();
    let decomposed =
        r#"{"document":{"name":"a-bot","owner":"alice@example.com","description":"a/u\u0308"}}"#;
    assert_ne!(
        house.send(raw(decomposed)).await.ok()["version"],
        first["version"]
    );
}

#[tokio::test]
async fn idr_05_members_that_the_authority_decides_are_refused() {
    let house = House::found().await;
    for (name, value) in [
        ("status", json!("active")),
        ("risk_level", json!("low")),
        ("approved_by", json!("alice")),
        ("id", json!("agt_01hzy0000000000000000000aa")),
        ("created_at", json!("2026-01-01T00:00:00Z")),
        ("version", json!("sha256:00")),
        ("signature", json!("a.b.c")),
        ("revision", json!(9)),
        ("__proto__", json!({})),
        ("Name", json!("x")),
    ] {
        let mut within = document(json!({}));
        within["document"][name] = value.clone();
        house
            .admin("POST", "/v1/agents", within)
            .await
            .refused(400, "invalid_request");
        let mut beside = document(json!({}));
        beside[name] = value;
        house
            .admin("POST", "/v1/agents", beside)
            .await
            .refused(400, "invalid_request");
    }
    assert!(
        house.get("/v1/agents").await["items"]
            .as_array()
            .expect("a list")
            .is_empty()
    );
    house
        .admin("POST", "/v1/agents", document(json!({})))
        .await
        .ok();
}

#[tokio::test]
async fn jwks_01_02_bad_key_sets_are_refused_whole() {
    let house = House::found().await;
    let good = new_key().public().to_jwk();
    let mut duplicate = new_key().public().to_jwk();
    duplicate["kid"] = good["kid"].clone();
    let mut first = good.clone();
    first["kid"] = json!("k1");
    duplicate["kid"] = json!("k1");
    let mut off_curve = good.clone();
    off_curve["y"] = good["x"].clone();
    let mut mislabelled = good.clone();
    mislabelled["crv"] = json!("P-384");
    let mut private = good.clone();
    private["d"] = good["x"].clone();
    let zero = "A".repeat(43);
    let modulus = |bytes: usize| chancery_wire::base64url::encode(&vec![0xc5; bytes]);
    let rsa = |bytes, e: &str| json!({"kty": "RSA", "alg": "PS256", "n": modulus(bytes), "e": e});
    for (what, keys) in [
        ("no keys", json!([])),
        ("two keys of one name", json!([first, duplicate])),
        ("a point off the curve", json!([off_curve])),
        (
            "the point at infinity",
            json!([{"kty": "EC", "crv": "P-256", "x": zero, "y": zero}]),
        ),
        ("another curve than it says", json!([mislabelled])),
        (
            "a symmetric key",
            json!([{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"}]),
        ),
        ("a private key", json!([private])),
        ("RSA of 1024 bits", json!([rsa(128, "AQAB")])),
        ("RSA with e = 1", json!([rsa(256, "AQ")])),
        (
            "one good key beside a bad one",
            json!([good, {"kty": "oct", "k": "AAAA"}]),
        ),
        (
            "more than sixteen keys",
            Value::Array((0..17).map(|_| new_key().public().to_jwk()).collect()),
        ),
    ] {
        let mut body = document(json!({}));
        body["jwks"] = json!({"keys": keys});
        let problem = house
            .admin("POST", "/v1/agents", body)
            .await
            .refused(400, "invalid_request");
        assert!(
            problem["title"]
                .as_str()
                .expect("a title")
                .contains("`jwks`"),
            "{what}: {problem}"
        );
    }
    let mut body = document(json!({}));
    body["jwks"] = json!({"keys": [good]});
    house.admin("POST", "/v1/agents", body).await.ok();
    // Replacing keys is held to the same, and what is refused leaves the old ones in force.
    for path in ["/v1/agents/refund-bot/keys"] {
        house
            .admin("PUT", path, json!({"jwks": {"keys": [first, duplicate]}}))
            .await
            .refused(400, "invalid_request");
        assert_eq!(
            house.get("/v1/agents/refund-bot").await["keys"]
                .as_array()
                .expect("keys")
                .len(),
            1
        );
    }
    let weak = json!({"url": "https://r1.example", "jwks": {"keys": [first, duplicate]}});
    house
        .admin("POST", "/v1/resources", weak)
        .await
        .refused(400, "invalid_request");
}

/// A real RSA key of 2048 bits (RFC 7515, appendix A.2), for an algorithm that nothing here accepts.
#[tokio::test]
async fn cry_04_key_of_an_algorithm_that_no_endpoint_accepts_is_refused_at_registration() {
    let house = House::found().await;
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    for (alg, accepted) in [("RS256", false), ("PS256", true)] {
        let mut body = document(json!({}));
        body["jwks"] = json!({"keys": [{"kty": "RSA", "alg": alg, "n": n, "e": "AQAB"}]});
        let answer = house.admin("POST", "/v1/agents", body).await;
        if accepted {
            answer.ok();
        } else {
            answer.refused(400, "invalid_request");
        }
    }
}
