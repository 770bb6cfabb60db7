//! `/device`: whoever enters a code is told nothing that helps to guess one, is warned, and answers once.

use serde_json::{Value, json};

use super::device::Device;
use super::flow::{BOB, asks_to_sign_in, field, furnished, put, stays_here};
use crate::accounts::authenticator::signed_in;
use crate::house::ADMIN;
use crate::request::ask;

#[tokio::test]
async fn code_is_entered_compared_and_answered_without_a_script() {
    let flow = furnished().await;
    let device = flow.device().await;
    let form = flow
        .house
        .send(ask("GET", "/device").bearer(&flow.login))
        .await;
    stays_here(&form, 200);
    assert!(form.text().contains("A code that somebody sent you"));
    let policy = form.header("content-security-policy");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    assert!(policy.contains("form-action 'self';"), "{policy}");
    assert!(!form.text().contains("<script"));
    // However it is typed, it is the same code; the page shows it to be compared.
    let typed = format!(" {} ", device.shown.to_lowercase().replace('-', " "));
    let page = flow.enter(&typed).await;
    stays_here(&page, 200);
    let text = page.text();
    assert!(text.contains(&format!("<strong>{}</strong>", device.shown)));
    assert!(text.contains("If somebody sent you the code or a link"));
    assert!(text.contains("refund-bot") && text.contains("read") && !text.contains("<script"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("form-action 'self';"), "{policy}");
    assert_eq!(page.header("referrer-policy"), "same-origin");
    let (name, form) = (field(&page, "request_uri"), field(&page, "form"));
    assert!(!name.contains(&device.code) && !text.contains("chd_"));
    let given = flow.decide(&flow.login, &name, &form, "approve").await;
    stays_here(&given, 200);
    assert!(given.text().contains("Go back to the device"));
    // The same form once more is the same answer, and the other one is none.
    stays_here(
        &flow.decide(&flow.login, &name, &form, "approve").await,
        200,
    );
    stays_here(&flow.decide(&flow.login, &name, &form, "deny").await, 409);
    assert_eq!(flow.house.events_of("grant.given").await.len(), 1);
    flow.poll(&device).await.ok();
}

#[tokio::test]
async fn link_with_the_code_shows_it_and_asks_nothing_yet() {
    let flow = furnished().await;
    let device = flow.device().await;
    let path = format!("/device?user_code={}", device.shown);
    // Without a sign-in nothing is said of the code, and the way back has it.
    let page = flow.house.send(ask("GET", &path)).await;
    asks_to_sign_in(&page);
    let back = format!("?return=%2Fdevice%3Fuser_code%3D{}", device.shown);
    assert!(page.text().contains(&back), "{page:?}");
    asks_to_sign_in(&flow.enter_as("", &device.shown).await);
    let page = flow.house.send(ask("GET", &path).bearer(&flow.login)).await;
    stays_here(&page, 200);
    assert_eq!(field(&page, "user_code"), device.shown);
    assert!(!page.text().contains("refund-bot"), "nothing was looked up");
    // Whatever else a link brings is not shown.
    for other in [
        "%22%3E%3Cscript%3E",
        "AAAA-AAAA",
        "BCDF",
        "%00",
        "a&user_code=b",
    ] {
        let path = format!("/device?user_code={other}");
        let page = flow.house.send(ask("GET", &path).bearer(&flow.login)).await;
        stays_here(&page, 200);
        assert_eq!(field(&page, "user_code"), "", "{other}");
    }
}

#[tokio::test]
async fn code_that_never_was_that_ended_and_that_was_used_look_alike() {
    let flow = furnished().await;
    let used = flow.device().await;
    flow.answer(&used, "approve").await;
    let refused = flow.device().await;
    flow.answer(&refused, "deny").await;
    let ended = flow.device().await;
    flow.pass(600).await;
    let stopped = flow.device().await;
    flow.house.suspend("refund-bot").await.ok();
    let mut pages = Vec::new();
    for typed in [
        "BCDF-GHJK",
        &used.shown,
        &refused.shown,
        &ended.shown,
        &stopped.shown,
        "not a code",
        "",
    ] {
        let page = flow.enter(typed).await;
        stays_here(&page, 400);
        let event = flow.house.last_event("request.refused").await;
        assert_eq!(event["outcome"], "unknown_user_code");
        assert_eq!(event["actor"]["id"], BOB);
        assert!(typed.is_empty() || !event.to_string().contains(typed));
        pages.push(page.text());
    }
    pages.dedup();
    assert_eq!(pages.len(), 1);
    flow.house.resume("refund-bot").await.ok();
    stays_here(&flow.enter(&stopped.shown).await, 200);
}

#[tokio::test]
async fn person_and_all_people_together_have_few_wrong_codes() {
    let flow = furnished().await;
    let device = flow.device().await;
    // Right ones are not counted.
    for _ in 0..20 {
        stays_here(&flow.enter(&device.shown).await, 200);
    }
    for _ in 0..5 {
        stays_here(&flow.enter("BCDF-GHJK").await, 400);
        stays_here(&flow.enter("not a code").await, 400);
    }
    for typed in ["BCDF-GHJK", &device.shown] {
        stays_here(&flow.enter(typed).await, 429);
    }
    let event = flow.house.last_event("request.refused").await;
    assert_eq!(event["outcome"], "too_many_user_codes");
    // Another login of the same person is the same person, another person is not; and nobody else has to wait.
    let again = flow.house.login(BOB, &["auditor"]).await;
    stays_here(&flow.enter_as(&again, &device.shown).await, 429);
    flow.house.add_person("carol@example.com").await;
    let carol = flow.house.login("carol@example.com", &["auditor"]).await;
    stays_here(&flow.enter_as(&carol, &device.shown).await, 200);
    flow.pass(601).await;
    let device = flow.device().await;
    stays_here(&flow.enter(&device.shown).await, 200);

    for number in 0..20 {
        let handle = format!("p{number}@example.com");
        flow.house.add_person(&handle).await;
        let login = flow.house.login(&handle, &["auditor"]).await;
        for _ in 0..5 {
            stays_here(&flow.enter_as(&login, "BCDF-GHJK").await, 400);
        }
    }
    stays_here(&flow.enter_as(&carol, &device.shown).await, 429);
    flow.pass(601).await;
    let device = flow.device().await;
    stays_here(&flow.enter_as(&carol, &device.shown).await, 200);
}

/// Who signs in otherwise than with a passkey of their own gives nothing in their name by way of a device either.
#[tokio::test]
async fn wan_07_device_is_answered_by_the_person_and_by_nobody_else() {
    let flow = furnished().await;
    let house = &flow.house;
    house.add_person("carol@example.com").await;
    let carol = house.login("carol@example.com", &["administrator"]).await;
    let by_carol = house.login_by(&carol, BOB, &["auditor"]).await;
    let device = flow.device().await;
    for login in [ADMIN, &by_carol] {
        stays_here(&flow.enter_as(login, &device.shown).await, 403);
        let form = house.send(ask("GET", "/device").bearer(login)).await;
        stays_here(&form, 403);
    }
    // Nobody answers with the page of another, or in place of another.
    let page = flow.enter(&device.shown).await;
    let (name, form) = (field(&page, "request_uri"), field(&page, "form"));
    for (login, form, status) in [
        (&*carol, &*form, 403),
        (&by_carol, &form, 403),
        (ADMIN, &form, 403),
        ("", &form, 401),
        (&flow.login, "x", 403),
    ] {
        stays_here(&flow.decide(login, &name, form, "approve").await, status);
    }
    // A page of another origin cannot send the code either.
    let post = ask("POST", "/device").header("origin", "https://attacker.example");
    let post = post
        .bearer(&flow.login)
        .form(&[("user_code", &device.shown)]);
    assert_eq!(house.send(post).await.status.as_u16(), 403);
    // Nor is a name that was guessed anything.
    for name in [
        "urn:chancery:device:",
        "urn:chancery:device:sha256:0000000000000000000000000000000000000000000000000000000000000000",
        &device.code,
        &device.shown,
    ] {
        stays_here(&flow.decide(&flow.login, name, &form, "approve").await, 400);
        stays_here(&flow.open(name).await, 400);
    }
    stays_here(&flow.open(&name).await, 400);
    assert!(flow.grants().await.is_empty());
    // With a passkey it works, in a browser.
    let (browser, _) = signed_in(house, "dora@example.com", &["auditor"]).await;
    let post = browser.ask("POST", "/device", &Value::Null);
    let page = house.send(post.form(&[("user_code", &device.shown)])).await;
    let (name, form) = (field(&page, "request_uri"), field(&page, "form"));
    let pairs = [
        ("request_uri", &*name),
        ("form", &form),
        ("answer", "approve"),
    ];
    let post = browser.ask("POST", "/oauth/authorize/decide", &Value::Null);
    let given = house.send(post.form(&pairs)).await;
    stays_here(&given, 200);
    let token = flow.poll(&device).await.ok();
    let token = token["access_token"].as_str().expect("a token");
    let subject = crate::house::claims(token)["sub"].clone();
    let given = house.last_event("grant.given").await;
    assert_eq!(given["subject"], subject);
    assert_eq!(given["actor"]["id"], "dora@example.com");
}

#[tokio::test]
async fn sign_in_that_is_too_old_for_the_client_is_asked_anew() {
    let flow = furnished().await;
    let (browser, mut passkey) = signed_in(&flow.house, "dora@example.com", &["auditor"]).await;
    flow.pass(1).await;
    let device = flow.device_with(|form| put(form, "max_age", "60")).await;
    // Of a login nothing is known about when the person signed in.
    asks_to_sign_in(&flow.enter(&device.shown).await);
    let enter = |browser: &crate::accounts::authenticator::Browser, device: &Device| {
        let post = browser.ask("POST", "/device", &Value::Null);
        post.form(&[("user_code", &device.shown)])
    };
    stays_here(&flow.house.send(enter(&browser, &device)).await, 200);
    let page = flow.house.send(enter(&browser, &device)).await;
    let (name, form) = (field(&page, "request_uri"), field(&page, "form"));
    flow.pass(61).await;
    asks_to_sign_in(&flow.house.send(enter(&browser, &device)).await);
    let pairs = [
        ("request_uri", &*name),
        ("form", &form),
        ("answer", "approve"),
    ];
    let post = browser.ask("POST", "/oauth/authorize/decide", &Value::Null);
    asks_to_sign_in(&flow.house.send(post.form(&pairs)).await);
    let mut browser = browser;
    browser.sign_in(&flow.house, &mut passkey).await.ok();
    stays_here(&flow.house.send(enter(&browser, &device)).await, 200);
}

#[tokio::test]
async fn what_policy_refuses_nobody_is_asked_about() {
    let flow = furnished().await;
    let text = r#"
        @id("no-writing")
        forbid (principal, action == Chancery::Action::"issue_token", resource)
        when { context.scopes.contains("write") };
    "#;
    let path = "/v1/policies/no-writing";
    flow.house
        .admin("PUT", path, json!({"text": text}))
        .await
        .ok();
    let device = flow.device().await;
    let page = flow.enter(&device.shown).await;
    stays_here(&page, 403);
    assert!(page.text().contains("Policies do not let"));
    flow.poll(&device)
        .await
        .oauth_error(400, "authorization_pending");
    flow.house.admin("DELETE", path, Value::Null).await;
    stays_here(&flow.enter(&device.shown).await, 200);
}
