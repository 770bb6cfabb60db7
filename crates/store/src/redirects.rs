//! Where answers for an agent may be sent, and where people may be sent once they signed out.

use chancery_model::id::AgentId;

use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};

/// Puts `uris` in place of those that were registered.
pub async fn replace(tx: &mut Tx, agent: AgentId, uris: &[String]) -> Result<(), StoreError> {
    let sql = "DELETE FROM agent_redirect WHERE agent_id = $1";
    tx.execute(sql, params![agent.to_string()]).await?;
    for uri in uris {
        let sql = "INSERT INTO agent_redirect (agent_id, uri) VALUES ($1, $2)";
        let values = params![agent.to_string(), uri.as_str()];
        tx.execute(sql, values).await?;
    }
    Ok(())
}

/// What is registered, in the order of the texts.
pub async fn list(tx: &mut Tx, agent: AgentId) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT uri FROM agent_redirect WHERE agent_id = $1 ORDER BY uri";
    let rows = tx
        .query("agent_redirect", sql, params![agent.to_string()])
        .await?;
    let read = |row: &Row| Ok(row.text("uri")?.to_owned());
    rows.iter().map(read).collect()
}

/// Puts `uris` in place of those that people could be sent to once they signed out.
pub async fn replace_after_logout(
    tx: &mut Tx,
    agent: AgentId,
    uris: &[String],
) -> Result<(), StoreError> {
    let sql = "DELETE FROM agent_logout_redirect WHERE agent_id = $1";
    tx.execute(sql, params![agent.to_string()]).await?;
    for uri in uris {
        let sql = "INSERT INTO agent_logout_redirect (agent_id, uri) VALUES ($1, $2)";
        let values = params![agent.to_string(), uri.as_str()];
        tx.execute(sql, values).await?;
    }
    Ok(())
}

/// Where people may be sent once they signed out, in the order of the texts.
pub async fn list_after_logout(tx: &mut Tx, agent: AgentId) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT uri FROM agent_logout_redirect WHERE agent_id = $1 ORDER BY uri";
    let rows = tx
        .query("agent_logout_redirect", sql, params![agent.to_string()])
        .await?;
    let read = |row: &Row| Ok(row.text("uri")?.to_owned());
    rows.iter().map(read).collect()
}
