//! The end of the file: where it is, and what was used up before it.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use chancery_model::time::Timestamp;

use super::mark::{FIXED, Frame, Mark};
use super::{Entries, Position, READING, WRITING, unavailable};
use crate::error::StoreError;
use crate::one_time::{GRACE, Memory};

/// A flush that was whole is not.
pub(super) fn not_whole(at: u64) -> StoreError {
    StoreError::Corrupt {
        table: "entries",
        column: "mark",
        row: at.to_string(),
    }
}

/// What this process knows of the file; somebody else may have written more.
pub(super) struct Tail {
    /// The last mark.
    pub(super) last: Option<Mark>,
    /// Where the next one goes.
    pub(super) end: u64,
    /// Until where the file has its place on the disk.
    pub(super) allocated: u64,
    /// What was used up.
    pub(super) used: Memory,
    /// Whether what others wrote may not be on the disk yet.
    pub(super) is_unsettled: bool,
    /// Whether `used` holds what the marks before `last` used.
    pub(super) has_looked_back: bool,
    /// The rows of the outbox that were brought, and the mark that names each.
    rows: HashMap<String, u64>,
    /// The last sealed mark that rows were forgotten at.
    sealed: i64,
}

impl Tail {
    pub(super) fn new(used: Memory) -> Self {
        Self {
            last: None,
            end: 0,
            allocated: 0,
            used,
            is_unsettled: false,
            has_looked_back: false,
            rows: HashMap::new(),
            sealed: -1,
        }
    }

    /// Goes on behind `frame`.
    pub(super) fn absorb(&mut self, frame: Frame) {
        self.remember(&frame);
        if let Some(row) = frame.row {
            self.rows.insert(row, frame.mark.at);
        }
        self.end = frame.mark.ends();
        self.last = Some(frame.mark);
    }

    /// Remembers what `frame` used up.
    pub(super) fn remember(&mut self, frame: &Frame) {
        let number = i64::try_from(frame.mark.at).unwrap_or(i64::MAX);
        if let Some(ends) = frame.uses.iter().map(|(_, end)| *end).max() {
            let hashes = frame.uses.iter().map(|(hash, _)| *hash).collect();
            self.used.remember(ends, number, hashes);
        }
    }

    /// Whether a row of the outbox is in the file, and not sealed.
    pub(super) fn has_brought(&self, row: &str) -> bool {
        self.rows.contains_key(row)
    }

    /// Rows were sealed, and so are gone, up to `position`; refused when that goes backwards.
    pub(super) fn forget_brought(&mut self, position: Position) -> Result<(), StoreError> {
        if position.mark < self.sealed {
            let back = "the database is one from before; start the program again";
            return Err(StoreError::unavailable(READING)(back.into()));
        }
        self.sealed = position.mark;
        self.rows
            .retain(|_, mark| i64::try_from(*mark).is_ok_and(|mark| mark > position.mark));
        Ok(())
    }
}

impl Entries {
    /// Finds the end of the file, behind what is sealed, and makes durable what lies between.
    pub(super) fn find_end(&self, tail: &mut Tail, position: Position) -> Result<(), StoreError> {
        if let Ok(at) = u64::try_from(position.mark) {
            let sealed = self.frame(at)?;
            let mark = sealed
                .map(|frame| frame.mark)
                .filter(|mark| mark.ends() == position.ends.unsigned_abs())
                .ok_or_else(|| {
                    let path = self.path.display();
                    let lost = format!("`{path}` lacks what is sealed; restore it from its backup");
                    StoreError::unavailable(READING)(lost.into())
                })?;
            tail.end = mark.ends();
            tail.last = Some(mark);
        }
        tail.allocated = self.length()?;
        let begin = tail.end;
        self.catch_up(tail)?;
        self.keep_torn(tail.end)?;
        if begin < tail.end {
            // After a flush that failed it may be in memory alone, where it counts as written: it is written again.
            let unsealed = self.read_at(begin, tail.end - begin);
            let unsealed = unsealed.map_err(unavailable(READING))?;
            let written = self.file.write_all_at(&unsealed, begin);
            written.map_err(unavailable(WRITING))?;
        }
        self.settle(tail)
    }

