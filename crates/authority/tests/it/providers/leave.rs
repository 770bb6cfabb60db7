//! Whoever leaves there leaves here; whoever cannot be asked about does not.

use std::time::Duration;

use serde_json::{Value, json};

use super::idp::Idp;
use super::world::{Visitor, World};
use crate::clients::world as clients;
use crate::house::ADMIN;
use crate::request::Answer;

const ALICE: &str = "alice@example.com";
const MINUTES: Duration = Duration::from_secs(301);

async fn status_of(world: &World) -> String {
    let owners = world.house.get("/v1/owners").await;
    let items = owners["items"].as_array().expect("owners").clone();
    let alice = items.iter().find(|owner| owner["handle"] == ALICE);
    alice.expect("alice")["status"]
        .as_str()
        .expect("a status")
        .to_owned()
}

async fn link_of(world: &World) -> Value {
    let links = world.house.get(&format!("/v1/owners/{ALICE}/links")).await;
    links["items"][0].clone()
}

/// Whether an agent has somebody who answers for it.
fn is_live(world: &World, agent: &str) -> bool {
    let snapshot = world.house.authority.current.load();
    let known = &snapshot.agents[&agent.parse().expect("an id")];
    known.live(world.house.now()).is_ok()
}

fn refreshes(world: &World) -> usize {
    let tokens = world.idp.received("/token");
    let refreshes = tokens
        .iter()
        .filter(|one| one.form["grant_type"] == "refresh_token");
    refreshes.count()
}

#[tokio::test]
async fn person_who_was_disabled_there_stops_here() {
    let world = World::new().await;
    let visitor = world.sign_in().await;
    let agent = world.house.register("alices-bot").await;
    assert_eq!(
        world.house.get(&format!("/v1/agents/{}", agent.id)).await["status"],
        "active"
    );
    // Asked again and again, each time with what it gave last.
    world.house.advance(MINUTES).await;
    world.until("asked", async || refreshes(&world) == 1).await;
    world
        .until("noted", async || {
            link_of(&world).await["vouched_at"] != Value::Null
        })
        .await;
    assert!(visitor.is_signed_in(&world).await);
    world
        .until("kept", async || {
            let sealed = world
                .house
                .database
                .texts("SELECT sealed FROM provider_link")
                .await;
            !sealed.is_empty()
        })
        .await;
    world.house.advance(MINUTES).await;
    world
        .until("asked again", async || refreshes(&world) == 2)
        .await;
    let tokens = world.idp.received("/token");
    assert_eq!(
        tokens.last().expect("a refresh").form["refresh_token"],
        "refresh-1"
    );

    world
        .idp
        .say(|says| says.refresh = Some((400, json!({"error": "invalid_grant"}))));
    world.house.advance(MINUTES).await;
    world
        .until("left", async || status_of(&world).await == "disabled")
        .await;
    assert!(!visitor.is_signed_in(&world).await);
    let left = world.house.last_event("owner.disabled").await;
    assert_eq!(left["facts"]["by"], "provider");
    assert_eq!(left["facts"]["name"], "corp");
    assert_eq!(left["actor"]["kind"], "authority");
    // The agent has nobody who answers for it.
    assert!(!is_live(&world, &agent.id));
    assert_ne!(link_of(&world).await["left_at"], Value::Null);

    // If it was not them who left but what we asked with, the provider lets them in again, and they are back.
    world.idp.say(|says| says.refresh = None);
    let visitor = world.sign_in().await;
    assert!(visitor.is_signed_in(&world).await);
    assert_eq!(status_of(&world).await, "active");
    let back = world.house.last_event("owner.returned").await;
    assert_eq!(back["facts"]["handle"], ALICE);
}

#[tokio::test]
async fn person_who_was_disabled_here_never_comes_in_by_a_provider() {
    let world = World::new().await;
    let visitor = world.sign_in().await;
    let path = format!("/v1/owners/{ALICE}/disable");
    let disable = async || -> Answer {
        let body = json!({"reason": "left"});
        world.house.admin("POST", &path, body).await
    };
    disable().await.ok();
    assert!(!visitor.is_signed_in(&world).await);
    assert_eq!(Visitor::default().sign_in(&world).await.status, 403);
    assert_eq!(world.why().await, "person_left");
    disable().await.refused(409, "conflict");
}

