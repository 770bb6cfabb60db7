//! `POST /oauth/token`: who gets a token, for what, and what the answers carry.

use std::time::Duration;

use chancery_wire::client_assertion::{ASSERTION_TYPE, TYP};
use chancery_wire::jws;
use serde_json::{Value, json};

use crate::house::{House, ISSUER, TOKEN_URL, claims, life, new_key, token_form};
use crate::request::ask;

const R1: &str = "https://r1.example/mcp";

async fn furnished() -> (House, crate::house::Party) {
    let house = House::found().await;
    let agent = house.register("refund-bot").await;
    house.resource(R1).await;
    (house, agent)
}

#[tokio::test]
async fn token_is_for_one_resource_one_key_and_five_minutes() {
    let (house, agent) = furnished().await;
    let answer = house.ask_token(&agent, R1).await.ok();
    assert_eq!(answer["token_type"], "DPoP");
    assert_eq!(answer["expires_in"], 300);
    let claims = claims(answer["access_token"].as_str().expect("a token"));
    assert_eq!(claims["iss"], ISSUER);
    assert_eq!(claims["aud"], R1);
    assert_eq!(claims["sub"], agent.id);
    assert_eq!(claims["client_id"], agent.id);
    assert_eq!(claims["cnf"]["jkt"], agent.key.public().thumbprint());
    assert_eq!(claims["exp"], house.now().as_secs() + 300);
    let view = house.get("/v1/agents/refund-bot").await;
    assert!(
        claims
            .to_string()
            .contains(view["version"].as_str().expect("a digest")),
        "{claims}"
    );
}

/// A client assertion with any of its claims changed; nonsense removes the claim.
fn assertion(house: &House, agent: &crate::house::Party, changes: &[(&str, Value)]) -> String {
    let now = house.now().as_secs();
    let mut claims = json!({
        "iss": agent.id, "sub": agent.id, "aud": ISSUER, "iat": now, "exp": now + 60, "jti": house.fresh(),
    });
    for (name, value) in changes {
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().expect("claims").remove(*name);
        }
    }
    jws::sign(&agent.key, TYP, claims.to_string().as_bytes())
}

#[tokio::test]
async fn tok_07_assertion_is_for_our_issuer_alone_and_used_once() {
    let (house, agent) = furnished().await;
    let nonce = house.nonce(&agent).await;
    let try_with = async |assertion: &str| {
        let proof = house.proof(&agent.key, &nonce);
        let form = [("client_assertion", assertion), ("resource", R1)];
        house.send(token_form(&form).header("dpop", proof)).await
    };
    let now = house.now().as_secs();
    for (name, value) in [
        ("aud", json!(TOKEN_URL)),
        ("aud", json!("https://as.example/oauth/token")),
        ("aud", json!("https://id.example/oauth/par")),
        ("aud", json!([ISSUER, "https://as.example"])),
        ("aud", json!([ISSUER])),
        ("aud", json!("https://id.example/")),
        ("aud", Value::Null),
        ("jti", Value::Null),
        ("exp", Value::Null),
        ("exp", json!((now + 60).to_string())),
        ("exp", json!(now - 60)),
        ("iat", json!(now + 61)),
        ("sub", json!("agt_01hzy0000000000000000000aa")),
        ("iss", json!(ISSUER)),
    ] {
        let answer = try_with(&assertion(&house, &agent, &[(name, value.clone())])).await;
        answer.oauth_error(401, "invalid_client");
        assert!(!answer.text().contains("replay"), "{name} {value}");
    }
    // Its legitimate twin passes, once.
    let right = assertion(&house, &agent, &[]);
    try_with(&right).await.ok();
    try_with(&right).await.oauth_error(401, "invalid_client");
    let refused = house.last_event("token.refused").await;
    assert_eq!(refused["outcome"], "replayed");
    // It proved who it is, so the record names it as who acted.
    assert_eq!(refused["actor"], json!({"id": agent.id, "kind": "agent"}));
    // T1: the same at the other endpoints, where a used assertion is refused as well.
    for path in ["/oauth/introspect", "/oauth/revoke"] {
        let wrong = assertion(&house, &agent, &[("aud", json!(TOKEN_URL))]);
        for (assertion, used) in [(wrong, false), (right.clone(), true)] {
            let form = [
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", &assertion),
                ("token", "x"),
            ];
            let answer = house.send(ask("POST", path).form(&form)).await;
            if used && path == "/oauth/introspect" {
                // An agent may not introspect, whatever it proves itself with.
                answer.oauth_error(400, "unauthorized_client");
            } else {
                answer.oauth_error(401, "invalid_client");
            }
        }
    }
}

