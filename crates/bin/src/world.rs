//! The clock and the randomness of the operating system.

use std::fs;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chancery_model::entropy::Entropy;
use chancery_model::time::{Clock, Timestamp};

/// How far the machine's clock may move away from the time that passed before it is not believed.
const TOLERANCE: i64 = 5_000_000;

/// The time that passed since the start, corrected by the machine's clock only in small steps.
///
/// A leap of that clock is not followed: what has expired stays expired, and nothing is made for a future
/// that may be taken back (SI-14, TIME-01, TIME-02). Only when the machine slept, which its uptime tells,
/// is a leap forward the truth.
pub(crate) struct SystemClock {
    start: Instant,
    start_uptime: Option<Duration>,
    /// What to add to the microseconds since the start.
    offset: AtomicI64,
    /// The latest moment that was given out.
    highest: AtomicI64,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            start_uptime: uptime(),
            offset: AtomicI64::new(wall()),
            highest: AtomicI64::new(0),
        }
    }

    fn passed(&self) -> i64 {
        i64::try_from(self.start.elapsed().as_micros()).unwrap_or(i64::MAX)
    }

    /// How long the machine has slept since the start.
    fn slept(&self) -> i64 {
        let up = self
            .start_uptime
            .zip(uptime())
            .map(|(before, now)| now.saturating_sub(before));
        let up = up.map_or(0, |up| i64::try_from(up.as_micros()).unwrap_or(i64::MAX));
        (up - self.passed()).max(0)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let (wall, passed) = (wall(), self.passed());
        let believed = passed.saturating_add(self.offset.load(Ordering::Relaxed));
        let leap = wall - believed;
        let is_true =
            leap.abs() <= TOLERANCE || (leap > 0 && (leap - self.slept()).abs() <= TOLERANCE);
        let now = if is_true {
            self.offset.store(wall - passed, Ordering::Relaxed);
            wall
        } else {
            believed
        };
        let highest = self.highest.fetch_max(now, Ordering::Relaxed);
        Timestamp::from_micros(now.max(highest))
    }

    fn anomaly(&self) -> Option<Timestamp> {
        let (now, wall) = (self.now(), wall());
        let is_far = (wall - now.as_micros()).abs() > TOLERANCE;
        is_far.then(|| Timestamp::from_micros(wall))
    }
}

fn wall() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}

/// How long the machine has been up, the time it slept included.
fn uptime() -> Option<Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// The random source of the operating system, asked directly: the generator of the cryptography library spends tens of
/// milliseconds on its first byte, which every command and every start would wait for.
pub(crate) struct OperatingSystem;

impl Entropy for OperatingSystem {
    fn fill(&self, bytes: &mut [u8]) {
        // Without randomness nothing here is safe, and the source only fails when the system is broken.
        getrandom::fill(bytes).expect("the operating system gives randomness");
    }
}
