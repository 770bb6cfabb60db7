//! `POST /oauth/introspect`: what a resource server learns, and what nobody learns.

use std::time::Duration;

use chancery_model::time::Clock;
use chancery_wire::client_assertion::ASSERTION_TYPE;
use chancery_wire::{jws, signed_introspection};
use serde_json::json;

use crate::house::{House, ISSUER, claims, new_key};
use crate::request::ask;

const R1: &str = "https://r1.example";

#[tokio::test]
async fn rev_01_token_of_another_audience_is_inactive_and_nothing_else() {
    let house = House::found().await;
    let agent = house.register("refund-bot").await;
    let (one, two) = (
        house.resource(R1).await,
        house.resource("https://r2.example").await,
    );
    let token = house.token(&agent, R1).await;
    let told = house.introspect(&two, &token).await;
    assert_eq!(told.text(), r#"{"active":false}"#);
    let known = house.introspect(&one, &token).await;
    let active = known.ok();
    assert_eq!(active["active"], true);
    assert_eq!(active["aud"], R1);
    assert_eq!(active["token_type"], "DPoP");
    assert_eq!(active["client_id"], agent.id);
    assert_eq!(known.header("cache-control"), "no-store");
    // What is no token at all gets the same bytes.
    for nonsense in ["", "x", "a.b.c", &format!("{token}x")] {
        let answer = house.introspect(&two, nonsense).await;
        if nonsense.is_empty() {
            answer.oauth_error(400, "invalid_request");
        } else {
            assert_eq!(answer.bytes, told.bytes, "{nonsense}");
        }
    }
}

/// RFC 9701: what a resource server was told, as evidence; and nothing takes it for a token (T7, T16).
#[tokio::test]
async fn rev_01_signed_answer_is_for_who_asked_and_passes_for_no_token() {
    let house = House::found().await;
    let agent = house.register("refund-bot").await;
    let (one, two) = (
        house.resource(R1).await,
        house.resource("https://r2.example").await,
    );
    let token = house.token(&agent, R1).await;
    let mut signed = Vec::new();
    for (server, is_active) in [(&one, true), (&two, false)] {
        let questions = house.questions(server).await;
        let question = ask("POST", "/oauth/introspect").bearer(&questions);
        let question = question.form(&[("token", &token)]);
        let plain = house.send(question).await.ok();
        let question = ask("POST", "/oauth/introspect").bearer(&questions);
        let question = question.header("accept", signed_introspection::MEDIA_TYPE);
        let answer = house.send(question.form(&[("token", &token)])).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(
            answer.header("content-type"),
            signed_introspection::MEDIA_TYPE
        );
        assert_eq!(answer.header("cache-control"), "no-store");
        let text = answer.text();
        let unverified = jws::Unverified::parse(&text, chancery_wire::json::TOKEN);
        let unverified = unverified.expect("a JWT");
        assert!(unverified.header().typ_is(signed_introspection::TYP));
        let key = house.authority.keys.load().access_token.public().clone();
        unverified
            .verify(&key)
            .expect("signed with the key that is published");
        let told = claims(&text);
        assert_eq!(told["iss"], ISSUER);
        assert_eq!(told["aud"], server.id);
        assert_eq!(told["iat"], house.clock.now().as_secs());
        assert_eq!(told["token_introspection"], plain);
        assert_eq!(told["token_introspection"]["active"], is_active);
        assert_eq!(
            told.as_object().expect("claims").len(),
            4,
            "nothing at the top"
        );
        signed.push(text);
    }
    assert_eq!(
        claims(&signed[1])["token_introspection"],
        json!({"active": false})
    );
    // It is no access token, no credential and no assertion, here or at the gateway.
    assert!(!house.is_active(&one, &signed[0]).await);
    let as_credential = ask("POST", "/oauth/introspect").bearer(&signed[0]);
    house
        .send(as_credential.form(&[("token", &token)]))
        .await
        .oauth_error(401, "invalid_token");
    let as_assertion = [
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", signed[0].as_str()),
        ("token", &token),
    ];
    house
        .send(ask("POST", "/oauth/introspect").form(&as_assertion))
        .await
        .oauth_error(401, "invalid_client");
    let metadata = house.get("/.well-known/oauth-authorization-server").await;
    assert_eq!(
        metadata["introspection_signing_alg_values_supported"],
        json!(["ES256"])
    );
}

#[tokio::test]
async fn rev_02_strangers_and_agents_learn_nothing() {
    let house = House::found().await;
    let agent = house.register("refund-bot").await;
    house.resource(R1).await;
    let token = house.token(&agent, R1).await;
    let mut answers = Vec::new();
    for guess in [token.as_str(), "x", "a.b.c"] {
        let bare = ask("POST", "/oauth/introspect").form(&[("token", guess)]);
        let answer = house.send(bare).await;
        answer.oauth_error(401, "invalid_client");
        answers.push(answer.bytes);
        // An ordinary token of an agent is no credential here.
        let with_token = ask("POST", "/oauth/introspect")
            .bearer(&token)
            .form(&[("token", guess)]);
        house
            .send(with_token)
            .await
            .oauth_error(401, "invalid_token");
        // Nor is an administrator's login.
        let login = ask("POST", "/oauth/introspect")
            .bearer(crate::house::ADMIN)
            .form(&[("token", guess)]);
        house.send(login).await.oauth_error(401, "invalid_token");
    }
    answers.dedup();
    assert_eq!(answers.len(), 1);
    house
        .introspect(&agent, &token)
        .await
        .oauth_error(400, "unauthorized_client");
    // A flood of strangers costs the record no more than its gate lets through.
    for _ in 0..150 {
        house
            .send(ask("POST", "/oauth/introspect").form(&[("token", "x")]))
            .await;
    }
    assert!(house.events_of("token.refused").await.len() <= 100);
}

#[tokio::test]
async fn rev_03_every_end_shows_at_the_next_question() {
    let house = House::found().await;
    let server = house.resource(R1).await;
    let agent = house.register("refund-bot").await;
    let stop = async |how: &str| {
        house.advance(Duration::from_millis(10)).await;
        let token = house.token(&agent, R1).await;
        assert!(house.is_active(&server, &token).await, "{how}");
        // Asked twice, so that the second answer comes from what is remembered.
        assert!(house.is_active(&server, &token).await, "{how}");
        token
    };
    let revoked = stop("revoked").await;
    let body = json!({"token": revoked, "reason": "leaked"});
    house.admin("POST", "/v1/tokens/revoke", body).await.ok();
    assert!(!house.is_active(&server, &revoked).await);

    let suspended = stop("suspended").await;
    house.suspend("refund-bot").await.ok();
    assert!(!house.is_active(&server, &suspended).await);
    house.advance(Duration::from_millis(10)).await;
    house.resume("refund-bot").await.ok();
    assert!(
        !house.is_active(&server, &suspended).await,
        "a stop is for good"
    );

    let old_version = stop("another version").await;
    let view = house.get("/v1/agents/refund-bot").await;
    let mut document = view["document"].clone();
    document["description"] = json!("says more of itself");
    let update = ask("PUT", "/v1/agents/refund-bot")
        .bearer(crate::house::ADMIN)
        .header("if-match", view["revision"].to_string())
        .json(&json!({"document": document}));
    assert_eq!(house.send(update).await.ok()["version_number"], 2);
    assert!(!house.is_active(&server, &old_version).await);

    let ended = stop("ended").await;
    house.forget_nonce();
    house.advance(Duration::from_secs(299)).await;
    assert!(house.is_active(&server, &ended).await);
    house.advance(Duration::from_secs(1)).await;
    assert!(!house.is_active(&server, &ended).await);

    house.forget_nonce();
    let owned = stop("its owner left").await;
    let path = "/v1/owners/alice@example.com/disable";
    house
        .admin("POST", path, json!({"reason": "left"}))
        .await
        .ok();
    assert!(!house.is_active(&server, &owned).await);
}

#[tokio::test]
async fn rev_03_stale_node_refuses_rather_than_remembers() {
    let house = House::found().await;
    let server = house.resource(R1).await;
    let agent = house.register("refund-bot").await;
    let token = house.token(&agent, R1).await;
    assert!(house.is_active(&server, &token).await);
    // Nobody could look at the database for longer than the bound.
    house
        .database
        .run("ALTER TABLE change RENAME TO gone")
        .await;
    house.advance_unseen(Duration::from_secs(31));
    let answer = house.introspect(&server, &token).await;
    answer.oauth_error(503, "temporarily_unavailable");
    house
        .database
        .run("ALTER TABLE gone RENAME TO change")
        .await;
    house.advance(Duration::ZERO).await;
    assert!(house.is_active(&server, &token).await);
}

#[tokio::test]
async fn jwt_13_other_kinds_of_tokens_are_no_access_tokens() {
    let house = House::found().await;
    let server = house.resource(R1).await;
    let agent = house.register("refund-bot").await;
    let token = house.token(&agent, R1).await;
    let body = claims(&token).to_string();
    // Signed by the authority's own key, with the very claims of a token, of another type.
    let ours = std::sync::Arc::clone(&house.authority.keys.load().access_token);
    for typ in [
        "JWT",
        "dpop+jwt",
        "oauth-id-jag+jwt",
        "secevent+jwt",
        "txntoken+jwt",
        "wit+jwt",
        "token-introspection+jwt",
        "logout+jwt",
        "statuslist+jwt",
        "client-authentication+jwt",
        "at",
    ] {
        let other = jws::sign(&ours, typ, body.as_bytes());
        assert!(!house.is_active(&server, &other).await, "{typ}");
    }
    let twin = jws::sign(&ours, "at+jwt", body.as_bytes());
    assert!(house.is_active(&server, &twin).await);
    // Signed by the key of documents, which is ours too but for another purpose (CRY-03).
    let document_key = std::sync::Arc::clone(&house.authority.keys.load().document);
    let crossed = jws::sign(&document_key, "at+jwt", body.as_bytes());
    assert!(!house.is_active(&server, &crossed).await);
    let view = house.get("/v1/agents/refund-bot").await;
    assert!(
        !house
            .is_active(&server, view["signature"].as_str().expect("a JWS"))
            .await
    );
    assert!(!house.is_active(&server, &house.assertion(&agent)).await);
    assert!(!house.is_active(&server, &house.proof(&agent.key, "")).await);
    assert!(
        !house
            .is_active(
                &server,
                &jws::sign_with_jwk(&new_key(), "at+jwt", body.as_bytes())
            )
            .await
    );
    // And the reverse: an access token is neither an assertion nor a proof.
    let crossed = crate::house::token_form(&[("client_assertion", &token), ("resource", R1)]);
    house.send(crossed).await.oauth_error(401, "invalid_client");
    let crossed = house.token_request(&agent, R1, &token);
    house
        .send(crossed)
        .await
        .oauth_error(400, "invalid_dpop_proof");
}

#[tokio::test]
async fn resource_server_asks_with_a_token_of_its_own() {
    let house = House::found().await;
    let server = house.resource(R1).await;
    let agent = house.register("refund-bot").await;
    let token = house.token(&agent, R1).await;
    let mine = house
        .send(house.token_request(&server, ISSUER, ""))
        .await
        .ok();
    let mine = mine["access_token"].as_str().expect("a token");
    let question = |token: &str| {
        ask("POST", "/oauth/introspect")
            .bearer(mine)
            .form(&[("token", token)])
    };
    assert_eq!(house.send(question(&token)).await.ok()["active"], true);
    assert_eq!(
        house.send(question(mine)).await.ok()["active"],
        false,
        "it is not for itself"
    );
    // It opens nothing else.
    house
        .as_login(mine, "GET", "/v1/agents", serde_json::Value::Null)
        .await
        .refused(401, "unauthenticated");
    house
        .send(house.token_request(&server, R1, ""))
        .await
        .oauth_error(400, "invalid_target");
    // And it ends when it is revoked.
    let form = [
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", &house.assertion(&server)),
        ("token", mine),
    ];
    assert_eq!(
        house
            .send(ask("POST", "/oauth/revoke").form(&form))
            .await
            .status,
        200
    );
    house
        .send(question(&token))
        .await
        .oauth_error(401, "invalid_token");
}
