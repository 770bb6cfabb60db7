//! The machine's clock leaps under the running program.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::caller::{Caller, Party, access_token, claims, now};
use crate::faults::Faults;
use crate::program::Program;

const YEAR: i64 = 365 * 86_400;
const HOUR: i64 = 3_600;

/// Asks for tokens until the answer has this status.
async fn until(caller: &Caller, agent: &Party, status: u16) {
    let started = Instant::now();
    loop {
        let answer = caller.fresh_token(agent).await;
        if answer.status == status {
            return;
        }
        // What is issued meanwhile is for the present, not for the future that the machine believes in.
        if answer.is_ok() {
            let end = claims(&access_token(&answer))["exp"].as_i64();
            let most = now().as_secs() + 400;
            assert!(end.expect("an end") < most, "a token for the future");
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{answer:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn leaps_and_comes_back(leap: i64) {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let faults = Faults::new();
    let program = Program::start_with(&data, |command| faults.arm(command));
    let caller = Caller::new(&program, &data);
    let agent = caller.register("steady-bot").await;
    let server = caller.resource().await;
    let token = access_token(&caller.fresh_token(&agent).await);
    let questions = caller.questions_of(&server).await;
    let ended = agent.assertion_of(now().before(Duration::from_secs(90)));
    let proof = agent.proof(&caller.fresh_token(&agent).await.nonce);

    faults.leap(leap);
    let refused = caller.token(&ended, &proof).await.expect("an answer");
    assert_eq!(refused.status, 401, "what has ended stays ended");
    // Within the bound of staleness nothing is issued any more, and the record says why.
    until(&caller, &agent, 503).await;
    assert_eq!(caller.ask("GET", "/readyz", Value::Null).await.status, 503);
    assert_eq!(caller.introspect(&questions, &token).await.status, 503);

    faults.leap(0);
    until(&caller, &agent, 200).await;
    let answer = caller.introspect(&questions, &token).await.json();
    assert_eq!(answer["active"], true, "nothing live was ended");
    let refused = caller.token(&ended, &proof).await.expect("an answer");
    assert_eq!(refused.status, 401, "{refused:?}");
    caller.sealed().await;
    let told = caller.get("/v1/events?kind=clock.anomaly").await;
    assert_eq!(told["items"].as_array().map(Vec::len), Some(1), "{told}");
}

#[tokio::test]
async fn time_01_machine_clock_that_leaps_a_year_ahead_ends_and_makes_nothing() {
    leaps_and_comes_back(YEAR).await;
}

#[tokio::test]
async fn time_02_machine_clock_that_leaps_an_hour_back_revives_nothing() {
    leaps_and_comes_back(-HOUR).await;
}
