//! OpenID Connect: who signed in, told to a client that asks for it, and nothing more.

use std::time::Duration;

use chancery_wire::dpop;
use chancery_wire::jwk::PrivateKey;
use serde_json::{Value, json};

use super::flow::{
    BOB, CALLBACK, Flow, Pairs, R1, STATE, asks_to_sign_in, field, furnished, landed, put,
    stays_here,
};
use crate::accounts::authenticator::{Authenticator, Browser, signed_in};
use crate::house::{ISSUER, claims};
use crate::request::{Answer, ask};

pub(super) const USERINFO: &str = "https://id.example/oauth/userinfo";
pub(super) const NONCE: &str = "n-0S6_WzA2Mj";
const CAROL: &str = "carol@example.com";

/// Makes a request into one that asks for nothing but who the person is.
pub(super) fn sign_in(pairs: &mut Pairs) {
    put(pairs, "resource", "");
    put(pairs, "scope", "openid profile email");
    put(pairs, "nonce", NONCE);
}

/// The tokens of a sign-in of bob's.
async fn signed_in_to(flow: &Flow, change: impl FnOnce(&mut Pairs)) -> Value {
    let code = flow
        .code_with(|pairs| {
            sign_in(pairs);
            change(pairs);
        })
        .await;
    flow.redeem(&code).await.ok()
}

fn text<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer[name].as_str().expect("a text")
}

fn header(token: &str) -> Value {
    let header = token.split('.').next().expect("a header");
    let header = chancery_wire::base64url::decode(header).expect("base64url");
    serde_json::from_slice(&header).expect("JSON")
}

/// Asks who signed in, with a fresh proof of `key`.
async fn ask_who(flow: &Flow, method: &str, token: &str, key: &PrivateKey) -> Answer {
    let nonce = flow.house.nonce(&flow.agent).await;
    let jti = flow.house.fresh();
    let request = dpop::Request {
        method,
        url: USERINFO,
        jti: &jti,
        now: flow.house.now(),
        nonce: Some(&nonce),
        access_token: Some(token),
    };
    let proof = dpop::proof(key, &request);
    let ask = ask(method, "/oauth/userinfo").header("authorization", format!("DPoP {token}"));
    flow.house.send(ask.header("dpop", proof)).await
}

/// The query of a link that asks without having pushed.
pub(super) fn link(flow: &Flow, change: impl FnOnce(&mut Pairs)) -> String {
    let mut pairs = flow.request();
    put(&mut pairs, "client_id", &flow.agent.id);
    sign_in(&mut pairs);
    change(&mut pairs);
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    query.finish()
}

pub(super) async fn follow(flow: &Flow, login: &str, query: &str) -> Answer {
    let ask = ask("GET", &format!("/oauth/authorize?{query}"));
    let ask = if login.is_empty() {
        ask
    } else {
        ask.bearer(login)
    };
    flow.house.send(ask).await
}

