//! Agents, their versions verified before anybody relies on them.

use std::collections::HashMap;
use std::sync::Arc;

use chancery_gateway::snapshot::{KnownAgent, Snapshot};
use chancery_model::agent::AgentState;
use chancery_model::event::AgentFacts;
use chancery_model::id::{AgentId, OwnerId};
use chancery_model::owner::Owner;
use chancery_model::time::Timestamp;
use chancery_model::version::Version;
use chancery_policy::AgentEntity;
use chancery_store::agents::{self, StoredAgent};
use chancery_store::tx::Tx;
use chancery_store::{client_agents, owners, versions};
use chancery_wire::jwk::{KeySet, PublicKey};
use chancery_wire::{document, json};

use crate::error::Error;
use crate::refresh::directory::{self, is_live};

/// Every agent that is not retired; one that has not changed is not verified again.
pub(crate) async fn read(
    tx: &mut Tx,
    people: &HashMap<OwnerId, Owner>,
    document_keys: &[PublicKey],
    before: &Snapshot,
) -> Result<HashMap<AgentId, Arc<KnownAgent>>, Error> {
    let living = agents::list_living(tx).await?;
    let mut clients = client_agents::list(tx).await?;
    let mut known = HashMap::with_capacity(living.len());
    for stored in living {
        let id = stored.agent.id;
        let owner_is_live = people
            .get(&stored.agent.owner_id)
            .is_some_and(|owner| is_live(owner, people));
        let same = before.agents.get(&id).filter(|known| {
            known.agent == stored.agent
                && known.not_before == void_until(&stored)
                && known.owner_is_live == owner_is_live
                && known.client.as_ref() == clients.get(&id)
        });
        if let Some(same) = same {
            known.insert(id, Arc::clone(same));
            continue;
        }
        let client = clients.remove(&id);
        if let Some(agent) = verify(tx, stored, owner_is_live, client, document_keys).await? {
            known.insert(id, Arc::new(agent));
        }
    }
    Ok(known)
}

/// One agent; `None` when it is retired or its version does not verify.
pub(crate) async fn read_one(
    tx: &mut Tx,
    id: AgentId,
    document_keys: &[PublicKey],
) -> Result<Option<KnownAgent>, Error> {
    let stored = agents::fetch(tx, id).await?.ok_or(Error::Broken)?;
    if matches!(stored.agent.state, AgentState::Retired { .. }) {
        return Ok(None);
    }
    let owner = owners::fetch(tx, stored.agent.owner_id)
        .await?
        .ok_or(Error::Broken)?;
    let owner_is_live = directory::find_live(tx, &owner).await?;
    let client = client_agents::fetch_client(tx, id).await?;
    verify(tx, stored, owner_is_live, client, document_keys).await
}

async fn verify(
    tx: &mut Tx,
    stored: StoredAgent,
    owner_is_live: bool,
    client: Option<String>,
    document_keys: &[PublicKey],
) -> Result<Option<KnownAgent>, Error> {
    let id = stored.agent.id;
    // Until a draft has a version in force, the one proposed describes it.
    let version = match stored.agent.version {
        Some((number, _)) => versions::fetch(tx, id, number).await?,
        None => versions::fetch_latest(tx, id).await?,
    };
    let known =
        version.and_then(|version| know(stored, &version, owner_is_live, client, document_keys));
    if known.is_none() {
        // A document that does not verify is not served as valid, and its agent cannot act (IDR-01).
        tracing::error!(agent.id = %id, "the agent's version does not verify; it is left out");
    }
    Ok(known)
}

/// Tokens issued until this moment are void.
fn void_until(stored: &StoredAgent) -> Timestamp {
    stored.stopped_at.unwrap_or(Timestamp::from_micros(0))
}

fn know(
    stored: StoredAgent,
    version: &Version,
    owner_is_live: bool,
    client: Option<String>,
    document_keys: &[PublicKey],
) -> Option<KnownAgent> {
    let not_before = void_until(&stored);
    let agent = stored.agent;
    document::verify_version(version, document_keys).ok()?;
    // What is of a client says so in its document, and nothing else does: policies rely on it.
    if !agent.is_described_by(version) || version.document.is_of_client() != client.is_some() {
        return None;
    }
    let keys = match &agent.jwks {
        Some(text) => {
            let jwks = json::parse(text.as_bytes(), json::BODY).ok()?;
            Some(KeySet::parse(&jwks).ok()?)
        }
        None => None,
    };
    Some(KnownAgent {
        owner_is_live,
        keys,
        facts: AgentEntity::of(&agent, &version.document),
        recorded: AgentFacts::of(&agent, &version.document),
        not_before,
        client,
        agent,
    })
}
