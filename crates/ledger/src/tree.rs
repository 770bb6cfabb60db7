//! The right edge of a growing tree: all that is needed to append to it and to know its root.

use std::borrow::Borrow;

use crate::hash::{Hash, empty_root, node_hash};
use crate::path::{FULL_WIDTH, TileId};
use crate::tile::{Tile, TileError, TileRow};

/// The roots of the complete subtrees that make up a tree, one per set bit of its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    // INVARIANT: as many as `size` has set bits, widest subtree first. There is room for 64, so a push never allocates.
    roots: Vec<Hash>,
}

/// A tree could not be taken up again from its tiles.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError<E> {
    /// The caller could not produce a tile that a tree of this size has.
    #[error("cannot read {tile}")]
    Read {
        /// The tile that was asked for.
        tile: TileId,
        /// What the caller said.
        #[source]
        source: E,
    },
    /// The stored tile is not what a tree of this size has there.
    #[error("{tile} is corrupt")]
    Tile {
        /// The tile that was asked for.
        tile: TileId,
        /// What is wrong with it.
        #[source]
        source: TileError,
    },
}

impl Frontier {
    /// The empty tree.
    pub fn new() -> Self {
        Self {
            size: 0,
            roots: Vec::with_capacity(64),
        }
    }

    /// Takes up a tree of `size` leaves from the partial tiles on its right edge.
    ///
    /// A tile that has grown past the width asked for serves too. Nothing proves that the tiles are the right ones:
    /// compare [`root`](Self::root) with the checkpoint.
    pub fn restore<T: Borrow<TileRow>, E>(
        size: u64,
        read: impl FnMut(TileId) -> Result<T, E>,
    ) -> Result<Self, RestoreError<E>> {
        let edge = read_edge(size, read)?;
        Ok(Self::from_edge(
            size,
            edge.iter().map(|(_, tile)| tile.hashes()),
        ))
    }

    /// Appends a leaf.
    pub fn push(&mut self, leaf: Hash) {
        self.push_with(leaf, |_, _| ());
    }

    /// The root of the tree as it is now.
    pub fn root(&self) -> Hash {
        let from_the_right = self.roots.iter().rev().copied();
        from_the_right
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or_else(empty_root)
    }

    /// The number of leaves.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf and shows every subtree that it completes, with its height, lowest first: the leaf is the first.
    pub(crate) fn push_with(&mut self, leaf: Hash, mut completed: impl FnMut(u32, Hash)) {
        let mut node = leaf;
        completed(0, node);
        // Each trailing one of the size is a subtree that was waiting for a right sibling of its height.
        for height in 1..=self.size.trailing_ones() {
            let Some(left) = self.roots.pop() else { break };
            node = node_hash(&left, &node);
            completed(height, node);
        }
        self.roots.push(node);
        self.size += 1;
    }

    /// Composes a tree from the hashes in the partial tiles on its right edge, highest level first.
    pub(crate) fn from_edge<'a>(size: u64, edge: impl Iterator<Item = &'a [Hash]>) -> Self {
        let mut frontier = Self {
            size,
            ..Self::new()
        };
        for mut hashes in edge {
            // The widest power of two first, as the set bits of the size are read from the left.
            while !hashes.is_empty() {
                let (subtree, rest) = hashes.split_at(1 << hashes.len().ilog2());
                frontier.roots.push(subtree_root(subtree));
                hashes = rest;
            }
        }
        frontier
    }
}

impl Default for Frontier {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads and decodes the partial tiles on the right edge of a tree, highest level first.
pub(crate) fn read_edge<T: Borrow<TileRow>, E>(
    size: u64,
    mut read: impl FnMut(TileId) -> Result<T, E>,
) -> Result<Vec<(TileId, Tile)>, RestoreError<E>> {
    let decode = |tile: TileId| {
        let row = read(tile).map_err(|source| RestoreError::Read { tile, source })?;
        let decoded = row
            .borrow()
            .decode(tile.width())
            .map_err(|source| RestoreError::Tile { tile, source })?;
        Ok((tile, decoded))
    };
    TileId::right_edge(size).map(decode).collect()
}

/// The root over the hashes of a tile or of an aligned part of it, a power of two in number and at most 256.
pub(crate) fn subtree_root(hashes: &[Hash]) -> Hash {
    debug_assert!(hashes.len().is_power_of_two());
    let mut nodes = [Hash::from_bytes([0; 32]); FULL_WIDTH as usize];
    nodes[..hashes.len()].copy_from_slice(hashes);
    let mut width = hashes.len();
    while width > 1 {
        width /= 2;
        for parent in 0..width {
            nodes[parent] = node_hash(&nodes[2 * parent], &nodes[2 * parent + 1]);
        }
    }
    nodes[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    /// RFC 6962 §2.1, word for word.
    fn merkle_tree_hash(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => empty_root(),
            [leaf] => *leaf,
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                node_hash(
                    &merkle_tree_hash(&leaves[..k]),
                    &merkle_tree_hash(&leaves[k..]),
                )
            }
        }
    }

    #[test]
    fn every_root_is_that_of_the_recursive_definition() {
        let leaves: Vec<Hash> = (0..600u32).map(|i| leaf_hash(&i.to_be_bytes())).collect();
        let mut frontier = Frontier::default();
        for size in 0..leaves.len() {
            assert_eq!(frontier.size(), size as u64);
            assert_eq!(
                frontier.root(),
                merkle_tree_hash(&leaves[..size]),
                "size {size}"
            );
            frontier.push(leaves[size]);
        }
    }

    #[test]
    fn completed_subtrees_are_shown_once_and_in_order() {
        let mut frontier = Frontier::new();
        let mut heights = Vec::new();
        for i in 0..8u8 {
            frontier.push_with(leaf_hash(&[i]), |height, _| heights.push(height));
        }
        assert_eq!(heights, [0, 0, 1, 0, 0, 1, 2, 0, 0, 1, 0, 0, 1, 2, 3]);
    }

    #[test]
    fn a_tile_root_is_the_tree_root() {
        let leaves: Vec<Hash> = (0..=255u8).map(|i| leaf_hash(&[i])).collect();
        for height in 0..=8 {
            assert_eq!(
                subtree_root(&leaves[..1 << height]),
                merkle_tree_hash(&leaves[..1 << height])
            );
        }
    }
}