#[tokio::test]
async fn client_learns_who_signed_in_and_gets_nothing_to_act_with() {
    let flow = furnished().await;
    let uri = flow.pushed(sign_in).await;
    let page = flow.open(&uri).await;
    stays_here(&page, 200);
    for told in [
        "Sign in to this agent?",
        "told who you are",
        "what you are called here",
        "e-mail address",
    ] {
        assert!(page.text().contains(told), "{told}: {}", page.text());
    }
    assert!(!page.text().contains("What it would reach"));
    let form = field(&page, "form");
    let answer = flow.decide(&flow.login, &uri, &form, "approve").await;
    let answer = flow.redeem(&landed(&answer)["code"]).await.ok();
    let (id_token, access) = (text(&answer, "id_token"), text(&answer, "access_token"));
    let says = claims(id_token);
    assert_eq!(says["iss"], ISSUER);
    assert_eq!(says["aud"], flow.agent.id);
    assert_eq!(says["nonce"], NONCE);
    assert_eq!(says["preferred_username"], BOB);
    assert_eq!(says["email"], BOB);
    assert_eq!(says["email_verified"], false);
    assert_eq!(
        says["at_hash"],
        chancery_wire::id_token::at_hash(access).as_str()
    );
    assert_eq!(
        says["exp"].as_i64().expect("a time") - says["iat"].as_i64().expect("a time"),
        300
    );
    assert_eq!(says["sub"], claims(access)["sub"]);
    assert_eq!(claims(access)["aud"], USERINFO);
    // Signed by a key of its own, which is published with the others.
    assert_eq!(header(id_token)["typ"], "JWT");
    assert_ne!(header(id_token)["kid"], header(access)["kid"]);
    let keys = flow.house.send(ask("GET", "/oauth/jwks")).await.ok();
    assert!(keys.to_string().contains(text(&header(id_token), "kid")));
    // Not at any resource, though this one is registered.
    assert!(!flow.is_active(access).await && !flow.is_active(id_token).await);
    for method in ["GET", "POST"] {
        let person = ask_who(&flow, method, access, &flow.agent.key).await.ok();
        let expected = json!({
            "sub": says["sub"], "preferred_username": BOB, "email": BOB, "email_verified": false,
        });
        assert_eq!(person, expected);
    }
    let told = flow.house.last_event("person.told").await;
    assert_eq!(told["subject"], says["sub"]);
    assert_eq!(told["actor"]["id"], flow.agent.id);
    let issued = flow.house.last_event("token.issued").await;
    assert_eq!(issued["facts"]["id_token"], "issued");
}

#[tokio::test]
async fn less_is_told_to_whoever_asks_for_less_and_nothing_without_openid() {
    let flow = furnished().await;
    let answer = signed_in_to(&flow, |pairs| put(pairs, "scope", "openid")).await;
    let says = claims(text(&answer, "id_token"));
    assert!(says.get("email").is_none() && says.get("preferred_username").is_none());
    let access = text(&answer, "access_token");
    let person = ask_who(&flow, "GET", access, &flow.agent.key).await.ok();
    assert_eq!(person, json!({"sub": says["sub"]}));
    // Beside what it lets the agent do, when that is asked for too.
    let code = flow
        .code_with(|pairs| put(pairs, "scope", "openid read"))
        .await;
    let both = flow.redeem(&code).await.ok();
    assert_eq!(claims(text(&both, "access_token"))["aud"], R1);
    assert_eq!(claims(text(&both, "id_token"))["sub"], says["sub"]);
    let (without, _) = flow.tokens().await;
    ask_who(&flow, "GET", &without, &flow.agent.key)
        .await
        .oauth_error(401, "invalid_token");
    let code = flow.code().await;
    assert!(flow.redeem(&code).await.ok().get("id_token").is_none());
    // A refresh says nothing about a sign-in, and may drop the right to ask.
    let refresh = text(&answer, "refresh_token");
    let renewed = flow.renew(refresh).await.ok();
    assert!(renewed.get("id_token").is_none());
    let again = text(&renewed, "access_token");
    ask_who(&flow, "GET", again, &flow.agent.key).await.ok();
}

