//! What a client proved to hold when it asked for a person, it holds when it fetches what the person gave, and when it uses it:
//! the certificate of its connection, in every flow (RFC 8705).

use chancery_wire::certificate::PeerCertificate;
use chancery_wire::dpop;
use serde_json::json;

use super::device::{Device, GRANT_TYPE};
use super::flow::{Flow, Pairs, field, furnished, landed, pairs_of, put, stays_here};
use super::openid::{USERINFO, follow, link, sign_in};
use crate::house::claims;
use crate::request::{Answer, ask};
use crate::tokens::certificates::{BOT, Root, flow_by_certificate};

/// A device that waits, and asked over this connection.
async fn device(flow: &Flow, peer: &PeerCertificate) -> Device {
    let mut pairs = flow.wish();
    put(&mut pairs, "dpop_jkt", "");
    let path = "/oauth/device_authorization";
    let told = flow.by_certificate(path, &pairs_of(&pairs), peer).await;
    let told = told.ok();
    let text = |name: &str| told[name].as_str().expect("a text").to_owned();
    Device {
        code: text("device_code"),
        shown: text("user_code"),
    }
}

async fn collect(flow: &Flow, device: &Device, peer: &PeerCertificate) -> Answer {
    let pairs = [("grant_type", GRANT_TYPE), ("device_code", &*device.code)];
    flow.by_certificate("/oauth/token", &pairs, peer).await
}

#[tokio::test]
async fn x509_05_device_code_is_of_use_with_the_certificate_that_it_was_asked_for_with() {
    let (flow, root) = flow_by_certificate().await;
    // Two certificates that both authenticate the agent.
    let (own, other) = (root.connection(BOT, 1), root.connection(BOT, 2));
    let waiting = device(&flow, &own).await;
    let early = collect(&flow, &waiting, &own).await;
    early.oauth_error(400, "authorization_pending");
    flow.answer(&waiting, "approve").await;
    let stolen = collect(&flow, &waiting, &other).await;
    stolen.oauth_error(400, "invalid_grant");
    assert_eq!(flow.refused_because().await, "certificate_mismatch");
    // Whoever holds half of what a code is bound to is not asked twice.
    let late = collect(&flow, &waiting, &own).await;
    late.oauth_error(400, "invalid_grant");
    let waiting = device(&flow, &own).await;
    flow.answer(&waiting, "approve").await;
    let answer = collect(&flow, &waiting, &own).await.ok();
    assert_eq!(answer["token_type"], "Bearer");
    let token = answer["access_token"].as_str().expect("a token");
    let bound = json!({"x5t#S256": own.thumbprint()});
    assert_eq!(claims(token)["cnf"], bound);
    assert!(flow.is_active(token).await);
    let refresh = answer["refresh_token"].as_str().expect("a refresh token");
    let renewed = flow.renew_by_certificate(refresh, &other).await;
    renewed.oauth_error(400, "invalid_grant");
    let renewed = flow.renew_by_certificate(refresh, &own).await.ok();
    let token = renewed["access_token"].as_str().expect("a token");
    assert_eq!(claims(token)["cnf"], bound);
}

/// A code of bob's sign-in, by a request that was pushed over this connection.
async fn sign_in_code(
    flow: &Flow,
    peer: &PeerCertificate,
    change: impl FnOnce(&mut Pairs),
) -> String {
    let mut pairs = flow.request();
    sign_in(&mut pairs);
    change(&mut pairs);
    let pairs = pairs_of(&pairs);
    let pushed = flow.by_certificate("/oauth/par", &pairs, peer).await;
    assert_eq!(pushed.status.as_u16(), 201, "{pushed:?}");
    let uri = pushed.json()["request_uri"].clone();
    let decided = flow.approve(uri.as_str().expect("a name")).await;
    landed(&decided)["code"].clone()
}

