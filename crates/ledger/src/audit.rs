//! Judging a whole downloaded copy of a log, offline: who altered what, named by row.
//!
//! The walk starts at the signed root and goes down: each tile is checked against one that is known to be genuine
//! before it is used, and each entry against a genuine leaf hash. So what a finding blames is what is wrong, the
//! observer sees no entry that the log did not sign, and a source that changes between two reads gains nothing. In
//! memory there is one tile of each level and one bundle of entries, however large the log is.
//!
//! Only when a check has failed is a tile compared with what lies below it, to tell a changed tile from changed entries.

mod blame;
mod copy;

use std::error::Error;
use std::fmt;

use self::copy::{Copy, Read, child, range};
use crate::bundle;
use crate::checkpoint::Checkpoint;
use crate::hash::{Hash, leaf_hash};
use crate::note::NoteVerifier;
use crate::path::{CHECKPOINT, TileId};
use crate::proof::{BuildError, consistency, verify_consistency};
use crate::tree::{Frontier, subtree_root};

/// A copy of a log in which every tile and every entry is the one that the log signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCopy {
    checkpoint: Checkpoint,
}

/// What is wrong with a copy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Finding {
    /// The first entry concerned; `None` when the finding is about the log as a whole.
    pub index: Option<u64>,
    /// What is wrong, for a person to read.
    pub why: String,
}

/// Verifies the copy of a log that `source` reads by path: `checkpoint`, `tile/<L>/<N>…` and `tile/entries/<N>…`.
///
/// A key in `verifiers` must have signed the checkpoint. The log must extend every checkpoint in `older`, which are
/// those of the same log that the caller has seen before. `observer` is shown each genuine entry in order of index and
/// may refuse it, say because its time runs backwards.
pub fn verify_copy<E: fmt::Display>(
    source: &mut impl FnMut(&str) -> Result<Option<Vec<u8>>, E>,
    verifiers: &[NoteVerifier],
    older: &[Checkpoint],
    observer: &mut impl FnMut(u64, &[u8]) -> Result<(), String>,
) -> Result<VerifiedCopy, Finding> {
    let mut read = |path: &str| {
        source(path).map_err(|cause| whole_log(format!("cannot read {path}: {cause}")))
    };
    let checkpoint = signed_checkpoint(&mut read, verifiers)?;
    for seen in older {
        check_not_shrunk(seen, &checkpoint)?;
    }
    let mut copy = Copy {
        size: checkpoint.size(),
        read: &mut read,
    };
    copy.check_tree(&checkpoint, older, observer)?;
    for seen in older {
        copy.check_extends(seen, &checkpoint)?;
    }
    Ok(VerifiedCopy { checkpoint })
}

impl VerifiedCopy {
    /// The number of entries.
    pub fn size(&self) -> u64 {
        self.checkpoint.size()
    }

    /// The signed root.
    pub fn root(&self) -> Hash {
        self.checkpoint.root()
    }

    /// The signed checkpoint.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }
}

type Observe<'a> = dyn FnMut(u64, &[u8]) -> Result<(), String> + 'a;

fn signed_checkpoint(
    read: &mut Read<'_>,
    verifiers: &[NoteVerifier],
) -> Result<Checkpoint, Finding> {
    let bytes = read(CHECKPOINT)?.ok_or_else(|| whole_log("the checkpoint is missing".into()))?;
    let note =
        String::from_utf8(bytes).map_err(|_| whole_log("the checkpoint is not text".into()))?;
    match Checkpoint::open(&note, verifiers) {
        Ok(verified) => Ok(verified.checkpoint().clone()),
        Err(cause) => {
            let deeper = cause
                .source()
                .map(|source| format!(": {source}"))
                .unwrap_or_default();
            Err(whole_log(format!(
                "the checkpoint is not acceptable: {cause}{deeper}"
            )))
        }
    }
}

fn check_not_shrunk(seen: &Checkpoint, now: &Checkpoint) -> Result<(), Finding> {
    if seen.origin() != now.origin() {
        let why = format!(
            "the checkpoint is of the log `{}`, not of `{}`",
            now.origin(),
            seen.origin()
        );
        return Err(whole_log(why));
    }
    if seen.size() > now.size() {
        let (now, seen) = (now.size(), seen.size());
        return Err(at(
            now,
            format!("the log went backwards: it signs {now} entries and has signed {seen} before"),
        ));
    }
    Ok(())
}

