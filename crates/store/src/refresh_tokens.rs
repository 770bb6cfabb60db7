//! Refresh tokens: kept as hashes, of use to one client with one key, and ended by not being used.

use chancery_model::digest::Digest;
use chancery_model::id::GrantId;
use chancery_model::scope::Scope;
use chancery_model::time::Timestamp;
use chancery_model::tool_call::ToolCalls;

use crate::authentications::{self, Authentication};
use crate::authorized_calls;
use crate::connect::Store;
use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};

/// A refresh token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefreshToken {
    /// The hash of the token.
    pub token_hash: Digest,
    /// What it gives tokens of.
    pub grant: GrantId,
    /// The most that its tokens may name.
    pub scope: Scope,
    /// The tool calls that its tokens are limited to.
    pub calls: Option<ToolCalls>,
    /// What its holder must prove to hold, as one text: the thumbprint of a key, a certificate, or both.
    pub cnf: String,
    /// When the person signed in, where that is known.
    pub auth_time: Option<Timestamp>,
    /// How surely it was the person.
    pub authentication: Authentication,
    /// When it ends unless it is used before.
    pub idle_until: Timestamp,
    /// When it ends in any case.
    pub expires_at: Timestamp,
}

impl RefreshToken {
    /// Whether it is of use at `now`.
    pub fn is_in_force(&self, now: Timestamp) -> bool {
        now < self.idle_until && now < self.expires_at
    }
}

/// Adds a token.
pub(crate) async fn insert(tx: &mut Tx, token: &RefreshToken) -> Result<(), StoreError> {
    let sql = "INSERT INTO refresh_token (token_hash, grant_id, scope, jkt, auth_time, idle_until, expires_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let values = params![
        token.token_hash.to_string(),
        token.grant.to_string(),
        token.scope.to_string(),
        token.cnf.as_str(),
        token.auth_time,
        token.idle_until,
        token.expires_at,
    ];
    tx.execute(sql, values).await?;
    let (hash, says) = (token.token_hash, &token.authentication);
    authentications::insert(tx, hash, says, token.expires_at).await?;
    authorized_calls::limit(tx, hash, token.calls.as_ref(), token.expires_at).await
}

/// The token with this hash, in force or not.
pub async fn fetch(tx: &mut Tx, token_hash: Digest) -> Result<Option<RefreshToken>, StoreError> {
    let sql = "SELECT token_hash, grant_id, scope, jkt, auth_time, idle_until, refresh_token.expires_at AS expires_at, nonce, acr, must_ask, calls \
         FROM refresh_token LEFT JOIN authentication ON authentication.hash = token_hash \
         LEFT JOIN authorized_call ON name = token_hash WHERE token_hash = $1";
    let rows = tx
        .query("refresh_token", sql, params![token_hash.to_string()])
        .await?;
    let read = |row: &Row| {
        Ok(RefreshToken {
            token_hash: row.parse("token_hash")?,
            grant: row.parse("grant_id")?,
            scope: row.parse("scope")?,
            calls: authorized_calls::read(row)?,
            cnf: row.text("jkt")?.to_owned(),
            auth_time: row.time_or_null("auth_time")?,
            authentication: authentications::read(row)?,
            idle_until: row.time("idle_until")?,
            expires_at: row.time("expires_at")?,
        })
    };
    rows.first().map(read).transpose()
}

/// Uses a token at `now`, which lets it live on; false when it is not in force.
pub(crate) async fn use_it(
    tx: &mut Tx,
    token_hash: Digest,
    idle_until: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "UPDATE refresh_token SET idle_until = $1 \
               WHERE token_hash = $2 AND idle_until > $3 AND expires_at > $3";
    let values = params![idle_until, token_hash.to_string(), now];
    Ok(tx.execute(sql, values).await? == 1)
}

/// Forgets the tokens that ended before `now`; returns how many there were.
pub async fn sweep(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    let mut tx = store.begin().await?;
    let sql = "DELETE FROM refresh_token WHERE expires_at < $1 OR idle_until < $1";
    let swept = tx.execute(sql, params![now]).await?;
    tx.end().await?;
    Ok(swept)
}
