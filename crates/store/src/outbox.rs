//! Durable events that wait to be sealed into the log: one row per flush, one event per line.
//!
//! A row's key is the id of its first event, so rows sort by time; they are deleted by key once
//! sealed, so a row that commits late is never passed over.

use chancery_model::event::{Event, LONGEST_EVENT};
use chancery_model::id::EventId;
use chancery_model::time::Timestamp;

use crate::connect::Store;
use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::params;

/// How many batches are read before their size is known, and the most in one query.
const FEW: usize = 16;
const MANY: usize = 1_024;

/// One flush worth of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Names the row.
    pub id: String,
    /// When its first event happened.
    pub recorded_at: Timestamp,
    /// Canonical events, one a line.
    pub entries: String,
}

/// Adds `events` as one row.
pub(crate) async fn append(tx: &mut Tx, events: Vec<Event>) -> Result<(), StoreError> {
    let Some((id, at)) = events.first().map(|first| (first.id, first.at)) else {
        return Ok(());
    };
    let lines: Vec<String> = events.into_iter().map(line).collect::<Result<_, _>>()?;
    append_lines(tx, id, at, &lines.join("\n")).await
}

/// An event as an entry of the log; refused when the log could not hold it, so that it never gets there.
pub(crate) fn line(event: Event) -> Result<String, StoreError> {
    let line = event.bounded().to_canonical_json();
    if line.len() > LONGEST_EVENT {
        Err(StoreError::Constraint)
    } else {
        Ok(line)
    }
}

/// Adds canonical events, one a line, as one row.
pub(crate) async fn append_lines(
    tx: &mut Tx,
    first: EventId,
    recorded_at: Timestamp,
    lines: &str,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO outbox (id, recorded_at, entries) VALUES ($1, $2, $3)";
    tx.execute(sql, params![first.to_string(), recorded_at, lines])
        .await?;
    Ok(())
}

/// The oldest waiting batches, until they hold `enough` bytes of entries; one at least when any waits.
pub async fn oldest(tx: &mut Tx, enough: usize) -> Result<Vec<Batch>, StoreError> {
    let sql = "SELECT id, recorded_at, entries FROM outbox \
               WHERE recorded_at > $1 OR (recorded_at = $1 AND id > $2) \
               ORDER BY recorded_at, id LIMIT $3";
    let mut batches: Vec<Batch> = Vec::new();
    let mut bytes = 0;
    while bytes < enough {
        let (at, id) = batches
            .last()
            .map_or((Timestamp::from_micros(i64::MIN), ""), |last| {
                (last.recorded_at, last.id.as_str())
            });
        // As many as fill the rest if they are like those so far.
        let wanted = match bytes / batches.len().max(1) {
            0 => FEW,
            each => ((enough - bytes) / each).clamp(FEW, MANY),
        };
        let rows = tx
            .query("outbox", sql, params![at, id, wanted as i64])
            .await?;
        for row in &rows {
            let batch = Batch {
                id: row.text("id")?.to_owned(),
                recorded_at: row.time("recorded_at")?,
                entries: row.text("entries")?.to_owned(),
            };
            bytes += batch.entries.len();
            batches.push(batch);
        }
        if rows.len() < wanted {
            break;
        }
    }
    Ok(batches)
}

/// How many batches wait.
pub async fn count(store: &Store) -> Result<i64, StoreError> {
    let mut tx = store.read().await?;
    let rows = tx
        .query("outbox", "SELECT count(*) AS waiting FROM outbox", &[])
        .await?;
    rows.first().map_or(Ok(0), |row| row.int("waiting"))
}

/// Removes a batch that was sealed; false when it is gone already.
pub(crate) async fn delete(tx: &mut Tx, id: &str) -> Result<bool, StoreError> {
    Ok(tx
        .execute("DELETE FROM outbox WHERE id = $1", params![id])
        .await?
        == 1)
}
