//! The names of a log's resources: `checkpoint`, `tile/<L>/<N>[.p/<W>]` and `tile/entries/<N>[.p/<W>]` (C2SP tlog-tiles).

use std::fmt;
use std::str::FromStr;

use crate::text::parse_decimal;

/// How many hashes a full tile holds, and how many entries a full bundle.
pub const FULL_WIDTH: u16 = 256;

/// Two to this power is [`FULL_WIDTH`]: the height of a tile.
pub const TILE_HEIGHT: u32 = 8;

/// How many levels of tiles a tree of 64-bit size can have, whatever levels the format could name.
pub(crate) const LEVELS: usize = 8;

const MAX_LEVEL: u8 = 63;

/// The checkpoint's path.
pub const CHECKPOINT: &str = "checkpoint";

/// The name of a tile of hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    // INVARIANT: level <= 63, 1 <= width <= 256.
    level: u8,
    index: u64,
    width: u16,
}

/// The name of a bundle of entries; its entries are those of the level-0 tile with the same index and width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundleId {
    // INVARIANT: 1 <= width <= 256.
    index: u64,
    width: u16,
}

/// Any resource that a log serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogPath {
    /// The latest signed checkpoint.
    Checkpoint,
    /// A tile of hashes.
    Tile(TileId),
    /// A bundle of entries.
    Entries(BundleId),
}

/// The text names no resource of a log, or not by its canonical spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the canonical path of a checkpoint, a tile or an entry bundle")]
pub struct ParsePathError;

impl TileId {
    /// Names a tile; `None` when the level is over 63 or the width outside 1..=256.
    pub const fn new(level: u8, index: u64, width: u16) -> Option<Self> {
        if level > MAX_LEVEL || width == 0 || width > FULL_WIDTH {
            None
        } else {
            Some(Self {
                level,
                index,
                width,
            })
        }
    }

    /// The tile at `level` and `index` as wide as it is in a tree of `size` entries; `None` when it is not there yet.
    pub const fn in_tree(level: u8, index: u64, size: u64) -> Option<Self> {
        let hashes = nodes_at(level, size);
        if index > hashes >> TILE_HEIGHT {
            return None;
        }
        let width = hashes - (index << TILE_HEIGHT);
        Self::new(
            level,
            index,
            if width < FULL_WIDTH as u64 {
                width as u16
            } else {
                FULL_WIDTH
            },
        )
    }

    /// The partial tiles of a tree of `size` entries, highest level first: together they determine its root.
    pub fn right_edge(size: u64) -> impl Iterator<Item = Self> {
        (0..LEVELS as u8)
            .rev()
            .filter_map(move |level| Self::last_partial(level, size))
    }

    /// The partial tile at the end of a level in a tree of `size` entries; `None` when the level ends with a full one.
    pub const fn last_partial(level: u8, size: u64) -> Option<Self> {
        Self::in_tree(level, nodes_at(level, size) >> TILE_HEIGHT, size)
    }

    /// A full tile; the level is one that a tree can have.
    pub(crate) const fn full(level: u8, index: u64) -> Self {
        Self {
            level,
            index,
            width: FULL_WIDTH,
        }
    }

    /// The level, 0 for leaf hashes.
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// The position within the level.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The number of hashes, 1 to 256.
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// The full tile of which this one is the beginning.
    pub const fn to_full(self) -> Self {
        Self {
            width: FULL_WIDTH,
            ..self
        }
    }

    /// The path under which a log serves the tile.
    pub fn path(&self) -> String {
        self.to_string()
    }
}

impl BundleId {
    /// Names a bundle; `None` when the width is outside 1..=256.
    pub const fn new(index: u64, width: u16) -> Option<Self> {
        if width == 0 || width > FULL_WIDTH {
            None
        } else {
            Some(Self { index, width })
        }
    }

    /// The bundle at `index` as wide as it is in a tree of `size` entries; `None` when it is not there yet.
    pub const fn in_tree(index: u64, size: u64) -> Option<Self> {
        match TileId::in_tree(0, index, size) {
            Some(tile) => Some(Self::of(tile)),
            None => None,
        }
    }

