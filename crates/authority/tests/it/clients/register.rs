//! Clients that register themselves, while that is open.

use std::time::Duration;

use serde_json::{Value, json};

use crate::clients::world::{REDIRECT, World, stays_here};
use crate::house::House;
use crate::request::{Answer, ask};

async fn register(house: &House, body: Value) -> Answer {
    house.send(ask("POST", "/oauth/register").json(&body)).await
}

async fn open(house: &House, seconds: u64) {
    house
        .admin("POST", "/v1/clients/open", json!({"seconds": seconds}))
        .await
        .ok();
}

fn metadata() -> Value {
    json!({
        "client_name": "An Editor", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
        "response_types": ["code"], "application_type": "native", "scope": "a b",
    })
}

async fn endpoint(house: &House) -> Value {
    let document = house
        .send(ask("GET", "/.well-known/oauth-authorization-server"))
        .await
        .ok();
    assert_eq!(document["client_id_metadata_document_supported"], true);
    assert_eq!(
        document["token_endpoint_auth_methods_supported"],
        json!([
            "private_key_jwt",
            "tls_client_auth",
            "self_signed_tls_client_auth",
            "attest_jwt_client_auth",
            "attest_jwt_client_auth_dpop",
            "none"
        ])
    );
    document["registration_endpoint"].clone()
}

