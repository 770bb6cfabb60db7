//! Invitations: links by which a person enrols a passkey, once. Kept as hashes, never as secrets.

use chancery_model::author::Author;
use chancery_model::digest::Digest;
use chancery_model::id::OwnerId;
use chancery_model::time::Timestamp;

use crate::error::StoreError;
use crate::passkeys::{joined, makers, roles};
use crate::tx::Tx;
use crate::value::{Row, params};

/// An invitation of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// The hash of the secret in the link.
    pub secret_hash: Digest,
    /// Who is invited.
    pub owner_id: OwnerId,
    /// Who invited, and who had a hand in their login.
    pub makers: Vec<Author>,
    /// What the person may do.
    pub roles: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Adds an invitation.
pub async fn insert(tx: &mut Tx, invitation: &Invitation) -> Result<(), StoreError> {
    let sql = "INSERT INTO invitation (secret_hash, owner_id, makers, roles, created_at, expires_at) \
               VALUES ($1, $2, $3, $4, $5, $6)";
    let values = params![
        invitation.secret_hash.to_string(),
        invitation.owner_id.to_string(),
        joined(&invitation.makers),
        invitation.roles.join(" "),
        invitation.created_at,
        invitation.expires_at,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// The invitation with this secret, if it is open at `now`.
pub async fn fetch_open(
    tx: &mut Tx,
    secret_hash: Digest,
    now: Timestamp,
) -> Result<Option<Invitation>, StoreError> {
    let sql = "SELECT secret_hash, owner_id, makers, roles, created_at, expires_at FROM invitation \
               WHERE secret_hash = $1 AND ended_at IS NULL AND expires_at > $2";
    let values = params![secret_hash.to_string(), now];
    let rows = tx.query("invitation", sql, values).await?;
    rows.first().map(read).transpose()
}

/// Uses an invitation up; false when it was used or ended before.
pub async fn use_once(
    tx: &mut Tx,
    secret_hash: Digest,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "UPDATE invitation SET ended_at = $1 WHERE secret_hash = $2 AND ended_at IS NULL";
    let values = params![now, secret_hash.to_string()];
    Ok(tx.execute(sql, values).await? == 1)
}

/// Ends the invitations of a person that nobody used; returns how many there were.
pub async fn end_for_owner(tx: &mut Tx, owner: OwnerId, now: Timestamp) -> Result<u64, StoreError> {
    let sql = "UPDATE invitation SET ended_at = $1 \
               WHERE owner_id = $2 AND ended_at IS NULL AND expires_at > $1";
    tx.execute(sql, params![now, owner.to_string()]).await
}

fn read(row: &Row) -> Result<Invitation, StoreError> {
    Ok(Invitation {
        secret_hash: row.parse("secret_hash")?,
        owner_id: row.parse("owner_id")?,
        makers: makers(row)?,
        roles: roles(row)?,
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
    })
}