    /// Keeps, in a file of its own, what begins like a flush behind the end and is not a whole one. Mostly it is what a
    /// crash cut off, which nobody was told of; but it may also be damage, with more behind it.
    fn keep_torn(&self, end: u64) -> Result<(), StoreError> {
        if self.mark(end)?.is_none() {
            return Ok(());
        }
        let rest = self.length()?.saturating_sub(end);
        let mut torn = self.read_at(end, rest).map_err(unavailable(READING))?;
        let content = torn.iter().rposition(|byte| *byte != 0);
        torn.truncate(content.map_or(0, |last| last + 1));
        let mut path = self.path.clone().into_os_string();
        path.push(format!("-torn-{end}"));
        let mut options = OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(0o600).open(&path);
        match opened.and_then(|file| file.write_all_at(&torn, 0)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(unavailable(WRITING)(error));
            }
            Ok(()) | Err(_) => {}
        }
        tracing::warn!(
            kept = %Path::new(&path).display(),
            "the log's entries end with a flush that is not whole: a crash cut it off, or it is damaged"
        );
        Ok(())
    }

    /// Makes durable what others wrote, before anything is built on it.
    pub(super) fn settle(&self, tail: &mut Tail) -> Result<(), StoreError> {
        if tail.is_unsettled {
            self.sync()?;
            tail.is_unsettled = false;
        }
        Ok(())
    }

    /// Reads what others wrote behind the end. Whoever relies on it settles it first.
    pub(super) fn catch_up(&self, tail: &mut Tail) -> Result<(), StoreError> {
        if let Some(last) = &tail.last
            && (self.mark(last.at)?.as_ref() != Some(last) || self.length()? < tail.end)
        {
            let path = self.path.display();
            let changed = format!("`{path}` is not as it was written; start the program again");
            return Err(StoreError::unavailable(READING)(changed.into()));
        }
        while let Some(frame) = self.next(tail.last.as_ref(), tail.end)? {
            tail.is_unsettled = true;
            tail.absorb(frame);
            tail.allocated = self.length()?;
        }
        Ok(())
    }

    /// What the marks up to `last` used up and still counts at `now`.
    pub(super) fn look_back(
        &self,
        last: Option<Mark>,
        now: Timestamp,
    ) -> Result<Vec<Frame>, StoreError> {
        let (mut next, mut found) = (last, Vec::new());
        while let Some(mark) = next.filter(|mark| mark.until >= now.before(GRACE)) {
            let frame = self.frame(mark.at)?.ok_or_else(|| not_whole(mark.at))?;
            found.push(frame.without_entries());
            let is_first = mark.before == mark.at;
            next = if is_first {
                None
            } else {
                self.mark(mark.before)?
            };
        }
        Ok(found)
    }

    /// The flush whose mark begins at `at`, when it is whole.
    fn frame(&self, at: u64) -> Result<Option<Frame>, StoreError> {
        let Some(mark) = self.mark(at)? else {
            return Ok(None);
        };
        if mark.before == at {
            return self.next(None, at);
        }
        match self.mark(mark.before)? {
            Some(before) => self.next(Some(&before), at),
            None => Ok(None),
        }
    }

    /// The flush at `at` that follows on from `last`; `None` when there is none, or it is not whole.
    pub(super) fn next(&self, last: Option<&Mark>, at: u64) -> Result<Option<Frame>, StoreError> {
        let Some(head) = self.head(at)? else {
            return Ok(None);
        };
        let before = last.map_or(at, |last| last.at);
        let Some(mark) = Mark::parse(at, &head).filter(|mark| mark.before == before) else {
            return Ok(None);
        };
        let rest_at = at + FIXED as u64;
        if mark.ends() > self.length()? {
            return Ok(None);
        }
        let rest = self
            .read_at(rest_at, mark.ends() - rest_at)
            .map_err(unavailable(READING))?;
        let sum = last.map_or(0, |last| last.sum);
        Ok(Frame::read(mark, &head, rest, sum))
    }

    /// The mark at `at`, when there is one.
    pub(super) fn mark(&self, at: u64) -> Result<Option<Mark>, StoreError> {
        Ok(self.head(at)?.and_then(|head| Mark::parse(at, &head)))
    }

    fn head(&self, at: u64) -> Result<Option<[u8; FIXED]>, StoreError> {
        let mut head = [0; FIXED];
        match self.file.read_exact_at(&mut head, at) {
            Ok(()) => Ok(Some(head)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(unavailable(READING)(error)),
        }
    }

    fn length(&self) -> Result<u64, StoreError> {
        let metadata = self.file.metadata().map_err(unavailable(READING))?;
        Ok(metadata.len())
    }
}
