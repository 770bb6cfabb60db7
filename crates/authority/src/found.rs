//! Founding and opening an authority: makes its keys the first time, loads everything every time.

use std::sync::Arc;

use arc_swap::ArcSwap;
use chancery_gateway::snapshot::{Freshness, Snapshot};
use chancery_gateway::upstream::Reach;
use chancery_model::entropy::Entropy;
use chancery_model::event::{Actor, Event, EventKind};
use chancery_model::secret::Secret;
use chancery_model::time::{Clock, Timestamp};
use chancery_store::connect::Store;
use chancery_store::error::StoreError;
use chancery_store::journal::Journal;
use chancery_store::tx::Tx;
use chancery_store::{meta, signing_keys};
use chancery_wire::certificate::trust::ClientTrust;
use chancery_wire::jwk::Algorithm;
use chancery_wire::nonce::NonceKey;
use chancery_wire::origin;
use chancery_wire::webauthn::{ChallengeKey, RelyingParty};
use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, Notify, watch};

use crate::audit::patrol;
use crate::audit::sequence::Sequencer;
use crate::config::Config;
use crate::directory::Directory;
use crate::documents::Documents;
use crate::enforcement::watch::keep_current;
use crate::error::Error;
use crate::issuers::Issuers;
use crate::keyring::{KeyRing, Purpose};
use crate::keys::create;
use crate::pressure::Pressure;
use crate::providers::watch::watch_people;
use crate::refresh;
use crate::refresh::policies::Compiled;
use crate::state::{Authority, RefusalGate, RegistrationGate, Sealing};

/// What only the roof has.
pub struct World {
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Wraps keys at rest.
    pub master: Secret<[u8; 32]>,
    /// Reaches upstream servers.
    pub reach: Reach,
}

/// Why an authority cannot open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The database.
    #[error("the database cannot be used")]
    Store(#[from] StoreError),
    /// The data belong to an authority of another name.
    #[error("the data are those of `{found}`; start with that issuer, or with another data folder")]
    AnotherIssuer {
        /// The issuer in the database.
        found: String,
    },
    /// The keys were wrapped by another master key.
    #[error(
        "the keys in the database do not open with this `master.key`; restore the one that they were made with"
    )]
    WrongMasterKey,
    /// The database is empty, or that of another authority (STOR-03).
    #[error(
        "the database is not the one that belongs here: `log.key` is of a log that it does not have; restore it from \
         its backup, or remove `log.key` to begin with what is there"
    )]
    AnotherLog,
    /// The issuer is none.
    #[error("the issuer cannot be one")]
    Issuer(#[from] origin::NotAnOrigin),
    /// The keys or rows do not open.
    #[error("the data cannot be opened: {0}")]
    Broken(#[from] Error),
}

/// The names under which these facts are kept.
const ISSUER: &str = "issuer";
const LOG_ORIGIN: &str = "log_origin";

/// Opens the authority of `store`; founds it when it is new. Its background work starts with it.
///
/// Boxed, so that it is compiled with this crate and not anew with the program.
pub fn open(
    store: Store,
    config: Config,
    world: World,
) -> BoxFuture<'static, Result<Arc<Authority>, OpenError>> {
    Box::pin(open_here(store, config, world))
}

async fn open_here(
    store: Store,
    config: Config,
    world: World,
) -> Result<Arc<Authority>, OpenError> {
    let now = world.clock.now();
    let relying_party = RelyingParty::of_issuer(&config.issuer)?;
    let (ring, log_origin) = match found(&store, &config, &world, now).await {
        // Another process founded it at the same moment: its keys are the keys.
        Err(OpenError::Store(StoreError::Constraint | StoreError::Conflict)) => {
            found(&store, &config, &world, now).await?
        }
        opened => opened?,
    };
    let freshness = Arc::new(Freshness::new(now));
    let compiled = Compiled::first(&store).await?;
    let current = Snapshot {
        number: 0,
        freshness: Arc::clone(&freshness),
        issuer: config.issuer.clone(),
        token_keys: Vec::new(),
        agents: Default::default(),
        servers: Default::default(),
        revoked: Default::default(),
        people: Default::default(),
        grants: Default::default(),
        policy: compiled.policy(),
    };
    let mut nonce_secret = Secret::new([0; 32]);
    world.entropy.fill(nonce_secret.expose_mut());
    let authority = Arc::new(Authority {
        journal: Journal::start(store.clone()),
        store,
        log_origin,
        config,
        clock: world.clock,
        entropy: world.entropy,
        current: Arc::new(ArcSwap::from_pointee(current)),
        freshness,
        directory: ArcSwap::from_pointee(Directory::default()),
        keys: ArcSwap::from_pointee(ring),
        relying_party,
        challenges: ChallengeKey::new(&world.master),
        master: world.master,
        client_trust: ArcSwap::from_pointee(ClientTrust::nobody()),
        nonces: NonceKey::new(&nonce_secret, "token endpoint"),
        attestation_challenges: NonceKey::new(&nonce_secret, "client attestation"),
        sealing: Sealing {
            bell: Notify::new(),
            sealed: watch::Sender::new(0),
            alarm: watch::Sender::new(None),
        },
        pressure: Pressure::measure(),
        refusals: RefusalGate::new(),
        verified: moka::sync::Cache::new(VERIFIED_TOKENS),
        registrations: RegistrationGate::default(),
        documents: Documents::new(),
        issuers: Issuers::new(),
        reach: world.reach,
        compiled: ArcSwap::from_pointee(compiled),
        refreshing: Mutex::new(()),
    });
    refresh::everything(&authority).await?;
    tokio::spawn(Sequencer::new(Arc::clone(&authority)).run());
    tokio::spawn(patrol::walk(Arc::clone(&authority)));
    tokio::spawn(keep_current(Arc::clone(&authority)));
    tokio::spawn(watch_people(Arc::clone(&authority)));
    Ok(authority)
}

