//! Sessions of people in browsers: kept as hashes, never as what the cookie holds.

use std::time::Duration;

use chancery_model::author::Author;
use chancery_model::digest::Digest;
use chancery_model::id::{OwnerId, PasskeyId, ProviderId, SessionId};
use chancery_model::time::Timestamp;

use crate::connect::Store;
use crate::error::StoreError;
use crate::passkeys::{joined, makers, roles};
use crate::tx::Tx;
use crate::value::{Row, params};

/// By what a session was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Means {
    /// By this passkey; it ends with that one.
    Passkey(PasskeyId),
    /// By a recovery code that was made with this passkey; it ends with that one.
    RecoveryCode(PasskeyId),
    /// By a provider's word; it ends when the provider is removed.
    Provider(AtProvider),
}

/// Who somebody is at the provider that they came by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtProvider {
    /// The provider.
    pub provider: ProviderId,
    /// What it calls the person.
    pub subject: String,
    /// What it calls the session that the person is in there.
    pub sid: Option<String>,
}

impl Means {
    /// How columns, answers and the record name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Passkey(_) => "passkey",
            Self::RecoveryCode(_) => "recovery_code",
            Self::Provider(_) => "provider",
        }
    }

    /// The passkey that it goes back to.
    pub fn passkey(&self) -> Option<PasskeyId> {
        match self {
            Self::Passkey(id) | Self::RecoveryCode(id) => Some(*id),
            Self::Provider(_) => None,
        }
    }

    /// The provider that it goes back to.
    pub fn provider(&self) -> Option<ProviderId> {
        match self {
            Self::Passkey(_) | Self::RecoveryCode(_) => None,
            Self::Provider(at) => Some(at.provider),
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
    /// By what it was begun.
    pub means: Means,
    /// Who had a hand in the invitation, or in the link to a provider, that it goes back to.
    pub makers: Vec<Author>,
    /// What it may do; for one that a recovery code began, what a passkey may do that is enrolled in it. One that a provider
    /// began has none.
    pub roles: Vec<String>,
    /// When the person proved who they are, where that is known.
    pub authenticated_at: Option<Timestamp>,
    /// When it began.
    pub began_at: Timestamp,
    /// When it was used last, to some minutes.
    pub used_at: Timestamp,
    /// When it ends, however it is used.
    pub ends_at: Timestamp,
}

/// Sessions of both tables, as one: a passkey and a recovery code prove who a person is when the session begins.
const SESSION: &str = "SELECT id, secret_hash, owner_id, passkey_id, means, provider_id, subject, sid, makers, roles, \
                       authenticated_at, began_at, used_at, ends_at FROM (\
                       SELECT id, secret_hash, owner_id, passkey_id, means, NULL AS provider_id, NULL AS subject, \
                       NULL AS sid, makers, roles, began_at AS authenticated_at, began_at, used_at, ends_at, ended_at \
                       FROM session UNION ALL \
                       SELECT id, secret_hash, owner_id, NULL, 'provider', provider_id, subject, sid, makers, '', \
                       authenticated_at, began_at, used_at, ends_at, ended_at FROM provider_session) AS every_session";

/// How long a session stays in the table after its end.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// Adds a session; forgets those that ended long ago.
pub async fn insert(tx: &mut Tx, session: &Session) -> Result<(), StoreError> {
    let long_ago = session.began_at.before(KEPT);
    for sql in [
        "DELETE FROM session WHERE ends_at < $1",
        "DELETE FROM provider_session WHERE ends_at < $1",
    ] {
        tx.execute(sql, params![long_ago]).await?;
    }
    match &session.means {
        Means::Passkey(passkey) | Means::RecoveryCode(passkey) => {
            let sql = "INSERT INTO session (id, secret_hash, owner_id, passkey_id, means, makers, roles, began_at, \
                       used_at, ends_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
            let values = params![
                session.id.to_string(),
                session.secret_hash.to_string(),
                session.owner_id.to_string(),
                passkey.to_string(),
                session.means.name(),
                joined(&session.makers),
                session.roles.join(" "),
                session.began_at,
                session.used_at,
                session.ends_at,
            ];
            tx.execute(sql, values).await?;
        }
        Means::Provider(at) => {
            let sql = "INSERT INTO provider_session (id, secret_hash, owner_id, provider_id, subject, sid, makers, \
                       authenticated_at, began_at, used_at, ends_at) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
            let values = params![
                session.id.to_string(),
                session.secret_hash.to_string(),
                session.owner_id.to_string(),
                at.provider.to_string(),
                at.subject.as_str(),
                at.sid.as_deref(),
                joined(&session.makers),
                session.authenticated_at,
                session.began_at,
                session.used_at,
                session.ends_at,
            ];
            tx.execute(sql, values).await?;
        }
    }
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

/// The same of those that a provider began, of all people, oldest first.
pub async fn list_for_provider(
    tx: &mut Tx,
    provider: ProviderId,
    now: Timestamp,
) -> Result<Vec<Session>, StoreError> {
    let sql = format!(
        "{SESSION} WHERE provider_id = $1 AND ended_at IS NULL AND ends_at > $2 ORDER BY id"
    );
    let values = params![provider.to_string(), now];
    let rows = tx.query("session", &sql, values).await?;
    rows.iter().map(read).collect()
}

/// Whether a session has not ended.
pub async fn is_live(tx: &mut Tx, id: SessionId, now: Timestamp) -> Result<bool, StoreError> {
    let sql = format!("{SESSION} WHERE id = $1 AND ended_at IS NULL AND ends_at > $2");
    let rows = tx
        .query("session", &sql, params![id.to_string(), now])
        .await?;
    Ok(!rows.is_empty())
}

/// Notes that a session is in use. That changes nothing that the record tells, so it needs no event.
pub async fn mark_used(store: &Store, id: SessionId, now: Timestamp) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    for sql in [
        "UPDATE session SET used_at = $1 WHERE id = $2 AND used_at < $1",
        "UPDATE provider_session SET used_at = $1 WHERE id = $2 AND used_at < $1",
    ] {
        tx.execute(sql, params![now, id.to_string()]).await?;
    }
    tx.end().await
}

/// Ends a session of `owner`; false when they have no such session.
pub async fn end(
    tx: &mut Tx,
    owner: OwnerId,
    id: SessionId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut ended = 0;
    for sql in [
        "UPDATE session SET ended_at = $1 \
         WHERE id = $2 AND owner_id = $3 AND ended_at IS NULL AND ends_at > $1",
        "UPDATE provider_session SET ended_at = $1 \
         WHERE id = $2 AND owner_id = $3 AND ended_at IS NULL AND ends_at > $1",
    ] {
        let values = params![now, id.to_string(), owner.to_string()];
        ended += tx.execute(sql, values).await?;
    }
    Ok(ended == 1)
}

/// Ends all sessions of a person; returns how many there were.
pub async fn end_for_owner(tx: &mut Tx, owner: OwnerId, now: Timestamp) -> Result<u64, StoreError> {
    let mut ended = 0;
    for sql in [
        "UPDATE session SET ended_at = $1 \
         WHERE owner_id = $2 AND ended_at IS NULL AND ends_at > $1",
        "UPDATE provider_session SET ended_at = $1 \
         WHERE owner_id = $2 AND ended_at IS NULL AND ends_at > $1",
    ] {
        ended += tx.execute(sql, params![now, owner.to_string()]).await?;
    }
    Ok(ended)
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
        "passkey" => Means::Passkey(row.parse("passkey_id")?),
        "recovery_code" => Means::RecoveryCode(row.parse("passkey_id")?),
        "provider" => Means::Provider(AtProvider {
            provider: row.parse("provider_id")?,
            subject: row.text("subject")?.to_owned(),
            sid: row.text_or_null("sid")?.map(str::to_owned),
        }),
        _ => return Err(row.corrupt("means")),
    };
    Ok(Session {
        id: row.parse("id")?,
        secret_hash: row.parse("secret_hash")?,
        owner_id: row.parse("owner_id")?,
        means,
        makers: makers(row)?,
        roles: roles(row)?,
        authenticated_at: row.time_or_null("authenticated_at")?,
        began_at: row.time("began_at")?,
        used_at: row.time("used_at")?,
        ends_at: row.time("ends_at")?,
    })
}