#[tokio::test]
async fn word_of_an_administrator_outlasts_that_of_a_provider() {
    let world = World::new().await;
    world.sign_in().await;
    world
        .idp
        .say(|says| says.refresh = Some((400, json!({"error": "invalid_grant"}))));
    world.house.advance(MINUTES).await;
    world
        .until("left", async || status_of(&world).await == "disabled")
        .await;
    let path = format!("/v1/owners/{ALICE}/disable");
    world
        .house
        .admin("POST", &path, json!({"reason": "for good"}))
        .await
        .ok();
    world.idp.say(|says| says.refresh = None);
    assert_eq!(Visitor::default().sign_in(&world).await.status, 403);
    assert_eq!(world.why().await, "person_left");
    assert_eq!(status_of(&world).await, "disabled");
}

#[tokio::test]
async fn provider_that_gives_no_answer_ends_nothing_and_is_counted() {
    let world = World::new().await;
    let visitor = world.sign_in().await;
    let answers = [
        (400, json!({"error": "invalid_client"})),
        (401, json!({"error": "invalid_client"})),
        (500, json!({"error": "invalid_grant"})),
        (200, json!({})),
        (400, json!("invalid_grant")),
    ];
    for (asked, (status, answer)) in (1..).zip(answers) {
        world.idp.say(|says| says.refresh = Some((status, answer)));
        world.house.advance(MINUTES).await;
        world
            .until("counted", async || {
                link_of(&world).await["unanswered"] == asked
            })
            .await;
        assert_eq!(status_of(&world).await, "active");
        assert!(visitor.is_signed_in(&world).await);
    }
    assert_eq!(world.house.get("/v1/providers/corp").await["unanswered"], 1);
    world.idp.say(|says| says.refresh = None);
    world.house.advance(MINUTES).await;
    world
        .until("answered", async || {
            link_of(&world).await["unanswered"] == 0
        })
        .await;
}

async fn logout(world: &World, token: &str) -> Answer {
    let ask = Visitor::default().ask("POST", "/sign-in/providers/corp/logout");
    world.house.send(ask.form(&[("logout_token", token)])).await
}

#[tokio::test]
async fn provider_signs_a_person_out() {
    let world = World::new().await;
    let one = world.sign_in().await;
    world
        .idp
        .say(|says| says.claims = json!({"sid": "session-2"}));
    let two = world.sign_in().await;
    world.idp.say(|says| {
        says.claims = json!({"sub": "sub-bob", "preferred_username": "bob@example.com"})
    });
    let bob = world.sign_in().await;
    let token = world
        .idp
        .logout_token("one", |claims| claims["sid"] = "session-2".into());
    assert_eq!(logout(&world, &token).await.status, 200);
    assert!(one.is_signed_in(&world).await && !two.is_signed_in(&world).await);
    let token = world.idp.logout_token("two", |_| {});
    assert_eq!(logout(&world, &token).await.status, 200);
    assert!(!one.is_signed_in(&world).await && bob.is_signed_in(&world).await);
    let said = world.house.last_event("provider.signed_out").await;
    assert_eq!(said["facts"]["sessions_ended"], "1");
    // Used once: it does not end what begins later.
    world.idp.say(|says| says.claims = json!({}));
    let again = world.sign_in().await;
    let replayed = logout(&world, &token).await;
    assert_eq!(replayed.status, 400, "{replayed:?}");
    assert_eq!(world.why().await, "logout_token_used");
    assert!(again.is_signed_in(&world).await);
}

#[tokio::test]
async fn word_of_somebody_else_signs_nobody_out() {
    let world = World::new().await;
    let visitor = world.sign_in().await;
    let at = world.house.now().as_secs();
    type Change = Box<dyn FnOnce(&mut Value)>;
    let changes: Vec<(&str, Change)> = vec![
        (
            "wrong_issuer",
            Box::new(|claims| claims["iss"] = "https://evil.example".into()),
        ),
        (
            "wrong_audience",
            Box::new(|claims| claims["aud"] = "another".into()),
        ),
        (
            "expired",
            Box::new(move |claims| claims["exp"] = (at - 60).into()),
        ),
        (
            "typ_mismatch",
            Box::new(|claims| claims["nonce"] = "x".into()),
        ),
        (
            "typ_mismatch",
            Box::new(|claims| claims["events"] = json!({})),
        ),
        (
            "claim_missing",
            Box::new(|claims| drop(claims.as_object_mut().expect("claims").remove("jti"))),
        ),
    ];
    for (why, change) in changes {
        let token = world.idp.logout_token("x", change);
        let refused = logout(&world, &token).await;
        assert_eq!(refused.status, 400, "{why}: {refused:?}");
        assert_eq!(refused.json(), json!({"error": "invalid_request"}));
        assert_eq!(world.why().await, why);
    }
    let good = world.idp.logout_token("x", |_| {});
    let forged = {
        let claims = crate::house::claims(&good);
        chancery_wire::jws::sign(
            &crate::house::new_key(),
            "logout+jwt",
            claims.to_string().as_bytes(),
        )
    };
    assert_eq!(logout(&world, &forged).await.status, 400);
    assert_eq!(world.why().await, "unknown_key");
    let id_token = world.idp.sign("JWT", &json!({
        "iss": world.idp.issuer, "aud": super::idp::CLIENT, "sub": "sub-alice", "iat": at, "exp": at + 60, "nonce": "n",
    }));
    assert_eq!(logout(&world, &id_token).await.status, 400);
    assert_eq!(logout(&world, "").await.status, 400);
    assert!(visitor.is_signed_in(&world).await);
    assert_eq!(logout(&world, &good).await.status, 200);
    assert!(!visitor.is_signed_in(&world).await);
}