#[tokio::test]
async fn userinfo_is_told_to_whoever_holds_the_token_and_its_key_while_all_is_live() {
    let flow = furnished().await;
    let answer = signed_in_to(&flow, |_| ()).await;
    let access = text(&answer, "access_token").to_owned();
    let own = flow.house.token(&flow.agent, R1).await;
    let other = flow.house.register("other-bot").await;
    let refused = ask_who(&flow, "GET", &access, &other.key).await;
    refused.oauth_error(401, "invalid_token");
    let challenges = refused.headers.get_all("www-authenticate").iter();
    let challenges: Vec<&str> = challenges
        .map(|text| text.to_str().expect("a text"))
        .collect();
    let schemes: Vec<&str> = challenges
        .iter()
        .filter_map(|text| text.split(' ').next())
        .collect();
    assert_eq!(schemes, ["DPoP", "Bearer"], "{challenges:?}");
    // DPOP-01: a bound token is worthless as a bearer token, and no other token is of use here.
    let bare = ask("GET", "/oauth/userinfo").bearer(&access);
    flow.house
        .send(bare)
        .await
        .oauth_error(401, "invalid_token");
    for wrong in [&own, text(&answer, "id_token"), "x.y.z"] {
        ask_who(&flow, "GET", wrong, &flow.agent.key)
            .await
            .oauth_error(401, "invalid_token");
    }
    // Who sent nothing did nothing wrong.
    let nothing = flow.house.send(ask("GET", "/oauth/userinfo")).await;
    assert_eq!(nothing.status, 401);
    let challenges = nothing.headers.get_all("www-authenticate").iter();
    for challenge in challenges {
        assert!(
            !challenge.to_str().expect("a text").contains("error="),
            "{nothing:?}"
        );
    }
    let two = ask("GET", "/oauth/userinfo").bearer(&access).bearer(&own);
    flow.house
        .send(two)
        .await
        .oauth_error(400, "invalid_request");
    let wrong = flow.house.send(ask("PUT", "/oauth/userinfo")).await;
    assert_eq!(wrong.header("allow"), "GET, POST");
    ask_who(&flow, "GET", &access, &flow.agent.key).await.ok();
    flow.house.suspend("refund-bot").await.ok();
    ask_who(&flow, "GET", &access, &flow.agent.key)
        .await
        .oauth_error(401, "invalid_token");
}

#[tokio::test]
async fn proof_at_userinfo_is_used_once_and_is_for_this_token() {
    let flow = furnished().await;
    let answer = signed_in_to(&flow, |_| ()).await;
    let access = text(&answer, "access_token").to_owned();
    let nonce = flow.house.nonce(&flow.agent).await;
    let send = async |access_token: Option<&str>, jti: &str, nonce: &str| {
        let request = dpop::Request {
            method: "GET",
            url: USERINFO,
            jti,
            now: flow.house.now(),
            nonce: Some(nonce),
            access_token,
        };
        let proof = dpop::proof(&flow.agent.key, &request);
        let ask = ask("GET", "/oauth/userinfo");
        let ask = ask.header("authorization", format!("DPoP {access}"));
        flow.house.send(ask.header("dpop", proof)).await
    };
    send(Some(&access), "one", &nonce).await.ok();
    assert_ne!(send(Some(&access), "one", &nonce).await.status, 200);
    assert_eq!(send(Some("other"), "two", &nonce).await.status, 401);
    assert_eq!(send(None, "three", &nonce).await.status, 401);
    let stale = send(Some(&access), "four", "not-ours").await;
    stale.oauth_error(401, "use_dpop_nonce");
    assert!(!stale.header("dpop-nonce").is_empty());
    send(Some(&access), "five", stale.header("dpop-nonce"))
        .await
        .ok();
}

#[tokio::test]
async fn agent_by_itself_is_told_of_nobody() {
    let flow = furnished().await;
    flow.house
        .ask_token(&flow.agent, USERINFO)
        .await
        .oauth_error(400, "invalid_target");
    // Nor does it get there with another scope.
    let refused = flow
        .push_with(|pairs| put(pairs, "resource", USERINFO))
        .await;
    refused.oauth_error(400, "invalid_scope");
}

