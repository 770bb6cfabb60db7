//! Who may speak to us beside agents: logins of people, resource servers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chancery_model::author::Hands;
use chancery_model::digest::Digest;
use chancery_model::id::{OwnerId, ProviderId, ResourceId, SessionId};
use chancery_model::time::Timestamp;
use chancery_store::providers;
use chancery_store::resources::Resource;
use chancery_store::sessions::Means;
use chancery_wire::jwk::KeySet;

/// The logins and resource servers of one moment; swapped as a whole after a change.
#[derive(Default)]
pub struct Directory {
    /// Live logins, and the sessions of people in browsers, by the hash of their secret.
    pub logins: HashMap<Digest, Arc<KnownLogin>>,
    /// Resource servers by id.
    pub resources: HashMap<ResourceId, Arc<KnownResource>>,
    /// Resource servers by resource identifier.
    pub by_url: HashMap<String, Arc<KnownResource>>,
    /// Those who vouch for running copies of clients, by name.
    pub attesters: HashMap<String, KnownAttester>,
    /// Providers that people sign in with, by name.
    pub providers: BTreeMap<String, Arc<providers::Kept>>,
    /// Until when clients may register themselves.
    pub registration_until: Option<Timestamp>,
}

impl Directory {
    /// The provider of this id, unless it was removed.
    pub fn provider(&self, id: ProviderId) -> Option<&Arc<providers::Kept>> {
        let mut known = self.providers.values();
        known.find(|kept| kept.provider.id == id)
    }

    /// Whether clients may register themselves at `now`: by an exception, which ends by itself.
    pub fn takes_registrations(&self, now: Timestamp) -> bool {
        self.registration_until.is_some_and(|until| now < until)
    }
}

/// A login of a person who has not left: a secret that was made for them, or a session that they began.
#[derive(Debug, Clone)]
pub struct KnownLogin {
    /// The hash of its secret.
    pub secret_hash: Digest,
    /// The id of the person.
    pub owner_id: OwnerId,
    /// Who the person is, and who had the login made.
    pub hands: Hands,
    /// What the login may do.
    pub roles: Vec<String>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What makes it a session; none for a secret.
    pub session: Option<Session>,
}

/// How long a session may be unused before it ends.
pub const IDLE: Duration = Duration::from_secs(8 * 3_600);
/// How often the use of a session is noted.
const NOTED: Duration = Duration::from_secs(5 * 60);
/// How long ago a person may have signed in for changing how they sign in.
pub const FRESH: Duration = Duration::from_secs(5 * 60);

/// A session of a person in a browser.
#[derive(Debug, Clone)]
pub struct Session {
    /// Names it.
    pub id: SessionId,
    /// By what it was begun.
    pub means: Means,
    /// When the person proved who they are, where that is known.
    pub authenticated_at: Option<Timestamp>,
    /// When it began.
    pub began_at: Timestamp,
    /// When it was used last, to some minutes; the same for every directory that knows the session.
    pub used_at: Arc<LastUse>,
}

/// When a session was used last.
#[derive(Debug)]
pub struct LastUse(AtomicI64);

impl LastUse {
    /// Last used at `at`.
    pub fn new(at: Timestamp) -> Self {
        Self(AtomicI64::new(at.as_micros()))
    }

    /// When that was.
    pub fn at(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }

    /// Another process saw it used at `at`.
    pub(crate) fn raise(&self, at: Timestamp) {
        self.0.fetch_max(at.as_micros(), Ordering::Relaxed);
    }

    /// It is used at `now`; whether that is to be noted where other processes and the next start see it.
    pub(crate) fn is_to_be_noted(&self, now: Timestamp) -> bool {
        let is_due = self.at().after(NOTED) <= now;
        if is_due {
            self.raise(now);
        }
        is_due
    }
}

impl Session {
    /// Whether the person proved who they are just now.
    pub fn is_fresh(&self, now: Timestamp) -> bool {
        let fresh = |at: Timestamp| at.after(FRESH) >= now;
        self.authenticated_at.is_some_and(fresh)
    }

    /// Whether it was not used for too long.
    pub fn is_idle(&self, now: Timestamp) -> bool {
        self.used_at.at().after(IDLE) <= now
    }
}

/// A resource server with its keys parsed.
pub struct KnownResource {
    /// The resource server.
    pub resource: Resource,
    /// The keys that it introspects with.
    pub keys: Option<KeySet>,
}

/// Somebody who vouches for running copies of clients, with its keys parsed.
pub struct KnownAttester {
    /// What its attestations must carry as their issuer.
    pub issuer: Option<String>,
    /// The keys that it signs with.
    pub keys: KeySet,
}