/// A client of alice's, who consents in a session that the provider began; its tokens.
async fn consented(clients: &clients::World, visitor: &Visitor) -> Value {
    let query = clients.query(&clients.client, &[]);
    let in_session = |ask: crate::request::Ask| {
        let cookie = format!("__Host-chancery={}", visitor.session);
        ask.header("cookie", cookie)
            .header("sec-fetch-site", "same-origin")
    };
    let consent = async || {
        let page = clients
            .house
            .send(in_session(clients::authorize(&query)))
            .await;
        let answer = in_session(clients::approve(&page, &["add"]));
        clients.house.send(answer).await
    };
    consent().await;
    let registered = clients.house.last_event("agent.registered").await;
    let id = registered["agent"]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    clients.house.activate(ADMIN, &id).await.ok();
    let code = clients::code_in(&consent().await);
    clients
        .house
        .send(clients.redeem(&clients.client, &code))
        .await
        .ok()
}

/// The world of clients, with a provider that people join by.
async fn with_clients() -> (clients::World, World) {
    let clients = clients::World::new().await;
    let idp = Idp::start(std::sync::Arc::clone(&clients.house.clock)).await;
    idp.say(|says| {
        says.claims = json!({"sub": "sub-bob", "preferred_username": "bob@example.com"});
    });
    let house = std::sync::Arc::clone(&clients.house);
    let world = World { house, idp };
    world.add(json!({"join": true})).await.ok();
    (clients, world)
}

#[tokio::test]
async fn what_agents_may_do_for_a_person_ends_when_the_person_leaves_there() {
    let (clients, world) = with_clients().await;
    let visitor = world.sign_in().await;
    let tokens = consented(&clients, &visitor).await;
    let refresh = |tokens: &Value| {
        let token = tokens["refresh_token"].as_str().expect("a token");
        clients.refresh(&clients.client, token)
    };
    world.house.advance(MINUTES).await;
    let tokens = world.house.send(refresh(&tokens)).await.ok();
    let access = tokens["access_token"].as_str().expect("a token");
    assert!(clients.passes(access));
    world
        .idp
        .say(|says| says.refresh = Some((400, json!({"error": "invalid_grant"}))));
    world.house.advance_unseen(Duration::from_secs(295));
    world.until("left", async || !clients.passes(access)).await;
    let refused = world.house.send(refresh(&tokens)).await;
    refused.oauth_error(400, "invalid_grant");
    let ended = world.house.last_event("grant.revoked").await;
    assert_eq!(ended["facts"]["by"], "provider");
}

#[tokio::test]
async fn what_agents_may_do_for_a_person_of_whom_nobody_says_anything_ends_in_a_day() {
    let (clients, world) = with_clients().await;
    world.idp.say(|says| says.offline = false);
    let visitor = world.sign_in().await;
    consented(&clients, &visitor).await;
    world.house.advance(Duration::from_secs(23 * 3_600)).await;
    assert_eq!(clients.house.authority.current.load().grants.len(), 1);
    world.house.advance(Duration::from_secs(2 * 3_600)).await;
    // The next look at somebody of whom an agent acts is five minutes later at the latest.
    world.house.advance(MINUTES).await;
    world
        .until("ended", async || {
            world.house.authority.current.load().grants.is_empty()
        })
        .await;
    let ended = world.house.last_event("grant.revoked").await;
    assert_eq!(ended["facts"]["by"], "provider");
    assert_eq!(world.house.events_of("owner.disabled").await.len(), 0);
}
