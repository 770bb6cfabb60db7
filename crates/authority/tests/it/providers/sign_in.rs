//! Signing in with a provider, as it should be.

use std::time::Duration;

use serde_json::{Value, json};

use super::idp::{CLIENT, SECRET, query_of};
use super::world::{CALLBACK, HOST, ORIGIN, Visitor, World};
use crate::accounts::authenticator::{Authenticator, Browser};
use crate::house::claims;
use crate::request::ask;

const ALICE: &str = "alice@example.com";

#[tokio::test]
async fn person_who_is_not_known_joins_without_a_role_and_is_the_same_next_time() {
    let world = World::new().await;
    let visitor = world.sign_in().await;
    let who = visitor.get(&world, "/v1/whoami").await.ok();
    assert_eq!(who["id"], ALICE);
    assert_eq!(who["signed_in_with"], "provider");
    assert!(who.get("roles").is_none(), "{who}");
    // A role is for who signed in with a passkey (WAN-07).
    let agents = visitor.get(&world, "/v1/agents").await;
    agents.refused(403, "access_denied");
    let sessions = visitor.get(&world, "/v1/sessions").await.ok();
    assert_eq!(sessions["items"][0]["provider"], "corp");
    assert!(sessions["items"][0].get("passkey").is_none());

    let again = world.sign_in().await;
    let who_again = again.get(&world, "/v1/whoami").await.ok();
    assert_eq!(who_again["id"], who["id"]);
    assert_eq!(world.house.events_of("owner.added").await.len(), 1);
    let linked = world.house.last_event("person.linked").await;
    assert_eq!(linked["facts"]["subject"], "sub-alice");
    let began = world.house.last_event("session.began").await;
    assert_eq!(began["facts"]["signed_in_with"], "provider");
    let links = visitor.get(&world, "/v1/links").await.ok();
    assert_eq!(links["items"][0]["provider"], "corp");
    assert_eq!(links["items"][0]["can_be_asked"], true);
}

#[tokio::test]
async fn question_to_the_provider_carries_all_that_its_answer_must_fit() {
    let world = World::new().await;
    let mut visitor = Visitor::default();
    let location = visitor.begin(&world, "").await;
    assert!(location.starts_with(&format!("{}/authorize?", world.idp.issuer)));
    let asked = query_of(&location);
    assert_eq!(asked["response_type"], "code");
    assert_eq!(asked["client_id"], CLIENT);
    assert_eq!(asked["redirect_uri"], format!("{ORIGIN}{CALLBACK}"));
    assert_eq!(asked["scope"], "openid profile email offline_access");
    assert_eq!(asked["code_challenge_method"], "S256");
    assert!(!asked.contains_key("prompt"));
    for name in ["state", "nonce", "code_challenge"] {
        assert_eq!(asked[name].len(), 43, "{name}");
    }
    visitor.return_from(&world, &location).await;
    let token = world.idp.received("/token").pop().expect("a request");
    let authorization = token.headers["authorization"].to_str().expect("ASCII");
    assert!(authorization.starts_with("Basic "));
    assert!(!token.form.contains_key("client_secret"));
    let verifier = &token.form["code_verifier"];
    assert_eq!(
        chancery_wire::hash::sha256_base64url(verifier.as_bytes()),
        asked["code_challenge"]
    );
    // Neither what the cookie holds nor what we prove ourselves with is anywhere that could be read.
    assert!(!visitor.attempt.contains(&asked["state"]));
    let logged = crate::house::logged();
    for secret in [SECRET, verifier, "refresh-0"] {
        assert!(!logged.contains(secret));
    }
}