#[tokio::test]
async fn client_that_signs_people_in_may_ask_in_a_link_and_for_nothing_more() {
    let flow = furnished().await;
    let query = link(&flow, |_| ());
    // Nothing is found out, and nothing is kept, before it is known who asks.
    asks_to_sign_in(&follow(&flow, "", &query).await);
    let kept = flow
        .house
        .database
        .texts("SELECT uri_hash FROM pushed_request");
    assert!(kept.await.is_empty());
    let page = follow(&flow, &flow.login, &query).await;
    stays_here(&page, 200);
    let (uri, form) = (field(&page, "request_uri"), field(&page, "form"));
    let answer = landed(&flow.decide(&flow.login, &uri, &form, "approve").await);
    assert_eq!((&*answer["state"], &*answer["iss"]), (STATE, ISSUER));
    let tokens = flow.redeem(&answer["code"]).await.ok();
    assert_eq!(claims(text(&tokens, "id_token"))["nonce"], NONCE);
    // The second time nobody is asked, for as much and no more.
    let again = landed(&follow(&flow, &flow.login, &query).await);
    flow.redeem(&again["code"]).await.ok();
    assert_eq!(flow.grants().await.len(), 1);
    let silent = link(&flow, |pairs| put(pairs, "prompt", "none"));
    assert!(landed(&follow(&flow, &flow.login, &silent).await).contains_key("code"));
    // What would let it act must be pushed, whatever else is asked for.
    let acting = link(&flow, |pairs| put(pairs, "resource", R1));
    let refused = landed(&follow(&flow, &flow.login, &acting).await);
    assert_eq!(refused["error"], "invalid_request");
    let plain = link(&flow, |pairs| put(pairs, "scope", "read"));
    stays_here(&follow(&flow, &flow.login, &plain).await, 400);
}

#[tokio::test]
async fn authz_03_link_that_is_not_proven_sends_nobody_anywhere() {
    let flow = furnished().await;
    let other = flow.house.register("other-bot").await;
    let evil = link(&flow, |pairs| {
        put(pairs, "redirect_uri", "https://attacker.example")
    });
    let prefix = link(&flow, |pairs| {
        put(pairs, "redirect_uri", "https://app.example/cb/x")
    });
    let none = link(&flow, |pairs| put(pairs, "redirect_uri", ""));
    let of_other = link(&flow, |pairs| put(pairs, "client_id", &other.id));
    let unknown = link(&flow, |pairs| {
        put(pairs, "client_id", "agt_01hzy0000000000000000000aa")
    });
    for query in [&evil, &prefix, &none, &of_other, &unknown] {
        stays_here(&follow(&flow, &flow.login, query).await, 400);
    }
    flow.house.suspend("refund-bot").await.ok();
    stays_here(&follow(&flow, &flow.login, &link(&flow, |_| ())).await, 400);
    flow.house.resume("refund-bot").await.ok();
    // Once it is proven, the client is told what is wrong.
    for (name, value, error) in [
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("response_type", "id_token", "unsupported_response_type"),
        ("request", "e30.e30.", "request_not_supported"),
        (
            "acr_values",
            "urn:mace:silver",
            "unmet_authentication_requirements",
        ),
        ("prompt", "none", "consent_required"),
    ] {
        let query = link(&flow, |pairs| put(pairs, name, value));
        let answer = landed(&follow(&flow, &flow.login, &query).await);
        assert_eq!((&*answer["error"], &*answer["iss"]), (error, ISSUER));
        assert_eq!(answer["state"], STATE);
    }
}

/// A browser at the page of a request, and what it got.
async fn open_in(flow: &Flow, browser: &mut Browser, uri: &str) -> Answer {
    let path = format!(
        "/oauth/authorize?client_id={}&request_uri={uri}",
        flow.agent.id
    );
    browser.get(&flow.house, &path).await
}

