//! Clients of which an attester says which key a running copy has (attestation-based client authentication).

use std::time::Duration;

use chancery_wire::client_attestation::{self, POP_TYP};
use chancery_wire::jwk::PrivateKey;
use chancery_wire::{dpop, jws};
use serde_json::{Value, json};

use crate::consent::device::{Device, GRANT_TYPE};
use crate::consent::flow::{Flow, R1, VERIFIER, field, furnished, landed, pairs_of};
use crate::house::{House, ISSUER, Party, TOKEN_URL, claims, jwks, new_key};
use crate::request::{Answer, Ask, ask};

const FLEET: &str = "https://fleet.example";
const HOUR: Duration = Duration::from_secs(3_600);

/// An attester, and a running copy of an agent for which it vouches.
struct Copy {
    agent: String,
    attester: PrivateKey,
    key: PrivateKey,
}

async fn add_attester(house: &House, name: &str) -> PrivateKey {
    let key = new_key();
    let body = json!({"name": name, "issuer": FLEET, "jwks": jwks(&key)});
    house.admin("POST", "/v1/attesters", body).await.ok();
    key
}

/// An agent that authenticates by this method, and a copy of it.
async fn copy_of(house: &House, name: &str, method: &str) -> Copy {
    let attester = add_attester(house, &format!("fleet-of-{name}")).await;
    let body = json!({
        "document": {"name": name, "owner": "alice@example.com"},
        "authentication": {
            "token_endpoint_auth_method": method,
            "client_attester": format!("fleet-of-{name}"),
        },
    });
    let view = house.admin("POST", "/v1/agents", body).await.ok();
    Copy {
        agent: view["id"].as_str().expect("an id").to_owned(),
        attester,
        key: new_key(),
    }
}

async fn challenge(house: &House) -> String {
    let answer = house.send(ask("POST", "/oauth/challenge")).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!answer.header("dpop-nonce").is_empty(), "{answer:?}");
    let challenge = answer.ok()["attestation_challenge"].clone();
    challenge.as_str().expect("a challenge").to_owned()
}

impl Copy {
    fn attestation(&self, house: &House) -> String {
        let agent: chancery_model::id::ClientId = self.agent.parse().expect("an id");
        let (key, now) = (self.key.public(), house.now());
        client_attestation::attest(agent, FLEET, key, now, HOUR, &self.attester)
    }

    async fn proof(&self, house: &House) -> String {
        let challenge = challenge(house).await;
        client_attestation::proof(
            ISSUER,
            &house.fresh(),
            Some(&challenge),
            house.now(),
            &self.key,
        )
    }

    /// The attestation and its proof, both fresh.
    async fn attested(&self, house: &House, ask: Ask) -> Ask {
        let proof = self.proof(house).await;
        ask.header("oauth-client-attestation", self.attestation(house))
            .header("oauth-client-attestation-pop", proof)
    }
}

fn token_form(more: &[(&str, &str)]) -> Ask {
    let mut form = vec![("grant_type", "client_credentials"), ("resource", R1)];
    form.extend(more);
    ask("POST", "/oauth/token").form(&form)
}

/// The same key once more.
fn again(key: &PrivateKey) -> PrivateKey {
    let bytes = key.to_pkcs8();
    PrivateKey::from_pkcs8(key.public().algorithm(), bytes.expose()).expect("a key")
}

/// A nonce of the token endpoint.
async fn nonce(house: &House) -> String {
    let answer = house.send(ask("POST", "/oauth/challenge")).await;
    answer.header("dpop-nonce").to_owned()
}

async fn refused_because(house: &House) -> String {
    let event = house.last_event("token.refused").await;
    event["outcome"].as_str().expect("a reason").to_owned()
}

#[track_caller]
fn token_of(answer: &Answer) -> String {
    let answer = answer.ok();
    answer["access_token"].as_str().expect("a token").to_owned()
}

