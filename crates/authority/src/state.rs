//! The authority of one process: what its rooms share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use chancery_gateway::snapshot::{Current, Freshness};
use chancery_gateway::upstream::Reach;
use chancery_model::entropy::Entropy;
use chancery_model::id::DecisionId;
use chancery_model::secret::Secret;
use chancery_model::time::{Clock, Timestamp};
use chancery_store::connect::Store;
use chancery_store::journal::Journal;
use chancery_wire::access_token::VerifiedAccessToken;
use chancery_wire::certificate::trust::ClientTrust;
use chancery_wire::nonce::NonceKey;
use chancery_wire::webauthn::{ChallengeKey, RelyingParty};
use tokio::sync::{Mutex, Notify, watch};

use crate::config::Config;
use crate::directory::Directory;
use crate::documents::Documents;
use crate::issuers::Issuers;
use crate::keyring::KeyRing;
use crate::pressure::Pressure;
use crate::refresh::policies::Compiled;

/// What the rooms of one process share.
pub struct Authority {
    /// The settings.
    pub config: Config,
    /// The origin line of the log's checkpoints; fixed when the authority was founded.
    pub log_origin: String,
    /// The database.
    pub store: Store,
    /// Where events go that change no row.
    pub journal: Journal,
    /// The present.
    pub clock: Arc<dyn Clock>,
    /// Randomness for ids and nonces.
    pub entropy: Arc<dyn Entropy>,
    /// What enforcement sees.
    pub current: Current,
    /// When that was last seen to be current.
    pub freshness: Arc<Freshness>,
    /// Logins and resource servers.
    pub directory: ArcSwap<Directory>,
    /// Signing keys.
    pub keys: ArcSwap<KeyRing>,
    /// Wraps keys at rest.
    pub master: Secret<[u8; 32]>,
    /// The authorities whose certificates name clients.
    pub(crate) client_trust: ArcSwap<ClientTrust>,
    /// Makes the DPoP nonces of the token endpoint.
    pub nonces: NonceKey,
    /// Makes the challenges that proofs of client attestations answer.
    pub attestation_challenges: NonceKey,
    /// Who passkeys are for: the domain, and the origin at which people sign in.
    pub relying_party: RelyingParty,
    /// Makes the challenges that passkeys answer.
    pub challenges: ChallengeKey,
    /// The sequencer's bell and its progress.
    pub sealing: Sealing,
    /// How far behind the process is.
    pub pressure: Arc<Pressure>,
    /// Keeps refusals from flooding the record.
    pub refusals: RefusalGate,
    /// Access tokens that were verified since the last refresh, by their exact text.
    pub verified: moka::sync::Cache<String, Arc<VerifiedAccessToken>>,
    /// Keeps clients that register themselves from coming in crowds.
    pub registrations: RegistrationGate,
    /// What clients say about themselves at their URLs.
    pub documents: Documents,
    /// What other issuers say about themselves, and their keys.
    pub issuers: Issuers,
    /// What upstream servers are reached with, to look at them before they are accepted.
    pub reach: Reach,
    /// The last compiled policies.
    pub(crate) compiled: ArcSwap<Compiled>,
    /// One refresh at a time.
    pub(crate) refreshing: Mutex<()>,
}

/// How the rooms and the sequencer talk.
pub struct Sealing {
    /// Rung when something waits to be sealed at once.
    pub bell: Notify,
    /// The number of sealed entries.
    pub sealed: watch::Sender<u64>,
    /// What the patrol found altered.
    pub alarm: watch::Sender<Option<String>>,
}

impl Authority {
    /// What enforcement sees was current at `now`; not said while the machine's clock is not believed.
    pub(crate) fn mark_current(&self, now: Timestamp) {
        if self.clock.anomaly().is_none() {
            self.freshness.mark(now);
        }
    }

    /// From now on these authorities' certificates name clients: the roof says so at the start, and when the operator
    /// changes the files.
    pub fn trust_clients_of(&self, trust: ClientTrust) {
        self.client_trust.store(Arc::new(trust));
    }

    /// A fresh name for a decision.
    pub fn decision_id(&self, now: Timestamp) -> DecisionId {
        DecisionId::generate(now, &*self.entropy)
    }
}

/// Lets only so many refusals a second into the record; the rest are counted and told with the next one.
///
/// Unauthenticated callers could otherwise make the record grow at will (SI-13).
pub struct RefusalGate {
    second: AtomicU64,
    in_second: AtomicU64,
    suppressed: AtomicU64,
}

/// Recorded refusals a second.
const REFUSALS_PER_SECOND: u64 = 100;

impl RefusalGate {
    /// A gate that has let nothing through yet.
    pub fn new() -> Self {
        Self {
            second: AtomicU64::new(0),
            in_second: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
        }
    }

    /// Whether a refusal at `now` is to be recorded, and how many were not since the last one that was.
    pub fn admit(&self, now: Timestamp) -> Option<u64> {
        let second = now.as_secs().unsigned_abs();
        if self.second.swap(second, Ordering::Relaxed) != second {
            self.in_second.store(0, Ordering::Relaxed);
        }
        if self.in_second.fetch_add(1, Ordering::Relaxed) < REFUSALS_PER_SECOND {
            return Some(self.suppressed.swap(0, Ordering::Relaxed));
        }
        self.suppressed.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// Lets only so many clients a minute register themselves (REG-06).
#[derive(Default)]
pub struct RegistrationGate {
    minute: AtomicU64,
    in_minute: AtomicU64,
}

/// Registrations a minute.
const REGISTRATIONS_PER_MINUTE: u64 = 20;

impl RegistrationGate {
    /// Whether one more may come at `now`.
    pub fn admit(&self, now: Timestamp) -> bool {
        let minute = now.as_secs().unsigned_abs() / 60;
        if self.minute.swap(minute, Ordering::Relaxed) != minute {
            self.in_minute.store(0, Ordering::Relaxed);
        }
        self.in_minute.fetch_add(1, Ordering::Relaxed) < REGISTRATIONS_PER_MINUTE
    }
}

impl Default for RefusalGate {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_is_counted_rather_than_recorded() {
        let gate = RefusalGate::new();
        let now = Timestamp::from_secs(10);
        let recorded = (0..250).filter(|_| gate.admit(now).is_some()).count();
        assert_eq!(recorded, 100);
        assert_eq!(gate.admit(Timestamp::from_secs(11)), Some(150));
    }
}
