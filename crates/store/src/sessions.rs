//! Sessions of people in browsers: kept as hashes, never as what the cookie holds.

use std::time::Duration;

use chancery_model::author::Author;
use chancery_model::digest::Digest;
use chancery_model::id::{OwnerId, PasskeyId, SessionId};
use chancery_model::time::Timestamp;

use crate::connect::Store;
use crate::error::StoreError;
use crate::passkeys::{joined, makers, roles};
use crate::tx::Tx;
use crate::value::{Row, params};

/// By what a session was begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// By a passkey.
    Passkey,
    /// By a recovery code.
    RecoveryCode,
}

impl Means {
    /// How columns, answers and the record name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Passkey => "passkey",
            Self::RecoveryCode => "recovery_code",
        }
    }
}

/// A session of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Never reused.
    pub id: SessionId,
    /// The hash of what the cookie holds.
    pub secret_hash: Digest,
    /// Whose it is.
    pub owner_id: OwnerId,
    /// The passkey that began it, or that the recovery code was made with; it ends with that one.
    pub passkey_id: PasskeyId,
    /// By which of the two it was begun.
    pub means: Means,
    /// Who had a hand in the invitation that it goes back to.
    pub makers: Vec<Author>,
    /// What it may do; for one that a recovery code began, what a passkey may do that is enrolled in it.
    pub roles: Vec<String>,
    /// When it began.
    pub began_at: Timestamp,
    /// When it was used last, to some minutes.
    pub used_at: Timestamp,
    /// When it ends, however it is used.
    pub ends_at: Timestamp,
}

const SESSION: &str = "SELECT id, secret_hash, owner_id, passkey_id, means, makers, roles, began_at, used_at, ends_at \
                       FROM session";

/// How long a session stays in the table after its end.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// Adds a session; forgets those that ended long ago.
pub async fn insert(tx: &mut Tx, session: &Session) -> Result<(), StoreError> {
    let sql = "DELETE FROM session WHERE ends_at < $1";
    let long_ago = session.began_at.before(KEPT);
    tx.execute(sql, params![long_ago]).await?;
    let sql = "INSERT INTO session (id, secret_hash, owner_id, passkey_id, means, makers, roles, began_at, used_at, \
               ends_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let values = params![
        session.id.to_string(),
        session.secret_hash.to_string(),
        session.owner_id.to_string(),
        session.passkey_id.to_string(),
        session.means.name(),
        joined(&session.makers),
        session.roles.join(" "),
        session.began_at,
        session.used_at,
        session.ends_at,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// The sessions that may be live at `now`.
pub async fn list_live(tx: &mut Tx, now: Timestamp) -> Result<Vec<Session>, StoreError> {
    let sql = format!("{SESSION} WHERE ended_at IS NULL AND ends_at > $1");
    let rows = tx.query("session", &sql, params![now]).await?;
    rows.iter().map(read).collect()
}

/// The same of one person, oldest first.
pub async fn list_for_owner(
    tx: &mut Tx,
    owner: OwnerId,
    now: Timestamp,
) -> Result<Vec<Session>, StoreError> {
    let sql =
        format!("{SESSION} WHERE owner_id = $1 AND ended_at IS NULL AND ends_at > $2 ORDER BY id");
    let values = params![owner.to_string(), now];
    let rows = tx.query("session", &sql, values).await?;
    rows.iter().map(read).collect()
}

/// Whether a session has not ended.
pub async fn is_live(tx: &mut Tx, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "SELECT id FROM session WHERE id = $1 AND ended_at IS NULL AND ends_at > $2";
    let rows = tx
        .query("session", sql, params![id.to_string(), now])
        .await?;
    Ok(!rows.is_empty())
}

/// Notes that a session is in use. That changes nothing that the record tells, so it needs no event.
pub async fn mark_used(store: &Store, id: SessionId, now: Timestamp) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    let sql = "UPDATE session SET used_at = $1 WHERE id = $2 AND used_at < $1";
    tx.execute(sql, params![now, id.to_string()]).await?;
    tx.end().await
}

/// Ends a session of `owner`; false when they have no such session.
pub async fn end(
    tx: &mut Tx,
    owner: OwnerId,
    id: SessionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "UPDATE session SET ended_at = $1 \
               WHERE id = $2 AND owner_id = $3 AND ended_at IS NULL AND ends_at > $1";
    let values = params![now, id.to_string(), owner.to_string()];
    Ok(tx.execute(sql, values).await? == 1)
}

/// Ends all sessions of a person; returns how many there were.
pub async fn end_for_owner(tx: &mut Tx, owner: OwnerId, now: Timestamp) -> Result<u64, StoreError> {
    let sql = "UPDATE session SET ended_at = $1 \
               WHERE owner_id = $2 AND ended_at IS NULL AND ends_at > $1";
    tx.execute(sql, params![now, owner.to_string()]).await
}

/// Ends the sessions that a passkey began, or a recovery code that was made with it; returns how many there were.
pub async fn end_for_passkey(
    tx: &mut Tx,
    passkey: PasskeyId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let sql = "UPDATE session SET ended_at = $1 \
               WHERE passkey_id = $2 AND ended_at IS NULL AND ends_at > $1";
    tx.execute(sql, params![now, passkey.to_string()]).await
}

fn read(row: &Row) -> Result<Session, StoreError> {
    let means = match row.text("means")? {
        "passkey" => Means::Passkey,
        "recovery_code" => Means::RecoveryCode,
        _ => return Err(row.corrupt("means")),
    };
    Ok(Session {
        id: row.parse("id")?,
        secret_hash: row.parse("secret_hash")?,
        owner_id: row.parse("owner_id")?,
        passkey_id: row.parse("passkey_id")?,
        means,
        makers: makers(row)?,
        roles: roles(row)?,
        began_at: row.time("began_at")?,
        used_at: row.time("used_at")?,
        ends_at: row.time("ends_at")?,
    })
}