#[tokio::test]
async fn running_copy_with_an_attestation_gets_a_token_that_names_it() {
    let house = House::found().await;
    let server = house.resource(R1).await;
    let copy = copy_of(&house, "fleet-bot", "attest_jwt_client_auth").await;
    let dpop_key = new_key();
    let nonce = nonce(&house).await;
    // The key that the token is bound to is another one here.
    let proof = house.proof(&dpop_key, &nonce);
    let ask = copy.attested(&house, token_form(&[])).await;
    let answer = house.send(ask.header("dpop", proof)).await;
    let token = token_of(&answer);
    let says = claims(&token);
    assert_eq!(says["client_id"], copy.agent);
    assert_eq!(says["cnf"], json!({"jkt": dpop_key.public().thumbprint()}));
    let instance = copy.key.public().thumbprint();
    assert_eq!(says["chancery.agent"]["instance"], instance);
    assert!(house.is_active(&server, &token).await);
    let event = house.last_event("token.issued").await;
    assert_eq!(event["facts"]["instance"], instance);
    // In combined mode one proof does both.
    let combined = copy_of(&house, "combined-bot", "attest_jwt_client_auth_dpop").await;
    let proof = house.proof(&combined.key, &nonce);
    let ask = token_form(&[("client_id", &combined.agent)])
        .header("oauth-client-attestation", combined.attestation(&house))
        .header("dpop", proof);
    let says = claims(&token_of(&house.send(ask).await));
    let instance = combined.key.public().thumbprint();
    assert_eq!(says["cnf"], json!({"jkt": instance}));
    assert_eq!(says["chancery.agent"]["instance"], instance);
    let metadata = house.get("/.well-known/oauth-authorization-server").await;
    let endpoint = format!("{ISSUER}/oauth/challenge");
    assert_eq!(metadata["challenge_endpoint"], endpoint);
    for list in [
        "client_attestation_signing_alg_values_supported",
        "client_attestation_pop_signing_alg_values_supported",
    ] {
        assert_eq!(metadata[list], json!(["ES256", "EdDSA", "PS256"]));
    }
}

/// The proof answers a challenge of ours and is used once, here and at every other endpoint.
#[tokio::test]
async fn tok_07_proof_of_an_attestation_is_fresh_and_used_once() {
    let house = House::found().await;
    house.resource(R1).await;
    let copy = copy_of(&house, "fleet-bot", "attest_jwt_client_auth").await;
    let nonce = nonce(&house).await;
    let with = async |proof: &str| {
        let ask = token_form(&[])
            .header("oauth-client-attestation", copy.attestation(&house))
            .header("oauth-client-attestation-pop", proof)
            .header("dpop", house.proof(&copy.key, &nonce));
        house.send(ask).await
    };
    let made = |challenge: Option<&str>, at| {
        client_attestation::proof(ISSUER, &house.fresh(), challenge, at, &copy.key)
    };
    let before = house.events_of("token.refused").await.len();
    let other = &house.authority.nonces.issue(house.now());
    for challenge in [None, Some("nonsense"), Some(&**other)] {
        let answer = with(&made(challenge, house.now())).await;
        answer.oauth_error(400, "use_attestation_challenge");
        // What the answer gives is what the next proof carries.
        let given = answer.header("oauth-client-attestation-challenge");
        assert!(!given.is_empty(), "{answer:?}");
        with(&made(Some(given), house.now())).await.ok();
    }
    // Asking for a challenge is the first step of a client, and no event.
    assert_eq!(house.events_of("token.refused").await.len(), before);
    let challenge = challenge(&house).await;
    let used = made(Some(&challenge), house.now());
    with(&used).await.ok();
    with(&used).await.oauth_error(401, "invalid_client");
    assert_eq!(refused_because(&house).await, "replayed");
    let revoke = ask("POST", "/oauth/revoke")
        .form(&[("token", "x")])
        .header("oauth-client-attestation", copy.attestation(&house))
        .header("oauth-client-attestation-pop", used.as_str());
    house.send(revoke).await.oauth_error(401, "invalid_client");
    let other_node = house.beside(2).await;
    let again = token_form(&[])
        .header("oauth-client-attestation", copy.attestation(&house))
        .header("oauth-client-attestation-pop", used.as_str());
    // Its challenges are its own.
    let answer = other_node.send(again).await;
    answer.oauth_error(400, "use_attestation_challenge");
    let old = made(Some(&challenge), house.now());
    house.advance(Duration::from_secs(70)).await;
    let answer = with(&old).await;
    answer.oauth_error(401, "invalid_client");
    assert_eq!(refused_because(&house).await, "attestation_proof_expired");
    house.advance(Duration::from_secs(300)).await;
    let answer = with(&made(Some(&challenge), house.now())).await;
    answer.oauth_error(400, "use_attestation_challenge");
}

