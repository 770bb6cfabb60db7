//! What agents on machines without a browser ask of people (RFC 8628), until it is answered elsewhere, fetched, or too
//! old; remembered for a while after that so that a second use is seen.

use std::time::Duration;

use chancery_model::assurance::Acr;
use chancery_model::digest::Digest;
use chancery_model::id::{GrantId, OwnerId};
use chancery_model::time::Timestamp;

use crate::connect::Store;
use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};
use crate::wish::{Prompt, Wish};
use crate::wrong_user_codes;

/// How long a device waits between two questions, at first.
pub const PAUSE: Duration = Duration::from_secs(5);
/// How much longer from then on, each time that it did not (RFC 8628 3.5).
const LONGER: Duration = Duration::from_secs(5);
/// How much too early a question may come: a timer that is kept exactly meets a network that is not.
const LEEWAY: Duration = Duration::from_secs(1);

/// A request of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceRequest {
    /// The hash of the device code.
    pub code_hash: Digest,
    /// The code that a person enters, under the master key.
    pub user_code: Digest,
    /// What is asked, and by whom.
    pub wish: Wish,
    /// What it gives tokens of, once a person said yes.
    pub grant: Option<GrantId>,
    /// When that person signed in, where that is known.
    pub auth_time: Option<Timestamp>,
    /// How surely it was that person, where that is known.
    pub acr: Option<Acr>,
    /// When it was used up.
    pub used_at: Option<Timestamp>,
}

/// Adds a request that nobody has answered, unless `most` of the same client wait already or its user code is another's;
/// whether it was added.
pub async fn insert(tx: &mut Tx, request: &DeviceRequest, most: i64) -> Result<bool, StoreError> {
    let wish = &request.wish;
    let sql = "SELECT count(*) AS waiting FROM device_request \
               WHERE agent_id = $1 AND expires_at > $2 AND answered_at IS NULL AND used_at IS NULL";
    let values = params![wish.agent.to_string(), wish.created_at];
    let rows = tx.query("device_request", sql, values).await?;
    let waiting = rows.first().map(|row| row.int("waiting")).transpose()?;
    if waiting.is_none_or(|waiting| waiting >= most) {
        return Ok(false);
    }
    let sql = "INSERT INTO device_request (code_hash, user_code, agent_id, resource, scope, jkt, max_age, created_at, \
               expires_at, pause) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING";
    let values = params![
        request.code_hash.to_string(),
        request.user_code.to_string(),
        wish.agent.to_string(),
        wish.resource.as_str(),
        wish.scope.to_string(),
        wish.cnf.clone(),
        wish.max_age_secs(),
        wish.created_at,
        wish.expires_at,
        PAUSE.as_micros() as i64,
    ];
    if tx.execute(sql, values).await? != 1 {
        return Ok(false);
    }
    let until = wish.expires_at.after(KEPT);
    wish.insert_beside(tx, request.code_hash, until).await?;
    Ok(true)
}

const REQUEST: &str = "SELECT code_hash, user_code, agent_id, resource, scope, jkt, max_age, created_at, \
                       device_request.expires_at AS expires_at, answered_at, answered_by, grant_id, auth_time, \
                       given_acr, used_at, nonce, acr, must_ask, calls FROM device_request \
                       LEFT JOIN authentication ON authentication.hash = code_hash \
                       LEFT JOIN authorized_call ON name = code_hash";

/// The request with this device code.
pub async fn fetch(tx: &mut Tx, code_hash: Digest) -> Result<Option<DeviceRequest>, StoreError> {
    let sql = format!("{REQUEST} WHERE code_hash = $1");
    let values = params![code_hash.to_string()];
    let rows = tx.query("device_request", &sql, values).await?;
    rows.first().map(read).transpose()
}

/// What came of a user code that a person entered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entered {
    /// It is that of a request that waits for its answer.
    Waiting(Box<DeviceRequest>),
    /// It was never one, or its request has ended or its answer.
    Wrong,
    /// Too many were wrong; this one was not looked up.
    TooMany,
}

