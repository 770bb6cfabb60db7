//! Things that may be used once: kept as hashes that carry their purpose, until they end anyway.
//!
//! On PostgreSQL a flush appends one row with the hashes of all that it uses; the rows are numbered in their order. Each
//! process remembers the hashes of all rows, and a flush first takes its turn and reads the rows that it
//! does not know. So of two uses anywhere one is fresh, and a use costs a few bytes in a row that is
//! written anyway, not a page of an index at random. On SQLite the mark of a flush holds them ([`crate::entries`]).

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use chancery_model::digest::Digest;
use chancery_model::time::Timestamp;

use crate::connect::Store;
use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, params};

/// Something that may be used once. Its hash covers the purpose, so that one kind never passes for another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OneTime {
    /// The hash of purpose and value.
    pub hash: Digest,
    /// When it ends anyway.
    pub expires_at: Timestamp,
}

/// The first half of a hash. Whoever finds two values with the same one is refused once too often; nobody else is.
pub(crate) type Short = u128;

/// Digits of one [`Short`] in a row.
const DIGITS: usize = 32;

/// How much longer than its life a use is remembered: a request that was judged before the end may be recorded
/// after it, and clocks of processes differ.
pub const GRACE: Duration = Duration::from_secs(60);

/// What was used up and still counts.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    hashes: HashSet<Short>,
    ends: BTreeMap<(Timestamp, i64), Vec<Short>>,
}

impl Memory {
    /// Remembers what the flush `number` used up, until `ends`.
    pub(crate) fn remember(&mut self, ends: Timestamp, number: i64, hashes: Vec<Short>) {
        self.hashes.extend(&hashes);
        self.ends.insert((ends, number), hashes);
    }

    /// Forgets what ended before `now`.
    pub(crate) fn forget(&mut self, now: Timestamp) {
        while let Some(ended) = self.ends.first_entry().filter(|row| row.key().0 < now) {
            for hash in ended.remove() {
                self.hashes.remove(&hash);
            }
        }
    }

    /// Whether it was used.
    pub(crate) fn holds(&self, hash: Short) -> bool {
        self.hashes.contains(&hash)
    }
}

/// What this process knows to be used: what it read from durable rows, and what it committed.
#[derive(Debug, Default)]
pub(crate) struct Used {
    /// The last row that was read, and what it held.
    last: (i64, Vec<Short>),
    memory: Memory,
    /// What the transaction under way uses.
    pending: HashSet<Short>,
}

impl Used {
    /// Uses all of `wanted` at `now`, in a transaction that took its turn; returns the hashes that were fresh.
    ///
    /// They are remembered once it is [`committed`](Self::committed), so nothing is if it leaves no trace.
    pub(crate) async fn consume(
        &mut self,
        tx: &mut Tx,
        wanted: &[OneTime],
        now: Timestamp,
    ) -> Result<HashSet<Digest>, StoreError> {
        self.pending.clear();
        let Some(expires_at) = wanted.iter().map(|once| once.expires_at).max() else {
            return Ok(HashSet::new());
        };
        let turn = "UPDATE one_time_turn SET number = number + 1 WHERE id = 1";
        require_one(tx.execute(turn, &[]).await?)?;
        self.memory.forget(now.before(GRACE));
        self.catch_up(tx).await?;
        let mut fresh = HashSet::with_capacity(wanted.len());
        let mut hashes = String::with_capacity(wanted.len() * DIGITS);
        for once in wanted {
            let hash = short(once.hash);
            // What ended while the request was under way may be forgotten elsewhere, so it is not fresh.
            let is_over = once.expires_at <= now;
            if !is_over && !self.memory.holds(hash) && self.pending.insert(hash) {
                fresh.insert(once.hash);
                hashes.push_str(&format!("{hash:032x}"));
            }
        }
        if fresh.is_empty() {
            return Ok(fresh);
        }
        let append = "INSERT INTO one_time_batch (number, expires_at, hashes) \
                      SELECT number, $1, $2 FROM one_time_turn WHERE id = 1";
        require_one(tx.execute(append, params![expires_at, hashes]).await?)?;
        Ok(fresh)
    }

    /// What the last transaction used is durable. Its row is read with the next ones, and says when it ends.
    pub(crate) fn committed(&mut self) {
        self.memory.hashes.extend(self.pending.drain());
    }

