//! `POST /oauth/par`: what a client may ask a person for.

use std::time::Duration;

use chancery_wire::client_assertion::ASSERTION_TYPE;
use serde_json::{Value, json};

use super::flow::{CALLBACK, R1, VERIFIER, furnished, put};
use crate::house::new_key;
use crate::request::ask;

#[tokio::test]
async fn pushed_request_has_a_name_that_cannot_be_guessed_and_is_nobodys_to_keep() {
    let flow = furnished().await;
    let answer = flow.push_with(|_| ()).await;
    assert_eq!(answer.status.as_u16(), 201, "{answer:?}");
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(answer.headers.get("location").is_none());
    let body = answer.json();
    assert_eq!(body["expires_in"], 60);
    let name = body["request_uri"].as_str().expect("a name");
    let random = name
        .strip_prefix("urn:ietf:params:oauth:request_uri:")
        .expect("a prefix");
    assert_eq!(random.len(), 43);
    let event = flow.house.last_event("client.authenticated").await;
    assert_eq!(event["actor"]["id"], flow.agent.id);
    assert_eq!(event["facts"]["endpoint"], "par");
    assert!(!event.to_string().contains(random));
}

#[tokio::test]
async fn authz_02_only_exact_redirect_uris_are_registered() {
    let flow = furnished().await;
    for bad in [
        "https://*.example/cb",
        "https://app.example/*",
        "http://localhost/cb",
        "http://app.example/cb",
    ] {
        flow.set_redirects(&[bad])
            .await
            .refused(400, "invalid_request");
    }
    let view = flow
        .set_redirects(&["http://127.0.0.1/cb", CALLBACK])
        .await
        .ok();
    assert_eq!(
        view["redirect_uris"],
        json!(["http://127.0.0.1/cb", CALLBACK])
    );
    let event = flow.house.last_event("agent.redirects_changed").await;
    assert_eq!(
        event["facts"]["redirect_uris"],
        format!("http://127.0.0.1/cb {CALLBACK}")
    );
    // A loopback address is taken at whatever port the client got, and no other name for it.
    flow.pushed(|form| put(form, "redirect_uri", "http://127.0.0.1:49152/cb"))
        .await;
    for bad in ["http://localhost:49152/cb", "http://127.0.0.1:49152/cb2"] {
        let answer = flow.push_with(|form| put(form, "redirect_uri", bad)).await;
        answer.oauth_error(400, "invalid_request");
    }
}

#[tokio::test]
async fn authz_01_redirect_uri_is_the_registered_text() {
    let flow = furnished().await;
    for bad in [
        "https://app.example/cb/../evil",
        "https://app.example/cb/..;/evil",
        "https://app.example/cb%2f..%2fevil",
        "https://app.example/cb/",
        "https://app.example/cb?x=1",
        "https://app.example/cb#f",
        "https://app.example//cb",
        "https://app.example:443/cb",
        "https://APP.example/cb",
        "https://appXexample/cb",
        "https://app.example.attacker.example/cb",
        "https://attacker.example",
    ] {
        let answer = flow.push_with(|form| put(form, "redirect_uri", bad)).await;
        answer.oauth_error(400, "invalid_request");
        assert!(!answer.text().contains("attacker"), "{answer:?}");
    }
    assert_eq!(flow.refused_because().await, "unregistered_redirect_uri");
    flow.pushed(|_| ()).await;
}

#[tokio::test]
async fn authz_04_only_pkce_by_s256_exists() {
    let flow = furnished().await;
    let plain = |method: &'static str| {
        move |form: &mut super::flow::Pairs| put(form, "code_challenge_method", method)
    };
    flow.push_with(|form| put(form, "code_challenge", ""))
        .await
        .oauth_error(400, "invalid_request");
    flow.push_with(plain("plain"))
        .await
        .oauth_error(400, "invalid_request");
    flow.push_with(plain(""))
        .await
        .oauth_error(400, "invalid_request");
    flow.push_with(plain("s256"))
        .await
        .oauth_error(400, "invalid_request");
    flow.push_with(|form| put(form, "code_challenge", VERIFIER))
        .await
        .oauth_error(400, "invalid_request");
    let metadata = flow
        .house
        .send(ask("GET", "/.well-known/oauth-authorization-server"))
        .await
        .ok();
    assert_eq!(
        metadata["code_challenge_methods_supported"],
        json!(["S256"])
    );
    assert_eq!(
        metadata["pushed_authorization_request_endpoint"],
        "https://id.example/oauth/par"
    );
    assert_eq!(
        metadata["grant_types_supported"],
        json!([
            "authorization_code",
            "refresh_token",
            "client_credentials",
            "urn:ietf:params:oauth:grant-type:device_code",
            "urn:ietf:params:oauth:grant-type:jwt-bearer"
        ])
    );
    flow.pushed(|_| ()).await;
}

