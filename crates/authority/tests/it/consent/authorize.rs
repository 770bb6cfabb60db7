//! `GET /oauth/authorize`: who is asked, what they see, and what is sent nowhere.

use std::time::Duration;

use serde_json::{Value, json};

use super::flow::{
    BOB, CALLBACK, R1, STATE, asks_to_sign_in, field, furnished, landed, put, stays_here,
};
use crate::accounts::authenticator::{Authenticator, Browser, invite};
use crate::house::{ADMIN, ISSUER};
use crate::request::ask;

#[tokio::test]
async fn person_sees_who_asks_for_what_and_where_the_answer_goes() {
    let flow = furnished().await;
    let uri = flow.pushed(|_| ()).await;
    let page = flow.open(&uri).await;
    stays_here(&page, 200);
    let text = page.text();
    for told in [
        BOB,
        "refund-bot",
        &flow.agent.id,
        "alice@example.com",
        R1,
        "read",
        "write",
        CALLBACK,
        "sha256:",
    ] {
        assert!(text.contains(told), "{told}: {text}");
    }
    assert!(!text.contains("<script"));
    let policy = page.header("content-security-policy");
    for rule in [
        "default-src 'none'",
        "style-src 'self'",
        "form-action 'self' https://app.example;",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(rule), "{policy}");
    }
    // `no-referrer` would make browsers hide the form's origin, which we hold every request against.
    assert_eq!(page.header("referrer-policy"), "same-origin");
    assert_eq!(page.header("x-frame-options"), "DENY");
    // Looking decides nothing.
    assert!(flow.grants().await.is_empty());
}

#[tokio::test]
async fn authz_03_what_is_not_proven_is_sent_nowhere() {
    let flow = furnished().await;
    let uri = flow.pushed(|_| ()).await;
    let other = flow.house.register("other-bot").await;
    let attacker = "redirect_uri=https://attacker.example&response_type=code&state=x";
    for query in [
        String::new(),
        format!("client_id=agt_01hzy0000000000000000000aa&{attacker}"),
        format!("client_id={}&{attacker}", flow.agent.id),
        format!(
            "client_id={}&redirect_uri={CALLBACK}&scope=%00",
            flow.agent.id
        ),
        format!(
            "client_id={}&request_uri=urn:ietf:params:oauth:request_uri:x",
            flow.agent.id
        ),
        format!(
            "client_id={}&request_uri=https://attacker.example/r",
            flow.agent.id
        ),
        format!("client_id=x&request_uri={uri}"),
        format!("request_uri={uri}"),
        // AUTHZ-11: the name is bound to its client.
        format!("client_id={}&request_uri={uri}", other.id),
        // AUTHZ-10: nothing is said twice.
        format!(
            "client_id={0}&client_id={0}&request_uri={uri}",
            flow.agent.id
        ),
        format!(
            "client_id={}&request_uri={uri}&request_uri={uri}",
            flow.agent.id
        ),
    ] {
        for login in ["", &*flow.login] {
            let ask = ask("GET", &format!("/oauth/authorize?{query}"));
            let ask = if login.is_empty() {
                ask
            } else {
                ask.bearer(login)
            };
            let answer = flow.house.send(ask).await;
            stays_here(&answer, 400);
            assert!(!answer.text().contains("attacker"), "{answer:?}");
        }
    }
    stays_here(&flow.open(&uri).await, 200);
}

#[tokio::test]
async fn authz_11_name_of_a_request_is_of_use_once_and_for_a_minute() {
    let flow = furnished().await;
    let late = flow.pushed(|_| ()).await;
    flow.house.advance(Duration::from_secs(61)).await;
    stays_here(&flow.open(&late).await, 400);
    // Opened in time, there is time to sign in and to read.
    let uri = flow.pushed(|_| ()).await;
    asks_to_sign_in(&flow.open_as("", &flow.agent.id, &uri).await);
    flow.house.advance(Duration::from_secs(300)).await;
    landed(&flow.approve(&uri).await);
    stays_here(&flow.open(&uri).await, 409);
    // Not for ever.
    let uri = flow.pushed(|_| ()).await;
    let page = flow.open(&uri).await;
    flow.house.advance(Duration::from_secs(601)).await;
    let answer = flow
        .decide(&flow.login, &uri, &field(&page, "form"), "approve")
        .await;
    stays_here(&answer, 400);
}

