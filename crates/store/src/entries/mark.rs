//! The line that stands before the entries of one flush, and makes them one.
//!
//! ```text
//! # BEFORE UNTIL COUNT WORDS BYTES SUM word word …
//! ```
//!
//! The numbers are hexadecimal, of a fixed length: where the mark before begins; until when anything that was used by
//! then counts, in microseconds; how many events follow, where all those of one change count as one; how long the words
//! and the entries are, in bytes; and the sum of all of that, which begins with the sum of the mark before. So whatever
//! was left over behind the end of the file, by a write that a crash cut off, never follows on from what is written
//! there later.
//!
//! A word is something used once (`HASH@END`), or the name of the row of the outbox whose events these are, as
//! hexadecimal text (`=NAME`).

use std::fmt::Write;

use chancery_model::time::Timestamp;

use crate::one_time::Short;

/// What a mark begins with; no entry does, since each is a JSON object.
pub(super) const SIGN: char = '#';
/// Bytes before the words.
pub(super) const FIXED: usize = 72;
/// Bytes before the sum.
const SUMMED: usize = 63;
/// The most bytes of words, and the most of entries: whatever says more is no mark.
pub(super) const MOST: u64 = 256 * 1024 * 1024;

/// A mark, without its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    /// Where it begins.
    pub(super) at: u64,
    /// Where the one before begins; where this one does when it is the first.
    pub(super) before: u64,
    /// Until when anything that was used so far counts.
    pub(super) until: Timestamp,
    /// How many events follow; all those of one change count as one.
    pub(super) count: u64,
    words: u64,
    bytes: u64,
    pub(super) sum: u32,
}

/// A flush as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// Its mark.
    pub(super) mark: Mark,
    /// What it used up.
    pub(super) uses: Vec<(Short, Timestamp)>,
    /// The row of the outbox whose events these are.
    pub(super) row: Option<String>,
    /// Its words and entries.
    rest: String,
}

impl Mark {
    /// Where its entries begin.
    pub(super) fn entries_at(&self) -> u64 {
        self.at + FIXED as u64 + self.words + 1
    }

    /// Where the next mark begins.
    pub(super) fn ends(&self) -> u64 {
        self.entries_at() + self.bytes
    }

    /// Reads the first [`FIXED`] bytes of a mark at `at`; `None` when it is none.
    pub(super) fn parse(at: u64, head: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(head.get(..FIXED)?).ok()?;
        let mut numbers = text.strip_prefix("# ")?.split(' ');
        let mut number = |digits: usize| {
            let text = numbers.next().filter(|text| text.len() == digits)?;
            u64::from_str_radix(text, 16).ok()
        };
        let mark = Self {
            at,
            before: number(16)?,
            until: Timestamp::from_micros(i64::try_from(number(16)?).ok()?),
            count: number(8)?,
            words: number(8)?,
            bytes: number(8)?,
            sum: u32::try_from(number(8)?).ok()?,
        };
        let is_sound = mark.before <= at && mark.words <= MOST && mark.bytes <= MOST;
        is_sound.then_some(mark)
    }
}

impl Frame {
    /// Reads a whole flush whose mark was read, from the bytes behind the mark's fixed part; `None` unless the sum
    /// is the one that follows on from `before`, the sum of the mark before.
    pub(super) fn read(mark: Mark, head: &[u8], rest: Vec<u8>, before: u32) -> Option<Self> {
        if sum(before, head.get(..SUMMED)?, &rest) != mark.sum {
            return None;
        }
        let rest = String::from_utf8(rest).ok()?;
        let words = rest.get(..usize::try_from(mark.words).ok()?)?;
        let (mut uses, mut row) = (Vec::new(), None);
        for word in words.split(' ').filter(|word| !word.is_empty()) {
            if let Some(name) = word.strip_prefix('=') {
                row = Some(from_hex(name)?);
                continue;
            }
            match word.split_once('@') {
                Some((hash, end)) => uses.push((
                    Short::from_str_radix(hash, 16).ok()?,
                    Timestamp::from_micros(i64::from_str_radix(end, 16).ok()?),
                )),
                None => return None,
            }
        }
        Some(Self {
            mark,
            uses,
            row,
            rest,
        })
    }

