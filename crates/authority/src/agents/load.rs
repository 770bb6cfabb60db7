//! Finds an agent by name or id, with the version that describes it.

use chancery_model::agent::Agent;
use chancery_model::event::{AgentFacts, Event, EventKind};
use chancery_model::id::AgentId;
use chancery_model::version::Version;
use chancery_policy::AgentEntity;
use chancery_store::tx::Tx;
use chancery_store::{agents, versions};

use crate::ctx::Ctx;
use crate::error::Error;

/// An agent with the version in force, or in a draft the one proposed.
pub(crate) struct Loaded {
    pub agent: Agent,
    pub version: Version,
    /// What the decision point knows about it.
    pub entity: AgentEntity,
}

/// The agent that `text` names, by id or by name.
pub(crate) async fn require(tx: &mut Tx, text: &str) -> Result<Loaded, Error> {
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

/// An event about an agent as it is after the change.
pub(crate) fn event(ctx: &Ctx, kind: EventKind, agent: &Agent, version: &Version) -> Event {
    let mut event = ctx.event(kind);
    let model = version
        .document
        .model
        .as_ref()
        .map(|model| model.name.clone());
    event.agent = Some(AgentFacts {
        id: agent.id,
        model,
        name: agent.name.as_str().to_owned(),
        owner: agent.owner_id,
        version: agent.version.map(|(_, digest)| digest),
    });
    event
}
