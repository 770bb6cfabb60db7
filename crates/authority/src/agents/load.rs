//! Finds an agent by name or id, with the version that describes it.

use chancery_model::agent::Agent;
use chancery_model::event::{AgentFacts, Event, EventKind};
use chancery_model::id::AgentId;
use chancery_model::version::Version;
use chancery_policy::AgentEntity;
use chancery_store::tx::Tx;
use chancery_store::{agents, versions};
use chancery_wire::document;
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
    let ring = ctx.authority.keys.load();
    let keys: Vec<PublicKey> = ring
        .verifying(Purpose::Document, ctx.now)
        .cloned()
        .collect();
    document::verify_version(version, &keys).map_err(|_| {
        tracing::error!(agent.id = %version.agent_id, "a version of the agent does not verify; it is not served");
        Error::Broken
    })
}

/// An event about an agent as it is after the change.
pub(crate) fn event(ctx: &Ctx, kind: EventKind, agent: &Agent, version: &Version) -> Event {
    let mut event = ctx.event(kind);
    event.agent = Some(AgentFacts::of(agent, &version.document));
    event
}
