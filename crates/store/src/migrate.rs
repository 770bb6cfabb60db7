//! Additive migrations: numbered texts, each statement able to run again, so that a kill at any step
//! is finished by the next start (STOR-09).

use crate::connect::{SchemaState, Store};
use crate::error::StoreError;
use crate::value::params;

struct Migration {
    number: i64,
    text: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration {
        number: 1,
        text: include_str!("../migrations/0001_first_house.sql"),
    },
    Migration {
        number: 2,
        text: include_str!("../migrations/0002_uses_in_batches.sql"),
    },
    Migration {
        number: 3,
        text: include_str!("../migrations/0003_login_makers.sql"),
    },
    Migration {
        number: 4,
        text: include_str!("../migrations/0004_people.sql"),
    },
    Migration {
        number: 5,
        text: include_str!("../migrations/0005_delegation.sql"),
    },
    Migration {
        number: 6,
        text: include_str!("../migrations/0006_clients.sql"),
    },
    Migration {
        number: 7,
        text: include_str!("../migrations/0007_entries_in_a_file.sql"),
    },
    Migration {
        number: 8,
        text: include_str!("../migrations/0008_authentication.sql"),
    },
    Migration {
        number: 9,
        text: include_str!("../migrations/0009_providers.sql"),
    },
    Migration {
        number: 10,
        text: include_str!("../migrations/0010_devices.sql"),
    },
    Migration {
        number: 11,
        text: include_str!("../migrations/0011_client_authentication.sql"),
    },
    Migration {
        number: 12,
        text: include_str!("../migrations/0012_workloads.sql"),
    },
];

/// The schema that this program writes.
pub(crate) const KNOWN: i64 = MIGRATIONS[MIGRATIONS.len() - 1].number;

/// Brings the schema up to date; a newer one is refused.
///
/// All of it may run again: while another authority migrates, it ends in a conflict or a broken constraint.
pub(crate) async fn bring_up_to_date(store: &Store) -> Result<(), StoreError> {
    let found = applied(store).await?;
    if found > KNOWN {
        return Err(StoreError::NewerSchema {
            found,
            known: KNOWN,
        });
    }
    for migration in MIGRATIONS
        .iter()
        .filter(|migration| migration.number > found)
    {
        apply(store, migration).await?;
    }
    Ok(())
}

/// What the database holds, without changing it.
pub(crate) async fn state(store: &Store) -> Result<SchemaState, StoreError> {
    let mut tx = store.read().await?;
    if !tx.has_table("migration").await? {
        return Ok(SchemaState::Empty);
    }
    let rows = tx
        .query(
            "migration",
            "SELECT number FROM migration ORDER BY number",
            &[],
        )
        .await?;
    match rows.last().map_or(Ok(0), |row| row.int("number"))? {
        0 => Ok(SchemaState::Empty),
        KNOWN => Ok(SchemaState::Present),
        found => Ok(SchemaState::Other {
            found,
            known: KNOWN,
        }),
    }
}

async fn applied(store: &Store) -> Result<i64, StoreError> {
    let mut tx = store.begin().await?;
    tx.batch("CREATE TABLE IF NOT EXISTS migration (number BIGINT NOT NULL PRIMARY KEY)")
        .await?;
    let rows = tx
        .query(
            "migration",
            "SELECT number FROM migration ORDER BY number",
            &[],
        )
        .await?;
    tx.end().await?;
    rows.last().map_or(Ok(0), |row| row.int("number"))
}

async fn apply(store: &Store, migration: &Migration) -> Result<(), StoreError> {
    let mut tx = store.begin().await?;
    for statement in migration
        .text
        .split(';')
        .map(str::trim)
        .filter(|text| !text.is_empty())
    {
        tx.batch(statement).await?;
    }
    let sql = "INSERT INTO migration (number) VALUES ($1) ON CONFLICT (number) DO NOTHING";
    tx.execute(sql, params![migration.number]).await?;
    tx.end().await
}
