//! Sealing: one process at a time, by a lease row, turns durable events into leaves, tiles and a signed checkpoint.
//!
//! Tiles, bundles, head and the removal of the sealed batches commit in one transaction. So a kill at any
//! moment leaves either the state before or the state after, and no entry is lost, doubled or reordered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use chancery_ledger::appender::Appender;
use chancery_ledger::checkpoint::Checkpoint;
use chancery_ledger::hash::{Hash, leaf_hash};
use chancery_ledger::tile::TileRow as HexTile;
use chancery_model::event::{Actor, Event, EventKind, LONGEST_EVENT};
use chancery_model::id::AgentId;
use chancery_model::time::Timestamp;
use chancery_store::error::StoreError;
use chancery_store::log::{self, BundleRow, Head, Sealing, Span, TileRow};
use chancery_store::outbox::{self, Place};
use chancery_store::tx::Tx;
use chancery_wire::hash::sha256;
use serde::Deserialize;

use crate::state::Authority;

/// Entries in one bundle.
pub const BUNDLE: u64 = 256;
/// Bytes of entries that one sealing takes, and a few batches more: some ten thousand entries.
const ENOUGH: usize = 8 * 1024 * 1024;
/// How often the sequencer looks without being rung.
const PERIOD: Duration = Duration::from_millis(200);
/// How long a lease lasts unless a sealing renews it. Shorter than a stop waits for its receipt, so that
/// another process takes over from one that was killed before that stop is answered.
const LEASE: Duration = Duration::from_secs(2);

/// Why the log cannot grow.
#[derive(Debug, thiserror::Error)]
pub enum SequenceError {
    /// The database refused.
    #[error("the log's rows cannot be read or written")]
    Store(#[from] StoreError),
    /// The tiles do not lead to the signed root: something was altered or rolled back (AUD-02).
    #[error("the log's tiles do not lead to its signed checkpoint of {0} entries; appending stops")]
    Inconsistent(u64),
    /// A waiting entry cannot be read, and nor can that be recorded.
    #[error("a waiting entry is damaged, and that cannot be recorded")]
    Untold,
}

/// What a process keeps between sealings: the right edge of the tree.
pub struct Sequencer {
    authority: Arc<Authority>,
    edge: Option<Edge>,
    /// What this process signed last: the log never goes back behind it.
    signed: Option<(u64, Hash)>,
}

struct Edge {
    head: Head,
    appender: Appender,
    bundle: Bundle,
}

/// The bundle under construction.
#[derive(Clone, Default)]
struct Bundle {
    /// Those of its entries that are not in the file of entries: none come after one that is.
    entries: String,
    /// The pieces of that file which hold the others.
    spans: Vec<Span>,
    /// Whether an entry was passed over since the last one.
    is_cut: bool,
    kinds: BTreeSet<String>,
    first_at: i64,
    last_at: i64,
}

impl Sequencer {
    /// A sequencer that has not yet taken the lease.
    pub fn new(authority: Arc<Authority>) -> Self {
        Self {
            authority,
            edge: None,
            signed: None,
        }
    }

    /// Seals as events come, until the process ends.
    pub async fn run(mut self) {
        loop {
            let rung = self.authority.sealing.bell.notified();
            let _whichever = tokio::time::timeout(PERIOD, rung).await;
            while match self.seal_some().await {
                Ok(more) => more,
                Err(error) => {
                    self.edge = None;
                    // Losing the lease or a race is ordinary; the rest is told.
                    if !matches!(&error, SequenceError::Store(store) if store.is_retryable()) {
                        self.raise(&error);
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "the log cannot be sealed"
                        );
                        tokio::time::sleep(PERIOD).await;
                    }
                    false
                }
            } {}
        }
    }

    /// Raises the alarm when what is there cannot be sealed, whoever tries.
    fn raise(&self, error: &SequenceError) {
        let why = match error {
            SequenceError::Inconsistent(_) => error.to_string(),
            SequenceError::Store(corrupt @ StoreError::Corrupt { .. }) => {
                format!("what waits cannot be sealed: {corrupt}")
            }
            SequenceError::Store(_) | SequenceError::Untold => return,
        };
        self.authority.sealing.alarm.send_replace(Some(why));
    }