    /// What it says without its entries.
    pub(super) fn without_entries(self) -> Self {
        Self {
            rest: String::new(),
            ..self
        }
    }

    /// Bytes of its entries, line ends included.
    pub(super) fn bytes(&self) -> usize {
        self.rest.len().saturating_sub(self.skip())
    }

    /// Its words and entries as one text, and where the entries begin in it.
    pub(super) fn into_text(self) -> (String, usize) {
        let skip = self.skip().min(self.rest.len());
        (self.rest, skip)
    }

    fn skip(&self) -> usize {
        self.mark.words as usize + 1
    }
}

/// A flush as it is made.
#[derive(Debug, Default)]
pub(super) struct Draft {
    /// What it uses up.
    pub(super) uses: Vec<(Short, Timestamp)>,
    /// The row of the outbox whose events these are.
    pub(super) row: Option<String>,
    /// Its entries, each a line or more of them.
    pub(super) entries: Vec<String>,
}

impl Draft {
    /// Whether it would say nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.uses.is_empty() && self.entries.is_empty()
    }

    /// Adds the bytes of the flush that follows `last` at `at`; returns it without its entries.
    pub(super) fn write(self, last: Option<&Mark>, at: u64, bytes: &mut Vec<u8>) -> Frame {
        let mut words = String::with_capacity(self.uses.len() * 48);
        // Writing to a text cannot fail.
        for (hash, end) in &self.uses {
            let _ok = write!(words, "{hash:032x}@{:x} ", end.as_micros());
        }
        if let Some(row) = &self.row {
            words.push('=');
            for byte in row.bytes() {
                let _ok = write!(words, "{byte:02x}");
            }
            words.push(' ');
        }
        let (before, before_sum) = last.map_or((at, 0), |last| (last.at, last.sum));
        let until = self.uses.iter().map(|(_, end)| *end);
        let until = until.chain(last.map(|last| last.until)).max();
        let mut mark = Mark {
            at,
            before,
            until: until.unwrap_or(Timestamp::from_micros(0)),
            count: self.entries.len() as u64,
            words: words.len() as u64,
            bytes: self
                .entries
                .iter()
                .map(|entry| entry.len() as u64 + 1)
                .sum(),
            sum: 0,
        };
        let begin = bytes.len();
        bytes.reserve(FIXED + words.len() + 1 + mark.bytes as usize);
        let fixed = format!(
            "# {before:016x} {:016x} {:08x} {:08x} {:08x} 00000000 ",
            mark.until.as_micros(),
            mark.count,
            mark.words,
            mark.bytes,
        );
        for text in [fixed.as_str(), words.as_str(), "\n"] {
            bytes.extend_from_slice(text.as_bytes());
        }
        for entry in &self.entries {
            bytes.extend_from_slice(entry.as_bytes());
            bytes.push(b'\n');
        }
        let written = bytes.get_mut(begin..).unwrap_or_default();
        let (head, rest) = written.split_at_mut(FIXED);
        let (summed, place) = head.split_at_mut(SUMMED);
        mark.sum = sum(before_sum, summed, rest);
        place.copy_from_slice(format!("{:08x} ", mark.sum).as_bytes());
        Frame {
            mark,
            uses: self.uses,
            row: self.row,
            rest: String::new(),
        }
    }
}

fn from_hex(text: &str) -> Option<String> {
    let pairs = text.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    String::from_utf8(pairs.map(byte).collect::<Option<_>>()?).ok()
}

fn sum(before: u32, head: &[u8], rest: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(before);
    hasher.update(head);
    hasher.update(rest);
    hasher.finalize()
}
