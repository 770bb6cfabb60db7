//! Whoever speaks to the program: an administrator, an agent, a resource server.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chancery_model::id::ClientId;
use chancery_model::time::Timestamp;
use chancery_wire::client_assertion::{self, ASSERTION_TYPE};
use chancery_wire::dpop;
use chancery_wire::jwk::{Algorithm, PrivateKey};
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::program::{ISSUER, Program, START};

/// The resource that tokens are for.
pub(crate) const RESOURCE: &str = "https://r1.example";

/// The machine's time.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    Timestamp::from_micros(i64::try_from(since.as_micros()).expect("a time"))
}

/// A client that authenticates with a key of its own.
pub(crate) struct Party {
    pub(crate) id: ClientId,
    key: PrivateKey,
    serial: AtomicU64,
}

impl Party {
    fn fresh(&self) -> String {
        format!("{:032}", self.serial.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn assertion(&self) -> String {
        self.assertion_of(now())
    }

    /// An assertion that was made at another time.
    pub(crate) fn assertion_of(&self, at: Timestamp) -> String {
        client_assertion::sign(self.id, ISSUER, &self.fresh(), at, &self.key)
    }

    pub(crate) fn proof(&self, nonce: &str) -> String {
        let (jti, url) = (self.fresh(), format!("{ISSUER}/oauth/token"));
        let request = dpop::Request {
            method: "POST",
            url: &url,
            jti: &jti,
            now: now(),
            nonce: Some(nonce).filter(|nonce| !nonce.is_empty()),
            access_token: None,
        };
        dpop::proof(&self.key, &request)
    }
}

/// A connection to the program, with the secret of its local administrator.
#[derive(Clone)]
pub(crate) struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    secret: String,
}

/// An answer that arrived whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) nonce: String,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("JSON: {self:?}"))
    }

    pub(crate) fn is_ok(&self) -> bool {
        self.status == 200
    }
}

impl Caller {
    /// Speaks to the program with the credential of its data folder.
    pub(crate) fn new(program: &Program, data: &Path) -> Self {
        let secret = std::fs::read_to_string(data.join("admin.token"));
        let secret = secret.expect("the local credential");
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            url: program.url.clone(),
            secret: secret.trim().to_owned(),
        }
    }

    /// Sends a request; `None` when no whole answer came, so nothing was acknowledged.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Option<Answer> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(Bytes::from(body)))
            .expect("a request");
        let response = self.client.request(request).await.ok()?;
        let (parts, body) = response.into_parts();
        let nonce = parts.headers.get("dpop-nonce");
        let nonce = nonce.and_then(|nonce| nonce.to_str().ok());
        Some(Answer {
            status: parts.status.as_u16(),
            nonce: nonce.unwrap_or_default().to_owned(),
            body: body.collect().await.ok()?.to_bytes(),
        })
    }

    pub(crate) async fn admin(&self, method: &str, path: &str, body: Value) -> Option<Answer> {
        let bearer = format!("Bearer {}", self.secret);
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "application/json"),
        ];
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(method, path, &headers, body).await
    }

    /// What must be answered, because nobody kills the program now.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> Answer {
        self.admin(method, path, body).await.expect("an answer")
    }

    /// What must succeed.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, Value::Null).await;
        assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
        answer.json()
    }

    /// Adds a person; the status says whether it was acknowledged.
    pub(crate) async fn add_owner(&self, handle: &str) -> Option<Answer> {
        let body = json!({"handle": handle});
        self.admin("POST", "/v1/owners", body).await
    }

    /// An active agent of alice's.
    pub(crate) async fn register(&self, name: &str) -> Party {
        let key = PrivateKey::generate(Algorithm::Es256).expect("a key");
        let jwks = json!({"keys": [key.public().to_jwk()]});
        let document = json!({"name": name, "owner": "alice@example.com"});
        let body = json!({"document": document, "jwks": jwks});
        self.party("/v1/agents", body, key).await
    }

    /// The resource server that tokens are for.
    pub(crate) async fn resource(&self) -> Party {
        let key = PrivateKey::generate(Algorithm::Es256).expect("a key");
        let jwks = json!({"keys": [key.public().to_jwk()]});
        let body = json!({"url": RESOURCE, "jwks": jwks});
        self.party("/v1/resources", body, key).await
    }

    async fn party(&self, path: &str, body: Value, key: PrivateKey) -> Party {
        let answer = self.ask("POST", path, body).await;
        assert!(answer.is_ok(), "{answer:?}");
        let view = answer.json();
        Party {
            id: view["id"].as_str().expect("an id").parse().expect("an id"),
            key,
            serial: AtomicU64::new(0),
        }
    }

    /// Asks for a token with this assertion and this proof.
    pub(crate) async fn token(&self, assertion: &str, proof: &str) -> Option<Answer> {
        let headers = [FORM, ("dpop", proof)];
        let form = token_form(assertion, RESOURCE);
        self.send("POST", "/oauth/token", &headers, form).await
    }

    /// A token of the agent's, got in the ordinary way.
    pub(crate) async fn fresh_token(&self, agent: &Party) -> Answer {
        let bare = self.token(&agent.assertion(), &agent.proof("")).await;
        let nonce = bare.expect("an answer").nonce;
        let answer = self.token(&agent.assertion(), &agent.proof(&nonce)).await;
        answer.expect("an answer")
    }

    /// The resource server's own token for questions, which needs no signature and no record each time.
    pub(crate) async fn questions_of(&self, server: &Party) -> String {
        let form = token_form(&server.assertion(), ISSUER);
        let answer = self.send("POST", "/oauth/token", &[FORM], form).await;
        access_token(&answer.expect("an answer"))
    }

    /// Asks about a token with the credential of [`Caller::questions_of`].
    pub(crate) async fn introspect(&self, questions: &str, token: &str) -> Answer {
        let bearer = format!("Bearer {questions}");
        let headers = [FORM, ("authorization", bearer.as_str())];
        let form = format!("token={token}");
        let answer = self.send("POST", "/oauth/introspect", &headers, form).await;
        answer.expect("an answer")
    }

    /// The handles of all persons.
    pub(crate) async fn owners(&self) -> BTreeSet<String> {
        let mut handles = BTreeSet::new();
        let mut path = "/v1/owners?limit=500".to_owned();
        loop {
            let page = self.get(&path).await;
            let items = page["items"].as_array().expect("a list").iter();
            handles.extend(items.map(|owner| owner["handle"].as_str().expect("text").to_owned()));
            let Some(next) = page["next"].as_str() else {
                return handles;
            };
            path = format!("/v1/owners?limit=500&after={next}");
        }
    }

    /// Waits until all that is durable is sealed.
    pub(crate) async fn sealed(&self) {
        let started = Instant::now();
        while self.get("/v1/log").await["pending"] != 0 {
            assert!(started.elapsed() < START, "the log is not sealed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn token_form(assertion: &str, resource: &str) -> String {
    format!(
        "grant_type=client_credentials&client_assertion_type={}&client_assertion={assertion}&resource={}",
        ASSERTION_TYPE.replace(':', "%3A"),
        resource.replace(':', "%3A").replace('/', "%2F"),
    )
}

/// The token of an answer that must have one.
pub(crate) fn access_token(answer: &Answer) -> String {
    assert!(answer.is_ok(), "{answer:?}");
    let answer = answer.json();
    answer["access_token"].as_str().expect("a token").to_owned()
}

/// The claims of a token, unverified.
pub(crate) fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).expect("claims");
    let claims = chancery_wire::base64url::decode(claims).expect("base64url");
    serde_json::from_slice(&claims).expect("JSON")
}