#[tokio::test]
async fn stranger_is_told_where_to_sign_in_and_nobody_else_decides() {
    let flow = furnished().await;
    let uri = flow.pushed(|_| ()).await;
    let page = flow.open_as("", &flow.agent.id, &uri).await;
    asks_to_sign_in(&page);
    assert!(
        page.text()
            .contains("href=\"https://id.example/console/?return=%2Foauth%2Fauthorize%3F"),
        "{page:?}"
    );
    let unknown = "chl_AAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    asks_to_sign_in(&flow.open_as(unknown, &flow.agent.id, &uri).await);
    // The local administrator is nobody, and an agent's token is no sign-in.
    stays_here(&flow.open_as(ADMIN, &flow.agent.id, &uri).await, 403);
    let token = flow.house.token(&flow.agent, R1).await;
    asks_to_sign_in(&flow.open_as(&token, &flow.agent.id, &uri).await);
    assert!(flow.grants().await.is_empty());
    // Unasked, the client is told instead.
    let uri = flow.pushed(|form| put(form, "prompt", "none")).await;
    let told = landed(&flow.open_as("", &flow.agent.id, &uri).await);
    assert_eq!(told["error"], "login_required");
    assert_eq!(told["state"], STATE);
    assert_eq!(told["iss"], ISSUER);
}

#[tokio::test]
async fn sign_in_of_which_nothing_is_known_is_not_recent() {
    let flow = furnished().await;
    for (name, value) in [("prompt", "login"), ("max_age", "3600")] {
        let uri = flow.pushed(|form| put(form, name, value)).await;
        asks_to_sign_in(&flow.open(&uri).await);
    }
    let uri = flow.pushed(|form| {
        put(form, "prompt", "none");
        put(form, "max_age", "3600");
    });
    assert_eq!(
        landed(&flow.open(&uri.await).await)["error"],
        "login_required"
    );
}

#[tokio::test]
async fn authz_14_consent_of_before_answers_only_for_what_it_covers() {
    let flow = furnished().await;
    let silently = async |change: &dyn Fn(&mut super::flow::Pairs)| {
        let uri = flow.pushed(|form| {
            put(form, "prompt", "none");
            change(form);
        });
        landed(&flow.open(&uri.await).await)
    };
    assert_eq!(silently(&|_| ()).await["error"], "consent_required");
    flow.code().await;
    let told = silently(&|_| ()).await;
    flow.redeem(&told["code"]).await.ok();
    assert_eq!(flow.grants().await.len(), 1);
    let less = silently(&|form| put(form, "scope", "read")).await;
    let token = flow.redeem(&less["code"]).await.ok();
    assert_eq!(token["scope"], "read");
    // More scope, another resource, another redirect URI: the person is asked anew; and no scope is not the least of
    // all but whatever policies allow.
    flow.house.resource("https://r2.example").await;
    flow.set_redirects(&[CALLBACK, "https://app.example/cb2"])
        .await
        .ok();
    for (name, value) in [
        ("scope", "read write admin"),
        ("scope", ""),
        ("resource", "https://r2.example"),
        ("redirect_uri", "https://app.example/cb2"),
    ] {
        let told = silently(&|form| put(form, name, value)).await;
        assert_eq!(told["error"], "consent_required", "{name}");
    }
    // Without `prompt=none` a person is asked each time (AUTHZ-13).
    let uri = flow.pushed(|_| ()).await;
    stays_here(&flow.open(&uri).await, 200);
    // A version that is no wider changes nothing; a wider one asks anew.
    let update = async |revision: i64, document: Value| {
        let update = ask("PUT", "/v1/agents/refund-bot")
            .bearer(ADMIN)
            .header("if-match", revision.to_string());
        flow.house
            .send(update.json(&json!({"document": document})))
            .await
            .ok()
    };
    let revision = flow.house.get("/v1/agents/refund-bot").await["revision"]
        .as_i64()
        .expect("a number");
    let document = json!({"name": "refund-bot", "owner": "alice@example.com", "description": "the same in other words"});
    update(revision, document.clone()).await;
    let told = silently(&|_| ()).await;
    assert!(told.contains_key("code"), "{told:?}");
    let mut wider = document;
    wider["tools"] = json!([{"server": "desk", "tool": "*"}]);
    let revision = flow.house.get("/v1/agents/refund-bot").await["revision"]
        .as_i64()
        .expect("a number");
    update(revision, wider).await;
    flow.accept_as_second_person().await;
    assert_eq!(silently(&|_| ()).await["error"], "consent_required");
}