#[test]
fn tok_07_assertion_stays_used_after_a_restart_and_at_every_node() {
    let (database, clock, agent, used) = life(async {
        let (house, agent) = furnished().await;
        let nonce = house.nonce(&agent).await;
        let used = house.assertion(&agent);
        let form = [("client_assertion", used.as_str()), ("resource", R1)];
        let right = token_form(&form).header("dpop", house.proof(&agent.key, &nonce));
        house.send(right).await.ok();
        // Another process that shares the database.
        let other = house.beside(2).await;
        let nonce = other.nonce(&agent).await;
        let again = token_form(&form).header("dpop", other.proof(&agent.key, &nonce));
        other.send(again).await.oauth_error(401, "invalid_client");
        (house.database.clone(), house.clock.clone(), agent, used)
    });
    life(async {
        let house = House::open(database, clock, 3, |_| {}).await;
        let nonce = house.nonce(&agent).await;
        let form = [("client_assertion", used.as_str()), ("resource", R1)];
        let again = token_form(&form).header("dpop", house.proof(&agent.key, &nonce));
        house.send(again).await.oauth_error(401, "invalid_client");
        house.token(&agent, R1).await;
    });
}

#[tokio::test]
async fn tok_08_exactly_one_way_to_authenticate() {
    let (house, agent) = furnished().await;
    let other = house.register("other-bot").await;
    let secret = house
        .right_request(&agent, R1)
        .await
        .header("authorization", "Basic YTpi");
    house.send(secret).await.oauth_error(401, "invalid_client");
    let bearer = house.right_request(&agent, R1).await.bearer("something");
    house.send(bearer).await.oauth_error(401, "invalid_client");
    let assertion = house.assertion(&agent);
    for extra in [("client_secret", "s"), ("client_id", other.id.as_str())] {
        let form = token_form(&[("client_assertion", &assertion), ("resource", R1), extra]);
        house.send(form).await.oauth_error(401, "invalid_client");
    }
    let twice = [
        ("client_assertion", assertion.as_str()),
        ("client_assertion", assertion.as_str()),
        ("resource", R1),
    ];
    house
        .send(token_form(&twice))
        .await
        .oauth_error(400, "invalid_request");
    // The client's own id beside its assertion says nothing new.
    let proof = house.proof(&agent.key, &house.nonce(&agent).await);
    let form = token_form(&[
        ("client_assertion", &assertion),
        ("resource", R1),
        ("client_id", &agent.id),
    ]);
    house.send(form.header("dpop", proof)).await.ok();
}

#[tokio::test]
async fn tok_09_client_without_credentials_is_refused_everywhere() {
    let (house, agent) = furnished().await;
    let forms: [&[(&str, &str)]; 4] = [
        &[("client_id", &agent.id)],
        &[("client_id", &agent.id), ("client_secret", "")],
        &[
            ("client_id", &agent.id),
            ("client_assertion_type", "urn:x"),
            ("client_assertion", "x"),
        ],
        &[],
    ];
    for path in ["/oauth/token", "/oauth/introspect", "/oauth/revoke"] {
        for form in forms {
            let mut all = vec![
                ("grant_type", "client_credentials"),
                ("resource", R1),
                ("token", "x"),
            ];
            all.extend(form);
            let answer = house.send(ask("POST", path).form(&all)).await;
            answer.oauth_error(401, "invalid_client");
            assert_eq!(answer.header("www-authenticate"), "Bearer", "{answer:?}");
        }
    }
    house.token(&agent, R1).await;
    // Someone else's key is not this client's.
    let thief = crate::house::Party {
        id: agent.id.clone(),
        key: new_key(),
    };
    house
        .ask_token(&thief, R1)
        .await
        .oauth_error(401, "invalid_client");
    house.token(&agent, R1).await;
}

