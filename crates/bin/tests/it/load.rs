//! Work of every kind at once, which remembers what was acknowledged, so that it can be held against what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use chancery_ledger::receipt::Receipt;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::caller::{Caller, Party, access_token, claims};
use crate::log_copy::LogCopy;

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
    /// How often each status was answered.
    statuses: BTreeMap<u16, u64>,
}

/// The work, the agents that do it, and what came of it.
pub(crate) struct Load {
    agent: Arc<Party>,
    acknowledged: Arc<Mutex<Acknowledged>>,
    copy: LogCopy,
}

/// Work that is under way.
pub(crate) struct UnderWay {
    tasks: Vec<JoinHandle<()>>,
    enough: Arc<AtomicBool>,
}

impl UnderWay {
    /// Waits for the end of it; what was asked is answered before that, or never will be.
    pub(crate) async fn end(self) {
        self.enough.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("a task");
        }
    }
}

impl Load {
    /// Registers what the work needs.
    pub(crate) async fn prepare(caller: &Caller, data: &Path) -> Self {
        let agent = Arc::new(caller.register("steady-bot").await);
        caller.register("stopped-bot").await;
        caller.resource().await;
        caller.sealed().await;
        Self {
            agent,
            acknowledged: Arc::default(),
            copy: LogCopy::new(data),
        }
    }

    /// Starts the work: each of five does one thing after another until it is told to end, or nobody answers.
    pub(crate) fn start(&self, cycle: u64, caller: &Caller) -> UnderWay {
        let enough = Arc::new(AtomicBool::new(false));
        let tasks = (0..5).map(|what| {
            let worker = Worker {
                what,
                cycle,
                caller: caller.clone(),
                agent: Arc::clone(&self.agent),
                acknowledged: Arc::clone(&self.acknowledged),
                enough: Arc::clone(&enough),
            };
            tokio::spawn(worker.work())
        });
        UnderWay {
            tasks: tasks.collect(),
            enough,
        }
    }

    /// How often each status was answered since this was asked last.
    pub(crate) fn statuses(&self) -> BTreeMap<u16, u64> {
        std::mem::take(&mut self.acknowledged.lock().expect("a lock").statuses)
    }

    /// Holds what runs now against what was acknowledged, as far as a lost flush would lose it.
    pub(crate) async fn check(&self, caller: &Caller) {
        let all = std::mem::take(&mut *self.acknowledged.lock().expect("a lock"));
        self.check_newest(caller, &all).await;
        if all.owners.len() < 1_000 {
            check_owners(caller, &all).await;
        } else if let Some(handle) = all.owners.last() {
            // All are looked at when all is over.
            let again = caller.add_owner(handle).await.expect("an answer");
            assert_eq!(again.status, 409, "{handle} is gone");
        }
        *self.acknowledged.lock().expect("a lock") = all;
    }

    /// Downloads the log and verifies it.
    pub(crate) async fn audit(&mut self, caller: &Caller) {
        self.copy.audit(caller).await;
    }

    /// Holds everything against what was acknowledged, of which there must be some, and says how much it was.
    pub(crate) async fn finish(mut self, caller: &Caller, at_least: usize) -> String {
        let all = std::mem::take(&mut *self.acknowledged.lock().expect("a lock"));
        self.check_newest(caller, &all).await;
        check_owners(caller, &all).await;
        caller.sealed().await;
        let log = self.copy.audit(caller).await;
        for (jti, _) in &all.tokens {
            let is_there = log.tokens.contains(jti);
            assert!(is_there, "token {jti} was given and is not in the log");
        }
        for id in &all.stops {
            let is_there = log.events.contains(id);
            assert!(is_there, "stop {id} was answered and is not in the log");
            let receipt = caller.get(&format!("/v1/receipts/{id}")).await;
            let entry = receipt["entry"].as_str().expect("an entry");
            let proof = receipt["proof"].as_str().expect("a proof");
            let receipt = Receipt::from_tlog_proof(entry.as_bytes().to_vec(), proof);
            let verified = receipt
                .expect("a receipt")
                .verify(std::slice::from_ref(self.copy.key()))
                .map(drop);
            verified.expect("proven");
        }
        let (owners, tokens) = (all.owners.len(), all.tokens.len());
        let least = owners.min(tokens);
        assert!(least > at_least, "hardly any work was under way: {least}");
        format!(
            "{owners} owners, {tokens} tokens and {} proven stops were acknowledged, and the log's {} entries verify",
            all.stops.len(),
            log.copy.size(),
        )
    }