#[tokio::test]
async fn authz_10_nothing_is_said_twice_and_no_bare_token_stands_for_parameters() {
    let flow = furnished().await;
    for name in [
        "redirect_uri",
        "scope",
        "code_challenge",
        "client_id",
        "state",
    ] {
        let answer = flow.push_with(|form| {
            let again = form
                .iter()
                .find(|(own, _)| *own == name)
                .map(|(_, value)| value.clone());
            form.push((name, again.unwrap_or_else(|| "agt_x".to_owned())));
        });
        answer.await.oauth_error(400, "invalid_request");
    }
    let twice = flow
        .push_with(|form| form.push(("resource", R1.to_owned())))
        .await;
    twice.oauth_error(400, "invalid_target");
    for (name, value, error) in [
        (
            "request_uri",
            "urn:ietf:params:oauth:request_uri:x",
            "invalid_request",
        ),
        ("request", "a.b.c", "invalid_request_object"),
        (
            "authorization_details",
            "[{\"type\":\"tool_call\"}]",
            "invalid_authorization_details",
        ),
        ("response_mode", "fragment", "invalid_request"),
        ("prompt", "none login", "invalid_request"),
        ("prompt", "select_account", "invalid_request"),
        ("max_age", "-1", "invalid_request"),
        ("dpop_jkt", "x", "invalid_request"),
        ("state", "", "invalid_request"),
    ] {
        let answer = flow.push_with(|form| put(form, name, value)).await;
        answer.oauth_error(400, error);
    }
    flow.pushed(|_| ()).await;
}

#[tokio::test]
async fn authz_12_no_other_response_or_grant_type_exists() {
    let flow = furnished().await;
    for kind in ["token", "id_token", "code token", "CODE"] {
        let answer = flow
            .push_with(|form| put(form, "response_type", kind))
            .await;
        answer.oauth_error(400, "unsupported_response_type");
    }
    for kind in [
        "password",
        "Password",
        "PASSWORD",
        "password ",
        "implicit",
        "Authorization_Code",
    ] {
        let answer = flow
            .redeem_with("x", |form| put(form, "grant_type", kind))
            .await;
        answer.oauth_error(400, "unsupported_grant_type");
    }
    flow.pushed(|_| ()).await;
}

#[tokio::test]
async fn authz_15_scope_is_exact_names_with_one_space_between() {
    let flow = furnished().await;
    let many: Vec<String> = (0..10_000).map(|number| format!("s{number}")).collect();
    for bad in [
        "read\u{a0}",
        "read admin\u{a0}",
        "read,admin",
        "read  admin",
        "*",
        "admin:*",
        "read read",
        &many.join(" "),
    ] {
        let answer = flow.push_with(|form| put(form, "scope", bad)).await;
        let error = answer.json()["error"].clone();
        let is_refused = error == "invalid_scope" || error == "invalid_request";
        assert!(
            is_refused && answer.status.as_u16() == 400,
            "{bad:.40}: {answer:?}"
        );
    }
    flow.push_with(|form| put(form, "scope", "read\tadmin"))
        .await
        .oauth_error(400, "invalid_request");
    flow.pushed(|form| put(form, "scope", "read refunds:write"))
        .await;
}

#[tokio::test]
async fn authz_16_resource_is_one_that_is_registered() {
    let flow = furnished().await;
    for bad in [
        "relative/path",
        "https://r1.example/#frag",
        "http://r1.example",
        "https://unknown.example",
        "https://u@r1.example",
        "https://R1.example",
        "",
    ] {
        let answer = flow.push_with(|form| put(form, "resource", bad)).await;
        answer.oauth_error(400, "invalid_target");
    }
    flow.pushed(|_| ()).await;
}