#[tokio::test]
async fn key_of_ours_proves_us_to_the_issuer_alone() {
    let world = World::with(json!({"join": true})).await;
    world
        .house
        .admin("DELETE", "/v1/providers/corp", Value::Null)
        .await
        .ok();
    let key = crate::house::new_key();
    let jwk: Value = serde_json::from_str(key.to_jwk().expose()).expect("a JWK");
    let added = world
        .add(json!({"client_secret": null, "private_jwk": jwk, "join": true}))
        .await
        .ok();
    assert_eq!(added["method"], "private_key_jwt");
    assert_eq!(added["public_jwk"]["kid"], key.public().thumbprint());
    assert!(added["public_jwk"].get("d").is_none());
    world.sign_in().await;
    let token = world.idp.received("/token").pop().expect("a request");
    assert!(!token.headers.contains_key("authorization"));
    let claims = claims(&token.form["client_assertion"]);
    // T1: not the token endpoint.
    assert_eq!(claims["aud"], world.idp.issuer);
    assert_eq!(claims["iss"], CLIENT);
    assert_eq!(claims["sub"], CLIENT);
    let header = token.form["client_assertion"]
        .split('.')
        .next()
        .expect("a header");
    let header = chancery_wire::base64url::decode(header).expect("base64url");
    assert!(String::from_utf8_lossy(&header).contains(key.public().thumbprint()));
}

#[tokio::test]
async fn known_person_is_linked_by_an_administrator() {
    let world = World::with(json!({})).await;
    world.house.add_person(ALICE).await;
    let mut visitor = Visitor::default();
    let nobody = visitor.sign_in(&world).await;
    assert_eq!(nobody.status, 403, "{nobody:?}");
    // They are told what to give to an administrator.
    assert!(nobody.text().contains("sub-alice"), "{nobody:?}");
    assert_eq!(world.why().await, "not_linked");
    let path = format!("/v1/owners/{ALICE}/links");
    let body = json!({"provider": "corp", "subject": "sub-alice"});
    let link = world.house.admin("POST", &path, body.clone()).await.ok();
    assert_eq!(link["owner"], ALICE);
    assert_eq!(link["can_be_asked"], false);
    let twice = world.house.admin("POST", &path, body.clone()).await;
    twice.refused(409, "conflict");
    let visitor = world.sign_in().await;
    let who = visitor.get(&world, "/v1/whoami").await.ok();
    assert_eq!(who["id"], ALICE);
    // Without the link nobody comes in by it, and who did is out.
    world
        .house
        .admin("POST", &format!("{path}/remove"), body)
        .await
        .ok();
    assert!(!visitor.is_signed_in(&world).await);
    let mut visitor = Visitor::default();
    assert_eq!(visitor.sign_in(&world).await.status, 403);
}

#[tokio::test]
async fn person_goes_on_to_the_question_that_they_came_from() {
    let world = World::new().await;
    let mut visitor = Visitor::default();
    let question = "/oauth/authorize?client_id=a&request_uri=b";
    let next: String = url::form_urlencoded::byte_serialize(question.as_bytes()).collect();
    let location = visitor
        .begin(&world, &format!("?next={next}&fresh=yes"))
        .await;
    let asked = query_of(&location);
    assert_eq!(asked["prompt"], "login");
    assert_eq!(asked["max_age"], "0");
    let page = visitor.return_from(&world, &location).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.text().contains(ALICE));
    assert!(
        page.text()
            .contains("/oauth/authorize?client_id=a&amp;request_uri=b")
    );
    assert!(visitor.is_signed_in(&world).await);
    // To no other place: a link of anybody begins this.
    let location = visitor.begin(&world, "?next=https://evil.example/").await;
    let answer = visitor.return_from(&world, &location).await;
    assert_eq!(answer.header("location"), "/console/#signed-in");
}

