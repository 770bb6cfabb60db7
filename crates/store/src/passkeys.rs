//! Passkeys of people: public keys, and the names that authenticators gave them.

use chancery_model::author::Author;
use chancery_model::id::{OwnerId, PasskeyId};
use chancery_model::time::Timestamp;

use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};

/// A passkey of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passkey {
    /// Never reused.
    pub id: PasskeyId,
    /// Whose it is.
    pub owner_id: OwnerId,
    /// What its authenticator calls it, as base64url; unique, also among those that were revoked.
    pub credential_id: String,
    /// What it signs with: a public JWK.
    pub public_jwk: String,
    /// How often its authenticator said that it signed.
    pub counter: u32,
    /// Whether it may be copied to other devices of the person.
    pub is_backup_eligible: bool,
    /// What its person calls it.
    pub name: String,
    /// Who had a hand in the invitation that it goes back to.
    pub makers: Vec<Author>,
    /// What sessions may do that it begins.
    pub roles: Vec<String>,
    /// When it was enrolled.
    pub created_at: Timestamp,
    /// When it was signed in with last.
    pub used_at: Option<Timestamp>,
}

const PASSKEY: &str = "SELECT id, owner_id, credential_id, public_jwk, counter, backup, name, makers, roles, created_at, \
                       used_at FROM passkey";

/// Adds a passkey; [`StoreError::Constraint`] when the credential is known, whoever's it is (WAN-06).
pub async fn insert(tx: &mut Tx, passkey: &Passkey) -> Result<(), StoreError> {
    let sql = "INSERT INTO passkey (id, owner_id, credential_id, public_jwk, counter, backup, name, makers, roles, \
               created_at, used_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let backup = if passkey.is_backup_eligible {
        "eligible"
    } else {
        "none"
    };
    let values = params![
        passkey.id.to_string(),
        passkey.owner_id.to_string(),
        passkey.credential_id.as_str(),
        passkey.public_jwk.as_str(),
        i64::from(passkey.counter),
        backup,
        passkey.name.as_str(),
        joined(&passkey.makers),
        passkey.roles.join(" "),
        passkey.created_at,
        passkey.used_at,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// The passkey with this credential, unless it was revoked.
pub async fn fetch_by_credential(
    tx: &mut Tx,
    credential_id: &str,
) -> Result<Option<Passkey>, StoreError> {
    let sql = format!("{PASSKEY} WHERE credential_id = $1 AND revoked_at IS NULL");
    let rows = tx.query("passkey", &sql, params![credential_id]).await?;
    rows.first().map(read).transpose()
}

/// The passkeys of a person that were not revoked, oldest first.
pub async fn list_for_owner(tx: &mut Tx, owner: OwnerId) -> Result<Vec<Passkey>, StoreError> {
    let sql = format!("{PASSKEY} WHERE owner_id = $1 AND revoked_at IS NULL ORDER BY id");
    let rows = tx
        .query("passkey", &sql, params![owner.to_string()])
        .await?;
    rows.iter().map(read).collect()
}

/// Notes that a passkey was signed in with; false when it was revoked or used at the same moment.
pub async fn mark_used(
    tx: &mut Tx,
    passkey: &Passkey,
    counter: u32,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "UPDATE passkey SET counter = $1, used_at = $2 \
               WHERE id = $3 AND counter = $4 AND revoked_at IS NULL";
    let values = params![
        i64::from(counter),
        now,
        passkey.id.to_string(),
        i64::from(passkey.counter),
    ];
    Ok(tx.execute(sql, values).await? == 1)
}

/// Gives a passkey of `owner` another name; false when they have no such passkey.
pub async fn rename(
    tx: &mut Tx,
    owner: OwnerId,
    id: PasskeyId,
    name: &str,
) -> Result<bool, StoreError> {
    let sql = "UPDATE passkey SET name = $1 WHERE id = $2 AND owner_id = $3 AND revoked_at IS NULL";
    let values = params![name, id.to_string(), owner.to_string()];
    Ok(tx.execute(sql, values).await? == 1)
}

/// Ends a passkey of `owner`; false when they have no such passkey.
pub async fn revoke(
    tx: &mut Tx,
    owner: OwnerId,
    id: PasskeyId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql =
        "UPDATE passkey SET revoked_at = $1 WHERE id = $2 AND owner_id = $3 AND revoked_at IS NULL";
    let values = params![now, id.to_string(), owner.to_string()];
    Ok(tx.execute(sql, values).await? == 1)
}

/// Ends all passkeys of a person; returns how many there were.
pub async fn revoke_for_owner(
    tx: &mut Tx,
    owner: OwnerId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let sql = "UPDATE passkey SET revoked_at = $1 WHERE owner_id = $2 AND revoked_at IS NULL";
    tx.execute(sql, params![now, owner.to_string()]).await
}

/// How makers stand in a column: no author has a space.
pub(crate) fn joined(makers: &[Author]) -> String {
    let makers: Vec<String> = makers.iter().map(Author::to_string).collect();
    makers.join(" ")
}

/// Reads what [`joined`] wrote.
pub(crate) fn makers(row: &Row) -> Result<Vec<Author>, StoreError> {
    let makers = row.text("makers")?.split_whitespace().map(str::parse);
    makers
        .collect::<Result<_, _>>()
        .map_err(|_| row.corrupt("makers"))
}

/// Reads roles, which are words.
pub(crate) fn roles(row: &Row) -> Result<Vec<String>, StoreError> {
    let roles = row.text("roles")?.split_whitespace();
    Ok(roles.map(str::to_owned).collect())
}

fn read(row: &Row) -> Result<Passkey, StoreError> {
    let counter = u32::try_from(row.int("counter")?).map_err(|_| row.corrupt("counter"))?;
    let is_backup_eligible = match row.text("backup")? {
        "eligible" => true,
        "none" => false,
        _ => return Err(row.corrupt("backup")),
    };
    Ok(Passkey {
        id: row.parse("id")?,
        owner_id: row.parse("owner_id")?,
        credential_id: row.text("credential_id")?.to_owned(),
        public_jwk: row.text("public_jwk")?.to_owned(),
        counter,
        is_backup_eligible,
        name: row.text("name")?.to_owned(),
        makers: makers(row)?,
        roles: roles(row)?,
        created_at: row.time("created_at")?,
        used_at: row.time_or_null("used_at")?,
    })
}
