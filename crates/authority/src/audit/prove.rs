//! Receipts: an entry with its inclusion proof under a signed checkpoint.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use chancery_api::log::{LogView, Receipt};
use chancery_ledger::checkpoint::Checkpoint;
use chancery_ledger::path::TileId;
use chancery_ledger::proof;
use chancery_ledger::receipt::Receipt as Proven;
use chancery_ledger::tile::TileRow as HexTile;
use chancery_model::action::Action;
use chancery_model::id::EventId;
use chancery_policy::Target;
use chancery_store::error::StoreError;
use chancery_store::log::{self, Bundle};
use chancery_store::outbox;
use chancery_store::tx::Tx;

use crate::audit::sequence::BUNDLE;
use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Path;
use crate::state::Authority;

/// How long a fresh event may take to be sealed before we say that it is durable but not yet proven.
const PATIENCE: Duration = Duration::from_secs(5);

/// `GET /v1/receipts/{event}`.
pub async fn show(ctx: Ctx, Path(event): Path<String>) -> Result<Json<Receipt>, Error> {
    ctx.authorize(Action::LogRead, Target::Authority)?;
    let event: EventId = event.parse().map_err(|_| Error::NotFound("event"))?;
    let mut tx = ctx.read().await?;
    find(&ctx.authority, &mut tx, event)
        .await?
        .map(Json)
        .ok_or(Error::NotFound("event"))
}

/// `GET /v1/log`.
pub async fn state(ctx: Ctx) -> Result<Json<LogView>, Error> {
    ctx.authorize(Action::LogRead, Target::Authority)?;
    let pending = outbox::count(&ctx.authority.store).await?.unsigned_abs();
    let mut tx = ctx.read().await?;
    let head = log::fetch_head(&mut tx).await?.filter(|head| head.size > 0);
    let verifier = ctx.authority.keys.load().log.verifier().clone();
    let checkpoint = match &head {
        Some(head) => {
            let opened = Checkpoint::open(&head.checkpoint, std::slice::from_ref(&verifier));
            Some(opened.map_err(|_| Error::Broken)?.checkpoint().clone())
        }
        None => None,
    };
    Ok(Json(LogView {
        origin: ctx.authority.log_origin.clone(),
        size: checkpoint.as_ref().map_or(0, Checkpoint::size),
        root: checkpoint
            .map_or_else(chancery_ledger::hash::empty_root, |it| it.root())
            .to_base64(),
        log_key: verifier.vkey(),
        pending,
        alarm: ctx.authority.sealing.alarm.borrow().clone(),
    }))
}

/// The receipt for an event that was just committed; waits until it is sealed.
pub(crate) async fn receipt(authority: &Arc<Authority>, event: EventId) -> Result<Receipt, Error> {
    let mut sealed = authority.sealing.sealed.subscribe();
    let search = async {
        loop {
            sealed.mark_unchanged();
            let mut tx = authority.store.follow().await?;
            if let Some(receipt) = find(authority, &mut tx, event).await? {
                return Ok(receipt);
            }
            drop(tx);
            authority.sealing.bell.notify_one();
            // Another process may be the one that seals, so look again even if nothing was heard.
            let _heard = tokio::time::timeout(Duration::from_millis(50), sealed.changed()).await;
        }
    };
    tokio::time::timeout(PATIENCE, search)
        .await
        .unwrap_or(Err(Error::Unproven))
}

async fn find(
    authority: &Authority,
    tx: &mut Tx,
    event: EventId,
) -> Result<Option<Receipt>, Error> {
    let Some(head) = log::fetch_head(tx).await?.filter(|head| head.size > 0) else {
        return Ok(None);
    };
    // The id of an event carries its time to the millisecond, its bundle the time to the microsecond.
    let mark = format!("\"id\":\"{event}\",\"kind\":");
    let made_at = event.made_at();
    let bundles =
        log::list_bundles_between(tx, made_at, made_at.after(Duration::from_micros(999))).await?;
    let place = bundles.iter().find_map(|bundle| locate(bundle, &mark));
    let Some((index, entry)) = place else {
        return Ok(None);
    };
    let tiles = read_tiles(tx, index, head.size.unsigned_abs()).await?;
    let read = |id: TileId| tiles.get(&(id.level(), id.index())).cloned().ok_or(());
    let hashes =
        proof::inclusion(index, head.size.unsigned_abs(), read).map_err(|_| Error::Broken)?;
    let proven = Proven {
        entry: entry.clone().into_bytes(),
        index,
        proof: hashes,
        checkpoint: head.checkpoint,
        extra: None,
    };
    let log_key = authority.keys.load().log.verifier().vkey();
    Ok(Some(Receipt {
        entry,
        index,
        proof: proven.to_tlog_proof(),
        log_key,
    }))
}

fn locate(bundle: &Bundle, mark: &str) -> Option<(u64, String)> {
    let (within, entry) = bundle
        .entries
        .lines()
        .enumerate()
        .find(|(_, entry)| entry.contains(mark))?;
    Some((
        bundle.row.number.unsigned_abs() * BUNDLE + within as u64,
        entry.to_owned(),
    ))
}

/// The tiles on the path from `index` and along the right edge: all that an inclusion proof reads.
pub(crate) async fn read_tiles(
    tx: &mut Tx,
    index: u64,
    size: u64,
) -> Result<HashMap<(u8, u64), HexTile>, StoreError> {
    let mut tiles = HashMap::new();
    for level in 0..8_u8 {
        // The tile of the highest level is the only one of it.
        let on_path = index.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
        let last = TileId::last_partial(level, size).map(|id| id.index());
        for number in std::iter::once(on_path).chain(last) {
            if TileId::in_tree(level, number, size).is_none() {
                continue;
            }
            if let Some(row) = log::fetch_tile(tx, level.into(), number as i64).await? {
                tiles.insert(
                    (level, number),
                    HexTile {
                        hashes: row.hashes,
                        mids: row.mids,
                    },
                );
            }
        }
    }
    Ok(tiles)
}

/// `GET /log/key`: the verifier key, for whoever pins it.
pub async fn key(State(authority): State<Arc<Authority>>) -> String {
    format!("{}\n", authority.keys.load().log.verifier().vkey())
}
