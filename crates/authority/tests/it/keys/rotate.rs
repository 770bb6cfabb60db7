//! `POST /v1/keys/rotate`, and what is published meanwhile.

use std::collections::BTreeSet;
use std::time::Duration;

use chancery_model::entropy::Entropy;
use chancery_model::secret::Secret;
use chancery_wire::seal;
use serde_json::{Value, json};

use crate::house::{House, Seeded, life};
use crate::request::ask;

const R1: &str = "https://r1.example";

/// The names of the published keys.
async fn published(house: &House, path: &str) -> Vec<String> {
    let answer = house.send(ask("GET", path)).await;
    // JWKS-04: nobody may keep a key longer than this.
    let cache = answer.header("cache-control").to_owned();
    let age: u64 = cache
        .rsplit_once("max-age=")
        .expect("an age")
        .1
        .parse()
        .expect("seconds");
    assert!(age <= 300, "{cache}");
    let keys = answer.ok();
    assert!(!keys.to_string().contains("\"d\""), "{keys}");
    let keys = keys["keys"].as_array().expect("keys").iter();
    keys.map(|key| key["kid"].as_str().expect("a name").to_owned())
        .collect()
}

#[tokio::test]
async fn jwks_04_replaced_key_verifies_for_the_overlap_and_then_no_more() {
    let overlap = Duration::from_secs(120);
    let house = House::found_with(|config| config.key_overlap = overlap).await;
    let server = house.resource(R1).await;
    let agent = house.register("refund-bot").await;
    let old = house.token(&agent, R1).await;
    let before = published(&house, "/oauth/jwks").await;
    let made = house
        .admin(
            "POST",
            "/v1/keys/rotate",
            json!({"purpose": "access_token"}),
        )
        .await
        .ok();
    let kid = made["kid"].as_str().expect("a name");
    assert_eq!(made["status"], "active");
    let both = published(&house, "/oauth/jwks").await;
    assert_eq!(
        BTreeSet::from_iter(both.iter().map(String::as_str)),
        BTreeSet::from([before[0].as_str(), before[1].as_str(), kid])
    );
    // No outage: old tokens pass, new ones are signed by the new key.
    assert!(house.is_active(&server, &old).await);
    let new = house.token(&agent, R1).await;
    assert!(house.is_active(&server, &new).await);
    let header = |token: &str| {
        let header = token.split('.').next().expect("a header");
        serde_json::from_slice::<Value>(
            &chancery_wire::base64url::decode(header).expect("base64url"),
        )
        .expect("JSON")
    };
    assert_eq!(header(&new)["kid"], kid);
    assert_eq!(header(&old)["kid"], before[0].as_str());
    house.advance(overlap - Duration::from_secs(1)).await;
    assert!(house.is_active(&server, &old).await);
    // It has not ended by itself; only its key is gone.
    house.advance(Duration::from_secs(1)).await;
    let started = tokio::time::Instant::now();
    assert!(!published(&house, "/oauth/jwks").await.contains(&before[0]));
    while house.is_active(&server, &old).await {
        assert!(
            started.elapsed() < Duration::from_secs(5),
            "withdrawn within five seconds"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(house.is_active(&server, &new).await);
}

#[tokio::test]
async fn documents_outlive_the_key_that_signed_them() {
    let house = House::found().await;
    house.register("refund-bot").await;
    house
        .admin("POST", "/v1/keys/rotate", json!({"purpose": "document"}))
        .await
        .ok();
    house.register("other-bot").await;
    let path = "/.well-known/chancery/document-keys";
    assert_eq!(published(&house, path).await.len(), 2);
    house.advance(Duration::from_secs(86_400 * 365)).await;
    assert_eq!(published(&house, path).await.len(), 2);
    house.get("/v1/agents/refund-bot").await;
    house.get("/v1/agents/other-bot").await;
    for bad in [
        json!({"purpose": "log"}),
        json!({"purpose": "x"}),
        json!({}),
    ] {
        house
            .admin("POST", "/v1/keys/rotate", bad)
            .await
            .refused(400, "invalid_request");
    }
}

#[test]
fn cry_03_key_at_rest_opens_for_its_own_purpose_and_name_alone() {
    // Swapping what is wrapped, or saying another purpose, does not open it.
    let swapped = "UPDATE signing_key SET sealed = (SELECT sealed FROM signing_key AS other \
        WHERE other.purpose = 'document') WHERE purpose = 'access_token'";
    let cut = "UPDATE signing_key SET sealed = substr(sealed, 1, 20)";
    for damage in [swapped, cut] {
        let (database, clock) = life(async {
            let house = House::found().await;
            house.register("refund-bot").await;
            (house.database.clone(), house.clock.clone())
        });
        life(async {
            let sealed = database.texts("SELECT sealed FROM signing_key").await;
            assert_eq!(BTreeSet::from_iter(&sealed).len(), 3);
            database.run(damage).await;
            let opening =
                tokio::spawn(async move { House::open(database, clock, 2, |_| {}).await });
            let refused = opening.await.err().expect("it opened");
            assert!(refused.is_panic(), "the authority does not open");
        });
    }
    // The wrapping itself: another purpose, another name, another master key.
    let seeded = Seeded::new(3);
    let master = Secret::new([7; 32]);
    let sealed = seal::seal(
        &master,
        "signing_key/document/k",
        b"a private key",
        &seeded as &dyn Entropy,
    );
    assert!(seal::open(&master, "signing_key/access_token/k", &sealed).is_err());
    assert!(seal::open(&master, "signing_key/document/j", &sealed).is_err());
    assert!(seal::open(&Secret::new([8; 32]), "signing_key/document/k", &sealed).is_err());
    assert!(seal::open(&master, "signing_key/document/k", &sealed).is_ok());
}

#[tokio::test]
async fn cry_03_each_purpose_publishes_its_own_keys() {
    let house = House::found().await;
    let tokens = published(&house, "/oauth/jwks").await;
    let documents = published(&house, "/.well-known/chancery/document-keys").await;
    assert_ne!(tokens, documents);
    let listed = house.get("/v1/keys").await;
    let purposes: BTreeSet<&str> = listed["items"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|key| key["purpose"].as_str().expect("a purpose"))
        .collect();
    assert_eq!(
        purposes,
        BTreeSet::from(["access_token", "document", "id_token", "log"])
    );
}

#[test]
fn data_of_before_get_a_key_for_a_purpose_that_is_new() {
    let (database, clock) = life(async {
        let house = House::found().await;
        (house.database.clone(), house.clock.clone())
    });
    life(async {
        database
            .run("DELETE FROM purpose_key WHERE purpose = 'id_token'")
            .await;
        let house = House::open(database, clock, 2, |_| {}).await;
        assert_eq!(published(&house, "/oauth/jwks").await.len(), 2);
        let made = house.last_event("key.created").await;
        assert_eq!(made["facts"]["purpose"], "id_token");
    });
}
