//! Whom providers call what, and what they gave us to ask whether the person is still there.
//!
//! A person is known by an issuer and the name that it has for them, and by nothing else that it says.

use chancery_model::author::Author;
use chancery_model::id::{OwnerId, ProviderId};
use chancery_model::time::Timestamp;

use crate::connect::Store;
use crate::error::StoreError;
use crate::passkeys::{joined, makers};
use crate::tx::Tx;
use crate::value::{Row, params};

/// A person, as one issuer knows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The issuer.
    pub issuer: String,
    /// What it calls the person.
    pub subject: String,
    /// Who that is.
    pub owner_id: OwnerId,
    /// The handle that it says they have; may be another than ours.
    pub known_as: Option<String>,
    /// Who had a hand in it.
    pub makers: Vec<Author>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the issuer last said that the person is there.
    pub vouched_at: Option<Timestamp>,
    /// When the issuer said that the person is not there any more, if it did since.
    pub left_at: Option<Timestamp>,
    /// How often in a row it could not be asked.
    pub unanswered: i64,
    /// What it can be asked with.
    pub token: Option<KeptToken>,
    /// When it is looked at next.
    pub due_at: Timestamp,
}

/// A refresh token of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptToken {
    /// The provider that gave it.
    pub provider: ProviderId,
    /// It, wrapped by the master key.
    pub sealed: String,
}

const LINK: &str = "SELECT issuer, subject, owner_id, known_as, makers, created_at, vouched_at, left_at, provider_id, \
                    sealed, unanswered, due_at FROM provider_link";

