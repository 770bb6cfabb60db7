//! Sign-ins by a provider, and words of a provider, that were used up: kept as hashes until they would have ended anyway.
//!
//! There is a row for each that was accepted, and none for what nobody finished.

use chancery_model::digest::Digest;
use chancery_model::time::Timestamp;

use crate::error::StoreError;
use crate::one_time;
use crate::tx::Tx;

/// Uses something up; false when it was used before. Forgets what ended.
pub async fn use_once(
    tx: &mut Tx,
    hash: Digest,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    one_time::use_in(tx, "provider_use", hash, expires_at, now).await
}