    /// Seals what waits; true when more may.
    pub async fn seal_some(&mut self) -> Result<bool, SequenceError> {
        let authority = Arc::clone(&self.authority);
        let batches = outbox::oldest(&authority.store, ENOUGH).await?;
        if batches.is_empty() {
            return Ok(false);
        }
        let Some(mut edge) = self.take_edge().await? else {
            return Ok(false);
        };
        let taken: usize = batches.iter().map(|batch| batch.entries().len()).sum();
        let (sealing, found) = edge.grow(&batches, &authority)?;
        for event in found {
            // Told before the damage is passed over, so that it is told at least once.
            let told = authority.journal.append(event).await;
            told.map_err(|_| SequenceError::Untold)?;
        }
        edge.head = log::seal(&authority.store, &sealing).await?;
        let size = edge.head.size.unsigned_abs();
        self.signed = Some((size, edge.appender.root()));
        self.edge = Some(edge);
        authority.sealing.sealed.send_replace(size);
        Ok(taken >= ENOUGH)
    }

    /// The right edge, with a lease that lasts; `None` while another process seals.
    async fn take_edge(&mut self) -> Result<Option<Edge>, SequenceError> {
        let now = self.authority.clock.now();
        if let Some(edge) = self
            .edge
            .take()
            .filter(|edge| edge.head.lease_until > now.after(LEASE / 2))
        {
            return Ok(Some(edge));
        }
        let node = &self.authority.config.node;
        let leased = log::lease(&self.authority.store, node, now, LEASE).await?;
        let Some(head) = leased else { return Ok(None) };
        let mut tx = self.authority.store.follow().await?;
        let edge = restore(&mut tx, head, &self.authority).await?;
        // A database of before, put in the place of the present one under our feet, would make us sign twice.
        let size = edge.appender.size();
        let went_back = self.signed.is_some_and(|(signed, root)| {
            size < signed || (size == signed && edge.appender.root() != root)
        });
        if went_back {
            return Err(SequenceError::Inconsistent(size));
        }
        Ok(Some(edge))
    }
}

/// Reads the right edge and holds it against the signed checkpoint before anything is appended.
async fn restore(tx: &mut Tx, head: Head, authority: &Authority) -> Result<Edge, SequenceError> {
    let size = head.size.unsigned_abs();
    let inconsistent = SequenceError::Inconsistent(size);
    let mut rows = BTreeMap::new();
    for id in chancery_ledger::path::TileId::right_edge(size) {
        let (level, number) = (i64::from(id.level()), id.index() as i64);
        if let Some(row) = log::fetch_tile(tx, level, number).await? {
            rows.insert(
                (level, number),
                HexTile {
                    hashes: row.hashes,
                    mids: row.mids,
                },
            );
        }
    }
    let tile = |id: chancery_ledger::path::TileId| {
        rows.get(&(i64::from(id.level()), id.index() as i64))
            .cloned()
            .ok_or(())
    };
    let appender = if size == 0 {
        Appender::new()
    } else {
        Appender::restore(size, tile).map_err(|_| SequenceError::Inconsistent(size))?
    };
    if size > 0 {
        let verifier = authority.keys.load().log.verifier().clone();
        let signed = Checkpoint::open(&head.checkpoint, &[verifier]);
        let signed = signed.map_err(|_| SequenceError::Inconsistent(size))?;
        let checkpoint = signed.checkpoint();
        if checkpoint.size() != size || checkpoint.root() != appender.root() {
            return Err(inconsistent);
        }
    }
    let bundle = match size % BUNDLE {
        0 => Bundle::default(),
        _ => {
            let number = (size / BUNDLE) as i64;
            let sealed = log::fetch_bundle(tx, number).await?;
            let sealed = sealed.filter(|sealed| {
                let leaves = rows.get(&(0, number));
                leaves.is_some_and(|leaves| is_signed(&sealed.entries, size % BUNDLE, leaves))
            });
            let row = sealed.ok_or(inconsistent)?.row;
            Bundle {
                kinds: row
                    .kinds
                    .split(',')
                    .filter(|kind| !kind.is_empty())
                    .map(str::to_owned)
                    .collect(),
                entries: row.entries,
                first_at: row.first_at.as_micros(),
                last_at: row.last_at.as_micros(),
                spans: row.spans,
                // What was passed over before is not known any more.
                is_cut: true,
            }
        }
    };
    Ok(Edge {
        head,
        appender,
        bundle,
    })
}