/// Somebody else who answers for the agent is somebody else to trust.
#[tokio::test]
async fn authz_14_agent_that_was_given_to_another_owner_asks_anew() {
    let flow = furnished().await;
    let (_, refresh) = flow.tokens().await;
    flow.house.add_person("carol@example.com").await;
    let path = "/v1/agents/refund-bot/transfer";
    let to = json!({"owner": "carol@example.com"});
    flow.house.admin("POST", path, to).await.ok();
    let uri = flow.pushed(|form| put(form, "prompt", "none")).await;
    assert_eq!(landed(&flow.open(&uri).await)["error"], "consent_required");
    flow.renew(&refresh).await.oauth_error(400, "invalid_grant");
    assert_eq!(flow.refused_because().await, "version_widened");
    flow.tokens().await;
}

/// Who may give logins could have one in every name: only a person's own passkey, or a login that the local administrator
/// gave out, speaks for them.
#[tokio::test]
async fn login_that_another_person_had_made_consents_to_nothing() {
    let flow = furnished().await;
    flow.house.add_person("mallory@example.com").await;
    let mallory = flow
        .house
        .login("mallory@example.com", &["administrator"])
        .await;
    let login = flow.house.login_by(&mallory, BOB, &["auditor"]).await;
    let uri = flow.pushed(|_| ()).await;
    stays_here(&flow.open_as(&login, &flow.agent.id, &uri).await, 403);
    let page = flow.open(&uri).await;
    let answer = flow
        .decide(&login, &uri, &field(&page, "form"), "approve")
        .await;
    stays_here(&answer, 403);
    assert_eq!(
        flow.house.last_event("request.refused").await["outcome"],
        "login_of_other_hands"
    );
    assert_eq!(flow.grants().await.len(), 0);
    landed(&flow.approve(&uri).await);
}

/// A person consents in a browser, by a session that a passkey began and no other.
#[tokio::test]
async fn person_who_signed_in_with_a_passkey_consents_and_one_who_recovers_does_not() {
    let flow = furnished().await;
    let invitation = invite(&flow.house, ADMIN, BOB, &["auditor"]).await;
    let mut bob = Browser::default();
    bob.accept(&flow.house, &invitation, &mut Authenticator::new("phone"))
        .await
        .ok();
    let made = bob
        .post(&flow.house, "/v1/recovery-codes", Value::Null)
        .await
        .ok();
    let mut lost = Browser::default();
    let code = json!({"code": made["codes"][0]});
    lost.post(&flow.house, "/v1/sign-in/recovery", code)
        .await
        .ok();
    let open = async |browser: &Browser, uri: &str| {
        let path = format!(
            "/oauth/authorize?client_id={}&request_uri={uri}",
            flow.agent.id
        );
        flow.house
            .send(browser.ask("GET", &path, &Value::Null))
            .await
    };
    let uri = flow.pushed(|_| ()).await;
    stays_here(&open(&lost, &uri).await, 403);
    let page = open(&bob, &uri).await;
    stays_here(&page, 200);
    let decide = |browser: &Browser| {
        let token = field(&page, "form");
        let form = [
            ("request_uri", &*uri),
            ("form", &*token),
            ("answer", "approve"),
        ];
        let ask = browser.ask("POST", "/oauth/authorize/decide", &Value::Null);
        flow.house
            .send(ask.header("origin", "https://id.example").form(&form))
    };
    stays_here(&decide(&lost).await, 403);
    let token = flow.redeem(&landed(&decide(&bob).await)["code"]).await.ok();
    let claims = crate::house::claims(token["access_token"].as_str().expect("a token"));
    assert!(claims["auth_time"].is_number(), "{claims}");
}

