//! Policy texts: kept for good, in force until removed.

use chancery_model::id::PolicyId;
use chancery_model::time::Timestamp;

use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};

/// A policy text or a schema fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyText {
    /// Names this text for good.
    pub id: PolicyId,
    /// Unique among the texts in force.
    pub name: String,
    /// Whether it is a schema fragment rather than policies.
    pub is_schema: bool,
    /// The text.
    pub text: String,
    /// When it came into force.
    pub created_at: Timestamp,
}

/// Puts a text into force; [`StoreError::Constraint`] when the name is in use.
pub async fn insert(tx: &mut Tx, policy: &PolicyText) -> Result<(), StoreError> {
    let kind = if policy.is_schema {
        "schema"
    } else {
        "policies"
    };
    let sql =
        "INSERT INTO policy_text (id, name, kind, text, created_at) VALUES ($1, $2, $3, $4, $5)";
    let values = params![
        policy.id.to_string(),
        policy.name.as_str(),
        kind,
        policy.text.as_str(),
        policy.created_at,
    ];
    tx.execute(sql, values).await?;
    Ok(())
}

/// Takes a text out of force; false when it was out already.
pub async fn remove(tx: &mut Tx, name: &str, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE policy_text SET removed_at = $1 WHERE name = $2 AND removed_at IS NULL";
    Ok(tx.execute(sql, params![now, name]).await? == 1)
}

/// Every text in force, in the order of their names.
pub async fn list(tx: &mut Tx) -> Result<Vec<PolicyText>, StoreError> {
    let sql = "SELECT id, name, kind, text, created_at FROM policy_text \
               WHERE removed_at IS NULL ORDER BY name";
    let rows = tx.query("policy_text", sql, &[]).await?;
    let read = |row: &Row| {
        Ok(PolicyText {
            id: row.parse("id")?,
            name: row.text("name")?.to_owned(),
            is_schema: match row.text("kind")? {
                "schema" => true,
                "policies" => false,
                _ => return Err(row.corrupt("kind")),
            },
            text: row.text("text")?.to_owned(),
            created_at: row.time("created_at")?,
        })
    };
    rows.iter().map(read).collect()
}
