//! `grant_type=authorization_code`: what a code gives, and to whom.

use std::time::Duration;

use serde_json::{Value, json};

use super::flow::{BOB, CALLBACK, Flow, R1, VERIFIER, challenge, furnished, put};
use crate::house::{ISSUER, Party, claims, new_key};
use crate::request::ask;

#[tokio::test]
async fn token_names_the_person_and_the_agent_that_acts() {
    let flow = furnished().await;
    let answer = flow.redeem(&flow.code().await).await.ok();
    assert_eq!(answer["token_type"], "DPoP");
    assert_eq!(answer["expires_in"], 300);
    assert_eq!(answer["scope"], "read write");
    let token = answer["access_token"].as_str().expect("a token");
    let claims = claims(token);
    let owners = flow.house.get("/v1/owners").await;
    let bob = owners["items"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|owner| owner["handle"] == BOB)
        .cloned();
    let bob = bob.expect("bob")["id"].clone();
    let grants = flow.grants().await;
    assert_eq!(claims["sub"], bob);
    assert_eq!(claims["act"], json!({"sub": flow.agent.id, "iss": ISSUER}));
    assert_eq!(claims["client_id"], flow.agent.id);
    assert_eq!(claims["grant_id"], grants[0]["id"]);
    assert_eq!(claims["aud"], R1);
    assert_eq!(claims["cnf"]["jkt"], flow.agent.key.public().thumbprint());
    // A login that somebody had made says nothing of when bob signed in.
    assert_eq!(claims.get("auth_time"), None);
    let told = flow.house.introspect(&flow.server, token).await.ok();
    assert_eq!(told["active"], true);
    assert_eq!(told["act"]["sub"], flow.agent.id);
    assert_eq!(told["sub"], bob);
    // Both principals are in the record.
    let issued = flow.house.last_event("token.issued").await;
    assert_eq!(issued["subject"], bob);
    assert_eq!(
        issued["actor"],
        json!({"id": flow.agent.id, "kind": "agent"})
    );
    assert_eq!(issued["facts"]["grant"], grants[0]["id"]);
    assert_ne!(flow.grants().await[0]["last_used_at"], Value::Null);
    // A token of the agent's own names nobody else.
    let own = crate::house::claims(&flow.house.token(&flow.agent, R1).await);
    assert_eq!(own["sub"], flow.agent.id);
    assert_eq!((own.get("act"), own.get("grant_id")), (None, None));
}

#[tokio::test]
async fn tok_01_code_that_comes_twice_ends_all_that_came_of_it() {
    let flow = furnished().await;
    let code = flow.code().await;
    let answer = flow.redeem(&code).await.ok();
    let token = answer["access_token"].as_str().expect("a token");
    let refresh = answer["refresh_token"].as_str().expect("a token");
    assert!(flow.is_active(token).await);
    flow.redeem(&code).await.oauth_error(400, "invalid_grant");
    assert!(!flow.is_active(token).await);
    flow.renew(refresh).await.oauth_error(400, "invalid_grant");
    assert_eq!(flow.grants().await[0]["status"], "revoked");
    let ended = flow.house.last_event("grant.revoked").await;
    assert_eq!(ended["outcome"], "code_replayed");
    assert_eq!(ended["actor"]["id"], flow.agent.id);
    // What the person consents to anew is another grant.
    let (fresh, _) = flow.tokens().await;
    assert!(flow.is_active(&fresh).await);
}

/// A second agent that may receive codes too.
async fn other_client(flow: &Flow) -> Party {
    let other = flow.house.register("other-bot").await;
    let body = json!({"redirect_uris": [CALLBACK]});
    flow.house
        .admin("PUT", "/v1/agents/other-bot/redirect-uris", body)
        .await
        .ok();
    other
}