/// Whether the entries are exactly those that the leaves are of.
fn is_signed(entries: &str, count: u64, leaves: &HexTile) -> bool {
    let hashes: Vec<Hash> = (entries.split('\n'))
        .map(|entry| leaf_hash(entry.as_bytes()))
        .collect();
    let is_leaf = |(place, hash): (u64, &Hash)| leaves.hash(place).is_ok_and(|leaf| leaf == *hash);
    hashes.len() as u64 == count && (0..).zip(&hashes).all(is_leaf)
}

/// The few members of an event that the index needs; reading only these keeps sealing cheap.
#[derive(Deserialize)]
struct Indexed<'a> {
    at: i64,
    #[serde(borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(borrow, default)]
    agent: Option<IndexedAgent<'a>>,
}

#[derive(Deserialize)]
struct IndexedAgent<'a> {
    #[serde(borrow)]
    id: std::borrow::Cow<'a, str>,
}

/// Reads an entry for the index; `None` when it is not one that we could have written.
fn read(entry: &str) -> Option<Indexed<'_>> {
    // Without a way out in the middle, many bytes are compared at a time.
    let is_text = entry.bytes().fold(true, |all, byte| all & (byte >= b' '));
    if entry.len() > LONGEST_EVENT || !is_text {
        return None;
    }
    let indexed: Indexed<'_> = serde_json::from_str(entry).ok()?;
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'.' || byte == b'_';
    let names_agent = |agent: &IndexedAgent<'_>| agent.id.parse::<AgentId>().is_ok();
    let is_ours = indexed.kind.bytes().all(is_name) && indexed.agent.iter().all(names_agent);
    is_ours.then_some(indexed)
}

impl Indexed<'_> {
    fn damaged(at: Timestamp) -> Self {
        Self {
            at: at.as_micros(),
            kind: "record.damaged".into(),
            agent: None,
        }
    }
}

/// What is sealed in the place of an entry that is not one of ours, or after it, so that one bad entry does not stop the
/// log.
fn damaged(entry: &str, authority: &Authority) -> Event {
    tracing::error!("a waiting entry cannot be read and is sealed as damaged");
    instead_of(entry, "damaged", authority)
}

/// What is sealed of a change that the database lost after its events were in the file: that there was one.
fn lost(entries: &str, authority: &Authority) -> Event {
    tracing::error!("the database lost a change; its events are passed over");
    instead_of(entries, "lost", authority)
}

fn instead_of(entry: &str, outcome: &str, authority: &Authority) -> Event {
    let actor = Actor::authority();
    let facts = [
        ("beginning", entry.to_owned()),
        ("digest", sha256(entry.as_bytes()).to_string()),
    ];
    let event = Event {
        facts: facts.map(|(fact, value)| (fact.to_owned(), value)).into(),
        outcome: outcome.to_owned(),
        ..Event::new(
            EventKind::RecordDamaged,
            actor,
            authority.clock.now(),
            &*authority.entropy,
        )
    };
    event.bounded()
}

/// The entries of a batch, each with its place in the file of entries, where there is one.
fn entries(batch: &outbox::Batch) -> impl Iterator<Item = (&str, Option<Span>)> {
    let mut next = match &batch.place {
        Place::Row { .. } => None,
        Place::File { starts, .. } => Some(*starts),
    };
    let lines = batch.entries().split('\n');
    let lines = lines.filter(|_| !batch.entries().is_empty());
    lines.map(move |entry| {
        let span = next.map(|starts| Span {
            starts,
            ends: starts + entry.len() as u64,
        });
        next = span.map(|span| span.ends + 1);
        (entry, span)
    })
}

