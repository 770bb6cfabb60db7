//! `log export`: a copy of the record that needs nobody to be verified.

use std::path::{Path, PathBuf};

use chancery_client::authority::Authority;
use chancery_ledger::checkpoint::Checkpoint;
use chancery_ledger::path::{BundleId, CHECKPOINT, TileId};
use clap::Args;
use serde::Serialize;

use super::trust::{self, KEY_FILE, Trust};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout::Facts;
use crate::session::Session;

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The folder of the copy; made when it is not there, brought up to date when it is
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// What `log export` prints as JSON.
#[derive(Serialize)]
struct Exported<'a> {
    out: &'a Path,
    origin: &'a str,
    size: u64,
    root: String,
    downloaded: usize,
    kept: usize,
}

pub(super) async fn run(session: &Session, args: &Export) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let trust = key(session, &authority).await?;
    let note = require(&authority, CHECKPOINT).await?;
    let checkpoint = open(&note, &trust)?;
    let paths = paths(checkpoint.size());
    let (mut downloaded, mut kept) = (0, 0);
    for (at, path) in paths.iter().enumerate() {
        let target = args.out.join(path);
        // Files are put in place whole, so what is there is complete: that is how an export resumes.
        if target.exists() {
            kept += 1;
            continue;
        }
        session
            .output
            .progress(&format!("{} of {} files", at + 1, paths.len()));
        write(&target, &require(&authority, path).await?)?;
        downloaded += 1;
    }
    session.output.progress("");
    write(
        &args.out.join(KEY_FILE),
        format!("{}\n", trust.verifier.vkey()).as_bytes(),
    )?;
    // The checkpoint comes last: until all is there that it signs, the copy is what it was before.
    write(&args.out.join(CHECKPOINT), &note)?;
    let exported = Exported {
        out: &args.out,
        origin: checkpoint.origin(),
        size: checkpoint.size(),
        root: checkpoint.root().to_base64(),
        downloaded,
        kept,
    };
    session.output.show(&exported, || {
        Facts::new()
            .add("copy", args.out.display())
            .add("origin", exported.origin)
            .add("entries", exported.size)
            .add("root", &exported.root)
            .add(
                "files",
                format!("{downloaded} downloaded, {kept} were there"),
            )
            .render()
    })?;
    session.output.remark(&format!(
        "verify it anywhere: chancery log verify --dir {}",
        args.out.display()
    ));
    Ok(Exit::Done)
}

/// The key of the log: pinned, or as the authority itself tells it.
async fn key(session: &Session, authority: &Authority) -> Result<Trust, Failure> {
    if let Some(trust) = trust::pinned(session, None)? {
        return Ok(trust);
    }
    trust::told(session, authority).await
}

/// The checkpoint of a signed note.
pub(super) fn open(note: &[u8], trust: &Trust) -> Result<Checkpoint, Failure> {
    let note = std::str::from_utf8(note)
        .map_err(|_| Failure::refused("altered", "the checkpoint is not text"))?;
    let opened = Checkpoint::open(note, std::slice::from_ref(&trust.verifier));
    match opened {
        Ok(verified) => Ok(verified.checkpoint().clone()),
        Err(error) => {
            let message = format!("the checkpoint is not acceptable: {error}");
            Err(Failure::refused("altered", message).with_fix(format!(
                "the key of the log was taken from {}",
                trust.source
            )))
        }
    }
}

async fn require(authority: &Authority, path: &str) -> Result<Vec<u8>, Failure> {
    let found = authority.log_file(path).await?;
    found.map(Vec::from).ok_or_else(|| {
        Failure::refused(
            "log_file_missing",
            format!("the authority has no /log/{path}"),
        )
        .with_fix("try again in a moment: nothing may be sealed yet")
    })
}

/// Every file of a log of `size` entries but its checkpoint: tiles of all levels, and bundles.
fn paths(size: u64) -> Vec<String> {
    let bundles = (0..).map_while(|index| BundleId::in_tree(index, size));
    let tiles = (0u8..8)
        .flat_map(|level| (0..).map_while(move |index| TileId::in_tree(level, index, size)));
    bundles
        .map(|bundle| bundle.path())
        .chain(tiles.map(|tile| tile.path()))
        .collect()
}

/// Puts a file in place whole, or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::file("write", path, &error);
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    std::fs::write(&partial, bytes).map_err(failed)?;
    std::fs::rename(&partial, path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_of_70000_has_its_bundles_and_its_tiles() {
        let paths = paths(70_000);
        assert_eq!(paths.len(), 274 + 274 + 2 + 1);
        for expected in [
            "tile/entries/000",
            "tile/entries/273.p/112",
            "tile/0/272",
            "tile/0/273.p/112",
            "tile/1/000",
            "tile/1/001.p/17",
            "tile/2/000.p/1",
        ] {
            assert!(paths.iter().any(|path| path == expected), "{expected}");
        }
        assert!(super::paths(0).is_empty());
    }
}