/// Adds a link; [`StoreError::Constraint`] when the issuer's name for somebody is that of a person already.
pub async fn insert(tx: &mut Tx, link: &Link) -> Result<(), StoreError> {
    let sql = "INSERT INTO provider_link (issuer, subject, owner_id, known_as, makers, created_at, unanswered, due_at) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let values = params![
        link.issuer.as_str(),
        link.subject.as_str(),
        link.owner_id.to_string(),
        link.known_as.as_deref(),
        joined(&link.makers),
        link.created_at,
        link.unanswered,
        link.due_at,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// The link of what an issuer calls somebody.
pub async fn fetch(tx: &mut Tx, issuer: &str, subject: &str) -> Result<Option<Link>, StoreError> {
    let sql = format!("{LINK} WHERE issuer = $1 AND subject = $2");
    let rows = tx
        .query("provider_link", &sql, params![issuer, subject])
        .await?;
    rows.first().map(read).transpose()
}

/// The links of a person, oldest first.
pub async fn list_for_owner(tx: &mut Tx, owner: OwnerId) -> Result<Vec<Link>, StoreError> {
    let sql = format!("{LINK} WHERE owner_id = $1 ORDER BY created_at, issuer, subject");
    let rows = tx
        .query("provider_link", &sql, params![owner.to_string()])
        .await?;
    rows.iter().map(read).collect()
}

/// How many people an issuer has a name for, and how many of them it could not be asked about when it was last tried.
pub async fn count(tx: &mut Tx, issuer: &str) -> Result<(i64, i64), StoreError> {
    let sql = "SELECT count(*) AS known, count(CASE WHEN unanswered > 0 THEN 1 END) AS unanswered \
               FROM provider_link WHERE issuer = $1";
    let rows = tx.query("provider_link", sql, params![issuer]).await?;
    match rows.first() {
        Some(row) => Ok((row.int("known")?, row.int("unanswered")?)),
        None => Ok((0, 0)),
    }
}

/// Takes a link away; false when there is none.
pub async fn remove(
    tx: &mut Tx,
    owner: OwnerId,
    issuer: &str,
    subject: &str,
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM provider_link WHERE owner_id = $1 AND issuer = $2 AND subject = $3";
    let values = params![owner.to_string(), issuer, subject];
    Ok(tx.execute(sql, values).await? == 1)
}

/// The issuer said that the person is there: at a sign-in, or when it was asked. What it is asked with from now on is
/// `token`.
pub async fn vouch(
    tx: &mut Tx,
    link: &Link,
    known_as: Option<&str>,
    token: Option<&KeptToken>,
    now: Timestamp,
    due_at: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE provider_link SET known_as = $1, vouched_at = $2, left_at = NULL, provider_id = $3, sealed = $4, \
               unanswered = 0, due_at = $5 WHERE issuer = $6 AND subject = $7";
    let values = params![
        known_as,
        now,
        token.map(|token| token.provider.to_string()),
        token.map(|token| token.sealed.as_str()),
        due_at,
        link.issuer.as_str(),
        link.subject.as_str(),
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// The issuer said that the person is not there any more.
pub async fn leave(tx: &mut Tx, link: &Link, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE provider_link SET left_at = $1, provider_id = NULL, sealed = NULL \
               WHERE issuer = $2 AND subject = $3";
    let values = params![now, link.issuer.as_str(), link.subject.as_str()];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Whoever left there left here for good: no word of an issuer brings them back. Whether one could have.
pub async fn keep_away(tx: &mut Tx, owner: OwnerId) -> Result<bool, StoreError> {
    let sql = "UPDATE provider_link SET left_at = NULL, provider_id = NULL, sealed = NULL \
               WHERE owner_id = $1 AND left_at IS NOT NULL";
    Ok(tx.execute(sql, params![owner.to_string()]).await? > 0)
}

/// Forgets what a provider gave us to ask with.
pub async fn forget_tokens(tx: &mut Tx, provider: ProviderId) -> Result<u64, StoreError> {
    let sql = "UPDATE provider_link SET provider_id = NULL, sealed = NULL WHERE provider_id = $1";
    tx.execute(sql, params![provider.to_string()]).await
}

/// Links that are due to be looked at, of people who have not left, the longest due first.
pub async fn list_due(tx: &mut Tx, now: Timestamp, limit: i64) -> Result<Vec<Link>, StoreError> {
    let sql = format!(
        "{LINK} WHERE due_at <= $1 AND left_at IS NULL \
         AND owner_id IN (SELECT id FROM owner WHERE disabled_at IS NULL) ORDER BY due_at LIMIT $2"
    );
    let rows = tx.query("provider_link", &sql, params![now, limit]).await?;
    rows.iter().map(read).collect()
}

/// Takes a link that is due upon this process: it is due again at `due_at`. False when another process did. That changes
/// nothing that the record tells, so it needs no event.
pub async fn claim(store: &Store, link: &Link, due_at: Timestamp) -> Result<bool, StoreError> {
    let mut tx = store.begin().await?;
    let sql =
        "UPDATE provider_link SET due_at = $1 WHERE issuer = $2 AND subject = $3 AND due_at = $4";
    let values = params![
        due_at,
        link.issuer.as_str(),
        link.subject.as_str(),
        link.due_at
    ];
    let is_ours = tx.execute(sql, values).await? == 1;
    tx.end().await?;
    Ok(is_ours)
}

/// Notes that the issuer vouched for the person when it was asked, or could not be asked. Nor does that need an event: the
/// person is as they were.
pub async fn note(store: &Store, link: &Link, noted: &Noted<'_>) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    match noted {
        Noted::Vouched { sealed, now } => {
            // Only in the place of what it was asked with: a sign-in meanwhile brought something newer.
            let sql = "UPDATE provider_link SET vouched_at = $1, unanswered = 0, sealed = $2 \
                       WHERE issuer = $3 AND subject = $4 AND sealed = $5";
            let before = link.token.as_ref().map(|token| token.sealed.as_str());
            let values = params![
                *now,
                *sealed,
                link.issuer.as_str(),
                link.subject.as_str(),
                before
            ];
            tx.execute(sql, values).await?;
        }
        Noted::Unanswered => {
            let sql = "UPDATE provider_link SET unanswered = unanswered + 1 WHERE issuer = $1 AND subject = $2";
            let values = params![link.issuer.as_str(), link.subject.as_str()];
            tx.execute(sql, values).await?;
        }
    }
    tx.end().await
}

/// What came of asking an issuer about a person.
#[derive(Debug, Clone, Copy)]
pub enum Noted<'a> {
    /// It said that the person is there.
    Vouched {
        /// What it is asked with from now on, wrapped.
        sealed: &'a str,
        /// When it said so.
        now: Timestamp,
    },
    /// It gave no answer that says anything of the person.
    Unanswered,
}

fn read(row: &Row) -> Result<Link, StoreError> {
    let sealed = row.text_or_null("sealed")?.map(str::to_owned);
    let token = match (row.parse_or_null("provider_id")?, sealed) {
        (Some(provider), Some(sealed)) => Some(KeptToken { provider, sealed }),
        (None, None) => None,
        (Some(_), None) | (None, Some(_)) => return Err(row.corrupt("sealed")),
    };
    Ok(Link {
        issuer: row.text("issuer")?.to_owned(),
        subject: row.text("subject")?.to_owned(),
        owner_id: row.parse("owner_id")?,
        known_as: row.text_or_null("known_as")?.map(str::to_owned),
        makers: makers(row)?,
        created_at: row.time("created_at")?,
        vouched_at: row.time_or_null("vouched_at")?,
        left_at: row.time_or_null("left_at")?,
        unanswered: row.int("unanswered")?,
        token,
        due_at: row.time("due_at")?,
    })
}
