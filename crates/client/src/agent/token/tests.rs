use std::sync::atomic::{AtomicU8, Ordering};

use chancery_wire::jwk::Algorithm;
use chancery_wire::jws::Unverified;
use serde_json::{Value, json};

use super::*;
use crate::agent::discovery;
use crate::fake::{Answer, Asked, Fake};

/// Gives other bytes each time, and the same in each run.
#[derive(Default)]
struct Counter(AtomicU8);

impl Entropy for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(self.0.fetch_add(1, Ordering::Relaxed));
    }
}

const TOKEN: &str = r#"{"access_token":"a.b.c","token_type":"DPoP","expires_in":300}"#;

/// An authorization server that wants the nonce `n1` in proofs.
fn server(own: &str, asked: &Asked) -> Answer {
    match asked.target.as_str() {
        "/.well-known/oauth-protected-resource/mcp/desk" => (
            "200 OK",
            "",
            json!({"resource": format!("{own}/mcp/desk"), "authorization_servers": [own]})
                .to_string(),
        ),
        "/.well-known/oauth-authorization-server" => (
            "200 OK",
            "",
            json!({"issuer": own, "token_endpoint": format!("{own}/oauth/token")}).to_string(),
        ),
        _ => match asked
            .header("dpop")
            .map(|proof| claims(proof)["nonce"].clone())
        {
            Some(nonce) if nonce == "n1" => ("200 OK", "dpop-nonce: n2\r\n", TOKEN.to_owned()),
            Some(_) => {
                let body = r#"{"error":"use_dpop_nonce"}"#.to_owned();
                ("400 Bad Request", "dpop-nonce: n1\r\n", body)
            }
            None => {
                let body = r#"{"error":"invalid_dpop_proof","error_description":"none"}"#;
                ("400 Bad Request", "", body.to_owned())
            }
        },
    }
}

fn claims(token: &str) -> Value {
    let unverified = Unverified::parse(token, json::TOKEN).expect("a token");
    unverified.untrusted_claims(json::TOKEN).expect("claims")
}

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::Es256).expect("a key")
}

const ID: &str = "agt_01hzy0000000000000000000aa";

fn wanted<'a>(
    key: &'a PrivateKey,
    resource: &'a str,
    dpop: Option<&'a DpopSession>,
) -> TokenRequest<'a> {
    TokenRequest {
        client_id: ID.parse().expect("an id"),
        key,
        resource,
        scope: Some("desk.call"),
        dpop,
    }
}

#[tokio::test]
async fn a_token_is_found_by_discovery_and_asked_for_again_with_the_nonce() {
    let fake = Fake::start(server).await;
    let transport = Transport::new();
    let (key, dpop) = (key(), DpopSession::new(self::key()));
    let resource = format!("{}/mcp/desk", fake.url);
    let found = discovery::authorization_server_of(&transport, &resource).await;
    let found = found.expect("an authorization server");
    let now = Timestamp::from_secs(1_800_000_000);
    let asked_for = wanted(&key, &resource, Some(&dpop));
    let token = request(&transport, &found, &asked_for, now, &Counter::default()).await;
    let token = token.expect("a token");
    assert_eq!(token.access_token.expose(), "a.b.c");
    assert_eq!(
        (token.token_type.as_str(), token.expires_in),
        ("DPoP", Some(300))
    );
    assert!(!format!("{token:?}").contains("a.b.c"));

    let asked = fake.asked();
    let attempts: Vec<&Asked> = asked
        .iter()
        .filter(|asked| asked.method == "POST")
        .collect();
    assert_eq!(attempts.len(), 2);
    let assertions: Vec<Value> = attempts
        .iter()
        .map(|asked| claims(&asked.form("client_assertion").expect("an assertion")))
        .collect();
    assert_ne!(
        assertions[0]["jti"], assertions[1]["jti"],
        "an assertion is good once"
    );
    assert_eq!(
        assertions[0]["aud"], fake.url,
        "the issuer, alone and as a string"
    );
    assert_eq!(assertions[0]["iss"], ID);
    for attempt in attempts {
        assert_eq!(
            attempt.form("grant_type").as_deref(),
            Some("client_credentials")
        );
        assert_eq!(attempt.form("resource").as_deref(), Some(resource.as_str()));
        assert_eq!(attempt.form("scope").as_deref(), Some("desk.call"));
        let proof = claims(attempt.header("dpop").expect("a proof"));
        assert_eq!(proof["htu"], format!("{}/oauth/token", fake.url));
    }
    // The answer brought a new nonce, which the next proof carries; a proof for the resource does not.
    let endpoint = Url::parse(&found.token_endpoint).expect("a URL");
    let entropy = Counter::default();
    let next = dpop.proof("POST", &endpoint, None, now, &entropy);
    assert_eq!(claims(&next)["nonce"], "n2");
    let at_resource = Url::parse(&resource).expect("a URL");
    let headers = dpop.headers("POST", &at_resource, "a.b.c", now, &entropy);
    let proof = headers["dpop"].to_str().expect("text");
    assert_eq!(claims(proof).get("nonce"), None);
    assert!(claims(proof)["ath"].is_string());
    assert_eq!(headers["authorization"], "DPoP a.b.c");
}

#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_the_standard_and_not_repeated() {
    let fake = Fake::start(server).await;
    let transport = Transport::new();
    let key = key();
    let found = discovery::authorization_server(&transport, &fake.url)
        .await
        .expect("found");
    let asked_for = wanted(&key, &fake.url, None);
    let now = Timestamp::from_secs(1_800_000_000);
    let refused = request(&transport, &found, &asked_for, now, &Counter::default()).await;
    let error = refused.expect_err("no proof");
    assert!(
        matches!(&error, AgentError::Refused { error, status: 400, .. } if error == "invalid_dpop_proof"),
        "{error:?}"
    );
    assert_eq!(fake.asked().len(), 2);
}

#[tokio::test]
async fn metadata_of_another_issuer_is_not_used() {
    let fake = Fake::start(|_, _| {
        let body = json!({"issuer": "https://evil.example", "token_endpoint": "https://evil.example/token"});
        ("200 OK", "", body.to_string())
    })
    .await;
    let found = discovery::authorization_server(&Transport::new(), &fake.url).await;
    assert!(
        matches!(found, Err(AgentError::Metadata { .. })),
        "{found:?}"
    );
}
