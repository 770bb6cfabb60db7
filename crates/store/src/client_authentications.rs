//! How agents and resource servers authenticate; a client without a row signs assertions.

use chancery_model::client_authentication::ClientAuthentication;
use chancery_model::id::ClientId;

use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};

/// Registers how a new client authenticates.
pub(crate) async fn insert(
    tx: &mut Tx,
    client: impl Into<ClientId>,
    registered: &ClientAuthentication,
) -> Result<(), StoreError> {
    if *registered == ClientAuthentication::default() {
        return Ok(());
    }
    put(tx, client, registered).await
}

/// Registers how a client authenticates, in place of what was registered before.
pub async fn put(
    tx: &mut Tx,
    client: impl Into<ClientId>,
    registered: &ClientAuthentication,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO client_authentication (client_id, metadata) VALUES ($1, $2) \
               ON CONFLICT (client_id) DO UPDATE SET metadata = excluded.metadata";
    let metadata = serde_json::to_string(registered).map_err(|_| StoreError::Constraint)?;
    let client: ClientId = client.into();
    tx.execute(sql, params![client.to_string(), metadata])
        .await?;
    Ok(())
}

/// Reads the column `authentication` of a row about a client.
pub(crate) fn read(row: &Row) -> Result<ClientAuthentication, StoreError> {
    match row.text_or_null("authentication")? {
        Some(metadata) => serde_json::from_str(metadata).map_err(|_| row.corrupt("authentication")),
        None => Ok(ClientAuthentication::default()),
    }
}
