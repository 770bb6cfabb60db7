//! Logins of people: kept as hashes, never as secrets.

use chancery_model::author::Author;
use chancery_model::digest::Digest;
use chancery_model::id::OwnerId;
use chancery_model::time::Timestamp;

use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};

/// A login of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The hash of the secret.
    pub secret_hash: Digest,
    /// Whose it is.
    pub owner_id: OwnerId,
    /// Who had it made, and who before them; none when that is not known.
    pub makers: Vec<Author>,
    /// What it may do.
    pub roles: Vec<String>,
    /// When it was given.
    pub created_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Adds a login.
pub async fn insert(tx: &mut Tx, login: &Login) -> Result<(), StoreError> {
    let sql = "INSERT INTO login (secret_hash, owner_id, roles, created_at, expires_at) \
               VALUES ($1, $2, $3, $4, $5)";
    let values = params![
        login.secret_hash.to_string(),
        login.owner_id.to_string(),
        login.roles.join(" "),
        login.created_at,
        login.expires_at,
    ];
    tx.execute(sql, values).await?;
    let makers: Vec<String> = login.makers.iter().map(Author::to_string).collect();
    let sql = "INSERT INTO login_maker (secret_hash, makers) VALUES ($1, $2)";
    let values = params![login.secret_hash.to_string(), makers.join(" ")];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Ends all logins of a person; returns how many there were.
pub async fn revoke_for_owner(
    tx: &mut Tx,
    owner: OwnerId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let sql = "UPDATE login SET revoked_at = $1 WHERE owner_id = $2 AND revoked_at IS NULL";
    tx.execute(sql, params![now, owner.to_string()]).await
}

/// Whether a login has not ended.
pub async fn is_live(tx: &mut Tx, secret_hash: Digest, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "SELECT owner_id FROM login \
               WHERE secret_hash = $1 AND revoked_at IS NULL AND expires_at > $2";
    let values = params![secret_hash.to_string(), now];
    Ok(!tx.query("login", sql, values).await?.is_empty())
}

/// The logins that are live at `now`.
pub async fn list_live(tx: &mut Tx, now: Timestamp) -> Result<Vec<Login>, StoreError> {
    let sql = "SELECT login.secret_hash AS secret_hash, owner_id, COALESCE(makers, '') AS makers, roles, created_at, \
               expires_at FROM login LEFT JOIN login_maker ON login_maker.secret_hash = login.secret_hash \
               WHERE revoked_at IS NULL AND expires_at > $1";
    let rows = tx.query("login", sql, params![now]).await?;
    let read = |row: &Row| {
        let makers = row.text("makers")?.split_whitespace();
        let makers = makers.map(str::parse).collect::<Result<_, _>>();
        Ok(Login {
            secret_hash: row.parse("secret_hash")?,
            owner_id: row.parse("owner_id")?,
            makers: makers.map_err(|_| row.corrupt("makers"))?,
            roles: row
                .text("roles")?
                .split_whitespace()
                .map(str::to_owned)
                .collect(),
            created_at: row.time("created_at")?,
            expires_at: row.time("expires_at")?,
        })
    };
    rows.iter().map(read).collect()
}
