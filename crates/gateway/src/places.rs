//! Places for calls in flight: so many in all, and no more than a share of them for any one server.
//!
//! A server that hangs holds the places of its own calls for minutes; the share leaves room for the
//! calls of all the others.

use std::sync::Arc;

use chancery_model::id::ResourceId;
use moka::sync::Cache;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How many servers are told apart.
const MOST_SERVERS: u64 = 10_000;

/// The places there are.
pub(crate) struct Places {
    all: Arc<Semaphore>,
    share: usize,
    servers: Cache<ResourceId, Arc<Semaphore>>,
}

/// A place that is taken; dropping it frees it.
pub(crate) struct Place {
    _of_server: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl Places {
    /// `count` places, three quarters of them at most for one server.
    pub(crate) fn new(count: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(count)),
            share: (count - count / 4).max(1),
            servers: Cache::new(MOST_SERVERS),
        }
    }

    /// Takes a place for a call of `server`, unless all are taken.
    pub(crate) fn take(&self, server: ResourceId) -> Option<Place> {
        let of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        let share = || Arc::new(Semaphore::new(self.share));
        let of_server = self.servers.get_with(server, share);
        Some(Place {
            _of_server: of_server.try_acquire_owned().ok()?,
            _of_all: of_all,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(last: char) -> ResourceId {
        format!("rsc_01hzy0000000000000000000a{last}")
            .parse()
            .expect("an id")
    }

    #[test]
    fn a_server_that_hangs_leaves_places_for_the_others() {
        let places = Places::new(8);
        let (hanging, other) = (server('a'), server('b'));
        let held: Vec<Place> = std::iter::from_fn(|| places.take(hanging)).collect();
        assert_eq!(held.len(), 6);
        let rest: Vec<Place> = std::iter::from_fn(|| places.take(other)).collect();
        assert_eq!(rest.len(), 2);
        drop(held);
        assert!(places.take(hanging).is_some());
    }

    #[test]
    fn one_place_is_enough_for_one_call() {
        let places = Places::new(1);
        let held = places.take(server('a')).expect("a place");
        assert!(places.take(server('a')).is_none());
        drop(held);
        assert!(places.take(server('b')).is_some());
    }
}
