//! Proofs of possession at the token endpoint.

use std::time::Duration;

use chancery_model::secret::Secret;
use chancery_wire::nonce::NonceKey;
use chancery_wire::{dpop, jws};
use serde_json::{Value, json};

use crate::house::{House, Party, TOKEN_URL, claims, new_key};

const R1: &str = "https://r1.example";

async fn furnished() -> (House, Party) {
    let house = House::found().await;
    let agent = house.register("refund-bot").await;
    house.resource(R1).await;
    (house, agent)
}

#[tokio::test]
async fn dpop_02_token_is_bound_to_the_key_that_signed_the_proof() {
    let (house, agent) = furnished().await;
    let nonce = house.nonce(&agent).await;
    let proof_key = new_key();
    let request = house.token_request(&agent, R1, &house.proof(&proof_key, &nonce));
    let answer = house.send(request).await.ok();
    let bound = claims(answer["access_token"].as_str().expect("a token"))["cnf"]["jkt"].clone();
    assert_eq!(bound, proof_key.public().thumbprint());
    assert_ne!(bound, agent.key.public().thumbprint());
    // The header's key is another than the one that signed.
    let good = house.proof(&proof_key, &nonce);
    let other = house.proof(&agent.key, &nonce);
    let (header, _) = other.split_once('.').expect("a header");
    let (_, rest) = good.split_once('.').expect("a header");
    let forged = house.token_request(&agent, R1, &format!("{header}.{rest}"));
    house
        .send(forged)
        .await
        .oauth_error(400, "invalid_dpop_proof");
}

#[tokio::test]
async fn dpop_03_proof_is_used_once() {
    let (house, agent) = furnished().await;
    let other = house.beside(2).await;
    let nonce = house.nonce(&agent).await;
    let proof = house.proof(&agent.key, &nonce);
    house
        .send(house.token_request(&agent, R1, &proof))
        .await
        .ok();
    // A fresh assertion does not make an old proof new, here or at another node.
    let again = house.send(house.token_request(&agent, R1, &proof)).await;
    assert!(again.status.is_client_error(), "{again:?}");
    let elsewhere = other.send(other.token_request(&agent, R1, &proof)).await;
    assert!(elsewhere.status.is_client_error(), "{elsewhere:?}");
    assert_eq!(
        house.last_event("token.refused").await["outcome"],
        "replayed"
    );
    house.token(&agent, R1).await;
}

/// A proof with any of its claims changed; null removes the claim.
fn changed(house: &House, agent: &Party, nonce: &str, changes: &[(&str, Value)]) -> String {
    let mut claims = json!({
        "jti": house.fresh(), "htm": "POST", "htu": TOKEN_URL, "iat": house.now().as_secs(), "nonce": nonce,
    });
    for (name, value) in changes {
        claims[name] = value.clone();
        if value.is_null() {
            claims.as_object_mut().expect("claims").remove(*name);
        }
    }
    jws::sign_with_jwk(&agent.key, dpop::TYP, claims.to_string().as_bytes())
}

#[tokio::test]
async fn dpop_04_proof_is_for_this_method_and_this_url() {
    let (house, agent) = furnished().await;
    let nonce = house.nonce(&agent).await;
    for (name, value) in [
        ("htm", json!("GET")),
        ("htm", json!("post")),
        ("htu", json!("https://evil.example/oauth/token")),
        ("htu", json!("https://id.example/oauth/introspect")),
        ("htu", json!("https://id.example:8443/oauth/token")),
        ("htu", json!("http://id.example/oauth/token")),
        ("htu", json!("https://id.example/oauth%2Ftoken")),
        ("htu", json!("https://id.example/oauth/token/")),
        ("htu", json!("https://u@id.example/oauth/token")),
        ("htu", Value::Null),
        ("jti", Value::Null),
        ("iat", json!(house.now().as_secs() - 61)),
        ("iat", json!(house.now().as_secs() + 120)),
    ] {
        let proof = changed(&house, &agent, &nonce, &[(name, value.clone())]);
        // What a proxy could be told by anybody decides nothing.
        let request = house.token_request(&agent, R1, &proof);
        let request = request.header("x-forwarded-host", "evil.example");
        let answer = house.send(request).await;
        answer.oauth_error(400, "invalid_dpop_proof");
        assert!(!answer.header("dpop-nonce").is_empty(), "{name} {value}");
    }
    // T2: letter case of the host, the default port, query and fragment do not count.
    for same in [
        "HTTPS://ID.EXAMPLE:443/oauth/token",
        "https://id.example/oauth/token?a=1#b",
    ] {
        let proof = changed(&house, &agent, &nonce, &[("htu", json!(same))]);
        house
            .send(house.token_request(&agent, R1, &proof))
            .await
            .ok();
    }
    let two = house
        .right_request(&agent, R1)
        .await
        .header("dpop", house.proof(&agent.key, &nonce));
    house.send(two).await.oauth_error(400, "invalid_dpop_proof");
}

#[tokio::test]
async fn dpop_06_nonce_is_ours_and_fresh() {
    let (house, agent) = furnished().await;
    let nonce = house.nonce(&agent).await;
    let foreign = NonceKey::new(&Secret::new([9; 32]), "token endpoint").issue(house.now());
    let mut bent = nonce.clone();
    bent.replace_range(..1, if nonce.starts_with('A') { "B" } else { "A" });
    for bad in ["", &foreign, &bent, "x"] {
        let answer = house
            .send(house.token_request(&agent, R1, &house.proof(&agent.key, bad)))
            .await;
        answer.oauth_error(400, "use_dpop_nonce");
        assert!(!answer.header("dpop-nonce").is_empty());
    }
    // Asking for a nonce is the first step of every client, and no offence that is recorded.
    assert!(house.events_of("token.refused").await.is_empty());
    // A success brings the next one along.
    let answer = house
        .send(house.token_request(&agent, R1, &house.proof(&agent.key, &nonce)))
        .await;
    answer.ok();
    assert!(!answer.header("dpop-nonce").is_empty());
    house.advance(Duration::from_secs(62)).await;
    let late = house
        .send(house.token_request(&agent, R1, &house.proof(&agent.key, &nonce)))
        .await;
    late.oauth_error(400, "use_dpop_nonce");
    let fresh = late.header("dpop-nonce").to_owned();
    assert_ne!(fresh, nonce);
    house
        .send(house.token_request(&agent, R1, &house.proof(&agent.key, &fresh)))
        .await
        .ok();
}
