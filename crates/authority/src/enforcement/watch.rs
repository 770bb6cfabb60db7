//! Sees what other processes committed, and knows when it last looked: too long ago refuses everything.

use std::sync::Arc;
use std::time::Duration;

use chancery_model::event::{Actor, Event, EventKind};
use chancery_model::time::Timestamp;
use chancery_store::{
    authentications, authorized_calls, codes, device_requests, one_time, pushed_requests,
    refresh_tokens, registered_clients, revocations, rotating_tokens, workload_assertions,
    wrong_user_codes,
};

use crate::error::Error;
use crate::refresh;
use crate::state::Authority;
use crate::text::rfc3339;

/// How often the number of the last change is read.
const PERIOD: Duration = Duration::from_millis(500);
/// Everything is read anew this often even without a change: logins, keys and exceptions end by time.
const ROUNDS_PER_REFRESH: u32 = 60;

/// Follows the database until the process ends.
pub(crate) async fn keep_current(authority: Arc<Authority>) {
    let mut round = 0;
    let mut is_anomalous = false;
    loop {
        tokio::time::sleep(PERIOD).await;
        round += 1;
        // While the machine's clock is not believed nothing is marked as current, so everything is soon refused.
        let anomaly = authority.clock.anomaly();
        if let Some(wall) = anomaly.filter(|_| !is_anomalous) {
            record_anomaly(&authority, wall).await;
        }
        is_anomalous = anomaly.is_some();
        let is_due = round % ROUNDS_PER_REFRESH == 0;
        if let Err(error) = look(&authority, is_due).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the database cannot be followed"
            );
        }
    }
}

async fn look(authority: &Authority, is_due: bool) -> Result<(), Error> {
    let now = authority.clock.now();
    let mut tx = authority.store.follow().await?;
    let number = tx.change_number().await?.unsigned_abs();
    drop(tx);
    // A key whose overlap has ended is withdrawn now, not at the next full reading (JWKS-04).
    let has_ended = |until: Option<Timestamp>| until.is_some_and(|until| until <= now);
    let ring = authority.keys.load();
    let is_withdrawn = (ring.verifying.iter()).any(|known| has_ended(known.verifies_until));
    if is_due || is_withdrawn || authority.current.load().number != number {
        refresh::everything(authority).await?;
    } else {
        authority.mark_current(now);
    }
    // What is known comes first: a row that cannot be removed keeps nobody from seeing what changed.
    if is_due {
        sweep(authority, now).await?;
    }
    Ok(())
}

/// Removes what has ended and that nobody asks for any more.
async fn sweep(authority: &Authority, now: Timestamp) -> Result<(), Error> {
    one_time::sweep(&authority.store, now).await?;
    pushed_requests::sweep(&authority.store, now).await?;
    codes::sweep(&authority.store, now).await?;
    device_requests::sweep(&authority.store, now).await?;
    wrong_user_codes::sweep(&authority.store, now).await?;
    workload_assertions::sweep(&authority.store, now).await?;
    refresh_tokens::sweep(&authority.store, now).await?;
    revocations::sweep(&authority.store, now).await?;
    rotating_tokens::sweep(&authority.store, now).await?;
    registered_clients::sweep(&authority.store, now).await?;
    // What is beside all of these goes last.
    authentications::sweep(&authority.store, now).await?;
    authorized_calls::sweep(&authority.store, now).await?;
    Ok(())
}

/// The machine's clock leapt: recorded once per leap (AUD-04).
async fn record_anomaly(authority: &Authority, wall: Timestamp) {
    let now = authority.clock.now();
    tracing::error!("the machine's clock leapt; calls are refused until it is right again");
    let event = Event {
        facts: [("machine_clock".to_owned(), rfc3339(wall))].into(),
        outcome: "clock_anomaly".to_owned(),
        ..Event::new(
            EventKind::ClockAnomaly,
            Actor::authority(),
            now,
            &*authority.entropy,
        )
    };
    if authority.journal.append(event).await.is_err() {
        tracing::error!("the leap of the clock could not be recorded");
    }
}