#[tokio::test]
async fn tok_09_client_proves_who_it_is_and_is_an_agent() {
    let flow = furnished().await;
    let form: Vec<(&str, String)> = flow.request();
    let pairs: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, &**value)).collect();
    let mut named = pairs.clone();
    named.push(("client_id", &flow.agent.id));
    for pairs in [&pairs, &named] {
        let answer = flow.house.send(ask("POST", "/oauth/par").form(pairs)).await;
        answer.oauth_error(401, "invalid_client");
    }
    // TOK-07: an assertion that was used is used at every endpoint.
    let used = flow.house.assertion(&flow.agent);
    let mut with = pairs.clone();
    with.extend([
        ("client_assertion_type", ASSERTION_TYPE),
        ("client_assertion", &used),
    ]);
    let push = ask("POST", "/oauth/par").form(&with);
    assert_eq!(flow.house.send(push.clone()).await.status.as_u16(), 201);
    flow.house
        .send(push)
        .await
        .oauth_error(401, "invalid_client");
    // A resource server has nobody to act for.
    let answer = flow.push_as(&flow.server, &flow.request()).await;
    answer.oauth_error(400, "unauthorized_client");
    // TOK-10: one answer for an agent that may not act.
    flow.house.suspend("refund-bot").await.ok();
    flow.push_with(|_| ())
        .await
        .oauth_error(401, "invalid_client");
}

#[tokio::test]
async fn code_is_bound_to_a_key_before_it_exists() {
    let flow = furnished().await;
    let answer = flow.push_with(|form| put(form, "dpop_jkt", "")).await;
    answer.oauth_error(400, "invalid_dpop_proof");
    // A proof says it as well as a parameter, and both must say the same.
    let nonce = flow.house.nonce(&flow.agent).await;
    let proof = |key| {
        let jti = flow.house.fresh();
        let request = chancery_wire::dpop::Request {
            method: "POST",
            url: "https://id.example/oauth/par",
            jti: &jti,
            now: flow.house.now(),
            nonce: Some(&nonce),
            access_token: None,
        };
        chancery_wire::dpop::proof(key, &request)
    };
    let other = new_key();
    for (jkt, key, status) in [
        ("", &flow.agent.key, 201),
        (flow.agent.key.public().thumbprint(), &flow.agent.key, 201),
        (flow.agent.key.public().thumbprint(), &other, 400),
    ] {
        let mut form = flow.request();
        put(&mut form, "dpop_jkt", jkt);
        form.push(("client_assertion_type", ASSERTION_TYPE.to_owned()));
        form.push(("client_assertion", flow.house.assertion(&flow.agent)));
        let pairs: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, &**value)).collect();
        let push = ask("POST", "/oauth/par")
            .form(&pairs)
            .header("dpop", proof(key));
        let answer = flow.house.send(push).await;
        assert_eq!(answer.status.as_u16(), status, "{answer:?}");
    }
}

#[tokio::test]
async fn client_has_only_so_many_requests_waiting() {
    let flow = furnished().await;
    for _ in 0..100 {
        flow.pushed(|_| ()).await;
    }
    let answer = flow.push_with(|_| ()).await;
    answer.oauth_error(503, "temporarily_unavailable");
    assert_eq!(answer.header("retry-after"), "1");
    // Another client is not concerned, and time makes room.
    let other = flow.house.register("other-bot").await;
    let uris = json!({"redirect_uris": [CALLBACK]});
    let path = "/v1/agents/other-bot/redirect-uris";
    flow.house.admin("PUT", path, uris).await.ok();
    let mut form = flow.request();
    put(&mut form, "dpop_jkt", other.key.public().thumbprint());
    assert_eq!(flow.push_as(&other, &form).await.status.as_u16(), 201);
    flow.house.advance(Duration::from_secs(61)).await;
    flow.pushed(|_| ()).await;
}

#[tokio::test]
async fn redirect_uris_are_for_those_to_set_who_may_update_the_agent() {
    let flow = furnished().await;
    let path = "/v1/agents/refund-bot/redirect-uris";
    let body = json!({"redirect_uris": ["https://attacker.example/cb"]});
    let answer = flow.house.as_login(&flow.login, "PUT", path, body).await;
    answer.refused(403, "access_denied");
    let view = flow.house.get("/v1/agents/refund-bot").await;
    assert_eq!(view["redirect_uris"], json!([CALLBACK]));
    let none = flow.set_redirects(&[]).await.ok();
    assert_eq!(none.get("redirect_uris"), None::<&Value>);
    flow.push_with(|_| ())
        .await
        .oauth_error(400, "invalid_request");
}
