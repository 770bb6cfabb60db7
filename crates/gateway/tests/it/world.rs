//! One authority's snapshot, made by hand with real keys and policies, and a gateway that holds it.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use chancery_gateway::gateway::{Config, Gateway};
use chancery_gateway::recorder::{RecordUnavailable, Recorded, Recorder};
use chancery_gateway::snapshot::{Current, Freshness, KnownAgent, KnownServer, Snapshot};
use chancery_gateway::upstream::Reach;
use chancery_model::agent::{Agent, AgentState};
use chancery_model::author::Author;
use chancery_model::digest::Digest;
use chancery_model::document::{AgentName, Document};
use chancery_model::entropy::Entropy;
use chancery_model::event::{AgentFacts, Event, EventKind};
use chancery_model::grant::Grant;
use chancery_model::id::{AgentId, GrantId, OwnerId, TokenId};
use chancery_model::mcp::{McpServer, ToolPin, Upstream as Target};
use chancery_model::scope::Scope;
use chancery_model::time::{Clock, Timestamp};
use chancery_policy::{AgentEntity, PersonFacts, PolicySource, ToolDefinition};
use chancery_wire::access_token::{self, Act, AgentClaims, Claims, Cnf};
use chancery_wire::certificate::PeerCertificate;
use chancery_wire::dpop;
use chancery_wire::json;
use chancery_wire::jwk::{Algorithm, PrivateKey};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

pub(crate) const ISSUER: &str = "https://id.example";

/// A policy beside the shipped ones: large sums are forbidden.
const LIMIT: PolicySource<'static> = PolicySource {
    name: "limit",
    text: r#"@id("small-sums") @reason("sums are small")
        forbid(principal, action == Chancery::Action::"call/desk/add", resource) when { context.args.a > 100 };"#,
};

pub(crate) struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        let number = self.0.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = number[7 - place % 8] ^ (place as u8);
        }
    }
}

#[derive(Default)]
pub(crate) struct Events {
    events: Mutex<Vec<Event>>,
    broken: AtomicBool,
    /// Runs once, in the middle of the next write.
    meanwhile: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    wrote: tokio::sync::Notify,
    /// Nothing is written while somebody holds this for themselves.
    held: tokio::sync::RwLock<()>,
    /// How many writes were asked for.
    asked: AtomicUsize,
}

impl Recorder for Events {
    fn record(
        &self,
        event: Event,
    ) -> Pin<Box<dyn Future<Output = Result<Recorded, RecordUnavailable>> + Send + '_>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let _nobody_holds_it = self.held.read().await;
            if self.broken.load(Ordering::SeqCst) {
                return Err(RecordUnavailable);
            }
            let meanwhile = self.meanwhile.lock().expect("a lock").take();
            if let Some(meanwhile) = meanwhile {
                meanwhile();
            }
            self.events.lock().expect("a lock").push(event);
            self.wrote.notify_waiters();
            Ok(Recorded::after_durable_write())
        })
    }
}

/// An agent with the key that it proves.
pub(crate) struct Bot {
    pub(crate) id: AgentId,
    pub(crate) key: PrivateKey,
}

pub(crate) struct World {
    pub(crate) current: Current,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) recorder: Arc<Events>,
    pub(crate) router: Router,
    pub(crate) signing: PrivateKey,
    pub(crate) alice: Bot,
    pub(crate) bob: Bot,
    nonce: Mutex<Option<String>>,
    serial: AtomicU64,
}

fn key() -> PrivateKey {
    PrivateKey::generate(Algorithm::Es256).expect("a key")
}

fn version() -> Digest {
    Digest::from_bytes([5; 32])
}

fn agent(name: &str, id: AgentId, at: Timestamp) -> KnownAgent {
    let tools = json!([
        {"server": "desk", "tool": "*"},
        {"server": "other", "tool": "add"},
        {"server": "process", "tool": "*"},
    ]);
    agent_with(name, id, at, &tools)
}

fn agent_with(name: &str, id: AgentId, at: Timestamp, tools: &Value) -> KnownAgent {
    let document: Document = serde_json::from_value(json!({
        "name": name, "owner": "alice@example.com", "tools": tools,
    }))
    .expect("a document");
    let owner_id = "own_01hzy0000000000000000000aa".parse().expect("an id");
    let agent = Agent {
        id,
        name: AgentName::parse(name).expect("a name"),
        owner_id,
        state: AgentState::Active,
        version: Some((1, version())),
        jwks: None,
        authentication: Default::default(),
        created_at: at,
        updated_at: at,
        expires_at: None,
        registered_by: Author::LocalAdministrator,
        revision: 1,
    };
    KnownAgent {
        owner_is_live: true,
        keys: None,
        facts: AgentEntity::of(&agent, &document),
        recorded: AgentFacts {
            id,
            model: None,
            name: name.to_owned(),
            owner: owner_id,
            version: Some(version()),
        },
        not_before: Timestamp::from_secs(0),
        client: None,
        agent,
    }
}