#[tokio::test]
async fn page_where_nobody_is_signed_in_names_the_providers() {
    let world = World::new().await;
    let query =
        "client_id=https%3A%2F%2Fapp.example%2Fc&max_age=60&resource=https%3A%2F%2Fx.example";
    let page = world
        .house
        .send(ask("GET", &format!("/oauth/authorize?{query}")))
        .await;
    let text = page.text();
    let back: String =
        url::form_urlencoded::byte_serialize(format!("/oauth/authorize?{query}").as_bytes())
            .collect();
    let link = format!("{ORIGIN}/sign-in/providers/corp?next={back}&amp;fresh=yes");
    assert!(text.contains(&link), "{text}");
    let ask = Visitor::default().ask("POST", "/v1/sign-in/options");
    let options = world
        .house
        .send(ask.header("sec-fetch-site", "same-origin"))
        .await
        .ok();
    assert_eq!(options["providers"], json!(["corp"]));
}

#[tokio::test]
async fn browser_that_asks_at_the_address_is_sent_to_where_people_are() {
    let world = World::new().await;
    let answer = world
        .house
        .send(ask("GET", "/sign-in/providers/corp?next=%2Fdevice"))
        .await;
    assert_eq!(answer.status, 303, "{answer:?}");
    let expected = format!("http://{HOST}/sign-in/providers/corp?next=%2Fdevice");
    assert_eq!(answer.header("location"), expected);
    assert!(answer.headers.get("set-cookie").is_none());
    // HTTP/2 says the name with the URI and has no header for it.
    let by_uri = ask("GET", &expected).without("host");
    let answer = world.house.send(by_uri).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.text().contains("If you go on"), "{answer:?}");
}

#[tokio::test]
async fn what_the_id_token_leaves_out_is_asked_of_the_provider() {
    let world = World::with(json!({
        "join": true, "require_claims": [{"name": "groups", "value": "staff"}],
    }))
    .await;
    world.idp.say(|says| {
        says.claims = json!({"preferred_username": null});
        says.user_info = json!({
            "sub": "sub-alice", "email": ALICE, "email_verified": true, "groups": ["staff"],
        });
    });
    let visitor = world.sign_in().await;
    let asked = world.idp.received("/userinfo").pop().expect("a request");
    assert_eq!(asked.headers["authorization"], "Bearer access");
    let who = visitor.get(&world, "/v1/whoami").await.ok();
    assert_eq!(who["id"], ALICE);
    // What is said of somebody else counts for nobody.
    world
        .idp
        .say(|says| says.user_info["sub"] = "sub-bob".into());
    let mut other = Visitor::default();
    assert_eq!(other.sign_in(&world).await.status, 403);
    assert_eq!(world.why().await, "subject_mismatch");
}

#[tokio::test]
async fn sign_in_is_as_recent_as_the_provider_says_and_no_more() {
    let world = World::new().await;
    let at = world.house.now().as_secs();
    world
        .idp
        .say(|says| says.claims = json!({"auth_time": at - 3_600}));
    let visitor = world.sign_in().await;
    let session = &visitor.get(&world, "/v1/sessions").await.ok()["items"][0];
    assert_eq!(session["current"], true);
    let body = json!({"provider": "corp"});
    let refused = visitor.post(&world, "/v1/links", &body).await;
    refused.refused(403, "access_denied");
    // Asked for anew, the provider must say that it was anew.
    let mut other = Visitor::default();
    let location = other.begin(&world, "?fresh=yes").await;
    let answer = other.return_from(&world, &location).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(world.why().await, "signed_in_before");
    world
        .idp
        .say(|says| says.claims = json!({"auth_time": null}));
    let location = other.begin(&world, "?fresh=yes").await;
    assert_eq!(other.return_from(&world, &location).await.status, 403);
    assert_eq!(world.why().await, "auth_time_missing");
    world.idp.say(|says| says.claims = json!({}));
    let location = other.begin(&world, "?fresh=yes").await;
    assert_eq!(other.return_from(&world, &location).await.status, 303);
}