#[tokio::test]
async fn step_up_asks_for_a_passkey_and_the_token_says_so() {
    let flow = furnished().await;
    let step_up = |pairs: &mut Pairs| {
        put(pairs, "acr_values", "urn:mace:silver phr");
        put(pairs, "max_age", "300");
    };
    let uri = flow.pushed(step_up).await;
    // A login that somebody had made is no sign-in of which anything is known.
    asks_to_sign_in(&flow.open(&uri).await);
    let (mut browser, mut passkey) = signed_in(&flow.house, CAROL, &["auditor"]).await;
    let page = open_in(&flow, &mut browser, &uri).await;
    stays_here(&page, 200);
    let form = field(&page, "form");
    let pairs = [
        ("request_uri", &*uri),
        ("form", &form),
        ("answer", "approve"),
    ];
    let ask = browser.ask("POST", "/oauth/authorize/decide", &Value::Null);
    let answer = landed(&flow.house.send(ask.form(&pairs)).await);
    let tokens = flow.redeem(&answer["code"]).await.ok();
    let access = text(&tokens, "access_token");
    let signed_in_at = claims(access)["auth_time"].as_i64().expect("a time");
    assert_eq!(claims(access)["acr"], "phr");
    let told = flow.house.introspect(&flow.server, access).await.ok();
    assert_eq!(
        (&told["acr"], &told["auth_time"]),
        (&json!("phr"), &json!(signed_in_at))
    );
    // It stays what it was when the token is renewed.
    let renewed = flow.renew(text(&tokens, "refresh_token")).await.ok();
    let renewed = claims(text(&renewed, "access_token"));
    assert_eq!(
        (&renewed["acr"], &renewed["auth_time"]),
        (&json!("phr"), &json!(signed_in_at))
    );
    // Later the sign-in is too old, until there is another.
    flow.house.advance(Duration::from_secs(301)).await;
    let uri = flow.pushed(step_up).await;
    asks_to_sign_in(&open_in(&flow, &mut browser, &uri).await);
    sign_in_anew(&flow, &mut browser, &mut passkey).await;
    stays_here(&open_in(&flow, &mut browser, &uri).await, 200);
    let silent = flow
        .pushed(|pairs| {
            put(pairs, "acr_values", "phr");
            put(pairs, "prompt", "none");
        })
        .await;
    let refused = landed(&flow.open(&silent).await);
    assert_eq!(refused["error"], "login_required");
    let unmet = flow
        .push_with(|pairs| put(pairs, "acr_values", "urn:mace:gold"))
        .await;
    unmet.oauth_error(400, "unmet_authentication_requirements");
}

async fn sign_in_anew(flow: &Flow, browser: &mut Browser, passkey: &mut Authenticator) {
    browser.sign_in(&flow.house, passkey).await.ok();
}

/// Where people may be sent on to once they signed out.
const GOODBYE: &str = "https://app.example/goodbye";

async fn furnished_with_goodbye() -> Flow {
    let flow = furnished().await;
    let body = json!({"redirect_uris": [CALLBACK], "post_logout_redirect_uris": [GOODBYE]});
    let path = "/v1/agents/refund-bot/redirect-uris";
    let view = flow.house.admin("PUT", path, body).await.ok();
    assert_eq!(view["post_logout_redirect_uris"], json!([GOODBYE]));
    flow
}

fn logout(pairs: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(pairs);
    format!("/oauth/logout?{}", query.finish())
}

/// Sends the form of a page that asks whether to sign out, with what it carries.
async fn sign_out(flow: &Flow, browser: &mut Browser, page: &Answer) -> Answer {
    let names = [
        "id_token_hint",
        "client_id",
        "post_logout_redirect_uri",
        "state",
    ];
    let values = names.map(|name| field(page, name));
    let mut form: Vec<(&str, &str)> = names
        .iter()
        .zip(&values)
        .map(|(name, value)| (*name, &**value))
        .collect();
    form.push(("answer", "yes"));
    let ask = browser.ask("POST", "/oauth/logout", &Value::Null);
    flow.house.send(ask.form(&form)).await
}