#[tokio::test]
async fn tok_10_inactive_principals_get_no_token_and_the_same_answer() {
    let (house, agent) = furnished().await;
    house.add_person("bob@example.com").await;
    let bob = house.login("bob@example.com", &["administrator"]).await;
    // A draft: what an administrator registers waits for a second person.
    let draft_key = new_key();
    let document = json!({"name": "draft-bot", "owner": "bob@example.com"});
    let body = json!({"document": document, "jwks": crate::house::jwks(&draft_key)});
    let view = house.as_login(&bob, "POST", "/v1/agents", body).await.ok();
    assert_eq!(view["status"], "draft");
    let draft = crate::house::Party {
        id: view["id"].as_str().expect("an id").to_owned(),
        key: draft_key,
    };
    let retired = house.register("retired-bot").await;
    let path = "/v1/agents/retired-bot/retire";
    house
        .admin("POST", path, json!({"reason": "no longer needed"}))
        .await
        .ok();
    let orphan = house
        .register_document(json!({"name": "orphan-bot", "owner": "carol@example.com"}))
        .await;
    let path = "/v1/owners/carol@example.com/disable";
    house
        .admin("POST", path, json!({"reason": "left"}))
        .await
        .ok();
    let soon = "2027-01-15T08:01:00Z";
    let ended = house
        .register_document(
            json!({"name": "ended-bot", "owner": "alice@example.com", "expires_at": soon}),
        )
        .await;
    let suspended = house.register("suspended-bot").await;
    house.suspend("suspended-bot").await.ok();
    assert!(house.now().as_secs() < 1_800_000_060);
    house.token(&ended, R1).await;
    house.advance(Duration::from_secs(70)).await;
    house.forget_nonce();

    let mut answers = Vec::new();
    for party in [&draft, &retired, &orphan, &ended, &suspended] {
        let answer = house.ask_token(party, R1).await;
        answer.oauth_error(401, "invalid_client");
        answers.push(answer.bytes);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "one answer for every inactive state");
    for refused in house.events_of("token.refused").await {
        let code = refused["outcome"].as_str().expect("a code");
        assert!(
            ["principal_inactive", "unknown_client"].contains(&code),
            "{refused}"
        );
    }
    house.token(&agent, R1).await;
}

#[tokio::test]
async fn tok_11_answers_are_nobodys_to_keep_and_echo_nothing() {
    let (house, agent) = furnished().await;
    const CANARY: &str = "canary\"<script>%0d%0a";
    let success = house.ask_token(&agent, R1).await;
    success.ok();
    assert_eq!(success.header("cache-control"), "no-store");
    assert_eq!(success.header("pragma"), "no-cache");
    let assertion = house.assertion(&agent);
    let refusals = [
        ask("POST", "/oauth/token").form(&[("grant_type", CANARY)]),
        token_form(&[("client_assertion", CANARY), ("resource", R1)]),
        token_form(&[("client_assertion", &assertion), ("resource", CANARY)]),
        token_form(&[
            ("client_assertion", &assertion),
            (CANARY, CANARY),
            (CANARY, CANARY),
        ]),
        token_form(&[("client_assertion", &assertion), ("resource", R1)]).header("dpop", CANARY),
        ask("POST", "/oauth/introspect").form(&[("token", CANARY)]),
        ask("POST", "/oauth/introspect")
            .bearer(CANARY)
            .form(&[("token", CANARY)]),
        ask("POST", "/oauth/revoke").form(&[("token", CANARY)]),
        ask("POST", "/oauth/token").body("text/plain", CANARY),
        ask("POST", "/oauth/token").body("application/x-www-form-urlencoded", "%zz=canary"),
    ];
    for refusal in refusals {
        let answer = house.send(refusal).await;
        assert!(answer.status.is_client_error(), "{answer:?}");
        assert_eq!(answer.header("cache-control"), "no-store", "{answer:?}");
        assert!(answer.json()["error"].is_string(), "{answer:?}");
        assert!(!format!("{answer:?}").contains("canary"), "{answer:?}");
        assert!(answer.headers.get("location").is_none(), "{answer:?}");
    }
}

