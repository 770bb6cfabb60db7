//! The tool calls that a request, a code, a refresh token or a grant is limited to (RFC 9396).

use chancery_model::digest::Digest;
use chancery_model::id::GrantId;
use chancery_model::time::Timestamp;
use chancery_model::tool_call::ToolCalls;

use crate::connect::Store;
use crate::error::StoreError;
use crate::one_time::GRACE;
use crate::tx::Tx;
use crate::value::{Row, params};

/// Limits what `hash` names; it is forgotten after `expires_at`.
pub(crate) async fn limit(
    tx: &mut Tx,
    hash: Digest,
    calls: Option<&ToolCalls>,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    insert(tx, hash.to_string(), calls, Some(expires_at)).await
}

/// Limits a grant, for as long as there is a row of it.
pub(crate) async fn limit_grant(
    tx: &mut Tx,
    grant: GrantId,
    calls: Option<&ToolCalls>,
) -> Result<(), StoreError> {
    insert(tx, grant.to_string(), calls, None).await
}

async fn insert(
    tx: &mut Tx,
    name: String,
    calls: Option<&ToolCalls>,
    expires_at: Option<Timestamp>,
) -> Result<(), StoreError> {
    let Some(calls) = calls else {
        return Ok(());
    };
    // Texts, whole numbers and flags: nothing that JSON cannot write.
    let calls = serde_json::to_string(calls).expect("details are JSON");
    let sql = "INSERT INTO authorized_call (name, calls, expires_at) VALUES ($1, $2, $3)";
    tx.execute(sql, params![name, calls, expires_at]).await?;
    Ok(())
}

/// What a row is limited to that was joined with its own by its name.
pub(crate) fn read(row: &Row) -> Result<Option<ToolCalls>, StoreError> {
    let calls = row.text_or_null("calls")?;
    let calls = calls.map(|text| serde_json::from_str(text).map_err(|_| row.corrupt("calls")));
    calls.transpose()
}

/// Forgets the limits of what ended a while before `now`; returns how many there were. What is limited is not there any more
/// then, for whoever believes another time either: without its limit it would have none.
pub async fn sweep(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    let mut tx = store.begin().await?;
    let sql = "DELETE FROM authorized_call WHERE expires_at < $1";
    let swept = tx.execute(sql, params![now.before(GRACE)]).await?;
    tx.end().await?;
    Ok(swept)
}
