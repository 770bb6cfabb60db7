//! Places: how many calls are worked on at once, and how many are under way (DOS-08).
//!
//! The one rule by which calls are sent away, before anything of them is read or checked. Whoever is
//! worked on has a turn, and there are so few turns that nobody who has one waits long: when more comes
//! in than goes out, turns run out first. A call that waits for its server gives its turn back and keeps
//! its place. A server that hangs holds the places of its own calls for minutes; it has a share of them,
//! which leaves room for the calls of all the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chancery_model::id::ResourceId;

/// How many calls are worked on at once for each worker of the runtime: what one does within a few
/// hundredths of a second, the wait for the record included.
const TURNS_OF_A_WORKER: usize = 64;

/// How many calls there may be at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Calls that are worked on.
    pub(crate) turns: usize,
    /// Calls under way.
    pub(crate) places: usize,
    /// Calls under way to one server.
    pub(crate) share: usize,
}

impl Bounds {
    /// `places` calls under way, three quarters of them at most to one server; `workers` do the work.
    pub(crate) fn new(places: usize, workers: usize) -> Self {
        Self {
            turns: workers
                .saturating_mul(TURNS_OF_A_WORKER)
                .clamp(1, places.max(1)),
            places,
            share: (places - places / 4).max(1),
        }
    }
}

/// The places and turns there are.
pub(crate) struct Places(Arc<Inner>);

struct Inner {
    bounds: Bounds,
    taken: Mutex<Taken>,
}

/// What is taken.
#[derive(Default)]
struct Taken {
    turns: usize,
    places: usize,
    /// Servers with calls under way.
    of_server: HashMap<ResourceId, usize>,
}

impl Inner {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        // Nothing panics while it holds the lock; if it did, the counts would still be whole.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, taken: &Taken, server: ResourceId) -> bool {
        let of_server = taken.of_server.get(&server).copied().unwrap_or(0);
        taken.turns < self.bounds.turns
            && taken.places < self.bounds.places
            && of_server < self.bounds.share
    }
}

impl Places {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self(Arc::new(Inner {
            bounds,
            taken: Mutex::default(),
        }))
    }

    /// Whether a call of `server` would get a place now. It is asked at the door, before the body is read:
    /// a client that is slow to send one must not hold what is to be had.
    pub(crate) fn has_room(&self, server: ResourceId) -> bool {
        self.0.has_room(&self.0.taken(), server)
    }

    /// Takes a turn and a place for a call of `server`, unless there is none.
    pub(crate) fn take(&self, server: ResourceId) -> Option<Working> {
        let mut taken = self.0.taken();
        if !self.0.has_room(&taken, server) {
            return None;
        }
        taken.turns += 1;
        taken.places += 1;
        *taken.of_server.entry(server).or_default() += 1;
        Some(Working {
            turn: Turn(Arc::clone(&self.0)),
            place: Place {
                inner: Arc::clone(&self.0),
                server,
            },
        })
    }
}

/// A call that is worked on.
pub(crate) struct Working {
    turn: Turn,
    place: Place,
}

impl Working {
    /// Gives the turn back: from here on the call waits for its server.
    pub(crate) fn rest(self) -> Place {
        self.place
    }

    /// Gives the turn back for a while. Whoever comes back is not sent away: what has begun is finished.
    pub(crate) fn pause(&self) -> Pause<'_> {
        let inner = &self.turn.0;
        inner.taken().turns -= 1;
        Pause(inner)
    }
}

/// A turn that is taken; dropping it gives it back.
struct Turn(Arc<Inner>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.taken().turns -= 1;
    }
}

/// A turn that is given back for a while; dropping this takes it again.
pub(crate) struct Pause<'a>(&'a Inner);

impl Drop for Pause<'_> {
    fn drop(&mut self) {
        self.0.taken().turns += 1;
    }
}

/// A place that is taken; dropping it frees it.
pub(crate) struct Place {
    inner: Arc<Inner>,
    server: ResourceId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.inner.taken();
        taken.places -= 1;
        if let Some(of_server) = taken.of_server.get_mut(&self.server) {
            *of_server -= 1;
            if *of_server == 0 {
                taken.of_server.remove(&self.server);
            }
        }
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

    fn resting(places: &Places, server: ResourceId) -> Vec<Place> {
        std::iter::from_fn(|| places.take(server).map(Working::rest)).collect()
    }

    #[test]
    fn a_server_that_hangs_leaves_places_for_the_others() {
        let places = Places::new(Bounds::new(8, 1));
        let (hanging, other) = (server('a'), server('b'));
        let held = resting(&places, hanging);
        assert_eq!(held.len(), 6);
        assert!(!places.has_room(hanging) && places.has_room(other));
        assert_eq!(resting(&places, other).len(), 2);
        drop(held);
        assert!(places.take(hanging).is_some());
    }

    #[test]
    fn one_place_is_enough_for_one_call() {
        let places = Places::new(Bounds::new(1, 1));
        let held = places.take(server('a')).expect("a place");
        assert!(places.take(server('a')).is_none());
        drop(held);
        assert!(places.take(server('b')).is_some());
    }

    #[test]
    fn dos_08_who_waits_for_a_server_keeps_nobody_from_being_worked_on() {
        let bounds = Bounds {
            turns: 2,
            places: 10,
            share: 10,
        };
        let places = Places::new(bounds);
        let (a, b) = (server('a'), server('b'));
        let first = places.take(a).expect("a turn");
        let second = places.take(a).expect("a turn");
        assert!(!places.has_room(b) && places.take(b).is_none());
        let first = first.rest();
        let third = places.take(b).expect("a turn");
        assert!(!places.has_room(b));
        // Whoever comes back is not sent away, and counts again.
        let pause = second.pause();
        let fourth = places.take(b).expect("a turn");
        drop(pause);
        drop(fourth);
        assert!(!places.has_room(b));
        drop(third);
        assert!(places.has_room(b));
        drop((first, second));
        assert_eq!(resting(&places, a).len(), 10);
    }
}
