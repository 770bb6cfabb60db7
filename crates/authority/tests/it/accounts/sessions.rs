//! Sessions: what a cookie is worth, when it ends, and what nobody else can make it do.

use std::time::Duration;

use chancery_api::routes::{OWN, ROUTES};
use serde_json::{Value, json};

use super::authenticator::{Authenticator, Browser, id_of, invite, signed_in};
use crate::enforcement::coverage;
use crate::house::{ADMIN, House, ISSUER};
use crate::request::ask;

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";
const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn session_ends_when_it_is_not_used_and_at_its_end_however_it_is_used() {
    let house = House::found().await;
    let (mut idle, mut passkey) = signed_in(&house, ALICE, &["operator"]).await;
    let mut busy = Browser::default();
    busy.sign_in(&house, &mut passkey).await.ok();
    house.advance(7 * HOUR).await;
    busy.get(&house, "/v1/agents").await.ok();
    house.advance(HOUR).await;
    idle.get(&house, "/v1/agents")
        .await
        .refused(401, "unauthenticated");
    busy.get(&house, "/v1/agents").await.ok();
    // Another process knows that it was used.
    let beside = house.beside(2).await;
    busy.get(&beside, "/v1/agents").await.ok();
    house.advance(4 * HOUR).await;
    busy.get(&house, "/v1/agents")
        .await
        .refused(401, "unauthenticated");
}

#[tokio::test]
async fn sessions_are_listed_and_ended_one_by_one() {
    let house = House::found().await;
    let (mut one, mut passkey) = signed_in(&house, ALICE, &["operator"]).await;
    let mut two = Browser::default();
    two.sign_in(&house, &mut passkey).await.ok();
    let list = one.get(&house, "/v1/sessions").await.ok();
    let items = list["items"].as_array().expect("a list");
    assert_eq!(items.len(), 2);
    let id_where = |current: bool| {
        let found = items.iter().find(|item| item["current"] == current);
        found.and_then(|item| item["id"].as_str()).expect("an id")
    };
    let (own, other) = (id_where(true), id_where(false));
    one.post(&house, &format!("/v1/sessions/{other}/end"), Value::Null)
        .await
        .ok();
    two.get(&house, "/v1/agents")
        .await
        .refused(401, "unauthenticated");
    one.get(&house, "/v1/agents").await.ok();
    let again = one
        .post(&house, &format!("/v1/sessions/{other}/end"), Value::Null)
        .await;
    again.refused(404, "not_found");
    let path = format!("/v1/owners/alice@example.com/sessions/{own}/end");
    house
        .admin("POST", &path, json!({"reason": "a test"}))
        .await
        .ok();
    one.get(&house, "/v1/agents")
        .await
        .refused(401, "unauthenticated");
    let ended = house.last_event("session.ended").await;
    assert_eq!(ended["reason"], "a test");
}

#[tokio::test]
async fn everything_ends_when_the_person_leaves_and_sessions_when_they_are_logged_out() {
    let house = House::found().await;
    let (mut alice, mut passkey) = signed_in(&house, ALICE, &["operator"]).await;
    let codes = alice
        .post(&house, "/v1/recovery-codes", Value::Null)
        .await
        .ok();
    let invitation = invite(&house, ADMIN, ALICE, &["operator"]).await;
    let path = "/v1/owners/alice@example.com/logout";
    house
        .admin("POST", path, json!({"reason": "leaked"}))
        .await
        .ok();
    alice
        .get(&house, "/v1/agents")
        .await
        .refused(401, "unauthenticated");
    let answer = alice
        .accept(&house, &invitation, &mut Authenticator::new("x"))
        .await;
    answer.refused(401, "sign_in_refused");
    // Codes are in no list: whoever has some that are not theirs would not be seen.
    let code = json!({"code": codes["codes"][0]});
    alice
        .post(&house, "/v1/sign-in/recovery", code)
        .await
        .refused(401, "sign_in_refused");
    assert_eq!(
        house.last_event("login.revoked").await["facts"]["recovery_codes_ended"],
        "10"
    );
    // The passkey is hers alone, and stays.
    alice.sign_in(&house, &mut passkey).await.ok();

    let invitation = invite(&house, ADMIN, ALICE, &["operator"]).await;
    let path = "/v1/owners/alice@example.com/disable";
    house
        .admin("POST", path, json!({"reason": "left"}))
        .await
        .ok();
    alice
        .get(&house, "/v1/agents")
        .await
        .refused(401, "unauthenticated");
    alice
        .sign_in(&house, &mut passkey)
        .await
        .refused(401, "sign_in_refused");
    let answer = alice
        .accept(&house, &invitation, &mut Authenticator::new("x"))
        .await;
    answer.refused(401, "sign_in_refused");
    let code = json!({"code": codes["codes"][0]});
    alice
        .post(&house, "/v1/sign-in/recovery", code)
        .await
        .refused(401, "sign_in_refused");
    let left = house.last_event("owner.disabled").await;
    assert_eq!(left["facts"]["passkeys_revoked"], "1");
    assert_eq!(left["facts"]["sessions_ended"], "1");
}

