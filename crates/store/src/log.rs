//! The log as rows: head, tiles and entry bundles. What they mean is the `ledger` crate's business.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chancery_model::time::Timestamp;

use crate::connect::Store;
use crate::entries::Position;
pub use crate::entries::Span;
use crate::error::StoreError;
use crate::outbox::{self, Place};
use crate::tx::Tx;
use crate::value::{Row, params};

/// The head of the log: how far it is sealed, and who may seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Sealed entries.
    pub size: i64,
    /// The signed checkpoint, empty before the first.
    pub checkpoint: String,
    /// The process that holds the lease.
    pub holder: String,
    /// Until when it does.
    pub lease_until: Timestamp,
    /// Grows with every change; sealing is a compare-and-swap on it.
    pub revision: i64,
}

/// A tile: its hashes and the roots of its complete groups of sixteen, both as hexadecimal text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileRow {
    /// Its level; 0 holds leaves.
    pub level: i64,
    /// Its number within the level.
    pub number: i64,
    /// Up to 256 hashes.
    pub hashes: String,
    /// Up to 16 hashes.
    pub mids: String,
}

/// Up to 256 entries, one a line, with what searches need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleRow {
    /// Its number.
    pub number: i64,
    /// Canonical events, one a line. Of what is sealed, those that are not in `spans`.
    pub entries: String,
    /// The kinds of events in it, each between commas.
    pub kinds: String,
    /// The earliest time in it.
    pub first_at: Timestamp,
    /// The latest time in it.
    pub last_at: Timestamp,
    /// The pieces of the file of entries that hold those after `entries`; none on PostgreSQL.
    pub spans: Vec<Span>,
}

/// Everything that one sealing changes.
#[derive(Debug)]
pub struct Sealing {
    /// The head as it was when the sealing began.
    pub from: Head,
    /// The new size.
    pub size: i64,
    /// The new signed checkpoint.
    pub checkpoint: String,
    /// Tiles that are new or fuller.
    pub tiles: Vec<TileRow>,
    /// Bundles that are new or fuller.
    pub bundles: Vec<BundleRow>,
    /// Agents and the bundles in which they newly occur.
    pub agents: BTreeMap<String, BTreeSet<i64>>,
    /// Where the batches waited that are sealed by this, in their order.
    pub batches: Vec<Place>,
}

/// The head, if the log was begun.
pub async fn fetch_head(tx: &mut Tx) -> Result<Option<Head>, StoreError> {
    let sql =
        "SELECT id, size, checkpoint, holder, lease_until, revision FROM log_head WHERE id = 1";
    let rows = tx.query("log_head", sql, &[]).await?;
    rows.first().map(head).transpose()
}

fn head(row: &Row) -> Result<Head, StoreError> {
    Ok(Head {
        size: row.int("size")?,
        checkpoint: row.text("checkpoint")?.to_owned(),
        holder: row.text("holder")?.to_owned(),
        lease_until: row.time("lease_until")?,
        revision: row.int("revision")?,
    })
}

/// How far the clocks of processes may be apart; what seems further is no process that seals.
const FAR: Duration = Duration::from_secs(10 * 60);

/// Takes or renews the lease to seal, for `lasts` from `now` on; `None` while another holder's lease lasts.
///
/// A lease that ends later than [`FAR`] was given by a clock that was far ahead, and does not count.
pub async fn lease(
    store: &Store,
    holder: &str,
    now: Timestamp,
    lasts: Duration,
) -> Result<Option<Head>, StoreError> {
    let mut tx = store.begin().await?;
    let begin = "INSERT INTO log_head (id, size, checkpoint, holder, lease_until, revision) \
                 VALUES (1, 0, '', $1, 0, 0) ON CONFLICT (id) DO NOTHING";
    tx.execute(begin, params![holder]).await?;
    let take = "UPDATE log_head SET holder = $1, lease_until = $2, revision = revision + 1 \
                WHERE id = 1 AND (holder = $1 OR lease_until < $3 OR lease_until > $4)";
    let (until, beyond) = (now.after(lasts), now.after(lasts + FAR));
    let taken = tx
        .execute(take, params![holder, until, now, beyond])
        .await?;
    let head = fetch_head(&mut tx).await?;
    tx.end().await?;
    Ok(if taken == 1 { head } else { None })
}

