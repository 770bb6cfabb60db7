//! Access tokens that were revoked before their end; kept until that end, and a little longer.

use chancery_model::id::TokenId;
use chancery_model::time::Timestamp;

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
