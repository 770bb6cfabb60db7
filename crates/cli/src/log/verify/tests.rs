//! A copy built with the ledger, then altered in every way that an intruder would.

use std::path::{Path, PathBuf};

use chancery_ledger::appender::Appender;
use chancery_ledger::bundle;
use chancery_ledger::hash::leaf_hash;
use chancery_ledger::note::NoteSigner;
use chancery_ledger::path::BundleId;
use chancery_ledger::proof::inclusion;
use chancery_ledger::tile::TileRow;
use chancery_model::event::{Actor, ActorKind, EventKind};
use chancery_model::id::EventId;
use chancery_model::time::Timestamp;

use super::*;
use crate::trial::{Seeded, run, serve};

fn event(number: u64, at: i64) -> Vec<u8> {
    let at = Timestamp::from_secs(at);
    let event = Event {
        actor: Actor {
            id: String::new(),
            kind: ActorKind::Authority,
        },
        agent: None,
        at,
        call: None,
        decision: None,
        facts: [("number".to_owned(), number.to_string())].into(),
        id: EventId::generate(at, &Seeded),
        kind: EventKind::KeyRotated,
        outcome: "ok".to_owned(),
        reason: None,
        subject: None,
        token: None,
        traceparent: None,
    };
    event.to_canonical_json().into_bytes()
}

fn signer() -> NoteSigner {
    NoteSigner::from_seed("log.example", &[3; 32]).expect("a signer")
}

/// A log on disk, as `log export` leaves it.
struct Log {
    folder: tempfile::TempDir,
    entries: Vec<Vec<u8>>,
}

impl Log {
    fn of(entries: Vec<Vec<u8>>) -> Self {
        let log = Self {
            folder: tempfile::tempdir().expect("a folder"),
            entries,
        };
        let (tiles, note) = log.built();
        for (path, bytes) in tiles {
            log.put(&path, &bytes);
        }
        log.put("checkpoint", note.as_bytes());
        log.put(KEY_FILE, signer().verifier().vkey().as_bytes());
        for (index, entries) in log.entries.chunks(256).enumerate() {
            let id = BundleId::in_tree(index as u64, log.entries.len() as u64).expect("a bundle");
            log.put(&id.path(), &bundle::encode(entries).expect("a bundle"));
        }
        log
    }

    fn of_size(size: u64) -> Self {
        Self::of(
            (0..size)
                .map(|number| event(number, 1_700_000_000 + number as i64))
                .collect(),
        )
    }

    fn built(&self) -> (Vec<(String, Vec<u8>)>, String) {
        let mut appender = Appender::new();
        for entry in &self.entries {
            appender.append(leaf_hash(entry));
        }
        let tiles = appender.take_changed();
        let tiles = tiles
            .into_iter()
            .map(|(id, tile)| (id.path(), tile.bytes()));
        let head = Checkpoint::new("log.example", appender.size(), appender.root());
        let note = head.and_then(|head| head.sign(&signer())).expect("a note");
        (tiles.collect(), note)
    }

    fn put(&self, path: &str, bytes: &[u8]) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        std::fs::write(path, bytes).expect("written");
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn alter(&self, path: &str, alter: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(self.path(path)).expect("there");
        alter(&mut bytes);
        self.put(path, &bytes);
    }

    fn verify(&self) -> (u8, Value) {
        verify(&format!("--dir {}", self.folder.path().display()))
    }
}

/// Runs `log verify --json` in a data folder without a key; answers with the exit code and what it printed.
fn verify(flags: &str) -> (u8, Value) {
    let nowhere = tempfile::tempdir().expect("a folder");
    let data = nowhere.path().display();
    let ended = run(&format!("chancery --data {data} log verify --json {flags}"));
    (ended.code, ended.json())
}

#[test]
fn a_faithful_copy_holds() {
    for size in [1, 5, 256, 700] {
        let (code, json) = Log::of_size(size).verify();
        assert_eq!(
            (code, &json["ok"], &json["size"]),
            (0, &true.into(), &size.into()),
            "{json}"
        );
        assert_eq!(json["pinned"], false);
    }
}

