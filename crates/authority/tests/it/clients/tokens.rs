//! Tokens of public clients: by a code once, and by a refresh token that is of use once.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::clients::world::{REDIRECT, World, offered};
use crate::house::{ADMIN, House, claims, new_key};
use crate::request::{Ask, ask};

fn text<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer[name]
        .as_str()
        .unwrap_or_else(|| panic!("no `{name}` in {answer}"))
}

#[tokio::test]
async fn code_is_of_use_to_its_client_with_its_verifier_once() {
    let world = World::new().await;
    let house = &world.house;
    world.adopt(&world.alice, &world.client, &["add"]).await;
    let other = world.app.put_client("/other.json", |_| {});
    world.adopt(&world.alice, &other, &["add"]).await;
    let query = world.query(&world.client, &[]);
    let fresh = async || world.code(&world.alice, &query, &["add"]).await;
    for (name, value) in [
        ("client_id", &*other),
        (
            "code_verifier",
            "another-verifier-of-more-than-forty-three-characters",
        ),
        ("code_verifier", ""),
        ("redirect_uri", "http://127.0.0.1:5001/cb"),
        ("client_id", "https://app.example/client.json"),
    ] {
        let code = fresh().await;
        let mut pairs = vec![
            ("grant_type", "authorization_code"),
            ("client_id", &*world.client),
            ("code", &*code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", crate::clients::world::VERIFIER),
        ];
        pairs
            .iter_mut()
            .filter(|(own, _)| *own == name)
            .for_each(|(_, own)| *own = value);
        let refused = house.send(ask("POST", "/oauth/token").form(&pairs)).await;
        refused.oauth_error(400, "invalid_grant");
        // Whoever had half of it used it up.
        house
            .send(world.redeem(&world.client, &code))
            .await
            .oauth_error(400, "invalid_grant");
    }
    // Once, and a second time ends all that came of it.
    let code = fresh().await;
    let tokens = house.send(world.redeem(&world.client, &code)).await.ok();
    assert!(world.passes(text(&tokens, "access_token")));
    house
        .send(world.redeem(&world.client, &code))
        .await
        .oauth_error(400, "invalid_grant");
    assert!(!world.passes(text(&tokens, "access_token")));
    assert_eq!(
        house.last_event("grant.revoked").await["outcome"],
        "code_replayed"
    );
    // On its own behalf a public client has nothing, and nobody else's name makes one.
    for (client, error) in [
        (&*world.client, "unauthorized_client"),
        ("agt_01hzy0000000000000000000aa", "invalid_client"),
    ] {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", client),
            ("resource", &world.resource),
        ];
        let refused = house.send(ask("POST", "/oauth/token").form(&form)).await;
        assert_eq!(refused.json()["error"], error);
    }
    let late = fresh().await;
    house.advance(Duration::from_secs(61)).await;
    house
        .send(world.redeem(&world.client, &late))
        .await
        .oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn refresh_token_is_replaced_by_its_use_and_ends_the_grant_when_it_comes_again() {
    let world = World::new().await;
    let house = &world.house;
    let (_, first) = world.signed_in().await;
    let second = house
        .send(world.refresh(&world.client, text(&first, "refresh_token")))
        .await
        .ok();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    let third = house
        .send(world.refresh(&world.client, text(&second, "refresh_token")))
        .await
        .ok();
    assert!(world.passes(text(&third, "access_token")));
    assert_eq!(
        claims(text(&third, "access_token"))["client_id"],
        world.client
    );
    // Not by another name, which changes nothing.
    let stranger = world.refresh(
        "https://app.example/client.json",
        text(&third, "refresh_token"),
    );
    house.send(stranger).await.oauth_error(400, "invalid_grant");
    // An old one is in two hands.
    house
        .send(world.refresh(&world.client, text(&first, "refresh_token")))
        .await
        .oauth_error(400, "invalid_grant");
    assert_eq!(
        house.last_event("grant.revoked").await["outcome"],
        "refresh_token_reused"
    );
    assert!(!world.passes(text(&third, "access_token")));
    house
        .send(world.refresh(&world.client, text(&third, "refresh_token")))
        .await
        .oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn of_fifty_who_refresh_at_once_one_gets_a_token_at_most_and_then_the_grant_is_over() {
    let world = World::new().await;
    let house = &world.house;
    let (_, tokens) = world.signed_in().await;
    let refresh = text(&tokens, "refresh_token");
    let asks = (0..50).map(|_| house.send(world.refresh(&world.client, refresh)));
    let answers = join_all(asks).await;
    let won: Vec<Value> = answers
        .iter()
        .filter(|answer| answer.status == 200)
        .map(|answer| answer.json())
        .collect();
    assert!(won.len() <= 1);
    assert_eq!(house.events_of("grant.revoked").await.len(), 1);
    for answer in &won {
        assert!(!world.passes(text(answer, "access_token")));
        house
            .send(world.refresh(&world.client, text(answer, "refresh_token")))
            .await
            .oauth_error(400, "invalid_grant");
    }
    // The person lets it act again.
    let code = world
        .code(&world.alice, &world.query(&world.client, &[]), &["add"])
        .await;
    house.send(world.redeem(&world.client, &code)).await.ok();
}

#[tokio::test]
async fn without_an_exception_a_client_is_told_at_once_and_with_a_key_it_goes_on() {
    let world = World::with(json!({})).await;
    let house = &world.house;
    let plain = world
        .authorize(&world.alice, &world.query(&world.client, &[]))
        .await;
    let refused = offered(&plain);
    assert_eq!(refused["error"], "invalid_target");
    assert!(
        refused["error_description"].contains("--allow-bearer"),
        "{refused:?}"
    );
    // A client that names its key.
    let key = new_key();
    let jkt = key.public().thumbprint().to_owned();
    let query = world.query(&world.client, &[("dpop_jkt", &jkt)]);
    let waits = world.consent(&world.alice, &query, &["add"]).await;
    assert!(waits.text().contains("A second person"), "{waits:?}");
    let id = house.last_event("agent.registered").await["agent"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    house.activate(ADMIN, &id).await.ok();
    let nonce = nonce(&world).await;
    let prove = |ask: Ask| ask.header("dpop", proof(house, &key, &nonce));
    let code = world.code(&world.alice, &query, &["add"]).await;
    let tokens = house
        .send(prove(world.redeem(&world.client, &code)))
        .await
        .ok();
    assert_eq!(tokens["token_type"], "DPoP");
    assert_eq!(claims(text(&tokens, "access_token"))["cnf"]["jkt"], jkt);
    let refresh = text(&tokens, "refresh_token");
    house
        .send(world.refresh(&world.client, refresh))
        .await
        .oauth_error(400, "invalid_dpop_proof");
    let other = new_key();
    let stolen = world
        .refresh(&world.client, refresh)
        .header("dpop", proof(house, &other, &nonce));
    house.send(stolen).await.oauth_error(400, "invalid_grant");
    let renewed = house
        .send(prove(world.refresh(&world.client, refresh)))
        .await
        .ok();
    assert_eq!(renewed["token_type"], "DPoP");
    let bare = world.code(&world.alice, &query, &["add"]).await;
    house
        .send(world.redeem(&world.client, &bare))
        .await
        .oauth_error(400, "invalid_grant");
    // One that says of itself that its tokens are bound shows with which key when it comes.
    let bound = world.app.put_client("/bound.json", |document| {
        document["dpop_bound_access_tokens"] = json!(true)
    });
    world.adopt(&world.alice, &bound, &["add"]).await;
    let query = world.query(&bound, &[]);
    let code = world.code(&world.alice, &query, &["add"]).await;
    house
        .send(world.redeem(&bound, &code))
        .await
        .oauth_error(400, "invalid_grant");
    let code = world.code(&world.alice, &query, &["add"]).await;
    let tokens = house.send(prove(world.redeem(&bound, &code))).await.ok();
    assert_eq!(tokens["token_type"], "DPoP");
}

fn proof(house: &House, key: &chancery_wire::jwk::PrivateKey, nonce: &str) -> String {
    let jti = house.fresh();
    let request = chancery_wire::dpop::Request {
        method: "POST",
        url: "http://127.0.0.1:7420/oauth/token",
        jti: &jti,
        now: house.now(),
        nonce: Some(nonce).filter(|nonce| !nonce.is_empty()),
        access_token: None,
    };
    chancery_wire::dpop::proof(key, &request)
}

async fn nonce(world: &World) -> String {
    let bare = proof(&world.house, &new_key(), "");
    let refused = world
        .house
        .send(world.refresh(&world.client, "chp_x").header("dpop", bare))
        .await;
    refused.oauth_error(400, "use_dpop_nonce");
    refused.header("dpop-nonce").to_owned()
}
