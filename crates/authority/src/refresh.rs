//! Making a committed change visible: builds the next snapshot and swaps it in before the change is answered.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chancery_gateway::snapshot::{KnownAgent, KnownServer, Snapshot};
use chancery_model::event::{AgentFacts, Event};
use chancery_model::id::{AgentId, OwnerId};
use chancery_model::owner::{Owner, OwnerKind};
use chancery_model::time::Timestamp;
use chancery_model::version::{Version, VersionState};
use chancery_policy::{AgentEntity, PolicySource, Snapshot as PolicySnapshot, ToolDefinition};
use chancery_store::agents::StoredAgent;
use chancery_store::tx::{Committed, Tx};
use chancery_store::{
    agents, logins, mcp_servers, owners, policy_texts, resources, revocations, signing_keys,
    versions,
};
use chancery_wire::jwk::KeySet;
use chancery_wire::{document, json};

use crate::directory::{Directory, KnownLogin, KnownResource};
use crate::error::Error;
use crate::keyring::{KeyRing, Purpose, VerifyingKey};
use crate::state::Authority;

/// Rows that one page of a full reading takes.
const PAGE: i64 = 1_000;

/// Commits a change with its events and makes it visible to all who enforce before it returns.
pub(crate) async fn commit(
    authority: &Authority,
    tx: Tx,
    first: Event,
    more: Vec<Event>,
) -> Result<Committed, Error> {
    let committed = tx.commit(first, more).await?;
    authority.sealing.bell.notify_one();
    everything(authority).await?;
    Ok(committed)
}

/// Builds everything from the database and swaps it in; whoever enforces sees it from the next call on.
pub(crate) async fn everything(authority: &Authority) -> Result<(), Error> {
    let _one_at_a_time = authority.refreshing.lock().await;
    let now = authority.clock.now();
    let mut tx = authority.store.read().await?;
    let number = tx.change_number().await?.unsigned_abs();
    let rows = signing_keys::list(&mut tx, now).await?;
    let held = authority.keys.load_full();
    let ring = KeyRing::load(&rows, &authority.log_origin, &authority.master, Some(&held))?;
    let people = read_owners(&mut tx).await?;
    let current = authority.current.load_full();
    let policy = compile_policy(&mut tx, number).await?;
    let document_keys = keys_for(&ring.verifying, Purpose::Document);
    let snapshot = Snapshot {
        number,
        freshness: Arc::clone(&authority.freshness),
        issuer: authority.config.issuer.clone(),
        token_keys: keys_for(&ring.verifying, Purpose::AccessToken),
        agents: read_agents(&mut tx, &people, &document_keys).await?,
        servers: read_servers(&mut tx, &authority.config.issuer, &current).await?,
        revoked: revocations::list(&mut tx, now)
            .await?
            .into_iter()
            .collect::<HashSet<_>>(),
        policy: Arc::new(policy),
    };
    let directory = read_directory(&mut tx, &people, now).await?;
    drop(tx);

    authority.keys.store(Arc::new(ring));
    authority.directory.store(Arc::new(directory));
    authority.current.store(Arc::new(snapshot));
    // A key that was withdrawn must not live on in what it signed.
    authority.verified.invalidate_all();
    authority.freshness.mark(now);
    Ok(())
}

/// The policies in force, compiled against the tools that are accepted; what a change would make of them is checked with it too.
pub(crate) async fn compile_policy(tx: &mut Tx, number: u64) -> Result<PolicySnapshot, Error> {
    let texts = policy_texts::list(tx).await?;
    let servers = mcp_servers::list(tx, "", PAGE).await?;
    let mut schemas = Vec::new();
    for server in &servers {
        for pin in &server.tools {
            let definition =
                json::parse(pin.definition.as_bytes(), json::BODY).map_err(|_| Error::Broken)?;
            let schema = definition.get("inputSchema").cloned().unwrap_or_default();
            schemas.push((server.name.as_str(), pin.name.as_str(), schema));
        }
    }
    let tools: Vec<ToolDefinition<'_>> = schemas
        .iter()
        .map(|(server, tool, input_schema)| ToolDefinition {
            server,
            tool,
            input_schema,
        })
        .collect();
    let source =
        |text: &policy_texts::PolicyText| (text.is_schema, text.name.clone(), text.text.clone());
    let owned: Vec<(bool, String, String)> = texts.iter().map(source).collect();
    let of_kind = |wanted: bool| {
        owned
            .iter()
            .filter(move |(is_schema, ..)| *is_schema == wanted)
            .map(|(_, name, text)| PolicySource { name, text })
    };
    let policies: Vec<PolicySource<'_>> = std::iter::once(chancery_policy::DEFAULT)
        .chain(of_kind(false))
        .collect();
    let fragments: Vec<PolicySource<'_>> = of_kind(true).collect();
    PolicySnapshot::compile(number, &policies, &fragments, &tools).map_err(|error| {
        Error::Unacceptable {
            title: "the policies would not compile".to_owned(),
            problems: error.diagnostics.iter().map(ToString::to_string).collect(),
        }
    })
}

fn keys_for(verifying: &[VerifyingKey], purpose: Purpose) -> Vec<chancery_wire::jwk::PublicKey> {
    verifying
        .iter()
        .filter(|known| known.purpose == purpose)
        .map(|known| known.key.clone())
        .collect()
}