pub(crate) fn server(name: &str, last: char, upstream: Target, tools: &[Value]) -> McpServer {
    let at = Timestamp::from_secs(1_000_000);
    let pin = |definition: &Value| ToolPin {
        name: definition["name"].as_str().expect("a name").to_owned(),
        digest: json::digest(definition).expect("a digest"),
        definition: definition.to_string(),
        accepted_at: at,
    };
    McpServer {
        id: format!("rsc_01hzy0000000000000000000a{last}")
            .parse()
            .expect("an id"),
        name: name.to_owned(),
        upstream,
        bearer_until: None,
        sign_in: Default::default(),
        created_at: at,
        removed_at: None,
        revision: 1,
        tools: tools.iter().map(pin).collect(),
    }
}

/// A world with the server `desk` at `url`, its tools accepted.
pub(crate) fn world(url: &str) -> World {
    let desk = Target::Http {
        url: url.to_owned(),
    };
    let tools: Vec<Value> = super::upstream::all_tools()
        .into_iter()
        .filter(|tool| tool["name"] != "hidden")
        .collect();
    let other = server("other", 'b', desk.clone(), &[super::upstream::add()]);
    world_of(vec![server("desk", 'a', desk, &tools), other], 64)
}

pub(crate) fn world_of(servers: Vec<McpServer>, in_flight: usize) -> World {
    let now = Timestamp::from_secs(1_800_000_000);
    let signing = key();
    let bot = |last| Bot {
        id: format!("agt_01hzy0000000000000000000a{last}")
            .parse()
            .expect("an id"),
        key: key(),
    };
    let (alice, bob) = (bot('a'), bot('b'));
    let definitions: Vec<(String, Value)> = (servers.iter())
        .flat_map(|server| {
            server
                .tools
                .iter()
                .map(|pin| (server.name.clone(), pin.definition.clone()))
        })
        .map(|(name, text)| (name, serde_json::from_str(&text).expect("JSON")))
        .collect();
    let policies = [chancery_policy::DEFAULT, LIMIT];
    let has_add = definitions
        .iter()
        .any(|(name, tool)| name == "desk" && tool["name"] == "add");
    let policy = chancery_policy::Snapshot::compile(
        1,
        if has_add { &policies } else { &policies[..1] },
        &[],
        &definitions
            .iter()
            .map(|(server, tool)| ToolDefinition {
                server,
                tool: tool["name"].as_str().expect("a name"),
                input_schema: &tool["inputSchema"],
            })
            .collect::<Vec<_>>(),
    )
    .expect("policies");
    let servers = servers.into_iter().map(|server| {
        let known = KnownServer::build(server, ISSUER).expect("a server");
        (known.server.name.clone(), Arc::new(known))
    });
    let snapshot = Snapshot {
        number: 1,
        freshness: Arc::new(Freshness::new(now)),
        issuer: ISSUER.to_owned(),
        token_keys: vec![signing.public().clone()],
        agents: HashMap::from([
            (alice.id, Arc::new(agent("alice-bot", alice.id, now))),
            (bob.id, Arc::new(agent("bob-bot", bob.id, now))),
        ]),
        servers: servers.collect(),
        revoked: Default::default(),
        people: Default::default(),
        grants: Default::default(),
        policy: Arc::new(policy),
    };
    let current: Current = Arc::new(ArcSwap::from_pointee(snapshot));
    let clock = Arc::new(TestClock(AtomicI64::new(now.as_micros())));
    let recorder = Arc::new(Events::default());
    let router = gateway(&current, &recorder, &clock, in_flight, 0).router();
    World {
        current,
        clock,
        recorder,
        router,
        signing,
        alice,
        bob,
        nonce: Mutex::default(),
        serial: AtomicU64::new(0),
    }
}

/// What servers are reached with, by a gateway and by whoever looks at them before.
pub(crate) fn reach() -> Reach {
    let environment = ["PATH", "HOME", "LANG"];
    let environment = environment.into_iter();
    Reach::new(environment.filter_map(|name| Some((name.to_owned(), std::env::var(name).ok()?))))
}