    async fn check_newest(&self, caller: &Caller, all: &Acknowledged) {
        let page = caller.get("/v1/policies").await.to_string();
        for text in all.policies.values() {
            assert!(page.contains(text.as_str()), "`{text}` is gone");
        }
        if let Some(suspended) = all.suspended {
            let state = caller.get("/v1/agents/stopped-bot").await["status"].clone();
            assert_eq!(state == "suspended", suspended, "{state}");
        }
        // What was used once is used: the newest are the ones that a lost flush would lose.
        let bare = caller
            .token(&self.agent.assertion(), &self.agent.proof(""))
            .await;
        let nonce = bare.expect("an answer").nonce;
        for (_, assertion) in all.tokens.iter().rev().take(3) {
            let again = caller.token(assertion, &self.agent.proof(&nonce)).await;
            let again = again.expect("an answer");
            assert_eq!(again.status, 401, "an assertion was used twice: {again:?}");
        }
    }
}

async fn check_owners(caller: &Caller, all: &Acknowledged) {
    let listed = caller.owners().await;
    let lost: Vec<_> = all.owners.difference(&listed).collect();
    assert!(lost.is_empty(), "acknowledged and gone: {lost:?}");
}

struct Worker {
    what: u64,
    cycle: u64,
    caller: Caller,
    agent: Arc<Party>,
    acknowledged: Arc<Mutex<Acknowledged>>,
    enough: Arc<AtomicBool>,
}

impl Worker {
    /// Does one thing after another until it is enough, or the program is gone.
    async fn work(self) {
        let mut nonce = String::new();
        for round in 0_u64.. {
            let status = match self.what % 4 {
                0 => self.add_owner(round).await,
                1 => self.put_policy(round).await,
                2 => self.stop_or_resume(round).await,
                _ => self.get_token(&mut nonce).await,
            };
            let Some(status) = status else { return };
            self.note(|all| *all.statuses.entry(status).or_default() += 1);
            if self.enough.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    fn note(&self, note: impl FnOnce(&mut Acknowledged)) {
        note(&mut self.acknowledged.lock().expect("a lock"));
    }

    async fn add_owner(&self, round: u64) -> Option<u16> {
        let handle = format!("p{}-{}-{round}@example.com", self.cycle, self.what);
        let answer = self.caller.add_owner(&handle).await?;
        if answer.is_ok() {
            self.note(|all| all.owners.extend([handle]));
        }
        Some(answer.status)
    }

    async fn put_policy(&self, round: u64) -> Option<u16> {
        let name = format!("limit{}", round % 3);
        let text = format!("// cycle {}, round {round}", self.cycle);
        self.note(|all| drop(all.policies.remove(&name)));
        let path = format!("/v1/policies/{name}");
        let answer = self
            .caller
            .admin("PUT", &path, json!({"text": text}))
            .await?;
        if answer.is_ok() {
            self.note(|all| drop(all.policies.insert(name, text)));
        }
        Some(answer.status)
    }

    async fn stop_or_resume(&self, round: u64) -> Option<u16> {
        let is_stop = round.is_multiple_of(2);
        self.note(|all| all.suspended = None);
        let (verb, body) = if is_stop {
            ("suspend", json!({"reason": "a test"}))
        } else {
            ("resume", Value::Null)
        };
        let path = format!("/v1/agents/stopped-bot/{verb}");
        let answer = self.caller.admin("POST", &path, body).await?;
        if answer.is_ok() {
            self.note(|all| all.suspended = Some(is_stop));
        }
        if answer.is_ok() && is_stop {
            let entry = answer.json()["receipt"]["entry"].clone();
            let event: Value = serde_json::from_str(entry.as_str().expect("an entry"))
                .expect("an entry of the log is JSON");
            let id = event["id"].as_str().expect("an id").to_owned();
            self.note(|all| all.stops.push(id));
        }
        Some(answer.status)
    }

    async fn get_token(&self, nonce: &mut String) -> Option<u16> {
        let (assertion, proof) = (self.agent.assertion(), self.agent.proof(nonce));
        let answer = self.caller.token(&assertion, &proof).await?;
        nonce.clone_from(&answer.nonce);
        if answer.is_ok() {
            let jti = claims(&access_token(&answer))["jti"].clone();
            let jti = jti.as_str().expect("an id").to_owned();
            self.note(|all| all.tokens.push((jti, assertion)));
        }
        Some(answer.status)
    }
}