#[test]
fn one_byte_of_an_entry_is_named_by_its_index() {
    let log = Log::of_size(700);
    log.alter("tile/entries/001", |bytes| {
        let needle = b"\"300\"";
        let at = bytes
            .windows(needle.len())
            .position(|window| window == needle);
        bytes[at.expect("there") + 1] ^= 1;
    });
    let (code, json) = log.verify();
    assert_eq!(
        (code, &json["ok"], &json["index"]),
        (1, &false.into(), &300.into()),
        "{json}"
    );
    assert!(
        json["why"]
            .as_str()
            .is_some_and(|why| why.contains("altered")),
        "{json}"
    );
}

#[test]
fn what_is_missing_reordered_or_cut_off_is_named() {
    let log = Log::of_size(40);
    let path = "tile/entries/000.p/40";
    let without = |skip: usize| -> Vec<&Vec<u8>> {
        let entries = log.entries.iter().enumerate();
        entries
            .filter(|(at, _)| *at != skip)
            .map(|(_, entry)| entry)
            .collect()
    };
    log.put(path, &bundle::encode(&without(12)).expect("a bundle"));
    let (code, json) = log.verify();
    assert_eq!((code, &json["index"]), (1, &12.into()), "{json}");

    let mut swapped = log.entries.clone();
    swapped.swap(3, 4);
    log.put(path, &bundle::encode(&swapped).expect("a bundle"));
    let (code, json) = log.verify();
    assert_eq!((code, &json["index"]), (1, &3.into()), "{json}");

    std::fs::remove_file(log.path(path)).expect("removed");
    let (code, json) = log.verify();
    assert_eq!((code, &json["ok"]), (1, &false.into()), "{json}");
}

#[test]
fn a_checkpoint_of_another_signer_is_refused() {
    let log = Log::of_size(3);
    let other = NoteSigner::from_seed("log.example", &[4; 32]).expect("a signer");
    let (code, json) = verify(&format!(
        "--dir {} --key {}",
        log.folder.path().display(),
        other.verifier().vkey()
    ));
    assert_eq!(
        (code, &json["ok"], &json["pinned"]),
        (1, &false.into(), &true.into())
    );
}

#[test]
fn a_back_dated_entry_is_named_though_the_log_signed_it() {
    let times = [1_000_000, 1_000_100, 999_900, 999_000, 1_000_200];
    let entries = times
        .iter()
        .enumerate()
        .map(|(number, at)| event(number as u64, *at));
    let (code, json) = Log::of(entries.collect()).verify();
    assert_eq!((code, &json["index"]), (1, &3.into()), "{json}");
    assert!(
        json["why"]
            .as_str()
            .is_some_and(|why| why.contains("back-dated"))
    );
}

#[test]
fn an_entry_that_is_no_canonical_event_is_named() {
    let mut spaced = event(1, 1_000_000);
    spaced.push(b' ');
    for bad in [spaced, b"{}".to_vec(), b"\xff".to_vec()] {
        let (code, json) = Log::of(vec![event(0, 1_000_000), bad]).verify();
        assert_eq!((code, &json["index"]), (1, &1.into()), "{json}");
    }
}

#[test]
fn what_cannot_be_read_is_neither_good_nor_altered() {
    let empty = tempfile::tempdir().expect("a folder");
    for flags in [
        format!("--dir {}", empty.path().display()),
        format!("--dir {}/absent", empty.path().display()),
        format!("--receipt {}/absent", empty.path().display()),
    ] {
        let (code, json) = verify(&flags);
        assert_eq!(
            (code, &json["code"]),
            (2, &"unreadable".into()),
            "{flags}: {json}"
        );
    }
    let log = Log::of_size(300);
    std::fs::remove_file(log.path("tile/0/000")).expect("removed");
    std::fs::create_dir(log.path("tile/0/000")).expect("made");
    assert_eq!(log.verify().0, 2);
    std::fs::remove_file(log.path(KEY_FILE)).expect("removed");
    let (code, json) = log.verify();
    assert_eq!(code, 2, "{json}");
    assert!(
        json["fix"]
            .as_str()
            .is_some_and(|fix| fix.contains("--key")),
        "{json}"
    );
}

#[test]
fn a_log_that_forgot_what_it_signed_is_refused() {
    let (before, after) = (Log::of_size(40), Log::of_size(700));
    let since = |log: &Log, since: &Path| {
        verify(&format!(
            "--dir {} --since {}",
            log.folder.path().display(),
            since.display()
        ))
    };
    assert_eq!(since(&after, &before.path("checkpoint")).0, 0);
    let (code, json) = since(&before, &after.path("checkpoint"));
    assert_eq!((code, &json["ok"]), (1, &false.into()), "{json}");
    let forked = Log::of(
        (0..700)
            .map(|number| event(number + 1, 1_700_000_000))
            .collect(),
    );
    let (code, json) = since(&forked, &before.path("checkpoint"));
    assert_eq!((code, &json["ok"]), (1, &false.into()), "{json}");
}