#[tokio::test]
async fn web_02_cookie_does_nothing_for_pages_of_others() {
    let house = House::found().await;
    let (mut alice, _) = signed_in(&house, ALICE, &["administrator"]).await;
    let cookie = format!("__Host-chancery={}", alice.cookie);
    let body = json!({"handle": BOB});
    // What a page of another origin, or of a neighbour below the same domain, can make a browser send.
    for site in ["cross-site", "same-site", "none"] {
        for kind in [
            "application/json",
            "text/plain",
            "application/x-www-form-urlencoded",
        ] {
            let ask = ask("POST", "/v1/owners")
                .header("cookie", cookie.clone())
                .header("sec-fetch-site", site)
                .body(kind, body.to_string());
            house.send(ask).await.refused(401, "unauthenticated");
        }
    }
    let bare = ask("POST", "/v1/owners")
        .header("cookie", cookie.clone())
        .json(&body);
    house.send(bare).await.refused(401, "unauthenticated");
    for origin in [
        "https://evil.example",
        "null",
        "https://a.id.example",
        "http://id.example",
    ] {
        let ask = ask("POST", "/v1/owners")
            .header("cookie", cookie.clone())
            .header("origin", origin)
            .json(&body);
        let answer = house.send(ask).await;
        answer.refused(403, "access_denied");
        let allows = |name: &http::HeaderName| name.as_str().starts_with("access-control");
        assert!(!answer.headers.keys().any(allows), "{answer:?}");
    }
    // A form of our own page would have another content type, and no other method stands in for one.
    let form = alice
        .ask("POST", "/v1/owners", &Value::Null)
        .body("text/plain", body.to_string());
    house.send(form).await.refused(400, "invalid_request");
    let disguised = alice
        .ask("GET", "/v1/owners?_method=POST", &Value::Null)
        .header("x-http-method-override", "POST");
    let answer = house.send(disguised).await;
    assert_ne!(answer.status, 200, "{answer:?}");
    assert_eq!(
        house.events_of("owner.added").await.len(),
        1,
        "nothing changed"
    );
    // Where a browser says nothing about sites, the exact origin does.
    let old = ask("POST", "/v1/owners")
        .header("cookie", cookie)
        .header("origin", ISSUER);
    house.send(old.json(&body)).await.ok();
    alice.get(&house, "/v1/agents").await.ok();
}

#[tokio::test]
async fn session_and_login_do_not_stand_in_for_each_other() {
    let house = House::found().await;
    let (alice, _) = signed_in(&house, ALICE, &["operator"]).await;
    let as_login = house
        .as_login(&alice.cookie, "GET", "/v1/agents", Value::Null)
        .await;
    as_login.refused(401, "unauthenticated");
    let login = house.login(ALICE, &["operator"]).await;
    for secret in [&*login, ADMIN] {
        let mut browser = Browser {
            at: None,
            cookie: secret.to_owned(),
        };
        let answer = browser.get(&house, "/v1/agents").await;
        answer.refused(401, "unauthenticated");
    }
    // A header that is there decides alone.
    let both = alice
        .ask("GET", "/v1/agents", &Value::Null)
        .bearer("chl_AAAAAAAAAAAAAAAA");
    house.send(both).await.refused(401, "unauthenticated");
}