#[tokio::test]
async fn person_gives_an_agent_only_so_many_grants_at_a_time() {
    let flow = furnished().await;
    for _ in 0..100 {
        flow.code().await;
    }
    let uri = flow.pushed(|_| ()).await;
    stays_here(&flow.approve(&uri).await, 409);
    let grant = flow.grants().await[0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let path = format!("/v1/grants/{grant}/revoke");
    let because = json!({"reason": "enough"});
    flow.house
        .as_login(&flow.login, "POST", &path, because)
        .await
        .ok();
    landed(&flow.approve(&uri).await);
}

#[tokio::test]
async fn redirect_uri_that_is_no_longer_registered_gets_no_answer() {
    let flow = furnished().await;
    let uri = flow.pushed(|_| ()).await;
    let page = flow.open(&uri).await;
    let form = field(&page, "form");
    flow.set_redirects(&["https://app.example/other"])
        .await
        .ok();
    stays_here(&flow.open(&uri).await, 400);
    stays_here(&flow.decide(&flow.login, &uri, &form, "approve").await, 400);
    stays_here(&flow.decide(&flow.login, &uri, &form, "deny").await, 400);
}

#[tokio::test]
async fn agent_that_may_not_act_asks_nobody() {
    let flow = furnished().await;
    let uri = flow.pushed(|_| ()).await;
    let form = field(&flow.open(&uri).await, "form");
    flow.house.suspend("refund-bot").await.ok();
    stays_here(&flow.open(&uri).await, 400);
    stays_here(&flow.decide(&flow.login, &uri, &form, "approve").await, 400);
    flow.house.resume("refund-bot").await.ok();
    landed(&flow.decide(&flow.login, &uri, &form, "approve").await);
}

#[tokio::test]
async fn texts_of_the_agent_stay_texts() {
    let flow = furnished().await;
    let document = json!({
        "name": "odd-bot", "owner": "alice@example.com",
        "description": "</dd><script>alert(1)</script>\u{202e}gnp", "model": {"name": "m\"><img src=x>"},
    });
    let agent = flow.house.register_document(document).await;
    let path = "/v1/agents/odd-bot/redirect-uris";
    flow.house
        .admin("PUT", path, json!({"redirect_uris": [CALLBACK]}))
        .await
        .ok();
    let mut form = flow.request();
    put(&mut form, "dpop_jkt", agent.key.public().thumbprint());
    let pushed = flow.push_as(&agent, &form).await.json();
    let uri = pushed["request_uri"].as_str().expect("a name");
    let text = flow.open_as(&flow.login, &agent.id, uri).await.text();
    assert!(
        !text.contains("<script") && !text.contains("<img src=x"),
        "{text}"
    );
    assert!(
        text.contains("&lt;script&gt;") && text.contains("U+202E"),
        "{text}"
    );
}

#[tokio::test]
async fn nobody_is_asked_for_what_policy_refuses() {
    let flow = furnished().await;
    let policy = "@id(\"no-tokens\") forbid (principal, action == Chancery::Action::\"issue_token\", resource) \
                  when { context has subject && context.subject.handle == \"bob@example.com\" };";
    flow.house
        .admin("PUT", "/v1/policies/no-tokens", json!({"text": policy}))
        .await
        .ok();
    let uri = flow.pushed(|form| put(form, "scope", "")).await;
    assert_eq!(landed(&flow.open(&uri).await)["error"], "access_denied");
    // The agent itself may.
    flow.house.token(&flow.agent, R1).await;
}
