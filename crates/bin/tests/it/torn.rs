//! STOR-03: files of the database that lost a piece while the program was down.
//!
//! What SQLite promises: a transaction whose frames are whole in the write-ahead log is there, and the log ends at
//! the first frame that is not. So a damage behind the last acknowledged commit costs nothing, and one before it
//! leaves an earlier state, which the program cannot tell from the latest by itself: whoever kept a checkpoint can.
//! The entries of the log lie in a file beside it, of which the database says how much is sealed.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::caller::Caller;
use crate::log_copy::LogCopy;
use crate::program::Program;
use crate::random::copy_folder;

/// Persons whose addition was acknowledged, in order.
const PERSONS: usize = 30;

/// A data folder as a kill left it, and what was acknowledged before.
struct Left {
    folder: TempDir,
    handles: Vec<String>,
    /// How long the write-ahead log was when each was acknowledged.
    lengths: Vec<u64>,
    /// How long it was when all of that was sealed.
    settled: u64,
    /// Where the entries of it end in their file.
    sealed: u64,
    /// What somebody saw of the log then.
    seen: LogCopy,
}

async fn left_behind() -> Left {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let program = Program::start(&data);
    let caller = Caller::new(&program, &data);
    caller.sealed().await;
    let (mut handles, mut lengths) = (Vec::new(), Vec::new());
    for serial in 0..PERSONS {
        let handle = format!("p{serial:02}@example.com");
        assert!(caller.add_owner(&handle).await.expect("an answer").is_ok());
        handles.push(handle);
        lengths.push(length(&data.join(WAL)));
        caller.sealed().await;
    }
    let mut seen = LogCopy::new(&data);
    seen.audit(&caller).await;
    let settled = length(&data.join(WAL));
    let entries = std::fs::read(data.join(ENTRIES)).expect("a file");
    let last = entries.iter().rposition(|byte| *byte != 0);
    let sealed = last.expect("an entry") as u64;
    // What was still under way when it was killed.
    let body = json!({"text": "// nothing"});
    caller.ask("PUT", "/v1/policies/late", body).await;
    program.kill();
    Left {
        folder,
        handles,
        lengths,
        settled,
        sealed,
        seen,
    }
}

const WAL: &str = "chancery.db-wal";
const DATABASE: &str = "chancery.db";
const ENTRIES: &str = "chancery.db-entries";
/// Bytes of one page of the database.
const PAGE: usize = 4_096;

fn length(file: &Path) -> u64 {
    std::fs::metadata(file).expect("a file").len()
}

/// How a piece of a file is lost.
#[derive(Debug, Clone, Copy)]
enum Damage {
    CutOff,
    Flipped,
    Zeroed(usize),
    /// As the piece before it was.
    Stale(usize),
}

impl Damage {
    fn strike(self, file: &Path, at: u64) {
        let mut options = OpenOptions::new();
        let opened = options.read(true).write(true).open(file).expect("a file");
        let whole = length(file);
        let write = |bytes: &[u8]| {
            let bytes = &bytes[..bytes.len().min((whole - at) as usize)];
            opened.write_all_at(bytes, at).expect("written");
        };
        match self {
            Self::CutOff => opened.set_len(at).expect("cut off"),
            Self::Flipped => {
                let mut byte = [0];
                opened.read_exact_at(&mut byte, at).expect("a byte");
                write(&[byte[0] ^ 0x10]);
            }
            Self::Zeroed(size) => write(&vec![0; size]),
            Self::Stale(size) => {
                let mut before = vec![0; size];
                let from = at.saturating_sub(size as u64);
                opened.read_exact_at(&mut before, from).expect("a piece");
                write(&before);
            }
        }
    }
}

/// The same moments in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }

    fn between(&mut self, start: u64, end: u64) -> u64 {
        start + self.below(end - start)
    }
}

/// Starts the program, or not; what it says of that is not what is looked at.
fn quietly(data: &Path) -> Result<Program, String> {
    Program::try_start(data, |command| {
        command.stderr(Stdio::null());
    })
}

impl Left {
    /// A copy of the folder with a damage in one of its files.
    fn struck(&self, name: &str, damage: Damage, at: u64) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        copy_folder(&self.folder.path().join("data"), &data);
        damage.strike(&data.join(name), at);
        (folder, data)
    }
}

#[tokio::test]
async fn stor_03_tail_behind_the_last_acknowledged_commit_may_be_lost() {
    let left = left_behind().await;
    let wal = left.folder.path().join("data").join(WAL);
    let end = length(&wal);
    assert!(left.settled < end, "something was under way");
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    for round in 0..9 {
        let damage = [Damage::CutOff, Damage::Flipped, Damage::Zeroed(512)][round % 3];
        let at = chance.between(left.settled, end);
        let (_folder, data) = left.struck(WAL, damage, at);
        let program = Program::start(&data);
        let caller = Caller::new(&program, &data);
        let owners: Vec<String> = caller.owners().await.into_iter().collect();
        assert_eq!(owners, left.handles, "{damage:?} at {at}");
        // The log goes on from the very one that somebody saw.
        caller.sealed().await;
        left.seen.anew().audit(&caller).await;
    }
}

