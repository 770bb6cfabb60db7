//! Authorization codes: kept as hashes, used once, remembered for a while after that so that a second use is seen.

use std::time::Duration;

use chancery_model::digest::Digest;
use chancery_model::id::GrantId;
use chancery_model::scope::Scope;
use chancery_model::time::Timestamp;
use chancery_model::tool_call::ToolCalls;

use crate::authentications::{self, Authentication};
use crate::authorized_calls;
use crate::connect::Store;
use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};

/// In place of a key: that there must be one, whichever it is. The client said that its tokens are bound, and proves with
/// which key when it comes.
pub const ANY_KEY: &str = "any";

/// A code, with all that it is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The hash of the code.
    pub code_hash: Digest,
    /// What it gives tokens of.
    pub grant: GrantId,
    /// Where it was sent.
    pub redirect_uri: String,
    /// The challenge that its verifier must answer.
    pub challenge: String,
    /// The most that its tokens may name.
    pub scope: Scope,
    /// The tool calls that its tokens are limited to.
    pub calls: Option<ToolCalls>,
    /// What its holder must prove to hold, as one text; none under an exception of the resource.
    pub cnf: Option<String>,
    /// When the person signed in, where that is known.
    pub auth_time: Option<Timestamp>,
    /// What the client sent along, and how surely it was the person.
    pub authentication: Authentication,
    /// When it ends.
    pub expires_at: Timestamp,
    /// When it was used.
    pub used_at: Option<Timestamp>,
}

/// Adds a code.
pub async fn insert(tx: &mut Tx, code: &Code) -> Result<(), StoreError> {
    let sql = "INSERT INTO authorization_code (code_hash, grant_id, redirect_uri, challenge, scope, jkt, auth_time, \
               expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let values = params![
        code.code_hash.to_string(),
        code.grant.to_string(),
        code.redirect_uri.as_str(),
        code.challenge.as_str(),
        code.scope.to_string(),
        code.cnf.clone(),
        code.auth_time,
        code.expires_at,
    ];
    tx.execute(sql, values).await?;
    let (hash, says) = (code.code_hash, &code.authentication);
    let until = code.expires_at.after(KEPT);
    authentications::insert(tx, hash, says, until).await?;
    authorized_calls::limit(tx, hash, code.calls.as_ref(), until).await
}

/// The code with this hash, used or not.
pub async fn fetch(tx: &mut Tx, code_hash: Digest) -> Result<Option<Code>, StoreError> {
    let sql = "SELECT code_hash, grant_id, redirect_uri, challenge, scope, jkt, auth_time, \
         authorization_code.expires_at AS expires_at, used_at, nonce, acr, must_ask, calls \
         FROM authorization_code LEFT JOIN authentication ON authentication.hash = code_hash \
         LEFT JOIN authorized_call ON name = code_hash WHERE code_hash = $1";
    let rows = tx
        .query("authorization_code", sql, params![code_hash.to_string()])
        .await?;
    rows.first().map(read).transpose()
}

/// Uses a code up; false when it was used before, or ended.
pub(crate) async fn use_it(
    tx: &mut Tx,
    code_hash: Digest,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "UPDATE authorization_code SET used_at = $1 \
               WHERE code_hash = $2 AND used_at IS NULL AND expires_at > $1";
    Ok(tx.execute(sql, params![now, code_hash.to_string()]).await? == 1)
}

/// Uses a code up that came with less than it is bound to; nobody else has any use of it either.
pub async fn burn(store: &Store, code_hash: Digest, now: Timestamp) -> Result<(), StoreError> {
    let mut tx = store.begin_in_turn().await?;
    let sql = "UPDATE authorization_code SET used_at = $1 WHERE code_hash = $2 AND used_at IS NULL";
    tx.execute(sql, params![now, code_hash.to_string()]).await?;
    tx.end().await
}

/// How long a code is remembered after its end.
const KEPT: Duration = Duration::from_secs(86_400);

/// Forgets the codes that ended long before `now`; returns how many there were.
pub async fn sweep(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    let mut tx = store.begin().await?;
    let sql = "DELETE FROM authorization_code WHERE expires_at < $1";
    let swept = tx.execute(sql, params![now.before(KEPT)]).await?;
    tx.end().await?;
    Ok(swept)
}

fn read(row: &Row) -> Result<Code, StoreError> {
    Ok(Code {
        code_hash: row.parse("code_hash")?,
        grant: row.parse("grant_id")?,
        redirect_uri: row.text("redirect_uri")?.to_owned(),
        challenge: row.text("challenge")?.to_owned(),
        scope: row.parse("scope")?,
        calls: authorized_calls::read(row)?,
        cnf: row.text_or_null("jkt")?.map(str::to_owned),
        auth_time: row.time_or_null("auth_time")?,
        authentication: authentications::read(row)?,
        expires_at: row.time("expires_at")?,
        used_at: row.time_or_null("used_at")?,
    })
}
