//! What others try with a provider, each with what it may be used for.

use std::time::Duration;

use serde_json::{Value, json};

use super::idp::{CLIENT, Idp, query_of};
use super::world::{CALLBACK, Visitor, World};
use crate::house::new_key;

const ALICE: &str = "alice@example.com";

/// Signs in with these claims changed; the reason of the refusal, or nothing when somebody came in.
async fn with_claims(world: &World, claims: Value) -> Option<String> {
    world.idp.say(|says| says.claims = claims);
    let answer = Visitor::default().sign_in(world).await;
    world.idp.say(|says| says.claims = json!({}));
    match answer.status.as_u16() {
        303 => None,
        403 => Some(world.why().await),
        _ => panic!("{answer:?}"),
    }
}

#[tokio::test]
async fn fed_01_id_token_for_another_client_signs_nobody_in() {
    let world = World::new().await;
    let at = world.house.now().as_secs();
    for (claims, why) in [
        (json!({"aud": "another"}), "wrong_audience"),
        (json!({"aud": [CLIENT, "another"]}), "wrong_audience"),
        (json!({"aud": null}), "claim_missing"),
        (json!({"azp": "another"}), "wrong_audience"),
        (json!({"nonce": "another"}), "nonce_mismatch"),
        (json!({"nonce": null}), "claim_missing"),
        (json!({"iss": "https://evil.example"}), "wrong_issuer"),
        (json!({"exp": at - 60}), "expired"),
        (json!({"exp": null}), "claim_missing"),
        (json!({"iat": at + 3_600}), "not_yet_valid"),
        (json!({"sub": ""}), "malformed"),
        (json!({"at_hash": "AAAA"}), "access_token_mismatch"),
    ] {
        let found = with_claims(&world, claims.clone()).await;
        assert_eq!(found.as_deref(), Some(why), "{claims}");
    }
    assert!(world.house.events_of("session.began").await.is_empty());
    assert_eq!(with_claims(&world, json!({"azp": CLIENT})).await, None);
}

#[tokio::test]
async fn jwt_13_another_kind_of_token_signs_nobody_in() {
    let world = World::new().await;
    for typ in ["at+jwt", "logout+jwt", "secevent+jwt"] {
        world.idp.say(|says| says.typ = typ.to_owned());
        assert_eq!(
            with_claims(&world, json!({})).await.as_deref(),
            Some("typ_mismatch")
        );
    }
    world.idp.say(|says| says.typ = "JWT".to_owned());
    assert_eq!(with_claims(&world, json!({})).await, None);
}

#[tokio::test]
async fn jwt_02_algorithm_is_one_that_the_provider_says_it_uses() {
    let world = World::new().await;
    // Its documents are believed for five minutes.
    world.idp.say(|says| {
        says.document["id_token_signing_alg_values_supported"] = json!(["RS256", "HS256", "none"]);
    });
    world.house.advance(Duration::from_secs(301)).await;
    let found = with_claims(&world, json!({})).await;
    assert_eq!(found.as_deref(), Some("alg_not_allowed"));
    world.idp.say(|says| {
        says.document["id_token_signing_alg_values_supported"] = json!(["ES256"]);
    });
    world.house.advance(Duration::from_secs(301)).await;
    assert_eq!(with_claims(&world, json!({})).await, None);
}

#[tokio::test]
async fn fed_02_nobody_comes_in_by_a_provider_that_was_removed() {
    let world = World::new().await;
    let visitor = world.sign_in().await;
    let mut late = Visitor::default();
    let location = late.begin(&world, "").await;
    world
        .house
        .admin("DELETE", "/v1/providers/corp", Value::Null)
        .await
        .ok();
    assert!(!visitor.is_signed_in(&world).await);
    assert_eq!(late.return_from(&world, &location).await.status, 404);
    let gone = late.get(&world, "/sign-in/providers/corp").await;
    assert_eq!(gone.status, 404);
    let token = world.idp.logout_token("one", |_| {});
    let ask = late.ask("POST", "/sign-in/providers/corp/logout");
    let answer = world
        .house
        .send(ask.form(&[("logout_token", &token)]))
        .await;
    assert_eq!(answer.status, 404);
    // A provider of another name and id does not take what was begun with this one.
    world.add(json!({"join": true})).await.ok();
    assert_eq!(late.return_from(&world, &location).await.status, 403);
    // Whom the issuer knows, it still knows.
    let visitor = world.sign_in().await;
    let who = visitor.get(&world, "/v1/whoami").await.ok();
    assert_eq!(who["id"], ALICE);
    assert_eq!(world.house.events_of("owner.added").await.len(), 1);
}

