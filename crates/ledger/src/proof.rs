//! Inclusion and consistency proofs: built from tiles (RFC 6962 §2.1), verified from nothing (RFC 9162 §2.1).

use std::borrow::Borrow;

use crate::hash::{Hash, empty_root, node_hash};
use crate::path::{TILE_HEIGHT, TileId};
use crate::tile::{TileError, TileRow};

/// A proof could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError<E> {
    /// The tree has no such entry.
    #[error("a tree of {size} entries has no index {index}")]
    NoSuchIndex {
        /// The index asked for.
        index: u64,
        /// The size of the tree.
        size: u64,
    },
    /// The earlier tree is larger than the later one.
    #[error("a tree of {new} entries cannot extend one of {old}")]
    Shrunk {
        /// The size of the earlier tree.
        old: u64,
        /// The size of the later tree.
        new: u64,
    },
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

/// A proof does not prove what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The tree has no such entry.
    #[error("the index lies outside the tree")]
    NoSuchIndex,
    /// The earlier tree is larger than the later one.
    #[error("the later tree is smaller than the earlier one")]
    Shrunk,
    /// The number of hashes is not the one that these sizes ask for.
    #[error("the proof has the wrong number of hashes")]
    Length,
    /// The hashes lead to another root.
    #[error("the proof leads to another root")]
    Root,
}

/// Proves that the tree of `size` entries holds its leaf at `index`: sibling hashes, from the leaf up.
///
/// `read` is asked once for each tile needed: at most two a level. The row may be owned, borrowed or shared, and may
/// be wider than asked for. No more than the hashes needed are decoded.
pub fn inclusion<T: Borrow<TileRow>, E>(
    index: u64,
    size: u64,
    read: impl FnMut(TileId) -> Result<T, E>,
) -> Result<Vec<Hash>, BuildError<E>> {
    if index >= size {
        return Err(BuildError::NoSuchIndex { index, size });
    }
    let mut nodes = Nodes {
        size,
        read,
        tiles: Vec::new(),
    };
    let mut proof = Vec::with_capacity(64);
    nodes.path(index, 0, size, &mut proof)?;
    Ok(proof)
}

/// Proves that the tree of `new` entries begins with the tree of `old` entries; see [`inclusion`] for `read`.
///
/// The proof is empty when the sizes are equal and when the old tree is empty, which every tree extends.
pub fn consistency<T: Borrow<TileRow>, E>(
    old: u64,
    new: u64,
    read: impl FnMut(TileId) -> Result<T, E>,
) -> Result<Vec<Hash>, BuildError<E>> {
    if old > new {
        return Err(BuildError::Shrunk { old, new });
    }
    let mut nodes = Nodes {
        size: new,
        read,
        tiles: Vec::new(),
    };
    let mut proof = Vec::with_capacity(64);
    if old > 0 {
        nodes.subproof(old, 0, new, true, &mut proof)?;
    }
    Ok(proof)
}

