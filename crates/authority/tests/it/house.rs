//! One authority with its router, and what its callers do in the ordinary way.

use std::io::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use axum::Router;
use chancery_authority::config::{ACCESS_TOKEN_LIFETIME, Config, KEY_OVERLAP};
use chancery_authority::found::{self, World};
use chancery_authority::router::router;
use chancery_authority::state::Authority;
use chancery_gateway::upstream::Reach;
use chancery_model::entropy::Entropy;
use chancery_model::id::ClientId;
use chancery_model::secret::Secret;
use chancery_model::time::{Clock, Timestamp};
use chancery_wire::client_assertion::{self, ASSERTION_TYPE};
use chancery_wire::jwk::{Algorithm, PrivateKey};
use chancery_wire::{dpop, hash};
use serde_json::{Value, json};

use crate::database::Database;
use crate::request::{Answer, Ask, ask};

pub(crate) const ISSUER: &str = "https://id.example";
pub(crate) const ADMIN: &str = "chl_the-local-administrator-of-the-tests";
pub(crate) const TOKEN_URL: &str = "https://id.example/oauth/token";

/// A clock that hardly moves by itself; the machine's own clock may be made to leap away from it.
pub(crate) struct TestClock {
    now: AtomicI64,
    leapt_to: Mutex<Option<Timestamp>>,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.now.load(Ordering::SeqCst))
    }

    fn anomaly(&self) -> Option<Timestamp> {
        *self.leapt_to.lock().expect("a lock")
    }
}

/// Bytes that look random, are never the same twice, and are the same in every run.
pub(crate) struct Seeded {
    seed: u64,
    drawn: AtomicU64,
    /// Draws until one panics; 0 when none does.
    until_panic: AtomicU64,
}

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            seed,
            drawn: AtomicU64::new(0),
            until_panic: AtomicU64::new(0),
        }
    }

    /// Lets the draw of this number from now on panic; none when it is 0.
    pub(crate) fn panic_at(&self, draw: u64) {
        self.until_panic.store(draw, Ordering::SeqCst);
    }
}

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        let mut left = self.until_panic.load(Ordering::SeqCst);
        if left > 0 {
            left = self.until_panic.fetch_sub(1, Ordering::SeqCst);
        }
        assert_ne!(left, 1, "as it was ordered to");
        for piece in bytes.chunks_mut(32) {
            let drawn = self.drawn.fetch_add(1, Ordering::SeqCst);
            let block = hash::sha256(&[self.seed.to_be_bytes(), drawn.to_be_bytes()].concat());
            piece.copy_from_slice(&block.as_bytes()[..piece.len()]);
        }
    }
}

/// An authority that answers.
pub(crate) struct House {
    pub(crate) authority: Arc<Authority>,
    pub(crate) router: Router,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) entropy: Arc<Seeded>,
    pub(crate) database: Database,
    nonce: Mutex<String>,
    serial: AtomicU64,
}

/// An agent or a resource server with the key that it authenticates with.
pub(crate) struct Party {
    pub(crate) id: String,
    pub(crate) key: PrivateKey,
}

pub(crate) fn new_key() -> PrivateKey {
    PrivateKey::generate(Algorithm::Es256).expect("a key")
}

pub(crate) fn jwks(key: &PrivateKey) -> Value {
    json!({"keys": [key.public().to_jwk()]})
}

/// The claims of a JWS, unverified.
pub(crate) fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a JWS");
    let payload = chancery_wire::base64url::decode(payload).expect("base64url");
    serde_json::from_slice(&payload).expect("JSON")
}

/// Lines that the program logged, of all tests of this run.
static LOGGED: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Logged;

impl Write for Logged {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        LOGGED.lock().expect("a lock").extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Everything that was logged so far.
pub(crate) fn logged() -> String {
    String::from_utf8_lossy(&LOGGED.lock().expect("a lock")).into_owned()
}

fn listen_to_the_log() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG);
        let lines = lines.with_ansi(false).with_writer(|| Logged);
        lines.try_init().expect("the first subscriber");
    });
}

