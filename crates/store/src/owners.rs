//! Owners: people and teams.

use chancery_model::id::OwnerId;
use chancery_model::owner::{Owner, OwnerHandle, OwnerKind};
use chancery_model::time::Timestamp;

use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};

const OWNER: &str = "SELECT id, kind, handle, created_at, disabled_at FROM owner";

/// Adds an owner; [`StoreError::Constraint`] when the handle is taken.
pub async fn insert(tx: &mut Tx, owner: &Owner) -> Result<(), StoreError> {
    let kind = match owner.kind {
        OwnerKind::Person => "person",
        OwnerKind::Team { .. } => "team",
    };
    let sql =
        "INSERT INTO owner (id, kind, handle, created_at, disabled_at) VALUES ($1, $2, $3, $4, $5)";
    let values = params![
        owner.id.to_string(),
        kind,
        owner.handle.as_str(),
        owner.created_at,
        owner.disabled_at
    ];
    tx.execute(sql, values).await?;
    if let OwnerKind::Team { members } = &owner.kind {
        replace_members(tx, owner.id, members).await?;
    }
    Ok(())
}

/// Gives a team exactly `members`.
pub async fn replace_members(
    tx: &mut Tx,
    team: OwnerId,
    members: &[OwnerId],
) -> Result<(), StoreError> {
    tx.execute(
        "DELETE FROM owner_member WHERE team_id = $1",
        params![team.to_string()],
    )
    .await?;
    for member in members {
        let sql = "INSERT INTO owner_member (team_id, person_id) VALUES ($1, $2)";
        tx.execute(sql, params![team.to_string(), member.to_string()])
            .await?;
    }
    Ok(())
}

/// Records that an owner left; false when they had already.
pub async fn disable(tx: &mut Tx, id: OwnerId, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE owner SET disabled_at = $1 WHERE id = $2 AND disabled_at IS NULL";
    Ok(tx.execute(sql, params![now, id.to_string()]).await? == 1)
}

/// Records that an owner is back who left at `left_at`; false when they left at another time, or not at all.
pub async fn restore(tx: &mut Tx, id: OwnerId, left_at: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE owner SET disabled_at = NULL WHERE id = $1 AND disabled_at = $2";
    Ok(tx.execute(sql, params![id.to_string(), left_at]).await? == 1)
}

/// The owner with this handle.
pub async fn fetch_by_handle(
    tx: &mut Tx,
    handle: &OwnerHandle,
) -> Result<Option<Owner>, StoreError> {
    let sql = format!("{OWNER} WHERE handle = $1");
    let rows = tx.query("owner", &sql, params![handle.as_str()]).await?;
    match rows.first() {
        Some(row) => read(tx, row).await.map(Some),
        None => Ok(None),
    }
}

/// The owner with this id.
pub async fn fetch(tx: &mut Tx, id: OwnerId) -> Result<Option<Owner>, StoreError> {
    let sql = format!("{OWNER} WHERE id = $1");
    let rows = tx.query("owner", &sql, params![id.to_string()]).await?;
    match rows.first() {
        Some(row) => read(tx, row).await.map(Some),
        None => Ok(None),
    }
}

/// A page of owners in the order of their ids.
pub async fn list(tx: &mut Tx, after: &str, limit: i64) -> Result<Vec<Owner>, StoreError> {
    let sql = format!("{OWNER} WHERE id > $1 ORDER BY id LIMIT $2");
    let rows = tx.query("owner", &sql, params![after, limit]).await?;
    let mut owners = Vec::with_capacity(rows.len());
    for row in &rows {
        owners.push(read(tx, row).await?);
    }
    Ok(owners)
}

async fn read(tx: &mut Tx, row: &Row) -> Result<Owner, StoreError> {
    let id: OwnerId = row.parse("id")?;
    let kind = match row.text("kind")? {
        "person" => OwnerKind::Person,
        "team" => {
            let sql = "SELECT person_id FROM owner_member WHERE team_id = $1 ORDER BY person_id";
            let rows = tx
                .query("owner_member", sql, params![id.to_string()])
                .await?;
            let members = rows
                .iter()
                .map(|row| row.parse("person_id"))
                .collect::<Result<_, _>>()?;
            OwnerKind::Team { members }
        }
        _ => return Err(row.corrupt("kind")),
    };
    Ok(Owner {
        id,
        kind,
        handle: OwnerHandle::parse(row.text("handle")?).map_err(|_| row.corrupt("handle"))?,
        created_at: row.time("created_at")?,
        disabled_at: row.time_or_null("disabled_at")?,
    })
}