/// Checks that `leaf` stands at `index` in the tree of `size` entries with this root (RFC 9162 §2.1.3.2).
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::NoSuchIndex);
    }
    let (mut at, mut last) = (index, size - 1);
    let mut node = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if is_right_child(at, last) {
            node = node_hash(sibling, &node);
            skip_promotions(&mut at, &mut last);
        } else {
            node = node_hash(&node, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if node == *root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// Checks that the tree (`new`, `new_root`) extends the tree (`old`, `old_root`) (RFC 9162 §2.1.4.2).
pub fn verify_consistency(
    old: u64,
    new: u64,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Shrunk);
    }
    if old == 0 || old == new {
        // Nothing to prove: every tree extends the empty one, and a tree extends itself.
        let expected = if old == new { *new_root } else { empty_root() };
        return match proof {
            [] if *old_root == expected => Ok(()),
            [] => Err(ProofError::Root),
            [..] => Err(ProofError::Length),
        };
    }
    // When the old tree is one complete subtree, its root starts the climb and the proof leaves it out.
    let (start, rest) = match proof {
        [] => return Err(ProofError::Length),
        rest if old.is_power_of_two() => (*old_root, rest),
        [start, rest @ ..] => (*start, rest),
    };
    let shared = (old - 1).trailing_ones();
    let (mut at, mut last) = ((old - 1) >> shared, (new - 1) >> shared);
    let (mut old_node, mut new_node) = (start, start);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if is_right_child(at, last) {
            old_node = node_hash(sibling, &old_node);
            new_node = node_hash(sibling, &new_node);
            skip_promotions(&mut at, &mut last);
        } else {
            new_node = node_hash(&new_node, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if old_node == *old_root && new_node == *new_root {
        Ok(())
    } else {
        Err(ProofError::Root)
    }
}

/// Whether the next sibling stands to the left: the node is odd, or it is the last one and will be promoted.
fn is_right_child(at: u64, last: u64) -> bool {
    at & 1 == 1 || at == last
}

/// Climbs past the levels where a last node has no sibling and is promoted unchanged.
fn skip_promotions(at: &mut u64, last: &mut u64) {
    while *at & 1 == 0 && *at != 0 {
        (*at, *last) = (*at >> 1, *last >> 1);
    }
}

/// The nodes of a tree, found in tiles that are read once each.
struct Nodes<R, T> {
    size: u64,
    read: R,
    tiles: Vec<(TileId, T)>,
}

impl<R, T, E> Nodes<R, T>
where
    R: FnMut(TileId) -> Result<T, E>,
    T: Borrow<TileRow>,
{
    /// PATH(m, D[n]) of RFC 6962 §2.1.1, for the entries `start..end`.
    fn path(
        &mut self,
        index: u64,
        start: u64,
        end: u64,
        proof: &mut Vec<Hash>,
    ) -> Result<(), BuildError<E>> {
        if end - start == 1 {
            return Ok(());
        }
        let middle = start + left_width(end - start);
        if index < middle {
            self.path(index, start, middle, proof)?;
            proof.push(self.root(middle, end)?);
        } else {
            self.path(index, middle, end, proof)?;
            proof.push(self.root(start, middle)?);
        }
        Ok(())
    }

    /// SUBPROOF(m, D[n], b) of RFC 6962 §2.1.2, for the entries `start..end`, where `old` is a position among them.
    fn subproof(
        &mut self,
        old: u64,
        start: u64,
        end: u64,
        whole: bool,
        proof: &mut Vec<Hash>,
    ) -> Result<(), BuildError<E>> {
        if old == end {
            // The verifier has the root of the whole old tree already.
            if !whole {
                proof.push(self.root(start, end)?);
            }
            return Ok(());
        }
        let middle = start + left_width(end - start);
        if old <= middle {
            self.subproof(old, start, middle, whole, proof)?;
            proof.push(self.root(middle, end)?);
        } else {
            self.subproof(old, middle, end, false, proof)?;
            proof.push(self.root(start, middle)?);
        }
        Ok(())
    }

    /// MTH(D[start:end]) of RFC 6962 §2.1, where the entries are those of a subtree.
    fn root(&mut self, start: u64, end: u64) -> Result<Hash, BuildError<E>> {
        let width = end - start;
        if width.is_power_of_two() {
            return self.node(width.ilog2(), start);
        }
        let middle = start + left_width(width);
        Ok(node_hash(
            &self.root(start, middle)?,
            &self.root(middle, end)?,
        ))
    }

    /// The root of the complete subtree of 2^height entries that begins at `start`.
    fn node(&mut self, height: u32, start: u64) -> Result<Hash, BuildError<E>> {
        let (level, within) = (height / TILE_HEIGHT, height % TILE_HEIGHT);
        // The position of its first hash in the level, then of that hash's tile, then of the node in the tile.
        let first = start >> (TILE_HEIGHT * level);
        let at = (first & 0xff) >> within;
        let row = self.tile(level as u8, first >> TILE_HEIGHT)?;
        row.1
            .borrow()
            .subtree(within, at)
            .map_err(|source| BuildError::Tile {
                tile: row.0,
                source,
            })
    }

    fn tile(&mut self, level: u8, index: u64) -> Result<&(TileId, T), BuildError<E>> {
        let known = self
            .tiles
            .iter()
            .position(|(id, _)| (id.level(), id.index()) == (level, index));
        let position = match known {
            Some(position) => position,
            None => {
                // A complete subtree of the tree always lies in tiles of the tree.
                let tile =
                    TileId::in_tree(level, index, self.size).unwrap_or(TileId::full(level, index));
                let row = (self.read)(tile).map_err(|source| BuildError::Read { tile, source })?;
                self.tiles.push((tile, row));
                self.tiles.len() - 1
            }
        };
        Ok(&self.tiles[position])
    }
}

/// The number of entries in the left subtree of `width` > 1 entries: the largest power of two below it.
fn left_width(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::appender::Appender;
    use crate::hash::leaf_hash;
    use crate::tree::Frontier;
    use std::collections::BTreeMap;

    /// A log with the root at every size.
    struct Log {
        rows: BTreeMap<(u8, u64), TileRow>,
        roots: Vec<Hash>,
    }

    fn leaf(index: u64) -> Hash {
        leaf_hash(&index.to_be_bytes())
    }

    impl Log {
        fn new(size: u64) -> Self {
            let mut appender = Appender::new();
            let mut roots = vec![appender.root()];
            for index in 0..size {
                appender.append(leaf(index));
                roots.push(appender.root());
            }
            let rows = appender.take_changed();
            let rows = rows
                .into_iter()
                .map(|(id, tile)| ((id.level(), id.index()), tile.row()))
                .collect();
            Self { rows, roots }
        }

        fn read(&self, id: TileId) -> Result<&TileRow, String> {
            self.rows
                .get(&(id.level(), id.index()))
                .ok_or_else(|| id.path())
        }

        fn root(&self, size: u64) -> &Hash {
            &self.roots[size as usize]
        }

        fn check_inclusion(&self, index: u64, size: u64) -> Vec<Hash> {
            let proof = inclusion(index, size, |id| self.read(id)).unwrap();
            let verdict = verify_inclusion(&leaf(index), index, size, &proof, self.root(size));
            assert_eq!(verdict, Ok(()), "index {index} size {size}");
            proof
        }

        fn check_consistency(&self, old: u64, new: u64) -> Vec<Hash> {
            let proof = consistency(old, new, |id| self.read(id)).unwrap();
            let verdict = verify_consistency(old, new, &proof, self.root(old), self.root(new));
            assert_eq!(verdict, Ok(()), "old {old} new {new}");
            proof
        }
    }

    #[test]
    fn every_index_of_every_small_tree_is_proved() {
        let log = Log::new(80);
        for size in 1..=80 {
            for index in 0..size {
                log.check_inclusion(index, size);
            }
            for old in 0..=size {
                log.check_consistency(old, size);
            }
        }
    }

    #[test]
    fn trees_at_the_edges_of_tiles_are_proved() {
        let log = Log::new(66_000);
        for size in [
            255, 256, 257, 511, 512, 513, 4_096, 65_535, 65_536, 65_537, 65_792, 65_793, 66_000,
        ] {
            for index in [
                0,
                1,
                15,
                16,
                254,
                255,
                256,
                257,
                511,
                512,
                4_095,
                65_279,
                65_535,
                65_536,
                65_792,
                size - 1,
            ] {
                if index < size {
                    log.check_inclusion(index, size);
                    log.check_consistency(index + 1, size);
                }
            }
        }
    }

    #[test]
    fn trivial_proofs_are_empty() {
        let log = Log::new(9);
        assert!(log.check_inclusion(0, 1).is_empty());
        assert!(log.check_consistency(0, 9).is_empty());
        assert!(log.check_consistency(9, 9).is_empty());
        assert!(log.check_consistency(0, 0).is_empty());
        let other = leaf(1);
        assert_eq!(
            verify_consistency(0, 9, &[], &other, log.root(9)),
            Err(ProofError::Root)
        );
        assert_eq!(
            verify_consistency(0, 9, &[other], log.root(0), log.root(9)),
            Err(ProofError::Length)
        );
        assert_eq!(
            verify_consistency(9, 8, &[], log.root(9), log.root(8)),
            Err(ProofError::Shrunk)
        );
        assert_eq!(
            verify_inclusion(&other, 0, 0, &[], &other),
            Err(ProofError::NoSuchIndex)
        );
    }

    #[test]
    fn what_cannot_be_proved_is_an_error() {
        let log = Log::new(300);
        let read = |id| log.read(id);
        assert_eq!(
            inclusion(300, 300, read).unwrap_err().to_string(),
            "a tree of 300 entries has no index 300"
        );
        assert_eq!(
            consistency(301, 300, read).unwrap_err().to_string(),
            "a tree of 300 entries cannot extend one of 301"
        );
        assert_eq!(
            inclusion(0, 301, read).unwrap_err().to_string(),
            "tile/0/001.p/45 is corrupt"
        );
        assert_eq!(
            inclusion(0, 600, read).unwrap_err().to_string(),
            "tile/1/000.p/2 is corrupt"
        );
        assert_eq!(
            inclusion(599, 600, read).unwrap_err().to_string(),
            "cannot read tile/0/002.p/88"
        );
    }

    #[test]
    fn a_proof_reads_each_tile_once_and_few_of_them() {
        let log = Log::new(66_000);
        for index in [0, 300, 65_535, 65_999] {
            let mut reads = Vec::new();
            inclusion(index, 66_000, |id| {
                reads.push(id);
                log.read(id)
            })
            .unwrap();
            let mut distinct = reads.clone();
            distinct.sort();
            distinct.dedup();
            assert_eq!(reads.len(), distinct.len());
            assert!(reads.len() <= 5, "{reads:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn any_flipped_bit_fails(size in 1..700u64, at: prop::sample::Index, place: prop::sample::Index, bit in 0..256usize) {
            let log = Log::new(size);
            let index = at.index(size as usize) as u64;
            let mut proof = log.check_inclusion(index, size);
            let (mut leaf, mut root) = (leaf(index), *log.root(size));
            let count = proof.len();
            let flipped = match place.index(count + 2) {
                0 => &mut leaf,
                1 => &mut root,
                n => &mut proof[n - 2],
            };
            let mut bytes = *flipped.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            *flipped = Hash::from_bytes(bytes);
            prop_assert_eq!(verify_inclusion(&leaf, index, size, &proof, &root), Err(ProofError::Root));
        }

        #[test]
        fn another_index_size_or_length_fails(size in 2..700u64, at: prop::sample::Index, other in 0..800u64) {
            let log = Log::new(size);
            let index = at.index(size as usize) as u64;
            let mut proof = log.check_inclusion(index, size);
            if other != index {
                prop_assert!(verify_inclusion(&leaf(index), other, size, &proof, log.root(size)).is_err());
            }
            proof.push(leaf(0));
            prop_assert_eq!(verify_inclusion(&leaf(index), index, size, &proof, log.root(size)), Err(ProofError::Length));
            proof.truncate(proof.len() - 2);
            prop_assert_eq!(verify_inclusion(&leaf(index), index, size, &proof, log.root(size)), Err(ProofError::Length));
        }

        #[test]
        fn what_was_proved_is_proved_as_the_tree_grows(mut sizes: [prop::sample::Index; 3]) {
            sizes.sort_by_key(|size| size.index(700));
            let [index, old, new] = sizes.map(|size| size.index(700) as u64);
            let log = Log::new(700);
            let (old, new) = (old + 1, new + 1);
            log.check_inclusion(index, old);
            log.check_consistency(old, new);
            log.check_inclusion(index, new);
        }

        #[test]
        fn a_rewritten_history_has_no_consistency_proof(old in 1..300u64, grown in 0..300u64, at: prop::sample::Index) {
            let new = old + grown;
            let changed = at.index(old as usize) as u64;
            let log = Log::new(new);
            let mut forged = Frontier::new();
            for index in 0..old {
                forged.push(if index == changed { leaf(u64::MAX) } else { leaf(index) });
            }
            let proof = log.check_consistency(old, new);
            let verdict = verify_consistency(old, new, &proof, &forged.root(), log.root(new));
            prop_assert_eq!(verdict, Err(ProofError::Root));
        }

        #[test]
        fn any_proof_verifies_or_is_refused(old: u64, new: u64, bytes: Vec<[u8; 32]>) {
            let proof: Vec<Hash> = bytes.into_iter().map(Hash::from_bytes).collect();
            prop_assert!(verify_inclusion(&leaf(0), old, new, &proof, &leaf(1)).is_err());
            prop_assert!(verify_consistency(old, new, &proof, &leaf(0), &leaf(1)).is_err());
        }
    }
}
