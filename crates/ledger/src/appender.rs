//! Appending: keeps the partial tile of every level in memory and gives out the tiles that an append changed.

use std::array;
use std::borrow::Borrow;
use std::mem;

use crate::hash::Hash;
use crate::path::{LEVELS, TILE_HEIGHT, TileId};
use crate::tile::{Tile, TileRow};
use crate::tree::{Frontier, RestoreError, read_edge};

/// The writing end of a log: its right edge, and the full tiles that are not handed over yet.
///
/// Cloning it before a batch is the way back when the batch cannot be stored.
#[derive(Debug, Clone)]
pub struct Appender {
    frontier: Frontier,
    edge: [Edge; LEVELS],
    full: Vec<(TileId, Tile)>,
}

/// The tile at the end of a level.
#[derive(Debug, Clone)]
struct Edge {
    // INVARIANT: as wide as the level has hashes, modulo 256; so it may be empty.
    tile: Tile,
    changed: bool,
}

impl Appender {
    /// Starts an empty log.
    pub fn new() -> Self {
        let empty = |_| Edge {
            tile: Tile::under_construction(),
            changed: false,
        };
        Self {
            frontier: Frontier::new(),
            edge: array::from_fn(empty),
            full: Vec::new(),
        }
    }

    /// Takes up a log of `size` entries, reading the at most eight partial tiles on its right edge.
    ///
    /// A tile that has grown past the width asked for serves too. Nothing proves that the tiles are the right ones:
    /// compare [`root`](Self::root) with the checkpoint before appending.
    pub fn restore<T: Borrow<TileRow>, E>(
        size: u64,
        read: impl FnMut(TileId) -> Result<T, E>,
    ) -> Result<Self, RestoreError<E>> {
        let tiles = read_edge(size, read)?;
        let frontier = Frontier::from_edge(size, tiles.iter().map(|(_, tile)| tile.hashes()));
        let mut appender = Self {
            frontier,
            ..Self::new()
        };
        for (id, tile) in tiles {
            appender.edge[usize::from(id.level())].tile = tile;
        }
        Ok(appender)
    }

    /// Appends a leaf; its index is what [`size`](Self::size) was before.
    pub fn append(&mut self, leaf: Hash) {
        let Self {
            frontier,
            edge,
            full,
        } = self;
        let size = frontier.size() + 1;
        frontier.push_with(leaf, |height, node| {
            // A subtree of height 8 fills a tile of level 0 and is a hash in a tile of level 1, and so on upwards.
            let (level, within) = ((height / TILE_HEIGHT) as usize, height % TILE_HEIGHT);
            if within == 0 && level > 0 {
                let below = &mut edge[level - 1];
                let tile = mem::replace(&mut below.tile, Tile::under_construction());
                below.changed = false;
                full.push((TileId::full(level as u8 - 1, (size >> height) - 1), tile));
            }
            edge[level].tile.add(within, node);
            edge[level].changed = true;
        });
    }

    /// The tiles that are new or changed since the last call: each full tile once, then the partial tiles as they are.
    ///
    /// A tile replaces what is stored for its level and index. Until they are taken, full tiles stay in memory.
    pub fn take_changed(&mut self) -> Vec<(TileId, Tile)> {
        let size = self.size();
        let mut changed = mem::take(&mut self.full);
        for id in TileId::right_edge(size) {
            let edge = &mut self.edge[usize::from(id.level())];
            if mem::take(&mut edge.changed) {
                changed.push((id, edge.tile.clone()));
            }
        }
        changed
    }

    /// The number of entries.
    pub fn size(&self) -> u64 {
        self.frontier.size()
    }

    /// The root of the tree as it is now.
    pub fn root(&self) -> Hash {
        self.frontier.root()
    }
}

impl Default for Appender {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::hash::leaf_hash;
    use crate::path::FULL_WIDTH;

    type Rows = BTreeMap<(u8, u64), TileRow>;

    fn append(appender: &mut Appender, count: u64) {
        for index in appender.size()..appender.size() + count {
            appender.append(leaf_hash(&index.to_be_bytes()));
        }
    }

    fn store(appender: &mut Appender, rows: &mut Rows) {
        for (id, tile) in appender.take_changed() {
            assert_eq!(id.width(), tile.width());
            rows.insert((id.level(), id.index()), tile.row());
        }
    }

    fn restore(size: u64, rows: &Rows) -> Result<Appender, RestoreError<&'static str>> {
        Appender::restore(size, |id| {
            rows.get(&(id.level(), id.index())).ok_or("absent")
        })
    }

    #[test]
    fn a_log_of_70000_has_the_tiles_of_the_specification() {
        let mut appender = Appender::new();
        append(&mut appender, 70_000);
        let changed = appender.take_changed();
        let count = |level, full| {
            changed
                .iter()
                .filter(|(id, _)| id.level() == level && (id.width() == FULL_WIDTH) == full)
                .count()
        };
        assert_eq!((count(0, true), count(0, false)), (273, 1));
        assert_eq!((count(1, true), count(1, false)), (1, 1));
        assert_eq!((count(2, true), count(2, false)), (0, 1));
        assert!(appender.take_changed().is_empty());

        append(&mut appender, 1);
        let changed: Vec<_> = appender
            .take_changed()
            .into_iter()
            .map(|(id, _)| id.path())
            .collect();
        assert_eq!(changed, ["tile/0/273.p/113"]);
    }

    #[test]
    fn every_tile_given_out_is_the_root_of_the_one_below() {
        let mut rows = Rows::new();
        let mut appender = Appender::new();
        append(&mut appender, 66_000);
        store(&mut appender, &mut rows);
        for ((level, index), row) in rows.range((1, 0)..) {
            for at in 0..row.width() as u64 {
                let below = &rows[&(level - 1, index * 256 + at)];
                assert_eq!(row.hash(at), below.subtree(8, 0));
            }
        }
        for row in rows.values() {
            assert_eq!(
                row.decode(row.width() as u16).unwrap().row(),
                *row,
                "mids are those computed from scratch"
            );
        }
    }

    #[test]
    fn a_missing_or_short_edge_tile_is_an_error_that_names_it() {
        let mut rows = Rows::new();
        let mut appender = Appender::new();
        append(&mut appender, 300);
        store(&mut appender, &mut rows);
        let short = restore(301, &rows).unwrap_err();
        assert_eq!(short.to_string(), "tile/0/001.p/45 is corrupt");
        // The rows of a larger tree restore a smaller one that shares its partial tiles.
        let earlier = restore(290, &rows).unwrap();
        let mut fresh = Appender::new();
        append(&mut fresh, 290);
        assert_eq!(earlier.root(), fresh.root());
        rows.remove(&(0, 1));
        let absent = restore(300, &rows).unwrap_err();
        assert_eq!(absent.to_string(), "cannot read tile/0/001.p/44");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn restored_equals_never_stopped(batches in prop::collection::vec(0..700u64, 1..8)) {
            let mut steady = Appender::new();
            let mut stopped = Appender::new();
            let (mut steady_rows, mut stopped_rows) = (Rows::new(), Rows::new());
            for batch in batches {
                append(&mut steady, batch);
                append(&mut stopped, batch);
                store(&mut stopped, &mut stopped_rows);
                stopped = restore(stopped.size(), &stopped_rows).unwrap();
                prop_assert_eq!(stopped.root(), steady.root());
                prop_assert_eq!(stopped.size(), steady.size());
            }
            store(&mut steady, &mut steady_rows);
            prop_assert_eq!(steady_rows, stopped_rows);
        }
    }
}
