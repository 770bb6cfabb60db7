//! Durable events that wait to be sealed into the log, one event per line: on PostgreSQL one row per flush; on SQLite
//! one row per change, and whatever is behind the sealed part of the file of entries ([`crate::entries`]).
//!
//! A row's key is the id of its first event, so rows sort by time; they are deleted by key once
//! sealed, so a row that commits late is never passed over.

use std::collections::HashSet;

use chancery_model::event::{Event, LONGEST_EVENT};
use chancery_model::id::EventId;
use chancery_model::time::Timestamp;

use crate::connect::Store;
use crate::error::StoreError;
use crate::log;
use crate::tx::Tx;
use crate::value::{Row, params};

/// How many batches are read before their size is known, and the most in one query.
const FEW: usize = 16;
const MANY: usize = 1_024;

/// One flush worth of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Holds the entries.
    text: String,
    /// Where they begin in it.
    skip: usize,
    /// Whether the database lost the change that they are of.
    is_lost: bool,
    /// Where they wait.
    pub place: Place,
}

impl Batch {
    /// Canonical events, one a line; none when the flush only used something up, or when they are lost.
    pub fn entries(&self) -> &str {
        if self.is_lost { "" } else { self.text() }
    }

    /// The events of a change that the database lost, with what a crash cut off or a backup did not have. It did not
    /// happen, so they are passed over.
    pub fn lost(&self) -> Option<&str> {
        self.is_lost.then(|| self.text())
    }

    fn text(&self) -> &str {
        let entries = self.text.get(self.skip..).unwrap_or_default();
        entries.strip_suffix('\n').unwrap_or(entries)
    }
}

/// Where events wait to be sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a row.
    Row {
        /// Names it.
        id: String,
    },
    /// In the file of entries, where they stay.
    File {
        /// Where the mark of the flush begins.
        mark: u64,
        /// Where the entries begin.
        starts: u64,
        /// Where the next mark begins.
        ends: u64,
        /// The row from which they were brought, which goes with the sealing.
        row: Option<String>,
    },
}

struct WaitingRow {
    id: String,
    recorded_at: Timestamp,
    entries: String,
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
///
/// On SQLite this brings the rows into the file of entries, so whoever is about to seal calls it.
pub async fn oldest(store: &Store, enough: usize) -> Result<Vec<Batch>, StoreError> {
    let Some(entries) = store.entries() else {
        let mut tx = store.follow().await?;
        let rows = oldest_rows(&mut tx, enough).await?;
        let batch = |row: WaitingRow| Batch {
            text: row.entries,
            skip: 0,
            is_lost: false,
            place: Place::Row { id: row.id },
        };
        return Ok(rows.into_iter().map(batch).collect());
    };
    let known = entries.known_end().await;
    let mut tx = store.follow().await?;
    let rows = oldest_rows(&mut tx, enough).await?;
    let waiting = names(&mut tx).await?;
    let position = log::fetch_position(&mut tx).await?;
    drop(tx);
    let rows = rows.into_iter().map(|row| (row.id, row.entries)).collect();
    let mut batches = Vec::new();
    let mut is_any = false;
    for piece in entries.bring(rows, position, enough).await? {
        is_any |= piece.text.len() > piece.skip;
        let is_there = piece.row.as_ref().is_none_or(|row| waiting.contains(row));
        // Somebody else may have brought a row that was committed after we looked: that is for the next time.
        if !is_there && piece.mark >= known {
            break;
        }
        batches.push(Batch {
            text: piece.text,
            skip: piece.skip,
            is_lost: !is_there,
            place: Place::File {
                mark: piece.mark,
                starts: piece.starts,
                ends: piece.ends,
                row: piece.row.filter(|_| is_there),
            },
        });
    }
    // Flushes that only used something up may stay until there is more.
    Ok(if is_any { batches } else { Vec::new() })
}

/// The names of all rows.
async fn names(tx: &mut Tx) -> Result<HashSet<String>, StoreError> {
    let rows = tx.query("outbox", "SELECT id FROM outbox", &[]).await?;
    let name = |row: &Row| Ok(row.text("id")?.to_owned());
    rows.iter().map(name).collect()
}

async fn oldest_rows(tx: &mut Tx, enough: usize) -> Result<Vec<WaitingRow>, StoreError> {
    let sql = "SELECT id, recorded_at, entries FROM outbox \
               WHERE recorded_at > $1 OR (recorded_at = $1 AND id > $2) \
               ORDER BY recorded_at, id LIMIT $3";
    let mut found: Vec<WaitingRow> = Vec::new();
    let mut bytes = 0;
    while bytes < enough {
        let (at, id) = found
            .last()
            .map_or((Timestamp::from_micros(i64::MIN), ""), |last| {
                (last.recorded_at, last.id.as_str())
            });
        // As many as fill the rest if they are like those so far.
        let wanted = match bytes / found.len().max(1) {
            0 => FEW,
            each => ((enough - bytes) / each).clamp(FEW, MANY),
        };
        let rows = tx
            .query("outbox", sql, params![at, id, wanted as i64])
            .await?;
        for row in &rows {
            let row = WaitingRow {
                id: row.text("id")?.to_owned(),
                recorded_at: row.time("recorded_at")?,
                entries: row.text("entries")?.to_owned(),
            };
            bytes += row.entries.len();
            found.push(row);
        }
        if rows.len() < wanted {
            break;
        }
    }
    Ok(found)
}

/// How many batches wait.
pub async fn count(store: &Store) -> Result<i64, StoreError> {
    let mut tx = store.read().await?;
    let rows = tx
        .query("outbox", "SELECT count(*) AS waiting FROM outbox", &[])
        .await?;
    let rows = rows.first().map_or(Ok(0), |row| row.int("waiting"))?;
    let Some(entries) = store.entries() else {
        return Ok(rows);
    };
    let position = log::fetch_position(&mut tx).await?;
    Ok(rows + entries.count(position)?)
}

/// Removes a batch that was sealed; false when it is gone already.
pub(crate) async fn delete(tx: &mut Tx, id: &str) -> Result<bool, StoreError> {
    Ok(tx
        .execute("DELETE FROM outbox WHERE id = $1", params![id])
        .await?
        == 1)
}