#[tokio::test]
async fn session_lives_an_hour_where_the_provider_cannot_be_asked_later() {
    let world = World::new().await;
    world.idp.say(|says| says.offline = false);
    let short = world.sign_in().await;
    world.house.advance(Duration::from_secs(3_599)).await;
    assert!(short.is_signed_in(&world).await);
    world.house.advance(Duration::from_secs(2)).await;
    assert!(!short.is_signed_in(&world).await);
    world.idp.say(|says| says.offline = true);
    let long = world.sign_in().await;
    world.house.advance(Duration::from_secs(7_200)).await;
    assert!(long.is_signed_in(&world).await);
}

#[tokio::test]
async fn session_of_a_provider_makes_no_way_to_sign_in_that_outlasts_it() {
    let world = World::new().await;
    let visitor = world.sign_in().await;
    for path in ["/v1/passkeys/options", "/v1/recovery-codes", "/v1/links"] {
        let body = json!({"provider": "corp"});
        let refused = visitor.post(&world, path, &body).await;
        refused.refused(403, "access_denied");
        assert_eq!(world.why().await, "not_by_passkey");
    }
}

#[tokio::test]
async fn web_05_sign_in_takes_the_place_of_the_session_that_the_browser_had() {
    let world = World::new().await;
    let mut visitor = world.sign_in().await;
    let before = visitor.clone();
    let location = visitor.begin(&world, "").await;
    visitor.return_from(&world, &location).await;
    assert_ne!(visitor.session, before.session);
    assert!(visitor.is_signed_in(&world).await && !before.is_signed_in(&world).await);
}

/// Alice, signed in with a passkey at the origin of people on loopback.
async fn with_passkey(world: &World) -> (Browser, Authenticator) {
    world.house.add_person(ALICE).await;
    let path = format!("/v1/owners/{ALICE}/invitations");
    let invited = world
        .house
        .admin("POST", &path, json!({"roles": ["operator"]}))
        .await
        .ok();
    let link = invited["link"].as_str().expect("a link");
    let secret = link.split_once("#invite=").expect("a secret").1.to_owned();
    let mut passkey = Authenticator::new("alice");
    passkey.origin = ORIGIN.to_owned();
    passkey.rp_id = "localhost".to_owned();
    let mut browser = Browser {
        at: Some((HOST, ORIGIN)),
        ..Browser::default()
    };
    browser
        .accept(&world.house, &secret, &mut passkey)
        .await
        .ok();
    (browser, passkey)
}

#[tokio::test]
async fn person_links_themselves_after_signing_in_with_their_passkey() {
    let world = World::with(json!({})).await;
    let (mut browser, _) = with_passkey(&world).await;
    let body = json!({"provider": "corp"});
    let begun = browser.post(&world.house, "/v1/links", body.clone()).await;
    let location = begun.ok()["location"]
        .as_str()
        .expect("a location")
        .to_owned();
    let asked = query_of(&location);
    assert_eq!(asked["prompt"], "login");
    // From then on it can be asked whether the person is still there.
    assert_eq!(asked["scope"], "openid profile email offline_access");
    let mut visitor = Visitor::default();
    visitor.take(&begun);
    let page = visitor.return_from(&world, &location).await;
    assert_eq!(page.status, 200, "{page:?}");
    assert!(page.text().contains(ALICE), "{page:?}");
    assert!(visitor.session.is_empty(), "no session comes of it");
    let linked = world.house.last_event("person.linked").await;
    assert_eq!(linked["facts"]["by"], "person");
    let who = world.sign_in().await.get(&world, "/v1/whoami").await.ok();
    assert_eq!(who["id"], ALICE);
    // The session must still be there when they come back.
    let begun = browser.post(&world.house, "/v1/links", body).await;
    let location = begun.ok()["location"]
        .as_str()
        .expect("a location")
        .to_owned();
    let mut visitor = Visitor::default();
    visitor.take(&begun);
    let path = format!("/v1/owners/{ALICE}/logout");
    world
        .house
        .admin("POST", &path, json!({"reason": "a test"}))
        .await
        .ok();
    assert_eq!(visitor.return_from(&world, &location).await.status, 403);
    assert_eq!(world.why().await, "session_ended");
}