#[tokio::test]
async fn fed_03_nobody_becomes_somebody_else_by_an_address() {
    let world = World::new().await;
    world.house.add_person(ALICE).await;
    // The provider says that somebody is called as alice is here: that links nobody.
    let found = with_claims(&world, json!({"sub": "sub-mallory"})).await;
    assert_eq!(found.as_deref(), Some("handle_taken"));
    let found = with_claims(
        &world,
        json!({"sub": "sub-mallory", "email": ALICE, "email_verified": true, "preferred_username": null}),
    )
    .await;
    assert_eq!(found.as_deref(), Some("handle_taken"));
    // An address that is not verified calls nobody.
    let found = with_claims(
        &world,
        json!({"sub": "sub-bob", "preferred_username": null, "email": "bob@example.com"}),
    )
    .await;
    assert_eq!(found.as_deref(), Some("no_handle"));
    // The person who is linked stays the same, whatever they are called later; a recycled address is nobody's.
    let body = json!({"provider": "corp", "subject": "sub-alice"});
    let path = format!("/v1/owners/{ALICE}/links");
    world.house.admin("POST", &path, body).await.ok();
    let renamed = json!({"preferred_username": "alice.smith@example.com"});
    assert_eq!(with_claims(&world, renamed).await, None);
    let links = world.house.get(&path).await;
    assert_eq!(links["items"][0]["known_as"], "alice.smith@example.com");
    assert_eq!(links["items"][0]["owner"], ALICE);
    // Only a person who signed in with their own passkey just now links themselves.
    let visitor = world.sign_in().await;
    let refused = visitor
        .post(&world, "/v1/links", &json!({"provider": "corp"}))
        .await;
    refused.refused(403, "access_denied");
}

#[tokio::test]
async fn fed_04_claims_come_in_by_their_form_and_make_nobody_more() {
    let world = World::with(json!({
        "join": true, "allow_domains": ["example.com"],
        "require_claims": [{"name": "groups", "value": "staff"}],
    }))
    .await;
    let many: Vec<String> = (0..400).map(|number| format!("group-{number}")).collect();
    for (claims, why) in [
        (json!({}), "claim_not_as_required"),
        (json!({"groups": "staff,admins"}), "claim_not_as_required"),
        (json!({"groups": {"staff": true}}), "claim_not_as_required"),
        (json!({"groups": many}), "claim_not_as_required"),
        (
            json!({"groups": ["staff"], "email": "alice@evil.example", "email_verified": true}),
            "domain_not_allowed",
        ),
        // A name that somebody may have chosen says nothing of a domain.
        (
            json!({"groups": ["staff"], "preferred_username": "alice@example.com", "email_verified": false}),
            "no_handle",
        ),
    ] {
        let found = with_claims(&world, claims.clone()).await;
        assert_eq!(found.as_deref(), Some(why), "{claims}");
    }
    // More than a token may hold.
    let huge: Vec<String> = (0..1_500).map(|number| format!("group-{number}")).collect();
    let found = with_claims(&world, json!({"groups": huge})).await;
    assert_eq!(found.as_deref(), Some("malformed"));
    let admins = json!({
        "groups": ["admins", "platform:root", "staff"], "roles": ["administrator"],
        "email": "alice@example.com", "email_verified": true,
    });
    world.idp.say(|says| says.claims = admins);
    let visitor = world.sign_in().await;
    let who = visitor.get(&world, "/v1/whoami").await.ok();
    assert!(who.get("roles").is_none(), "{who}");
    // Held again at every sign-in.
    let found = with_claims(&world, json!({"groups": ["leavers"]})).await;
    assert_eq!(found.as_deref(), Some("claim_not_as_required"));
}

