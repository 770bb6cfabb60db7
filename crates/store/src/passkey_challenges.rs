//! Challenges that a passkey answered: kept as hashes until they would have ended anyway, so that each is answered once.
//!
//! There is a row for each answer that was accepted, and none for a challenge that nobody answered.

use std::time::Duration;

use chancery_model::digest::Digest;
use chancery_model::time::Timestamp;

use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::params;

/// How much longer than its life a challenge is remembered, since clocks of processes differ.
const GRACE: Duration = Duration::from_secs(60);

/// Uses a challenge up; false when it was used before. Forgets those that ended.
pub async fn use_once(
    tx: &mut Tx,
    hash: Digest,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM passkey_challenge WHERE expires_at < $1";
    tx.execute(sql, params![now.before(GRACE)]).await?;
    let sql = "INSERT INTO passkey_challenge (hash, expires_at) VALUES ($1, $2) \
               ON CONFLICT (hash) DO NOTHING";
    let values = params![hash.to_string(), expires_at];
    Ok(tx.execute(sql, values).await? == 1)
}
