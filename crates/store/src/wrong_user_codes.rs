//! How often people entered a user code that was none: they are short enough to be guessed by whoever may try for long.

use std::time::Duration;

use chancery_model::id::OwnerId;
use chancery_model::time::Timestamp;

use crate::connect::Store;
use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::params;

/// The time in which they are counted, from the first one of a person.
const WINDOW: Duration = Duration::from_secs(600);
/// The most of one person in that time.
const MOST: i64 = 5;
/// The most of all people together, as long as they do not enter them in the same moment.
const MOST_OF_ALL: i64 = 100;

/// Counts an attempt of `by` as a wrong one; false when nobody may try, or not this person.
pub(crate) async fn count(tx: &mut Tx, by: OwnerId, now: Timestamp) -> Result<bool, StoreError> {
    let since = now.before(WINDOW);
    let sql = "SELECT entered FROM wrong_user_code WHERE began_at > $1";
    let rows = tx.query("wrong_user_code", sql, params![since]).await?;
    let mut all = 0;
    for row in &rows {
        all += row.int("entered")?;
    }
    if all >= MOST_OF_ALL {
        return Ok(false);
    }
    let sql = "INSERT INTO wrong_user_code (owner_id, began_at, entered) VALUES ($1, $2, 1) \
               ON CONFLICT (owner_id) DO UPDATE SET \
               entered = CASE WHEN wrong_user_code.began_at > $3 THEN wrong_user_code.entered + 1 ELSE 1 END, \
               began_at = CASE WHEN wrong_user_code.began_at > $3 THEN wrong_user_code.began_at ELSE $2 END \
               WHERE wrong_user_code.began_at <= $3 OR wrong_user_code.entered < $4";
    let values = params![by.to_string(), now, since, MOST];
    Ok(tx.execute(sql, values).await? == 1)
}

/// Forgets what no longer counts at `now`; returns of how many people.
pub async fn sweep(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    let mut tx = store.begin().await?;
    let sql = "DELETE FROM wrong_user_code WHERE began_at <= $1";
    let swept = tx.execute(sql, params![now.before(WINDOW)]).await?;
    tx.end().await?;
    Ok(swept)
}
