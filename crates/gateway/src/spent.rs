//! Which DPoP proofs were used: each may be used once (DPOP-03).
//!
//! A proof is remembered as long as its time would let it pass. Memory is bounded per client and in
//! total; when a bound is reached the proof is refused, and nothing unexpired is ever forgotten
//! (DPOP-08). A restart forgets everything, but also changes the nonce key, so older proofs fail.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use chancery_model::digest::Digest;
use chancery_model::id::AgentId;
use chancery_model::time::Timestamp;

const SHARDS: usize = 16;
/// Proofs are forgotten together that end within the same half minute.
const GENERATION_SECS: i64 = 30;
/// How often a shard looks for clients that are gone.
const SWEEP_EVERY: u32 = 4096;

/// How many proofs are remembered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) per_client: usize,
    pub(crate) total: usize,
}

/// About 2,000 calls a second for each client; about 100 MB when everything is full.
pub(crate) const BOUNDS: Bounds = Bounds {
    per_client: 250_000,
    total: 2_000_000,
};

/// Why a proof may not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unspendable {
    /// It was used before.
    Replayed,
    /// This client, or all together, used more than are remembered.
    TooMany,
}

/// The proofs that were used.
pub(crate) struct Spent {
    bounds: Bounds,
    total: AtomicUsize,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

#[derive(Default)]
struct Shard {
    clients: HashMap<AgentId, Generations>,
    since_sweep: u32,
}

/// The names of proofs by the half minute in which they end.
type Generations = HashMap<i64, HashSet<[u8; 16]>>;

impl Spent {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            total: AtomicUsize::new(0),
            hasher: RandomState::new(),
            shards: Default::default(),
        }
    }

    /// Uses up the proof `name` of `client`.
    pub(crate) fn spend(
        &self,
        client: AgentId,
        name: Digest,
        ends_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Unspendable> {
        let at = self.hasher.hash_one(client) as usize % SHARDS;
        // Nothing panics while it holds the lock; if it did, the sets would still be whole.
        let mut shard = self.shards[at]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        shard.since_sweep += 1;
        if shard.since_sweep >= SWEEP_EVERY {
            shard.since_sweep = 0;
            shard.clients.retain(|_, generations| {
                self.forget(generations, now);
                !generations.is_empty()
            });
        }
        let generations = shard.clients.entry(client).or_default();
        self.forget(generations, now);
        // 128 bits of a SHA-256: nobody finds a second proof with the same name.
        let mut short = [0; 16];
        short.copy_from_slice(&name.as_bytes()[..16]);
        if generations.values().any(|names| names.contains(&short)) {
            return Err(Unspendable::Replayed);
        }
        let kept: usize = generations.values().map(HashSet::len).sum();
        let full = self.total.load(Ordering::Relaxed) >= self.bounds.total;
        if kept >= self.bounds.per_client || full {
            return Err(Unspendable::TooMany);
        }
        let generation = ends_at.as_secs().div_euclid(GENERATION_SECS) + 1;
        match generations.entry(generation) {
            Entry::Occupied(names) => names.into_mut().insert(short),
            Entry::Vacant(place) => place.insert(HashSet::new()).insert(short),
        };
        self.total.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn forget(&self, generations: &mut Generations, now: Timestamp) {
        let over = now.as_secs().div_euclid(GENERATION_SECS);
        generations.retain(|generation, names| {
            let keep = *generation > over;
            if !keep {
                self.total.fetch_sub(names.len(), Ordering::Relaxed);
            }
            keep
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn client(last: char) -> AgentId {
        let text = format!("agt_01hzy0000000000000000000a{last}");
        text.parse().expect("an id")
    }

    fn name(number: u8) -> Digest {
        Digest::from_bytes([number; 32])
    }

    #[test]
    fn dpop_03_a_proof_is_spent_once_as_long_as_it_lives() {
        let spent = Spent::new(BOUNDS);
        let now = Timestamp::from_secs(1_000);
        let end = now.after(Duration::from_secs(61));
        let a = client('a');
        assert_eq!(spent.spend(a, name(1), end, now), Ok(()));
        for later in [0, 1, 30, 60, 61] {
            let at = now.after(Duration::from_secs(later));
            let again = spent.spend(a, name(1), end, at);
            assert_eq!(again, Err(Unspendable::Replayed), "{later}");
        }
        assert_eq!(spent.spend(a, name(2), end, now), Ok(()));
    }

    #[test]
    fn dpop_08_memory_is_bounded_and_fails_closed_for_that_client_only() {
        let spent = Spent::new(Bounds {
            per_client: 2,
            total: 3,
        });
        let now = Timestamp::from_secs(1_000);
        let end = now.after(Duration::from_secs(61));
        let (a, b) = (client('a'), client('b'));
        assert_eq!(spent.spend(a, name(1), end, now), Ok(()));
        assert_eq!(spent.spend(a, name(2), end, now), Ok(()));
        assert_eq!(spent.spend(a, name(3), end, now), Err(Unspendable::TooMany));
        assert_eq!(
            spent.spend(a, name(1), end, now),
            Err(Unspendable::Replayed)
        );
        assert_eq!(spent.spend(b, name(4), end, now), Ok(()));
        assert_eq!(spent.spend(b, name(5), end, now), Err(Unspendable::TooMany));
        let later = now.after(Duration::from_secs(120));
        let end = later.after(Duration::from_secs(61));
        assert_eq!(spent.spend(a, name(3), end, later), Ok(()));
        assert_eq!(spent.spend(a, name(6), end, later), Ok(()));
    }
}
