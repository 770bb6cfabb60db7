//! Things that may be used once: stored as hashes that carry their purpose, until they end anyway.

use std::collections::HashSet;

use chancery_model::digest::Digest;
use chancery_model::time::Timestamp;

use crate::connect::Store;
use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Value, params};

/// Something that may be used once. Its hash covers the purpose, so that one kind never passes for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OneTime {
    /// The hash of purpose and value.
    pub hash: Digest,
    /// When it ends anyway.
    pub expires_at: Timestamp,
}

/// Uses all of `wanted`; returns the hashes that were fresh. What was used before is not among them.
pub(crate) async fn consume(
    tx: &mut Tx,
    wanted: &[OneTime],
) -> Result<HashSet<String>, StoreError> {
    const ROWS: usize = 256;
    let mut fresh = HashSet::with_capacity(wanted.len());
    let mut seen = HashSet::with_capacity(wanted.len());
    let unique: Vec<&OneTime> = wanted.iter().filter(|one| seen.insert(one.hash)).collect();
    for some in unique.chunks(ROWS) {
        let places: Vec<String> = (0..some.len())
            .map(|row| format!("(${}, ${})", row * 2 + 1, row * 2 + 2))
            .collect();
        let sql = format!(
            "INSERT INTO one_time (hash, expires_at) VALUES {} ON CONFLICT (hash) DO NOTHING RETURNING hash",
            places.join(", ")
        );
        let values: Vec<Value> = some
            .iter()
            .flat_map(|one| {
                [
                    Value::from(one.hash.to_string()),
                    Value::from(one.expires_at),
                ]
            })
            .collect();
        for row in tx.query("one_time", &sql, &values).await? {
            fresh.insert(row.text("hash")?.to_owned());
        }
    }
    Ok(fresh)
}

/// Forgets what ended before `now`; returns how many there were.
pub async fn sweep(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    let mut tx = store.begin().await?;
    let swept = tx
        .execute("DELETE FROM one_time WHERE expires_at < $1", params![now])
        .await?;
    tx.end().await?;
    Ok(swept)
}
