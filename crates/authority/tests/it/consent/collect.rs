//! The token endpoint for devices: nothing before a person answered, one answer, once, to the device that waits.

use std::sync::Arc;

use serde_json::json;

use super::device::{Device, GRANT_TYPE};
use super::flow::{BOB, Pairs, R1, field, furnished, put};
use crate::house::claims;

#[tokio::test]
async fn device_waits_and_is_then_given_what_a_code_gives() {
    let flow = furnished().await;
    let device = flow.device().await;
    let pending = flow.poll(&device).await;
    pending.oauth_error(400, "authorization_pending");
    assert_eq!(pending.header("cache-control"), "no-store");
    assert!(!pending.header("dpop-nonce").is_empty());
    assert_eq!(flow.refused_because().await, "authorization_pending");
    flow.pass(5).await;
    flow.poll(&device)
        .await
        .oauth_error(400, "authorization_pending");
    flow.answer(&device, "approve").await;
    // An answer is given whenever it is asked for.
    let answer = flow.poll(&device).await;
    let told = answer.ok();
    assert_eq!(told["token_type"], "DPoP");
    assert_eq!(told["scope"], "read write");
    let token = told["access_token"].as_str().expect("a token");
    let claims = claims(token);
    assert_eq!(claims["aud"], R1);
    assert_eq!(claims["act"]["sub"], flow.agent.id);
    assert_eq!(claims["cnf"]["jkt"], flow.agent.key.public().thumbprint());
    assert_eq!(claims["grant_id"], flow.grants().await[0]["id"]);
    assert!(flow.is_active(token).await);
    let issued = flow.house.last_event("token.issued").await;
    assert_eq!(issued["subject"], claims["sub"]);
    assert_eq!(issued["token"]["jti"], claims["jti"]);
    let refresh = told["refresh_token"].as_str().expect("a token");
    flow.renew(refresh).await.ok();
}

#[tokio::test]
async fn device_that_asks_too_often_waits_five_seconds_longer_each_time() {
    let flow = furnished().await;
    let device = flow.device().await;
    let expect = async |seconds: u64, error: &str| {
        flow.pass(seconds).await;
        flow.poll(&device).await.oauth_error(400, error);
    };
    expect(0, "authorization_pending").await;
    expect(5, "authorization_pending").await;
    // A second too early is within what a network does.
    expect(4, "authorization_pending").await;
    expect(3, "slow_down").await;
    // It is kept: ten seconds from now on, and fifteen after the next.
    expect(8, "slow_down").await;
    expect(15, "authorization_pending").await;
    expect(13, "slow_down").await;
    // Another process has kept it too.
    let other = flow.house.beside(7).await;
    flow.pass(17).await;
    let pairs: Pairs = vec![
        ("grant_type", GRANT_TYPE.to_owned()),
        ("device_code", device.code.clone()),
    ];
    let poll = flow.ask_with(&flow.agent, &flow.agent, &pairs).await;
    let nonce = other.nonce(&flow.agent).await;
    let proof = flow.house.proof(&flow.agent.key, &nonce);
    let poll = poll.without("dpop").header("dpop", proof);
    other.send(poll).await.oauth_error(400, "slow_down");
    flow.answer(&device, "approve").await;
    flow.poll(&device).await.ok();
}

#[tokio::test]
async fn no_is_told_for_good() {
    let flow = furnished().await;
    let device = flow.device().await;
    let page = flow.enter(&device.shown).await;
    let (name, form) = (field(&page, "request_uri"), field(&page, "form"));
    let refused = flow.decide(&flow.login, &name, &form, "deny").await;
    assert!(refused.text().contains("The agent was given nothing"));
    assert_eq!(
        flow.house.last_event("grant.refused").await["actor"]["id"],
        BOB
    );
    for _ in 0..2 {
        flow.poll(&device).await.oauth_error(400, "access_denied");
    }
    assert_eq!(flow.refused_because().await, "person_refused");
    // RACE-03: the yes of an earlier page comes too late.
    let late = flow.decide(&flow.login, &name, &form, "approve").await;
    assert_eq!(late.status.as_u16(), 409);
    flow.poll(&device).await.oauth_error(400, "access_denied");
    assert!(flow.grants().await.is_empty());
}

