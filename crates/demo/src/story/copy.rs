//! A copy of the record: downloaded as any stranger could, and then changed in one byte.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chancery_client::authority::Authority;
use chancery_client::error::ClientError;
use chancery_ledger::bundle;
use chancery_ledger::checkpoint::{Checkpoint, CheckpointError};
use chancery_ledger::note::NoteVerifier;
use chancery_ledger::path::{BundleId, CHECKPOINT, TileId};

/// A downloaded record.
#[derive(Debug)]
pub(crate) struct Copy {
    /// The folder that holds it, laid out as the log serves it.
    pub(crate) folder: PathBuf,
    /// How many entries its checkpoint commits to.
    pub(crate) entries: u64,
    /// How many files it has.
    pub(crate) files: usize,
}

/// Why there is no copy, or no change to it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CopyError {
    /// The log did not serve a file.
    #[error("cannot download `{0}`")]
    Download(String, #[source] ClientError),
    /// The log says that it does not have a file that it must have.
    #[error("the log does not have `{0}`")]
    Absent(String),
    /// The checkpoint is not text.
    #[error("the checkpoint is not text")]
    NotText,
    /// The checkpoint is not the log's.
    #[error("the checkpoint is not accepted")]
    Checkpoint(#[from] CheckpointError),
    /// The copy cannot be written or read.
    #[error("cannot use `{0}`")]
    File(PathBuf, #[source] io::Error),
    /// There is nothing to change.
    #[error("the bundle has no entry that could be changed")]
    NothingToChange,
}

/// Downloads the whole record into `folder`: the checkpoint, every tile and every bundle of entries.
pub(crate) async fn download(
    authority: &Authority,
    log_key: &NoteVerifier,
    folder: &Path,
) -> Result<Copy, CopyError> {
    let checkpoint = fetch(authority, CHECKPOINT).await?;
    let note = std::str::from_utf8(&checkpoint).map_err(|_| CopyError::NotText)?;
    let head = Checkpoint::open(note, std::slice::from_ref(log_key))?;
    let entries = head.checkpoint().size();
    write(folder, CHECKPOINT, &checkpoint).await?;
    let mut files = 1;
    for path in paths(entries) {
        write(folder, &path, &fetch(authority, &path).await?).await?;
        files += 1;
    }
    Ok(Copy {
        folder: folder.to_owned(),
        entries,
        files,
    })
}

/// Every file beside the checkpoint of a log of `size` entries.
fn paths(size: u64) -> impl Iterator<Item = String> {
    let bundles = (0..)
        .map_while(move |index| BundleId::in_tree(index, size))
        .map(|id| id.path());
    let levels = (0..u8::MAX)
        .map(move |level| (0..).map_while(move |index| TileId::in_tree(level, index, size)));
    let tiles = levels
        .map(|level| level.map(|id| id.path()).collect::<Vec<_>>())
        .take_while(|level| !level.is_empty());
    bundles.chain(tiles.flatten())
}

async fn fetch(authority: &Authority, path: &str) -> Result<Bytes, CopyError> {
    let file = authority
        .log_file(path)
        .await
        .map_err(|error| CopyError::Download(path.to_owned(), error))?;
    file.ok_or_else(|| CopyError::Absent(path.to_owned()))
}

async fn write(folder: &Path, path: &str, bytes: &[u8]) -> Result<(), CopyError> {
    let file = folder.join(path);
    let failed = |error| CopyError::File(file.clone(), error);
    if let Some(parent) = file.parent() {
        tokio::fs::create_dir_all(parent).await.map_err(failed)?;
    }
    tokio::fs::write(&file, bytes).await.map_err(failed)
}

/// One byte that is no longer what it was.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Tampered {
    /// The entry that it belongs to, by its index in the log.
    pub(crate) index: u64,
    /// The file, by its path in the copy.
    pub(crate) path: String,
    /// The words around the byte, as they were.
    pub(crate) before: String,
    /// The same words, as they are now.
    pub(crate) after: String,
}

/// Flips one bit of one byte, in the middle of the entry in the middle of the copy's first bundle.
pub(crate) async fn tamper(copy: &Copy) -> Result<Tampered, CopyError> {
    let id = BundleId::in_tree(0, copy.entries).ok_or(CopyError::NothingToChange)?;
    let path = id.path();
    let file = copy.folder.join(&path);
    let failed = |error| CopyError::File(file.clone(), error);
    let mut bytes = tokio::fs::read(&file).await.map_err(failed)?;
    let (index, at) = middle(&bytes).ok_or(CopyError::NothingToChange)?;
    let before = around(&bytes, at);
    bytes[at] ^= 1;
    let after = around(&bytes, at);
    tokio::fs::write(&file, &bytes).await.map_err(failed)?;
    Ok(Tampered {
        index,
        path,
        before,
        after,
    })
}

/// The index of the middle entry of a bundle, and where in the bundle's bytes the middle of its text is.
fn middle(bytes: &[u8]) -> Option<(u64, usize)> {
    let entries = bundle::decode(bytes).ok()?;
    let place = entries.len() / 2;
    let lengths = |count: usize| {
        entries[..count]
            .iter()
            .map(|entry| 2 + entry.len())
            .sum::<usize>()
    };
    let entry = entries[place];
    (!entry.is_empty()).then(|| (place as u64, lengths(place) + 2 + entry.len() / 2))
}

/// The text around a byte, whole characters only.
fn around(bytes: &[u8], at: usize) -> String {
    let slice = &bytes[at.saturating_sub(12)..bytes.len().min(at + 13)];
    String::from_utf8_lossy(slice).replace(
        |it: char| it.is_control() || it == char::REPLACEMENT_CHARACTER,
        "",
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_small_log_is_its_checkpoint_a_tile_and_a_bundle() {
        assert_eq!(paths(0).collect::<Vec<_>>(), [""; 0]);
        assert_eq!(
            paths(31).collect::<Vec<_>>(),
            ["tile/entries/000.p/31", "tile/0/000.p/31"]
        );
        assert_eq!(
            paths(600).collect::<Vec<_>>(),
            [
                "tile/entries/000",
                "tile/entries/001",
                "tile/entries/002.p/88",
                "tile/0/000",
                "tile/0/001",
                "tile/0/002.p/88",
                "tile/1/000.p/2",
            ]
        );
    }

    #[tokio::test]
    async fn tampering_changes_one_bit_of_the_entry_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let entries: Vec<String> = (0..31)
            .map(|at| format!(r#"{{"at":{at},"kind":"call.permitted"}}"#))
            .collect();
        let honest = bundle::encode(&entries).unwrap();
        write(folder.path(), "tile/entries/000.p/31", &honest)
            .await
            .unwrap();
        let copy = Copy {
            folder: folder.path().to_owned(),
            entries: 31,
            files: 3,
        };

        let tampered = tamper(&copy).await.unwrap();

        assert_eq!(
            (tampered.index, tampered.path.as_str()),
            (15, "tile/entries/000.p/31")
        );
        assert_ne!(tampered.before, tampered.after);
        let found = std::fs::read(folder.path().join(&tampered.path)).unwrap();
        let found = bundle::decode(&found).unwrap();
        for (index, entry) in entries.iter().enumerate() {
            assert_eq!(
                found[index] == entry.as_bytes(),
                index != 15,
                "entry {index}"
            );
        }
        let changed = found[15]
            .iter()
            .zip(entries[15].as_bytes())
            .map(|(is, was)| (is ^ was).count_ones());
        assert_eq!(changed.sum::<u32>(), 1);
    }

    #[tokio::test]
    async fn an_empty_record_cannot_be_tampered_with() {
        let copy = Copy {
            folder: PathBuf::new(),
            entries: 0,
            files: 1,
        };
        assert!(matches!(
            tamper(&copy).await,
            Err(CopyError::NothingToChange)
        ));
    }

    proptest! {
        #[test]
        fn the_middle_lies_within_the_entry_that_it_names(entries in prop::collection::vec("[ -~]{1,40}", 1..256)) {
            let bytes = bundle::encode(&entries).unwrap();
            let (index, at) = middle(&bytes).unwrap();
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            let decoded = bundle::decode(&flipped).unwrap();
            for (place, entry) in entries.iter().enumerate() {
                prop_assert_eq!(decoded[place] == entry.as_bytes(), place as u64 != index);
            }
        }

        #[test]
        fn any_bytes_have_a_middle_or_none(bytes: Vec<u8>) {
            if let Some((_, at)) = middle(&bytes) {
                prop_assert!(at < bytes.len());
            }
        }
    }
}