async fn read_owners(tx: &mut Tx) -> Result<HashMap<OwnerId, Owner>, Error> {
    let mut all = HashMap::new();
    let mut after = String::new();
    loop {
        let page = owners::list(tx, &after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(all);
        };
        after = last.id.to_string();
        all.extend(page.into_iter().map(|owner| (owner.id, owner)));
    }
}

/// Whether an owner answers: a person who has not left, or a team with such a person (IDR-03).
pub(crate) fn is_live(owner: &Owner, people: &HashMap<OwnerId, Owner>) -> bool {
    let present = |owner: &Owner| owner.disabled_at.is_none();
    present(owner)
        && match &owner.kind {
            OwnerKind::Person => true,
            OwnerKind::Team { members } => members
                .iter()
                .any(|member| people.get(member).is_some_and(present)),
        }
}

async fn read_agents(
    tx: &mut Tx,
    people: &HashMap<OwnerId, Owner>,
    document_keys: &[chancery_wire::jwk::PublicKey],
) -> Result<HashMap<AgentId, Arc<KnownAgent>>, Error> {
    let living = agents::list_living(tx).await?;
    let mut current: HashMap<AgentId, Version> = HashMap::new();
    for version in versions::list_current(tx).await? {
        // A pending version describes an agent only while it has none in force.
        let in_force = matches!(version.state, VersionState::InForce { .. });
        if in_force || !current.contains_key(&version.agent_id) {
            current.insert(version.agent_id, version);
        }
    }
    let mut known = HashMap::with_capacity(living.len());
    for stored in living {
        let id = stored.agent.id;
        let version = current.remove(&id);
        match version
            .as_ref()
            .and_then(|version| know(stored, version, people, document_keys))
        {
            Some(agent) => {
                known.insert(id, Arc::new(agent));
            }
            // A document that does not verify is not served as valid, and its agent cannot act (IDR-01).
            None => {
                tracing::error!(agent.id = %id, "the agent's version does not verify; it is left out")
            }
        }
    }
    Ok(known)
}

fn know(
    stored: StoredAgent,
    version: &Version,
    people: &HashMap<OwnerId, Owner>,
    document_keys: &[chancery_wire::jwk::PublicKey],
) -> Option<KnownAgent> {
    let StoredAgent { agent, stopped_at } = stored;
    document::verify_version(version, document_keys).ok()?;
    if agent
        .version
        .is_some_and(|in_force| in_force != (version.number, version.digest))
    {
        return None;
    }
    let keys = match &agent.jwks {
        Some(text) => {
            let jwks = json::parse(text.as_bytes(), json::BODY).ok()?;
            Some(KeySet::parse(&jwks).ok()?)
        }
        None => None,
    };
    let model = version
        .document
        .model
        .as_ref()
        .map(|model| match &model.version {
            Some(version) => format!("{} {version}", model.name),
            None => model.name.clone(),
        });
    Some(KnownAgent {
        owner_is_live: people
            .get(&agent.owner_id)
            .is_some_and(|owner| is_live(owner, people)),
        keys,
        facts: AgentEntity::of(&agent, &version.document),
        recorded: AgentFacts {
            id: agent.id,
            model,
            name: agent.name.as_str().to_owned(),
            owner: agent.owner_id,
            version: agent.version.map(|(_, digest)| digest),
        },
        not_before: stopped_at.unwrap_or(Timestamp::from_micros(0)),
        agent,
    })
}

async fn read_servers(
    tx: &mut Tx,
    issuer: &str,
    before: &Snapshot,
) -> Result<HashMap<String, Arc<KnownServer>>, Error> {
    let mut known = HashMap::new();
    for server in mcp_servers::list(tx, "", PAGE).await? {
        let name = server.name.clone();
        // What has not changed keeps its compiled form.
        if let Some(same) = before
            .servers
            .get(&name)
            .filter(|known| known.server == server)
        {
            known.insert(name, Arc::clone(same));
            continue;
        }
        let built = KnownServer::build(server, issuer).map_err(|error| {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "an accepted tool no longer compiles"
            );
            Error::Broken
        })?;
        known.insert(name, Arc::new(built));
    }
    Ok(known)
}

async fn read_directory(
    tx: &mut Tx,
    people: &HashMap<OwnerId, Owner>,
    now: Timestamp,
) -> Result<Directory, Error> {
    let mut directory = Directory::default();
    for login in logins::list_live(tx, now).await? {
        let Some(owner) = people
            .get(&login.owner_id)
            .filter(|owner| is_live(owner, people))
        else {
            continue;
        };
        let known = KnownLogin {
            owner_id: login.owner_id.to_string(),
            handle: owner.handle.as_str().to_owned(),
            roles: login.roles,
            expires_at: login.expires_at,
        };
        directory.logins.insert(login.secret_hash, Arc::new(known));
    }
    let mut after = String::new();
    loop {
        let page = resources::list(tx, &after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(directory);
        };
        after = last.id.to_string();
        for resource in page {
            let keys = match &resource.jwks {
                Some(text) => {
                    let jwks =
                        json::parse(text.as_bytes(), json::BODY).map_err(|_| Error::Broken)?;
                    Some(KeySet::parse(&jwks).map_err(|_| Error::Broken)?)
                }
                None => None,
            };
            let known = Arc::new(KnownResource { resource, keys });
            directory
                .by_url
                .insert(known.resource.url.clone(), Arc::clone(&known));
            directory.resources.insert(known.resource.id, known);
        }
    }
}
