//! `grant_type=…:jwt-bearer`: a workload that its issuer vouches for gets the token of the agent that trusts it, and nobody
//! else does.

use std::time::Duration;

use chancery_wire::client_assertion::ASSERTION_TYPE;
use chancery_wire::jws;
use serde_json::{Value, json};

use super::world::{R1, SUBJECT, bare, working};
use crate::clients::world::LOCAL;
use crate::house::{claims, jwks, new_key};
use crate::request::{Ask, ask};
use crate::tokens::certificates::{BOT, Root, by_uri};

#[tokio::test]
async fn workload_gets_the_token_of_its_agent_bound_to_its_key() {
    let works = working().await;
    let told = works.get(json!({})).await;
    assert_eq!(told.header("cache-control"), "no-store");
    let told = told.ok();
    assert_eq!(told["token_type"], "DPoP");
    assert_eq!(told.get("refresh_token"), None);
    let token = told["access_token"].as_str().expect("a token");
    let claims = claims(token);
    assert_eq!(claims["sub"], works.agent.id);
    assert_eq!(claims["client_id"], works.agent.id);
    assert_eq!(claims["aud"], R1);
    assert_eq!(claims["cnf"]["jkt"], works.job.public().thumbprint());
    assert_eq!(claims.get("act"), None, "the agent acts for itself");
    assert!(works.is_active(token).await);
    let event = works.house.last_event("token.issued").await;
    assert_eq!(event["actor"]["id"], works.agent.id);
    assert_eq!(event["facts"]["issuer"], "ci");
    assert_eq!(event["facts"]["workload"], SUBJECT);
    assert_eq!(event["decision"]["policies"][0], "active-agent-has-tokens");
    let metadata = "/.well-known/oauth-authorization-server";
    let metadata = works.house.send(ask("GET", metadata)).await.ok();
    let grants = metadata["grant_types_supported"]
        .as_array()
        .expect("a list");
    assert!(grants.contains(&json!("urn:ietf:params:oauth:grant-type:jwt-bearer")));
}

#[tokio::test]
async fn fed_01_token_that_says_anything_else_vouches_for_nobody() {
    let works = working().await;
    works
        .trust(json!({"subject": "with-claims", "claims": {"environment": "prod", "repository_owner_id": "1"}}))
        .await
        .ok();
    works.get(json!({"sub": "with-claims"})).await.ok();
    let now = works.house.now().as_secs();
    for (changes, why) in [
        (json!({"aud": "https://other.example"}), "wrong_audience"),
        (
            json!({"aud": [LOCAL, "https://other.example"]}),
            "wrong_audience",
        ),
        (
            json!({"aud": format!("{LOCAL}/oauth/token")}),
            "wrong_audience",
        ),
        (json!({"aud": null}), "claim_missing"),
        (json!({"sub": null}), "claim_missing"),
        (json!({"exp": null}), "claim_missing"),
        (json!({"iat": null}), "claim_missing"),
        (json!({"iss": null}), "claim_missing"),
        (json!({"iss": "https://other.example"}), "unknown_issuer"),
        (
            json!({"iss": format!("{}/", works.app.origin)}),
            "unknown_issuer",
        ),
        (
            json!({"sub": "repo:acme/x:ref:refs/heads/other"}),
            "not_trusted",
        ),
        (
            json!({"sub": "repo:acme/x:ref:refs/heads/main "}),
            "not_trusted",
        ),
        (
            json!({"sub": "with-claims", "environment": "test"}),
            "not_trusted",
        ),
        (
            json!({"sub": "with-claims", "environment": null}),
            "not_trusted",
        ),
        (
            json!({"sub": "with-claims", "environment": ["prod"]}),
            "not_trusted",
        ),
        (
            json!({"sub": "with-claims", "repository_owner_id": 1}),
            "not_trusted",
        ),
        (json!({"exp": now - 5}), "expired"),
        (json!({"exp": now + 3_601}), "lifetime_too_long"),
        (json!({"iat": now + 11}), "not_yet_valid"),
        (json!({"nbf": now + 11}), "not_yet_valid"),
        (json!({"exp": "soon"}), "malformed"),
    ] {
        let answer = works.get(changes.clone()).await;
        answer.oauth_error(400, "invalid_grant");
        assert_eq!(works.refused_because().await, why, "{changes}");
    }
    let event = works.house.last_event("token.refused").await;
    assert_eq!(event["actor"]["kind"], "unknown");
    assert_eq!(event["facts"]["claimed_client_id"], works.agent.id);
    works.get(json!({"aud": [LOCAL]})).await.ok();
}

