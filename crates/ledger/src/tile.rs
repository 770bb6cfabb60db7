//! Tiles: up to 256 neighbouring hashes of one level, as values, as bytes to serve and as the text that is stored.

use crate::hash::{HASH_BYTES, HASH_HEX, Hash, ParseHashError, hex_text, node_hash};
use crate::path::{FULL_WIDTH, TILE_HEIGHT};
use crate::tree::Frontier;

/// The heights, above a tile's own hashes, of the interior nodes that are stored beside them: every root of 4, 16 and 64.
///
/// With these at hand a proof costs at most 4 hash computations per tile instead of 247, for a third more text. The
/// list fixes where each node stands in the stored text: changing it means writing the stored rows anew.
pub(crate) const MID_HEIGHTS: [u32; 3] = [2, 4, 6];

/// A tile: 1 to 256 neighbouring hashes of one level of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tile {
    // INVARIANT: at most 256; only tiles under construction are empty.
    hashes: Vec<Hash>,
    // INVARIANT: the complete nodes at MID_HEIGHTS over `hashes`, in order of completion.
    mids: Vec<Hash>,
}

/// A tile as a database stores it: concatenated lower-case hex, 64 characters per hash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TileRow {
    /// The tile's hashes.
    pub hashes: String,
    /// The roots of the tile's complete groups of 4, 16 and 64 hashes; what is absent is computed from the hashes.
    pub mids: String,
}

/// Bytes or text that are not the tile they should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TileError {
    /// Empty, more than 256 hashes, or not a whole number of them.
    #[error("a tile is 1 to 256 whole hashes, this has {0} bytes or digits")]
    Length(usize),
    /// The tile ends before the hash that was asked for.
    #[error("the tile ends before its hash {0}")]
    Short(u64),
    /// A hash in the text is not lower-case hex.
    #[error("hash {0} of the tile is not lower-case hex")]
    NotHex(u64),
    /// A stored group root is not lower-case hex.
    #[error("group root {0} of the tile is not lower-case hex")]
    MidNotHex(u64),
}

impl Tile {
    /// Makes a tile of 1 to 256 hashes.
    pub fn new(hashes: &[Hash]) -> Result<Self, TileError> {
        if hashes.is_empty() || hashes.len() > usize::from(FULL_WIDTH) {
            return Err(TileError::Length(hashes.len() * HASH_BYTES));
        }
        let mut tile = Self::under_construction();
        let mut within = Frontier::new();
        for hash in hashes {
            within.push_with(*hash, |height, node| {
                if height < TILE_HEIGHT {
                    tile.add(height, node)
                }
            });
        }
        Ok(tile)
    }

    /// Parses what [`to_hex`](Self::to_hex) printed.
    pub fn from_hex(text: &str) -> Result<Self, TileError> {
        let (digits, rest) = text.as_bytes().as_chunks::<HASH_HEX>();
        if !rest.is_empty() || digits.len() > usize::from(FULL_WIDTH) {
            return Err(TileError::Length(text.len()));
        }
        let decode = |(at, digits): (usize, &[u8; HASH_HEX])| {
            Hash::from_hex_digits(digits).map_err(|_| TileError::NotHex(at as u64))
        };
        Self::new(
            &digits
                .iter()
                .enumerate()
                .map(decode)
                .collect::<Result<Vec<_>, _>>()?,
        )
    }

    /// Parses what [`bytes`](Self::bytes) gave, as a log serves it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TileError> {
        let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
        if !rest.is_empty() || hashes.len() > usize::from(FULL_WIDTH) {
            return Err(TileError::Length(bytes.len()));
        }
        Self::new(
            &hashes
                .iter()
                .copied()
                .map(Hash::from_bytes)
                .collect::<Vec<_>>(),
        )
    }

    /// Prints the hashes as one line of lower-case hex.
    pub fn to_hex(&self) -> String {
        hex_text(&self.hashes)
    }

    /// The raw bytes that a log serves: 8192 when the tile is full.
    pub fn bytes(&self) -> Vec<u8> {
        self.hashes
            .iter()
            .flat_map(|hash| *hash.as_bytes())
            .collect()
    }

    /// The text forms that a database stores.
    pub fn row(&self) -> TileRow {
        TileRow {
            hashes: self.to_hex(),
            mids: hex_text(&self.mids),
        }
    }

    /// The number of hashes.
    pub fn width(&self) -> u16 {
        self.hashes.len() as u16
    }

    /// The hashes, left to right.
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// An empty tile with room for all that [`add`](Self::add) may bring.
    pub(crate) fn under_construction() -> Self {
        let mids = MID_HEIGHTS
            .iter()
            .map(|height| usize::from(FULL_WIDTH) >> height)
            .sum();
        Self {
            hashes: Vec::with_capacity(FULL_WIDTH.into()),
            mids: Vec::with_capacity(mids),
        }
    }

    /// Takes in a node of the tile as it completes; `height` counts from the tile's own hashes.
    pub(crate) fn add(&mut self, height: u32, node: Hash) {
        if height == 0 {
            self.hashes.push(node);
        } else if MID_HEIGHTS.contains(&height) {
            self.mids.push(node);
        }
    }
}

impl TileRow {
    /// The number of hashes in the row.
    pub fn width(&self) -> usize {
        self.hashes.len() / HASH_HEX
    }

    /// Decodes one hash out of the text.
    pub fn hash(&self, at: u64) -> Result<Hash, TileError> {
        slice(&self.hashes, at)
            .ok_or(TileError::Short(at))?
            .map_err(|_| TileError::NotHex(at))
    }

