//! Recovery codes: for a person who lost every passkey. Kept as hashes, never as codes.

use chancery_model::author::Author;
use chancery_model::digest::Digest;
use chancery_model::id::{OwnerId, PasskeyId};
use chancery_model::time::Timestamp;

use crate::error::StoreError;
use crate::passkeys::{joined, makers, roles};
use crate::tx::Tx;
use crate::value::{Row, params};

/// A recovery code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryCode {
    /// The hash of the code.
    pub secret_hash: Digest,
    /// Whose it is.
    pub owner_id: OwnerId,
    /// The passkey that it was made with; it ends with that one.
    pub passkey_id: PasskeyId,
    /// Who had a hand in the invitation that it goes back to.
    pub makers: Vec<Author>,
    /// What a passkey may do that is enrolled by it.
    pub roles: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Adds a code.
pub async fn insert(tx: &mut Tx, code: &RecoveryCode) -> Result<(), StoreError> {
    let sql = "INSERT INTO recovery_code (secret_hash, owner_id, passkey_id, makers, roles, created_at) \
               VALUES ($1, $2, $3, $4, $5, $6)";
    let values = params![
        code.secret_hash.to_string(),
        code.owner_id.to_string(),
        code.passkey_id.to_string(),
        joined(&code.makers),
        code.roles.join(" "),
        code.created_at,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// The code with this hash, if it is neither used nor void.
pub async fn fetch_open(
    tx: &mut Tx,
    secret_hash: Digest,
) -> Result<Option<RecoveryCode>, StoreError> {
    let sql = "SELECT secret_hash, owner_id, passkey_id, makers, roles, created_at FROM recovery_code \
               WHERE secret_hash = $1 AND ended_at IS NULL";
    let values = params![secret_hash.to_string()];
    let rows = tx.query("recovery_code", sql, values).await?;
    rows.first().map(read).transpose()
}

/// Uses a code up; false when it was used before.
pub async fn use_once(
    tx: &mut Tx,
    secret_hash: Digest,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "UPDATE recovery_code SET ended_at = $1 WHERE secret_hash = $2 AND ended_at IS NULL";
    let values = params![now, secret_hash.to_string()];
    Ok(tx.execute(sql, values).await? == 1)
}

/// How many codes a person has left.
pub async fn count_open(tx: &mut Tx, owner: OwnerId) -> Result<u64, StoreError> {
    let sql = "SELECT secret_hash FROM recovery_code WHERE owner_id = $1 AND ended_at IS NULL";
    let rows = tx
        .query("recovery_code", sql, params![owner.to_string()])
        .await?;
    Ok(rows.len() as u64)
}

/// Makes the codes of a person void; returns how many there were.
pub async fn end_for_owner(tx: &mut Tx, owner: OwnerId, now: Timestamp) -> Result<u64, StoreError> {
    let sql = "UPDATE recovery_code SET ended_at = $1 WHERE owner_id = $2 AND ended_at IS NULL";
    tx.execute(sql, params![now, owner.to_string()]).await
}

/// Makes the codes void that were made with a passkey; returns how many there were.
pub async fn end_for_passkey(
    tx: &mut Tx,
    passkey: PasskeyId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let sql = "UPDATE recovery_code SET ended_at = $1 WHERE passkey_id = $2 AND ended_at IS NULL";
    tx.execute(sql, params![now, passkey.to_string()]).await
}

fn read(row: &Row) -> Result<RecoveryCode, StoreError> {
    Ok(RecoveryCode {
        secret_hash: row.parse("secret_hash")?,
        owner_id: row.parse("owner_id")?,
        passkey_id: row.parse("passkey_id")?,
        makers: makers(row)?,
        roles: roles(row)?,
        created_at: row.time("created_at")?,
    })
}
