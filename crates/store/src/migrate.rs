//! Additive migrations: numbered texts, each statement able to run again, so that a kill at any step
//! is finished by the next start (STOR-09).

use crate::connect::Store;
use crate::error::StoreError;
use crate::value::params;

struct Migration {
    number: i64,
    text: &'static str,
}

const MIGRATIONS: &[Migration] = &[Migration {
    number: 1,
    text: include_str!("../migrations/0001_first_house.sql"),
}];

/// The schema that this program writes.
pub(crate) const KNOWN: i64 = MIGRATIONS[MIGRATIONS.len() - 1].number;

/// Brings the schema up to date; a newer one is refused.
pub(crate) async fn run(store: &Store) -> Result<(), StoreError> {
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
        // A conflict means that another authority migrates at this moment; every statement may run again.
        let mut attempts = 0;
        while let Err(error) = apply(store, migration).await {
            attempts += 1;
            if !error.is_retryable() || attempts == 20 {
                return Err(error);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50 * attempts)).await;
        }
    }
    Ok(())
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