#[tokio::test]
async fn tok_12_token_is_for_one_registered_resource() {
    let (house, agent) = furnished().await;
    house.resource("https://r2.example").await;
    let nonce = house.nonce(&agent).await;
    let try_with = async |resources: &[&str]| {
        let assertion = house.assertion(&agent);
        let mut form = vec![("client_assertion", assertion.as_str())];
        form.extend(resources.iter().map(|resource| ("resource", *resource)));
        house
            .send(token_form(&form).header("dpop", house.proof(&agent.key, &nonce)))
            .await
    };
    for resources in [
        &[][..],
        &["https://r9.example"],
        &["https://r1.example"],
        &["https://r1.example/mcp/"],
        &["HTTPS://R1.EXAMPLE/mcp"],
        &["https://r1.example/mcp#x"],
        &["https://id.example/mcp/nothing"],
        &["r1"],
        &[""],
        // An agent's token is never for the authority itself.
        &[ISSUER],
    ] {
        try_with(resources).await.oauth_error(400, "invalid_target");
    }
    let both = try_with(&[R1, "https://r2.example"]).await;
    assert!(both.status.is_client_error(), "{both:?}");
    try_with(&[R1]).await.ok();
    let only_one = claims(&house.token(&agent, "https://r2.example").await);
    assert_eq!(only_one["aud"], "https://r2.example");
}

#[tokio::test]
async fn other_grants_and_content_types_are_refused() {
    let (house, agent) = furnished().await;
    let assertion = house.assertion(&agent);
    for grant in [
        "password",
        "Password",
        "authorization_code ",
        "REFRESH_TOKEN",
        "client_credentials ",
        "",
    ] {
        let form = [
            ("grant_type", grant),
            ("client_assertion", &assertion),
            ("resource", R1),
        ];
        let answer = house.send(ask("POST", "/oauth/token").form(&form)).await;
        let error = if grant.is_empty() {
            "invalid_request"
        } else {
            "unsupported_grant_type"
        };
        answer.oauth_error(400, error);
    }
    let json = json!({"grant_type": "client_credentials"});
    house
        .send(ask("POST", "/oauth/token").json(&json))
        .await
        .oauth_error(400, "invalid_request");
}

#[tokio::test]
async fn bearer_token_needs_an_exception_that_has_not_ended() {
    let house = House::found().await;
    let agent = house.register("refund-bot").await;
    house.resource(R1).await;
    let body = json!({"url": "https://legacy.example", "allow_bearer": 60});
    house.admin("POST", "/v1/resources", body).await.ok();
    let bearer = house
        .send(house.token_request(&agent, "https://legacy.example", ""))
        .await
        .ok();
    assert_eq!(bearer["token_type"], "Bearer");
    assert!(claims(bearer["access_token"].as_str().expect("a token"))["cnf"].is_null());
    let refused = house.send(house.token_request(&agent, R1, "")).await;
    refused.oauth_error(400, "invalid_dpop_proof");
    assert!(!refused.header("dpop-nonce").is_empty());
    house.advance(Duration::from_secs(60)).await;
    let ended = house
        .send(house.token_request(&agent, "https://legacy.example", ""))
        .await;
    ended.oauth_error(400, "invalid_dpop_proof");
}

#[tokio::test]
async fn metadata_names_the_endpoints_that_exist() {
    let house = House::found().await;
    for path in [
        "/.well-known/oauth-authorization-server",
        "/.well-known/openid-configuration",
    ] {
        let metadata = house.send(ask("GET", path)).await.ok();
        assert_eq!(metadata["issuer"], ISSUER);
        for name in [
            "token_endpoint",
            "introspection_endpoint",
            "revocation_endpoint",
        ] {
            let url = metadata[name]
                .as_str()
                .expect("a URL")
                .strip_prefix(ISSUER)
                .expect("ours");
            house.send(ask("POST", url).form(&[])).await.oauth_error(
                if name == "token_endpoint" { 400 } else { 401 },
                if name == "token_endpoint" {
                    "invalid_request"
                } else {
                    "invalid_client"
                },
            );
        }
        let jwks = metadata["jwks_uri"]
            .as_str()
            .expect("a URL")
            .strip_prefix(ISSUER)
            .expect("ours");
        assert_eq!(
            house.send(ask("GET", jwks)).await.ok()["keys"]
                .as_array()
                .expect("keys")
                .len(),
            2
        );
        assert!(
            !metadata["dpop_signing_alg_values_supported"]
                .to_string()
                .contains("HS")
        );
    }
}