/// A client that is registered for one way never passes by another, and an attester vouches for its own agents alone.
#[tokio::test]
async fn tok_08_attestation_stands_in_for_no_other_method_and_no_other_agent() {
    let house = House::found().await;
    house.resource(R1).await;
    let copy = copy_of(&house, "fleet-bot", "attest_jwt_client_auth").await;
    let combined = copy_of(&house, "combined-bot", "attest_jwt_client_auth_dpop").await;
    let keyed = house.register("keyed-bot").await;
    let nonce = nonce(&house).await;
    let refused = async |ask: Ask, why: &str| {
        house.send(ask).await.oauth_error(401, "invalid_client");
        assert_eq!(refused_because(&house).await, why);
    };
    let proved = |ask: Ask, key| ask.header("dpop", house.proof(key, &nonce));
    // An assertion, signed by the attested key or by the attester's.
    for key in [&copy.key, &copy.attester] {
        let party = Party {
            id: copy.agent.clone(),
            key: again(key),
        };
        let ask = house.token_request(&party, R1, "");
        refused(ask, "another_method_registered").await;
    }
    // Combined mode where it is not registered, and a proof of its own where combined mode is.
    let ask = token_form(&[]).header("oauth-client-attestation", copy.attestation(&house));
    refused(proved(ask, &copy.key), "attestation_proof_missing").await;
    let ask = combined.attested(&house, token_form(&[])).await;
    refused(proved(ask, &combined.key), "another_method_registered").await;
    let ask = token_form(&[]).header("oauth-client-attestation", combined.attestation(&house));
    refused(ask.clone(), "attestation_proof_missing").await;
    // The DPoP proof of another key than the attested one.
    refused(proved(ask, &copy.key), "attestation_key_mismatch").await;
    // An attestation for a client that signs assertions, by an attester that is trusted.
    let stranger = Copy {
        agent: keyed.id.clone(),
        attester: again(&copy.attester),
        key: new_key(),
    };
    let ask = stranger.attested(&house, token_form(&[])).await;
    refused(proved(ask, &stranger.key), "another_method_registered").await;
    // And for an agent of another attester.
    let stranger = Copy {
        agent: copy.agent.clone(),
        attester: again(&combined.attester),
        key: new_key(),
    };
    let ask = stranger.attested(&house, token_form(&[])).await;
    refused(proved(ask, &stranger.key), "attestation_unknown_key").await;
    // Two attestations, two proofs, or something else beside them.
    let good = copy.attested(&house, token_form(&[])).await;
    for (name, value) in [
        ("oauth-client-attestation", copy.attestation(&house)),
        ("oauth-client-attestation-pop", copy.proof(&house).await),
        ("authorization", "Basic YTpi".to_owned()),
    ] {
        let twice = proved(good.clone().header(name, value), &copy.key);
        refused(twice, "several_client_authentications").await;
    }
    let assertion = house.assertion(&keyed);
    let form = token_form(&[
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", &assertion),
    ]);
    let ask = copy.attested(&house, form).await;
    refused(ask, "several_client_authentications").await;
    let form = token_form(&[("client_id", &keyed.id)]);
    refused(copy.attested(&house, form).await, "client_id_mismatch").await;
    let half = token_form(&[]).header("oauth-client-attestation-pop", copy.proof(&house).await);
    refused(half, "no_client_authentication").await;
    // Their legitimate twins.
    let right = copy.attested(&house, token_form(&[])).await;
    house.send(proved(right, &copy.key)).await.ok();
    let right = token_form(&[]).header("oauth-client-attestation", combined.attestation(&house));
    house.send(proved(right, &combined.key)).await.ok();
    house.token(&keyed, R1).await;
}

