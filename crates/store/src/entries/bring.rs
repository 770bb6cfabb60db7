//! What waits to be sealed: the flushes behind what is sealed, after the rows of the outbox were brought there.

use std::sync::Arc;

use super::mark::{Draft, Frame};
use super::tail::not_whole;
use super::{Entries, Position, READING};
use crate::error::StoreError;

/// A flush that waits to be sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Where its mark begins.
    pub(crate) mark: u64,
    /// Where its entries begin.
    pub(crate) starts: u64,
    /// Where the next mark begins.
    pub(crate) ends: u64,
    /// The row of the outbox whose events these are.
    pub(crate) row: Option<String>,
    /// Its entries, one a line, each with its line end, behind something else; none when it only used something up.
    pub(crate) text: String,
    /// Where they begin in `text`.
    pub(crate) skip: usize,
}

impl From<Frame> for Piece {
    fn from(mut frame: Frame) -> Self {
        let (mark, starts, ends) = (frame.mark.at, frame.mark.entries_at(), frame.mark.ends());
        let row = frame.row.take();
        let (text, skip) = frame.into_text();
        Self {
            mark,
            starts,
            ends,
            row,
            text,
            skip,
        }
    }
}

impl Entries {
    /// Writes those `rows` of the outbox, each a name and entries, behind the end that are not in the file yet, and
    /// makes all that is there durable. Returns the flushes behind `position` until they hold `enough` bytes of
    /// entries. `rows` and `position` are of one moment.
    pub(crate) async fn bring(
        self: &Arc<Self>,
        rows: Vec<(String, String)>,
        position: Position,
        enough: usize,
    ) -> Result<Vec<Piece>, StoreError> {
        let end = self.in_turn(move |entries, tail| {
            entries.catch_up(tail)?;
            entries.settle(tail)?;
            tail.forget_brought(position)?;
            let missing = rows.into_iter().filter(|(name, _)| !tail.has_brought(name));
            let draft = |(name, lines)| Draft {
                row: Some(name),
                entries: vec![lines],
                ..Draft::default()
            };
            let drafts = missing.map(draft).collect();
            entries.append(tail, drafts)?;
            Ok(tail.end)
        });
        let end = end.await?;
        if end == position.ends.unsigned_abs() {
            return Ok(Vec::new());
        }
        // What is durable does not change any more, so it is read while others write.
        let entries = Arc::clone(self);
        tokio::task::spawn_blocking(move || entries.pieces(position, end, enough))
            .await
            .map_err(|error| StoreError::unavailable(READING)(error.into()))?
    }

    fn pieces(
        &self,
        position: Position,
        end: u64,
        enough: usize,
    ) -> Result<Vec<Piece>, StoreError> {
        let mut last = match u64::try_from(position.mark) {
            Ok(at) => self.mark(at)?,
            Err(_) => None,
        };
        let mut next = position.ends.unsigned_abs();
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        while bytes < enough && next < end {
            let frame = self.next(last.as_ref(), next)?;
            let frame = frame.ok_or_else(|| not_whole(next))?;
            next = frame.mark.ends();
            last = Some(frame.mark.clone());
            bytes += frame.bytes();
            pieces.push(Piece::from(frame));
        }
        Ok(pieces)
    }

    /// Where the file ends, as far as this process knows.
    pub(crate) async fn known_end(&self) -> u64 {
        self.tail.lock().await.end
    }

    /// How many flushes with entries wait behind `position`.
    pub(crate) fn count(&self, position: Position) -> Result<i64, StoreError> {
        let (mut next, mut flushes) = (position.ends.unsigned_abs(), 0);
        let mut before = position.mark;
        while let Some(mark) = self.mark(next)? {
            if i64::try_from(mark.before).ok() != Some(before.max(0)) {
                break;
            }
            before = i64::try_from(next).unwrap_or(i64::MAX);
            flushes += i64::from(mark.count > 0);
            next = mark.ends();
        }
        Ok(flushes)
    }
}
