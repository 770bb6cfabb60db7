//! The clock and the randomness of the operating system.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand;
use chancery_model::entropy::Entropy;
use chancery_model::time::{Clock, Timestamp};

/// The system clock, held to never go back: what has expired stays expired (SI-14).
pub(crate) struct SystemClock {
    highest: AtomicI64,
}

impl SystemClock {
    pub(crate) fn new() -> Self {
        Self {
            highest: AtomicI64::new(0),
        }
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let micros = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
        let highest = self.highest.fetch_max(micros, Ordering::Relaxed);
        Timestamp::from_micros(micros.max(highest))
    }
}

/// The random source of the operating system.
pub(crate) struct OperatingSystem;

impl Entropy for OperatingSystem {
    fn fill(&self, bytes: &mut [u8]) {
        // Without randomness nothing here is safe, and the source only fails when the system is broken.
        rand::fill(bytes).expect("the operating system gives randomness");
    }
}