#[test]
fn a_receipt_proves_its_event_and_no_other() {
    let log = Log::of_size(700);
    let mut appender = Appender::new();
    for entry in &log.entries {
        appender.append(leaf_hash(entry));
    }
    let rows: Vec<_> = appender.take_changed();
    let index = 300;
    let proof = inclusion(index, 700, |id| {
        let found = rows
            .iter()
            .find(|(row, _)| (row.level(), row.index()) == (id.level(), id.index()));
        found
            .map(|(_, tile)| -> TileRow { tile.row() })
            .ok_or("absent")
    });
    let receipt = receipt::Receipt {
        entry: log.entries[index as usize].clone(),
        index,
        proof: proof.expect("a proof"),
        checkpoint: log.built().1,
        extra: None,
    };
    let receipt = Receipt {
        entry: String::from_utf8(receipt.entry.clone()).expect("text"),
        index,
        proof: receipt.to_tlog_proof(),
        log_key: signer().verifier().vkey(),
    };
    let path = log.path("receipt.json");
    let check = |json: &Value| {
        std::fs::write(&path, json.to_string()).expect("written");
        verify(&format!("--receipt {}", path.display()))
    };
    let mut json = serde_json::to_value(&receipt).expect("JSON");
    let (code, answer) = check(&json);
    assert_eq!(
        (code, &answer["event"]["facts"]["number"]),
        (0, &"300".into()),
        "{answer}"
    );
    assert_eq!(check(&json!({"status": "suspended", "receipt": json})).0, 0);
    json["entry"] = receipt.entry.replace("300", "301").into();
    let (code, answer) = check(&json);
    assert_eq!((code, &answer["index"]), (1, &300.into()), "{answer}");
    json["entry"] = receipt.entry.into();
    json["index"] = 301.into();
    assert_eq!(check(&json).0, 1);
    assert_eq!(check(&json!({"index": 1})).0, 2);
}

/// Serves the files of the log as an authority does, with its key under `/log/key`.
fn serving(log: &Log) -> String {
    let folder = log.folder.path().to_owned();
    serve(move |asked| {
        let path = asked.strip_prefix("GET /log/").unwrap_or("absent");
        let path = if path == "key" { KEY_FILE } else { path };
        match std::fs::read(folder.join(path)) {
            Ok(bytes) => ("200 OK", bytes),
            Err(_) => ("404 Not Found", Vec::new()),
        }
    })
}

#[test]
fn the_record_of_a_running_authority_is_verified_as_a_stranger_would() {
    let log = Log::of_size(700);
    let url = serving(&log);
    let nowhere = tempfile::tempdir().expect("a folder");
    let line = format!("chancery --url {url} log verify --json");
    let ended = run(&line);
    assert_eq!(
        (ended.code, &ended.json()["size"]),
        (0, &700.into()),
        "{ended:?}"
    );
    let key = signer().verifier().vkey();
    let ended = run(&format!("{line} --key {key}"));
    assert_eq!(ended.json()["pinned"], true);
    log.alter("tile/entries/000", |bytes| bytes[100] ^= 1);
    assert_eq!(
        (run(&line).code, &run(&line).json()["index"]),
        (1, &0.into())
    );
    let gone = format!(
        "chancery --data {} log verify --json",
        nowhere.path().display()
    );
    assert_eq!(run(&gone).code, 3);
}

#[test]
fn an_export_is_a_copy_that_verifies_and_resumes() {
    let log = Log::of_size(700);
    let url = serving(&log);
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("copy");
    let line = format!(
        "chancery --url {url} log export --json --out {}",
        out.display()
    );
    let first = run(&line).json();
    assert_eq!(
        (&first["size"], &first["kept"]),
        (&700.into(), &0.into()),
        "{first}"
    );
    let verified = verify(&format!("--dir {}", out.display()));
    assert_eq!(verified.0, 0, "{}", verified.1);
    std::fs::remove_file(out.join("tile/0/001")).expect("removed");
    let second = run(&line).json();
    assert_eq!(second["downloaded"], 1, "{second}");
    assert_eq!(verify(&format!("--dir {}", out.display())).0, 0);
}
