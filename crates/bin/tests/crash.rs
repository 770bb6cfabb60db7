//! The real program, killed in the middle of its work a hundred times: whatever it acknowledged is there when
//! it runs again, what was used once stays used, and the log it signed verifies. Nothing is repaired between.
#![allow(
    clippy::disallowed_methods,
    reason = "a test outside the program has the machine's clock and randomness"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chancery_ledger::audit::{VerifiedCopy, verify_copy};
use chancery_ledger::checkpoint::Checkpoint;
use chancery_ledger::note::NoteVerifier;
use chancery_ledger::path::{BundleId, TileId};
use chancery_ledger::receipt::Receipt;
use chancery_model::id::AgentId;
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

/// How often the program is killed.
const CYCLES: u64 = 100;
/// How often between the whole log is downloaded and verified.
const PER_AUDIT: u64 = 10;
/// How long a start may take.
const START: Duration = Duration::from_secs(10);

/// The same from start to start, while the port is another each time.
const ISSUER: &str = "https://id.example";
const RESOURCE: &str = "https://r1.example";

/// A running program, killed when it is dropped.
struct Program {
    child: Child,
    url: String,
}

impl Program {
    fn start(data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chancery"));
        command.arg("--data").arg(data);
        command.args([
            "up",
            "--listen",
            "127.0.0.1:0",
            "--issuer",
            ISSUER,
            "--json",
        ]);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHANCERY_")) {
            command.env_remove(name);
        }
        let started = Instant::now();
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("a line");
        assert!(
            started.elapsed() < START,
            "a start takes {:?}",
            started.elapsed()
        );
        let ready: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("not ready: `{line}`"));
        let url = ready["url"].as_str().expect("a URL").to_owned();
        Self { child, url }
    }

    /// Kills the program where it stands.
    fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // One that was killed already refuses both, which is as good.
        let _killed = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// Whoever speaks to the program over HTTP.
#[derive(Clone)]
struct Caller {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    secret: String,
}

/// An answer that arrived whole.
struct Answer {
    status: u16,
    nonce: String,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

impl Caller {
    fn new(program: &Program, secret: &str) -> Self {
        Self {
            client: Client::builder(TokioExecutor::new()).build_http(),
            url: program.url.clone(),
            secret: secret.to_owned(),
        }
    }

    /// Sends a request; `None` when no whole answer came, so nothing was acknowledged.
    async fn send(
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
        let nonce = parts
            .headers
            .get("dpop-nonce")
            .and_then(|nonce| nonce.to_str().ok());
        let nonce = nonce.unwrap_or_default().to_owned();
        let body = body.collect().await.ok()?.to_bytes();
        Some(Answer {
            status: parts.status.as_u16(),
            nonce,
            body,
        })
    }

    async fn admin(&self, method: &str, path: &str, body: Value) -> Option<Answer> {
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

    /// What must succeed, because nobody kills the program now.
    async fn get(&self, path: &str) -> Value {
        let answer = self
            .admin("GET", path, Value::Null)
            .await
            .expect("an answer");
        assert_eq!(answer.status, 200, "{path}: {:?}", answer.body);
        answer.json()
    }

    async fn token(&self, assertion: &str, proof: &str) -> Option<Answer> {
        let form = format!(
            "grant_type=client_credentials&client_assertion_type={}&client_assertion={assertion}&resource={}",
            ASSERTION_TYPE.replace(':', "%3A"),
            RESOURCE.replace(':', "%3A").replace('/', "%2F"),
        );
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("dpop", proof),
        ];
        self.send("POST", "/oauth/token", &headers, form).await
    }
}

/// The agent that asks for tokens.
struct Agent {
    id: AgentId,
    key: PrivateKey,
    serial: AtomicU64,
}

fn now() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    Timestamp::from_micros(i64::try_from(since.as_micros()).expect("a time"))
}

impl Agent {
    fn fresh(&self) -> String {
        format!("{:032}", self.serial.fetch_add(1, Ordering::Relaxed))
    }

    fn assertion(&self) -> String {
        client_assertion::sign(self.id, ISSUER, &self.fresh(), now(), &self.key)
    }