#[tokio::test]
async fn x509_01_who_signed_in_is_told_over_the_connection_that_the_token_is_bound_to() {
    let (flow, root) = flow_by_certificate().await;
    let (own, other) = (root.connection(BOT, 1), root.connection(BOT, 2));
    let code = sign_in_code(&flow, &own, |pairs| put(pairs, "dpop_jkt", "")).await;
    let answer = flow.redeem_by_certificate(&code, &own).await.ok();
    assert_eq!(answer["token_type"], "Bearer");
    let token = answer["access_token"].as_str().expect("a token");
    assert_eq!(claims(token)["cnf"], json!({"x5t#S256": own.thumbprint()}));
    let question = || ask("GET", "/oauth/userinfo").bearer(token);
    let refused = async |asked, why: &str| {
        let refused: Answer = flow.house.send(asked).await;
        refused.oauth_error(401, "invalid_token");
        assert_eq!(flow.refused_because().await, why);
    };
    refused(question(), "certificate_missing").await;
    refused(question().over(&other), "certificate_mismatch").await;
    let as_dpop = ask("GET", "/oauth/userinfo").header("authorization", format!("DPoP {token}"));
    refused(as_dpop.over(&own), "wrong_scheme").await;
    let person = flow.house.send(question().over(&own)).await.ok();
    assert_eq!(person["sub"], claims(token)["sub"]);
}

#[tokio::test]
async fn x509_01_token_that_is_bound_to_a_key_and_a_certificate_is_held_to_both_at_userinfo() {
    let (flow, root) = flow_by_certificate().await;
    let (own, other) = (root.connection(BOT, 1), root.connection(BOT, 2));
    let house = &flow.house;
    let registered = house.register("nonces").await;
    let nonce = house.nonce(&registered).await;
    let code = sign_in_code(&flow, &own, |_| ()).await;
    let mut form = Flow::redemption(&code);
    form.push(("client_id", flow.agent.id.clone()));
    let redeem = ask("POST", "/oauth/token").form(&pairs_of(&form));
    let redeem = redeem.header("dpop", house.proof(&flow.agent.key, &nonce));
    let answer = house.send(redeem.over(&own)).await.ok();
    assert_eq!(answer["token_type"], "DPoP");
    let token = answer["access_token"].as_str().expect("a token");
    let question = || {
        let request = dpop::Request {
            method: "GET",
            url: USERINFO,
            jti: &house.fresh(),
            now: house.now(),
            nonce: Some(&nonce),
            access_token: Some(token),
        };
        let proof = dpop::proof(&flow.agent.key, &request);
        let ask = ask("GET", "/oauth/userinfo").header("authorization", format!("DPoP {token}"));
        ask.header("dpop", proof)
    };
    for refused in [question(), question().over(&other)] {
        let refused = house.send(refused).await;
        refused.oauth_error(401, "invalid_token");
    }
    let bare = ask("GET", "/oauth/userinfo").bearer(token).over(&own);
    let refused = house.send(bare).await;
    refused.oauth_error(401, "invalid_token");
    house.send(question().over(&own)).await.ok();
}

/// A browser has no certificate of the client's; the client shows it when it fetches the tokens.
#[tokio::test]
async fn client_whose_tokens_are_bound_to_its_certificate_may_sign_people_in_by_a_link() {
    let (flow, root) = flow_by_certificate().await;
    let own = root.connection(BOT, 1);
    let query = link(&flow, |pairs| put(pairs, "dpop_jkt", ""));
    let page = follow(&flow, &flow.login, &query).await;
    stays_here(&page, 200);
    let (uri, form) = (field(&page, "request_uri"), field(&page, "form"));
    let answer = landed(&flow.decide(&flow.login, &uri, &form, "approve").await);
    let tokens = flow.redeem_by_certificate(&answer["code"], &own).await.ok();
    let token = tokens["access_token"].as_str().expect("a token");
    assert_eq!(claims(token)["cnf"], json!({"x5t#S256": own.thumbprint()}));
    // One that is known by a key, and named none, would get a token that is bound to nothing.
    let flow = furnished().await;
    Root::believed_by(&flow.house);
    let query = link(&flow, |pairs| put(pairs, "dpop_jkt", ""));
    let refused = landed(&follow(&flow, &flow.login, &query).await);
    assert_eq!(refused["error"], "invalid_dpop_proof");
}
