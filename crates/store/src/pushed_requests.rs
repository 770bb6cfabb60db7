//! What clients pushed for a person to decide (RFC 9126), until it is answered or too old.

use std::time::Duration;

use chancery_model::digest::Digest;
use chancery_model::id::OwnerId;
use chancery_model::time::Timestamp;

use crate::connect::Store;
use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};
use crate::wish::{Prompt, Wish};

/// A request that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedRequest {
    /// The hash of the `request_uri` that names it.
    pub uri_hash: Digest,
    /// What is asked, and by whom.
    pub wish: Wish,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// The registered redirect URI that admitted it.
    pub registered_uri: String,
    /// What the client recognises the answer by.
    pub state: String,
    /// What the code will be bound to (RFC 7636).
    pub challenge: String,
}

/// Adds a request, unless `most` of the same client wait already; whether it was added.
pub async fn insert(tx: &mut Tx, request: &PushedRequest, most: i64) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) AS waiting FROM pushed_request \
               WHERE agent_id = $1 AND expires_at > $2 AND answered_at IS NULL \
               AND NOT EXISTS (SELECT 1 FROM link_request WHERE link_request.uri_hash = pushed_request.uri_hash)";
    let wish = &request.wish;
    let values = params![wish.agent.to_string(), wish.created_at];
    let rows = tx.query("pushed_request", sql, values).await?;
    let waiting = rows.first().map(|row| row.int("waiting")).transpose()?;
    if waiting.is_none_or(|waiting| waiting >= most) {
        return Ok(false);
    }
    add(tx, request).await?;
    Ok(true)
}

async fn add(tx: &mut Tx, request: &PushedRequest) -> Result<(), StoreError> {
    let wish = &request.wish;
    let sql = "INSERT INTO pushed_request (uri_hash, agent_id, resource, scope, redirect_uri, registered_uri, \
               state, challenge, jkt, prompt, max_age, created_at, expires_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let values = params![
        request.uri_hash.to_string(),
        wish.agent.to_string(),
        wish.resource.as_str(),
        wish.scope.to_string(),
        request.redirect_uri.as_str(),
        request.registered_uri.as_str(),
        request.state.as_str(),
        request.challenge.as_str(),
        wish.cnf.clone(),
        wish.prompt.name(),
        wish.max_age_secs(),
        wish.created_at,
        wish.expires_at,
    ];
    tx.execute(sql, values).await?;
    let until = wish.created_at.after(OPENED + KEPT);
    wish.insert_beside(tx, request.uri_hash, until).await
}

/// Keeps a request that nobody pushed and `person` came with, unless `most` of that person to the same client wait already;
/// whether it was kept. It changes nothing: whoever answers it makes the record of it.
pub async fn keep(
    store: &Store,
    request: &PushedRequest,
    person: OwnerId,
    most: i64,
) -> Result<bool, StoreError> {
    let mut tx = store.begin_in_turn().await?;
    let sql = "SELECT count(*) AS waiting FROM link_request \
               JOIN pushed_request ON pushed_request.uri_hash = link_request.uri_hash \
               WHERE owner_id = $1 AND agent_id = $2 AND pushed_request.expires_at > $3 AND answered_at IS NULL";
    let wish = &request.wish;
    let values = params![person.to_string(), wish.agent.to_string(), wish.created_at];
    let rows = tx.query("link_request", sql, values).await?;
    let waiting = rows.first().map(|row| row.int("waiting")).transpose()?;
    if waiting.is_none_or(|waiting| waiting >= most) {
        return Ok(false);
    }
    add(&mut tx, request).await?;
    let sql = "INSERT INTO link_request (uri_hash, owner_id, expires_at) VALUES ($1, $2, $3)";
    let until = wish.created_at.after(OPENED + KEPT);
    let values = params![request.uri_hash.to_string(), person.to_string(), until];
    tx.execute(sql, values).await?;
    tx.end().await?;
    Ok(true)
}

/// The request that this hash names.
pub async fn fetch(tx: &mut Tx, uri_hash: Digest) -> Result<Option<PushedRequest>, StoreError> {
    let sql = "SELECT uri_hash, agent_id, resource, scope, redirect_uri, registered_uri, state, challenge, jkt, prompt, \
         max_age, created_at, pushed_request.expires_at AS expires_at, answered_at, answered_by, nonce, acr, must_ask, calls \
         FROM pushed_request LEFT JOIN authentication ON authentication.hash = uri_hash \
         LEFT JOIN authorized_call ON name = uri_hash WHERE uri_hash = $1";
    let rows = tx
        .query("pushed_request", sql, params![uri_hash.to_string()])
        .await?;
    rows.first().map(read).transpose()
}

impl PushedRequest {
    /// Whether somebody has opened it in a browser.
    pub fn is_opened(&self) -> bool {
        self.wish.expires_at >= self.wish.created_at.after(OPENED)
    }
}

/// How long a request that was opened waits for its answer, from when it was pushed.
const OPENED: Duration = Duration::from_secs(600);

/// Lets a request that was opened in time live on, so that there is time to sign in and to read.
pub async fn open(store: &Store, uri_hash: Digest, now: Timestamp) -> Result<(), StoreError> {
    let mut tx = store.begin_in_turn().await?;
    let sql = "UPDATE pushed_request SET expires_at = created_at + $1 \
               WHERE uri_hash = $2 AND answered_at IS NULL AND expires_at > $3 AND expires_at < created_at + $1";
    let opened = OPENED.as_micros() as i64;
    tx.execute(sql, params![opened, uri_hash.to_string(), now])
        .await?;
    tx.end().await
}

/// Notes the one answer to a request; false when it has one already, or is too old.
pub async fn answer(
    tx: &mut Tx,
    uri_hash: Digest,
    by: OwnerId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "UPDATE pushed_request SET answered_at = $1, answered_by = $2 \
               WHERE uri_hash = $3 AND answered_at IS NULL AND expires_at > $1";
    let values = params![now, by.to_string(), uri_hash.to_string()];
    Ok(tx.execute(sql, values).await? == 1)
}

/// How long a request is kept after its end, to tell one that was answered from one that never was.
const KEPT: Duration = Duration::from_secs(600);

/// Forgets the requests that ended a while before `now`; returns how many there were.
pub async fn sweep(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    let mut tx = store.begin().await?;
    let sql = "DELETE FROM pushed_request WHERE expires_at < $1";
    let swept = tx.execute(sql, params![now.before(KEPT)]).await?;
    let sql = "DELETE FROM link_request WHERE expires_at < $1";
    tx.execute(sql, params![now]).await?;
    tx.end().await?;
    Ok(swept)
}

fn read(row: &Row) -> Result<PushedRequest, StoreError> {
    let prompt = match row.text("prompt")? {
        "ask" => Prompt::Ask,
        "none" => Prompt::None,
        "login" => Prompt::Login,
        _ => return Err(row.corrupt("prompt")),
    };
    Ok(PushedRequest {
        uri_hash: row.parse("uri_hash")?,
        wish: Wish::read(row, prompt)?,
        redirect_uri: row.text("redirect_uri")?.to_owned(),
        registered_uri: row.text("registered_uri")?.to_owned(),
        state: row.text("state")?.to_owned(),
        challenge: row.text("challenge")?.to_owned(),
    })
}
