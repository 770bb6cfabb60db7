//! `/v1/issuers`: who may name an issuer, what is one, and that it ends with everything that came of it.

use serde_json::{Value, json};

use super::world::{bare, working};
use crate::clients::world::LOCAL;
use crate::house::{jwks, new_key};

#[tokio::test]
async fn issuer_is_named_looked_at_shown_and_removed() {
    let works = bare().await;
    let house = &works.house;
    let view = works.add_issuer(json!({})).await.ok();
    assert_eq!(view["name"], "ci");
    assert_eq!(view["issuer"], works.app.origin);
    assert_eq!(view["audience"], LOCAL);
    assert_eq!(view["keys"], "discovery");
    assert_eq!(works.app.asked(), 2, "its documents are there");
    let added = house.last_event("issuer.added").await;
    assert_eq!(added["facts"]["issuer"], works.app.origin);
    assert_eq!(added["facts"]["audience"], LOCAL);
    let listed = house.get("/v1/issuers").await;
    assert_eq!(listed["items"], json!([view]));
    assert_eq!(house.get("/v1/issuers/ci").await, view);
    // One of a name, one of an identifier.
    let body = json!({"name": "ci", "issuer": "https://ci.example", "jwks": jwks(&new_key())});
    let taken = house.admin("POST", "/v1/issuers", body).await;
    taken.refused(409, "conflict");
    works
        .add_issuer(json!({"name": "ci2"}))
        .await
        .refused(409, "conflict");
    let removed = house.admin("DELETE", "/v1/issuers/ci", Value::Null).await;
    assert_eq!(removed.ok()["name"], "ci");
    let event = house.last_event("issuer.removed").await;
    assert_eq!(event["facts"]["agents"], "0");
    house
        .admin("GET", "/v1/issuers/ci", Value::Null)
        .await
        .refused(404, "not_found");
    house
        .admin("DELETE", "/v1/issuers/ci", Value::Null)
        .await
        .refused(404, "not_found");
    works.add_issuer(json!({})).await.ok();
}

#[tokio::test]
async fn what_is_no_issuer_is_refused_before_anything_is_fetched() {
    let works = bare().await;
    let house = &works.house;
    for (name, issuer) in [
        ("CI", "https://ci.example"),
        ("", "https://ci.example"),
        ("ci", "http://ci.example"),
        ("ci", "https://user@ci.example"),
        ("ci", "https://ci.example/?a=b"),
        ("ci", "https://ci.example/#a"),
        ("ci", "https://CI.example"),
        ("ci", "ci.example"),
        ("ci", LOCAL),
        ("ci", "http://127.0.0.1:7420/"),
    ] {
        let body = json!({"name": name, "issuer": issuer, "jwks": jwks(&new_key())});
        let answer = house.admin("POST", "/v1/issuers", body).await;
        answer.refused(400, "invalid_request");
    }
    let weak = json!({"keys": [{"kty": "oct", "k": "AAAA"}]});
    let none = json!({"keys": []});
    let mut private = jwks(&new_key());
    private["keys"][0]["d"] = json!("AAAA");
    let other_use = json!({"keys": [{"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}]});
    for keys in [weak, none, private, other_use, json!({}), json!("x")] {
        let body = json!({"name": "ci", "issuer": "https://ci.example", "jwks": keys});
        let answer = house.admin("POST", "/v1/issuers", body).await;
        answer.refused(400, "invalid_request");
    }
    for audience in ["", "a\nb", &"x".repeat(513)] {
        let body = json!({
            "name": "ci", "issuer": "https://ci.example", "jwks": jwks(&new_key()), "audience": audience,
        });
        let answer = house.admin("POST", "/v1/issuers", body).await;
        answer.refused(400, "invalid_request");
    }
    assert!(house.events_of("issuer.added").await.is_empty());
}

#[tokio::test]
async fn issuer_whose_documents_are_of_another_is_not_named() {
    let works = bare().await;
    let document = json!({
        "issuer": "https://other.example", "jwks_uri": works.app.url("/jwks"),
    });
    let path = "/.well-known/openid-configuration";
    works
        .app
        .put(path, 200, "application/json", document.to_string());
    let answer = works.add_issuer(json!({})).await;
    assert_eq!(answer.status.as_u16(), 422, "{answer:?}");
    assert!(works.house.events_of("issuer.added").await.is_empty());
    // With registered keys nothing is asked of it.
    let asked = works.app.asked();
    let keys = jwks(&works.signer);
    let view = works.add_issuer(json!({"jwks": keys})).await.ok();
    assert_eq!(view["keys"], "registered");
    assert_eq!(works.app.asked(), asked);
    works.trust(json!({})).await.ok();
    works.get(json!({})).await.ok();
    assert_eq!(works.app.asked(), asked);
}

/// FED-02, FED-07: removed, an issuer vouches for nobody at once, and what it vouched for before is void.
#[tokio::test]
async fn fed_02_fed_07_removed_issuer_vouches_for_nobody_and_its_tokens_are_void() {
    let works = working().await;
    let beside = works.beside(7).await;
    let token = works.token().await;
    assert!(works.is_active(&token).await);
    let (assertion, unused) = (works.assertion(json!({})), works.assertion(json!({})));
    works.present(&assertion).await.ok();
    let removed = works
        .house
        .admin("DELETE", "/v1/issuers/ci", Value::Null)
        .await;
    removed.ok();
    assert!(!works.is_active(&token).await);
    for assertion in [&assertion, &unused] {
        works
            .present(assertion)
            .await
            .oauth_error(400, "invalid_grant");
        assert_eq!(works.refused_because().await, "unknown_issuer");
        // Another process knows it from the same row.
        let ask = works.ask_at(&beside, assertion, &works.job, &[]).await;
        beside.send(ask).await.oauth_error(400, "invalid_grant");
    }
    let event = works.house.last_event("issuer.removed").await;
    assert_eq!(event["facts"]["agents"], "1");
    // Which tokens it vouched for, the record says.
    let issued = works.house.events_of("token.issued").await;
    assert!(issued.iter().all(|event| event["facts"]["issuer"] == "ci"));
    // Named anew it is another one: nobody trusts it yet.
    works.add_issuer(json!({})).await.ok();
    assert!(works.trusts().await.is_empty());
    let refused = works.get(json!({})).await;
    refused.oauth_error(400, "invalid_grant");
    assert_eq!(works.refused_because().await, "not_trusted");
    works.trust(json!({})).await.ok();
    works.get(json!({})).await.ok();
}
