//! Signing keys: the private part only ever wrapped.
//!
//! They lie in two tables of one form: the first has a list of its purposes, which cannot be changed.

use chancery_model::time::Timestamp;

use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};

/// A signing key at rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// Its RFC 7638 thumbprint.
    pub kid: String,
    /// What it signs: `access_token`, `id_token`, `document` or `log`. A key has one purpose.
    pub purpose: String,
    /// `ES256` or `EdDSA`.
    pub alg: String,
    /// The public JWK.
    pub public_jwk: String,
    /// The wrapped private key.
    pub sealed: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Until when it verifies; `None` while it signs.
    pub verifies_until: Option<Timestamp>,
}

/// Whether the first table has a word for a purpose.
fn is_listed(purpose: &str) -> bool {
    matches!(purpose, "access_token" | "document" | "log")
}

/// Adds a key; [`StoreError::Constraint`] when the purpose has an active one.
pub async fn insert(tx: &mut Tx, key: &SigningKey) -> Result<(), StoreError> {
    let sql = match is_listed(&key.purpose) {
        true => {
            "INSERT INTO signing_key (kid, purpose, alg, public_jwk, sealed, created_at, verifies_until) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)"
        }
        false => {
            "INSERT INTO purpose_key (kid, purpose, alg, public_jwk, sealed, created_at, verifies_until) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)"
        }
    };
    let values = params![
        key.kid.as_str(),
        key.purpose.as_str(),
        key.alg.as_str(),
        key.public_jwk.as_str(),
        key.sealed.as_str(),
        key.created_at,
        key.verifies_until,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Lets the active key of a purpose only verify from now on; false when there is none.
pub async fn retire(
    tx: &mut Tx,
    purpose: &str,
    verifies_until: Timestamp,
) -> Result<bool, StoreError> {
    let sql = match is_listed(purpose) {
        true => {
            "UPDATE signing_key SET verifies_until = $1 WHERE purpose = $2 AND verifies_until IS NULL"
        }
        false => {
            "UPDATE purpose_key SET verifies_until = $1 WHERE purpose = $2 AND verifies_until IS NULL"
        }
    };
    Ok(tx.execute(sql, params![verifies_until, purpose]).await? == 1)
}

/// Every key that signs, or still verified at `now`.
pub async fn list(tx: &mut Tx, now: Timestamp) -> Result<Vec<SigningKey>, StoreError> {
    let sql = "SELECT kid, purpose, alg, public_jwk, sealed, created_at, verifies_until FROM signing_key \
               WHERE verifies_until IS NULL OR verifies_until > $1 UNION ALL \
               SELECT kid, purpose, alg, public_jwk, sealed, created_at, verifies_until FROM purpose_key \
               WHERE verifies_until IS NULL OR verifies_until > $1 ORDER BY created_at, kid";
    let rows = tx.query("signing_key", sql, params![now]).await?;
    let read = |row: &Row| {
        Ok(SigningKey {
            kid: row.text("kid")?.to_owned(),
            purpose: row.text("purpose")?.to_owned(),
            alg: row.text("alg")?.to_owned(),
            public_jwk: row.text("public_jwk")?.to_owned(),
            sealed: row.text("sealed")?.to_owned(),
            created_at: row.time("created_at")?,
            verifies_until: row.time_or_null("verifies_until")?,
        })
    };
    rows.iter().map(read).collect()
}
