//! The log as C2SP tlog-tiles serves it, under `/log/`: checkpoint, tiles, entry bundles.
//!
//! The checkpoint and the tiles of hashes are for everyone: they let a stranger hold us to what we signed
//! and reveal nothing. Entries name agents and people, so they need a login that may read the record.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use chancery_ledger::bundle;
use chancery_ledger::path::LogPath;
use chancery_ledger::tile::TileRow as HexTile;
use chancery_model::action::Action;
use chancery_policy::Target;
use chancery_store::log;

use crate::ctx::Ctx;
use crate::error::Error;
use crate::extract::Path;
use crate::state::Authority;

/// `GET /log/{path}`.
pub async fn serve(
    State(authority): State<Arc<Authority>>,
    headers: HeaderMap,
    Path(path): Path<String>,
) -> Result<Response, Error> {
    const ABSENT: Error = Error::NotFound("resource of the log");
    let path: LogPath = path.parse().map_err(|_| ABSENT)?;
    if let LogPath::Entries(_) = path {
        let ctx = Ctx::authenticate(Arc::clone(&authority), &headers)?;
        ctx.authorize(Action::LogRead, Target::Authority)?;
    }
    let mut tx = authority.store.read().await?;
    let head = log::fetch_head(&mut tx)
        .await?
        .filter(|head| head.size > 0)
        .ok_or(ABSENT)?;
    match path {
        LogPath::Checkpoint => Ok(answer(
            "text/plain; charset=utf-8",
            "no-cache",
            head.checkpoint,
        )),
        LogPath::Tile(id) => {
            let row = log::fetch_tile(&mut tx, id.level().into(), id.index() as i64).await?;
            let row = row.ok_or(ABSENT)?;
            let tile = HexTile {
                hashes: row.hashes,
                mids: row.mids,
            };
            let bytes = tile.bytes(id.width()).map_err(|_| ABSENT)?;
            Ok(answer(
                "application/octet-stream",
                "public, max-age=31536000, immutable",
                bytes,
            ))
        }
        LogPath::Entries(id) => {
            let row = log::fetch_bundle(&mut tx, id.index() as i64)
                .await?
                .ok_or(ABSENT)?;
            let entries: Vec<&str> = row.entries.lines().take(id.width().into()).collect();
            if entries.len() != usize::from(id.width()) {
                return Err(ABSENT);
            }
            let bytes = bundle::encode(&entries).map_err(|_| Error::Broken)?;
            Ok(answer(
                "application/octet-stream",
                "private, max-age=31536000, immutable",
                bytes,
            ))
        }
    }
}

fn answer(content_type: &'static str, cache: &'static str, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}