#[tokio::test]
async fn client_sends_people_to_sign_out_and_they_do_so_themselves() {
    let flow = furnished_with_goodbye().await;
    let tokens = signed_in_to(&flow, |_| ()).await;
    let hint = text(&tokens, "id_token");
    let (mut browser, _) = signed_in(&flow.house, CAROL, &["auditor"]).await;
    let path = logout(&[
        ("id_token_hint", hint),
        ("post_logout_redirect_uri", GOODBYE),
        ("state", "af0ifjsldkj"),
    ]);
    let page = browser.get(&flow.house, &path).await;
    stays_here(&page, 200);
    assert!(page.text().contains("Do you want to sign out?"));
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("form-action 'self' https://app.example;"),
        "{policy}"
    );
    // Looking ends nothing, and no other page can answer it.
    browser.get(&flow.house, "/v1/sessions").await.ok();
    let form = [("answer", "yes")];
    let foreign = ask("POST", "/oauth/logout")
        .header("sec-fetch-site", "cross-site")
        .header("cookie", format!("__Host-chancery={}", browser.cookie))
        .form(&form);
    let nothing = flow.house.send(foreign).await;
    stays_here(&nothing, 200);
    assert!(nothing.headers.get("set-cookie").is_none());
    assert!(nothing.text().contains("Do you want to sign out?"));
    // A page of the client may send its person with a form, and all that comes of it is the question.
    let by_form = ask("POST", "/oauth/logout").header("origin", "https://app.example");
    let asked = flow.house.send(by_form.form(&[("state", "x")])).await;
    assert!(asked.text().contains("Do you want to sign out?"));
    browser.get(&flow.house, "/v1/sessions").await.ok();
    let gone = sign_out(&flow, &mut browser, &page).await;
    assert_eq!(gone.status, 303);
    assert_eq!(
        gone.header("location"),
        format!("{GOODBYE}?state=af0ifjsldkj")
    );
    assert!(gone.header("set-cookie").contains("Max-Age=0"));
    browser
        .get(&flow.house, "/v1/sessions")
        .await
        .refused(401, "unauthenticated");
    let ended = flow.house.last_event("session.ended").await;
    assert_eq!(ended["actor"]["id"], CAROL);
    // Who is signed out already goes on all the same.
    let page = Browser::default().get(&flow.house, &path).await;
    let gone = sign_out(&flow, &mut Browser::default(), &page).await;
    assert_eq!(gone.status, 303);
}

#[tokio::test]
async fn nobody_is_sent_on_to_where_it_is_not_registered_for_that_client() {
    let flow = furnished_with_goodbye().await;
    let other = flow.house.register("other-bot").await;
    let tokens = signed_in_to(&flow, |_| ()).await;
    let (hint, access) = (text(&tokens, "id_token"), text(&tokens, "access_token"));
    let at = |client: &str, hint: &str, uri: &str| {
        logout(&[
            ("client_id", client),
            ("id_token_hint", hint),
            ("post_logout_redirect_uri", uri),
        ])
    };
    let mut browser = Browser::default();
    let flow = &flow;
    let mut lands = async |path: &str| {
        let page = browser.get(&flow.house, path).await;
        stays_here(&page, 200);
        let gone = sign_out(flow, &mut browser, &page).await;
        gone.header("location").to_owned()
    };
    let agent = &flow.agent.id;
    assert_eq!(lands(&at(agent, hint, GOODBYE)).await, GOODBYE);
    assert_eq!(lands(&at("", hint, GOODBYE)).await, GOODBYE);
    assert_eq!(lands(&at(agent, "", GOODBYE)).await, GOODBYE);
    for path in [
        at(agent, hint, "https://attacker.example"),
        at(agent, hint, "https://app.example/goodbye/../x"),
        // Where answers go is not where people go.
        at(agent, hint, CALLBACK),
        at("", "", GOODBYE),
        at(&other.id, "", GOODBYE),
        at(&other.id, hint, GOODBYE),
        at(agent, access, GOODBYE),
        at(agent, "e30.e30.", GOODBYE),
    ] {
        assert_eq!(lands(&path).await, "", "{path}");
    }
    // A hint says who it was long after it ended.
    flow.house.advance(Duration::from_secs(3_600)).await;
    assert_eq!(lands(&at(agent, hint, GOODBYE)).await, GOODBYE);
}

