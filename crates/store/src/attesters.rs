//! Those who vouch for running copies of clients: kept for good, in force until removed.

use chancery_model::time::Timestamp;

use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};

/// Somebody who vouches for running copies of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attester {
    /// Unique among those in force.
    pub name: String,
    /// What its attestations must carry as their issuer, where that is registered.
    pub issuer: Option<String>,
    /// The public keys that it signs with, as a canonical JWK Set.
    pub jwks: String,
    /// When it was added.
    pub created_at: Timestamp,
}

/// Adds an attester; [`StoreError::Constraint`] when its name is in use.
pub async fn insert(tx: &mut Tx, attester: &Attester) -> Result<(), StoreError> {
    let sql = "INSERT INTO attester (name, issuer, jwks, created_at) VALUES ($1, $2, $3, $4)";
    let values = params![
        attester.name.as_str(),
        attester.issuer.clone(),
        attester.jwks.as_str(),
        attester.created_at,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Takes an attester out of force; false when it was out already.
pub async fn remove(tx: &mut Tx, name: &str, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE attester SET removed_at = $1 WHERE name = $2 AND removed_at IS NULL";
    Ok(tx.execute(sql, params![now, name]).await? == 1)
}

/// Every attester in force, in the order of their names.
pub async fn list(tx: &mut Tx) -> Result<Vec<Attester>, StoreError> {
    let sql = "SELECT name, issuer, jwks, created_at FROM attester \
               WHERE removed_at IS NULL ORDER BY name";
    let rows = tx.query("attester", sql, &[]).await?;
    let read = |row: &Row| {
        Ok(Attester {
            name: row.text("name")?.to_owned(),
            issuer: row.text_or_null("issuer")?.map(str::to_owned),
            jwks: row.text("jwks")?.to_owned(),
            created_at: row.time("created_at")?,
        })
    };
    rows.iter().map(read).collect()
}
