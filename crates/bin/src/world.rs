//! The clock and the randomness of the operating system.

use std::cell::RefCell;
use std::fs;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chancery_model::entropy::Entropy;
use chancery_model::time::{Clock, Timestamp};
use zeroize::Zeroize;

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
///
/// A thread asks for many bytes at a time, since each request takes a few and each question to the system costs a
/// microsecond. What it has given out it no longer has.
pub(crate) struct OperatingSystem;

/// Bytes of one question to the system.
const AHEAD: usize = 512;

/// What a thread asked for ahead.
struct Ahead {
    bytes: [u8; AHEAD],
    left: usize,
}

thread_local! {
    static AHEAD_OF_USE: RefCell<Ahead> = const { RefCell::new(Ahead { bytes: [0; AHEAD], left: 0 }) };
}

impl Ahead {
    fn give(&mut self, wanted: &mut [u8]) {
        if self.left < wanted.len() {
            ask(&mut self.bytes);
            self.left = AHEAD;
        }
        let (rest, _given) = self.bytes.split_at_mut(self.left);
        let (_kept, given) = rest.split_at_mut(self.left - wanted.len());
        wanted.copy_from_slice(given);
        given.zeroize();
        self.left -= wanted.len();
    }
}

impl Entropy for OperatingSystem {
    fn fill(&self, bytes: &mut [u8]) {
        if bytes.len() > AHEAD {
            ask(bytes);
        } else {
            AHEAD_OF_USE.with_borrow_mut(|ahead| ahead.give(bytes));
        }
    }
}

fn ask(bytes: &mut [u8]) {
    // Without randomness nothing here is safe, and the source only fails when the system is broken.
    getrandom::fill(bytes).expect("the operating system gives randomness");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn bytes_are_given_once_and_not_kept() {
        let mut ahead = Ahead {
            bytes: [0; AHEAD],
            left: 0,
        };
        let mut seen = HashSet::new();
        for length in (8..=64).cycle().take(500) {
            let mut wanted = vec![0; length];
            ahead.give(&mut wanted);
            assert!(seen.insert(wanted[..8].to_vec()), "given twice");
            let given = &ahead.bytes[ahead.left..ahead.left + length];
            assert!(given.iter().all(|byte| *byte == 0), "kept");
        }
        let mut all = [0; AHEAD];
        ahead.give(&mut all);
        assert_eq!(ahead.left, 0);
    }
}
