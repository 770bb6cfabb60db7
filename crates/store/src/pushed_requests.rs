//! What clients pushed for a person to decide (RFC 9126), until it is answered or too old.

use std::time::Duration;

use chancery_model::digest::Digest;
use chancery_model::id::{AgentId, OwnerId};
use chancery_model::scope::Scope;
use chancery_model::time::Timestamp;

use crate::connect::Store;
use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};

/// A request that waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedRequest {
    /// The hash of the `request_uri` that names it.
    pub uri_hash: Digest,
    /// Who pushed it.
    pub agent: AgentId,
    /// The one resource that is asked for.
    pub resource: String,
    /// What for.
    pub scope: Scope,
    /// Where the answer goes.
    pub redirect_uri: String,
    /// The registered redirect URI that admitted it.
    pub registered_uri: String,
    /// What the client recognises the answer by.
    pub state: String,
    /// What the code will be bound to (RFC 7636).
    pub challenge: String,
    /// The key that the code will be bound to; none under an exception of the resource.
    pub cnf: Option<String>,
    /// Whether the person is asked.
    pub prompt: Prompt,
    /// For how long a sign-in counts.
    pub max_age: Option<Duration>,
    /// When it was pushed.
    pub created_at: Timestamp,
    /// When it ends by itself.
    pub expires_at: Timestamp,
    /// When it was answered, and who did.
    pub answered: Option<(Timestamp, OwnerId)>,
}

/// Whether the person is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prompt {
    /// Yes.
    Ask,
    /// No: what they consented to before must do.
    None,
    /// Yes, and they sign in anew before.
    Login,
}

impl Prompt {
    fn name(self) -> &'static str {
        match self {
            Self::Ask => "ask",
            Self::None => "none",
            Self::Login => "login",
        }
    }
}

/// Adds a request, unless `most` of the same client wait already; whether it was added.
pub async fn insert(tx: &mut Tx, request: &PushedRequest, most: i64) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) AS waiting FROM pushed_request \
               WHERE agent_id = $1 AND expires_at > $2 AND answered_at IS NULL";
    let values = params![request.agent.to_string(), request.created_at];
    let rows = tx.query("pushed_request", sql, values).await?;
    let waiting = rows.first().map(|row| row.int("waiting")).transpose()?;
    if waiting.is_none_or(|waiting| waiting >= most) {
        return Ok(false);
    }
    let sql = "INSERT INTO pushed_request (uri_hash, agent_id, resource, scope, redirect_uri, registered_uri, \
               state, challenge, jkt, prompt, max_age, created_at, expires_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)";
    let max_age = request.max_age.map(|age| age.as_secs().cast_signed());
    let values = params![
        request.uri_hash.to_string(),
        request.agent.to_string(),
        request.resource.as_str(),
        request.scope.to_string(),
        request.redirect_uri.as_str(),
        request.registered_uri.as_str(),
        request.state.as_str(),
        request.challenge.as_str(),
        request.cnf.clone(),
        request.prompt.name(),
        max_age,
        request.created_at,
        request.expires_at,
    ];
    tx.execute(sql, values).await?;
    Ok(true)
}

/// The request that this hash names.
pub async fn fetch(tx: &mut Tx, uri_hash: Digest) -> Result<Option<PushedRequest>, StoreError> {
    let sql = "SELECT uri_hash, agent_id, resource, scope, redirect_uri, registered_uri, state, challenge, jkt, \
               prompt, max_age, created_at, expires_at, answered_at, answered_by FROM pushed_request \
               WHERE uri_hash = $1";
    let rows = tx
        .query("pushed_request", sql, params![uri_hash.to_string()])
        .await?;
    rows.first().map(read).transpose()
}

impl PushedRequest {
    /// Whether somebody has opened it in a browser.
    pub fn is_opened(&self) -> bool {
        self.expires_at >= self.created_at.after(OPENED)
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
    let max_age = row.int_or_null("max_age")?.map(u64::try_from).transpose();
    let answered = match (
        row.time_or_null("answered_at")?,
        row.parse_or_null("answered_by")?,
    ) {
        (Some(at), Some(by)) => Some((at, by)),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(row.corrupt("answered_by")),
    };
    Ok(PushedRequest {
        uri_hash: row.parse("uri_hash")?,
        agent: row.parse("agent_id")?,
        resource: row.text("resource")?.to_owned(),
        scope: row.parse("scope")?,
        redirect_uri: row.text("redirect_uri")?.to_owned(),
        registered_uri: row.text("registered_uri")?.to_owned(),
        state: row.text("state")?.to_owned(),
        challenge: row.text("challenge")?.to_owned(),
        cnf: row.text_or_null("jkt")?.map(str::to_owned),
        prompt,
        max_age: max_age
            .map_err(|_| row.corrupt("max_age"))?
            .map(Duration::from_secs),
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        answered,
    })
}