/// Seals: tiles, bundles, head and the removal of the sealed batches become durable together.
///
/// Refused with [`StoreError::Conflict`] when the head is not where the sealing began.
pub async fn seal(store: &Store, sealing: &Sealing) -> Result<Head, StoreError> {
    let mut tx = store.begin().await?;
    let swap = "UPDATE log_head SET size = $1, checkpoint = $2, revision = revision + 1 \
                WHERE id = 1 AND revision = $3 AND holder = $4";
    let from = &sealing.from;
    let values = params![
        sealing.size,
        sealing.checkpoint.as_str(),
        from.revision,
        from.holder.as_str()
    ];
    if tx.execute(swap, values).await? != 1 {
        return Err(StoreError::Conflict);
    }
    take(&mut tx, &sealing.batches).await?;
    for tile in &sealing.tiles {
        let sql = "INSERT INTO log_tile (level, number, hashes, mids) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (level, number) DO UPDATE SET hashes = excluded.hashes, mids = excluded.mids";
        let values = params![
            tile.level,
            tile.number,
            tile.hashes.as_str(),
            tile.mids.as_str()
        ];
        tx.execute(sql, values).await?;
    }
    for bundle in &sealing.bundles {
        let sql = "INSERT INTO log_bundle (number, entries, kinds, first_at, last_at) \
                   VALUES ($1, $2, $3, $4, $5) ON CONFLICT (number) DO UPDATE SET \
                   entries = excluded.entries, kinds = excluded.kinds, \
                   first_at = excluded.first_at, last_at = excluded.last_at";
        let values = params![
            bundle.number,
            bundle.entries.as_str(),
            bundle.kinds.as_str(),
            bundle.first_at,
            bundle.last_at,
        ];
        tx.execute(sql, values).await?;
        for span in &bundle.spans {
            let sql = "INSERT INTO log_span (number, starts, ends) VALUES ($1, $2, $3) \
                       ON CONFLICT (number, starts) DO UPDATE SET ends = excluded.ends";
            let values = params![bundle.number, span.starts as i64, span.ends as i64];
            tx.execute(sql, values).await?;
        }
    }
    for (agent, numbers) in &sealing.agents {
        for number in numbers {
            let sql = "INSERT INTO agent_bundle (agent_id, number) VALUES ($1, $2) \
                       ON CONFLICT (agent_id, number) DO NOTHING";
            tx.execute(sql, params![agent.as_str(), *number]).await?;
        }
    }
    tx.end().await?;
    Ok(Head {
        size: sealing.size,
        checkpoint: sealing.checkpoint.clone(),
        revision: from.revision + 1,
        ..from.clone()
    })
}

/// Takes what waited: rows go, and the sealed part of the file ends later. A conflict when something of it was taken
/// already.
async fn take(tx: &mut Tx, batches: &[Place]) -> Result<(), StoreError> {
    let (mut begins, mut position) = (None, None);
    for place in batches {
        let row = match place {
            Place::Row { id } => Some(id),
            Place::File {
                mark, ends, row, ..
            } => {
                begins.get_or_insert(*mark as i64);
                position = Some(Position {
                    mark: *mark as i64,
                    ends: *ends as i64,
                });
                row.as_ref()
            }
        };
        if let Some(row) = row
            && !outbox::delete(tx, row).await?
        {
            return Err(StoreError::Conflict);
        }
    }
    if let (Some(begins), Some(to)) = (begins, position) {
        let sql = "UPDATE log_position SET mark = $1, ends = $2 WHERE id = 1 AND ends = $3";
        if tx.execute(sql, params![to.mark, to.ends, begins]).await? != 1 {
            return Err(StoreError::Conflict);
        }
    }
    Ok(())
}

/// How much of the file of entries is sealed.
pub(crate) async fn fetch_position(tx: &mut Tx) -> Result<Position, StoreError> {
    let sql = "SELECT mark, ends FROM log_position WHERE id = 1";
    let rows = tx.query("log_position", sql, &[]).await?;
    let row = rows.first().ok_or_else(|| StoreError::Corrupt {
        table: "log_position",
        column: "id",
        row: "1".to_owned(),
    })?;
    Ok(Position {
        mark: row.int("mark")?,
        ends: row.int("ends")?,
    })
}

/// One tile.
pub async fn fetch_tile(
    tx: &mut Tx,
    level: i64,
    number: i64,
) -> Result<Option<TileRow>, StoreError> {
    let sql = "SELECT level, number, hashes, mids FROM log_tile WHERE level = $1 AND number = $2";
    let rows = tx.query("log_tile", sql, params![level, number]).await?;
    let read = |row: &Row| {
        Ok(TileRow {
            level: row.int("level")?,
            number: row.int("number")?,
            hashes: row.text("hashes")?.to_owned(),
            mids: row.text("mids")?.to_owned(),
        })
    };
    rows.first().map(read).transpose()
}