#[tokio::test]
async fn stor_03_damage_before_it_leaves_no_half_state_and_is_found_by_whoever_kept_a_checkpoint() {
    let left = left_behind().await;
    let mut chance = Chance(0x2545_f491_4f6c_dd1d);
    let (mut earlier, mut refused) = (0, 0);
    for round in 0..15 {
        let damage = [Damage::CutOff, Damage::Flipped, Damage::Zeroed(PAGE)][round % 3];
        let at = chance.between(0, *left.lengths.last().expect("some"));
        let (_folder, data) = left.struck(WAL, damage, at);
        let Ok(program) = Program::try_start(&data, |_| {}) else {
            refused += 1;
            continue;
        };
        let caller = Caller::new(&program, &data);
        let owners: Vec<String> = caller.owners().await.into_iter().collect();
        // Whole transactions, in their order, up to one of them.
        assert_eq!(owners, left.handles[..owners.len()], "{damage:?} at {at}");
        caller.sealed().await;
        let found = left.seen.anew().try_audit(&caller).await;
        if owners.len() < left.handles.len() {
            earlier += 1;
            assert!(found.is_err(), "{damage:?} at {at}: nobody can tell");
        } else {
            found.expect("the log that was seen");
        }
    }
    assert!(earlier > 0, "{refused} refused");
}

#[tokio::test]
async fn stor_03_lost_pages_are_told_and_never_read_as_if_there_had_been_less() {
    let left = left_behind().await;
    let data = left.folder.path().join("data");
    // Everything into the database itself, as it comes to be there in a longer life.
    let connection = rusqlite::Connection::open(data.join(DATABASE)).expect("SQLite");
    let moved = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
    moved.expect("a checkpoint");
    drop(connection);
    let pages = length(&data.join(DATABASE)) / PAGE as u64;
    let (mut refused, mut told) = (0, 0);
    // Every page once: which of them hold the record is not left to chance.
    for page in 1..pages {
        let damage = [
            Damage::Zeroed(PAGE),
            Damage::Stale(PAGE),
            Damage::Zeroed(512),
            Damage::CutOff,
        ][(page % 4) as usize];
        let at = page * PAGE as u64;
        let (_folder, data) = left.struck(DATABASE, damage, at);
        let Ok(program) = quietly(&data) else {
            refused += 1;
            continue;
        };
        let caller = Caller::new(&program, &data);
        let answer = caller.ask("GET", "/v1/owners?limit=500", Value::Null).await;
        if answer.is_ok() {
            let owners: Vec<String> = caller.owners().await.into_iter().collect();
            assert_eq!(owners, left.handles, "{damage:?} at {at}");
        } else {
            assert!([500, 503].contains(&answer.status), "{answer:?}");
        }
        told += usize::from(left.seen.anew().try_audit(&caller).await.is_err());
    }
    assert!(refused > 0 && told > 0, "{refused} refused, {told} told");
    // Without a damage it starts.
    LogCopy::new(&data)
        .audit(&Caller::new(&Program::start(&data), &data))
        .await;
}

/// The entries lie in a file of their own: whatever is lost of what is sealed is told, or the program does not start.
#[tokio::test]
async fn stor_03_lost_piece_of_the_entries_is_told_or_refused() {
    let left = left_behind().await;
    let file = std::fs::read(left.folder.path().join("data").join(ENTRIES)).expect("a file");
    // The next byte of an entry: marks that were sealed are nothing of the record.
    let entry = |from: u64| {
        let begins = file[from as usize..]
            .windows(2)
            .position(|two| two == b"\n{");
        begins
            .map(|at| from + at as u64 + 2)
            .filter(|at| *at < left.sealed)
    };
    let (mut refused, mut told) = (0, 0);
    for page in 0..=left.sealed / PAGE as u64 {
        for damage in [Damage::Zeroed(PAGE), Damage::Flipped, Damage::CutOff] {
            let begin = page * PAGE as u64;
            let at = match damage {
                Damage::Flipped => entry(begin),
                _ => Some(begin),
            };
            let Some(at) = at else { continue };
            let (_folder, data) = left.struck(ENTRIES, damage, at);
            let Ok(program) = quietly(&data) else {
                refused += 1;
                continue;
            };
            let caller = Caller::new(&program, &data);
            let owners: Vec<String> = caller.owners().await.into_iter().collect();
            assert_eq!(owners, left.handles, "{damage:?} at {at}");
            let found = left.seen.anew().try_audit(&caller).await;
            assert!(found.is_err(), "{damage:?} at {at}: nobody can tell");
            told += 1;
        }
    }
    assert!(refused > 0 && told > 0, "{refused} refused, {told} told");
    // The zeros behind the last flush are nothing.
    let end = file.iter().rposition(|byte| *byte != 0);
    let end = end.expect("an entry") as u64 + 1;
    let (_folder, data) = left.struck(ENTRIES, Damage::CutOff, end);
    let program = Program::start(&data);
    let caller = Caller::new(&program, &data);
    caller.sealed().await;
    left.seen.anew().audit(&caller).await;
    let policies = caller.get("/v1/policies").await;
    assert!(policies.to_string().contains("late"), "{policies}");
}

/// An empty file is no new beginning when its log says otherwise.
#[tokio::test]
async fn stor_03_emptied_database_is_not_founded_anew() {
    let left = left_behind().await;
    for lost in [|file: &Path| Damage::CutOff.strike(file, 0), remove] {
        let (_folder, data) = left.struck(DATABASE, Damage::Zeroed(0), 0);
        let kept = std::fs::read(data.join(DATABASE)).expect("the database");
        lost(&data.join(DATABASE));
        let log = length(&data.join(WAL));
        let refused = quietly(&data);
        assert!(refused.is_err(), "it began anew");
        assert_eq!(length(&data.join(WAL)), log, "nothing was thrown away");
        // Put back what was lost, and all is there.
        std::fs::write(data.join(DATABASE), kept).expect("restored");
        let program = Program::start(&data);
        let caller = Caller::new(&program, &data);
        let owners: Vec<String> = caller.owners().await.into_iter().collect();
        assert_eq!(owners, left.handles);
    }
}

fn remove(file: &Path) {
    std::fs::remove_file(file).expect("removed");
}
