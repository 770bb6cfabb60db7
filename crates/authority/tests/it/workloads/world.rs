//! An issuer of workloads on loopback, an agent that trusts one of them, and a job with a key of its own.

use std::sync::Arc;
use std::time::Duration;

use chancery_wire::dpop;
use chancery_wire::jwk::PrivateKey;
use chancery_wire::jws;
use serde_json::{Value, json};

use crate::clients::world::{App, LOCAL};
use crate::house::{House, Party, new_key};
use crate::request::{Answer, Ask, ask};

pub(crate) const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
pub(crate) const R1: &str = "https://r1.example";
pub(crate) const SUBJECT: &str = "repo:acme/x:ref:refs/heads/main";

pub(crate) struct Works {
    pub(crate) house: House,
    pub(crate) app: App,
    /// What the issuer signs with.
    pub(crate) signer: PrivateKey,
    pub(crate) agent: Party,
    pub(crate) server: Party,
    /// The key of the job.
    pub(crate) job: PrivateKey,
}

/// All of it, with the issuer named `ci` and a trust of `refund-bot` in its workload.
pub(crate) async fn working() -> Works {
    let works = bare().await;
    works.add_issuer(json!({})).await.ok();
    works.trust(json!({})).await.ok();
    works
}

/// The same without issuer and trust.
pub(crate) async fn bare() -> Works {
    let house = House::found_with(|config| config.issuer = LOCAL.to_owned()).await;
    let agent = house.register("refund-bot").await;
    let server = house.resource(R1).await;
    let app = App::start().await;
    let works = Works {
        house,
        app,
        signer: new_key(),
        agent,
        server,
        job: new_key(),
    };
    works.publish(&[&works.signer]);
    works
}

impl Works {
    /// Another process of the same authority.
    pub(crate) async fn beside(&self, seed: u64) -> House {
        let (database, clock) = (self.house.database.clone(), Arc::clone(&self.house.clock));
        House::open(database, clock, seed, |config| {
            config.issuer = LOCAL.to_owned();
        })
        .await
    }

    /// What the issuer says of itself from now on.
    pub(crate) fn publish(&self, keys: &[&PrivateKey]) {
        let kind = "application/json";
        let document = json!({
            "issuer": self.app.origin,
            "jwks_uri": self.app.url("/jwks"),
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        });
        let path = "/.well-known/openid-configuration";
        self.app.put(path, 200, kind, document.to_string());
        let keys: Vec<Value> = keys.iter().map(|key| key.public().to_jwk()).collect();
        let jwks = json!({"keys": keys}).to_string();
        self.app.put("/jwks", 200, kind, jwks);
    }

    /// Names the issuer, with some members changed.
    pub(crate) async fn add_issuer(&self, changes: Value) -> Answer {
        let mut body = json!({"name": "ci", "issuer": self.app.origin});
        put(&mut body, changes);
        self.house.admin("POST", "/v1/issuers", body).await
    }

    /// Trusts the workload, with some members changed.
    pub(crate) async fn trust(&self, changes: Value) -> Answer {
        let mut body = json!({"issuer": "ci", "subject": SUBJECT});
        put(&mut body, changes);
        let path = "/v1/agents/refund-bot/trusts";
        self.house.admin("POST", path, body).await
    }

    /// What the issuer says of the workload.
    pub(crate) fn claims(&self) -> Value {
        let now = self.house.now().as_secs();
        json!({
            "iss": self.app.origin,
            "sub": SUBJECT,
            "aud": LOCAL,
            "iat": now,
            "nbf": now - 60,
            "exp": now + 300,
            "jti": self.house.fresh(),
            "environment": "prod",
            "repository_owner_id": "1",
            "run_number": 7,
        })
    }

    /// A token of the workload, with some claims changed; `null` leaves one out.
    pub(crate) fn assertion(&self, changes: Value) -> String {
        let mut claims = self.claims();
        put(&mut claims, changes);
        jws::sign(&self.signer, "JWT", claims.to_string().as_bytes())
    }