#[tokio::test]
async fn login_csrf_answer_counts_only_in_the_browser_that_asked() {
    let world = World::new().await;
    // Mallory begins, and has alice's browser finish.
    let mut mallory = Visitor::default();
    let location = mallory.begin(&world, "").await;
    let code = world.idp.agree(&location);
    let state = query_of(&location)["state"].clone();
    let issuer = world.idp.issuer.clone();
    let parameters = [("code", &*code), ("state", &*state), ("iss", &*issuer)];
    let mut alice = Visitor::default();
    let answer = alice.come_back(&world, CALLBACK, &parameters).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(world.why().await, "no_attempt");
    // Neither with an attempt of her own, nor with a second cookie beside it.
    alice.begin(&world, "").await;
    let answer = alice.come_back(&world, CALLBACK, &parameters).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    let both = mallory
        .ask("GET", &format!("{CALLBACK}?{}", query.finish()))
        .header(
            "cookie",
            format!("__Host-chancery-provider={}", alice.attempt),
        );
    assert_eq!(world.house.send(both).await.status, 403);
    // Nothing was asked of the provider for any of it, and the browser that asked finishes.
    assert!(world.idp.received("/token").is_empty());
    let answer = mallory.come_back(&world, CALLBACK, &parameters).await;
    assert_eq!(answer.status, 303, "{answer:?}");
}

