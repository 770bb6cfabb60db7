//! What other issuers say of themselves, and their keys: fetched when they are needed, believed for a while, and fetched anew
//! for a key that is not known, seldom.
//!
//! Only issuers that an administrator named are looked up. Whoever makes up names of keys makes us fetch nothing more than
//! once in half a minute (JWKS-03), and whatever goes wrong is one answer.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use chancery_gateway::document::{self, NoDocument};
use chancery_gateway::outbound::{Endpoint, Network};
use chancery_model::digest::Digest;
use chancery_model::provider::Provider;
use chancery_model::time::Timestamp;
use chancery_wire::issuer::{self, DOCUMENT, IssuerKeys, IssuerMetadata, NotSigned};
use chancery_wire::jws::{Unverified, Verified};
use moka::sync::Cache;
use tokio::sync::{Mutex, OwnedMutexGuard, Semaphore, SemaphorePermit};

use crate::state::Authority;

/// How many issuers are remembered.
const ISSUERS: u64 = 256;
/// How long keys are believed at most, whatever their issuer lets others do: a key that it withdraws verifies for no longer
/// here (JWKS-04).
const MAX_AGE: Duration = Duration::from_secs(5 * 60);
/// How long an issuer is left alone after its documents were fetched, or could not be.
const REST: Duration = Duration::from_secs(30);
/// How long somebody may take to sign in at an issuer.
pub(crate) const ATTEMPT: Duration = Duration::from_secs(600);
/// How many attempts are remembered that were exchanged; none lives longer than they are.
const EXCHANGED: u64 = 100_000;
/// How many strangers have a provider asked at a time.
const TURNS: usize = 32;

/// An issuer that an administrator named.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'a> {
    /// Its identifier, as its own documents write it.
    pub(crate) issuer: &'a str,
    /// Where its documents, and what they name, may lead.
    pub(crate) network: Network,
}

impl<'a> Named<'a> {
    /// Whether the URL of a document of the issuer may be gone to, by us or by a browser that we send there.
    pub(crate) fn allows(&self, url: &str) -> bool {
        Endpoint::parse_within(url, self.network).is_ok()
    }

    /// The issuer of a provider.
    pub(crate) fn of(authority: &Authority, provider: &'a Provider) -> Self {
        Self::new(authority, &provider.issuer, provider.rules.is_private)
    }

    /// An issuer on the public network or, where an administrator said so of it, on a private one.
    pub(crate) fn new(authority: &Authority, issuer: &'a str, is_private: bool) -> Self {
        let network = match is_private {
            true => Network::Private,
            false => Network::of_stranger(authority.config.is_development()),
        };
        Self { issuer, network }
    }
}

/// What an issuer said of itself.
#[derive(Debug)]
pub(crate) struct Issuer {
    /// Its discovery document.
    pub(crate) metadata: IssuerMetadata,
    /// Its keys.
    keys: IssuerKeys,
}

/// Why a token is not one of an issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotIssued {
    /// The issuer cannot be asked, or what it says is not acceptable.
    Unavailable,
    /// The algorithm is none of those that the issuer says it uses.
    AlgNotAllowed,
    /// The signature is by no key of the issuer.
    NotSigned(NotSigned),
}

/// What issuers said of themselves, by identifier and network.
pub struct Issuers {
    known: Cache<(String, Network), Arc<Slot>>,
    turns: Semaphore,
    /// The answers that a provider was asked about already.
    exchanged: Cache<Digest, ()>,
}

/// What is kept of one issuer. What it said is read while somebody asks it anew: a key that nobody knows keeps nobody
/// waiting who has one that is known.
#[derive(Default)]
struct Slot {
    said: ArcSwapOption<Said>,
    /// When the issuer was asked last; whoever holds it is the only one who asks.
    asked_at: Arc<Mutex<Option<Timestamp>>>,
}

struct Said {
    issuer: Arc<Issuer>,
    until: Timestamp,
}

impl Issuers {
    /// Nobody is known yet.
    pub fn new() -> Self {
        Self {
            known: Cache::new(ISSUERS),
            turns: Semaphore::new(TURNS),
            exchanged: Cache::builder()
                .max_capacity(EXCHANGED)
                .time_to_live(ATTEMPT)
                .build(),
        }
    }

    /// A turn to ask a provider for a stranger; who comes beyond those that there are may come again.
    pub(crate) fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.turns.try_acquire().ok()
    }

    /// Whether nobody was here with this attempt before: a provider is asked about each once.
    pub(crate) fn is_first(&self, attempt: Digest) -> bool {
        self.exchanged.entry(attempt).or_insert(()).is_fresh()
    }

    fn slot(&self, named: Named<'_>) -> Arc<Slot> {
        let key = (named.issuer.to_owned(), named.network);
        self.known.get_with(key, Arc::default)
    }
}