#[tokio::test]
async fn device_code_ends_by_itself_answered_or_not() {
    let flow = furnished().await;
    let device = flow.device().await;
    let given = flow.device().await;
    let page = flow.enter(&device.shown).await;
    let (name, form) = (field(&page, "request_uri"), field(&page, "form"));
    flow.answer(&given, "approve").await;
    flow.pass(600).await;
    for device in [&device, &given] {
        flow.poll(device).await.oauth_error(400, "expired_token");
        assert_eq!(flow.refused_because().await, "device_code_expired");
    }
    let late = flow.decide(&flow.login, &name, &form, "approve").await;
    assert_eq!(late.status.as_u16(), 400);
}

#[tokio::test]
async fn tok_01_device_code_that_comes_again_ends_all_that_came_of_it() {
    let flow = furnished().await;
    let device = flow.device().await;
    flow.answer(&device, "approve").await;
    let told = flow.poll(&device).await.ok();
    let token = told["access_token"].as_str().expect("a token");
    let refresh = told["refresh_token"].as_str().expect("a token");
    assert!(flow.is_active(token).await);
    flow.poll(&device).await.oauth_error(400, "invalid_grant");
    assert_eq!(flow.refused_because().await, "device_code_replayed");
    assert!(!flow.is_active(token).await);
    flow.renew(refresh).await.oauth_error(400, "invalid_grant");
    assert_eq!(flow.grants().await[0]["status"], "revoked");
    let ended = flow.house.last_event("grant.revoked").await;
    assert_eq!(ended["outcome"], "device_code_replayed");
}

#[tokio::test]
async fn tok_02_device_code_is_of_use_to_the_device_that_waits() {
    let flow = furnished().await;
    let other = flow.house.register("other-bot").await;
    // Another client, before and after the answer; and the right client with another key.
    for is_answered in [false, true] {
        for (party, key, why) in [
            (&other, &other, "device_code_of_another_client"),
            (&other, &flow.agent, "device_code_of_another_client"),
            (&flow.agent, &other, "jkt_mismatch"),
        ] {
            let device = flow.device().await;
            if is_answered {
                flow.answer(&device, "approve").await;
            }
            let answer = flow.poll_with(party, key, &device, |_| ()).await;
            answer.oauth_error(400, "invalid_grant");
            assert_eq!(flow.refused_because().await, why);
            // Nobody has any use of it afterwards.
            flow.poll(&device).await.oauth_error(400, "invalid_grant");
            assert_eq!(flow.enter(&device.shown).await.status.as_u16(), 400);
            flow.pass(601).await;
        }
    }
    let device = flow.device().await;
    flow.answer(&device, "approve").await;
    let pairs: Pairs = vec![
        ("grant_type", GRANT_TYPE.to_owned()),
        ("device_code", device.code.clone()),
    ];
    let bare = flow.ask_with(&flow.agent, &flow.agent, &pairs).await;
    let answer = flow.house.send(bare.without("dpop")).await;
    answer.oauth_error(400, "invalid_grant");
    assert_eq!(flow.refused_because().await, "proof_missing");
    let server = flow.poll_with(&flow.server, &flow.agent, &device, |_| ());
    server.await.oauth_error(400, "unauthorized_client");
}

#[tokio::test]
async fn tok_03_no_other_secret_passes_for_a_device_code() {
    let flow = furnished().await;
    let (access, refresh) = flow.tokens().await;
    let code = flow.code().await;
    let uri = flow.pushed(|_| ()).await;
    let device = flow.device().await;
    flow.answer(&device, "approve").await;
    let random = device.code.trim_start_matches("chd_").to_owned();
    let of_refresh = format!("chd_{}", refresh.trim_start_matches("chr_"));
    let of_code = format!("chd_{}", code.trim_start_matches("chc_"));
    for other in [
        &access,
        &refresh,
        &code,
        &uri,
        &device.shown,
        &flow.login,
        &random,
        &of_refresh,
        &of_code,
        "chd_",
        "x",
    ] {
        let guess = Device {
            code: other.to_owned(),
            shown: String::new(),
        };
        flow.poll(&guess).await.oauth_error(400, "invalid_grant");
    }
    for other in [
        &device.code,
        &format!("chc_{random}"),
        &format!("chr_{random}"),
    ] {
        flow.redeem(other).await.oauth_error(400, "invalid_grant");
        flow.renew(other).await.oauth_error(400, "invalid_grant");
    }
    flow.poll(&device).await.ok();
    flow.redeem(&code).await.ok();
}