#[tokio::test]
async fn tok_02_code_is_of_use_to_the_client_that_it_was_sent_to() {
    let flow = furnished().await;
    let other = other_client(&flow).await;
    let code = flow.code().await;
    let pairs = Flow::redemption(&code);
    let stolen = flow.ask_with(&other, &other, &pairs).await;
    flow.house
        .send(stolen)
        .await
        .oauth_error(400, "invalid_grant");
    // The record names who came, and by the grant whose it was.
    let refused = flow.house.last_event("token.refused").await;
    assert_eq!(refused["outcome"], "code_of_another_client");
    assert_eq!(refused["actor"]["id"], other.id);
    assert_eq!(refused["facts"]["grant"], flow.grants().await[0]["id"]);
    // Burned.
    flow.redeem(&code).await.oauth_error(400, "invalid_grant");
    let mut named = Flow::redemption(&flow.code().await);
    put(&mut named, "client_id", &flow.agent.id);
    let posing = flow.ask_with(&other, &other, &named).await;
    flow.house
        .send(posing)
        .await
        .oauth_error(401, "invalid_client");
    flow.tokens().await;
}

#[tokio::test]
async fn authz_05_code_is_of_no_use_without_its_verifier_and_is_burned() {
    let flow = furnished().await;
    for wrong in [
        "",
        "b-verifier-that-nobody-else-knows-0123456789",
        &challenge(VERIFIER),
    ] {
        let code = flow.code().await;
        let answer = flow
            .redeem_with(&code, |form| put(form, "code_verifier", wrong))
            .await;
        answer.oauth_error(400, "invalid_grant");
        flow.redeem(&code).await.oauth_error(400, "invalid_grant");
    }
    // One that is sent empty is one that is not sent.
    let code = flow.code().await;
    let answer = flow.redeem_with(&code, |form| {
        put(form, "code_verifier", "");
        form.push(("code_verifier", String::new()));
    });
    answer.await.oauth_error(400, "invalid_grant");
    // A code that was somehow kept without a challenge is of no use with any verifier.
    let code = flow.code().await;
    flow.house
        .database
        .run("UPDATE authorization_code SET challenge = '' WHERE used_at IS NULL")
        .await;
    flow.redeem(&code).await.oauth_error(400, "invalid_grant");
    assert_eq!(flow.refused_because().await, "bad_code_challenge");
    flow.tokens().await;
}

#[tokio::test]
async fn authz_06_verifier_has_the_grammar_of_the_standard() {
    let flow = furnished().await;
    for bad in [
        "a".repeat(42),
        "a".repeat(129),
        format!("{VERIFIER} "),
        format!("{VERIFIER}%"),
        format!("{VERIFIER}é"),
    ] {
        let code = flow.code().await;
        let answer = flow
            .redeem_with(&code, |form| put(form, "code_verifier", &bad))
            .await;
        answer.oauth_error(400, "invalid_grant");
    }
    let code = flow.code().await;
    let answer = flow
        .redeem_with(&code, |form| {
            put(form, "code_verifier", &format!("{VERIFIER}\0"))
        })
        .await;
    answer.oauth_error(400, "invalid_request");
    flow.redeem(&code).await.ok();
}

#[tokio::test]
async fn code_is_bound_to_its_key_its_redirect_uri_and_a_minute() {
    let flow = furnished().await;
    // Another key of the same client.
    let code = flow.code().await;
    let thief = Party {
        id: flow.agent.id.clone(),
        key: new_key(),
    };
    let pairs = Flow::redemption(&code);
    let ask_with = flow.ask_with(&flow.agent, &thief, &pairs).await;
    flow.house
        .send(ask_with)
        .await
        .oauth_error(400, "invalid_grant");
    assert_eq!(flow.refused_because().await, "jkt_mismatch");
    // No key at all.
    let code = flow.code().await;
    let ask_with = flow
        .ask_with(&flow.agent, &flow.agent, &Flow::redemption(&code))
        .await
        .without("dpop");
    flow.house
        .send(ask_with)
        .await
        .oauth_error(400, "invalid_grant");
    assert_eq!(flow.refused_because().await, "proof_missing");
    // Another redirect URI.
    let code = flow.code().await;
    let answer = flow
        .redeem_with(&code, |form| {
            put(form, "redirect_uri", "https://app.example/other")
        })
        .await;
    answer.oauth_error(400, "invalid_grant");
    // Too late.
    let code = flow.code().await;
    flow.house.advance(Duration::from_secs(60)).await;
    flow.house.forget_nonce();
    flow.redeem(&code).await.oauth_error(400, "invalid_grant");
    assert_eq!(flow.refused_because().await, "code_expired");
    // OAuth 2.1 lets the redirect URI be left out here.
    let code = flow.code().await;
    flow.redeem_with(&code, |form| put(form, "redirect_uri", ""))
        .await
        .ok();
}