#[tokio::test]
async fn reg_06_registration_is_off_until_it_is_opened_and_ends_by_itself() {
    let world = World::new().await;
    let house = &world.house;
    assert_eq!(endpoint(house).await, Value::Null);
    let closed = register(house, metadata()).await;
    closed.oauth_error(403, "access_denied");
    assert!(closed.text().contains("chancery client open"), "{closed:?}");
    let nobody = house
        .as_login(
            &world.alice,
            "POST",
            "/v1/clients/open",
            json!({"seconds": 60}),
        )
        .await;
    nobody.refused(403, "access_denied");
    house
        .admin("POST", "/v1/clients/open", json!({"seconds": 8 * 86_400}))
        .await
        .refused(400, "invalid_request");
    open(house, 3_600).await;
    assert!(house.last_event("client.registration_opened").await["facts"]["until"].is_string());
    assert_eq!(
        endpoint(house).await,
        format!("{}/oauth/register", crate::clients::world::LOCAL)
    );

    let answer = register(house, metadata()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    let registered = answer.json();
    let client = registered["client_id"].as_str().expect("an id").to_owned();
    assert!(client.starts_with("cli_"));
    assert_eq!(registered["token_endpoint_auth_method"], "none");
    assert_eq!(
        registered["grant_types"],
        json!(["authorization_code", "refresh_token"])
    );
    for secret in [
        "client_secret",
        "registration_access_token",
        "registration_client_uri",
    ] {
        assert_eq!(registered.get(secret), None);
    }
    assert_eq!(
        house.last_event("client.registered").await["facts"]["client"],
        client
    );

    // Nobody answers for it, and the page says so.
    let query = world.query(&client, &[]);
    let page = world.authorize(&world.alice, &query).await;
    assert!(
        page.text().contains("registered itself, unverified"),
        "{page:?}"
    );
    // Unused it is forgotten after a day; one that is used stays.
    let unused = register(house, metadata()).await.json()["client_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    world.adopt(&world.alice, &client, &["add"]).await;
    let code = world.code(&world.alice, &query, &["add"]).await;
    let tokens = house.send(world.redeem(&client, &code)).await.ok();
    house.advance(Duration::from_secs(3_601)).await;
    register(house, metadata())
        .await
        .oauth_error(403, "access_denied");
    assert_eq!(endpoint(house).await, Value::Null);
    house.advance(Duration::from_secs(86_400)).await;
    let alice = house.login("alice@example.com", &["auditor"]).await;
    stays_here(
        &world.authorize(&alice, &world.query(&unused, &[])).await,
        "cannot be recognised",
    );
    assert_eq!(
        world.authorize(&alice, &query).await.status,
        400,
        "the bearer exception has ended"
    );
    let listed = house.get("/v1/clients").await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(listed["items"][0]["id"], client);
    // The exception of the server has ended meanwhile, too.
    let refresh = tokens["refresh_token"].as_str().expect("a token");
    let refused = house.send(world.refresh(&client, refresh)).await;
    assert_eq!(refused.status, 400);
}

#[tokio::test]
async fn reg_06_flood_of_registrations_is_bounded() {
    let house = House::found().await;
    open(&house, 86_400).await;
    let mut made = 0;
    for _ in 0..40 {
        made += usize::from(register(&house, metadata()).await.status == 201);
    }
    assert_eq!(made, 20);
    house.advance(Duration::from_secs(60)).await;
    assert_eq!(register(&house, metadata()).await.status, 201);
    let mut many = metadata();
    many["redirect_uris"] = json!(
        (0..1_000)
            .map(|n| format!("https://a.example/{n}"))
            .collect::<Vec<_>>()
    );
    register(&house, many)
        .await
        .oauth_error(400, "invalid_client_metadata");
    let mut eleven = metadata();
    eleven["redirect_uris"] = json!(
        (0..11)
            .map(|n| format!("https://a.example/{n}"))
            .collect::<Vec<_>>()
    );
    register(&house, eleven)
        .await
        .oauth_error(400, "invalid_redirect_uri");
}

#[tokio::test]
async fn reg_05_reg_07_nothing_is_given_by_asking_for_it() {
    let house = House::found().await;
    open(&house, 3_600).await;
    for (name, value) in [
        ("service_account", json!(true)),
        ("roles", json!(["administrator"])),
        ("tenant", json!("x")),
        ("trusted", json!(true)),
        ("access_token_lifetime", json!(315_360_000)),
        ("client_secret", json!("x")),
        ("client_id", json!("agt_01hzy0000000000000000000aa")),
        ("jwks_uri", json!("https://a.example/jwks")),
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("grant_types", json!(["client_credentials"])),
    ] {
        let mut body = metadata();
        body[name] = value;
        register(&house, body)
            .await
            .oauth_error(400, "invalid_client_metadata");
    }
    for statement in ["e30.e30.", "x"] {
        let mut body = metadata();
        body["software_statement"] = json!(statement);
        register(&house, body)
            .await
            .oauth_error(400, "invalid_software_statement");
    }
    assert_eq!(register(&house, metadata()).await.status, 201);
}

#[tokio::test]
async fn reg_04_client_that_was_removed_begins_and_renews_nothing() {
    let world = World::new().await;
    let house = &world.house;
    open(house, 3_600).await;
    let registered = register(house, metadata()).await.json();
    let client = registered["client_id"].as_str().expect("an id").to_owned();
    world.adopt(&world.alice, &client, &["add"]).await;
    let query = world.query(&client, &[]);
    let code = world.code(&world.alice, &query, &["add"]).await;
    let tokens = house.send(world.redeem(&client, &code)).await.ok();
    let refresh = tokens["refresh_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    let renewed = house.send(world.refresh(&client, &refresh)).await.ok();
    house
        .as_login(
            &world.alice,
            "DELETE",
            &format!("/v1/clients/{client}"),
            Value::Null,
        )
        .await
        .refused(403, "access_denied");
    house
        .admin("DELETE", &format!("/v1/clients/{client}"), Value::Null)
        .await
        .ok();
    let refresh = renewed["refresh_token"]
        .as_str()
        .expect("a token")
        .to_owned();
    house
        .send(world.refresh(&client, &refresh))
        .await
        .oauth_error(400, "invalid_grant");
    stays_here(
        &world.authorize(&world.alice, &query).await,
        "cannot be recognised",
    );
    house
        .admin("DELETE", &format!("/v1/clients/{client}"), Value::Null)
        .await
        .refused(404, "not_found");
}

#[tokio::test]
async fn client_that_a_person_agreed_to_stays_while_its_agent_waits() {
    let world = World::new().await;
    let house = &world.house;
    open(house, 3_600).await;
    let registered = register(house, metadata()).await.json();
    let client = registered["client_id"].as_str().expect("an id");
    let query = world.query(client, &[]);
    let waits = world.consent(&world.alice, &query, &["add"]).await;
    assert!(waits.text().contains("A second person"), "{waits:?}");
    house.advance(Duration::from_secs(2 * 86_400)).await;
    let listed = house.get("/v1/clients").await;
    assert_eq!(listed["items"][0]["id"], client);
    assert!(listed["items"][0]["used_at"].is_string());
}
