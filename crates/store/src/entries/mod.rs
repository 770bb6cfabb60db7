//! The entries of the log in one file beside SQLite's, each written once: where a flush makes them durable, they stay.
//!
//! The file is text. Each flush is a [`mark`] and the entries of that flush, one a line, in the order in which they
//! become leaves. Behind the last flush the file is zeros, which keep its place on the disk. The database says how
//! much is sealed ([`Position`]); what follows waits. Several processes may write: each takes its turn by a lock on
//! the file, and reads what others wrote before it writes. So each knows everything that was used, and of two uses
//! anywhere one is fresh.
//!
//! The events of a change lie in the outbox, in the transaction of that change, until whoever seals brings them here.
//! Their marks name the rows, so that a row is brought once, whenever it is that a process ends.

mod bring;
mod flush;
mod mark;
mod tail;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::{Duration, Instant, sleep};

pub(crate) use self::flush::Append;
use self::mark::{MOST, SIGN};
use self::tail::Tail;
use crate::connect::Flushes;
use crate::error::StoreError;
use crate::one_time::Memory;

const READING: &str = "reading the log's entries";
const WRITING: &str = "writing the log's entries";
/// How long a flush waits for the turn of other processes.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it looks whether it is its turn.
const AGAIN: Duration = Duration::from_millis(1);

/// How much of the file is sealed: the last sealed flush, and where it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// Where its mark begins; negative before the first.
    pub(crate) mark: i64,
    /// Where the next one begins.
    pub(crate) ends: i64,
}

/// A piece of the file that holds whole entries, with marks between them perhaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Where the first entry begins, in bytes.
    pub starts: u64,
    /// Where the last ends, without its line end.
    pub ends: u64,
}

/// The open file.
pub(crate) struct Entries {
    path: PathBuf,
    file: File,
    tail: Arc<Mutex<Tail>>,
    flushes: Flushes,
}

/// Evidence that nobody else writes to the file, in this process or another.
struct Turn {
    entries: Arc<Entries>,
    tail: OwnedMutexGuard<Tail>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        // A lock that could not be given back is given back when the file is closed; until then others wait.
        if let Err(error) = self.entries.file.unlock() {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the lock of the entries cannot be given back"
            );
        }
    }
}

/// Where the entries of a database lie: beside the file itself, whatever name it was opened by.
fn path(database: &Path) -> io::Result<PathBuf> {
    let mut path = database.canonicalize()?.into_os_string();
    path.push("-entries");
    Ok(path.into())
}

/// Whether entries were left beside a database that has nothing yet.
pub(crate) fn are_left(database: &Path) -> bool {
    let mut path = database.as_os_str().to_owned();
    path.push("-entries");
    let mut first = [0];
    File::open(PathBuf::from(path))
        .is_ok_and(|file| file.read_at(&mut first, 0).is_ok_and(|read| read > 0))
}

impl Entries {
    /// Opens the file, finds its end behind what is sealed, and makes durable what lies between.
    ///
    /// `used` is what was used up before there was such a file. Refused when what is sealed is not there: then the
    /// file is not the one that belongs to the database, or lost a piece (STOR-03).
    pub(crate) async fn open(
        database: &Path,
        flushes: Flushes,
        position: Position,
        used: Memory,
    ) -> Result<Arc<Self>, StoreError> {
        const OPENING: &str = "opening the log's entries";
        let path = path(database).map_err(unavailable(OPENING))?;
        let file = open(&path).map_err(unavailable(OPENING))?;
        let entries = Arc::new(Self {
            path,
            file,
            tail: Arc::new(Mutex::new(Tail::new(used))),
            flushes,
        });
        let opened = entries.in_turn(move |entries, tail| entries.find_end(tail, position));
        opened.await?;
        Ok(entries)
    }

    /// Runs `work` on a thread that may wait for the disk, while nobody else writes to the file.
    async fn in_turn<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self, &mut Tail) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let mut turn = self.take_turn().await?;
        let done = tokio::task::spawn_blocking(move || {
            let entries = Arc::clone(&turn.entries);
            work(&entries, &mut turn.tail)
        });
        done.await
            .map_err(|error| StoreError::unavailable(WRITING)(error.into()))?
    }

    async fn take_turn(self: &Arc<Self>) -> Result<Turn, StoreError> {
        const DOING: &str = "waiting for who writes the log's entries";
        let begun = Instant::now();
        let waiting = tokio::time::timeout(PATIENCE, Arc::clone(&self.tail).lock_owned());
        let tail = waiting
            .await
            .map_err(|late| StoreError::unavailable(DOING)(late.into()))?;
        loop {
            match self.file.try_lock() {
                Ok(()) => break,
                Err(std::fs::TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => {
                    sleep(AGAIN).await;
                }
                Err(error) => return Err(StoreError::unavailable(DOING)(error.into())),
            }
        }
        let turn = Turn {
            entries: Arc::clone(self),
            tail,
        };
        // Whoever had the turn before may have failed to flush (STOR-04).
        self.flushes.require_whole()?;
        Ok(turn)
    }

    /// The entries of a piece, one a line. Whatever is damaged reads as something else, or as less.
    pub(crate) fn read(&self, span: Span) -> Result<String, StoreError> {
        let end = self.file.metadata().map_err(unavailable(READING))?.len();
        let ends = span.ends.min(end).max(span.starts);
        if ends - span.starts > MOST {
            return Err(tail::not_whole(span.starts));
        }
        let bytes = self
            .read_at(span.starts, ends - span.starts)
            .map_err(unavailable(READING))?;
        let text = String::from_utf8_lossy(&bytes);
        let mut entries = String::with_capacity(text.len());
        for line in text.split('\n').filter(|line| !line.starts_with(SIGN)) {
            if !entries.is_empty() {
                entries.push('\n');
            }
            entries.push_str(line);
        }
        Ok(entries)
    }

    fn read_at(&self, at: u64, length: u64) -> io::Result<Vec<u8>> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, at)?;
        Ok(bytes)
    }

    /// Makes durable what was written; a failure is for good (STOR-04).
    fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|error| {
            self.flushes.fail();
            unavailable("flushing the log's entries")(error)
        })
    }
}

/// Opens the file, or makes one that only its owner can read.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)?;
    if file.metadata()?.len() == 0 {
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()?;
    }
    Ok(file)
}

fn unavailable(doing: &'static str) -> impl FnOnce(io::Error) -> StoreError {
    move |error| StoreError::unavailable(doing)(error.into())
}