    /// Reads the rows that this process does not know.
    ///
    /// When the last that it knows is not there as it was, it ended, or the database is not the one that was
    /// written to but a copy from before: then every row is read.
    async fn catch_up(&mut self, tx: &mut Tx) -> Result<(), StoreError> {
        let mut rows = rows_from(tx, self.last.0).await?;
        let is_known = |(number, _, hashes): &(i64, Timestamp, Vec<Short>)| {
            *number == self.last.0 && *hashes == self.last.1
        };
        if !rows.first().is_some_and(is_known) {
            rows = rows_from(tx, 0).await?;
        }
        for (number, expires_at, hashes) in rows {
            self.last = (number, hashes.clone());
            self.memory.remember(expires_at, number, hashes);
        }
        Ok(())
    }
}

/// What the rows say was used up: all that is known, where nothing is used up by rows any more.
pub(crate) async fn fetch_memory(tx: &mut Tx) -> Result<Memory, StoreError> {
    let mut memory = Memory::default();
    for (number, expires_at, hashes) in rows_from(tx, 0).await? {
        // The numbers of flushes begin at nought, and the two do not meet.
        memory.remember(expires_at, -1 - number, hashes);
    }
    Ok(memory)
}

async fn rows_from(
    tx: &mut Tx,
    number: i64,
) -> Result<Vec<(i64, Timestamp, Vec<Short>)>, StoreError> {
    let sql = "SELECT number, expires_at, hashes FROM one_time_batch \
               WHERE number >= $1 ORDER BY number";
    let rows = tx.query("one_time_batch", sql, params![number]).await?;
    let read = |row: &Row| Ok((row.int("number")?, row.time("expires_at")?, hashes(row)?));
    rows.iter().map(read).collect()
}

/// Without the row of turns nothing would be remembered, and everything would be fresh.
fn require_one(changed: u64) -> Result<(), StoreError> {
    if changed == 1 {
        return Ok(());
    }
    Err(StoreError::Corrupt {
        table: "one_time_turn",
        column: "id",
        row: "1".to_owned(),
    })
}

pub(crate) fn short(hash: Digest) -> Short {
    let (first, _) = hash.as_bytes().split_at(size_of::<Short>());
    first
        .iter()
        .fold(0, |value, byte| (value << 8) | Short::from(*byte))
}

fn hashes(row: &Row) -> Result<Vec<Short>, StoreError> {
    let text = row.text("hashes")?;
    let corrupt = || StoreError::Corrupt {
        table: "one_time_batch",
        column: "hashes",
        row: text.chars().take(DIGITS).collect(),
    };
    if !text.len().is_multiple_of(DIGITS) {
        return Err(corrupt());
    }
    text.as_bytes()
        .chunks(DIGITS)
        .map(|digits| {
            let digits = std::str::from_utf8(digits).map_err(|_| corrupt())?;
            Short::from_str_radix(digits, 16).map_err(|_| corrupt())
        })
        .collect()
}

/// Uses something up in a table of its own, in the transaction that it is for; false when it was used before. Forgets what ended
/// there.
pub(crate) async fn use_in(
    tx: &mut Tx,
    table: &'static str,
    hash: Digest,
    expires_at: Timestamp,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = format!("DELETE FROM {table} WHERE expires_at < $1");
    tx.execute(&sql, params![now.before(GRACE)]).await?;
    let sql = format!(
        "INSERT INTO {table} (hash, expires_at) VALUES ($1, $2) ON CONFLICT (hash) DO NOTHING"
    );
    let values = params![hash.to_string(), expires_at];
    Ok(tx.execute(&sql, values).await? == 1)
}

/// Forgets the rows in which all ended [`GRACE`] before `now`; returns how many there were. On SQLite there are none.
pub async fn sweep(store: &Store, now: Timestamp) -> Result<u64, StoreError> {
    if store.entries().is_some() {
        return Ok(0);
    }
    let mut tx = store.begin().await?;
    let sql = "DELETE FROM one_time_batch WHERE expires_at < $1";
    let swept = tx.execute(sql, params![now.before(GRACE)]).await?;
    tx.end().await?;
    Ok(swept)
}
