//! Keeps refusals from filling the record: so many a second are recorded one by one, the rest are counted.
//!
//! Whoever is not authenticated shares one budget and has a small one of their own; every agent has its
//! own, so that noise from outside hides nothing that an agent did.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use chancery_model::id::AgentId;
use chancery_model::time::Timestamp;

/// How many refusals a second are recorded for one source.
const PER_SOURCE: u32 = 10;
/// How many refusals a second are recorded for all who are not authenticated.
const STRANGERS: u32 = 100;
/// How many sources are told apart within a second.
const SOURCES: usize = 4096;

/// Where a refused request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// An agent that was recognised.
    Agent(AgentId),
    /// Anyone else, by address when that is known.
    Stranger(Option<IpAddr>),
}

/// What becomes of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is recorded.
    Record,
    /// It is counted; the first to be counted arranges that the counts are recorded later.
    Count {
        /// Whether this was the first.
        is_first: bool,
    },
}

/// The budgets of the present second, and what was counted.
#[derive(Default)]
pub(crate) struct Noise(Mutex<Second>);

#[derive(Default)]
struct Second {
    second: i64,
    strangers: u32,
    sources: HashMap<Source, u32>,
    counted: BTreeMap<&'static str, u64>,
}

impl Noise {
    /// Says whether a refusal with this code is recorded or counted.
    pub(crate) fn admit(&self, source: Source, code: &'static str, now: Timestamp) -> Admission {
        // Nothing panics while it holds the lock; if it did, the counts would still be whole.
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.second != now.as_secs() {
            state.second = now.as_secs();
            state.strangers = 0;
            state.sources.clear();
        }
        let is_stranger = matches!(source, Source::Stranger(_));
        let crowded = state.sources.len() >= SOURCES && !state.sources.contains_key(&source);
        let spent = state.sources.get(&source).copied().unwrap_or(0);
        if crowded || spent >= PER_SOURCE || (is_stranger && state.strangers >= STRANGERS) {
            let is_first = state.counted.is_empty();
            *state.counted.entry(code).or_default() += 1;
            return Admission::Count { is_first };
        }
        state.sources.insert(source, spent + 1);
        if is_stranger {
            state.strangers += 1;
        }
        Admission::Record
    }

    /// Takes what was counted since the last time.
    pub(crate) fn take_counted(&self) -> BTreeMap<&'static str, u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.counted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::time::Duration;

    #[test]
    fn noise_of_strangers_is_counted_and_hides_no_agent() {
        let noise = Noise::default();
        let now = Timestamp::from_secs(5);
        let mut recorded = 0;
        let mut firsts = 0;
        for number in 0..2_000_u32 {
            let remote = Source::Stranger(Some(Ipv4Addr::from(number % 50).into()));
            match noise.admit(remote, "no_credentials", now) {
                Admission::Record => recorded += 1,
                Admission::Count { is_first } => firsts += u32::from(is_first),
            }
        }
        assert_eq!((recorded, firsts), (STRANGERS, 1));
        let agent = "agt_01hzy0000000000000000000aa".parse().expect("an id");
        let admission = noise.admit(Source::Agent(agent), "token_revoked", now);
        assert_eq!(admission, Admission::Record);
        let counted = noise.take_counted();
        assert_eq!(
            counted.get("no_credentials"),
            Some(&u64::from(2_000 - STRANGERS))
        );
        assert!(noise.take_counted().is_empty());
        let later = now.after(Duration::from_secs(1));
        let admission = noise.admit(Source::Stranger(None), "no_credentials", later);
        assert_eq!(admission, Admission::Record);
    }
}
