//! Tokens of workloads that came, each with the key or certificate that it came with first: a pod's token is in a file for
//! minutes and may come again, but with no other.

use chancery_model::digest::Digest;
use chancery_model::time::Timestamp;

use crate::connect::Store;
use crate::error::StoreError;
use crate::one_time::GRACE;
use crate::tx::Tx;
use crate::value::params;

/// In place of what it came with: that it came with nothing, and is of use no more.
const NONE: &str = "";

/// Binds a token to what it came with, or to nothing; whether it may be used so. With the same it may be once more; with
/// nothing, it must not have come before.
pub(crate) async fn bind(
    tx: &mut Tx,
    hash: Digest,
    cnf: Option<&str>,
    expires_at: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO workload_assertion (hash, jkt, expires_at) VALUES ($1, $2, $3) \
               ON CONFLICT (hash) DO NOTHING";
    let values = params![hash.to_string(), cnf.unwrap_or(NONE), expires_at];
    if tx.execute(sql, values).await? == 1 {
        return Ok(true);
    }
    let Some(cnf) = cnf else {
        return Ok(false);
    };
    let sql = "SELECT jkt FROM workload_assertion WHERE hash = $1";
    let rows = tx
        .query("workload_assertion", sql, params![hash.to_string()])
        .await?;
    match rows.first() {
        Some(row) => Ok(row.text("jkt")? == cnf),
        None => Ok(false),
    }
}

/// Forgets the tokens that ended before `now`; returns how many there were.
pub async fn sweep(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    let mut tx = store.begin().await?;
    let sql = "DELETE FROM workload_assertion WHERE expires_at < $1";
    let swept = tx.execute(sql, params![now.before(GRACE)]).await?;
    tx.end().await?;
    Ok(swept)
}