#[tokio::test]
async fn person_is_asked_anew_when_the_client_wants_that_and_shown_nothing_when_it_does_not() {
    let flow = furnished().await;
    signed_in_to(&flow, |_| ()).await;
    let again = landed(&follow(&flow, &flow.login, &link(&flow, |_| ())).await);
    assert!(again.contains_key("code"));
    let consent = link(&flow, |pairs| put(pairs, "prompt", "consent"));
    stays_here(&follow(&flow, &flow.login, &consent).await, 200);
    // Who is not signed in is not shown a page by a client that wants none.
    let silent = link(&flow, |pairs| put(pairs, "prompt", "none"));
    let told = landed(&follow(&flow, "", &silent).await);
    assert_eq!(
        (&*told["error"], &*told["iss"], &*told["state"]),
        ("login_required", ISSUER, STATE)
    );
    let evil = link(&flow, |pairs| {
        put(pairs, "prompt", "none");
        put(pairs, "redirect_uri", "https://attacker.example");
    });
    stays_here(&follow(&flow, "", &evil).await, 400);
    // Whom a hint names would have to be the one who is asked, which is not offered.
    let hint = link(&flow, |pairs| put(pairs, "id_token_hint", "e30.e30.x"));
    assert_eq!(
        landed(&follow(&flow, &flow.login, &hint).await)["error"],
        "invalid_request"
    );
    // A form stands for the link.
    let form = ask("POST", "/oauth/authorize").header("origin", "https://app.example");
    let query = link(&flow, |_| ());
    let sent = flow
        .house
        .send(form.body("application/x-www-form-urlencoded", query.clone()))
        .await;
    assert_eq!(
        (sent.status.as_u16(), sent.header("location")),
        (303, &*format!("/oauth/authorize?{query}"))
    );
}

#[tokio::test]
async fn sign_in_gives_no_scope_but_those_of_a_sign_in() {
    let flow = furnished().await;
    let tokens = signed_in_to(&flow, |pairs| {
        put(pairs, "scope", "openid payments:write offline_access")
    })
    .await;
    assert_eq!(tokens["scope"], "openid");
    assert_eq!(claims(text(&tokens, "access_token"))["scope"], "openid");
}

#[tokio::test]
async fn dos_pages_that_one_person_left_open_keep_nobody_else_out() {
    let flow = furnished().await;
    let query = link(&flow, |_| ());
    for _ in 0..20 {
        stays_here(&follow(&flow, &flow.login, &query).await, 200);
    }
    stays_here(&follow(&flow, &flow.login, &query).await, 503);
    flow.house.add_person(CAROL).await;
    let carol = flow.house.login(CAROL, &["auditor"]).await;
    stays_here(&follow(&flow, &carol, &query).await, 200);
    flow.pushed(|_| ()).await;
    // They end by themselves.
    flow.house.advance(Duration::from_secs(601)).await;
    stays_here(&follow(&flow, &flow.login, &query).await, 200);
}

#[tokio::test]
async fn sign_in_after_the_question_is_always_recent_enough() {
    let flow = furnished().await;
    let (mut browser, mut passkey) = signed_in(&flow.house, CAROL, &["auditor"]).await;
    flow.house.advance(Duration::from_secs(10)).await;
    let uri = flow.pushed(|pairs| put(pairs, "max_age", "0")).await;
    asks_to_sign_in(&open_in(&flow, &mut browser, &uri).await);
    sign_in_anew(&flow, &mut browser, &mut passkey).await;
    flow.house.advance(Duration::from_secs(20)).await;
    stays_here(&open_in(&flow, &mut browser, &uri).await, 200);
}

#[tokio::test]
async fn on_loopback_people_sign_out_where_they_signed_in() {
    let house = crate::house::House::found_with(|config| {
        config.issuer = "http://127.0.0.1:7420".to_owned();
        config.hosts = vec!["127.0.0.1:7420".to_owned(), "localhost:7420".to_owned()];
    })
    .await;
    let at = |host: &str| {
        ask("GET", "/oauth/logout?state=x")
            .without("host")
            .header("host", host)
    };
    let page = house.send(at("127.0.0.1:7420")).await;
    stays_here(&page, 200);
    assert!(!page.text().contains("<form"), "{page:?}");
    assert!(
        page.text()
            .contains("http://localhost:7420/oauth/logout?state=x"),
        "{page:?}"
    );
    let page = house.send(at("localhost:7420")).await;
    assert!(page.text().contains("<form"), "{page:?}");
    // HTTP/2 says the name with the URI and has no header for it.
    let by_uri = ask("GET", "http://localhost:7420/oauth/logout?state=x").without("host");
    let page = house.send(by_uri).await;
    assert!(page.text().contains("<form"), "{page:?}");
}
