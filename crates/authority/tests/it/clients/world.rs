//! A person, an MCP server, and an application that says who it is at a URL of its own on loopback.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use chancery_wire::pkce::{Challenge, Verifier};
use serde_json::{Value, json};
use url::Url;

use crate::house::{ADMIN, House};
use crate::request::{Answer, Ask, ask};
use crate::upstream::{Upstream, add};

/// The issuer of the tests that fetch: on loopback, so that clients may be there too.
pub(crate) const LOCAL: &str = "http://127.0.0.1:7420";
pub(crate) const VERIFIER: &str = "a-verifier-of-more-than-forty-three-characters-0123";
pub(crate) const REDIRECT: &str = "http://127.0.0.1:8976/cb";

/// A status, a media type (of a redirect, where to) and a body.
type Served = (u16, String, String);
/// The hidden fields of a page.
pub(crate) type Hidden = Vec<(String, String)>;
/// The tools of a page, each with its field and whether it is ticked.
pub(crate) type Tools = HashMap<String, (String, bool)>;

/// What an application answers at a path, and how often it was asked at all.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) origin: String,
    answers: Arc<Mutex<HashMap<String, Served>>>,
    asked: Arc<AtomicUsize>,
    gate: Arc<tokio::sync::RwLock<()>>,
}

impl App {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let app = Self {
            origin: format!("http://{}", listener.local_addr().expect("an address")),
            answers: Arc::default(),
            asked: Arc::default(),
            gate: Arc::default(),
        };
        let router = Router::new().fallback(serve).with_state(app.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        app
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// What is at a path from now on: a status, a media type (of a redirect, where to) and a body.
    pub(crate) fn put(&self, path: &str, status: u16, kind: &str, body: impl Into<String>) {
        let answer = (status, kind.to_owned(), body.into());
        self.answers
            .lock()
            .expect("a lock")
            .insert(path.to_owned(), answer);
    }

    /// A good document at a path; the URL is the client's name.
    pub(crate) fn put_client(&self, path: &str, change: impl FnOnce(&mut Value)) -> String {
        let url = self.url(path);
        let mut document = json!({
            "client_id": url, "client_name": "An Editor", "redirect_uris": [REDIRECT],
            "token_endpoint_auth_method": "none", "application_type": "native",
        });
        change(&mut document);
        self.put(path, 200, "application/json", document.to_string());
        url
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// Nobody who asks is answered before this is dropped.
    pub(crate) async fn hold(&self) -> tokio::sync::OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.gate).write_owned().await
    }
}

async fn serve(State(app): State<App>, request: axum::extract::Request) -> Response {
    app.asked.fetch_add(1, Ordering::SeqCst);
    let _held = app.gate.read().await;
    let found = app
        .answers
        .lock()
        .expect("a lock")
        .get(request.uri().path())
        .cloned();
    let Some((status, kind, body)) = found else {
        return Response::builder()
            .status(404)
            .body(Body::empty())
            .expect("a response");
    };
    if kind == "slow" {
        tokio::time::sleep(std::time::Duration::from_secs(30)).await;
    }
    let name = if (300..400).contains(&status) {
        "location"
    } else {
        "content-type"
    };
    let response = Response::builder().status(status).header(name, kind);
    response.body(Body::from(body)).expect("a response")
}

/// What the tests of clients begin with.
pub(crate) struct World {
    pub(crate) house: Arc<House>,
    pub(crate) app: App,
    pub(crate) client: String,
    /// A login of alice, who may look and change nothing.
    pub(crate) alice: String,
    pub(crate) resource: String,
}

impl World {
    /// An MCP server that takes bearer tokens by an exception.
    pub(crate) async fn new() -> Self {
        Self::with(json!({"allow_bearer": 86_400})).await
    }