#[tokio::test]
async fn web_05_each_sign_in_has_a_session_of_its_own_and_ends_the_one_before() {
    let house = House::found().await;
    let (mut alice, mut of_alice) = signed_in(&house, ALICE, &["operator"]).await;
    let (bob, mut of_bob) = signed_in(&house, BOB, &["auditor"]).await;
    // A cookie that somebody planted becomes nobody's session.
    let planted = format!("chs_{}", "A".repeat(43));
    let mut victim = Browser {
        at: None,
        cookie: planted.clone(),
    };
    victim.sign_in(&house, &mut of_alice).await.ok();
    assert_ne!(victim.cookie, planted);
    let mut planter = Browser {
        cookie: planted,
        at: None,
    };
    planter
        .get(&house, "/v1/whoami")
        .await
        .refused(401, "unauthenticated");
    // Somebody else signs in with the same browser: nothing of before is left.
    let mut before = victim.clone();
    victim.sign_in(&house, &mut of_bob).await.ok();
    assert_eq!(victim.get(&house, "/v1/whoami").await.ok()["id"], BOB);
    before
        .get(&house, "/v1/whoami")
        .await
        .refused(401, "unauthenticated");
    let ended = house.last_event("session.ended").await;
    assert_eq!(ended["facts"]["by"], "sign_in");
    // Signed out, a value is worth nothing, and signing out without one is refused.
    let kept = alice.clone();
    alice
        .post(&house, "/v1/sessions/current/end", Value::Null)
        .await
        .ok();
    kept.clone()
        .get(&house, "/v1/whoami")
        .await
        .refused(401, "unauthenticated");
    let answer = Browser::default()
        .post(&house, "/v1/sessions/current/end", Value::Null)
        .await;
    answer.refused(401, "unauthenticated");
    bob.clone().get(&house, "/v1/whoami").await.ok();
}

#[tokio::test]
async fn web_06_session_is_kept_as_a_hash_and_told_to_nobody() {
    let house = House::found().await;
    let (mut alice, _) = signed_in(&house, ALICE, &["administrator"]).await;
    let stored = house
        .database
        .texts("SELECT secret_hash FROM session")
        .await;
    assert!(stored.iter().all(|hash| hash.starts_with("sha256:")));
    assert!(alice.cookie.len() >= 40);
    let invitation = invite(&house, ADMIN, ALICE, &["auditor"]).await;
    let codes = alice
        .post(&house, "/v1/recovery-codes", Value::Null)
        .await
        .ok();
    let code = codes["codes"][0].as_str().expect("a code");
    let wrong = json!({"invitation": format!("{invitation}x")});
    let mut told = alice
        .post(&house, "/v1/enrolment/options", wrong)
        .await
        .text();
    for path in [
        "/v1/whoami",
        "/v1/sessions",
        "/v1/passkeys",
        "/v1/events?limit=500",
    ] {
        told.push_str(&alice.get(&house, path).await.ok().to_string());
    }
    told.push_str(&crate::house::logged());
    for secret in [&*alice.cookie, &invitation, code] {
        assert!(!told.contains(secret));
    }
}

#[tokio::test]
async fn wan_07_recovery_code_leads_to_a_passkey_and_nowhere_else() {
    let house = House::found().await;
    house.register("refund-bot").await;
    let (mut alice, mut passkey) = signed_in(&house, BOB, &["administrator"]).await;
    let made = alice
        .post(&house, "/v1/recovery-codes", Value::Null)
        .await
        .ok();
    let codes = made["codes"].as_array().expect("codes");
    assert_eq!(codes.len(), 10);
    assert_eq!(
        alice.get(&house, "/v1/recovery-codes").await.ok()["left"],
        10
    );
    let mut lost = Browser::default();
    let code = json!({"code": codes[0]});
    let who = lost
        .post(&house, "/v1/sign-in/recovery", code.clone())
        .await
        .ok();
    assert_eq!(who["signed_in_with"], "recovery_code");
    assert!(who.get("roles").is_none(), "{who}");
    for route in ROUTES.iter().chain(OWN) {
        let may = route.path == "/v1/whoami"
            || route.path == "/v1/passkeys/options"
            || (route.path, route.method) == ("/v1/passkeys", "POST")
            || route.path.starts_with("/v1/sessions/");
        if !may {
            let ask = coverage::request(route, "refund-bot")
                .header("sec-fetch-site", "same-origin")
                .header("cookie", format!("__Host-chancery={}", lost.cookie));
            let answer = house.send(ask).await;
            answer.refused(403, "access_denied");
        }
    }
    // Once used is used.
    let again = Browser::default()
        .post(&house, "/v1/sign-in/recovery", code)
        .await;
    again.refused(401, "sign_in_refused");
    let mut new = Authenticator::new("new");
    lost.enrol(&house, &mut new).await.ok();
    let who = lost.get(&house, "/v1/whoami").await.ok();
    assert_eq!(who["signed_in_with"], "passkey");
    assert_eq!(who["roles"], json!(["administrator"]));
    lost.get(&house, "/v1/agents").await.ok();
    // The twin: the passkey itself still signs in.
    alice.sign_in(&house, &mut passkey).await.ok();
    assert_eq!(house.events_of("recovery_code.used").await.len(), 1);
}