#[tokio::test]
async fn answer_is_of_use_once_and_for_ten_minutes() {
    let world = World::new().await;
    let mut visitor = Visitor::default();
    let location = visitor.begin(&world, "").await;
    let before = visitor.clone();
    assert_eq!(visitor.return_from(&world, &location).await.status, 303);
    assert!(visitor.attempt.is_empty(), "the browser forgets it");
    // Somebody who kept the cookie, and gets another code at the provider.
    let mut again = before;
    assert_eq!(again.return_from(&world, &location).await.status, 403);
    assert_eq!(world.why().await, "attempt_used");
    let location = again.begin(&world, "").await;
    world.house.advance(Duration::from_secs(600)).await;
    assert_eq!(again.return_from(&world, &location).await.status, 403);
    assert_eq!(world.why().await, "no_attempt");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn race_of_many_answers_to_one_attempt_is_won_by_one() {
    let world = std::sync::Arc::new(World::new().await);
    for _ in 0..5 {
        let mut visitor = Visitor::default();
        let location = visitor.begin(&world, "").await;
        let before = world.house.events_of("session.began").await.len();
        let answers = (0..16).map(|_| {
            let (world, mut visitor) = (std::sync::Arc::clone(&world), visitor.clone());
            let location = location.clone();
            tokio::spawn(async move { visitor.return_from(&world, &location).await.status })
        });
        let answers: Vec<_> = answers.collect();
        let mut won = 0;
        for answer in answers {
            won += usize::from(answer.await.expect("a task") == 303);
        }
        assert_eq!(won, 1);
        let began = world.house.events_of("session.began").await.len();
        assert_eq!(began, before + 1);
    }
    assert_eq!(world.house.events_of("owner.added").await.len(), 1);
}

#[tokio::test]
async fn code_of_another_attempt_signs_nobody_in() {
    let world = World::new().await;
    let (mut mallory, mut alice) = (Visitor::default(), Visitor::default());
    let stolen_from = alice.begin(&world, "").await;
    let stolen = world.idp.agree(&stolen_from);
    let location = mallory.begin(&world, "").await;
    let state = query_of(&location)["state"].clone();
    let issuer = world.idp.issuer.clone();
    let parameters = [("code", &*stolen), ("state", &*state), ("iss", &*issuer)];
    let answer = mallory.come_back(&world, CALLBACK, &parameters).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    // A provider that does not hold the code to its verifier is caught by the nonce.
    assert_eq!(world.why().await, "nonce_mismatch");
}

#[tokio::test]
async fn t6_answer_of_another_issuer_is_not_acted_on() {
    let world = World::new().await;
    for iss in [
        None,
        Some("https://evil.example"),
        Some("HTTP://127.0.0.1/"),
    ] {
        let mut visitor = Visitor::default();
        let location = visitor.begin(&world, "").await;
        let state = query_of(&location)["state"].clone();
        let mut parameters = vec![
            ("code", "x"),
            ("state", &*state),
            ("error", "access_denied"),
        ];
        parameters.extend(iss.map(|iss| ("iss", iss)));
        let answer = visitor.come_back(&world, CALLBACK, &parameters).await;
        assert_eq!(answer.status, 403, "{answer:?}");
        assert_eq!(world.why().await, "issuer_mismatch", "{iss:?}");
        let with_slash = format!("{}/", world.idp.issuer);
        let parameters = [("code", "x"), ("state", &*state), ("iss", &*with_slash)];
        visitor.come_back(&world, CALLBACK, &parameters).await;
        assert_eq!(world.why().await, "no_attempt", "the browser forgot it");
    }
    assert!(world.idp.received("/token").is_empty());
    // Its own refusal is one.
    let mut visitor = Visitor::default();
    let location = visitor.begin(&world, "").await;
    let state = query_of(&location)["state"].clone();
    let issuer = world.idp.issuer.clone();
    let parameters = [
        ("error", "access_denied"),
        ("state", &*state),
        ("iss", &*issuer),
    ];
    let answer = visitor.come_back(&world, CALLBACK, &parameters).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(world.why().await, "provider_refused");
    assert!(!answer.text().contains("access_denied"));
}

#[tokio::test]
async fn t14_answer_of_one_provider_is_not_taken_for_that_of_another() {
    let world = World::new().await;
    let other = Idp::start(std::sync::Arc::clone(&world.house.clock)).await;
    let settings = json!({"name": "other", "issuer": other.issuer, "join": true});
    world.add(settings).await.ok();
    let mut visitor = Visitor::default();
    let location = visitor.begin(&world, "").await;
    let code = world.idp.agree(&location);
    let state = query_of(&location)["state"].clone();
    for issuer in [&world.idp.issuer, &other.issuer] {
        let mut visitor = visitor.clone();
        let parameters = [("code", &*code), ("state", &*state), ("iss", &**issuer)];
        let path = "/sign-in/providers/other/callback";
        let answer = visitor.come_back(&world, path, &parameters).await;
        assert_eq!(answer.status, 403, "{answer:?}");
    }
    assert!(other.received("/token").is_empty());
    let parameters = [
        ("code", &*code),
        ("state", &*state),
        ("iss", &*world.idp.issuer),
    ];
    let answer = visitor.come_back(&world, CALLBACK, &parameters).await;
    assert_eq!(answer.status, 303, "{answer:?}");
}

#[tokio::test]
async fn authz_10_answer_that_says_something_twice_says_nothing() {
    let world = World::new().await;
    let mut visitor = Visitor::default();
    let location = visitor.begin(&world, "").await;
    let code = world.idp.agree(&location);
    let state = query_of(&location)["state"].clone();
    let issuer = world.idp.issuer.clone();
    let twice = [
        ("code", &*code),
        ("code", "x"),
        ("state", &*state),
        ("iss", &*issuer),
    ];
    let answer = visitor.clone().come_back(&world, CALLBACK, &twice).await;
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(world.why().await, "malformed");
    let answer = visitor.come_back(&world, CALLBACK, &twice[..1]).await;
    assert_eq!(answer.status, 403, "{answer:?}");
}

#[tokio::test]
async fn jwks_03_names_of_keys_that_nobody_knows_fetch_next_to_nothing() {
    let world = World::new().await;
    let before = world.idp.received("/keys").len();
    let good = world.idp.says.lock().expect("a lock").keys.clone();
    // Signed by a key that the provider does not publish.
    world.idp.say(|says| says.key = new_key());
    for _ in 0..20 {
        let found = with_claims(&world, json!({})).await;
        assert_eq!(found.as_deref(), Some("unknown_key"));
    }
    assert_eq!(world.idp.received("/keys").len(), before);
    // Half a minute after the documents were fetched last, once more.
    world.house.advance(Duration::from_secs(31)).await;
    for _ in 0..20 {
        with_claims(&world, json!({})).await;
    }
    assert_eq!(world.idp.received("/keys").len(), before + 1);
    // So a key that is new is known soon.
    world.idp.say(|says| {
        let mut keys = good["keys"].as_array().expect("keys").clone();
        keys.push(says.key.public().to_jwk());
        says.keys = json!({"keys": keys});
    });
    world.house.advance(Duration::from_secs(31)).await;
    assert_eq!(with_claims(&world, json!({})).await, None);
}

#[tokio::test]
async fn jwks_04_key_that_a_provider_withdrew_verifies_for_five_minutes_at_most() {
    let world = World::new().await;
    assert_eq!(with_claims(&world, json!({})).await, None);
    let other = new_key();
    world
        .idp
        .say(|says| says.keys = json!({"keys": [other.public().to_jwk()]}));
    world.house.advance(Duration::from_secs(301)).await;
    let found = with_claims(&world, json!({})).await;
    assert_eq!(found.as_deref(), Some("unknown_key"));
}

#[tokio::test]
async fn jwks_01_provider_with_two_keys_of_one_name_is_not_believed() {
    let world = World::new().await;
    world.idp.say(|says| {
        let mut other = new_key().public().to_jwk();
        other["kid"] = says.key.public().thumbprint().into();
        let own = says.key.public().to_jwk();
        says.keys = json!({"keys": [own, other]});
    });
    world.house.advance(Duration::from_secs(301)).await;
    let answer = Visitor::default()
        .get(&world, "/sign-in/providers/corp")
        .await;
    assert_eq!(answer.status, 503);
}

#[tokio::test]
async fn ssrf_01_documents_lead_to_where_they_may_and_nowhere_else() {
    let world = World::new().await;
    let good = world.idp.says.lock().expect("a lock").document.clone();
    for (member, url) in [
        ("jwks_uri", "http://169.254.169.254/keys"),
        ("jwks_uri", "http://10.0.0.1/keys"),
        ("jwks_uri", "https://127.0.0.1/keys"),
        ("jwks_uri", "file:///etc/passwd"),
        ("authorization_endpoint", "javascript:alert(1)"),
        ("authorization_endpoint", "http://10.0.0.1/authorize"),
    ] {
        world.idp.say(|says| {
            says.document = good.clone();
            says.document[member] = url.into();
        });
        world.house.advance(Duration::from_secs(301)).await;
        let answer = Visitor::default()
            .get(&world, "/sign-in/providers/corp")
            .await;
        assert_eq!(answer.status, 503, "{url}: {answer:?}");
        assert!(!answer.text().contains(url), "{answer:?}");
    }
    // The token endpoint is where our credential goes.
    world.idp.say(|says| {
        says.document = good.clone();
        says.document["token_endpoint"] = "http://10.0.0.1/token".into();
    });
    world.house.advance(Duration::from_secs(301)).await;
    let answer = Visitor::default().sign_in(&world).await;
    assert_eq!(answer.status, 503, "{answer:?}");
    world.idp.say(|says| says.document = good);
    world.house.advance(Duration::from_secs(301)).await;
    world.sign_in().await;
}

#[tokio::test]
async fn web_02_page_of_somebody_else_begins_no_sign_in() {
    let world = World::new().await;
    let visitor = world.sign_in().await;
    let path = "/sign-in/providers/corp?next=%2Fdevice%3Fuser_code%3DABCD-EFGH&fresh=yes";
    for site in [Some("cross-site"), Some("same-site"), Some("none"), None] {
        let mut ask = visitor.ask("GET", path);
        if let Some(site) = site {
            ask = ask.header("sec-fetch-site", site);
        }
        let page = world.house.send(ask).await;
        assert_eq!(page.status, 200, "{site:?}: {page:?}");
        assert!(page.headers.get("set-cookie").is_none(), "{site:?}");
        // The person goes on by a link of ours, and nothing is lost on the way.
        let link = format!("href=\"{}\"", path.replace('&', "&amp;"));
        assert!(page.text().contains(&link), "{}", page.text());
    }
    assert!(visitor.is_signed_in(&world).await);
    let answer = visitor.get(&world, path).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    assert!(answer.header("location").starts_with(&world.idp.issuer));
}

#[tokio::test]
async fn wan_07_provider_is_no_way_around_the_passkey() {
    let world = World::new().await;
    world.house.add_person(ALICE).await;
    world.house.login(ALICE, &["administrator"]).await;
    let body = json!({"provider": "corp", "subject": "sub-alice"});
    let path = format!("/v1/owners/{ALICE}/links");
    world.house.admin("POST", &path, body).await.ok();
    let visitor = world.sign_in().await;
    for (method, path) in [
        ("GET", "/v1/owners"),
        ("GET", "/v1/agents"),
        ("GET", "/v1/providers"),
    ] {
        let ask = visitor
            .ask(method, path)
            .header("sec-fetch-site", "same-origin");
        world.house.send(ask).await.refused(403, "access_denied");
    }
    let disable = format!("/v1/owners/{ALICE}/disable");
    let refused = visitor
        .post(&world, &disable, &json!({"reason": "x"}))
        .await;
    refused.refused(403, "access_denied");
}