#[tokio::test]
async fn jwt_13_what_is_signed_otherwise_or_for_something_else_vouches_for_nobody() {
    let works = working().await;
    let say = works.claims().to_string();
    let of_kind = |typ| jws::sign(&works.signer, typ, say.as_bytes());
    let stranger = new_key();
    let good = works.assertion(json!({}));
    let unsigned = good.rsplit_once('.').expect("a JWS").0;
    for (assertion, why) in [
        (of_kind("at+jwt"), "typ_mismatch"),
        (of_kind("logout+jwt"), "typ_mismatch"),
        (of_kind("client-authentication+jwt"), "typ_mismatch"),
        (jws::sign(&stranger, "JWT", say.as_bytes()), "unknown_key"),
        (format!("{unsigned}."), "bad_signature"),
        (format!("{unsigned}.AAAA"), "bad_signature"),
        ("x".to_owned(), "malformed"),
        ("a.b.c.d.e".to_owned(), "malformed"),
    ] {
        let answer = works.present(&assertion).await;
        answer.oauth_error(400, "invalid_grant");
        assert_eq!(works.refused_because().await, why, "{assertion}");
    }
    // A token of ours, and a client assertion of the agent's own key, vouch for nobody either.
    let token = works.token().await;
    for assertion in [token, works.house.assertion(&works.agent)] {
        let answer = works.present(&assertion).await;
        answer.oauth_error(400, "invalid_grant");
    }
    works.present(&good).await.ok();
}

#[tokio::test]
async fn tok_08_workload_is_vouched_for_or_authenticates_and_not_both() {
    let works = working().await;
    let own = works.house.assertion(&works.agent);
    let assertion = works.assertion(json!({}));
    for changes in [
        &[
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", &*own),
        ][..],
        &[("client_assertion", &own)],
        &[("client_secret", "x")],
    ] {
        let ask = works.ask_with(&assertion, &works.job, changes).await;
        works
            .house
            .send(ask)
            .await
            .oauth_error(401, "invalid_client");
    }
    let ask = works.ask_with(&assertion, &works.job, &[]).await;
    let ask = ask.header("authorization", "Basic eDp5");
    works
        .house
        .send(ask)
        .await
        .oauth_error(401, "invalid_client");
    // As which agent is said outright, and nothing in the token chooses another.
    let other = works.house.register("other-bot").await;
    for (client, error) in [
        ("", "invalid_request"),
        (&*other.id, "invalid_grant"),
        (&works.server.id, "invalid_grant"),
        ("https://client.example/it.json", "invalid_grant"),
        ("agt_01hzy0000000000000000000aa", "invalid_grant"),
    ] {
        let changes = [("client_id", client)];
        let ask = works.ask_with(&assertion, &works.job, &changes).await;
        works.house.send(ask).await.oauth_error(400, error);
    }
    let ask = works.ask_with(&assertion, &works.job, &[("assertion", "")]);
    works
        .house
        .send(ask.await)
        .await
        .oauth_error(400, "invalid_request");
    works.present(&assertion).await.ok();
}

