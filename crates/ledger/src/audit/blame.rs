//! What to blame when a check has failed: a tile that was changed, or the entries below it.

use std::ops::Range;

use super::copy::{Copy, child, range};
use super::{Finding, at, root_over};
use crate::bundle;
use crate::checkpoint::Checkpoint;
use crate::hash::{Hash, leaf_hash};
use crate::path::TileId;
use crate::tree::{Frontier, subtree_root};

impl Copy<'_> {
    /// Says what happened to an entry whose hash is `found` where a genuine tile has another.
    pub(super) fn explain(
        &mut self,
        id: TileId,
        hashes: &[Hash],
        position: usize,
        found: Hash,
        later: &[Hash],
    ) -> Finding {
        let index = range(id, position).start;
        // The tile after this one only helps to name the place where an entry belongs: it need not be genuine.
        let next = TileId::in_tree(0, id.index() + 1, self.size);
        let next = next
            .and_then(|next| self.find_tile(next).ok().flatten())
            .unwrap_or_default();
        let follows = hashes[position + 1..]
            .iter()
            .chain(&next)
            .position(|hash| *hash == found);
        let displaced = later.iter().position(|hash| *hash == hashes[position]);
        let repeats = hashes[..position].iter().position(|hash| *hash == found);
        let why = match (follows, displaced, repeats) {
            (Some(ahead), ..) => {
                let belongs = index + 1 + ahead as u64;
                format!(
                    "entry {index} is missing or reordered: its hash belongs at index {belongs}"
                )
            }
            (None, Some(ahead), _) => {
                let stands = index + 1 + ahead as u64;
                format!(
                    "entry {index} was inserted: the entry that belongs there stands at index {stands}"
                )
            }
            (None, None, Some(earlier)) => {
                format!(
                    "entry {index} repeats entry {}, and the log holds another there",
                    range(id, earlier).start
                )
            }
            (None, None, None) => {
                format!("entry {index} was altered: its hash is not the one in {id}")
            }
        };
        at(index, why)
    }

    /// Says whether a tile that is not genuine was changed itself, or what is below it.
    pub(super) fn blame(
        &mut self,
        id: TileId,
        stored: &[Hash],
        genuine: &dyn Fn(&[Hash]) -> bool,
    ) -> Finding {
        let below = match self.recompute(id, stored.len()) {
            Ok(below) => below,
            Err(finding) => return finding,
        };
        let Some(position) = first_difference(stored, &below) else {
            let Range { start, end } = range(id, 0).start..range(id, stored.len()).start;
            let last = end - 1;
            let why = format!(
                "an entry within indices {start}..{last} was altered together with its hashes up to {id}"
            );
            return at(start, why);
        };
        let Range { start, end } = range(id, position);
        let last = end - 1;
        if below.len() == stored.len() && genuine(&below) {
            let why = format!(
                "{id} was changed at its hash {position}, over indices {start}..{last}: the entries below are those signed"
            );
            return at(start, why);
        }
        let why = format!(
            "the log was altered within indices {start}..{last}: hash {position} of {id} disagrees with what is below, and \
             neither is signed"
        );
        at(start, why)
    }

    /// Says which tile on the right edge is to blame when they do not add up to the signed root.
    pub(super) fn blame_edge(
        &mut self,
        head: &Checkpoint,
        older: &[Checkpoint],
        ids: &[TileId],
        edge: &[Vec<Hash>],
    ) -> Finding {
        for (place, (id, stored)) in ids.iter().zip(edge).enumerate() {
            let below = match self.recompute(*id, stored.len()) {
                Ok(below) => below,
                Err(finding) => return finding,
            };
            if below != *stored {
                let genuine = |hashes: &[Hash]| {
                    let mut mended = edge.to_vec();
                    mended[place] = hashes.to_vec();
                    root_over(head.size(), &mended) == head.root()
                };
                return self.blame(*id, stored, &genuine);
            }
        }
        // Every hash agrees with those below, so nothing in the copy can tell more; what was signed before may.
        let mut suspects = 0..self.size;
        for seen in older {
            let Ok(frontier) = Frontier::restore(seen.size(), |id| self.row(id)) else {
                continue;
            };
            if frontier.root() == seen.root() {
                suspects.start = suspects.start.max(seen.size());
            } else {
                suspects.end = suspects.end.min(seen.size());
            }
        }
        let (start, last) = (suspects.start, suspects.end.saturating_sub(1));
        at(
            start,
            format!(
                "the root is not the signed one: an entry within indices {start}..{last} was altered together with all hashes above it"
            ),
        )
    }

    /// The hashes that a tile ought to have by what is below it.
    fn recompute(&mut self, id: TileId, width: usize) -> Result<Vec<Hash>, Finding> {
        if id.level() > 0 {
            return (0..width)
                .map(|position| Ok(subtree_root(&self.tile(child(id, position))?)))
                .collect();
        }
        let (bundle, bytes) = self.bundle(id)?;
        let mut hashes = Vec::with_capacity(width);
        for entry in bundle::entries(&bytes) {
            let index = range(id, hashes.len()).start;
            let entry = entry.map_err(|cause| {
                at(
                    index,
                    format!("entry {index} cannot be read from {bundle}: {cause}"),
                )
            })?;
            hashes.push(leaf_hash(entry));
        }
        if bundle.width() > id.width() {
            hashes.truncate(width);
        }
        Ok(hashes)
    }
}

fn first_difference(left: &[Hash], right: &[Hash]) -> Option<usize> {
    let shorter = left.len().min(right.len());
    let differing = (0..shorter).find(|&position| left[position] != right[position]);
    differing.or((left.len() != right.len()).then_some(shorter))
}