#[tokio::test]
async fn recovery_codes_are_void_when_there_are_new_ones_or_their_passkey_is_revoked() {
    let house = House::found().await;
    let (mut alice, _) = signed_in(&house, ALICE, &["operator"]).await;
    let old = alice
        .post(&house, "/v1/recovery-codes", Value::Null)
        .await
        .ok();
    let new = alice
        .post(&house, "/v1/recovery-codes", Value::Null)
        .await
        .ok();
    let try_code = async |code: &Value| {
        let mut browser = Browser::default();
        let answer = browser
            .post(&house, "/v1/sign-in/recovery", json!({"code": code}))
            .await;
        (answer, browser)
    };
    try_code(&old["codes"][0])
        .await
        .0
        .refused(401, "sign_in_refused");
    let stored = house
        .database
        .texts("SELECT secret_hash FROM recovery_code")
        .await;
    assert!(stored.iter().all(|hash| hash.starts_with("sha256:")));
    let (answer, mut lost) = try_code(&new["codes"][0]).await;
    answer.ok();
    // A quarter of an hour, and no more.
    house.advance(Duration::from_secs(15 * 60)).await;
    lost.get(&house, "/v1/whoami")
        .await
        .refused(401, "unauthenticated");
    let typed = new["codes"][1]
        .as_str()
        .expect("a code")
        .to_uppercase()
        .replace('-', " ");
    let (answer, mut lost) = try_code(&json!(typed)).await;
    answer.ok();
    lost.enrol(&house, &mut Authenticator::new("new"))
        .await
        .ok();
    let list = lost.get(&house, "/v1/passkeys").await.ok();
    let first = id_of(&list, "laptop");
    lost.post(&house, &format!("/v1/passkeys/{first}/revoke"), Value::Null)
        .await
        .ok();
    try_code(&new["codes"][2])
        .await
        .0
        .refused(401, "sign_in_refused");
    assert_eq!(lost.get(&house, "/v1/recovery-codes").await.ok()["left"], 0);
}

#[tokio::test]
async fn whoever_is_shut_out_does_not_get_in_again_by_a_code_that_is_being_used() {
    let house = House::found().await;
    let (mut thief, _) = signed_in(&house, ALICE, &["operator"]).await;
    let made = thief
        .post(&house, "/v1/recovery-codes", Value::Null)
        .await
        .ok();
    let mut recovering = Browser::default();
    let code = json!({"code": made["codes"][0]});
    recovering
        .post(&house, "/v1/sign-in/recovery", code)
        .await
        .ok();
    let list = house.get("/v1/owners/alice@example.com/passkeys").await;
    let id = id_of(&list, "laptop");
    let path = format!("/v1/owners/alice@example.com/passkeys/{id}/revoke");
    let revoked = house
        .admin("POST", &path, json!({"reason": "stolen"}))
        .await;
    revoked.ok();
    let event = house.last_event("passkey.revoked").await;
    assert_eq!(event["facts"]["sessions_ended"], "2");
    assert_eq!(event["facts"]["recovery_codes_ended"], "9");
    let answer = recovering
        .enrol(&house, &mut Authenticator::new("new"))
        .await;
    answer.refused(401, "unauthenticated");
}

/// A row that ended while a request was on its way is seen in the request's own transaction.
#[tokio::test]
async fn session_that_ended_meanwhile_changes_no_way_of_signing_in() {
    let house = House::found().await;
    let (mut alice, _) = signed_in(&house, ALICE, &["operator"]).await;
    let sql = "UPDATE session SET ended_at = 1";
    house.database.run(sql).await;
    // The directory of this process does not know it yet.
    alice.get(&house, "/v1/whoami").await.ok();
    for path in ["/v1/recovery-codes", "/v1/sessions/current/end"] {
        let answer = alice.post(&house, path, Value::Null).await;
        answer.refused(401, "unauthenticated");
    }
    let answer = alice.enrol(&house, &mut Authenticator::new("new")).await;
    answer.refused(401, "unauthenticated");
}

/// The same for everything else that is written, whichever way its author came.
#[tokio::test]
async fn race_04_what_ended_meanwhile_writes_nothing() {
    let house = House::found().await;
    let (mut alice, _) = signed_in(&house, ALICE, &["administrator"]).await;
    house.add_person(BOB).await;
    let login = house.login(BOB, &["administrator"]).await;
    house
        .database
        .run("UPDATE session SET ended_at = 1; UPDATE login SET revoked_at = 1")
        .await;
    // The directory of this process does not know it yet.
    alice.get(&house, "/v1/whoami").await.ok();
    house
        .as_login(&login, "GET", "/v1/whoami", Value::Null)
        .await
        .ok();
    let roles = json!({"roles": ["operator"]});
    for (path, body) in [
        ("/v1/owners/alice@example.com/invitations", roles.clone()),
        ("/v1/owners/alice@example.com/logins", roles),
        ("/v1/owners", json!({"handle": "carol@example.com"})),
    ] {
        let answer = alice.post(&house, path, body.clone()).await;
        answer.refused(401, "unauthenticated");
        let answer = house.as_login(&login, "POST", path, body.clone()).await;
        answer.refused(401, "unauthenticated");
    }
    // The twin: whoever did not end writes on.
    let path = "/v1/owners";
    house
        .admin("POST", path, json!({"handle": "carol@example.com"}))
        .await
        .ok();
}