impl House {
    /// A new authority.
    pub(crate) async fn found() -> Self {
        Self::found_with(|_| {}).await
    }

    /// A new authority with other settings.
    pub(crate) async fn found_with(change: impl FnOnce(&mut Config)) -> Self {
        // Not a whole millisecond: an id tells its time no better than that.
        let clock = Arc::new(TestClock {
            now: AtomicI64::new(1_800_000_000_000_456),
            leapt_to: Mutex::default(),
        });
        Self::open(Database::fresh().await, clock, 1, change).await
    }

    /// Another process of the same authority.
    pub(crate) async fn beside(&self, seed: u64) -> Self {
        Self::open(self.database.clone(), Arc::clone(&self.clock), seed, |_| {}).await
    }

    /// Another process whose clock is so many seconds ahead of ours, or behind it.
    pub(crate) async fn beside_ahead(&self, seed: u64, seconds: i64) -> Self {
        let clock = Arc::new(TestClock {
            now: AtomicI64::new(self.now().as_micros() + seconds * 1_000_000),
            leapt_to: Mutex::default(),
        });
        Self::open(self.database.clone(), clock, seed, |_| {}).await
    }

    pub(crate) async fn open(
        database: Database,
        clock: Arc<TestClock>,
        seed: u64,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        listen_to_the_log();
        let mut config = Config {
            issuer: ISSUER.to_owned(),
            hosts: vec!["id.example".to_owned()],
            local_administrator: hash::sha256(ADMIN.as_bytes()),
            console_login: None,
            access_token_lifetime: ACCESS_TOKEN_LIFETIME,
            key_overlap: KEY_OVERLAP,
            node: format!("node-{seed}"),
            has_tls: true,
            log_key: None,
        };
        change(&mut config);
        let entropy = Arc::new(Seeded::new(seed));
        let world = World {
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            entropy: Arc::clone(&entropy) as Arc<dyn Entropy>,
            master: Secret::new([7; 32]),
            reach: Reach::new([]),
        };
        let authority = found::open(database.open().await, config, world)
            .await
            .expect("an authority");
        Self {
            router: router(Arc::clone(&authority)),
            authority,
            clock,
            entropy,
            database,
            nonce: Mutex::default(),
            serial: AtomicU64::new(seed << 32),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Moves the clock; what follows it catches up before anything else is asked.
    pub(crate) async fn advance(&self, by: Duration) {
        self.advance_unseen(by);
        while self.send(ask("GET", "/readyz")).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Moves the clock and waits for nobody.
    pub(crate) fn advance_unseen(&self, by: Duration) {
        let by = i64::try_from(by.as_micros()).expect("a duration");
        self.clock.now.fetch_add(by, Ordering::SeqCst);
    }

    /// Makes the machine's clock leap, or lets it be right again.
    pub(crate) fn leap(&self, to: Option<Timestamp>) {
        *self.clock.leapt_to.lock().expect("a lock") = to;
    }

    /// Waits until this process has seen what `other` committed.
    pub(crate) async fn catch_up_with(&self, other: &Self) {
        while self.authority.current.load().number < other.authority.current.load().number {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A name that was not used before.
    pub(crate) fn fresh(&self) -> String {
        format!("{:024}", self.serial.fetch_add(1, Ordering::SeqCst))
    }

    /// A moment passes with each request: what waits for its place in the log on PostgreSQL is put in order by its time.
    pub(crate) async fn send(&self, ask: Ask) -> Answer {
        self.advance_unseen(Duration::from_micros(1));
        ask.send(&self.router).await
    }

    /// What the local administrator asks for; a body when `body` is not null.
    pub(crate) async fn admin(&self, method: &str, path: &str, body: Value) -> Answer {
        self.as_login(ADMIN, method, path, body).await
    }

    /// The same for whoever holds `secret`.
    pub(crate) async fn as_login(
        &self,
        secret: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> Answer {
        let ask = ask(method, path).bearer(secret);
        self.send(if body.is_null() { ask } else { ask.json(&body) })
            .await
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.admin("GET", path, Value::Null).await.ok()
    }

    pub(crate) async fn add_person(&self, handle: &str) {
        self.admin("POST", "/v1/owners", json!({"handle": handle}))
            .await
            .ok();
    }

    /// A login of `handle` with `roles`; the person must be known.
    pub(crate) async fn login(&self, handle: &str, roles: &[&str]) -> String {
        self.login_by(ADMIN, handle, roles).await
    }

    /// The same, which the holder of `maker` has made.
    pub(crate) async fn login_by(&self, maker: &str, handle: &str, roles: &[&str]) -> String {
        let path = format!("/v1/owners/{handle}/logins");
        let body = json!({"roles": roles});
        let answer = self.as_login(maker, "POST", &path, body).await.ok();
        answer["token"].as_str().expect("a secret").to_owned()
    }

    /// An active agent of alice's.
    pub(crate) async fn register(&self, name: &str) -> Party {
        self.register_document(json!({"name": name, "owner": "alice@example.com"}))
            .await
    }

    pub(crate) async fn register_document(&self, document: Value) -> Party {
        let key = new_key();
        let body = json!({"document": document, "jwks": jwks(&key)});
        let view = self.admin("POST", "/v1/agents", body).await.ok();
        assert_eq!(view["status"], "active");
        Party {
            id: view["id"].as_str().expect("an id").to_owned(),
            key,
        }
    }

    /// A resource server that may introspect.
    pub(crate) async fn resource(&self, url: &str) -> Party {
        let key = new_key();
        let body = json!({"url": url, "jwks": jwks(&key)});
        let view = self.admin("POST", "/v1/resources", body).await.ok();
        Party {
            id: view["id"].as_str().expect("an id").to_owned(),
            key,
        }
    }

    /// A fresh client assertion.
    pub(crate) fn assertion(&self, party: &Party) -> String {
        let id: ClientId = party.id.parse().expect("a client");
        client_assertion::sign(id, ISSUER, &self.fresh(), self.now(), &party.key)
    }

    /// A nonce of the token endpoint, got in the ordinary way.
    pub(crate) async fn nonce(&self, party: &Party) -> String {
        let known = self.nonce.lock().expect("a lock").clone();
        if !known.is_empty() {
            return known;
        }
        let bare = self.proof(&party.key, "");
        let answer = self
            .send(self.token_request(party, "https://r1.example", &bare))
            .await;
        answer.oauth_error(400, "use_dpop_nonce");
        let nonce = answer.header("dpop-nonce").to_owned();
        assert!(!nonce.is_empty(), "{answer:?}");
        self.nonce.lock().expect("a lock").clone_from(&nonce);
        nonce
    }

    pub(crate) fn forget_nonce(&self) {
        self.nonce.lock().expect("a lock").clear();
    }

    /// A fresh proof for the token endpoint; without a nonce when `nonce` is empty.
    pub(crate) fn proof(&self, key: &PrivateKey, nonce: &str) -> String {
        let jti = self.fresh();
        let request = dpop::Request {
            method: "POST",
            url: TOKEN_URL,
            jti: &jti,
            now: self.now(),
            nonce: Some(nonce).filter(|nonce| !nonce.is_empty()),
            access_token: None,
        };
        dpop::proof(key, &request)
    }

    /// A request for a token with a fresh assertion; without a proof when `proof` is empty.
    pub(crate) fn token_request(&self, party: &Party, resource: &str, proof: &str) -> Ask {
        let assertion = self.assertion(party);
        let ask = token_form(&[("client_assertion", &assertion), ("resource", resource)]);
        if proof.is_empty() {
            ask
        } else {
            ask.header("dpop", proof)
        }
    }

    /// A request for a token with everything fresh and right.
    pub(crate) async fn right_request(&self, party: &Party, resource: &str) -> Ask {
        let nonce = self.nonce(party).await;
        self.token_request(party, resource, &self.proof(&party.key, &nonce))
    }

    pub(crate) async fn ask_token(&self, party: &Party, resource: &str) -> Answer {
        self.send(self.right_request(party, resource).await).await
    }

    pub(crate) async fn token(&self, party: &Party, resource: &str) -> String {
        let answer = self.ask_token(party, resource).await.ok();
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    pub(crate) async fn introspect(&self, server: &Party, token: &str) -> Answer {
        let assertion = self.assertion(server);
        let form = [
            ("client_assertion_type", ASSERTION_TYPE),
            ("client_assertion", &assertion),
            ("token", token),
        ];
        self.send(ask("POST", "/oauth/introspect").form(&form))
            .await
    }

    /// A credential of `server` for questions about tokens, which costs no signature and no record each time.
    pub(crate) async fn questions(&self, server: &Party) -> String {
        let answer = self.send(self.token_request(server, ISSUER, "")).await;
        let answer = answer.ok();
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    /// Whether the holder of `questions` is told that the token is in force.
    pub(crate) async fn is_told_active(&self, questions: &str, token: &str) -> bool {
        let question = ask("POST", "/oauth/introspect").bearer(questions);
        self.send(question.form(&[("token", token)])).await.ok()["active"] == true
    }

    /// Whether `server` is told that the token is in force.
    pub(crate) async fn is_active(&self, server: &Party, token: &str) -> bool {
        self.introspect(server, token).await.ok()["active"] == true
    }

    /// Puts the draft into force as it is now, for whoever holds `secret`.
    pub(crate) async fn activate(&self, secret: &str, agent: &str) -> Answer {
        let seen = self.get(&format!("/v1/agents/{agent}")).await["revision"].clone();
        self.activate_seen(secret, agent, &seen.to_string()).await
    }

    /// Puts the draft into force as it was at the revision `seen`.
    pub(crate) async fn activate_seen(&self, secret: &str, agent: &str, seen: &str) -> Answer {
        let ask = ask("POST", &format!("/v1/agents/{agent}/activate")).bearer(secret);
        self.send(ask.header("if-match", seen)).await
    }

    pub(crate) async fn suspend(&self, agent: &str) -> Answer {
        let path = format!("/v1/agents/{agent}/suspend");
        self.admin("POST", &path, json!({"reason": "it looked odd"}))
            .await
    }

    pub(crate) async fn resume(&self, agent: &str) -> Answer {
        self.admin("POST", &format!("/v1/agents/{agent}/resume"), Value::Null)
            .await
    }

    /// Waits until all that is durable is sealed into the log; its size then.
    pub(crate) async fn sealed(&self) -> u64 {
        loop {
            self.authority.sealing.bell.notify_one();
            let log = self.get("/v1/log").await;
            if log["pending"] == 0 && log["size"] != 0 {
                return log["size"].as_u64().expect("a size");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Every event of the record, oldest first.
    pub(crate) async fn events(&self) -> Vec<Value> {
        self.sealed().await;
        let mut all = Vec::new();
        let mut path = "/v1/events?limit=500".to_owned();
        loop {
            let page = self.get(&path).await;
            let items = page["items"].as_array().expect("a list");
            all.extend(items.iter().map(|item| item["event"].clone()));
            let Some(next) = page["next"].as_str() else {
                return all;
            };
            path = format!("/v1/events?limit=500&after={next}");
        }
    }

    /// The events of one kind, oldest first.
    pub(crate) async fn events_of(&self, kind: &str) -> Vec<Value> {
        let all = self.events().await;
        all.into_iter()
            .filter(|event| event["kind"] == kind)
            .collect()
    }

    /// The last event of one kind.
    pub(crate) async fn last_event(&self, kind: &str) -> Value {
        self.events_of(kind)
            .await
            .pop()
            .unwrap_or_else(|| panic!("no `{kind}`"))
    }
}

/// A request to the token endpoint with these parameters beside the two that never change.
pub(crate) fn token_form(pairs: &[(&str, &str)]) -> Ask {
    let mut all = vec![
        ("grant_type", "client_credentials"),
        ("client_assertion_type", ASSERTION_TYPE),
    ];
    all.extend(pairs);
    ask("POST", "/oauth/token").form(&all)
}

/// Runs one life of a process to its end: what ran in the background is gone when it returns.
pub(crate) fn life<T>(story: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let told = runtime.block_on(story);
    runtime.shutdown_timeout(Duration::from_secs(5));
    told
}
