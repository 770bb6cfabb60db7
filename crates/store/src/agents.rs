//! Agents.

use chancery_model::agent::{Agent, AgentState};
use chancery_model::document::AgentName;
use chancery_model::id::{AgentId, IssuerId};
use chancery_model::reason::Reason;
use chancery_model::time::Timestamp;

use crate::client_authentications;
use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};

const AGENT: &str = "SELECT id, name, owner_id, state, state_at, state_reason, version_number, \
     version_digest, jwks, created_at, updated_at, expires_at, registered_by, revision, stopped_at, \
     (SELECT metadata FROM client_authentication WHERE client_id = agent.id) AS authentication FROM agent";

/// An agent with the moment of its last stop: tokens from before it are void.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredAgent {
    /// The agent.
    pub agent: Agent,
    /// When it was last stopped or had its keys replaced.
    pub stopped_at: Option<Timestamp>,
}

/// Adds an agent; [`StoreError::Constraint`] when the name is in use.
pub async fn insert(tx: &mut Tx, agent: &Agent) -> Result<(), StoreError> {
    let (state_at, reason) = state_columns(&agent.state);
    let sql = "INSERT INTO agent (id, name, owner_id, state, state_at, state_reason, version_number, \
         version_digest, jwks, created_at, updated_at, expires_at, registered_by, revision) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    let values = params![
        agent.id.to_string(),
        agent.name.as_str(),
        agent.owner_id.to_string(),
        agent.state.name(),
        state_at,
        reason,
        agent.version.map(|(number, _)| number),
        agent.version.map(|(_, digest)| digest.to_string()),
        agent.jwks.clone(),
        agent.created_at,
        agent.updated_at,
        agent.expires_at,
        agent.registered_by.to_string(),
        agent.revision,
    ];
    tx.execute(sql, values).await?;
    client_authentications::insert(tx, agent.id, &agent.authentication).await
}

/// Writes `agent` over the revision that it was made from; false when that is no longer the present one.
///
/// How it authenticates is changed by [`client_authentications::put`] beside it, which does not happen often.
/// With `stopped_at`, tokens issued before that moment are void from now on. The moment of a stop is never that of the
/// stop before, even when the clock stands still or went back: tokens issued between the two are void as well.
pub async fn update(
    tx: &mut Tx,
    agent: &Agent,
    stopped_at: Option<Timestamp>,
) -> Result<bool, StoreError> {
    let (state_at, reason) = state_columns(&agent.state);
    let sql = "UPDATE agent SET owner_id = $1, state = $2, state_at = $3, state_reason = $4, \
         version_number = $5, version_digest = $6, jwks = $7, updated_at = $8, expires_at = $9, \
         stopped_at = CASE WHEN $10 <= stopped_at THEN stopped_at + 1 ELSE COALESCE($10, stopped_at) END, \
         revision = revision + 1 \
         WHERE id = $11 AND revision = $12 AND state <> 'retired'";
    let values = params![
        agent.owner_id.to_string(),
        agent.state.name(),
        state_at,
        reason,
        agent.version.map(|(number, _)| number),
        agent.version.map(|(_, digest)| digest.to_string()),
        agent.jwks.clone(),
        agent.updated_at,
        agent.expires_at,
        stopped_at,
        agent.id.to_string(),
        agent.revision,
    ];
    Ok(tx.execute(sql, values).await? == 1)
}

/// Voids the tokens that agents which trust the workloads of an issuer got before `now`, by the same rule; returns how many agents
/// there were.
pub(crate) async fn stop_trusting(
    tx: &mut Tx,
    issuer: IssuerId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let sql = "UPDATE agent SET \
               stopped_at = CASE WHEN $1 <= stopped_at THEN stopped_at + 1 ELSE $1 END, \
               updated_at = $1, revision = revision + 1 \
               WHERE state <> 'retired' AND id IN (SELECT agent_id FROM agent_trust WHERE issuer_id = $2)";
    tx.execute(sql, params![now, issuer.to_string()]).await
}

fn state_columns(state: &AgentState) -> (Option<Timestamp>, Option<String>) {
    match state {
        AgentState::Draft | AgentState::Active => (None, None),
        AgentState::Suspended { at, reason } | AgentState::Retired { at, reason } => {
            (Some(*at), Some(reason.as_str().to_owned()))
        }
    }
}

/// The agent with this id.
pub async fn fetch(tx: &mut Tx, id: AgentId) -> Result<Option<StoredAgent>, StoreError> {
    let sql = format!("{AGENT} WHERE id = $1");
    let rows = tx.query("agent", &sql, params![id.to_string()]).await?;
    rows.first().map(read).transpose()
}

/// The agent with this name; the newest of that name when all of them are retired.
pub async fn fetch_by_name(tx: &mut Tx, name: &str) -> Result<Option<StoredAgent>, StoreError> {
    let sql = format!(
        "{AGENT} WHERE name = $1 ORDER BY CASE WHEN state = 'retired' THEN 1 ELSE 0 END, id DESC LIMIT 1"
    );
    let rows = tx.query("agent", &sql, params![name]).await?;
    rows.first().map(read).transpose()
}

/// A page of agents in the order of their ids; every state when `state` is empty.
pub async fn list(
    tx: &mut Tx,
    state: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<StoredAgent>, StoreError> {
    let sql = format!("{AGENT} WHERE id > $1 AND ($2 = '' OR state = $2) ORDER BY id LIMIT $3");
    let rows = tx
        .query("agent", &sql, params![after, state, limit])
        .await?;
    rows.iter().map(read).collect()
}

/// Every agent that is not retired.
pub async fn list_living(tx: &mut Tx) -> Result<Vec<StoredAgent>, StoreError> {
    let sql = format!("{AGENT} WHERE state <> 'retired' ORDER BY id");
    let rows = tx.query("agent", &sql, &[]).await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<StoredAgent, StoreError> {
    let stop = || -> Result<(Timestamp, Reason), StoreError> {
        let reason = row.text("state_reason")?;
        let reason = Reason::parse(reason).map_err(|_| row.corrupt("state_reason"))?;
        Ok((row.time("state_at")?, reason))
    };
    let state = match row.text("state")? {
        "draft" => AgentState::Draft,
        "active" => AgentState::Active,
        "suspended" => stop().map(|(at, reason)| AgentState::Suspended { at, reason })?,
        "retired" => stop().map(|(at, reason)| AgentState::Retired { at, reason })?,
        _ => return Err(row.corrupt("state")),
    };
    let version = match (
        row.int_or_null("version_number")?,
        row.parse_or_null("version_digest")?,
    ) {
        (Some(number), Some(digest)) => Some((number, digest)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(row.corrupt("version_digest")),
    };
    let agent = Agent {
        id: row.parse("id")?,
        name: AgentName::parse(row.text("name")?).map_err(|_| row.corrupt("name"))?,
        owner_id: row.parse("owner_id")?,
        state,
        version,
        jwks: row.text_or_null("jwks")?.map(str::to_owned),
        authentication: client_authentications::read(row)?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        expires_at: row.time_or_null("expires_at")?,
        registered_by: row.parse("registered_by")?,
        revision: row.int("revision")?,
    };
    Ok(StoredAgent {
        agent,
        stopped_at: row.time_or_null("stopped_at")?,
    })
}