/// Looks up the user code that `by` entered. Each attempt is counted as a wrong one before it is known to be right.
pub async fn enter(
    store: &Store,
    user_code: Digest,
    by: OwnerId,
    now: Timestamp,
) -> Result<Entered, StoreError> {
    let mut tx = store.begin_in_turn().await?;
    if !wrong_user_codes::count(&mut tx, by, now).await? {
        return Ok(Entered::TooMany);
    }
    let sql = format!(
        "{REQUEST} WHERE user_code = $1 AND answered_at IS NULL AND used_at IS NULL \
         AND device_request.expires_at > $2"
    );
    let values = params![user_code.to_string(), now];
    let rows = tx.query("device_request", &sql, values).await?;
    match rows.first() {
        // Dropped, the transaction leaves no trace of the attempt.
        Some(row) => Ok(Entered::Waiting(Box::new(read(row)?))),
        None => {
            tx.end().await?;
            Ok(Entered::Wrong)
        }
    }
}

/// The one answer of a person to a request.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// Who answered.
    pub by: OwnerId,
    /// When.
    pub at: Timestamp,
    /// What they gave; nothing when they said no.
    pub grant: Option<GrantId>,
    /// When they had signed in, where that is known.
    pub auth_time: Option<Timestamp>,
    /// How surely it was they, where that is known.
    pub acr: Option<Acr>,
}

/// Notes the one answer to a request; false when it has one already, was used up or is too old.
pub async fn answer(tx: &mut Tx, code_hash: Digest, answer: &Answer) -> Result<bool, StoreError> {
    let sql = "UPDATE device_request SET answered_at = $1, answered_by = $2, grant_id = $3, auth_time = $4, given_acr = $5 \
               WHERE code_hash = $6 AND answered_at IS NULL AND used_at IS NULL AND expires_at > $1";
    let grant = answer.grant.map(|grant| grant.to_string());
    let values = params![
        answer.at,
        answer.by.to_string(),
        grant,
        answer.auth_time,
        answer.acr.map(|acr| acr.name().to_owned()),
        code_hash.to_string(),
    ];
    Ok(tx.execute(sql, values).await? == 1)
}

/// Notes that a device asked at `now`; whether it had waited long enough. One that had not waits longer from then on.
pub async fn note_poll(
    store: &Store,
    code_hash: Digest,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let mut tx = store.begin_in_turn().await?;
    let leeway = LEEWAY.as_micros() as i64;
    let sql = "UPDATE device_request SET polled_at = $1 \
               WHERE code_hash = $2 AND (polled_at IS NULL OR polled_at + pause <= $3)";
    let values = params![now, code_hash.to_string(), now.as_micros() + leeway];
    let is_in_time = tx.execute(sql, values).await? == 1;
    if !is_in_time {
        let sql =
            "UPDATE device_request SET polled_at = $1, pause = pause + $2 WHERE code_hash = $3";
        let longer = LONGER.as_micros() as i64;
        tx.execute(sql, params![now, longer, code_hash.to_string()])
            .await?;
    }
    tx.end().await?;
    Ok(is_in_time)
}

/// Uses up what a person gave; false when it was used before, ended, or is another grant.
pub(crate) async fn use_it(
    tx: &mut Tx,
    code_hash: Digest,
    grant: GrantId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "UPDATE device_request SET used_at = $1 \
               WHERE code_hash = $2 AND grant_id = $3 AND used_at IS NULL AND expires_at > $1";
    let values = params![now, code_hash.to_string(), grant.to_string()];
    Ok(tx.execute(sql, values).await? == 1)
}

/// Uses a code up that came with less than it is bound to; nobody else has any use of it either.
pub async fn burn(store: &Store, code_hash: Digest, now: Timestamp) -> Result<(), StoreError> {
    let mut tx = store.begin_in_turn().await?;
    let sql = "UPDATE device_request SET used_at = $1 WHERE code_hash = $2 AND used_at IS NULL";
    tx.execute(sql, params![now, code_hash.to_string()]).await?;
    tx.end().await
}

/// How long a request is remembered after its end.
const KEPT: Duration = Duration::from_secs(86_400);

/// Forgets the requests that ended long before `now`; returns how many there were.
pub async fn sweep(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    let mut tx = store.begin().await?;
    let sql = "DELETE FROM device_request WHERE expires_at < $1";
    let swept = tx.execute(sql, params![now.before(KEPT)]).await?;
    tx.end().await?;
    Ok(swept)
}

fn read(row: &Row) -> Result<DeviceRequest, StoreError> {
    Ok(DeviceRequest {
        code_hash: row.parse("code_hash")?,
        user_code: row.parse("user_code")?,
        wish: Wish::read(row, Prompt::Ask)?,
        grant: row.parse_or_null("grant_id")?,
        auth_time: row.time_or_null("auth_time")?,
        acr: row.parse_or_null("given_acr")?,
        used_at: row.time_or_null("used_at")?,
    })
}
