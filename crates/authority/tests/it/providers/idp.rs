//! A real OpenID provider on loopback, which says what the test tells it to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use chancery_model::time::{Clock, Timestamp};
use chancery_wire::jwk::PrivateKey;
use chancery_wire::jws;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};

use crate::house::{TestClock, new_key};

/// What the provider calls us, and the secret that it gave us.
pub(crate) const CLIENT: &str = "chancery-at-corp";
pub(crate) const SECRET: &str = "s3cret/of+ours";

/// A request that reached it.
#[derive(Clone)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) form: HashMap<String, String>,
}

/// What it says, open to change.
pub(crate) struct Says {
    pub(crate) document: Value,
    pub(crate) key: PrivateKey,
    pub(crate) keys: Value,
    /// Changes the claims of the next ID tokens.
    pub(crate) claims: Value,
    pub(crate) typ: String,
    /// Whether it gives refresh tokens.
    pub(crate) offline: bool,
    /// How it answers a refresh, when not as it should.
    pub(crate) refresh: Option<(u16, Value)>,
    pub(crate) user_info: Value,
    pub(crate) is_down: bool,
    /// By code, the nonce that came with the question.
    codes: HashMap<String, String>,
    refreshed: u32,
}

#[derive(Clone)]
pub(crate) struct Idp {
    pub(crate) issuer: String,
    pub(crate) says: Arc<Mutex<Says>>,
    received: Arc<Mutex<Vec<Received>>>,
    clock: Arc<TestClock>,
}

impl Idp {
    pub(crate) async fn start(clock: Arc<TestClock>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let issuer = format!("http://{}", listener.local_addr().expect("an address"));
        let key = new_key();
        let says = Says {
            document: json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "userinfo_endpoint": format!("{issuer}/userinfo"),
                "jwks_uri": format!("{issuer}/keys"),
                "authorization_response_iss_parameter_supported": true,
                "id_token_signing_alg_values_supported": ["RS256", "ES256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
                "scopes_supported": ["openid", "profile", "email", "offline_access"],
            }),
            keys: json!({"keys": [key.public().to_jwk()]}),
            key,
            claims: json!({}),
            typ: "JWT".to_owned(),
            offline: true,
            refresh: None,
            user_info: json!({}),
            is_down: false,
            codes: HashMap::new(),
            refreshed: 0,
        };
        let idp = Self {
            issuer,
            says: Arc::new(Mutex::new(says)),
            received: Arc::default(),
            clock,
        };
        let router = Router::new().fallback(serve).with_state(idp.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        idp
    }

    /// Changes what it says.
    pub(crate) fn say(&self, change: impl FnOnce(&mut Says)) {
        change(&mut self.says.lock().expect("a lock"));
    }

    /// The requests at a path so far.
    pub(crate) fn received(&self, path: &str) -> Vec<Received> {
        let received = self.received.lock().expect("a lock");
        let at_path = received.iter().filter(|received| received.path == path);
        at_path.cloned().collect()
    }

    /// A person agreed to the question at `location`: the code that they come back with.
    pub(crate) fn agree(&self, location: &str) -> String {
        let asked = query_of(location);
        let mut says = self.says.lock().expect("a lock");
        let code = format!("code-{}", says.codes.len());
        let nonce = asked.get("nonce").cloned().unwrap_or_default();
        says.codes.insert(code.clone(), nonce);
        code
    }

    /// A token that it signs.
    pub(crate) fn sign(&self, typ: &str, claims: &Value) -> String {
        let says = self.says.lock().expect("a lock");
        jws::sign(&says.key, typ, claims.to_string().as_bytes())
    }

    /// What makes a logout token; `change` changes it.
    pub(crate) fn logout_token(&self, jti: &str, change: impl FnOnce(&mut Value)) -> String {
        let at = self.now().as_secs();
        let mut claims = json!({
            "iss": self.issuer, "aud": CLIENT, "iat": at, "exp": at + 120, "jti": jti, "sub": "sub-alice",
            "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        change(&mut claims);
        self.sign("logout+jwt", &claims)
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn id_token(&self, says: &Says, nonce: &str) -> String {
        let at = self.now().as_secs();
        let mut claims = json!({
            "iss": self.issuer, "aud": CLIENT, "sub": "sub-alice", "exp": at + 300, "iat": at, "nonce": nonce,
            "auth_time": at, "sid": "session-1", "preferred_username": "alice@example.com",
        });
        for (name, value) in says.claims.as_object().expect("claims") {
            if value.is_null() {
                claims.as_object_mut().expect("claims").remove(name);
            } else {
                claims[name] = value.clone();
            }
        }
        jws::sign(&says.key, &says.typ, claims.to_string().as_bytes())
    }
}

pub(crate) fn query_of(location: &str) -> HashMap<String, String> {
    let url = url::Url::parse(location).unwrap_or_else(|_| panic!("a URL: {location}"));
    url.query_pairs().into_owned().collect()
}

async fn serve(State(idp): State<Idp>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body: Bytes = body.collect().await.expect("a body").to_bytes();
    let path = parts.uri.path().to_owned();
    let form = url::form_urlencoded::parse(&body).into_owned().collect();
    let received = Received {
        path: path.clone(),
        headers: parts.headers,
        form,
    };
    idp.received.lock().expect("a lock").push(received.clone());
    let mut says = idp.says.lock().expect("a lock");
    if says.is_down {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    match path.as_str() {
        "/.well-known/openid-configuration" => axum::Json(says.document.clone()).into_response(),
        "/keys" => axum::Json(says.keys.clone()).into_response(),
        "/userinfo" => {
            let mut said = says.user_info.clone();
            if said.get("sub").is_none() {
                let subject = says.claims.get("sub").cloned();
                said["sub"] = subject.unwrap_or("sub-alice".into());
            }
            axum::Json(said).into_response()
        }
        "/token" => {
            let (status, answer) = exchange(&idp, &mut says, &received);
            let status = StatusCode::from_u16(status).expect("a status");
            (status, axum::Json(answer)).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

fn exchange(idp: &Idp, says: &mut Says, received: &Received) -> (u16, Value) {
    let form = |name: &str| received.form.get(name).cloned().unwrap_or_default();
    if form("grant_type") == "refresh_token" {
        if let Some(answer) = says.refresh.clone() {
            return answer;
        }
        says.refreshed += 1;
        let token = format!("refresh-{}", says.refreshed);
        return (
            200,
            json!({"access_token": "again", "token_type": "Bearer", "refresh_token": token}),
        );
    }
    // A code is good once.
    let Some(nonce) = says.codes.remove(&form("code")) else {
        return (400, json!({"error": "invalid_grant"}));
    };
    let mut answer = json!({
        "access_token": "access", "token_type": "Bearer", "id_token": idp.id_token(says, &nonce),
    });
    if says.offline {
        answer["refresh_token"] = "refresh-0".into();
    }
    (200, answer)
}