const BUNDLE: &str = "SELECT number, entries, kinds, first_at, last_at FROM log_bundle";

/// A bundle, with `entries` as its row has them.
fn bundle(row: &Row) -> Result<BundleRow, StoreError> {
    Ok(BundleRow {
        number: row.int("number")?,
        entries: row.text("entries")?.to_owned(),
        kinds: row.text("kinds")?.to_owned(),
        first_at: row.time("first_at")?,
        last_at: row.time("last_at")?,
        spans: Vec::new(),
    })
}

/// A bundle as it was sealed, and all its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// Its row.
    pub row: BundleRow,
    /// Canonical events, one a line.
    pub entries: String,
}

impl Bundle {
    async fn read(tx: &mut Tx, mut row: BundleRow) -> Result<Self, StoreError> {
        row.spans = list_spans(tx, row.number).await?;
        let mut entries = row.entries.clone();
        for span in &row.spans {
            if !entries.is_empty() {
                entries.push('\n');
            }
            entries.push_str(&tx.read_entries(*span)?);
        }
        Ok(Self { row, entries })
    }
}

async fn list_spans(tx: &mut Tx, number: i64) -> Result<Vec<Span>, StoreError> {
    if !tx.has_file() {
        return Ok(Vec::new());
    }
    let sql = "SELECT starts, ends FROM log_span WHERE number = $1 ORDER BY starts";
    let rows = tx.query("log_span", sql, params![number]).await?;
    let read = |row: &Row| {
        Ok(Span {
            starts: row.int("starts")?.unsigned_abs(),
            ends: row.int("ends")?.unsigned_abs(),
        })
    };
    rows.iter().map(read).collect()
}

/// One bundle.
pub async fn fetch_bundle(tx: &mut Tx, number: i64) -> Result<Option<Bundle>, StoreError> {
    let sql = format!("{BUNDLE} WHERE number = $1");
    let rows = tx.query("log_bundle", &sql, params![number]).await?;
    match rows.first().map(bundle).transpose()? {
        Some(row) => Ok(Some(Bundle::read(tx, row).await?)),
        None => Ok(None),
    }
}

/// The bundles whose times touch those from `from` to `to`, oldest first.
pub async fn list_bundles_between(
    tx: &mut Tx,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Bundle>, StoreError> {
    let sql = format!("{BUNDLE} WHERE last_at >= $1 AND first_at <= $2 ORDER BY number LIMIT 64");
    let rows = tx.query("log_bundle", &sql, params![from, to]).await?;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        found.push(Bundle::read(tx, bundle(row)?).await?);
    }
    Ok(found)
}

/// Which bundles a search looks at.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Only bundles with this kind of event.
    pub kind: Option<String>,
    /// Only bundles with this agent.
    pub agent: Option<String>,
}

/// The numbers of matching bundles after `from` in ascending order, at most `limit`.
pub async fn list_ascending(
    tx: &mut Tx,
    search: &Search,
    from: i64,
    limit: i64,
) -> Result<Vec<i64>, StoreError> {
    numbers(tx, search, "b.number >= $1 ORDER BY b.number", from, limit).await
}

/// The numbers of matching bundles before `from` in descending order, at most `limit`.
pub async fn list_descending(
    tx: &mut Tx,
    search: &Search,
    from: i64,
    limit: i64,
) -> Result<Vec<i64>, StoreError> {
    numbers(
        tx,
        search,
        "b.number <= $1 ORDER BY b.number DESC",
        from,
        limit,
    )
    .await
}

async fn numbers(
    tx: &mut Tx,
    search: &Search,
    range: &str,
    from: i64,
    limit: i64,
) -> Result<Vec<i64>, StoreError> {
    // Without a filter the pattern matches every bundle, and the empty agent names none.
    let pattern = search
        .kind
        .as_ref()
        .map_or("%".to_owned(), |kind| format!("%,{kind},%"));
    let agent = search.agent.clone().unwrap_or_default();
    let (range, order) = range.split_once(" ORDER").unwrap_or((range, ""));
    let sql = format!(
        "SELECT b.number FROM log_bundle b WHERE {range} AND b.kinds LIKE $2 \
         AND ($3 = '' OR EXISTS (SELECT 1 FROM agent_bundle a WHERE a.agent_id = $3 AND a.number = b.number)) \
         ORDER{order} LIMIT $4"
    );
    let rows = tx
        .query("log_bundle", &sql, params![from, pattern, agent, limit])
        .await?;
    rows.iter().map(|row| row.int("number")).collect()
}
