//! Which workloads may act as which agents.

use chancery_model::id::{AgentId, IssuerId, TrustId};
use chancery_model::time::Timestamp;
use chancery_model::trust::{Terms, Trust};

use crate::agents;
use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};

/// Adds a trust; [`StoreError::Constraint`] when there is the same one.
pub async fn insert(tx: &mut Tx, trust: &Trust) -> Result<(), StoreError> {
    let sql = "INSERT INTO agent_trust (id, agent_id, issuer_id, subject, claims, created_at) \
               VALUES ($1, $2, $3, $4, $5, $6)";
    let claims = serde_json::to_string(trust.terms.claims());
    let values = params![
        trust.id.to_string(),
        trust.agent.to_string(),
        trust.issuer.to_string(),
        trust.terms.subject(),
        claims.map_err(|_| StoreError::Constraint)?,
        trust.created_at,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Ends a trust of an agent; false when there is none of that name.
pub async fn remove(tx: &mut Tx, agent: AgentId, id: TrustId) -> Result<bool, StoreError> {
    let sql = "DELETE FROM agent_trust WHERE id = $1 AND agent_id = $2";
    let values = params![id.to_string(), agent.to_string()];
    Ok(tx.execute(sql, values).await? == 1)
}

/// A trust with the name of its issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedTrust {
    /// The trust.
    pub trust: Trust,
    /// What its issuer is called here.
    pub issuer_name: String,
}

/// The trusts of an agent, in the order of their ids.
pub async fn list(tx: &mut Tx, agent: AgentId) -> Result<Vec<NamedTrust>, StoreError> {
    let sql = "SELECT agent_trust.id AS id, agent_id, issuer_id, subject, claims, agent_trust.created_at AS created_at, \
               workload_issuer.name AS issuer_name \
               FROM agent_trust JOIN workload_issuer ON workload_issuer.id = agent_trust.issuer_id \
               WHERE agent_id = $1 AND workload_issuer.removed_at IS NULL ORDER BY agent_trust.id";
    let rows = tx
        .query("agent_trust", sql, params![agent.to_string()])
        .await?;
    rows.iter().map(read).collect()
}

/// Ends every trust in the workloads of an issuer; tokens that agents with such a trust got before are void from now on, as
/// after a stop. Returns how many agents there were.
pub async fn remove_all_of(
    tx: &mut Tx,
    issuer: IssuerId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let stopped = agents::stop_trusting(tx, issuer, now).await?;
    let sql = "DELETE FROM agent_trust WHERE issuer_id = $1";
    tx.execute(sql, params![issuer.to_string()]).await?;
    Ok(stopped)
}

fn read(row: &Row) -> Result<NamedTrust, StoreError> {
    let claims = serde_json::from_str(row.text("claims")?).map_err(|_| row.corrupt("claims"))?;
    let terms = Terms::new(row.text("subject")?.to_owned(), claims);
    Ok(NamedTrust {
        trust: Trust {
            id: row.parse("id")?,
            agent: row.parse("agent_id")?,
            issuer: row.parse("issuer_id")?,
            terms: terms.map_err(|_| row.corrupt("subject"))?,
            created_at: row.time("created_at")?,
        },
        issuer_name: row.text("issuer_name")?.to_owned(),
    })
}
