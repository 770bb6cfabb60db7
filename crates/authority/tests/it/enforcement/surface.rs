//! What stands in front of everything: other origins, other names, sizes and shapes of requests.

use std::time::Duration;

use serde_json::{Value, json};

use crate::house::{ADMIN, House, ISSUER};
use crate::request::ask;

#[tokio::test]
async fn mcp_07_pages_of_other_origins_and_other_names_are_refused() {
    let house = House::found().await;
    for path in [
        "/v1/agents",
        "/v1/whoami",
        "/oauth/jwks",
        "/log/checkpoint",
        "/healthz",
        "/access/v1/evaluation",
    ] {
        for origin in [
            "https://evil.example",
            "null",
            "https://id.example.evil.example",
            "http://id.example",
            "https://id.example:8443",
            "HTTPS://ID.EXAMPLE",
            "",
        ] {
            let method = if path.starts_with("/access") {
                "POST"
            } else {
                "GET"
            };
            let request = ask(method, path)
                .bearer(ADMIN)
                .header("origin", origin)
                .json(&json!({}));
            let answer = house.send(request).await;
            answer.refused(403, "access_denied");
            assert!(
                answer
                    .headers
                    .keys()
                    .all(|name| !name.as_str().starts_with("access-control")),
                "{answer:?}"
            );
        }
        for host in [
            "evil.example",
            "id.example.evil.example",
            "127.0.0.1",
            "localhost:7420",
            "id.example:1",
            "",
        ] {
            let request = ask("GET", path)
                .bearer(ADMIN)
                .without("host")
                .header("host", host);
            house.send(request).await.refused(403, "access_denied");
        }
        house
            .send(ask("GET", path).bearer(ADMIN).without("host"))
            .await
            .refused(403, "access_denied");
    }
    let own = ask("GET", "/v1/whoami")
        .bearer(ADMIN)
        .header("origin", ISSUER);
    house.send(own).await.ok();
    let upper = ask("GET", "/v1/whoami")
        .bearer(ADMIN)
        .without("host")
        .header("host", "ID.example");
    house.send(upper).await.ok();
    // A form of a web page has another content type.
    let simple = ask("POST", "/v1/owners")
        .bearer(ADMIN)
        .body("text/plain", r#"{"handle":"carol@example.com"}"#);
    house.send(simple).await.refused(400, "invalid_request");
    assert_eq!(house.send(ask("OPTIONS", "/v1/agents")).await.status, 405);
}

#[tokio::test]
async fn dos_01_deep_wide_and_large_bodies_are_refused_early() {
    let house = House::found().await;
    let hostile: Vec<Vec<u8>> = vec![
        "[".repeat(100_000).into_bytes(),
        format!("{}1{}", "{\"a\":".repeat(40), "}".repeat(40)).into_bytes(),
        format!(
            "{{{}\"z\":1}}",
            (0..100_000)
                .map(|key| format!("\"k{key}\":1,"))
                .collect::<String>()
        )
        .into_bytes(),
        format!("{{\"handle\":\"{}\"}}", "x".repeat(50 << 20)).into_bytes(),
        format!("{{\"handle\":{}}}", "9".repeat(200_000)).into_bytes(),
        format!("{{\"handle\":1e{}}}", "9".repeat(1_000)).into_bytes(),
        vec![0xff; 1_000],
        vec![0; 1_000],
    ];
    for body in &hostile {
        for (path, secret) in [
            ("/v1/owners", ADMIN),
            ("/v1/owners", ""),
            ("/access/v1/evaluation", ADMIN),
            ("/v1/agents", ADMIN),
        ] {
            let started = tokio::time::Instant::now();
            let request = ask("POST", path).body("application/json", body.clone());
            let request = if secret.is_empty() {
                request
            } else {
                request.bearer(secret)
            };
            let answer = house.send(request).await;
            assert!(
                [400, 401, 413].contains(&answer.status.as_u16()),
                "{path}: {answer:?}"
            );
            assert!(answer.bytes.len() < 2_000, "an answer is small");
            assert!(
                started.elapsed() < Duration::from_secs(2),
                "{path}: {:?}",
                started.elapsed()
            );
        }
        for path in ["/oauth/token", "/oauth/introspect", "/oauth/revoke"] {
            let form = [b"grant_type=".as_slice(), body].concat();
            let request = ask("POST", path).body("application/x-www-form-urlencoded", form);
            let answer = house.send(request).await;
            assert!(
                [400, 401, 413].contains(&answer.status.as_u16()),
                "{path}: {answer:?}"
            );
        }
    }
    let many = (0..5_000)
        .map(|name| format!("p{name}=1&"))
        .collect::<String>();
    let request = ask("POST", "/oauth/token").body("application/x-www-form-urlencoded", many);
    assert!(house.send(request).await.status.is_client_error());
    house
        .admin("POST", "/v1/owners", json!({"handle": "carol@example.com"}))
        .await
        .ok();
}

#[tokio::test]
async fn jwt_15_oversized_tokens_are_refused_unread() {
    let house = House::found().await;
    for token in [
        ".".repeat(1 << 20),
        format!("a.{}.b", "A".repeat(900 << 10)),
        "a.".repeat(100_000),
    ] {
        let started = tokio::time::Instant::now();
        house
            .send(ask("GET", "/v1/agents").bearer(&token))
            .await
            .refused(401, "unauthenticated");
        let answer = house
            .send(
                ask("POST", "/oauth/introspect")
                    .bearer(&token)
                    .form(&[("token", "x")]),
            )
            .await;
        assert_eq!(answer.status, 401);
        let form = crate::house::token_form(&[
            ("client_assertion", &token),
            ("resource", "https://r1.example"),
        ]);
        assert!([400, 401, 413].contains(&house.send(form).await.status.as_u16()));
        let proof = ask("POST", "/oauth/token").form(&[]).header("dpop", token);
        assert!(house.send(proof).await.status.is_client_error());
        assert!(started.elapsed() < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn unknown_pages_and_bad_paths_are_refused_without_echo() {
    let house = House::found().await;
    for path in [
        "/canary",
        "/v1/canary",
        "/v1/agents/canary/fly",
        "/v2/agents",
        "/v1//agents",
        "/v1/agents/../owners",
        "/V1/agents",
    ] {
        let answer = house.send(ask("GET", path).bearer(ADMIN)).await;
        assert!(
            [404, 405].contains(&answer.status.as_u16()),
            "{path}: {answer:?}"
        );
        assert!(!answer.text().contains("canary"), "{answer:?}");
    }
    for path in [
        "/v1/agents/refund-bot/versions/canary/accept",
        "/v1/agents/refund-bot/versions/99999999999999999999/accept",
        "/v1/agents/%ff%fecanary",
        "/v1/agents/%00canary",
        "/v1/mcp/%00canary",
        "/v1/receipts/%00canary",
        "/v1/agents?after=%00canary",
        "/v1/policies/%ff",
    ] {
        let method = if path.ends_with("accept") {
            "POST"
        } else if path.contains("policies") {
            "DELETE"
        } else {
            "GET"
        };
        let answer = house.admin(method, path, Value::Null).await;
        assert!(
            answer.status.is_client_error() || answer.status == 200,
            "{path}: {answer:?}"
        );
        assert!(!answer.text().contains("canary"), "{path}: {answer:?}");
        if answer.status != 200 {
            assert_eq!(
                answer.header("content-type"),
                "application/problem+json",
                "{path}: {answer:?}"
            );
        }
    }
}

#[tokio::test]
async fn every_answer_carries_the_fixed_headers() {
    let house = House::found().await;
    for path in [
        "/v1/agents",
        "/oauth/jwks",
        "/healthz",
        "/nothing",
        "/openapi.json",
        "/schemas/agent-identity/1",
    ] {
        let answer = house.send(ask("GET", path)).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        assert!(!answer.header("cache-control").is_empty(), "{path}");
        assert!(
            answer.header("server").is_empty() && answer.header("x-powered-by").is_empty(),
            "{path}"
        );
    }
}

#[tokio::test]
async fn web_06_browsers_come_back_over_tls_alone_where_it_is_ours() {
    const HSTS: &str = "strict-transport-security";
    let house = House::found().await;
    for path in ["/console/", "/v1/agents", "/oauth/jwks", "/nothing"] {
        let answer = house.send(ask("GET", path)).await;
        assert_eq!(answer.header(HSTS), "max-age=31536000", "{path}");
    }
    // It would speak for other programs of this machine too; and behind a proxy the name is the proxy's.
    let here = House::found_with(|config| config.issuer = "https://localhost:7420".to_owned());
    let behind = House::found_with(|config| config.has_tls = false);
    for house in [here.await, behind.await] {
        let answer = house.send(ask("GET", "/healthz")).await;
        assert_eq!(answer.header(HSTS), "");
    }
}
