//! Issuers whose workloads may act as agents.

use chancery_model::id::IssuerId;
use chancery_model::time::Timestamp;

use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};

/// An issuer that an administrator named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadIssuer {
    /// Never reused.
    pub id: IssuerId,
    /// What it is called here.
    pub name: String,
    /// Its identifier, as its tokens write it.
    pub issuer: String,
    /// Whom its tokens must be for.
    pub audience: String,
    /// Its keys, as a JWK set; by discovery when there are none.
    pub jwks: Option<String>,
    /// Whether its documents may be on a private network.
    pub is_private: bool,
    /// When it was added.
    pub created_at: Timestamp,
}

const ISSUER: &str =
    "SELECT id, name, issuer, audience, jwks, network, created_at FROM workload_issuer";

/// Adds an issuer; [`StoreError::Constraint`] when its name or its identifier is in use.
pub async fn insert(tx: &mut Tx, issuer: &WorkloadIssuer) -> Result<(), StoreError> {
    let sql = "INSERT INTO workload_issuer (id, name, issuer, audience, jwks, network, created_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let network = match issuer.is_private {
        true => "private",
        false => "public",
    };
    let values = params![
        issuer.id.to_string(),
        issuer.name.as_str(),
        issuer.issuer.as_str(),
        issuer.audience.as_str(),
        issuer.jwks.clone(),
        network,
        issuer.created_at,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Ends an issuer; false when it was removed already.
pub async fn remove(tx: &mut Tx, id: IssuerId, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE workload_issuer SET removed_at = $1 WHERE id = $2 AND removed_at IS NULL";
    Ok(tx.execute(sql, params![now, id.to_string()]).await? == 1)
}

/// The issuer of this name that is not removed.
pub async fn fetch_by_name(tx: &mut Tx, name: &str) -> Result<Option<WorkloadIssuer>, StoreError> {
    let sql = format!("{ISSUER} WHERE name = $1 AND removed_at IS NULL");
    let rows = tx.query("workload_issuer", &sql, params![name]).await?;
    rows.first().map(read).transpose()
}

/// The issuer with this identifier that is not removed.
pub async fn fetch_by_issuer(
    tx: &mut Tx,
    issuer: &str,
) -> Result<Option<WorkloadIssuer>, StoreError> {
    let sql = format!("{ISSUER} WHERE issuer = $1 AND removed_at IS NULL");
    let rows = tx.query("workload_issuer", &sql, params![issuer]).await?;
    rows.first().map(read).transpose()
}

/// A page of the issuers that are not removed, in the order of their ids.
pub async fn list(tx: &mut Tx, after: &str, limit: i64) -> Result<Vec<WorkloadIssuer>, StoreError> {
    let sql = format!("{ISSUER} WHERE id > $1 AND removed_at IS NULL ORDER BY id LIMIT $2");
    let rows = tx
        .query("workload_issuer", &sql, params![after, limit])
        .await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<WorkloadIssuer, StoreError> {
    let is_private = match row.text("network")? {
        "public" => false,
        "private" => true,
        _ => return Err(row.corrupt("network")),
    };
    Ok(WorkloadIssuer {
        id: row.parse("id")?,
        name: row.text("name")?.to_owned(),
        issuer: row.text("issuer")?.to_owned(),
        audience: row.text("audience")?.to_owned(),
        jwks: row.text_or_null("jwks")?.map(str::to_owned),
        is_private,
        created_at: row.time("created_at")?,
    })
}
