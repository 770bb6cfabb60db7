//! Sees what other processes committed, and knows when it last looked: too long ago refuses everything.

use std::sync::Arc;
use std::time::Duration;

use crate::error::Error;
use crate::refresh;
use crate::state::Authority;
use chancery_store::one_time;

/// How often the number of the last change is read.
const PERIOD: Duration = Duration::from_millis(500);
/// Everything is read anew this often even without a change: logins, keys and exceptions end by time.
const ROUNDS_PER_REFRESH: u32 = 60;

/// Follows the database until the process ends.
pub(crate) async fn keep_current(authority: Arc<Authority>) {
    let mut round = 0;
    loop {
        tokio::time::sleep(PERIOD).await;
        round += 1;
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
    let mut tx = authority.store.read().await?;
    let number = tx.change_number().await?.unsigned_abs();
    drop(tx);
    if is_due {
        one_time::sweep(&authority.store, now).await?;
    }
    if is_due || authority.current.load().number != number {
        return refresh::everything(authority).await;
    }
    authority.freshness.mark(now);
    Ok(())
}
