//! Writing behind the end: what is used up and the entries of whoever used only what was fresh, in one flush.

use std::collections::HashSet;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use chancery_model::time::Timestamp;

use super::mark::Draft;
use super::tail::Tail;
use super::{Entries, READING, WRITING, unavailable};
use crate::error::StoreError;
use crate::one_time::{GRACE, Memory, OneTime, Short, short};

/// How many zeros are written at a time.
const PIECE: u64 = 1024 * 1024;
/// How many while the file is small.
const FIRST: u64 = 64 * 1024;

/// What is to be made durable for one who asks.
pub(crate) struct Append {
    /// What it uses up.
    pub(crate) uses: Vec<OneTime>,
    /// Its entry; `None` when that becomes durable with a change of rows, after this.
    pub(crate) entry: Option<String>,
}

impl Entries {
    /// Makes the entries durable of whoever uses only what is fresh at `now`, with what they use; says which did.
    pub(crate) async fn flush(
        self: &Arc<Self>,
        appends: Vec<Append>,
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        if appends.iter().any(|append| !append.uses.is_empty()) {
            self.look_back_once(now).await?;
        }
        self.in_turn(move |entries, tail| {
            entries.catch_up(tail)?;
            tail.used.forget(now.before(GRACE));
            let (mut draft, mut pending) = (Draft::default(), HashSet::new());
            let add = |append| draft.add(append, &tail.used, &mut pending, now);
            let fresh = appends.into_iter().map(add).collect();
            entries.append(tail, vec![draft])?;
            Ok(fresh)
        })
        .await
    }

    /// Reads, before the first flush that uses anything up, what was used up before this process began. It may be much,
    /// and nobody waits for it but this process.
    async fn look_back_once(self: &Arc<Self>, now: Timestamp) -> Result<(), StoreError> {
        let last = {
            let tail = self.tail.lock().await;
            if tail.has_looked_back {
                return Ok(());
            }
            tail.last.clone()
        };
        let entries = Arc::clone(self);
        let found = tokio::task::spawn_blocking(move || entries.look_back(last, now))
            .await
            .map_err(|error| StoreError::unavailable(READING)(error.into()))??;
        let mut tail = self.tail.lock().await;
        for frame in &found {
            tail.remember(frame);
        }
        tail.has_looked_back = true;
        Ok(())
    }

    /// Writes flushes behind the end and makes them durable. When that fails, the end is where it was.
    pub(super) fn append(&self, tail: &mut Tail, drafts: Vec<Draft>) -> Result<(), StoreError> {
        let begin = tail.end;
        let (mut end, mut last) = (begin, tail.last.clone());
        let (mut frames, mut bytes) = (Vec::new(), Vec::new());
        for draft in drafts.into_iter().filter(|draft| !draft.is_empty()) {
            let frame = draft.write(last.as_ref(), end, &mut bytes);
            end = frame.mark.ends();
            last = Some(frame.mark.clone());
            frames.push(frame);
        }
        if frames.is_empty() {
            return Ok(());
        }
        let allocated = fill_up(tail, begin, &mut bytes);
        let written = self.file.write_all_at(&bytes, begin);
        written.map_err(unavailable(WRITING))?;
        self.sync()?;
        tail.is_unsettled = false;
        tail.allocated = allocated;
        for frame in frames {
            tail.absorb(frame);
        }
        Ok(())
    }
}

impl Draft {
    /// Adds what is to be made durable, unless it uses what is not fresh; says whether it was added.
    fn add(
        &mut self,
        append: Append,
        used: &Memory,
        pending: &mut HashSet<Short>,
        now: Timestamp,
    ) -> bool {
        let mut all = true;
        for once in &append.uses {
            let hash = short(once.hash);
            // What ended while the request was under way may be forgotten elsewhere, so it is not fresh.
            let is_fresh = once.expires_at > now && !used.holds(hash);
            all &= is_fresh && pending.insert(hash);
        }
        if all {
            let uses = append.uses.iter();
            self.uses
                .extend(uses.map(|once| (short(once.hash), once.expires_at)));
            self.entries.extend(append.entry);
        }
        all
    }
}

/// Where the file ends once `bytes` are written at `begin`: a flush that goes beyond the end writes zeros behind
/// itself, which the next ones write over. So only few flushes must make durable where the file ends, too, which
/// takes as long as all else.
fn fill_up(tail: &Tail, begin: u64, bytes: &mut Vec<u8>) -> u64 {
    let end = begin + bytes.len() as u64;
    if end <= tail.allocated {
        return tail.allocated;
    }
    let piece = (begin / 4).clamp(FIRST, PIECE);
    // What is long by itself is not made longer.
    if bytes.len() as u64 > piece {
        return end;
    }
    bytes.resize(bytes.len() + piece as usize, 0);
    end + piece
}
