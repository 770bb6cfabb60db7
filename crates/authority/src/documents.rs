//! What was read at the URLs that clients are known by: good documents for a while, failures for a minute, both bounded.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chancery_model::id::OwnerId;
use chancery_model::time::Timestamp;
use chancery_wire::client_metadata::ClientMetadata;
use moka::sync::Cache;
use tokio::sync::{Semaphore, SemaphorePermit};

/// How many clients are remembered.
const CLIENTS: u64 = 1_000;
/// How many documents are fetched at a time: whoever asks beyond that is sent away.
const FETCHES: usize = 64;
/// How many of them one person has fetched at a time.
const EACH: usize = 8;
/// How long a document is believed whose server says nothing of that, and the longest that one is.
const MAX_AGE: Duration = Duration::from_secs(5 * 60);
const LONGEST_AGE: Duration = Duration::from_secs(3_600);
/// How long a URL is left alone after there was no document: failures are not believed for longer.
const FAILED_AGE: Duration = Duration::from_secs(60);

/// What was read, by URL.
pub struct Documents {
    known: Cache<String, (Arc<Option<ClientMetadata>>, Timestamp)>,
    fetches: Semaphore,
    /// Who has a document fetched at this moment.
    asking: Mutex<HashMap<OwnerId, usize>>,
}

/// The turn of a person to have a document fetched.
pub(crate) struct Turn<'a> {
    documents: &'a Documents,
    person: OwnerId,
    _fetching: SemaphorePermit<'a>,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut asking = self.documents.asking();
        if let Entry::Occupied(mut mine) = asking.entry(self.person) {
            *mine.get_mut() -= 1;
            if *mine.get() == 0 {
                mine.remove();
            }
        }
    }
}

impl Documents {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self {
            known: Cache::new(CLIENTS),
            fetches: Semaphore::new(FETCHES),
            asking: Mutex::default(),
        }
    }

    /// A turn to have a document fetched: few for each person, and not many in all; who comes beyond that may come again.
    pub(crate) fn turn(&self, person: OwnerId) -> Option<Turn<'_>> {
        let fetching = self.fetches.try_acquire().ok()?;
        let mut asking = self.asking();
        let mine = asking.entry(person).or_default();
        if *mine == EACH {
            return None;
        }
        *mine += 1;
        Some(Turn {
            documents: self,
            person,
            _fetching: fetching,
        })
    }

    fn asking(&self) -> MutexGuard<'_, HashMap<OwnerId, usize>> {
        // A count has no half of a change in it, whoever panicked.
        self.asking.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of a URL: a document, or that there was none.
    pub(crate) fn recall(&self, url: &str, now: Timestamp) -> Option<Arc<Option<ClientMetadata>>> {
        let (read, until) = self.known.get(url)?;
        (now < until).then_some(read)
    }

    /// Remembers what was read, for as long as its server and we let it.
    pub(crate) fn remember(
        &self,
        url: &str,
        read: Option<ClientMetadata>,
        max_age: Option<Duration>,
        now: Timestamp,
    ) -> Arc<Option<ClientMetadata>> {
        let age = match &read {
            Some(_) => max_age.unwrap_or(MAX_AGE).min(LONGEST_AGE),
            None => FAILED_AGE,
        };
        let read = Arc::new(read);
        let until = now.after(age);
        self.known
            .insert(url.to_owned(), (Arc::clone(&read), until));
        read
    }
}

impl Default for Documents {
    fn default() -> Self {
        Self::new()
    }
}