    fn proof(&self, nonce: &str) -> String {
        let (jti, url) = (self.fresh(), format!("{ISSUER}/oauth/token"));
        let nonce = Some(nonce).filter(|nonce| !nonce.is_empty());
        let request = dpop::Request {
            method: "POST",
            url: &url,
            jti: &jti,
            now: now(),
            nonce,
            access_token: None,
        };
        dpop::proof(&self.key, &request)
    }
}

/// Everything that was acknowledged.
#[derive(Default)]
struct Acknowledged {
    owners: BTreeSet<String>,
    /// The ids of tokens, with the assertion that each was got with.
    tokens: Vec<(String, String)>,
    /// Policy names and the last text that was acknowledged; removed when one is under way.
    policies: BTreeMap<String, String>,
    /// Events whose receipts were given.
    stops: Vec<String>,
    /// Whether the agent that is stopped and resumed is suspended; unknown while a change is under way.
    suspended: Option<bool>,
}

fn jti(token: &str) -> String {
    let claims = token.split('.').nth(1).expect("claims");
    let claims = chancery_wire::base64url::decode(claims).expect("base64url");
    let claims: Value = serde_json::from_slice(&claims).expect("JSON");
    claims["jti"].as_str().expect("an id").to_owned()
}

/// Does one thing after another until the program is gone.
async fn work(
    what: u64,
    cycle: u64,
    caller: Caller,
    agent: Arc<Agent>,
    acknowledged: Arc<Mutex<Acknowledged>>,
) {
    let record =
        |note: &mut dyn FnMut(&mut Acknowledged)| note(&mut acknowledged.lock().expect("a lock"));
    let mut nonce = String::new();
    for round in 0_u64.. {
        let answer = match what % 4 {
            0 => {
                let handle = format!("p{cycle}-{what}-{round}@example.com");
                let answer = caller
                    .admin("POST", "/v1/owners", json!({"handle": handle}))
                    .await;
                if answer.as_ref().is_some_and(|answer| answer.status == 200) {
                    record(&mut |all| all.owners.extend([handle.clone()]));
                }
                answer
            }
            1 => {
                let name = format!("limit{}", round % 3);
                let text = format!("// cycle {cycle}, round {round}");
                record(&mut |all| drop(all.policies.remove(&name)));
                let answer = caller
                    .admin(
                        "PUT",
                        &format!("/v1/policies/{name}"),
                        json!({"text": text}),
                    )
                    .await;
                if answer.as_ref().is_some_and(|answer| answer.status == 200) {
                    record(&mut |all| drop(all.policies.insert(name.clone(), text.clone())));
                }
                answer
            }
            2 => {
                record(&mut |all| all.suspended = None);
                let verb = if round % 2 == 0 { "suspend" } else { "resume" };
                let body = if round % 2 == 0 {
                    json!({"reason": "a test"})
                } else {
                    Value::Null
                };
                let answer = caller
                    .admin("POST", &format!("/v1/agents/stopped-bot/{verb}"), body)
                    .await;
                if let Some(answer) = answer.as_ref().filter(|answer| answer.status == 200) {
                    record(&mut |all| all.suspended = Some(round % 2 == 0));
                    if round % 2 == 0 {
                        let event: Value = serde_json::from_str(
                            answer.json()["receipt"]["entry"]
                                .as_str()
                                .expect("an entry"),
                        )
                        .expect("JSON");
                        let id = event["id"].as_str().expect("an id").to_owned();
                        record(&mut |all| all.stops.push(id.clone()));
                    }
                }
                answer
            }
            _ => {
                let (assertion, proof) = (agent.assertion(), agent.proof(&nonce));
                let answer = caller.token(&assertion, &proof).await;
                if let Some(answer) = &answer {
                    nonce.clone_from(&answer.nonce);
                    if answer.status == 200 {
                        let token = answer.json()["access_token"]
                            .as_str()
                            .expect("a token")
                            .to_owned();
                        record(&mut |all| all.tokens.push((jti(&token), assertion.clone())));
                    }
                }
                answer
            }
        };
        if answer.is_none() {
            return;
        }
    }
}

/// What was downloaded of the log; full tiles and bundles never change, so they are fetched once.
struct LogCopy {
    files: HashMap<String, Vec<u8>>,
    key: NoteVerifier,
    seen: Vec<Checkpoint>,
}