    pub(crate) async fn with(settings: Value) -> Self {
        let house = House::found_with(|config| {
            config.issuer = LOCAL.to_owned();
            config.hosts.push("localhost:7420".to_owned());
        })
        .await;
        let mut sub = add();
        sub["name"] = json!("sub");
        let upstream = Upstream::start(vec![add(), sub]).await;
        let mut server = upstream.as_server("desk");
        for (name, value) in settings.as_object().expect("settings") {
            server[name] = value.clone();
        }
        house.admin("POST", "/v1/mcp", server).await.ok();
        house.add_person("alice@example.com").await;
        let alice = house.login("alice@example.com", &["auditor"]).await;
        let app = App::start().await;
        let client = app.put_client("/client.json", |_| {});
        Self {
            resource: format!("{LOCAL}/mcp/desk"),
            house: Arc::new(house),
            app,
            client,
            alice,
        }
    }

    /// The request of a client, with some parameters changed; an empty value leaves one out.
    pub(crate) fn query(&self, client: &str, changes: &[(&str, &str)]) -> String {
        let challenge = challenge();
        let mut parameters = vec![
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", REDIRECT),
            ("state", "a state & more"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
            ("resource", &self.resource),
        ];
        for (name, value) in changes {
            parameters.retain(|(own, _)| own != name);
            if !value.is_empty() {
                parameters.push((name, value));
            }
        }
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(parameters);
        query.finish()
    }

    pub(crate) async fn authorize(&self, login: &str, query: &str) -> Answer {
        self.house.send(authorize(query).bearer(login)).await
    }

    /// Opens the page and answers it.
    pub(crate) async fn consent(&self, login: &str, query: &str, tools: &[&str]) -> Answer {
        let page = self.authorize(login, query).await;
        assert_eq!(page.status, 200, "{page:?}");
        self.house.send(approve(&page, tools).bearer(login)).await
    }

    /// The agent that the client became, put into force by the local administrator.
    pub(crate) async fn adopt(&self, login: &str, client: &str, tools: &[&str]) -> String {
        let waits = self.consent(login, &self.query(client, &[]), tools).await;
        assert_eq!(waits.status, 200, "{waits:?}");
        assert!(waits.text().contains("A second person"), "{waits:?}");
        let registered = self.house.last_event("agent.registered").await;
        let id = registered["agent"]["id"]
            .as_str()
            .expect("an id")
            .to_owned();
        self.house.activate(ADMIN, &id).await.ok();
        id
    }

    /// A code for a client that is adopted already.
    pub(crate) async fn code(&self, login: &str, query: &str, tools: &[&str]) -> String {
        code_in(&self.consent(login, query, tools).await)
    }

    pub(crate) fn redeem(&self, client: &str, code: &str) -> Ask {
        ask("POST", "/oauth/token").form(&[
            ("grant_type", "authorization_code"),
            ("client_id", client),
            ("code", code),
            ("redirect_uri", REDIRECT),
            ("code_verifier", VERIFIER),
            ("resource", &self.resource),
        ])
    }

    pub(crate) fn refresh(&self, client: &str, token: &str) -> Ask {
        ask("POST", "/oauth/token").form(&[
            ("grant_type", "refresh_token"),
            ("client_id", client),
            ("refresh_token", token),
            ("resource", &self.resource),
        ])
    }

    /// A client that is adopted, with its first tokens.
    pub(crate) async fn signed_in(&self) -> (String, Value) {
        let agent = self.adopt(&self.alice, &self.client, &["add"]).await;
        let query = self.query(&self.client, &[]);
        let code = self.code(&self.alice, &query, &["add"]).await;
        let tokens = self.house.send(self.redeem(&self.client, &code)).await.ok();
        (agent, tokens)
    }

    /// Whether the gateway lets a token pass now.
    pub(crate) fn passes(&self, token: &str) -> bool {
        use chancery_wire::access_token::{self, Expect};
        let snapshot = self.house.authority.current.load();
        let expect = Expect {
            issuer: &snapshot.issuer,
            audience: Some(&self.resource),
            now: self.house.now(),
        };
        let verified = access_token::verify(token, &snapshot.token_keys, &expect);
        verified.is_ok_and(|token| snapshot.admit(&token, self.house.now()).is_ok())
    }
}

pub(crate) fn challenge() -> String {
    Challenge::of(&Verifier::parse(VERIFIER).expect("a verifier"))
        .as_str()
        .to_owned()
}

pub(crate) fn authorize(query: &str) -> Ask {
    ask("GET", &format!("/oauth/authorize?{query}"))
}

/// The hidden fields of a page, and its tools with their fields.
pub(crate) fn fields(page: &Answer) -> (Hidden, Tools) {
    let text = page.text();
    let value_of = |tag: &str, name: &str| {
        let rest = tag
            .split_once(&format!(" {name}=\""))
            .map(|(_, rest)| rest)?;
        let value = rest.split('"').next()?;
        Some(
            value
                .replace("&quot;", "\"")
                .replace("&#39;", "'")
                .replace("&amp;", "&"),
        )
    };
    let mut hidden = Vec::new();
    let mut tools = HashMap::new();
    for piece in text.split("<input ").skip(1) {
        let piece = format!(" {piece}");
        let (name, value) = (value_of(&piece, "name"), value_of(&piece, "value"));
        let (name, value) = (name.expect("a name"), value.expect("a value"));
        if piece.contains("type=\"hidden\"") {
            hidden.push((name, value));
        } else {
            let label = piece
                .split("<bdi>")
                .nth(1)
                .and_then(|rest| rest.split('<').next());
            let is_checked = piece
                .split('>')
                .next()
                .is_some_and(|tag| tag.contains("checked"));
            tools.insert(label.expect("a label").to_owned(), (name, is_checked));
        }
    }
    (hidden, tools)
}

/// The answer of a person who agrees to these tools.
pub(crate) fn approve(page: &Answer, tools: &[&str]) -> Ask {
    answer(page, tools, "approve")
}

pub(crate) fn answer(page: &Answer, tools: &[&str], choice: &str) -> Ask {
    let (hidden, known) = fields(page);
    let mut pairs: Vec<(&str, &str)> = hidden
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    pairs.extend(tools.iter().map(|tool| (&*known[*tool].0, "on")));
    pairs.push(("answer", choice));
    ask("POST", "/oauth/authorize/adopt").form(&pairs)
}

/// What a client is told at its redirect URI.
pub(crate) fn told(answer: &Answer) -> HashMap<String, String> {
    assert_eq!(answer.status, 303, "{answer:?}");
    told_at(answer.header("location"))
}

/// The same where the person decided nothing: they are sent nowhere, and may go back by themselves.
pub(crate) fn offered(answer: &Answer) -> HashMap<String, String> {
    assert_eq!(answer.status, 400, "{answer:?}");
    assert!(answer.headers.get("location").is_none(), "{answer:?}");
    let page = answer.text();
    let link = page.split("rel=\"noreferrer\" href=\"").nth(1);
    let link = link.and_then(|rest| rest.split('"').next());
    told_at(&link.expect("a link").replace("&amp;", "&"))
}

fn told_at(location: &str) -> HashMap<String, String> {
    assert!(location.starts_with(&format!("{REDIRECT}?")), "{location}");
    let told: HashMap<String, String> = Url::parse(location)
        .expect("a URL")
        .query_pairs()
        .into_owned()
        .collect();
    assert_eq!(told["iss"], LOCAL);
    told
}

pub(crate) fn code_in(answer: &Answer) -> String {
    told(answer)["code"].clone()
}

/// Holds an answer to be a page that sends nothing anywhere.
#[track_caller]
pub(crate) fn stays_here(answer: &Answer, says: &str) {
    assert!(answer.status.is_client_error(), "{answer:?}");
    assert!(answer.headers.get("location").is_none(), "{answer:?}");
    assert!(answer.text().contains(says), "{answer:?}");
}