#[tokio::test]
async fn tok_12_device_gets_a_token_for_the_resource_of_the_grant() {
    let flow = furnished().await;
    flow.house.resource("https://r2.example").await;
    let device = flow.device().await;
    flow.answer(&device, "approve").await;
    let agent = &flow.agent;
    let answer = flow.poll_with(agent, agent, &device, |form| {
        put(form, "resource", "https://r2.example");
    });
    answer.await.oauth_error(400, "invalid_target");
    let answer = flow.poll_with(agent, agent, &device, |form| put(form, "resource", R1));
    let told = answer.await.ok();
    let token = told["access_token"].as_str().expect("a token");
    assert_eq!(claims(token)["aud"], R1);
}

#[tokio::test]
async fn what_was_stopped_or_taken_back_meanwhile_gives_a_device_nothing() {
    let flow = furnished().await;
    let device = flow.device().await;
    flow.answer(&device, "approve").await;
    let grant = flow.grants().await[0]["id"].clone();
    let path = format!("/v1/grants/{}/revoke", grant.as_str().expect("an id"));
    let body = json!({"reason": "a second thought"});
    flow.house
        .as_login(&flow.login, "POST", &path, body)
        .await
        .ok();
    flow.poll(&device).await.oauth_error(400, "invalid_grant");
    let device = flow.device().await;
    flow.answer(&device, "approve").await;
    flow.house.suspend("refund-bot").await.ok();
    flow.poll(&device).await.oauth_error(401, "invalid_client");
    flow.house.resume("refund-bot").await.ok();
    flow.poll(&device).await.ok();
}

#[tokio::test]
async fn unbound_device_gets_one_short_token() {
    let flow = furnished().await;
    let body = json!({"url": "https://open.example", "allow_bearer": 3_600});
    flow.house.admin("POST", "/v1/resources", body).await.ok();
    let device = flow.device_with(|form| {
        put(form, "resource", "https://open.example");
        put(form, "dpop_jkt", "");
    });
    let device = device.await;
    flow.answer(&device, "approve").await;
    let told = flow.poll(&device).await.ok();
    assert_eq!(told.get("refresh_token"), None);
}

/// Fifty polls with the answer at hand: one token at most, and since the code came more than once nothing stays in force.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn race_01_of_fifty_polls_with_one_device_code_one_gets_tokens_at_most() {
    let flow = Arc::new(furnished().await);
    let device = flow.device().await;
    flow.answer(&device, "approve").await;
    let pairs: Pairs = vec![
        ("grant_type", GRANT_TYPE.to_owned()),
        ("device_code", device.code.clone()),
    ];
    let mut racing = Vec::new();
    for _ in 0..50 {
        let ask = flow.ask_with(&flow.agent, &flow.agent, &pairs).await;
        let flow = Arc::clone(&flow);
        racing.push(tokio::spawn(async move { flow.house.send(ask).await }));
    }
    let mut won = 0;
    for racer in racing {
        let answer = racer.await.expect("a task");
        match answer.status.as_u16() {
            200 => won += 1,
            _ => answer.oauth_error(400, "invalid_grant"),
        }
    }
    assert!(won <= 1, "{won} won");
    assert_eq!(flow.house.events_of("token.issued").await.len(), 1);
    assert_eq!(flow.grants().await[0]["status"], "revoked");
}

/// Yes and no at the same moment: one of them counts, and the device is told that one.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn race_03_yes_and_no_about_a_device_at_the_same_time_are_one_answer() {
    let flow = Arc::new(furnished().await);
    for round in 0..6_usize {
        let device = flow.device().await;
        let page = flow.enter(&device.shown).await;
        let (name, form) = (field(&page, "request_uri"), field(&page, "form"));
        let mut racing = Vec::new();
        for answer in ["approve", "deny", "approve", "deny"] {
            let (flow, name, form) = (Arc::clone(&flow), name.clone(), form.clone());
            racing.push(tokio::spawn(async move {
                flow.decide(&flow.login, &name, &form, answer).await
            }));
        }
        for racer in racing {
            racer.await.expect("a task");
        }
        let given = flow.house.events_of("grant.given").await.len();
        let refused = flow.house.events_of("grant.refused").await.len();
        assert_eq!(given + refused, round + 1);
        let answer = flow.poll(&device).await;
        match answer.status.as_u16() {
            200 => {}
            _ => answer.oauth_error(400, "access_denied"),
        }
        assert_eq!(flow.grants().await.len(), given);
    }
}
