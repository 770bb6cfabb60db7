//! The program killed in the middle of its work, again and again: whatever it acknowledged is there when it runs
//! again, what was used once stays used, and the log it signed verifies. Nothing is repaired between.

use std::process::Command;
use std::time::Duration;

use crate::caller::Caller;
use crate::database::shared;
use crate::load::Load;
use crate::program::Program;

/// How often between the whole log is downloaded and verified.
const PER_AUDIT: u64 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stor_01_aud_10_whatever_was_acknowledged_outlives_a_hundred_kills() {
    kill_again_and_again(100, |_| {}).await;
}

/// The same with the database elsewhere; the process that is killed is ours, as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stor_01_on_postgresql_whatever_was_acknowledged_outlives_thirty_kills() {
    let Some(url) = shared("crash").await else {
        return;
    };
    kill_again_and_again(30, move |command| {
        command.arg("--database").arg(&url);
    })
    .await;
}

async fn kill_again_and_again(cycles: u64, change: impl Fn(&mut Command)) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let mut program = Program::start_with(&data, &change);
    let mut load = Load::prepare(&Caller::new(&program, &data), &data).await;
    let mut chance: u64 = 0x9e37_79b9_7f4a_7c15;
    for cycle in 0..cycles {
        let working = load.start(cycle, &Caller::new(&program, &data));
        // xorshift: the moments differ, and a failure can be run again.
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        tokio::time::sleep(Duration::from_millis(100 + chance % 200)).await;
        program.kill();
        working.end().await;
        program = Program::start_with(&data, &change);
        let caller = Caller::new(&program, &data);
        load.check(&caller).await;
        if cycle % PER_AUDIT == PER_AUDIT - 1 {
            load.audit(&caller).await;
        }
    }
    let caller = Caller::new(&program, &data);
    let told = load.finish(&caller, cycles as usize).await;
    println!("{cycles} kills: {told}");
}
