//! Clients that registered themselves while that was open; those that nobody used are forgotten after a day.

use std::time::Duration;

use chancery_model::id::RegisteredClientId;
use chancery_model::time::Timestamp;

use crate::connect::Store;
use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};

/// A client that registered itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisteredClient {
    /// Never reused; also the OAuth `client_id`.
    pub id: RegisteredClientId,
    /// The name it gives itself.
    pub name: Option<String>,
    /// Where answers to it may go.
    pub redirect_uris: Vec<String>,
    /// Whether it says that its tokens are bound to a key.
    pub is_bound: bool,
    /// When it registered itself.
    pub created_at: Timestamp,
    /// When a person first let it act.
    pub used_at: Option<Timestamp>,
    /// When it was removed.
    pub removed_at: Option<Timestamp>,
}

/// How long a client may wait to be used (REG-06).
pub const UNUSED: Duration = Duration::from_secs(86_400);

const CLIENT: &str =
    "SELECT id, name, redirect_uris, bound, created_at, used_at, removed_at FROM registered_client";

/// The clients that count: what was removed, or never used within a day, is not there.
const LIVING: &str = "removed_at IS NULL AND (used_at IS NOT NULL OR created_at > $2)";

/// Adds a client, unless `most` are there already; whether it was added.
pub(crate) async fn insert(
    tx: &mut Tx,
    client: &RegisteredClient,
    most: i64,
) -> Result<bool, StoreError> {
    let sql =
        format!("SELECT count(*) AS living FROM registered_client WHERE id > $1 AND {LIVING}");
    let since = client.created_at.before(UNUSED);
    let rows = tx
        .query("registered_client", &sql, params!["", since])
        .await?;
    let living = rows.first().map(|row| row.int("living")).transpose()?;
    if living.is_none_or(|living| living >= most) {
        return Ok(false);
    }
    let sql = "INSERT INTO registered_client (id, name, redirect_uris, bound, created_at) \
               VALUES ($1, $2, $3, $4, $5)";
    let values = params![
        client.id.to_string(),
        client.name.clone(),
        client.redirect_uris.join(" "),
        if client.is_bound { "yes" } else { "no" },
        client.created_at,
    ];
    tx.execute(sql, values).await?;
    Ok(true)
}

/// The client with this id, if it counts at `now`.
pub async fn fetch(
    tx: &mut Tx,
    id: RegisteredClientId,
    now: Timestamp,
) -> Result<Option<RegisteredClient>, StoreError> {
    let sql = format!("{CLIENT} WHERE id = $1 AND {LIVING}");
    let values = params![id.to_string(), now.before(UNUSED)];
    let rows = tx.query("registered_client", &sql, values).await?;
    rows.first().map(read).transpose()
}

/// A page of the clients that count at `now`, in the order of their ids.
pub async fn list(
    tx: &mut Tx,
    after: &str,
    limit: i64,
    now: Timestamp,
) -> Result<Vec<RegisteredClient>, StoreError> {
    let sql = format!("{CLIENT} WHERE id > $1 AND {LIVING} ORDER BY id LIMIT $3");
    let values = params![after, now.before(UNUSED), limit];
    let rows = tx.query("registered_client", &sql, values).await?;
    rows.iter().map(read).collect()
}

/// Notes that a person lets a client act, so that it stays.
pub async fn note_use(
    tx: &mut Tx,
    id: RegisteredClientId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "UPDATE registered_client SET used_at = COALESCE(used_at, $1) WHERE id = $2 AND removed_at IS NULL";
    Ok(tx.execute(sql, params![now, id.to_string()]).await? == 1)
}

/// Removes a client; false when it was removed already.
pub async fn remove(
    tx: &mut Tx,
    id: RegisteredClientId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "UPDATE registered_client SET removed_at = $1 WHERE id = $2 AND removed_at IS NULL";
    Ok(tx.execute(sql, params![now, id.to_string()]).await? == 1)
}

/// Forgets the clients that nobody used in time; returns how many there were.
pub async fn sweep(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    let mut tx = store.begin().await?;
    let sql = "DELETE FROM registered_client WHERE used_at IS NULL AND created_at <= $1";
    let swept = tx.execute(sql, params![now.before(UNUSED)]).await?;
    tx.end().await?;
    Ok(swept)
}

fn read(row: &Row) -> Result<RegisteredClient, StoreError> {
    let is_bound = match row.text("bound")? {
        "yes" => true,
        "no" => false,
        _ => return Err(row.corrupt("bound")),
    };
    Ok(RegisteredClient {
        id: row.parse("id")?,
        name: row.text_or_null("name")?.map(str::to_owned),
        redirect_uris: row
            .text("redirect_uris")?
            .split(' ')
            .map(str::to_owned)
            .collect(),
        is_bound,
        created_at: row.time("created_at")?,
        used_at: row.time_or_null("used_at")?,
        removed_at: row.time_or_null("removed_at")?,
    })
}