impl LogCopy {
    /// Downloads what is new and verifies all of it; the ids of the events and tokens in it.
    async fn audit(
        &mut self,
        caller: &Caller,
    ) -> (VerifiedCopy, BTreeSet<String>, BTreeSet<String>) {
        let note = self.fetch(caller, "checkpoint").await;
        let size: u64 = String::from_utf8_lossy(&note)
            .lines()
            .nth(1)
            .expect("a size")
            .parse()
            .expect("a number");
        for level in 0..3 {
            for index in 0.. {
                let Some(tile) = TileId::in_tree(level, index, size) else {
                    break;
                };
                self.need(caller, tile.path()).await;
            }
        }
        for index in 0.. {
            let Some(bundle) = BundleId::in_tree(index, size) else {
                break;
            };
            self.need(caller, bundle.path()).await;
        }
        let (mut events, mut tokens) = (BTreeSet::new(), BTreeSet::new());
        let files = &self.files;
        let mut source = |path: &str| Ok::<_, String>(files.get(path).cloned());
        let verified = verify_copy(
            &mut source,
            std::slice::from_ref(&self.key),
            &self.seen,
            &mut |index, entry| {
                let event: Value =
                    serde_json::from_slice(entry).map_err(|error| error.to_string())?;
                if event["kind"] == "token.issued" {
                    tokens.insert(
                        event["token"]["jti"]
                            .as_str()
                            .unwrap_or_default()
                            .to_owned(),
                    );
                }
                let is_new = events.insert(event["id"].as_str().unwrap_or_default().to_owned());
                is_new
                    .then_some(())
                    .ok_or_else(|| format!("entry {index} is there twice"))
            },
        );
        let verified =
            verified.unwrap_or_else(|finding| panic!("entry {:?}: {finding}", finding.index));
        self.seen = vec![verified.checkpoint().clone()];
        (verified, events, tokens)
    }

    async fn need(&mut self, caller: &Caller, path: String) {
        if !self.files.contains_key(&path) {
            self.fetch(caller, &path).await;
        }
    }

    async fn fetch(&mut self, caller: &Caller, path: &str) -> Vec<u8> {
        let answer = caller
            .admin("GET", &format!("/log/{path}"), Value::Null)
            .await
            .expect("an answer");
        assert_eq!(answer.status, 200, "{path}");
        self.files.insert(path.to_owned(), answer.body.to_vec());
        answer.body.to_vec()
    }
}

async fn listed_owners(caller: &Caller) -> BTreeSet<String> {
    let mut handles = BTreeSet::new();
    let mut path = "/v1/owners?limit=500".to_owned();
    loop {
        let page = caller.get(&path).await;
        let items = page["items"].as_array().expect("a list");
        handles.extend(
            items
                .iter()
                .map(|owner| owner["handle"].as_str().expect("a handle").to_owned()),
        );
        let Some(next) = page["next"].as_str() else {
            return handles;
        };
        path = format!("/v1/owners?limit=500&after={next}");
    }
}