#[tokio::test]
async fn dos_06_of_too_many_sessions_the_oldest_end() {
    let house = House::found().await;
    let (mut first, mut passkey) = signed_in(&house, ALICE, &["operator"]).await;
    for _ in 0..15 {
        Browser::default().sign_in(&house, &mut passkey).await.ok();
    }
    first.get(&house, "/v1/agents").await.ok();
    let mut last = Browser::default();
    last.sign_in(&house, &mut passkey).await.ok();
    first
        .get(&house, "/v1/agents")
        .await
        .refused(401, "unauthenticated");
    let list = last.get(&house, "/v1/sessions").await.ok();
    assert_eq!(list["items"].as_array().map(Vec::len), Some(16));
    let ended = house.last_event("session.ended").await;
    assert_eq!(ended["facts"]["by"], "later_sign_in");
}

#[tokio::test]
async fn web_04_nothing_redirects_to_another_place() {
    let house = House::found().await;
    for path in [
        "/console",
        "/console?next=//evil.example",
        "/console//evil.example",
        "//evil.example",
        "/console/..//evil.example",
        "/v1/sign-in?next=https:evil.example",
        "/%2f%2fevil.example",
        "/console/%5cevil.example",
    ] {
        let answer = house.send(ask("GET", path)).await;
        let place = answer.header("location");
        assert!(["", "/console/"].contains(&place), "{path}: {answer:?}");
    }
    let entered = house.send(ask("GET", "/console")).await;
    assert_eq!(entered.header("location"), "/console/");
}

#[tokio::test]
async fn of_many_who_follow_one_invitation_or_use_one_code_exactly_one_gets_in() {
    let house = House::found().await;
    house.add_person(ALICE).await;
    let invitation = invite(&house, ADMIN, ALICE, &["operator"]).await;
    let follow = |number: usize| {
        let (house, invitation) = (&house, &invitation);
        async move {
            let mut browser = Browser::default();
            let mut passkey = Authenticator::new(&number.to_string());
            let answer = browser.accept(house, invitation, &mut passkey).await;
            (answer.status == 200).then_some(browser)
        }
    };
    let got_in = futures_util::future::join_all((0..8).map(follow)).await;
    let mut got_in: Vec<Browser> = got_in.into_iter().flatten().collect();
    assert_eq!(got_in.len(), 1);
    let alice = &mut got_in[0];
    let made = alice
        .post(&house, "/v1/recovery-codes", Value::Null)
        .await
        .ok();
    let code = json!({"code": made["codes"][0]});
    let use_it = |_| {
        let (house, code) = (&house, code.clone());
        async move {
            let mut browser = Browser::default();
            browser
                .post(house, "/v1/sign-in/recovery", code)
                .await
                .status
                == 200
        }
    };
    let used = futures_util::future::join_all((0..8).map(use_it)).await;
    assert_eq!(used.into_iter().filter(|is_in| *is_in).count(), 1);
}

#[tokio::test]
async fn on_loopback_people_sign_in_at_localhost_with_the_port() {
    let house = House::found_with(|config| {
        config.issuer = "http://127.0.0.1:7420".to_owned();
        config.hosts = vec!["127.0.0.1:7420".to_owned(), "localhost:7420".to_owned()];
    })
    .await;
    let at = |origin: &str| {
        ask("POST", "/v1/sign-in/options")
            .without("host")
            .header("host", "localhost:7420")
            .header("origin", origin)
    };
    let options = house.send(at("http://localhost:7420")).await.ok();
    assert_eq!(options["rp_id"], "localhost");
    assert_eq!(options["origin"], "http://localhost:7420");
    for other in [
        "http://localhost",
        "http://localhost:7421",
        "https://localhost:7420",
    ] {
        house.send(at(other)).await.refused(403, "access_denied");
    }
    let address = at("http://127.0.0.1:7420").header("sec-fetch-site", "same-origin");
    house.send(address).await.ok();
}
