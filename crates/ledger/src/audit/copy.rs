//! The files of a copy: reading them whole or not at all, and saying what is missing when one is.

use std::ops::Range;

use super::{Finding, at};
use crate::hash::{HASH_BYTES, Hash, hex_text};
use crate::path::{BundleId, TILE_HEIGHT, TileId};
use crate::tile::TileRow;

/// Reads a file of the copy by its path.
pub(super) type Read<'a> = dyn FnMut(&str) -> Result<Option<Vec<u8>>, Finding> + 'a;

/// The files of a copy that claims to be a log of `size` entries.
pub(super) struct Copy<'a> {
    pub(super) size: u64,
    pub(super) read: &'a mut Read<'a>,
}

impl Copy<'_> {
    /// The tile of this level and index as it is in the whole log, which is at least as wide as asked for.
    pub(super) fn row(&mut self, id: TileId) -> Result<TileRow, Finding> {
        let id = TileId::in_tree(id.level(), id.index(), self.size).unwrap_or(id);
        Ok(TileRow {
            hashes: hex_text(&self.tile(id)?),
            mids: String::new(),
        })
    }

    /// The hashes of a tile that the log has; that it is not there is a finding.
    pub(super) fn tile(&mut self, id: TileId) -> Result<Vec<Hash>, Finding> {
        match self.find_tile(id)? {
            Some(hashes) => Ok(hashes),
            None => Err(self.missing(range(id, 0).start, &id.path())),
        }
    }

    /// The hashes of a tile, when it is there.
    pub(super) fn find_tile(&mut self, id: TileId) -> Result<Option<Vec<Hash>>, Finding> {
        // C2SP tlog-tiles lets a log drop a partial tile once the full one is there.
        for name in [id, id.to_full()] {
            let Some(bytes) = (self.read)(&name.path())? else {
                continue;
            };
            let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
            if !rest.is_empty() || hashes.len() != usize::from(name.width()) {
                let index = range(id, hashes.len().min(usize::from(id.width()) - 1)).start;
                let why = format!(
                    "{name} has {} bytes instead of {}",
                    bytes.len(),
                    usize::from(name.width()) * HASH_BYTES
                );
                return Err(at(index, why));
            }
            return Ok(Some(
                hashes[..id.width().into()]
                    .iter()
                    .copied()
                    .map(Hash::from_bytes)
                    .collect(),
            ));
        }
        Ok(None)
    }

    /// The bytes with the entries of a level-0 tile, and the name under which they were found.
    pub(super) fn bundle(&mut self, tile: TileId) -> Result<(BundleId, Vec<u8>), Finding> {
        let bundle = BundleId::of(tile);
        match self.find_bundle(bundle)? {
            Some(found) => Ok(found),
            None => Err(self.missing(range(tile, 0).start, &bundle.path())),
        }
    }

    /// The bytes of a bundle and the name under which they were found, when it is there.
    pub(super) fn find_bundle(
        &mut self,
        bundle: BundleId,
    ) -> Result<Option<(BundleId, Vec<u8>)>, Finding> {
        for name in [bundle, bundle.to_full()] {
            if let Some(bytes) = (self.read)(&name.path())? {
                return Ok(Some((name, bytes)));
            }
        }
        Ok(None)
    }

    /// Says what is missing when a file is: the first entry that no bundle holds, or the file alone.
    fn missing(&mut self, start: u64, path: &str) -> Finding {
        match self.first_missing_entry() {
            Ok(Some(index)) => at(
                index,
                format!(
                    "entry {index} is missing: the checkpoint signs {} entries",
                    self.size
                ),
            ),
            Ok(None) => at(start, format!("{path} is missing")),
            Err(finding) => finding,
        }
    }

    fn first_missing_entry(&mut self) -> Result<Option<u64>, Finding> {
        for index in 0.. {
            let Some(bundle) = BundleId::in_tree(index, self.size) else {
                break;
            };
            if self.find_bundle(bundle)?.is_some() {
                continue;
            }
            // Where a copy was cut short, its last bundle may be narrower than the checkpoint asks for.
            let mut first = index << TILE_HEIGHT;
            for narrower in (1..bundle.width())
                .rev()
                .filter_map(|width| BundleId::new(index, width))
            {
                if (self.read)(&narrower.path())?.is_some() {
                    first += u64::from(narrower.width());
                    break;
                }
            }
            return Ok(Some(first));
        }
        Ok(None)
    }
}

/// The full tile below one hash of a tile.
pub(super) fn child(id: TileId, position: usize) -> TileId {
    TileId::full(
        id.level() - 1,
        (id.index() << TILE_HEIGHT) + position as u64,
    )
}

/// The indices of the entries under one hash of a tile.
pub(super) fn range(id: TileId, position: usize) -> Range<u64> {
    let span = 1u64 << (TILE_HEIGHT * u32::from(id.level()));
    let start = ((id.index() << TILE_HEIGHT) + position as u64) * span;
    start..start + span
}
