//! `grant_type=refresh_token`: as long as everything is as it was, and never for more.

use std::time::Duration;

use chancery_wire::client_assertion::ASSERTION_TYPE;
use serde_json::json;

use super::flow::{BOB, Flow, furnished, put};
use crate::house::{ADMIN, Party, claims, life, new_key};
use crate::request::{Answer, ask};

#[tokio::test]
async fn refresh_token_is_of_use_again_and_is_not_rotated() {
    let flow = furnished().await;
    let (first, refresh) = flow.tokens().await;
    let answer = flow.renew(&refresh).await.ok();
    assert_eq!(answer.get("refresh_token"), None);
    let second = answer["access_token"].as_str().expect("a token");
    for token in [&*first, second] {
        assert!(flow.is_active(token).await);
    }
    assert_eq!(claims(second)["grant_id"], claims(&first)["grant_id"]);
    assert_eq!(claims(second)["act"], claims(&first)["act"]);
    let issued = flow.house.last_event("token.issued").await;
    assert_eq!(issued["subject"], claims(second)["sub"]);
}

/// What a refresh gives is bound to the key that the code was bound to, and to no other.
#[tokio::test]
async fn dpop_07_binding_stays_at_every_refresh() {
    let flow = furnished().await;
    let (first, refresh) = flow.tokens().await;
    for _ in 0..3 {
        let answer = flow.renew(&refresh).await.ok();
        assert_eq!(answer["token_type"], "DPoP");
        let token = answer["access_token"].as_str().expect("a token");
        assert_eq!(claims(token)["cnf"], claims(&first)["cnf"]);
        assert_ne!(claims(token)["cnf"], serde_json::Value::Null);
    }
}

/// It is bound to its client and its key instead of being rotated: nobody else has any use of it, however often.
#[tokio::test]
async fn tok_04_refresh_token_of_another_client_or_key_is_of_no_use() {
    let flow = furnished().await;
    let (_, refresh) = flow.tokens().await;
    let pairs = vec![
        ("grant_type", "refresh_token".to_owned()),
        ("refresh_token", refresh.clone()),
    ];
    let other = flow.house.register("other-bot").await;
    let thief = Party {
        id: flow.agent.id.clone(),
        key: new_key(),
    };
    for (client, key) in [
        (&other, &other),
        (&other, &flow.agent),
        (&flow.agent, &thief),
    ] {
        let stolen = flow.ask_with(client, key, &pairs).await;
        flow.house
            .send(stolen)
            .await
            .oauth_error(400, "invalid_grant");
    }
    let bare = flow
        .ask_with(&flow.agent, &flow.agent, &pairs)
        .await
        .without("dpop");
    flow.house
        .send(bare)
        .await
        .oauth_error(400, "invalid_dpop_proof");
    flow.renew(&refresh).await.ok();
}

