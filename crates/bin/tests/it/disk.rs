//! A disk that is full, and one that fails to flush.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::caller::{Caller, Party, access_token};
use crate::faults::Faults;
use crate::log_copy::LogCopy;
use crate::program::Program;

/// How long it may take to write again once there is room.
const RECOVERY: Duration = Duration::from_secs(30);

/// What was acknowledged and what was refused, as far as the answers said.
#[derive(Default)]
struct Told {
    there: BTreeSet<String>,
    refused: BTreeSet<String>,
}

impl Told {
    /// Adds a person and notes what the answer said.
    async fn add(&mut self, caller: &Caller) -> u16 {
        let serial = self.there.len() + self.refused.len();
        let handle = format!("p{serial}@example.com");
        let answer = caller.add_owner(&handle).await.expect("an answer");
        match answer.status {
            200 => drop(self.there.insert(handle)),
            503 if answer.json()["code"] == "unavailable" => drop(self.refused.insert(handle)),
            // Done and durable, and only not shown in time.
            503 if answer.json()["code"] == "unproven" => drop(self.there.insert(handle)),
            _ => panic!("{answer:?}"),
        }
        answer.status
    }

    /// Holds what is there against it: all that was acknowledged, and nothing that was refused.
    async fn check(&self, caller: &Caller) {
        let listed = caller.owners().await;
        let lost: Vec<_> = self.there.difference(&listed).collect();
        assert!(lost.is_empty(), "acknowledged and gone: {lost:?}");
        let found: Vec<_> = self.refused.intersection(&listed).collect();
        assert!(found.is_empty(), "refused and there: {found:?}");
    }
}

/// A token, a stopped agent's token, and whoever may ask about both.
struct Inhabited {
    steady: Party,
    live: String,
    stopped: String,
    questions: String,
}

async fn inhabited(caller: &Caller) -> Inhabited {
    let steady = caller.register("steady-bot").await;
    let other = caller.register("stopped-bot").await;
    let server = caller.resource().await;
    let live = access_token(&caller.fresh_token(&steady).await);
    let stopped = access_token(&caller.fresh_token(&other).await);
    let body = json!({"reason": "a test"});
    let answer = caller
        .ask("POST", "/v1/agents/stopped-bot/suspend", body)
        .await;
    assert!(answer.is_ok(), "{answer:?}");
    Inhabited {
        steady,
        live,
        stopped,
        questions: caller.questions_of(&server).await,
    }
}

impl Inhabited {
    /// What needs no writing is answered, and rightly.
    async fn reads_work(&self, caller: &Caller) {
        assert_eq!(
            caller.get("/v1/agents/stopped-bot").await["status"],
            "suspended"
        );
        for (token, is_active) in [(&self.live, true), (&self.stopped, false)] {
            let answer = caller.introspect(&self.questions, token).await;
            assert!(answer.is_ok(), "{answer:?}");
            assert_eq!(answer.json()["active"], is_active);
        }
    }
}

#[tokio::test]
async fn stor_02_full_disk_refuses_what_it_cannot_keep_and_recovers_by_itself() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let faults = Faults::new();
    let program = Program::start_with(&data, |command| faults.arm(command));
    let caller = Caller::new(&program, &data);
    let inhabited = inhabited(&caller).await;
    let mut told = Told::default();
    // The disk is full at this write or that one: of the journal, of a sealing, in the middle of a row.
    for writes in 0..25 {
        faults.room(Some(writes));
        let mut tries = 0;
        while told.add(&caller).await == 200 {
            tries += 1;
            assert!(tries < 100, "a full disk still takes everything");
        }
        let answer = caller.fresh_token(&inhabited.steady).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(answer.json()["error"], "temporarily_unavailable");
        inhabited.reads_work(&caller).await;
        faults.room(None);
        let again = Instant::now();
        while told.add(&caller).await != 200 {
            assert!(again.elapsed() < RECOVERY, "there is room, and it refuses");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        access_token(&caller.fresh_token(&inhabited.steady).await);
    }
    assert!(faults.refused() >= 25 && !told.refused.is_empty());
    assert!(faults.lines().contains("unavailable"), "an alarm");
    told.check(&caller).await;

    // Killed while the disk is full, and started on it: it says so or it works, and nothing is lost.
    faults.room(Some(3));
    for _ in 0..20 {
        told.add(&caller).await;
    }
    program.kill();
    if let Ok(program) = Program::try_start(&data, |command| faults.arm(command)) {
        told.check(&Caller::new(&program, &data)).await;
        program.kill();
    }
    faults.room(None);
    let program = Program::start_with(&data, |command| faults.arm(command));
    let caller = Caller::new(&program, &data);
    told.check(&caller).await;
    inhabited.reads_work(&caller).await;
    caller.sealed().await;
    LogCopy::new(&data).audit(&caller).await;
}