    /// The raw bytes of the first `width` hashes, as a log serves them.
    pub fn bytes(&self, width: u16) -> Result<Vec<u8>, TileError> {
        let mut bytes = Vec::with_capacity(usize::from(width) * HASH_BYTES);
        for at in 0..width.into() {
            bytes.extend_from_slice(self.hash(at)?.as_bytes());
        }
        Ok(bytes)
    }

    /// Decodes the first `width` hashes into a tile; the stored group roots are computed anew, not trusted.
    pub fn decode(&self, width: u16) -> Result<Tile, TileError> {
        Tile::new(
            &(0..width.into())
                .map(|at| self.hash(at))
                .collect::<Result<Vec<_>, _>>()?,
        )
    }

    /// The root of the complete subtree of 2^height hashes that is the `at`-th of its height in the tile.
    pub(crate) fn subtree(&self, height: u32, at: u64) -> Result<Hash, TileError> {
        if height == 0 {
            return self.hash(at);
        }
        if MID_HEIGHTS.contains(&height) {
            let position = mid_position(height, at);
            if let Some(stored) = slice(&self.mids, position) {
                return stored.map_err(|_| TileError::MidNotHex(position));
            }
        }
        Ok(node_hash(
            &self.subtree(height - 1, 2 * at)?,
            &self.subtree(height - 1, 2 * at + 1)?,
        ))
    }
}

/// Where the `at`-th node of `height` stands among the stored interior nodes.
fn mid_position(height: u32, at: u64) -> u64 {
    // Nodes stand in order of completion: count those of each height that are complete before this one is.
    let leaves = (at + 1) << height;
    MID_HEIGHTS
        .iter()
        .map(|other| {
            if *other < height {
                leaves >> other
            } else {
                (leaves - 1) >> other
            }
        })
        .sum()
}

fn slice(text: &str, at: u64) -> Option<Result<Hash, ParseHashError>> {
    let start = usize::try_from(at).ok()?.checked_mul(HASH_HEX)?;
    text.as_bytes()
        .get(start..start.checked_add(HASH_HEX)?)
        .map(Hash::from_hex_digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hash::leaf_hash;
    use crate::tree::subtree_root;

    fn hashes(width: u16) -> Vec<Hash> {
        (0..width).map(|i| leaf_hash(&i.to_be_bytes())).collect()
    }

    #[test]
    fn every_subtree_of_a_row_is_the_root_of_its_hashes() {
        for width in [1, 15, 16, 17, 100, 255, 256] {
            let hashes = hashes(width);
            let row = Tile::new(&hashes).unwrap().row();
            let bare = TileRow {
                mids: String::new(),
                ..row.clone()
            };
            for height in 0..=8 {
                for (at, subtree) in hashes.chunks_exact(1 << height).enumerate() {
                    let expected = Ok(subtree_root(subtree));
                    assert_eq!(
                        row.subtree(height, at as u64),
                        expected,
                        "width {width} height {height} at {at}"
                    );
                    assert_eq!(bare.subtree(height, at as u64), expected);
                }
            }
        }
    }

    #[test]
    fn rows_have_the_size_that_storage_is_planned_for() {
        let check = |width: u16, mids: usize| {
            let row = Tile::new(&hashes(width)).unwrap().row();
            assert_eq!(
                (row.hashes.len(), row.mids.len()),
                (64 * usize::from(width), 64 * mids)
            );
            assert_eq!(row.bytes(width).unwrap().len(), 32 * usize::from(width));
        };
        check(256, 64 + 16 + 4);
        check(255, 63 + 15 + 3);
        check(47, 11 + 2);
        check(3, 0);
    }

    #[test]
    fn a_row_that_ends_early_or_is_not_hex_is_an_error() {
        let mut row = Tile::new(&hashes(20)).unwrap().row();
        assert_eq!(row.hash(20), Err(TileError::Short(20)));
        assert_eq!(row.hash(u64::MAX), Err(TileError::Short(u64::MAX)));
        assert_eq!(row.decode(21), Err(TileError::Short(20)));
        assert_eq!(row.decode(0), Err(TileError::Length(0)));
        row.hashes.replace_range(64..65, "G");
        assert_eq!(row.hash(1), Err(TileError::NotHex(1)));
        assert_eq!(row.bytes(20), Err(TileError::NotHex(1)));
        row.mids.replace_range(4 * 64..4 * 64 + 1, "G");
        assert_eq!(row.subtree(4, 0), Err(TileError::MidNotHex(4)));
    }

    proptest! {
        #[test]
        fn printing_then_parsing_is_identity(width in 1..=256u16) {
            let tile = Tile::new(&hashes(width)).unwrap();
            prop_assert_eq!(tile.width(), width);
            prop_assert_eq!(Tile::from_hex(&tile.to_hex()), Ok(tile.clone()));
            prop_assert_eq!(Tile::from_bytes(&tile.bytes()), Ok(tile.clone()));
            prop_assert_eq!(tile.row().decode(width), Ok(tile.clone()));
            prop_assert_eq!(tile.row().bytes(width), Ok(tile.bytes()));
        }

        #[test]
        fn any_input_parses_or_is_refused(bytes: Vec<u8>, text: String, at: u64) {
            let _ = Tile::from_bytes(&bytes);
            let _ = Tile::from_hex(&text);
            let row = TileRow { hashes: text.clone(), mids: text };
            let _ = row.hash(at);
            let _ = row.decode(at as u16);
            let _ = row.bytes((at as u16).min(300));
        }
    }
}