#[test]
fn tok_05_end_of_a_grant_outlives_a_restart() {
    let (database, clock, agent, refresh, live) = life(async {
        let flow = furnished().await;
        let (_, refresh) = flow.tokens().await;
        let (_, live) = flow.tokens().await;
        let grant = flow.grants().await[0]["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        let path = format!("/v1/grants/{grant}/revoke");
        flow.house
            .as_login(&flow.login, "POST", &path, json!({"reason": "enough"}))
            .await
            .ok();
        flow.renew(&refresh).await.oauth_error(400, "invalid_grant");
        (
            flow.house.database.clone(),
            flow.house.clock.clone(),
            flow.agent,
            refresh,
            live,
        )
    });
    life(async {
        let house = crate::house::House::open(database, clock, 9, |_| {}).await;
        let nonce = house.nonce(&agent).await;
        for (token, status) in [(&refresh, 400), (&live, 200)] {
            let assertion = house.assertion(&agent);
            let pairs = [
                ("grant_type", "refresh_token"),
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", &assertion),
                ("refresh_token", token),
            ];
            let renew = ask("POST", "/oauth/token")
                .form(&pairs)
                .header("dpop", house.proof(&agent.key, &nonce));
            let answer = house.send(renew).await;
            assert_eq!(answer.status.as_u16(), status, "{answer:?}");
        }
    });
}

/// Ends one thing that the chain hangs on, and holds that nothing of it passes any more.
async fn ended_by(end: impl AsyncFnOnce(&Flow), renewed: impl FnOnce(&Answer)) {
    let flow = furnished().await;
    let (token, refresh) = flow.tokens().await;
    assert!(flow.is_active(&token).await);
    flow.renew(&refresh).await.ok();
    end(&flow).await;
    renewed(&flow.renew(&refresh).await);
    assert!(!flow.is_active(&token).await);
}

#[tokio::test]
async fn tok_06_refresh_asks_the_whole_chain_anew() {
    let invalid_grant = |answer: &Answer| answer.oauth_error(400, "invalid_grant");
    let invalid_client = |answer: &Answer| answer.oauth_error(401, "invalid_client");
    let because = || json!({"reason": "a test"});
    ended_by(
        async |flow| {
            let path = format!("/v1/owners/{BOB}/disable");
            flow.house.admin("POST", &path, because()).await.ok();
        },
        invalid_grant,
    )
    .await;
    ended_by(
        async |flow| {
            let path = "/v1/owners/alice@example.com/disable";
            flow.house.admin("POST", path, because()).await.ok();
        },
        invalid_client,
    )
    .await;
    ended_by(
        async |flow| {
            flow.house.suspend("refund-bot").await.ok();
        },
        invalid_client,
    )
    .await;
    ended_by(
        async |flow| {
            let grant = flow.grants().await[0]["id"]
                .as_str()
                .expect("an id")
                .to_owned();
            let path = format!("/v1/grants/{grant}/revoke");
            flow.house.admin("POST", &path, because()).await.ok();
        },
        invalid_grant,
    )
    .await;
    // A version that is wider than what bob consented to.
    ended_by(
        async |flow| {
            let view = flow.house.get("/v1/agents/refund-bot").await;
            let document = json!({
                "name": "refund-bot", "owner": "alice@example.com", "tools": [{"server": "desk", "tool": "*"}],
            });
            let update = ask("PUT", "/v1/agents/refund-bot").bearer(ADMIN).header("if-match", view["revision"].to_string());
            flow.house.send(update.json(&json!({"document": document}))).await.ok();
            flow.accept_as_second_person().await;
        },
        invalid_grant,
    )
    .await;
}

#[tokio::test]
async fn policy_is_asked_at_each_refresh_and_sees_the_person() {
    let flow = furnished().await;
    let (_, refresh) = flow.tokens().await;
    let policy = "@id(\"support-only\") forbid (principal, action == Chancery::Action::\"issue_token\", resource) \
                  when { context has subject && !context.subject.teams.contains(\"team:support\") };";
    flow.house
        .admin("PUT", "/v1/policies/support-only", json!({"text": policy}))
        .await
        .ok();
    flow.renew(&refresh).await.oauth_error(400, "invalid_scope");
    let team = json!({"handle": "team:support", "members": [BOB]});
    flow.house.admin("POST", "/v1/owners", team).await.ok();
    flow.renew(&refresh).await.ok();
}

#[tokio::test]
async fn scope_may_shrink_and_never_grows() {
    let flow = furnished().await;
    let code = flow
        .code_with(|form| put(form, "scope", "read write"))
        .await;
    let answer = flow.redeem(&code).await.ok();
    let refresh = answer["refresh_token"].as_str().expect("a token");
    let less = flow
        .renew_with(refresh, |form| put(form, "scope", "read"))
        .await
        .ok();
    assert_eq!(less["scope"], "read");
    for more in ["read write admin", "admin", "READ", "read,write", "*"] {
        let answer = flow
            .renew_with(refresh, |form| put(form, "scope", more))
            .await;
        answer.oauth_error(400, "invalid_scope");
    }
    // Less once is not less for ever.
    assert_eq!(flow.renew(refresh).await.ok()["scope"], "read write");
}

#[tokio::test]
async fn refresh_token_ends_by_not_being_used_and_with_its_grant() {
    let flow = furnished().await;
    let (_, idle) = flow.tokens().await;
    let (_, used) = flow.tokens().await;
    let hours = |hours: u64| Duration::from_secs(hours * 3_600);
    flow.house.advance(hours(7)).await;
    flow.house.forget_nonce();
    flow.renew(&used).await.ok();
    flow.house.advance(hours(2)).await;
    flow.house.forget_nonce();
    flow.renew(&idle).await.oauth_error(400, "invalid_grant");
    for _ in 0..102 {
        flow.house.advance(hours(7)).await;
        flow.house.forget_nonce();
        let answer = flow.renew(&used).await;
        if answer.status.as_u16() != 200 {
            answer.oauth_error(400, "invalid_grant");
        }
    }
    // 30 days after bob consented, whatever was done meanwhile.
    flow.renew(&used).await.oauth_error(400, "invalid_grant");
}

/// REV-05 for a refresh token: the client gives the whole grant back.
#[tokio::test]
async fn rev_05_revoked_refresh_token_takes_everything_of_its_grant_along() {
    let flow = furnished().await;
    let (token, refresh) = flow.tokens().await;
    let revoke = async |party: &Party| {
        let assertion = flow.house.assertion(party);
        let form = [
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", &assertion),
            ("token", &refresh),
        ];
        flow.house
            .send(ask("POST", "/oauth/revoke").form(&form))
            .await
    };
    // REV-04: not somebody else's, and the answer is the same.
    let other = flow.house.register("other-bot").await;
    let answer = revoke(&other).await;
    assert_eq!(answer.status.as_u16(), 200);
    flow.renew(&refresh).await.ok();
    assert_eq!(revoke(&flow.agent).await.bytes, answer.bytes);
    assert!(!flow.is_active(&token).await);
    flow.renew(&refresh).await.oauth_error(400, "invalid_grant");
    assert_eq!(flow.grants().await[0]["status"], "revoked");
}