impl Slot {
    /// What the issuer said, as long as it is believed.
    fn believed(&self, now: Timestamp) -> Option<Arc<Issuer>> {
        let said = self.said.load();
        let said = said.as_ref().filter(|said| now < said.until)?;
        Some(Arc::clone(&said.issuer))
    }
}

impl Default for Issuers {
    fn default() -> Self {
        Self::new()
    }
}

/// The issuer, from its documents of the last five minutes or fetched now.
pub(crate) async fn find(
    authority: &Arc<Authority>,
    named: Named<'_>,
    now: Timestamp,
) -> Result<Arc<Issuer>, NoDocument> {
    let slot = authority.issuers.slot(named);
    if let Some(issuer) = slot.believed(now) {
        return Ok(issuer);
    }
    let turn = Arc::clone(&slot.asked_at).lock_owned().await;
    // Somebody else may have had it asked while we waited.
    match slot.believed(now) {
        Some(issuer) => Ok(issuer),
        None => ask(authority, named, slot, turn, now).await,
    }
}

/// What the issuer signed as `token`, with an algorithm that it says it uses. A key that is not known has its
/// documents fetched once more, when that was not done just now.
pub(crate) async fn verify(
    authority: &Arc<Authority>,
    named: Named<'_>,
    token: &Unverified<'_>,
    now: Timestamp,
) -> Result<Verified, NotIssued> {
    let issuer = find(authority, named, now).await;
    let issuer = issuer.map_err(|NoDocument| NotIssued::Unavailable)?;
    match issuer.verify(token) {
        Err(NotIssued::NotSigned(NotSigned::UnknownKey)) => {}
        verified => return verified,
    }
    let slot = authority.issuers.slot(named);
    let turn = Arc::clone(&slot.asked_at).lock_owned().await;
    // Somebody else may have had them fetched while we waited.
    if let Some(newer) = slot
        .believed(now)
        .filter(|said| !Arc::ptr_eq(said, &issuer))
    {
        return newer.verify(token);
    }
    match ask(authority, named, slot, turn, now).await {
        Ok(issuer) => issuer.verify(token),
        Err(NoDocument) => Err(NotIssued::NotSigned(NotSigned::UnknownKey)),
    }
}

impl Issuer {
    fn verify(&self, token: &Unverified<'_>) -> Result<Verified, NotIssued> {
        if !self.metadata.algorithms.contains(&token.header().alg) {
            return Err(NotIssued::AlgNotAllowed);
        }
        self.keys.verify(token).map_err(NotIssued::NotSigned)
    }
}

/// Fetches both documents, unless the issuer was asked just now. What was known stays for its time when that fails.
///
/// In a task of its own, so that nobody keeps others from an issuer by having it asked and going away.
async fn ask(
    authority: &Arc<Authority>,
    named: Named<'_>,
    slot: Arc<Slot>,
    mut turn: OwnedMutexGuard<Option<Timestamp>>,
    now: Timestamp,
) -> Result<Arc<Issuer>, NoDocument> {
    if turn.is_some_and(|asked_at| now < asked_at.after(REST)) {
        return Err(NoDocument);
    }
    *turn = Some(now);
    let authority = Arc::clone(authority);
    let (issuer, network) = (named.issuer.to_owned(), named.network);
    let asking = tokio::spawn(async move {
        let (issuer, age) = fetch_both(&authority, &issuer, network).await?;
        slot.said.store(Some(Arc::new(Said {
            issuer: Arc::clone(&issuer),
            until: now.after(age),
        })));
        // Until now nobody else asks.
        drop(turn);
        Ok(issuer)
    });
    asking.await.unwrap_or(Err(NoDocument))
}

async fn fetch_both(
    authority: &Authority,
    issuer: &str,
    network: Network,
) -> Result<(Arc<Issuer>, Duration), NoDocument> {
    let url = issuer::discovery_url(issuer);
    let read = |bytes: &[u8]| IssuerMetadata::of_document(bytes, issuer);
    let (reach, most) = (&authority.reach, DOCUMENT.bytes);
    let metadata = document::fetch(reach, &url, network, most, read, ()).await?;
    let url = &metadata.read.jwks_uri;
    let read = IssuerKeys::of_document;
    let keys = document::fetch(reach, url, network, most, read, ()).await?;
    let ages = [metadata.max_age, keys.max_age].into_iter().flatten();
    let age = ages.min().unwrap_or(MAX_AGE).clamp(REST, MAX_AGE);
    let issuer = Issuer {
        metadata: metadata.read,
        keys: keys.read,
    };
    Ok((Arc::new(issuer), age))
}
