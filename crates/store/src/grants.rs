//! What people let agents do in their names.

use chancery_model::grant::Grant;
use chancery_model::id::{AgentId, GrantId, OwnerId};
use chancery_model::time::Timestamp;

use crate::authorized_calls;
use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};

const GRANT: &str = "SELECT id, subject_id, agent_id, version, resource, scope, binding, redirect_uri, \
                     created_at, person_grant.expires_at AS expires_at, last_used_at, revoked_at, calls FROM person_grant \
                     LEFT JOIN authorized_call ON name = id";

/// Adds a grant.
pub async fn insert(tx: &mut Tx, grant: &Grant) -> Result<(), StoreError> {
    let sql = "INSERT INTO person_grant (id, subject_id, agent_id, version, resource, scope, binding, \
               redirect_uri, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let values = params![
        grant.id.to_string(),
        grant.subject.to_string(),
        grant.agent.to_string(),
        grant.version.to_string(),
        grant.resource.as_str(),
        grant.scope.to_string(),
        grant.binding.name(),
        grant.redirect_uri.as_str(),
        grant.created_at,
        grant.expires_at,
    ];
    tx.execute(sql, values).await?;
    authorized_calls::limit_grant(tx, grant.id, grant.calls.as_ref()).await
}

/// Ends a grant that is in force; false when it was revoked already.
pub async fn revoke(tx: &mut Tx, id: GrantId, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE person_grant SET revoked_at = $1 WHERE id = $2 AND revoked_at IS NULL";
    Ok(tx.execute(sql, params![now, id.to_string()]).await? == 1)
}

/// Notes that a token is issued of a grant at `now`; false when the grant is not in force.
pub(crate) async fn use_it(tx: &mut Tx, id: GrantId, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE person_grant SET last_used_at = $1 \
               WHERE id = $2 AND revoked_at IS NULL AND expires_at > $1";
    Ok(tx.execute(sql, params![now, id.to_string()]).await? == 1)
}

/// The grant of this name.
pub async fn fetch(tx: &mut Tx, id: GrantId) -> Result<Option<Grant>, StoreError> {
    let sql = format!("{GRANT} WHERE id = $1");
    let rows = tx
        .query("person_grant", &sql, params![id.to_string()])
        .await?;
    rows.first().map(read).transpose()
}

/// The grants of one person to one agent that are in force at `now`, the newest first.
pub async fn list_between(
    tx: &mut Tx,
    subject: OwnerId,
    agent: AgentId,
    now: Timestamp,
) -> Result<Vec<Grant>, StoreError> {
    let sql = format!(
        "{GRANT} WHERE subject_id = $1 AND agent_id = $2 AND revoked_at IS NULL AND person_grant.expires_at > $3 \
         ORDER BY id DESC"
    );
    let values = params![subject.to_string(), agent.to_string(), now];
    let rows = tx.query("person_grant", &sql, values).await?;
    rows.iter().map(read).collect()
}

/// A page of grants in the order of their ids; of everybody when `subject` is empty.
pub async fn list(
    tx: &mut Tx,
    subject: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<Grant>, StoreError> {
    let sql =
        format!("{GRANT} WHERE id > $1 AND ($2 = '' OR subject_id = $2) ORDER BY id LIMIT $3");
    let rows = tx
        .query("person_grant", &sql, params![after, subject, limit])
        .await?;
    rows.iter().map(read).collect()
}

/// The grants of one person that are in force at `now`.
pub async fn list_of_person(
    tx: &mut Tx,
    subject: OwnerId,
    now: Timestamp,
) -> Result<Vec<Grant>, StoreError> {
    let sql = format!(
        "{GRANT} WHERE subject_id = $1 AND revoked_at IS NULL AND person_grant.expires_at > $2"
    );
    let values = params![subject.to_string(), now];
    let rows = tx.query("person_grant", &sql, values).await?;
    rows.iter().map(read).collect()
}

/// Every grant that is in force at `now`.
pub async fn list_in_force(tx: &mut Tx, now: Timestamp) -> Result<Vec<Grant>, StoreError> {
    let sql = format!("{GRANT} WHERE revoked_at IS NULL AND person_grant.expires_at > $1");
    let rows = tx.query("person_grant", &sql, params![now]).await?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Grant, StoreError> {
    Ok(Grant {
        id: row.parse("id")?,
        subject: row.parse("subject_id")?,
        agent: row.parse("agent_id")?,
        version: row.parse("version")?,
        resource: row.text("resource")?.to_owned(),
        scope: row.parse("scope")?,
        calls: authorized_calls::read(row)?,
        binding: row.parse("binding")?,
        redirect_uri: row.text("redirect_uri")?.to_owned(),
        created_at: row.time("created_at")?,
        expires_at: row.time("expires_at")?,
        last_used_at: row.time_or_null("last_used_at")?,
        revoked_at: row.time_or_null("revoked_at")?,
    })
}