    /// The bundle with the entries of a level-0 tile.
    pub(crate) const fn of(tile: TileId) -> Self {
        Self {
            index: tile.index,
            width: tile.width,
        }
    }

    /// The position among the bundles.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The number of entries, 1 to 256.
    pub const fn width(&self) -> u16 {
        self.width
    }

    /// The full bundle of which this one is the beginning.
    pub const fn to_full(self) -> Self {
        Self {
            width: FULL_WIDTH,
            ..self
        }
    }

    /// The path under which a log serves the bundle.
    pub fn path(&self) -> String {
        self.to_string()
    }
}

/// How many complete subtrees of 256^level entries a tree of `size` entries has.
const fn nodes_at(level: u8, size: u64) -> u64 {
    match size.checked_shr(TILE_HEIGHT * level as u32) {
        Some(nodes) => nodes,
        None => 0,
    }
}

impl fmt::Display for TileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tile/{}/{}",
            self.level,
            Position {
                index: self.index,
                width: self.width
            }
        )
    }
}

impl fmt::Display for BundleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "tile/entries/{}",
            Position {
                index: self.index,
                width: self.width
            }
        )
    }
}

impl fmt::Display for LogPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Checkpoint => f.write_str(CHECKPOINT),
            Self::Tile(tile) => tile.fmt(f),
            Self::Entries(bundle) => bundle.fmt(f),
        }
    }
}

impl FromStr for LogPath {
    type Err = ParsePathError;

    fn from_str(path: &str) -> Result<Self, ParsePathError> {
        if path == CHECKPOINT {
            return Ok(Self::Checkpoint);
        }
        let rest = path.strip_prefix("tile/").ok_or(ParsePathError)?;
        let (kind, position) = rest.split_once('/').ok_or(ParsePathError)?;
        let Position { index, width } = position.parse()?;
        if kind == "entries" {
            return Ok(Self::Entries(BundleId { index, width }));
        }
        let level = parse_decimal(kind).ok_or(ParsePathError)?;
        TileId::new(level, index, width)
            .map(Self::Tile)
            .ok_or(ParsePathError)
    }
}

impl FromStr for TileId {
    type Err = ParsePathError;

    fn from_str(path: &str) -> Result<Self, ParsePathError> {
        match path.parse()? {
            LogPath::Tile(tile) => Ok(tile),
            LogPath::Checkpoint | LogPath::Entries(_) => Err(ParsePathError),
        }
    }
}

impl FromStr for BundleId {
    type Err = ParsePathError;

    fn from_str(path: &str) -> Result<Self, ParsePathError> {
        match path.parse()? {
            LogPath::Entries(bundle) => Ok(bundle),
            LogPath::Checkpoint | LogPath::Tile(_) => Err(ParsePathError),
        }
    }
}

/// The part that tiles and bundles share: `<N>[.p/<W>]`.
struct Position {
    index: u64,
    width: u16,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let groups: Vec<u64> = std::iter::successors(Some(self.index), |rest| {
            (*rest >= 1000).then_some(rest / 1000)
        })
        .collect();
        for group in groups[1..].iter().rev() {
            write!(f, "x{:03}/", group % 1000)?;
        }
        write!(f, "{:03}", self.index % 1000)?;
        if self.width < FULL_WIDTH {
            write!(f, ".p/{}", self.width)
        } else {
            Ok(())
        }
    }
}

impl FromStr for Position {
    type Err = ParsePathError;