fn gateway(
    current: &Current,
    recorder: &Arc<Events>,
    clock: &Arc<TestClock>,
    in_flight: usize,
    seed: u64,
) -> Arc<Gateway> {
    let config = Config {
        reach: reach(),
        has_tls: true,
        in_flight,
    };
    Arc::new(Gateway::new(
        config,
        Arc::clone(current),
        Arc::clone(recorder) as Arc<dyn Recorder>,
        Arc::clone(clock) as Arc<dyn Clock>,
        Arc::new(Counter(AtomicU64::new(seed))),
    ))
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("JSON: {self:?}"))
    }

    pub(crate) fn challenge(&self) -> &str {
        self.headers
            .get("www-authenticate")
            .and_then(|value| value.to_str().ok())
            .unwrap_or("")
    }
}

/// A request to be made, with everything in it open to change.
pub(crate) struct Ask {
    pub(crate) server: &'static str,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// The certificate that the connection was opened with.
    pub(crate) peer: Option<PeerCertificate>,
}

impl Ask {
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sends it over a connection that was opened with this certificate.
    pub(crate) fn over(mut self, peer: &PeerCertificate) -> Self {
        self.peer = Some(peer.clone());
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(own, _)| own != name);
        self
    }
}

impl World {
    pub(crate) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).expect("a duration");
        self.clock.0.fetch_add(by, Ordering::SeqCst);
        self.current.load().freshness.mark(self.clock.now());
    }

    pub(crate) fn advance_unheard(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).expect("a duration");
        self.clock.0.fetch_add(by, Ordering::SeqCst);
    }

    pub(crate) fn claims(&self, bot: &Bot, server: &str) -> Claims {
        let now = self.clock.now();
        Claims {
            iss: ISSUER.to_owned(),
            sub: bot.id.to_string(),
            aud: format!("{ISSUER}/mcp/{server}"),
            client_id: bot.id.to_string(),
            iat: now.as_secs(),
            exp: now.as_secs() + 300,
            jti: TokenId::generate(now, &Counter(AtomicU64::new(self.next() + 7_000))),
            scope: None,
            authorization_details: None,
            cnf: Some(Cnf {
                jkt: Some(bot.key.public().thumbprint().to_owned()),
                x5t: None,
            }),
            auth_time: None,
            acr: None,
            act: None,
            grant_id: None,
            agent: Some(AgentClaims {
                id: None,
                instance: None,
                version: version(),
                epoch: 0,
                owner: "alice@example.com".to_owned(),
                name: "bot".to_owned(),
                model: None,
            }),
        }
    }

    /// The claims of a token by which alice's bot acts for a person, with a grant that is in force.
    pub(crate) fn delegated(&self, server: &str) -> Claims {
        let mut claims = self.claims(&self.alice, server);
        let (subject, id): (OwnerId, GrantId) = (
            "own_01hzy0000000000000000000bb".parse().expect("an id"),
            "grt_01hzy0000000000000000000bb".parse().expect("an id"),
        );
        claims.act = Some(Act {
            sub: claims.client_id.clone(),
            iss: claims.iss.clone(),
        });
        claims.sub = subject.to_string();
        claims.grant_id = Some(id);
        let now = self.clock.now();
        let grant = Grant {
            id,
            subject,
            agent: self.alice.id,
            version: version(),
            resource: claims.aud.clone(),
            scope: Scope::default(),
            calls: None,
            binding: chancery_model::grant::Binding::Bearer,
            redirect_uri: "https://app.example/cb".to_owned(),
            created_at: now,
            expires_at: now.after(Duration::from_secs(86_400)),
            last_used_at: None,
            revoked_at: None,
        };
        let person = PersonFacts {
            id: subject.to_string(),
            handle: "carol@example.com".to_owned(),
            teams: vec!["team:support".to_owned()],
        };
        self.change(|snapshot| {
            snapshot.people = Arc::new(HashMap::from([(subject, Arc::new(person))]));
            snapshot.grants = Arc::new(HashMap::from([(id, Arc::new(grant))]));
        });
        claims
    }

    pub(crate) fn sign(&self, claims: &Claims) -> String {
        access_token::sign(claims, &self.signing)
    }

    pub(crate) fn token(&self, bot: &Bot, server: &str) -> String {
        self.sign(&self.claims(bot, server))
    }

    pub(crate) fn next(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::SeqCst)
    }

    pub(crate) fn proof_request<'a>(
        &self,
        jti: &'a str,
        url: &'a str,
        nonce: Option<&'a str>,
        token: &'a str,
    ) -> dpop::Request<'a> {
        dpop::Request {
            method: "POST",
            url,
            jti,
            now: self.clock.now(),
            nonce,
            access_token: Some(token),
        }
    }

    pub(crate) fn proof(
        &self,
        bot: &Bot,
        server: &str,
        token: &str,
        nonce: Option<&str>,
    ) -> String {
        let jti = format!("proof-{:032}", self.next());
        let url = format!("{ISSUER}/mcp/{server}");
        dpop::proof(&bot.key, &self.proof_request(&jti, &url, nonce, token))
    }

    /// A nonce as the gateway gives it with a challenge.
    pub(crate) async fn nonce(&self) -> String {
        let known = self.nonce.lock().expect("a lock").clone();
        if let Some(known) = known {
            return known;
        }
        let mut ask = self.bare(&json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}));
        if !self.current.load().servers.contains_key(ask.server) {
            ask.server = "process";
        }
        let answer = self.send(ask).await;
        let nonce = answer.headers["dpop-nonce"]
            .to_str()
            .expect("text")
            .to_owned();
        *self.nonce.lock().expect("a lock") = Some(nonce.clone());
        self.recorder.events.lock().expect("a lock").clear();
        nonce
    }

    /// A request without credentials.
    pub(crate) fn bare(&self, body: &Value) -> Ask {
        let headers = [
            ("host", "id.example"),
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ];
        Ask {
            server: "desk",
            headers: headers
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            body: body.to_string(),
            peer: None,
        }
    }

    /// The same request with a token of `bot` and a fresh proof.
    pub(crate) async fn with(&self, bot: &Bot, server: &'static str, body: &Value) -> Ask {
        let token = self.token(bot, server);
        self.with_token(bot, server, &token, body).await
    }

    /// The same with this token.
    pub(crate) async fn with_token(
        &self,
        bot: &Bot,
        server: &'static str,
        token: &str,
        body: &Value,
    ) -> Ask {
        let nonce = self.nonce().await;
        let proof = self.proof(bot, server, token, Some(&nonce));
        let mut ask = self.bare(body);
        ask.server = server;
        ask.header("authorization", &format!("DPoP {token}"))
            .header("dpop", &proof)
    }

    /// The routes of another gateway of the same authority, in a process of its own.
    pub(crate) fn beside(&self) -> Router {
        gateway(&self.current, &self.recorder, &self.clock, 64, 2_000_000).router()
    }

    /// Sends a request and reads the answer to its end.
    pub(crate) async fn send(&self, ask: Ask) -> Answer {
        self.send_to(&self.router, ask).await
    }

    /// The same with one of several gateways.
    pub(crate) async fn send_to(&self, router: &Router, ask: Ask) -> Answer {
        let (parts, body) = Self::open_at(router, ask).await.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).expect("UTF-8"),
        }
    }

    /// Sends a request and leaves the body of the answer to be read.
    pub(crate) async fn open(&self, ask: Ask) -> Response<Body> {
        Self::open_at(&self.router, ask).await
    }

    async fn open_at(router: &Router, ask: Ask) -> Response<Body> {
        let mut request = Request::builder()
            .method("POST")
            .uri(format!("/mcp/{}", ask.server));
        for (name, value) in ask.headers {
            request = request.header(name, value);
        }
        let mut request = request.body(Body::from(ask.body)).expect("a request");
        if let Some(peer) = ask.peer {
            request.extensions_mut().insert(peer);
        }
        router.clone().oneshot(request).await.expect("an answer")
    }

    /// A call of a tool of `desk` by alice's bot, in the legacy era.
    pub(crate) async fn call(&self, tool: &str, arguments: Value) -> Answer {
        let body = call_body(tool, arguments);
        self.send(self.with(&self.alice, "desk", &body).await).await
    }

    /// Everything that was recorded.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.recorder.events.lock().expect("a lock").clone()
    }

    /// What was recorded, as kinds and outcomes.
    pub(crate) fn outcomes(&self) -> Vec<(EventKind, String)> {
        self.events()
            .into_iter()
            .map(|event| (event.kind, event.outcome))
            .collect()
    }

    /// The event of this kind, when it comes.
    pub(crate) async fn recorded(&self, kind: EventKind) -> Event {
        let waiting = async {
            loop {
                let wrote = self.recorder.wrote.notified();
                if let Some(event) = self.events().into_iter().find(|event| event.kind == kind) {
                    return event;
                }
                // The pause covers a write between the look and the wait.
                let _ = tokio::time::timeout(Duration::from_millis(20), wrote).await;
            }
        };
        let timely = tokio::time::timeout(Duration::from_secs(10), waiting).await;
        timely.unwrap_or_else(|_| panic!("no {kind:?} in {:?}", self.outcomes()))
    }

    pub(crate) fn clock_now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The next challenge gives a new nonce.
    pub(crate) fn forget_nonce(&self) {
        *self.nonce.lock().expect("a lock") = None;
    }

    /// The same world after a restart of the gateway.
    pub(crate) fn restarted(self) -> Self {
        let gateway = gateway(&self.current, &self.recorder, &self.clock, 64, 1_000_000);
        Self {
            router: gateway.router(),
            nonce: Mutex::default(),
            ..self
        }
    }

    /// Stops alice's bot while the next event is being written.
    pub(crate) fn stop_while_recording(&self) {
        let current = Arc::clone(&self.current);
        let id = self.alice.id;
        let stop = move || {
            let mut next = Snapshot::clone(&current.load());
            next.number += 1;
            next.agents.remove(&id);
            current.store(Arc::new(next));
        };
        *self.recorder.meanwhile.lock().expect("a lock") = Some(Box::new(stop));
    }

    /// The person takes the grant back in the middle of the next write.
    pub(crate) fn take_back_while_recording(&self) {
        let current = Arc::clone(&self.current);
        let take_back = move || {
            let mut next = Snapshot::clone(&current.load());
            next.number += 1;
            next.grants = Default::default();
            current.store(Arc::new(next));
        };
        *self.recorder.meanwhile.lock().expect("a lock") = Some(Box::new(take_back));
    }

    /// Panics in the middle of the next write.
    pub(crate) fn panic_while_recording(&self) {
        let panic = || panic!("a fault of ours");
        *self.recorder.meanwhile.lock().expect("a lock") = Some(Box::new(panic));
    }

    /// Puts alice's bot back as it was.
    pub(crate) fn change_agent_back(&self) {
        let now = self.clock.now();
        let id = self.alice.id;
        self.change(|snapshot| {
            snapshot
                .agents
                .insert(id, Arc::new(agent("alice-bot", id, now)));
        });
    }

    /// Keeps the record from being written until the guard is dropped.
    pub(crate) async fn hold_record(&self) -> impl Drop + '_ {
        self.recorder.held.write().await
    }

    /// How many writes were asked for.
    pub(crate) fn writes(&self) -> usize {
        self.recorder.asked.load(Ordering::SeqCst)
    }

    /// Waits until so many writes were asked for.
    pub(crate) async fn asked_to_write(&self, count: usize) {
        let waiting = async {
            while self.writes() < count {
                tokio::task::yield_now().await;
            }
        };
        let timely = tokio::time::timeout(Duration::from_secs(10), waiting).await;
        timely.unwrap_or_else(|_| panic!("{} writes instead of {count}", self.writes()));
    }

    pub(crate) fn break_recorder(&self) {
        self.recorder.broken.store(true, Ordering::SeqCst);
    }

    /// Puts a changed snapshot into force.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Snapshot)) {
        let mut next = Snapshot::clone(&self.current.load());
        next.number += 1;
        change(&mut next);
        self.current.store(Arc::new(next));
    }

    /// Puts a changed agent into force.
    pub(crate) fn change_agent(&self, id: AgentId, change: impl FnOnce(&mut KnownAgent)) {
        let now = self.clock.now();
        self.change(|snapshot| {
            let before = &snapshot.agents[&id];
            let mut next = agent(before.agent.name.as_str(), id, now);
            change(&mut next);
            snapshot.agents.insert(id, Arc::new(next));
        });
    }

    /// Gives an agent these tools and no others.
    pub(crate) fn grant(&self, id: AgentId, tools: &Value) {
        self.change_agent(id, |known| {
            let agent = &known.agent;
            *known = agent_with(agent.name.as_str(), id, agent.created_at, tools);
        });
    }

    /// Puts a changed server into force.
    pub(crate) fn change_server(&self, name: &str, change: impl FnOnce(&mut McpServer)) {
        self.change(|snapshot| {
            let mut server = snapshot.servers[name].server.clone();
            change(&mut server);
            let known = KnownServer::build(server, ISSUER).expect("a server");
            snapshot.servers.insert(name.to_owned(), Arc::new(known));
        });
    }
}

pub(crate) fn call_body(tool: &str, arguments: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": arguments}})
}

pub(crate) fn modern(mut body: Value) -> Value {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    for (name, value) in meta.as_object().expect("an object") {
        body["params"]["_meta"][name] = value.clone();
    }
    body
}