#[tokio::test]
async fn tok_03_no_other_secret_passes_for_a_code_or_a_refresh_token() {
    let flow = furnished().await;
    let (access, refresh) = flow.tokens().await;
    let code = flow.code().await;
    let uri = flow.pushed(|_| ()).await;
    let nonce = flow.house.nonce(&flow.agent).await;
    let random = refresh.trim_start_matches("chr_");
    for other in [
        &uri,
        &refresh,
        &access,
        &nonce,
        &flow.login,
        &format!("chc_{random}"),
        "chc_",
        "x",
    ] {
        flow.redeem(other).await.oauth_error(400, "invalid_grant");
    }
    let random = code.trim_start_matches("chc_");
    for other in [
        &uri,
        &code,
        &access,
        &nonce,
        &flow.login,
        &format!("chr_{random}"),
        "chr_",
    ] {
        flow.renew(other).await.oauth_error(400, "invalid_grant");
    }
    flow.redeem(&code).await.ok();
    flow.renew(&refresh).await.ok();
}

#[tokio::test]
async fn tok_12_authz_16_token_is_for_the_resource_of_the_grant() {
    let flow = furnished().await;
    flow.house.resource("https://r2.example").await;
    let code = flow.code().await;
    let answer = flow
        .redeem_with(&code, |form| put(form, "resource", "https://r2.example"))
        .await;
    answer.oauth_error(400, "invalid_target");
    let answer = flow.redeem_with(&code, |form| {
        form.push(("resource", R1.to_owned()));
        form.push(("resource", "https://r2.example".to_owned()));
    });
    answer.await.oauth_error(400, "invalid_target");
    let answer = flow
        .redeem_with(&code, |form| put(form, "resource", R1))
        .await
        .ok();
    assert_eq!(
        claims(answer["access_token"].as_str().expect("a token"))["aud"],
        R1
    );
    let refresh = answer["refresh_token"].as_str().expect("a token");
    let answer = flow
        .renew_with(refresh, |form| put(form, "resource", "https://r2.example"))
        .await;
    answer.oauth_error(400, "invalid_target");
    let answer = flow
        .renew_with(refresh, |form| put(form, "resource", R1))
        .await
        .ok();
    assert_eq!(
        claims(answer["access_token"].as_str().expect("a token"))["aud"],
        R1
    );
}

#[tokio::test]
async fn unbound_token_only_by_the_exception_of_its_resource_and_then_without_a_refresh_token() {
    let flow = furnished().await;
    let body = json!({"url": "https://open.example", "allow_bearer": 3_600});
    flow.house.admin("POST", "/v1/resources", body).await.ok();
    let code = flow.code_with(|form| {
        put(form, "resource", "https://open.example");
        put(form, "dpop_jkt", "");
    });
    let code = code.await;
    let bare = flow
        .ask_with(&flow.agent, &flow.agent, &Flow::redemption(&code))
        .await
        .without("dpop");
    let answer = flow.house.send(bare).await.ok();
    assert_eq!(answer["token_type"], "Bearer");
    assert_eq!(answer.get("refresh_token"), None);
}

#[tokio::test]
async fn tok_11_answers_of_the_flow_are_nobodys_to_keep_and_echo_nothing() {
    let flow = furnished().await;
    let answer = flow.redeem("chc_canary").await;
    answer.oauth_error(400, "invalid_grant");
    assert!(!answer.text().contains("canary"));
    let answer = flow.redeem(&flow.code().await).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let answer = flow
        .push_with(|form| put(form, "redirect_uri", "https://canary.example/"))
        .await;
    answer.oauth_error(400, "invalid_request");
    assert!(!answer.text().contains("canary"));
    let page = flow
        .house
        .send(ask(
            "GET",
            "/oauth/authorize?client_id=canary&request_uri=canary",
        ))
        .await;
    assert!(!page.text().contains("canary"));
    let logged = crate::house::logged();
    assert!(!logged.contains("chc_") && !logged.contains("chr_"));
}