/// What else would prove who a client is, in any way that one can be registered for, is never beside an assertion.
#[tokio::test]
async fn tok_08_workload_brings_no_attestation_and_no_certificate_that_is_registered() {
    let works = working().await;
    let root = Root::believed_by(&works.house);
    let (own, other) = (root.connection(BOT, 1), root.connection(BOT, 2));
    let assertion = works.assertion(json!({}));
    let refused = async |asked: Ask, why: &str| {
        let refused = works.house.send(asked).await;
        refused.oauth_error(401, "invalid_client");
        assert_eq!(works.refused_because().await, why);
    };
    let asked = async || works.ask_with(&assertion, &works.job, &[]).await;
    let several = "several_client_authentications";
    for name in ["oauth-client-attestation", "oauth-client-attestation-pop"] {
        refused(asked().await.header(name, "x.y.z"), several).await;
    }
    // To an agent that is not known by one, the certificate of a connection says nothing.
    let told = works.house.send(asked().await.over(&own)).await.ok();
    let jkt = works.job.public().thumbprint();
    let cnf = |told: &Value| claims(told["access_token"].as_str().expect("a token"))["cnf"].clone();
    assert_eq!(cnf(&told), json!({"jkt": jkt}));
    // Where its tokens are bound to one, so are those of its workloads, and the assertion with them.
    let path = "/v1/agents/refund-bot/authentication";
    let bound = json!({
        "token_endpoint_auth_method": "private_key_jwt",
        "tls_client_certificate_bound_access_tokens": true,
    });
    works.house.admin("PUT", path, bound).await.ok();
    refused(asked().await, "certificate_missing").await;
    for with_key in [true, false] {
        let assertion = works.assertion(json!({}));
        let asked = async || match with_key {
            true => works.ask_with(&assertion, &works.job, &[]).await,
            false => works.bare_ask(&assertion, &[]),
        };
        let mut both = json!({"x5t#S256": own.thumbprint()});
        if with_key {
            both["jkt"] = json!(jkt);
        }
        for _ in 0..2 {
            let told = works.house.send(asked().await.over(&own)).await.ok();
            assert_eq!(cnf(&told), both);
        }
        let stolen = works.house.send(asked().await.over(&other)).await;
        stolen.oauth_error(400, "invalid_grant");
        assert_eq!(works.refused_because().await, "assertion_of_another_key");
    }
    // One that is known by its certificate comes with it or is vouched for, and not both.
    let mut by_certificate = by_uri(BOT);
    by_certificate["tls_client_certificate_bound_access_tokens"] = json!(false);
    works.house.admin("PUT", path, by_certificate).await.ok();
    let fresh = works.assertion(json!({}));
    let asked = async || works.ask_with(&fresh, &works.job, &[]).await;
    refused(asked().await.over(&own), several).await;
    works.house.send(asked().await).await.ok();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &*works.agent.id),
        ("resource", R1),
    ];
    let by_itself = ask("POST", "/oauth/token").form(&form).over(&own);
    let bare = works.house.send(by_itself).await;
    // It is known; what is missing is the key that its token would be bound to.
    bare.oauth_error(400, "invalid_dpop_proof");
}

#[tokio::test]
async fn tok_07_token_of_a_workload_is_of_use_with_the_key_that_it_came_with_first() {
    let works = working().await;
    let thief = new_key();
    for changes in [json!({}), json!({"jti": null})] {
        let assertion = works.assertion(changes);
        works.present(&assertion).await.ok();
        // A pod reads the same token for minutes.
        works.present(&assertion).await.ok();
        let ask = works.ask_with(&assertion, &thief, &[]).await;
        works
            .house
            .send(ask)
            .await
            .oauth_error(400, "invalid_grant");
        assert_eq!(works.refused_because().await, "assertion_of_another_key");
        let event = works.house.last_event("token.refused").await;
        assert_eq!(
            event["actor"]["id"], works.agent.id,
            "its issuer vouched for it"
        );
        works.present(&assertion).await.ok();
    }
    // Elsewhere and after a restart too.
    let assertion = works.assertion(json!({}));
    works.present(&assertion).await.ok();
    let beside = works.beside(9).await;
    let ask = works.ask_at(&beside, &assertion, &thief, &[]).await;
    beside.send(ask).await.oauth_error(400, "invalid_grant");
    // A proof is of use once.
    let assertion = works.assertion(json!({}));
    let ask = works.ask_with(&assertion, &works.job, &[]).await;
    works.house.send(ask.clone()).await.ok();
    works
        .house
        .send(ask)
        .await
        .oauth_error(400, "invalid_grant");
    assert_eq!(works.refused_because().await, "replayed");
}

