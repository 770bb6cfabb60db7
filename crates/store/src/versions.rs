//! Versions of agents: only ever added, their documents never changed.

use chancery_model::author::Author;
use chancery_model::digest::Digest;
use chancery_model::id::AgentId;
use chancery_model::time::Timestamp;
use chancery_model::version::{Version, VersionState};

use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};

const VERSION: &str = "SELECT agent_id, number, digest, previous, document, signature, proposed_by, \
     proposed_at, state, decided_at, decided_by FROM agent_version";

/// Adds a version; [`StoreError::Constraint`] when its number is taken or another one is pending.
pub async fn insert(tx: &mut Tx, version: &Version) -> Result<(), StoreError> {
    let (decided_at, decided_by) = columns(&version.state);
    let sql = "INSERT INTO agent_version (agent_id, number, digest, previous, document, signature, \
         proposed_by, proposed_at, state, decided_at, decided_by) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let document = serde_json::to_string(&version.document).map_err(|_| StoreError::Constraint)?;
    let values = params![
        version.agent_id.to_string(),
        version.number,
        version.digest.to_string(),
        version.previous.map(|digest| digest.to_string()),
        document,
        version.signature.as_str(),
        version.proposed_by.to_string(),
        version.proposed_at,
        version.state.name(),
        decided_at,
        decided_by,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Moves a version from the state named `from` to its present one; false when it was not in `from`.
pub async fn update_state(tx: &mut Tx, version: &Version, from: &str) -> Result<bool, StoreError> {
    let (decided_at, decided_by) = columns(&version.state);
    let sql = "UPDATE agent_version SET state = $1, decided_at = $2, decided_by = COALESCE($3, decided_by) \
               WHERE agent_id = $4 AND number = $5 AND state = $6";
    let values = params![
        version.state.name(),
        decided_at,
        decided_by,
        version.agent_id.to_string(),
        version.number,
        from
    ];
    Ok(tx.execute(sql, values).await? == 1)
}

/// When a version was decided, and by whom where that is said anew.
fn columns(state: &VersionState) -> (Option<Timestamp>, Option<String>) {
    match state {
        VersionState::Pending => (None, None),
        VersionState::InForce { since, accepted_by } => {
            (Some(*since), Some(accepted_by.to_string()))
        }
        VersionState::Superseded { at } => (Some(*at), None),
        VersionState::Rejected { at, by } => (Some(*at), Some(by.to_string())),
    }
}

/// The versions of an agent after `after`, oldest first.
pub async fn list(
    tx: &mut Tx,
    agent: AgentId,
    after: i64,
    limit: i64,
) -> Result<Vec<Version>, StoreError> {
    let sql = format!("{VERSION} WHERE agent_id = $1 AND number > $2 ORDER BY number LIMIT $3");
    let rows = tx
        .query(
            "agent_version",
            &sql,
            params![agent.to_string(), after, limit],
        )
        .await?;
    rows.iter().map(read).collect()
}

/// One version of an agent.
pub async fn fetch(
    tx: &mut Tx,
    agent: AgentId,
    number: i64,
) -> Result<Option<Version>, StoreError> {
    let sql = format!("{VERSION} WHERE agent_id = $1 AND number = $2");
    let rows = tx
        .query("agent_version", &sql, params![agent.to_string(), number])
        .await?;
    rows.first().map(read).transpose()
}

/// The version of an agent that this digest names.
pub async fn fetch_by_digest(
    tx: &mut Tx,
    agent: AgentId,
    digest: Digest,
) -> Result<Option<Version>, StoreError> {
    let sql = format!("{VERSION} WHERE agent_id = $1 AND digest = $2 ORDER BY number DESC LIMIT 1");
    let values = params![agent.to_string(), digest.to_string()];
    let rows = tx.query("agent_version", &sql, values).await?;
    rows.first().map(read).transpose()
}

/// The latest version of an agent, whatever its state.
pub async fn fetch_latest(tx: &mut Tx, agent: AgentId) -> Result<Option<Version>, StoreError> {
    let sql = format!("{VERSION} WHERE agent_id = $1 ORDER BY number DESC LIMIT 1");
    let rows = tx
        .query("agent_version", &sql, params![agent.to_string()])
        .await?;
    rows.first().map(read).transpose()
}

fn read(row: &Row) -> Result<Version, StoreError> {
    let decided_by = || row.parse::<Author>("decided_by");
    let state = match row.text("state")? {
        "pending" => VersionState::Pending,
        "in_force" => VersionState::InForce {
            since: row.time("decided_at")?,
            accepted_by: decided_by()?,
        },
        "superseded" => VersionState::Superseded {
            at: row.time("decided_at")?,
        },
        "rejected" => VersionState::Rejected {
            at: row.time("decided_at")?,
            by: decided_by()?,
        },
        _ => return Err(row.corrupt("state")),
    };
    Ok(Version {
        agent_id: row.parse("agent_id")?,
        number: row.int("number")?,
        digest: row.parse("digest")?,
        previous: row.parse_or_null("previous")?,
        document: serde_json::from_str(row.text("document")?)
            .map_err(|_| row.corrupt("document"))?,
        signature: row.text("signature")?.to_owned(),
        proposed_by: row.parse("proposed_by")?,
        proposed_at: row.time("proposed_at")?,
        state,
    })
}