#[tokio::test]
async fn stor_04_after_a_flush_that_failed_nothing_is_written_until_a_new_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let faults = Faults::new();
    let mut program = Program::start_with(&data, |command| faults.arm(command));
    let inhabited = inhabited(&Caller::new(&program, &data)).await;
    let mut told = Told::default();
    for failure in 1..=5 {
        let caller = Caller::new(&program, &data);
        for _ in 0..failure {
            assert_eq!(told.add(&caller).await, 200);
        }
        caller.sealed().await;
        faults.fail_a_flush();
        // Whether what was not flushed is lost, nobody knows: it is not acknowledged, and not denied for good.
        let unknown = format!("unknown{failure}@example.com");
        let unknown = caller.add_owner(&unknown).await;
        assert_eq!(unknown.expect("an answer").status, 503);
        assert_eq!(faults.lost(), failure, "it was a flush that failed");
        // Later flushes would succeed and say nothing of what the failed one lost (a page that could not be
        // written counts as clean): so there are none.
        for _ in 0..5 {
            assert_eq!(told.add(&caller).await, 503);
        }
        let answer = caller.fresh_token(&inhabited.steady).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        caller.get("/v1/agents/stopped-bot").await;
        program.kill();
        program = Program::start_with(&data, |command| faults.arm(command));
        let caller = Caller::new(&program, &data);
        told.check(&caller).await;
        inhabited.reads_work(&caller).await;
    }
    let caller = Caller::new(&program, &data);
    caller.sealed().await;
    LogCopy::new(&data).audit(&caller).await;
    // The process says itself that it is of no more use, so that whoever watches over it starts it again.
    faults.fail_a_flush();
    let unknown = caller.add_owner("unknown@example.com").await;
    assert_eq!(unknown.expect("an answer").status, 503);
    let started = Instant::now();
    while caller.ask("GET", "/readyz", Value::Null).await.is_ok() {
        assert!(started.elapsed() < Duration::from_secs(60), "still ready");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let answer = caller
        .introspect(&inhabited.questions, &inhabited.live)
        .await;
    assert_eq!(
        answer.status, 503,
        "what is not known to be true is not told"
    );
}

/// What changes no row is flushed to the file of entries, and a failure there counts as much.
#[tokio::test]
async fn stor_04_after_a_flush_of_the_entries_that_failed_nothing_is_written_until_a_new_start() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let faults = Faults::new();
    let mut program = Program::start_with(&data, |command| faults.arm(command));
    let inhabited = inhabited(&Caller::new(&program, &data)).await;
    let mut told = Told::default();
    for failure in 1..=3 {
        let caller = Caller::new(&program, &data);
        assert_eq!(told.add(&caller).await, 200);
        caller.sealed().await;
        faults.fail_a_flush();
        let answer = caller.fresh_token(&inhabited.steady).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(faults.lost(), failure, "it was a flush that failed");
        let answer = caller.fresh_token(&inhabited.steady).await;
        assert_eq!(answer.status, 503, "{answer:?}");
        assert_eq!(told.add(&caller).await, 503, "nor is a row changed");
        program.kill();
        program = Program::start_with(&data, |command| faults.arm(command));
        let caller = Caller::new(&program, &data);
        told.check(&caller).await;
        inhabited.reads_work(&caller).await;
        let answer = caller.fresh_token(&inhabited.steady).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let caller = Caller::new(&program, &data);
    caller.sealed().await;
    LogCopy::new(&data).audit(&caller).await;
}