#[tokio::test]
async fn tok_09_copy_without_its_proof_is_refused_everywhere() {
    let house = House::found().await;
    house.resource(R1).await;
    let copy = copy_of(&house, "fleet-bot", "attest_jwt_client_auth").await;
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", &*copy.agent),
        ("resource", R1),
        ("token", "x"),
    ];
    for path in [
        "/oauth/token",
        "/oauth/par",
        "/oauth/device_authorization",
        "/oauth/introspect",
        "/oauth/revoke",
    ] {
        let bare = ask("POST", path).form(&form);
        let attested = bare
            .clone()
            .header("oauth-client-attestation", copy.attestation(&house));
        // The proof of somebody else, who has seen the attestation.
        let stolen = client_attestation::proof(
            ISSUER,
            &house.fresh(),
            Some(&challenge(&house).await),
            house.now(),
            &new_key(),
        );
        let stolen = attested
            .clone()
            .header("oauth-client-attestation-pop", stolen);
        for ask in [bare, attested, stolen] {
            house.send(ask).await.oauth_error(401, "invalid_client");
        }
    }
    let revoke = ask("POST", "/oauth/revoke").form(&form);
    let revoke = copy.attested(&house, revoke).await;
    assert_eq!(house.send(revoke).await.status, 200);
}

/// A stale attestation is told as such to the copy, and one that its attester never made tells nothing.
#[tokio::test]
async fn attestation_ends_and_so_does_the_attester() {
    let house = House::found().await;
    house.resource(R1).await;
    let copy = copy_of(&house, "fleet-bot", "attest_jwt_client_auth").await;
    let stale = copy.attestation(&house);
    house.advance(Duration::from_secs(3_700)).await;
    let nonce = nonce(&house).await;
    let with = async |attestation: &str| {
        let ask = token_form(&[])
            .header("oauth-client-attestation", attestation)
            .header("oauth-client-attestation-pop", copy.proof(&house).await)
            .header("dpop", house.proof(&copy.key, &nonce));
        house.send(ask).await
    };
    with(&stale).await.oauth_error(400, "use_fresh_attestation");
    assert_eq!(refused_because(&house).await, "attestation_stale");
    let mut forged: Value = claims(&stale);
    forged["exp"] = json!(house.now().as_secs() + 600);
    let header = client_attestation::TYP;
    let forged = jws::sign(&copy.key, header, forged.to_string().as_bytes());
    with(&forged).await.oauth_error(401, "invalid_client");
    let fresh = copy.attestation(&house);
    with(&fresh).await.ok();
    // What proves a key elsewhere proves nothing here.
    let request = dpop::Request {
        method: "POST",
        url: TOKEN_URL,
        jti: &house.fresh(),
        now: house.now(),
        nonce: None,
        access_token: None,
    };
    let as_proof = token_form(&[])
        .header("oauth-client-attestation", fresh.as_str())
        .header(
            "oauth-client-attestation-pop",
            dpop::proof(&copy.key, &request),
        );
    house
        .send(as_proof)
        .await
        .oauth_error(401, "invalid_client");
    let why = refused_because(&house).await;
    assert_eq!(why, "attestation_proof_typ_mismatch", "not {POP_TYP}");
    // An attester is named by those who are registered with it, and is gone at once.
    let listed = house.get("/v1/attesters").await;
    assert_eq!(listed["items"][0]["name"], "fleet-of-fleet-bot");
    let path = "/v1/attesters/fleet-of-fleet-bot";
    house.admin("DELETE", path, Value::Null).await.ok();
    with(&fresh).await.oauth_error(401, "invalid_client");
    assert_eq!(refused_because(&house).await, "unknown_attester");
    house.last_event("attester.removed").await;
    let added = house.last_event("attester.added").await;
    assert_eq!(added["facts"]["issuer"], FLEET);
    house
        .admin("DELETE", path, Value::Null)
        .await
        .refused(404, "not_found");
    let body = json!({
        "token_endpoint_auth_method": "attest_jwt_client_auth",
        "client_attester": "fleet-of-fleet-bot",
    });
    let path = "/v1/agents/fleet-bot/authentication";
    house
        .admin("PUT", path, body)
        .await
        .refused(400, "invalid_request");
}

/// Bob's agent, of which this attester vouches for running copies from now on.
async fn attested_flow() -> (Flow, PrivateKey) {
    let flow = furnished().await;
    let house = &flow.house;
    let attester = add_attester(house, "fleet").await;
    let body = json!({
        "token_endpoint_auth_method": "attest_jwt_client_auth",
        "client_attester": "fleet",
    });
    let path = "/v1/agents/refund-bot/authentication";
    house.admin("PUT", path, body).await.ok();
    (flow, attester)
}

