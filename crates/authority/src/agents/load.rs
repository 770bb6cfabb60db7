//! Finds an agent by name or id, with the version that describes it.

use chancery_model::agent::Agent;
use chancery_model::event::{AgentFacts, Event, EventKind};
use chancery_model::id::AgentId;
use chancery_model::version::Version;
use chancery_policy::AgentEntity;
use chancery_store::tx::Tx;
use chancery_store::{agents, versions};
use chancery_wire::document::{self, VersionError};
use chancery_wire::jwk::PublicKey;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::keyring::Purpose;

/// An agent with the version in force, or in a draft the one proposed.
pub(crate) struct Loaded {
    pub agent: Agent,
    pub version: Version,
    /// What the decision point knows about it.
    pub entity: AgentEntity,
}

/// The agent that `text` names, by id or by name, as it was signed.
pub(crate) async fn require(ctx: &Ctx, tx: &mut Tx, text: &str) -> Result<Loaded, Error> {
    let loaded = require_unverified(tx, text).await?;
    verify(ctx, &loaded.version)?;
    if !loaded.agent.is_described_by(&loaded.version) {
        tracing::error!(agent.id = %loaded.agent.id, "the agent's version is not in force; it is not served");
        return Err(Error::Broken);
    }
    Ok(loaded)
}

/// The same, whatever its document says now: for a stop, which must not wait for anything.
pub(crate) async fn require_unverified(tx: &mut Tx, text: &str) -> Result<Loaded, Error> {
    let stored = match text.parse::<AgentId>() {
        Ok(id) => agents::fetch(tx, id).await?,
        Err(_) => agents::fetch_by_name(tx, text).await?,
    };
    let agent = stored.ok_or(Error::NotFound("agent"))?.agent;
    let version = match agent.version {
        Some((number, _)) => versions::fetch(tx, agent.id, number).await?,
        None => versions::fetch_latest(tx, agent.id).await?,
    };
    let version = version.ok_or(Error::Broken)?;
    let entity = AgentEntity::of(&agent, &version.document);
    Ok(Loaded {
        agent,
        version,
        entity,
    })
}

/// Refuses a version that is not as it was signed: nobody is served it, and nothing is built on it (IDR-01).
pub(crate) fn verify(ctx: &Ctx, version: &Version) -> Result<(), Error> {
    document::verify_version(version, &keys(ctx)).map_err(|why| broken(version.agent_id, why))
}

/// Refuses versions that are not as they were signed, or not the ones that follow `before` (IDR-02).
pub(crate) fn verify_chain(
    ctx: &Ctx,
    before: Option<&Version>,
    versions: &[Version],
) -> Result<(), Error> {
    let Some(first) = versions.first() else {
        return Ok(());
    };
    document::verify_chain(before, versions, &keys(ctx)).map_err(|why| broken(first.agent_id, why))
}

fn keys(ctx: &Ctx) -> Vec<PublicKey> {
    let ring = ctx.authority.keys.load();
    ring.verifying(Purpose::Document, ctx.now)
        .cloned()
        .collect()
}

fn broken(agent: AgentId, why: VersionError) -> Error {
    tracing::error!(agent.id = %agent, %why, "a version of the agent does not verify; it is not served");
    Error::Broken
}

/// Refuses what would make an agent of a client into something else: it acts by its client, for the person whose client
/// that is, and has no key and no other owner.
pub(crate) fn refuse_of_client(version: &Version) -> Result<(), Error> {
    if version.document.is_of_client() {
        return Err(Error::Conflict(
            "the agent is what a client of its owner became: it has no keys, redirect URIs and owner but those"
                .to_owned(),
        ));
    }
    Ok(())
}

/// An event about an agent as it is after the change.
pub(crate) fn event(ctx: &Ctx, kind: EventKind, agent: &Agent, version: &Version) -> Event {
    let mut event = ctx.event(kind);
    event.agent = Some(AgentFacts::of(agent, &version.document));
    event
}
