//! Providers that people sign in with; what we prove ourselves with there is wrapped.

use chancery_model::id::ProviderId;
use chancery_model::provider::{ClientMethod, Provider, ProviderName};
use chancery_model::time::Timestamp;

use crate::error::StoreError;
use crate::passkeys::{joined, makers};
use crate::tx::Tx;
use crate::value::{Row, params};

/// A provider, with what we prove ourselves with there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The provider.
    pub provider: Provider,
    /// The client secret or the private key, wrapped by the master key.
    pub sealed: String,
}

const PROVIDER: &str =
    "SELECT id, name, issuer, client_id, method, sealed, rules, makers, created_at FROM provider";

/// Adds a provider; [`StoreError::Constraint`] when its name or its issuer is in use.
pub async fn insert(tx: &mut Tx, kept: &Kept) -> Result<(), StoreError> {
    let provider = &kept.provider;
    let rules = serde_json::to_string(&provider.rules).map_err(|_| StoreError::Constraint)?;
    let sql = "INSERT INTO provider (id, name, issuer, client_id, method, sealed, rules, makers, created_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let values = params![
        provider.id.to_string(),
        provider.name.as_str(),
        provider.issuer.as_str(),
        provider.client_id.as_str(),
        provider.method.name(),
        kept.sealed.as_str(),
        rules,
        joined(&provider.makers),
        provider.created_at,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Removes a provider, and what we proved ourselves with; false when it was removed already.
pub async fn remove(tx: &mut Tx, id: ProviderId, now: Timestamp) -> Result<bool, StoreError> {
    let sql =
        "UPDATE provider SET removed_at = $1, sealed = '' WHERE id = $2 AND removed_at IS NULL";
    Ok(tx.execute(sql, params![now, id.to_string()]).await? == 1)
}

/// The providers that were not removed, in the order of their names.
pub async fn list(tx: &mut Tx) -> Result<Vec<Kept>, StoreError> {
    let sql = format!("{PROVIDER} WHERE removed_at IS NULL ORDER BY name");
    let rows = tx.query("provider", &sql, &[]).await?;
    rows.iter().map(read).collect()
}

/// The provider of this name, unless it was removed.
pub async fn fetch_by_name(tx: &mut Tx, name: &str) -> Result<Option<Kept>, StoreError> {
    let sql = format!("{PROVIDER} WHERE name = $1 AND removed_at IS NULL");
    let rows = tx.query("provider", &sql, params![name]).await?;
    rows.first().map(read).transpose()
}

fn read(row: &Row) -> Result<Kept, StoreError> {
    let method = match row.text("method")? {
        "client_secret" => ClientMethod::Secret,
        "private_key_jwt" => ClientMethod::Key,
        _ => return Err(row.corrupt("method")),
    };
    let rules = serde_json::from_str(row.text("rules")?).map_err(|_| row.corrupt("rules"))?;
    let provider = Provider {
        id: row.parse("id")?,
        name: ProviderName::parse(row.text("name")?).map_err(|_| row.corrupt("name"))?,
        issuer: row.text("issuer")?.to_owned(),
        client_id: row.text("client_id")?.to_owned(),
        method,
        rules,
        makers: makers(row)?,
        created_at: row.time("created_at")?,
    };
    Ok(Kept {
        provider,
        sealed: row.text("sealed")?.to_owned(),
    })
}
