//! What a client asks about a person's sign-in, and what is known of it: beside a request, a code or a refresh
//! token.

use chancery_model::assurance::Acr;
use chancery_model::digest::Digest;
use chancery_model::time::Timestamp;

use crate::connect::Store;
use crate::error::StoreError;
use crate::one_time::GRACE;
use crate::tx::Tx;
use crate::value::{Row, params};

/// Beside a request: what is asked. Beside a code or a refresh token: what is so.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authentication {
    /// What the client sent along for its ID token.
    pub nonce: Option<String>,
    /// How surely it is the person.
    pub acr: Option<Acr>,
    /// Whether a person must be asked, whatever they consented to before.
    pub must_ask: bool,
}

/// What a flag is when it is set.
const YES: &str = "yes";

/// Adds a row beside what `hash` names, if there is anything to say.
pub(crate) async fn insert(
    tx: &mut Tx,
    hash: Digest,
    says: &Authentication,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    if *says == Authentication::default() {
        return Ok(());
    }
    let sql = "INSERT INTO authentication (hash, nonce, acr, must_ask, expires_at) VALUES ($1, $2, $3, $4, $5)";
    let values = params![
        hash.to_string(),
        says.nonce.clone(),
        says.acr.map(|acr| acr.name().to_owned()),
        says.must_ask.then(|| YES.to_owned()),
        expires_at,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// What is beside a row, joined with it by the hash that names it.
pub(crate) fn read(row: &Row) -> Result<Authentication, StoreError> {
    Ok(Authentication {
        nonce: row.text_or_null("nonce")?.map(str::to_owned),
        acr: row.parse_or_null("acr")?,
        must_ask: row.text_or_null("must_ask")? == Some(YES),
    })
}

/// Forgets what is beside things that ended a while before `now`; returns how many there were.
pub async fn sweep(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    let mut tx = store.begin().await?;
    let sql = "DELETE FROM authentication WHERE expires_at < $1";
    let swept = tx.execute(sql, params![now.before(GRACE)]).await?;
    tx.end().await?;
    Ok(swept)
}