impl Copy<'_> {
    /// Checks the tiles on the right edge against the signed root, and all that is below them.
    fn check_tree(
        &mut self,
        head: &Checkpoint,
        older: &[Checkpoint],
        observe: &mut Observe<'_>,
    ) -> Result<(), Finding> {
        let ids: Vec<TileId> = TileId::right_edge(self.size).collect();
        let edge = ids
            .iter()
            .map(|id| self.tile(*id))
            .collect::<Result<Vec<_>, _>>()?;
        if root_over(self.size, &edge) != head.root() {
            return Err(self.blame_edge(head, older, &ids, &edge));
        }
        ids.iter()
            .zip(&edge)
            .try_for_each(|(id, hashes)| self.check_below(*id, hashes, observe))
    }

    /// Checks all that is below a tile whose hashes are genuine.
    fn check_below(
        &mut self,
        id: TileId,
        hashes: &[Hash],
        observe: &mut Observe<'_>,
    ) -> Result<(), Finding> {
        if id.level() == 0 {
            return self.check_entries(id, hashes, observe);
        }
        for (position, hash) in hashes.iter().enumerate() {
            let child = child(id, position);
            let below = self.tile(child)?;
            let genuine = |hashes: &[Hash]| subtree_root(hashes) == *hash;
            if !genuine(&below) {
                return Err(self.blame(child, &below, &genuine));
            }
            self.check_below(child, &below, observe)?;
        }
        Ok(())
    }

    /// Checks a bundle of entries against genuine leaf hashes.
    fn check_entries(
        &mut self,
        id: TileId,
        hashes: &[Hash],
        observe: &mut Observe<'_>,
    ) -> Result<(), Finding> {
        let (bundle, bytes) = self.bundle(id)?;
        let mut entries = bundle::entries(&bytes);
        for (position, hash) in hashes.iter().enumerate() {
            let index = range(id, position).start;
            match entries.next() {
                Some(Ok(entry)) if leaf_hash(entry) == *hash => {
                    observe(index, entry).map_err(|why| at(index, why))?
                }
                Some(Ok(entry)) => {
                    let later: Vec<Hash> = entries.map_while(Result::ok).map(leaf_hash).collect();
                    return Err(self.explain(id, hashes, position, leaf_hash(entry), &later));
                }
                Some(Err(cause)) => {
                    return Err(at(
                        index,
                        format!("entry {index} cannot be read from {bundle}: {cause}"),
                    ));
                }
                None => {
                    return Err(at(
                        index,
                        format!("entry {index} is missing: {bundle} ends before it"),
                    ));
                }
            }
        }
        // A bundle that has grown since the checkpoint was signed may stand in for the partial one.
        let surplus = bundle.width() == id.width() && entries.next().is_some();
        let end = range(id, hashes.len()).start;
        if surplus {
            Err(at(
                end,
                format!("{bundle} holds more than its {} entries", bundle.width()),
            ))
        } else {
            Ok(())
        }
    }

    /// Checks that the log, whose copy is known to be genuine, extends a checkpoint seen before.
    fn check_extends(&mut self, seen: &Checkpoint, now: &Checkpoint) -> Result<(), Finding> {
        let proof = match consistency(seen.size(), now.size(), |id| self.row(id)) {
            Ok(proof) => proof,
            Err(BuildError::Read { source, .. }) => return Err(source),
            Err(other) => return Err(whole_log(other.to_string())),
        };
        let (old, new) = (seen.root(), now.root());
        let extends = verify_consistency(seen.size(), now.size(), &proof, &old, &new);
        if extends.is_ok() {
            return Ok(());
        }
        Err(whole_log(format!(
            "the log forked: its first {} entries are not those it has signed before",
            seen.size()
        )))
    }
}

/// The root over the right edge of a tree, highest level first.
fn root_over(size: u64, edge: &[Vec<Hash>]) -> Hash {
    Frontier::from_edge(size, edge.iter().map(Vec::as_slice)).root()
}

fn at(index: u64, why: String) -> Finding {
    Finding {
        index: Some(index),
        why,
    }
}

fn whole_log(why: String) -> Finding {
    Finding { index: None, why }
}
