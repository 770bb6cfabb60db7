//! Adding, showing and removing providers.

use serde_json::{Value, json};

use super::idp::SECRET;
use super::world::{ORIGIN, World};
use crate::house::House;

#[tokio::test]
async fn provider_is_added_shown_and_removed_and_its_secret_is_nowhere() {
    let world = World::with(json!({
        "allow_domains": ["example.com"], "require_claims": [{"name": "hd", "value": "example.com"}],
        "handle_claim": "email",
    }))
    .await;
    let shown = world.house.get("/v1/providers/corp").await;
    assert_eq!(shown["issuer"], world.idp.issuer);
    assert_eq!(shown["method"], "client_secret");
    assert_eq!(
        shown["redirect_uri"],
        format!("{ORIGIN}/sign-in/providers/corp/callback")
    );
    assert_eq!(
        shown["logout_uri"],
        format!("{ORIGIN}/sign-in/providers/corp/logout")
    );
    assert_eq!(shown["join"], false);
    assert_eq!(shown["added_by"], "local-administrator");
    let listed = world.house.get("/v1/providers").await;
    assert_eq!(listed["items"], json!([shown]));
    let events = world.house.events().await;
    let texts = [
        shown.to_string(),
        json!(events).to_string(),
        crate::house::logged(),
    ];
    assert!(texts.iter().all(|text| !text.contains(SECRET)));
    let sealed = world
        .house
        .database
        .texts("SELECT sealed FROM provider")
        .await;
    assert!(!sealed[0].is_empty() && !sealed[0].contains(SECRET));
    let twice = world.add(json!({})).await;
    twice.refused(409, "conflict");
    world
        .house
        .admin("DELETE", "/v1/providers/corp", Value::Null)
        .await
        .ok();
    let gone = world
        .house
        .admin("GET", "/v1/providers/corp", Value::Null)
        .await;
    gone.refused(404, "not_found");
    let sealed = world
        .house
        .database
        .texts("SELECT sealed FROM provider")
        .await;
    assert_eq!(sealed, [""]);
    let added = world.house.last_event("provider.added").await;
    assert_eq!(added["facts"]["name"], "corp");
    assert_eq!(world.house.events_of("provider.removed").await.len(), 1);
}

#[tokio::test]
async fn fed_05_provider_that_could_not_work_is_not_added() {
    let world = World::new().await;
    world
        .house
        .admin("DELETE", "/v1/providers/corp", Value::Null)
        .await
        .ok();
    for settings in [
        json!({"name": "Corp"}),
        json!({"name": "a/b"}),
        json!({"issuer": "http://idp.example"}),
        json!({"issuer": format!("{}?a=b", world.idp.issuer)}),
        json!({"client_secret": null}),
        json!({"client_secret": "with space"}),
        json!({"private_jwk": {"kty": "EC"}}),
        json!({"client_secret": null, "private_jwk": {"kty": "oct", "k": "AAAA"}}),
        json!({"handle_claim": "sub"}),
        json!({"handle_claim": "act"}),
        json!({"allow_domains": ["Example.com"]}),
        json!({"require_claims": [{"name": "", "value": "x"}]}),
        json!({"client_id": ""}),
    ] {
        let refused = world.add(settings.clone()).await;
        assert_eq!(refused.status, 400, "{settings}: {refused:?}");
    }
    // Nor one that gives nobody anything to sign in with.
    let good = world.idp.says.lock().expect("a lock").document.clone();
    for (member, value) in [
        ("authorization_endpoint", Value::Null),
        (
            "token_endpoint_auth_methods_supported",
            json!(["tls_client_auth"]),
        ),
        ("id_token_signing_alg_values_supported", json!(["HS256"])),
        ("issuer", json!("http://127.0.0.1:1")),
    ] {
        world.idp.say(|says| {
            says.document = good.clone();
            match &value {
                Value::Null => drop(
                    says.document
                        .as_object_mut()
                        .expect("a document")
                        .remove(member),
                ),
                value => says.document[member] = value.clone(),
            }
        });
        world
            .house
            .advance(std::time::Duration::from_secs(301))
            .await;
        let refused = world.add(json!({})).await;
        refused.refused(422, "unacceptable");
    }
    world.idp.say(|says| says.document = good);
    world
        .house
        .advance(std::time::Duration::from_secs(301))
        .await;
    world.add(json!({})).await.ok();
}

#[tokio::test]
async fn ssrf_01_provider_on_loopback_is_for_development_alone() {
    let house = House::found().await;
    let body = json!({
        "name": "corp", "issuer": "http://127.0.0.1:9", "client_id": "x", "client_secret": "x",
    });
    let refused = house.admin("POST", "/v1/providers", body).await;
    refused.refused(400, "invalid_request");
    let world = World::new().await;
    assert_eq!(
        world.house.get("/v1/providers/corp").await["private_network"],
        false
    );
}