    fn from_str(text: &str) -> Result<Self, ParsePathError> {
        // Read loosely here: the comparison at the end is what makes the parser strict.
        let (number, width) = match text.split_once(".p/") {
            Some((number, width)) => (number, parse_decimal(width).ok_or(ParsePathError)?),
            None => (text, FULL_WIDTH),
        };
        let index = number.split('/').try_fold(0u64, |index, group| {
            let group: u16 = group.trim_start_matches('x').parse().ok()?;
            index.checked_mul(1000)?.checked_add(group.into())
        });
        let position = Self {
            index: index.ok_or(ParsePathError)?,
            width,
        };
        if width == 0 || position.to_string() != text {
            Err(ParsePathError)
        } else {
            Ok(position)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tile(level: u8, index: u64, width: u16) -> TileId {
        TileId::new(level, index, width).unwrap()
    }

    #[test]
    fn paths_are_those_of_the_specification() {
        let check = |path: &str, expected: TileId| {
            assert_eq!(expected.path(), path);
            assert_eq!(path.parse(), Ok(expected));
        };
        check("tile/0/000", tile(0, 0, 256));
        check("tile/0/000.p/1", tile(0, 0, 1));
        check("tile/63/x001/x234/067", tile(63, 1_234_067, 256));
        check("tile/1/x001/000.p/255", tile(1, 1000, 255));
        check(
            "tile/2/x018/x446/x744/x073/x709/x551/615",
            tile(2, u64::MAX, 256),
        );
        assert_eq!(
            "tile/entries/x001/234.p/5".parse(),
            Ok(BundleId {
                index: 1234,
                width: 5
            })
        );
        assert_eq!("checkpoint".parse(), Ok(LogPath::Checkpoint));
    }

    #[test]
    fn other_spellings_are_refused() {
        for path in [
            "",
            "/checkpoint",
            "checkpoint/",
            "tile",
            "tile/",
            "tile/0",
            "tile/0/",
            "/tile/0/000",
            "tile/00/000",
            "tile/64/000",
            "tile/256/000",
            "tile/-1/000",
            "tile/+1/000",
            "tile/0/0",
            "tile/0/0000",
            "tile/0/1000",
            "tile/0/x000/001",
            "tile/0/001/002",
            "tile/0/x001",
            "tile/0/xx001/002",
            "tile/0/x001/x002",
            "tile/0/+01",
            "tile/0/000.p/0",
            "tile/0/000.p/256",
            "tile/0/000.p/01",
            "tile/0/000.p/",
            "tile/0/000.p/1/",
            "tile/0/000.p/1.p/1",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
            "tile/0/x999/x999/x999/x999/x999/x999/x999/999",
            "tile/Entries/000",
            "tile/entries/x000/000",
            "tile/0/../0/000",
            "tile/0/\u{663}00",
        ] {
            assert_eq!(path.parse::<LogPath>(), Err(ParsePathError), "{path:?}");
        }
    }

    #[test]
    fn a_tree_of_70000_has_the_tiles_of_the_specification() {
        assert_eq!(TileId::in_tree(0, 272, 70_000), Some(tile(0, 272, 256)));
        assert_eq!(TileId::in_tree(0, 274, 70_000), None);
        let edge: Vec<_> = TileId::right_edge(70_000).collect();
        assert_eq!(edge, [tile(2, 0, 1), tile(1, 1, 17), tile(0, 273, 112)]);
        assert_eq!(TileId::right_edge(256).collect::<Vec<_>>(), [tile(1, 0, 1)]);
        assert_eq!(TileId::right_edge(0).count(), 0);
        assert_eq!(TileId::right_edge(u64::MAX).count(), 8);
        assert_eq!(TileId::in_tree(8, 0, u64::MAX), None);
    }

    proptest! {
        #[test]
        fn printing_then_parsing_is_identity(level in 0..=63u8, index: u64, width in 1..=256u16) {
            let tile = tile(level, index, width);
            prop_assert_eq!(tile.path().parse(), Ok(tile));
            let bundle = BundleId { index, width };
            prop_assert_eq!(bundle.path().parse(), Ok(bundle));
        }

        #[test]
        fn what_parses_prints_the_same(path in "tile/([0-9]{1,2}|entries)(/x?[0-9]{3}){1,4}(.p/[0-9]{1,3})?") {
            if let Ok(parsed) = path.parse::<LogPath>() {
                prop_assert_eq!(parsed.to_string(), path);
            }
        }

        #[test]
        fn any_text_parses_or_is_refused(path: String) {
            let _ = path.parse::<LogPath>();
        }
    }
}
