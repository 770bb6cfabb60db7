//! Facts about the installation itself: its issuer, its log's origin.

use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::params;

/// The value of `key`, if it was ever set.
pub async fn fetch(tx: &mut Tx, key: &str) -> Result<Option<String>, StoreError> {
    let rows = tx
        .query(
            "meta",
            "SELECT value FROM meta WHERE key = $1",
            params![key],
        )
        .await?;
    rows.first()
        .map(|row| row.text("value").map(str::to_owned))
        .transpose()
}

/// Sets `key`, whatever it was.
pub async fn set(tx: &mut Tx, key: &str, value: &str) -> Result<(), StoreError> {
    let sql = "INSERT INTO meta (key, value) VALUES ($1, $2) \
               ON CONFLICT (key) DO UPDATE SET value = excluded.value";
    tx.execute(sql, params![key, value]).await?;
    Ok(())
}
