//! How far behind the process is: the delay of a task that wants to run every few milliseconds.
//!
//! Whatever the cause, work that waits for its turn shows as this delay, so it is the one measure by which
//! load is shed before latency collapses (DOS-08). What counts is the least delay over a while: a single
//! late turn is the machine's noise, but when not one turn was in time, more comes in than goes out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How often the delay is measured.
const PERIOD: Duration = Duration::from_millis(5);
/// The delay from which on new work is sent away.
const HIGH: Duration = Duration::from_millis(10);
/// Over how many measurements the least delay is taken.
const WINDOW: usize = 12;

/// The least delay of late.
#[derive(Debug, Default)]
pub struct Pressure {
    least_micros: AtomicU64,
}

impl Pressure {
    /// Starts measuring, for as long as the process runs.
    pub fn measure() -> Arc<Self> {
        let pressure = Arc::new(Self::default());
        tokio::spawn(Arc::clone(&pressure).follow());
        pressure
    }

    async fn follow(self: Arc<Self>) {
        let mut recent = [0; WINDOW];
        for place in (0..WINDOW).cycle() {
            let due = Instant::now() + PERIOD;
            tokio::time::sleep_until(due).await;
            let delay = Instant::now().saturating_duration_since(due);
            recent[place] = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
            let least = recent.iter().copied().min().unwrap_or_default();
            self.least_micros.store(least, Ordering::Relaxed);
        }
    }

    /// Whether more waits than can be done in time.
    pub fn is_high(&self) -> bool {
        u128::from(self.least_micros.load(Ordering::Relaxed)) > HIGH.as_micros()
    }
}