impl Edge {
    /// Appends the batches; says what that changes, and what is to be told of entries in the file that were passed
    /// over, because they cannot be read.
    fn grow(
        &mut self,
        batches: &[outbox::Batch],
        authority: &Authority,
    ) -> Result<(Sealing, Vec<Event>), SequenceError> {
        let mut found = Vec::new();
        let mut bundles = Vec::new();
        let mut agents: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
        for batch in batches {
            if let Some(entries) = batch.lost() {
                found.push(lost(entries, authority));
                self.bundle.is_cut = true;
            }
            for (entry, span) in entries(batch) {
                let instead;
                let (entry, indexed) = match (read(entry), span) {
                    (Some(indexed), _) => (entry, indexed),
                    (None, Some(_)) => {
                        found.push(damaged(entry, authority));
                        self.bundle.is_cut = true;
                        continue;
                    }
                    (None, None) => {
                        let event = damaged(entry, authority);
                        instead = event.to_canonical_json();
                        (instead.as_str(), Indexed::damaged(event.at))
                    }
                };
                let number = (self.appender.size() / BUNDLE) as i64;
                self.appender.append(leaf_hash(entry.as_bytes()));
                self.bundle.take(entry, &indexed, span);
                if let Some(agent) = indexed.agent {
                    // Most agents are there already, and need no text of their own.
                    if let Some(numbers) = agents.get_mut(&*agent.id) {
                        numbers.insert(number);
                    } else {
                        agents.insert(agent.id.into_owned(), BTreeSet::from([number]));
                    }
                }
                if self.appender.size().is_multiple_of(BUNDLE) {
                    bundles.push(std::mem::take(&mut self.bundle).row(number));
                }
            }
        }
        let size = self.appender.size();
        if !size.is_multiple_of(BUNDLE) {
            bundles.push(self.bundle.clone().row((size / BUNDLE) as i64));
        }
        let tiles = self.appender.take_changed();
        let tiles = tiles
            .iter()
            .map(|(id, tile)| {
                let HexTile { hashes, mids } = tile.row();
                TileRow {
                    level: id.level().into(),
                    number: id.index() as i64,
                    hashes,
                    mids,
                }
            })
            .collect();
        let signer = &authority.keys.load().log;
        let checkpoint = Checkpoint::new(&authority.log_origin, size, self.appender.root())
            .and_then(|checkpoint| checkpoint.sign(signer))
            .map_err(|_| SequenceError::Inconsistent(size))?;
        let sealing = Sealing {
            from: self.head.clone(),
            size: size as i64,
            checkpoint,
            tiles,
            bundles,
            agents,
            batches: batches.iter().map(|batch| batch.place.clone()).collect(),
        };
        Ok((sealing, found))
    }
}

impl Bundle {
    fn take(&mut self, entry: &str, indexed: &Indexed<'_>, span: Option<Span>) {
        if self.entries.is_empty() && self.spans.is_empty() {
            (self.first_at, self.last_at) = (indexed.at, indexed.at);
        }
        match (span, self.spans.last_mut()) {
            (Some(span), Some(last)) if !self.is_cut => last.ends = span.ends,
            (Some(span), _) => self.spans.push(span),
            (None, _) => {
                if !self.entries.is_empty() {
                    self.entries.push('\n');
                }
                self.entries.push_str(entry);
            }
        }
        self.is_cut = false;
        self.first_at = self.first_at.min(indexed.at);
        self.last_at = self.last_at.max(indexed.at);
        if !self.kinds.contains(&*indexed.kind) {
            self.kinds.insert(indexed.kind.clone().into_owned());
        }
    }

    fn row(self, number: i64) -> BundleRow {
        let kinds: Vec<String> = self.kinds.into_iter().collect();
        BundleRow {
            number,
            entries: self.entries,
            kinds: format!(",{},", kinds.join(",")),
            first_at: Timestamp::from_micros(self.first_at),
            last_at: Timestamp::from_micros(self.last_at),
            spans: self.spans,
        }
    }
}
