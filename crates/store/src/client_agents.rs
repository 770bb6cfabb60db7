//! Which agent the MCP client of a person became: one for each person and client, never shared.

use std::collections::HashMap;

use chancery_model::id::{AgentId, OwnerId};

use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::params;

/// The agent that the client of this name became for a person, whatever became of the agent.
pub async fn fetch(
    tx: &mut Tx,
    owner: OwnerId,
    client: &str,
) -> Result<Option<AgentId>, StoreError> {
    let sql = "SELECT agent_id FROM client_agent WHERE owner_id = $1 AND client_id = $2";
    let rows = tx
        .query("client_agent", sql, params![owner.to_string(), client])
        .await?;
    rows.first().map(|row| row.parse("agent_id")).transpose()
}

/// How many agents the clients of a person are, retired ones apart.
pub async fn count_living(tx: &mut Tx, owner: OwnerId) -> Result<u64, StoreError> {
    let sql = "SELECT agent_id FROM client_agent JOIN agent ON agent.id = client_agent.agent_id \
               WHERE client_agent.owner_id = $1 AND agent.state <> 'retired'";
    let rows = tx
        .query("client_agent", sql, params![owner.to_string()])
        .await?;
    Ok(rows.len() as u64)
}

/// The client that an agent is of; `None` when it was registered as itself.
pub async fn fetch_client(tx: &mut Tx, agent: AgentId) -> Result<Option<String>, StoreError> {
    let sql = "SELECT client_id FROM client_agent WHERE agent_id = $1";
    let rows = tx
        .query("client_agent", sql, params![agent.to_string()])
        .await?;
    let read = |row: &crate::value::Row| Ok(row.text("client_id")?.to_owned());
    rows.first().map(read).transpose()
}

/// The client of every agent that is of one.
pub async fn list(tx: &mut Tx) -> Result<HashMap<AgentId, String>, StoreError> {
    let sql = "SELECT agent_id, client_id FROM client_agent";
    let rows = tx.query("client_agent", sql, &[]).await?;
    rows.iter()
        .map(|row| Ok((row.parse("agent_id")?, row.text("client_id")?.to_owned())))
        .collect()
}

/// Notes what the client of a person became, in place of `before`; false when somebody was faster.
pub async fn put(
    tx: &mut Tx,
    owner: OwnerId,
    client: &str,
    agent: AgentId,
    before: Option<AgentId>,
) -> Result<bool, StoreError> {
    let Some(before) = before else {
        let sql = "INSERT INTO client_agent (owner_id, client_id, agent_id) VALUES ($1, $2, $3) \
                   ON CONFLICT (owner_id, client_id) DO NOTHING";
        let values = params![owner.to_string(), client, agent.to_string()];
        return Ok(tx.execute(sql, values).await? == 1);
    };
    let sql = "UPDATE client_agent SET agent_id = $1 \
               WHERE owner_id = $2 AND client_id = $3 AND agent_id = $4";
    let values = params![
        agent.to_string(),
        owner.to_string(),
        client,
        before.to_string()
    ];
    Ok(tx.execute(sql, values).await? == 1)
}