/// How many verified tokens are remembered; about 1.5 KB each.
const VERIFIED_TOKENS: u64 = 10_000;

async fn found(
    store: &Store,
    config: &Config,
    world: &World,
    now: Timestamp,
) -> Result<(KeyRing, String), OpenError> {
    let mut tx = store.begin().await?;
    let Some(issuer) = meta::fetch(&mut tx, ISSUER).await? else {
        if config.log_key.is_some() {
            return Err(OpenError::AnotherLog);
        }
        return found_anew(tx, config, world, now).await;
    };
    let origin = meta::fetch(&mut tx, LOG_ORIGIN)
        .await?
        .ok_or(OpenError::Broken(Error::Broken))?;
    let mut rows = signing_keys::list(&mut tx, now).await?;
    let missing = SIGNING.into_iter().filter(|purpose| {
        let mut signing = rows.iter().filter(|row| row.verifies_until.is_none());
        signing.all(|row| row.purpose != purpose.name())
    });
    // The data are from before there were keys of these purposes.
    let mut made = Vec::new();
    for purpose in missing.collect::<Vec<_>>() {
        made.push(create_key(&mut tx, purpose, world, now).await?);
    }
    if !made.is_empty() {
        rows = signing_keys::list(&mut tx, now).await?;
    }
    let ring = KeyRing::load(&rows, &origin, &world.master, None)
        .map_err(|_| OpenError::WrongMasterKey)?;
    let log_key = ring.log.verifier().vkey();
    if config
        .log_key
        .as_ref()
        .is_some_and(|known| *known != log_key)
    {
        return Err(OpenError::AnotherLog);
    }
    if issuer != config.issuer {
        // On loopback the port may differ from start to start; a public name may not.
        let is_local =
            |issuer: &str| origin::parse_issuer(issuer).is_ok_and(|url| origin::is_loopback(&url));
        if !(is_local(&issuer) && is_local(&config.issuer)) {
            return Err(OpenError::AnotherIssuer { found: issuer });
        }
        meta::set(&mut tx, ISSUER, &config.issuer).await?;
        let mut event = event(EventKind::AuthorityMoved, world, now);
        event.facts.insert("from".to_owned(), issuer);
        event.facts.insert("to".to_owned(), config.issuer.clone());
        made.push(event);
    }
    let mut made = made.into_iter();
    if let Some(first) = made.next() {
        tx.commit(first, made.collect()).await?;
    }
    Ok((ring, origin))
}

/// What has a signing key from the start, beside the log.
const SIGNING: [Purpose; 3] = [Purpose::AccessToken, Purpose::IdToken, Purpose::Document];

/// Makes the first key of a purpose; returns the event of it.
async fn create_key(
    tx: &mut Tx,
    purpose: Purpose,
    world: &World,
    now: Timestamp,
) -> Result<Event, OpenError> {
    let entropy = &*world.entropy;
    let (_, row) = create::signing_key(purpose, Algorithm::Es256, &world.master, entropy, now)?;
    signing_keys::insert(tx, &row).await?;
    Ok(created(purpose, &row.kid, world, now))
}

async fn found_anew(
    mut tx: Tx,
    config: &Config,
    world: &World,
    now: Timestamp,
) -> Result<(KeyRing, String), OpenError> {
    let host = config
        .issuer
        .split_once("://")
        .map_or(config.issuer.as_str(), |(_, host)| host);
    let origin = format!("{host}/log");
    meta::set(&mut tx, ISSUER, &config.issuer).await?;
    meta::set(&mut tx, LOG_ORIGIN, &origin).await?;
    let entropy = &*world.entropy;
    let mut more = Vec::new();
    for purpose in SIGNING {
        more.push(create_key(&mut tx, purpose, world, now).await?);
    }
    let (_, row) = create::log_key(&origin, &world.master, entropy, now)?;
    signing_keys::insert(&mut tx, &row).await?;
    more.push(created(Purpose::Log, &row.kid, world, now));
    let rows = signing_keys::list(&mut tx, now).await?;
    let ring = KeyRing::load(&rows, &origin, &world.master, None)?;
    let mut event = event(EventKind::AuthorityFounded, world, now);
    event.facts.insert(ISSUER.to_owned(), config.issuer.clone());
    event.facts.insert(LOG_ORIGIN.to_owned(), origin.clone());
    tx.commit(event, more).await?;
    Ok((ring, origin))
}

fn created(purpose: Purpose, kid: &str, world: &World, now: Timestamp) -> Event {
    let mut event = event(EventKind::KeyCreated, world, now);
    event
        .facts
        .insert("purpose".to_owned(), purpose.name().to_owned());
    event.facts.insert("kid".to_owned(), kid.to_owned());
    event
}

fn event(kind: EventKind, world: &World, now: Timestamp) -> Event {
    Event::new(kind, Actor::authority(), now, &*world.entropy)
}