/// A running copy of bob's agent.
fn copy_in(flow: &Flow, attester: &PrivateKey) -> Copy {
    Copy {
        agent: flow.agent.id.clone(),
        attester: again(attester),
        key: new_key(),
    }
}

/// A device code is of use to the running copy that it was given to, and to no other that its attester vouches for.
#[tokio::test]
async fn device_code_is_of_use_to_the_copy_that_it_was_given_to_alone() {
    let (flow, attester) = attested_flow().await;
    let house = &flow.house;
    let (own, other) = (copy_in(&flow, &attester), copy_in(&flow, &attester));
    let nonce = nonce(house).await;
    let waits = async || {
        let wish = flow.wish();
        let asked = ask("POST", "/oauth/device_authorization").form(&pairs_of(&wish));
        let told = house.send(own.attested(house, asked).await).await.ok();
        let text = |name: &str| told[name].as_str().expect("a text").to_owned();
        let device = Device {
            code: text("device_code"),
            shown: text("user_code"),
        };
        flow.answer(&device, "approve").await;
        device
    };
    let collects = async |copy: &Copy, device: &Device| {
        house.advance_unseen(Duration::from_millis(1));
        let pairs = [("grant_type", GRANT_TYPE), ("device_code", &*device.code)];
        let asked = ask("POST", "/oauth/token").form(&pairs);
        // The token's own key is the same each time.
        let proof = house.proof(&flow.agent.key, &nonce);
        let asked = copy.attested(house, asked).await.header("dpop", proof);
        house.send(asked).await
    };
    let device = waits().await;
    let stolen = collects(&other, &device).await;
    stolen.oauth_error(400, "invalid_grant");
    assert_eq!(flow.refused_because().await, "instance_mismatch");
    let device = waits().await;
    let token = token_of(&collects(&own, &device).await);
    let instance = own.key.public().thumbprint();
    assert_eq!(claims(&token)["chancery.agent"]["instance"], instance);
}

/// A refresh token stays with the running copy that it was made for (section 10.3), whatever key its tokens are bound to.
#[tokio::test]
async fn refresh_token_is_of_use_to_the_copy_that_it_was_made_for_alone() {
    let (flow, attester) = attested_flow().await;
    let house = &flow.house;
    let (own, other) = (copy_in(&flow, &attester), copy_in(&flow, &attester));
    let request = flow.request();
    let mut pairs: Vec<(&str, &str)> = vec![("client_id", &flow.agent.id)];
    pairs.extend(request.iter().map(|(name, value)| (*name, &**value)));
    let pushed = own
        .attested(house, ask("POST", "/oauth/par").form(&pairs))
        .await;
    let pushed = house.send(pushed).await;
    assert_eq!(pushed.status.as_u16(), 201, "{pushed:?}");
    let uri = pushed.json()["request_uri"].clone();
    let uri = uri.as_str().expect("a name");
    let page = flow.open(uri).await;
    let form = field(&page, "form");
    let decided = flow.decide(&flow.login, uri, &form, "approve").await;
    let code = landed(&decided)["code"].clone();
    let nonce = nonce(house).await;
    let by = async |copy: &Copy, pairs: &[(&str, &str)]| {
        let ask = ask("POST", "/oauth/token").form(pairs);
        let ask = copy.attested(house, ask).await;
        // The token's own key is the same each time.
        let proof = house.proof(&flow.agent.key, &nonce);
        house.send(ask.header("dpop", proof)).await
    };
    let redeem = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("code_verifier", VERIFIER),
    ];
    let answer = by(&own, &redeem).await.ok();
    let refresh = answer["refresh_token"].as_str().expect("a refresh token");
    let renew = [("grant_type", "refresh_token"), ("refresh_token", refresh)];
    by(&other, &renew).await.oauth_error(400, "invalid_grant");
    assert_eq!(flow.refused_because().await, "instance_mismatch");
    let token = token_of(&by(&own, &renew).await);
    let instance = own.key.public().thumbprint();
    assert_eq!(claims(&token)["chancery.agent"]["instance"], instance);
    assert!(flow.is_active(&token).await);
}
