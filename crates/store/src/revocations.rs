//! Access tokens that were revoked before their end; kept until that end, and a little longer.

use std::time::Duration;

use chancery_model::id::TokenId;
use chancery_model::time::Timestamp;

use crate::connect::Store;
use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::params;

/// Revokes a token; false when it was revoked already.
pub async fn insert(
    tx: &mut Tx,
    jti: TokenId,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO revoked_token (jti, expires_at, revoked_at) VALUES ($1, $2, $3) \
               ON CONFLICT (jti) DO NOTHING";
    Ok(tx
        .execute(sql, params![jti.to_string(), expires_at, now])
        .await?
        == 1)
}

/// The revoked tokens that have not ended at `now`.
pub async fn list(tx: &mut Tx, now: Timestamp) -> Result<Vec<TokenId>, StoreError> {
    let sql = "SELECT jti FROM revoked_token WHERE expires_at > $1";
    let rows = tx.query("revoked_token", sql, params![now]).await?;
    rows.iter().map(|row| row.parse("jti")).collect()
}

/// How long a revocation is kept after the end of its token, for whose clock is behind.
const KEPT: Duration = Duration::from_secs(600);

/// Forgets the revocations of tokens that ended a while before `now`; returns how many there were.
pub async fn sweep(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    let mut tx = store.begin().await?;
    let sql = "DELETE FROM revoked_token WHERE expires_at < $1";
    let swept = tx.execute(sql, params![now.before(KEPT)]).await?;
    tx.end().await?;
    Ok(swept)
}
