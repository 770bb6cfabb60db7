//! Sign-ins by a provider, and words of a provider, that were used up: kept as hashes until they would have ended anyway.
//!
//! There is a row for each that was accepted, and none for what nobody finished.

use std::time::Duration;

use chancery_model::digest::Digest;
use chancery_model::time::Timestamp;

use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::params;

/// How much longer than its life a use is remembered, since clocks of processes differ.
const GRACE: Duration = Duration::from_secs(60);

/// Uses something up; false when it was used before. Forgets what ended.
pub async fn use_once(
    tx: &mut Tx,
    hash: Digest,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM provider_use WHERE expires_at < $1";
    tx.execute(sql, params![now.before(GRACE)]).await?;
    let sql =
        "INSERT INTO provider_use (hash, expires_at) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING";
    let values = params![hash.to_string(), expires_at];
    Ok(tx.execute(sql, values).await? == 1)
}
