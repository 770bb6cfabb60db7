//! The patrol: reads the sealed log again and again, a bundle at a time, and holds it against the signed root (AUD-01).
//!
//! Whoever alters the database of a running authority is told on by the authority itself, before an auditor comes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chancery_ledger::checkpoint::Checkpoint;
use chancery_ledger::hash::{Hash, leaf_hash};
use chancery_ledger::path::TileId;
use chancery_ledger::proof;
use chancery_ledger::tile::{Tile, TileRow as HexTile};
use chancery_model::event::{Actor, Event, EventKind};
use chancery_store::error::StoreError;
use chancery_store::log;
use chancery_store::tx::Tx;

use crate::audit::prove::read_tiles;
use crate::audit::sequence::BUNDLE;
use crate::state::Authority;

/// How often the patrol looks.
const PERIOD: Duration = Duration::from_secs(2);
/// How long the alarm waits for its entry in the record.
const PATIENCE: Duration = Duration::from_secs(5);
/// In so many looks it has seen the whole log: within an hour.
const LOOKS: u64 = 1_800;

/// What the patrol found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    index: u64,
    why: String,
}

/// Walks until the process ends.
pub(crate) async fn walk(authority: Arc<Authority>) {
    let mut next = 0;
    let mut told = BTreeSet::new();
    loop {
        tokio::time::sleep(PERIOD).await;
        match step(&authority, &mut next, &mut told).await {
            Ok(()) => {}
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the sealed log cannot be read again"
            ),
        }
    }
}

/// Looks at as many bundles as one look is for, from `next` on; each finding is told once.
async fn step(
    authority: &Authority,
    next: &mut u64,
    told: &mut BTreeSet<u64>,
) -> Result<(), StoreError> {
    let mut tx = authority.store.read().await?;
    let head = log::fetch_head(&mut tx).await?;
    drop(tx);
    let bundles = head.map_or(0, |head| head.size.unsigned_abs().div_ceil(BUNDLE));
    for _ in 0..bundles.div_ceil(LOOKS) {
        let number = if *next < bundles { *next } else { 0 };
        *next = number + 1;
        if let Some(finding) = look(authority, number).await?
            && told.insert(number)
        {
            raise(authority, &finding).await;
        }
    }
    Ok(())
}

/// Holds one bundle against the signed root.
async fn look(authority: &Authority, number: u64) -> Result<Option<Finding>, StoreError> {
    let mut tx = authority.store.read().await?;
    let Some(head) = log::fetch_head(&mut tx).await? else {
        return Ok(None);
    };
    let (size, first) = (head.size.unsigned_abs(), number * BUNDLE);
    if first >= size {
        return Ok(None);
    }
    let verifier = authority.keys.load().log.verifier().clone();
    let Ok(checkpoint) = Checkpoint::open(&head.checkpoint, &[verifier]) else {
        let why = "the checkpoint is not signed by the key of this log".to_owned();
        return Ok(Some(Finding { index: size, why }));
    };
    let root = checkpoint.checkpoint().root();
    judge(&mut tx, number, size, &root).await
}

async fn judge(
    tx: &mut Tx,
    number: u64,
    size: u64,
    root: &Hash,
) -> Result<Option<Finding>, StoreError> {
    let first = number * BUNDLE;
    let width = BUNDLE.min(size - first) as usize;
    let entries = log::fetch_bundle(tx, number as i64).await?;
    let entries = entries.map_or(String::new(), |bundle| bundle.entries);
    let leaves: Vec<Hash> = (entries.lines().take(width))
        .map(|entry| leaf_hash(entry.as_bytes()))
        .collect();
    if leaves.len() < width {
        let index = first + leaves.len() as u64;
        let why = format!("entry {index} is missing");
        return Ok(Some(Finding { index, why }));
    }
    let mut tiles = read_tiles(tx, first, size).await?;
    let stored = tiles.remove(&(0, number)).unwrap_or_default();
    let differs = (first..).zip(&leaves).find(|(index, leaf)| {
        let stored = stored.hash(index - first);
        stored.is_err() || stored.is_ok_and(|stored| stored != **leaf)
    });
    // The proof is built over what the entries hash to, so it holds only if all of them are the signed ones.
    let row = Tile::new(&leaves)
        .map(|tile| tile.row())
        .unwrap_or_default();
    tiles.insert((0, number), row);
    let read = |id: TileId| {
        let tile: Option<&HexTile> = tiles.get(&(id.level(), id.index()));
        tile.ok_or(())
    };
    let proven = proof::inclusion(first, size, read).is_ok_and(|path| {
        leaves
            .first()
            .is_some_and(|leaf| proof::verify_inclusion(leaf, first, size, &path, root).is_ok())
    });
    let index = differs.map_or(first, |(index, _)| index);
    Ok(match (proven, differs) {
        (true, None) => None,
        (true, Some(_)) => Some(Finding {
            index,
            why: format!("the stored hash of entry {index} was altered; the entry is genuine"),
        }),
        (false, Some(_)) => Some(Finding {
            index,
            why: format!("entry {index} is not the one that was signed"),
        }),
        (false, None) => Some(Finding {
            index,
            why: format!("the entries from {index} on do not lead to the signed root"),
        }),
    })
}

async fn raise(authority: &Authority, finding: &Finding) {
    tracing::error!(
        index = finding.index,
        "the record was altered: {}",
        finding.why
    );
    let actor = Actor::authority();
    let now = authority.clock.now();
    let event = Event {
        facts: [("index".to_owned(), finding.index.to_string())].into(),
        outcome: "altered".to_owned(),
        reason: Some(finding.why.clone()),
        ..Event::new(EventKind::RecordAltered, actor, now, &*authority.entropy)
    };
    // Whoever hears the alarm finds it in the record, but a database that hangs does not keep it back.
    let recorded = tokio::time::timeout(PATIENCE, authority.journal.append(event)).await;
    if !matches!(recorded, Ok(Ok(()))) {
        tracing::error!("what was altered could not be recorded");
    }
    authority
        .sealing
        .alarm
        .send_replace(Some(finding.why.clone()));
}
