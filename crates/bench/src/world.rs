//! The clock and the randomness of the bench.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use chancery_model::entropy::Entropy;
use chancery_model::time::{Clock, Timestamp};
use chancery_wire::base64url;

/// The clock of the machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// Numbers that differ from each other and from those of other runs: the ids of a bench need no more.
#[derive(Debug, Default)]
pub(crate) struct Distinct {
    keys: RandomState,
    count: AtomicU64,
}

impl Entropy for Distinct {
    fn fill(&self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            let number = self.count.fetch_add(1, Ordering::Relaxed);
            let hash = self.keys.hash_one(number).to_le_bytes();
            piece.copy_from_slice(&hash[..piece.len()]);
        }
    }
}

impl Distinct {
    /// A name that was not used before.
    pub(crate) fn name(&self) -> String {
        let mut bytes = [0; 16];
        self.fill(&mut bytes);
        base64url::encode(&bytes)
    }
}