/// Waits until all that is durable is sealed.
async fn sealed(caller: &Caller) {
    let started = Instant::now();
    while caller.get("/v1/log").await["pending"] != 0 {
        assert!(started.elapsed() < START, "the log is not sealed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Holds what runs now against what was acknowledged before.
async fn check(caller: &Caller, agent: &Agent, acknowledged: &Acknowledged, is_last: bool) {
    let page = caller.get("/v1/policies").await.to_string();
    for text in acknowledged.policies.values() {
        assert!(page.contains(text.as_str()), "`{text}` is gone");
    }
    if let Some(suspended) = acknowledged.suspended {
        let state = caller.get("/v1/agents/stopped-bot").await["status"].clone();
        assert_eq!(state == "suspended", suspended, "{state}");
    }
    // What was used once is used: the newest are the ones that a lost flush would lose.
    let bare = caller
        .token(&agent.assertion(), &agent.proof(""))
        .await
        .expect("an answer");
    for (_, assertion) in acknowledged.tokens.iter().rev().take(3) {
        let again = caller
            .token(assertion, &agent.proof(&bare.nonce))
            .await
            .expect("an answer");
        assert_eq!(
            again.status, 401,
            "an assertion was used twice: {:?}",
            again.body
        );
    }
    if is_last || acknowledged.owners.len() < 1_000 {
        let listed = listed_owners(caller).await;
        let lost: Vec<_> = acknowledged.owners.difference(&listed).collect();
        assert!(lost.is_empty(), "acknowledged and gone: {lost:?}");
    } else {
        // The newest are the ones that a lost flush would lose; all are looked at when all is over.
        let newest: Vec<&String> = acknowledged.owners.iter().rev().take(1).collect();
        for handle in newest {
            let again = caller
                .admin("POST", "/v1/owners", json!({"handle": handle}))
                .await;
            assert_eq!(again.expect("an answer").status, 409, "{handle} is gone");
        }
    }
}

#[test]
fn stor_01_aud_10_whatever_was_acknowledged_outlives_a_hundred_kills() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(story());
}

async fn story() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let program = Program::start(&data);
    let secret = std::fs::read_to_string(data.join("admin.token")).expect("the local credential");
    let secret = secret.trim();
    let caller = Caller::new(&program, secret);
    let key = PrivateKey::generate(Algorithm::Es256).expect("a key");
    let register = |name: &str, key: &PrivateKey| json!({"document": {"name": name, "owner": "alice@example.com"}, "jwks": {"keys": [key.public().to_jwk()]}});
    let view = caller
        .admin("POST", "/v1/agents", register("steady-bot", &key))
        .await
        .expect("an answer")
        .json();
    let id = view["id"].as_str().expect("an id").parse().expect("an id");
    let other = PrivateKey::generate(Algorithm::Es256).expect("a key");
    caller
        .admin("POST", "/v1/agents", register("stopped-bot", &other))
        .await
        .expect("an answer");
    let resource = caller
        .admin("POST", "/v1/resources", json!({"url": RESOURCE}))
        .await
        .expect("an answer");
    assert_eq!(resource.status, 200);
    let log_key = std::fs::read_to_string(data.join("log.key")).expect("the log's key");
    let mut copy = LogCopy {
        files: HashMap::new(),
        key: log_key.trim_end().parse().expect("a verifier key"),
        seen: Vec::new(),
    };
    let agent = Arc::new(Agent {
        id,
        key,
        serial: AtomicU64::new(0),
    });
    let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
    sealed(&caller).await;

    let mut program = program;
    let mut chance: u64 = 0x9e37_79b9_7f4a_7c15;
    for cycle in 0..CYCLES {
        let caller = Caller::new(&program, secret);
        let working: Vec<_> = (0..5)
            .map(|what| {
                tokio::spawn(work(
                    what,
                    cycle,
                    caller.clone(),
                    Arc::clone(&agent),
                    Arc::clone(&acknowledged),
                ))
            })
            .collect();
        // xorshift: the moments differ, and a failure can be run again.
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        tokio::time::sleep(Duration::from_millis(100 + chance % 200)).await;
        program.kill();
        for task in working {
            task.await.expect("a task");
        }
        program = Program::start(&data);
        let caller = Caller::new(&program, secret);
        let all = std::mem::take(&mut *acknowledged.lock().expect("a lock"));
        check(&caller, &agent, &all, false).await;
        *acknowledged.lock().expect("a lock") = all;
        if cycle % PER_AUDIT == PER_AUDIT - 1 {
            copy.audit(&caller).await;
        }
    }

    let caller = Caller::new(&program, secret);
    let all = std::mem::take(&mut *acknowledged.lock().expect("a lock"));
    check(&caller, &agent, &all, true).await;
    sealed(&caller).await;
    let (verified, events, tokens) = copy.audit(&caller).await;
    for (jti, _) in &all.tokens {
        assert!(
            tokens.contains(jti),
            "token {jti} was given and is not in the log"
        );
    }
    for id in &all.stops {
        assert!(
            events.contains(id),
            "stop {id} was answered and is not in the log"
        );
        let receipt = caller.get(&format!("/v1/receipts/{id}")).await;
        let entry = receipt["entry"]
            .as_str()
            .expect("an entry")
            .as_bytes()
            .to_vec();
        let proof = receipt["proof"].as_str().expect("a proof");
        let receipt = Receipt::from_tlog_proof(entry, proof).expect("a receipt");
        receipt
            .verify(std::slice::from_ref(&copy.key))
            .expect("proven");
    }
    println!(
        "{CYCLES} kills: {} owners, {} tokens and {} proven stops were acknowledged, and the log's {} entries verify",
        all.owners.len(),
        all.tokens.len(),
        all.stops.len(),
        verified.size(),
    );
    assert!(
        all.owners.len() > 100 && all.tokens.len() > 100,
        "there was work under way"
    );
}