    fn proof(&self, key: &PrivateKey, nonce: &str) -> String {
        let jti = self.house.fresh();
        let request = dpop::Request {
            method: "POST",
            url: "http://127.0.0.1:7420/oauth/token",
            jti: &jti,
            now: self.house.now(),
            nonce: Some(nonce).filter(|nonce| !nonce.is_empty()),
            access_token: None,
        };
        dpop::proof(key, &request)
    }

    /// A request for a token without a proof.
    pub(crate) fn bare_ask(&self, assertion: &str, changes: &[(&str, &str)]) -> Ask {
        // Two requests are never at the same moment, so that events are in their order.
        self.house.advance_unseen(Duration::from_millis(1));
        let mut form = vec![
            ("grant_type", GRANT_TYPE),
            ("client_id", &*self.agent.id),
            ("assertion", assertion),
            ("resource", R1),
        ];
        for (name, value) in changes {
            form.retain(|(own, _)| own != name);
            form.push((name, value));
        }
        form.retain(|(_, value)| !value.is_empty());
        ask("POST", "/oauth/token").form(&form)
    }

    /// A request for a token that is bound to `key`.
    pub(crate) async fn ask_with(
        &self,
        assertion: &str,
        key: &PrivateKey,
        changes: &[(&str, &str)],
    ) -> Ask {
        self.ask_at(&self.house, assertion, key, changes).await
    }

    /// The same with a nonce of another process.
    pub(crate) async fn ask_at(
        &self,
        house: &House,
        assertion: &str,
        key: &PrivateKey,
        changes: &[(&str, &str)],
    ) -> Ask {
        let first = self.bare_ask(assertion, &[]);
        let first = first.header("dpop", self.proof(key, ""));
        let answer = house.send(first).await;
        answer.oauth_error(400, "use_dpop_nonce");
        let nonce = answer.header("dpop-nonce").to_owned();
        let ask = self.bare_ask(assertion, changes);
        ask.header("dpop", self.proof(key, &nonce))
    }

    pub(crate) async fn present(&self, assertion: &str) -> Answer {
        let ask = self.ask_with(assertion, &self.job, &[]).await;
        self.house.send(ask).await
    }

    /// What comes of a token of the workload with some claims changed.
    pub(crate) async fn get(&self, changes: Value) -> Answer {
        self.present(&self.assertion(changes)).await
    }

    pub(crate) async fn token(&self) -> String {
        let told = self.get(json!({})).await.ok();
        told["access_token"].as_str().expect("a token").to_owned()
    }

    /// Whether the resource server is told that the token is in force.
    pub(crate) async fn is_active(&self, token: &str) -> bool {
        let id: chancery_model::id::ClientId = self.server.id.parse().expect("a client");
        let now = self.house.now();
        let fresh = self.house.fresh();
        let assertion =
            chancery_wire::client_assertion::sign(id, LOCAL, &fresh, now, &self.server.key);
        let form = [
            (
                "client_assertion_type",
                chancery_wire::client_assertion::ASSERTION_TYPE,
            ),
            ("client_assertion", &assertion),
            ("token", token),
        ];
        let question = ask("POST", "/oauth/introspect").form(&form);
        self.house.send(question).await.ok()["active"] == true
    }

    /// The reason that the record has for the last refusal.
    pub(crate) async fn refused_because(&self) -> String {
        let event = self.house.last_event("token.refused").await;
        event["outcome"].as_str().expect("a reason").to_owned()
    }

    /// The agent's trusts.
    pub(crate) async fn trusts(&self) -> Vec<Value> {
        let agent = self.house.get("/v1/agents/refund-bot").await;
        agent["trusts"].as_array().cloned().unwrap_or_default()
    }
}

fn put(value: &mut Value, changes: Value) {
    let members = value.as_object_mut().expect("an object");
    for (name, change) in changes.as_object().expect("an object") {
        match change {
            Value::Null => members.remove(name),
            change => members.insert(name.clone(), change.clone()),
        };
    }
}