#[tokio::test]
async fn without_a_key_only_by_the_exception_of_the_resource_and_once() {
    let works = working().await;
    let open = "https://open.example";
    let body = json!({"url": open, "allow_bearer": 3_600});
    works.house.admin("POST", "/v1/resources", body).await.ok();
    let first = works.assertion(json!({}));
    let bound = works.house.send(works.bare_ask(&first, &[])).await;
    bound.oauth_error(400, "invalid_dpop_proof");
    let fresh = works.assertion(json!({}));
    let bare = || works.bare_ask(&fresh, &[("resource", open)]);
    let told = works.house.send(bare()).await.ok();
    assert_eq!(told["token_type"], "Bearer");
    works
        .house
        .send(bare())
        .await
        .oauth_error(400, "invalid_grant");
    assert_eq!(works.refused_because().await, "assertion_of_another_key");
    works
        .present(&fresh)
        .await
        .oauth_error(400, "invalid_grant");
    // And one that came with a key has no use without.
    let with_key = works.assertion(json!({}));
    works.present(&with_key).await.ok();
    let bare = works.bare_ask(&with_key, &[("resource", open)]);
    works
        .house
        .send(bare)
        .await
        .oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn race_05_of_many_keys_that_one_token_comes_with_at_once_one_gets_tokens() {
    let works = std::sync::Arc::new(working().await);
    let assertion = works.assertion(json!({}));
    let mut racing = Vec::new();
    for _ in 0..20 {
        let ask = works.ask_with(&assertion, &new_key(), &[]).await;
        let works = std::sync::Arc::clone(&works);
        racing.push(tokio::spawn(async move { works.house.send(ask).await }));
    }
    let mut won = 0;
    for racer in racing {
        let answer = racer.await.expect("a task");
        match answer.status.as_u16() {
            200 => won += 1,
            _ => answer.oauth_error(400, "invalid_grant"),
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn tok_10_agent_that_may_not_act_gets_nothing_whoever_vouches() {
    let works = working().await;
    let token = works.token().await;
    works.house.suspend("refund-bot").await.ok();
    works
        .get(json!({}))
        .await
        .oauth_error(401, "invalid_client");
    assert_eq!(works.refused_because().await, "principal_inactive");
    assert!(!works.is_active(&token).await);
    works.house.resume("refund-bot").await.ok();
    works.get(json!({})).await.ok();
    assert!(!works.is_active(&token).await);
    // Other keys of its own end it too: all that it was issued goes by one epoch.
    let token = works.token().await;
    let body = json!({"jwks": jwks(&new_key())});
    let path = "/v1/agents/refund-bot/keys";
    works.house.admin("PUT", path, body).await.ok();
    assert!(!works.is_active(&token).await);
    works.get(json!({})).await.ok();
    let text = r#"
        @id("no-r1")
        forbid (principal, action == Chancery::Action::"issue_token", resource)
        when { context.scopes.contains("write") };
    "#;
    let body = json!({"text": text});
    works
        .house
        .admin("PUT", "/v1/policies/no-r1", body)
        .await
        .ok();
    let assertion = works.assertion(json!({}));
    let ask = works.ask_with(&assertion, &works.job, &[("scope", "write")]);
    works
        .house
        .send(ask.await)
        .await
        .oauth_error(400, "invalid_scope");
    let ask = works.ask_with(
        &assertion,
        &works.job,
        &[("resource", "https://nowhere.example")],
    );
    works
        .house
        .send(ask.await)
        .await
        .oauth_error(400, "invalid_target");
    works.present(&assertion).await.ok();
}

/// JWKS-03: whoever makes up keys has an issuer asked no more than once in half a minute, and strangers to an issuer never.
#[tokio::test]
async fn jwks_03_made_up_keys_and_strangers_have_an_issuer_left_alone() {
    let works = working().await;
    works.get(json!({})).await.ok();
    let asked = works.app.asked();
    let say = works.claims().to_string();
    for _ in 0..20 {
        let made_up = jws::sign(&new_key(), "JWT", say.as_bytes());
        let answer = works.present(&made_up).await;
        answer.oauth_error(400, "invalid_grant");
    }
    assert!(works.app.asked() <= asked + 2, "{}", works.app.asked());
    // An agent that trusts nobody there has nothing fetched at all.
    works.house.advance(Duration::from_secs(31)).await;
    let asked = works.app.asked();
    let other = works.house.register("other-bot").await;
    let made_up = jws::sign(&new_key(), "JWT", works.claims().to_string().as_bytes());
    let changes = [("client_id", &*other.id)];
    let ask = works.ask_with(&made_up, &works.job, &changes).await;
    works
        .house
        .send(ask)
        .await
        .oauth_error(400, "invalid_grant");
    assert_eq!(works.app.asked(), asked);
    // The issuer's next key is found, and then its own tokens verify.
    let next = new_key();
    works.publish(&[&works.signer, &next]);
    let of_next = jws::sign(&next, "JWT", works.claims().to_string().as_bytes());
    works.present(&of_next).await.ok();
    assert_eq!(works.app.asked(), asked + 2);
}

/// JWKS-03: nor does a made-up key keep those waiting whose key is known.
#[tokio::test]
async fn jwks_03_known_keys_verify_while_an_issuer_is_asked_about_another() {
    let works = working().await;
    works.get(json!({})).await.ok();
    works.house.advance(Duration::from_secs(31)).await;
    let asked = works.app.asked();
    let held = works.app.hold().await;
    let made_up = jws::sign(&new_key(), "JWT", works.claims().to_string().as_bytes());
    let waits = works.present(&made_up);
    tokio::pin!(waits);
    let is_asked = async {
        while works.app.asked() == asked {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        answer = &mut waits => panic!("answered without asking: {answer:?}"),
        () = is_asked => {}
    }
    works.get(json!({})).await.ok();
    drop(held);
    waits.await.oauth_error(400, "invalid_grant");
}

#[tokio::test]
async fn jwks_04_key_that_its_issuer_withdrew_vouches_for_nobody_after_five_minutes() {
    let works = working().await;
    works.get(json!({})).await.ok();
    let next = new_key();
    works.publish(&[&next]);
    works.house.advance(Duration::from_secs(301)).await;
    works.get(json!({})).await.oauth_error(400, "invalid_grant");
    let of_next = jws::sign(&next, "JWT", works.claims().to_string().as_bytes());
    works.present(&of_next).await.ok();
}

#[tokio::test]
async fn issuer_that_cannot_be_asked_vouches_for_nobody() {
    let works = bare().await;
    works.add_issuer(json!({})).await.ok();
    works.trust(json!({})).await.ok();
    works.house.advance(Duration::from_secs(301)).await;
    let path = "/.well-known/openid-configuration";
    works.app.put(path, 500, "text/plain", "no");
    let answer = works.get(json!({})).await;
    answer.oauth_error(503, "temporarily_unavailable");
    assert_eq!(works.refused_because().await, "issuer_unavailable");
    works.publish(&[&works.signer]);
    works.house.advance(Duration::from_secs(31)).await;
    works.get(json!({})).await.ok();
}

/// The audience that was agreed on counts, in place of our issuer.
#[tokio::test]
async fn audience_of_the_issuer_is_the_one_that_was_registered() {
    let works = bare().await;
    works
        .add_issuer(json!({"audience": "api://chancery"}))
        .await
        .ok();
    works.trust(json!({})).await.ok();
    works.get(json!({})).await.oauth_error(400, "invalid_grant");
    works.get(json!({"aud": "api://chancery"})).await.ok();
}
