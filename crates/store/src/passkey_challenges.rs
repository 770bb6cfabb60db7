//! Challenges that a passkey answered: kept as hashes until they would have ended anyway, so that each is answered once.
//!
//! There is a row for each answer that was accepted, and none for a challenge that nobody answered.

use chancery_model::digest::Digest;
use chancery_model::time::Timestamp;

use crate::error::StoreError;
use crate::one_time;
use crate::tx::Tx;

/// Uses a challenge up; false when it was used before. Forgets those that ended.
pub async fn use_once(
    tx: &mut Tx,
    hash: Digest,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    one_time::use_in(tx, "passkey_challenge", hash, expires_at, now).await
}
