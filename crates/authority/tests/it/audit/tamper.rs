//! Someone with the database in hand changes the record: what notices, and where it points.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chancery_authority::audit::sequence::BUNDLE;
use chancery_ledger::audit::{Finding, VerifiedCopy, verify_copy};
use chancery_ledger::checkpoint::Checkpoint;
use chancery_ledger::note::NoteVerifier;
use chancery_ledger::path::{BundleId, TileId};
use chancery_ledger::receipt::Receipt;
use chancery_model::event::{Actor, ActorKind, Event, EventKind};
use chancery_model::time::Clock;
use serde_json::Value;

use crate::audit::record::tour;
use crate::audit::{log_key, verify_receipt};
use crate::house::{ADMIN, House, life, logged};
use crate::request::ask;

/// A downloaded copy of a log.
pub(crate) struct Copy {
    files: HashMap<String, Vec<u8>>,
    key: NoteVerifier,
}

impl Copy {
    pub(crate) fn verify(
        &self,
        older: &[Checkpoint],
        observer: &mut impl FnMut(u64, &[u8]) -> Result<(), String>,
    ) -> Result<VerifiedCopy, Finding> {
        let mut source = |path: &str| Ok::<_, String>(self.files.get(path).cloned());
        verify_copy(
            &mut source,
            std::slice::from_ref(&self.key),
            older,
            observer,
        )
    }

    fn checkpoint(&self) -> Checkpoint {
        self.verify(&[], &mut |_, _| Ok(()))
            .expect("a genuine copy")
            .checkpoint()
            .clone()
    }
}

/// Downloads everything that the log serves.
pub(crate) async fn download(house: &House) -> Copy {
    let mut files = HashMap::new();
    let mut fetch = async |path: &str| {
        let answer = house
            .send(ask("GET", &format!("/log/{path}")).bearer(ADMIN))
            .await;
        if answer.status == 200 {
            files.insert(path.to_owned(), answer.bytes.clone());
        }
        answer.text()
    };
    let checkpoint = fetch("checkpoint").await;
    let size: u64 = checkpoint
        .lines()
        .nth(1)
        .expect("a size")
        .parse()
        .expect("a number");
    for level in 0..3 {
        for index in 0.. {
            let Some(tile) = TileId::in_tree(level, index, size) else {
                break;
            };
            fetch(&tile.path()).await;
        }
    }
    for index in 0.. {
        let Some(bundle) = BundleId::in_tree(index, size) else {
            break;
        };
        fetch(&bundle.path()).await;
    }
    Copy {
        files,
        key: log_key(house).await,
    }
}

async fn finding(house: &House) -> Finding {
    let copy = download(house).await;
    copy.verify(&[], &mut |_, _| Ok(())).expect_err("a finding")
}

/// The lines of the first bundle.
async fn lines(house: &House) -> Vec<String> {
    let bundles = house.database.bundles().await;
    bundles[0].lines().map(str::to_owned).collect()
}

/// Goes on until the first bundle is full and sealed, so that no sealing writes it again: what is altered stays so.
async fn fill_first_bundle(house: &House) {
    let authority = &house.authority;
    let actor = Actor {
        id: String::new(),
        kind: ActorKind::Authority,
    };
    let event = || {
        let kind = EventKind::ClockAnomaly;
        Event::new(kind, actor.clone(), house.clock.now(), &*authority.entropy)
    };
    let waiting: Vec<_> = (0..BUNDLE)
        .map(|_| {
            let (authority, event) = (Arc::clone(authority), event());
            tokio::spawn(async move { authority.journal.append(event).await })
        })
        .collect();
    for appended in waiting {
        appended.await.expect("a task").expect("appended");
    }
    assert!(house.sealed().await > BUNDLE);
}

async fn write(house: &House, lines: &[String]) {
    house.database.alter_bundle(0, &lines.join("\n")).await;
}

#[tokio::test]
async fn aud_01_changed_deleted_inserted_and_swapped_entries_are_named() {
    let house = House::found().await;
    tour(&house).await;
    fill_first_bundle(&house).await;
    let genuine = lines(&house).await;
    download(&house)
        .await
        .verify(&[], &mut |_, _| Ok(()))
        .expect("a genuine copy");

    let mut changed = genuine.clone();
    changed[7] = changed[7].replace("\"outcome\":\"ok\"", "\"outcome\":\"no\"");
    assert_ne!(changed, genuine);
    write(&house, &changed).await;
    assert_eq!(finding(&house).await.index, Some(7));

    let mut swapped = genuine.clone();
    swapped.swap(4, 9);
    write(&house, &swapped).await;
    assert_eq!(finding(&house).await.index, Some(4));

    let mut inserted = genuine.clone();
    inserted.insert(5, genuine[6].clone());
    write(&house, &inserted).await;
    assert_eq!(finding(&house).await.index, Some(5));

    let mut deleted = genuine.clone();
    deleted.remove(3);
    write(&house, &deleted).await;
    assert!(finding(&house).await.index.is_some());

    write(&house, &genuine).await;
    // The hashes alone, as if to fit a forged entry.
    let tile = house
        .database
        .texts("SELECT hashes FROM log_tile WHERE level = 0 AND number = 0")
        .await;
    let flipped = if tile[0].starts_with('0') { "1" } else { "0" };
    let forged = format!("{flipped}{}", &tile[0][1..]);
    house
        .database
        .run(&format!(
            "UPDATE log_tile SET hashes = '{forged}' WHERE level = 0 AND number = 0"
        ))
        .await;
    assert!(finding(&house).await.index.is_none_or(|index| index == 0));
    house
        .database
        .run(&format!(
            "UPDATE log_tile SET hashes = '{}' WHERE level = 0 AND number = 0",
            tile[0]
        ))
        .await;
    download(&house)
        .await
        .verify(&[], &mut |_, _| Ok(()))
        .expect("genuine again");
}

#[tokio::test]
async fn aud_01_receipt_for_a_changed_entry_convinces_nobody() {
    let house = House::found().await;
    house.register("refund-bot").await;
    let stopped = house.suspend("refund-bot").await.ok();
    let event = verify_receipt(&house, &stopped["receipt"]).await;
    let index = stopped["receipt"]["index"].as_u64().expect("an index") as usize;
    fill_first_bundle(&house).await;
    let mut changed = lines(&house).await;
    changed[index] = changed[index].replace("it looked odd", "it looked fine");
    write(&house, &changed).await;
    let path = format!("/v1/receipts/{}", event["id"].as_str().expect("an id"));
    let receipt = house.admin("GET", &path, Value::Null).await;
    if receipt.status == 200 {
        let receipt = receipt.json();
        let entry = receipt["entry"]
            .as_str()
            .expect("an entry")
            .as_bytes()
            .to_vec();
        let parsed = Receipt::from_tlog_proof(entry, receipt["proof"].as_str().expect("a proof"));
        parsed
            .expect("a receipt")
            .verify(&[log_key(&house).await])
            .expect_err("convinced");
    }
}

#[test]
fn aud_02_log_that_was_cut_short_is_not_appended_to() {
    let (database, clock, seen) = life(async {
        let house = House::found().await;
        tour(&house).await;
        let size = house.sealed().await;
        let seen = download(&house).await.checkpoint();
        assert_eq!(seen.size(), size);
        // The last entries and their hashes are gone, the head says so; the signed text cannot.
        let shorter = size - 3;
        let kept: Vec<String> = lines(&house)
            .await
            .into_iter()
            .take(shorter as usize)
            .collect();
        write(&house, &kept).await;
        let width = 64 * shorter;
        house
            .database
            .run(&format!(
                "UPDATE log_tile SET hashes = substr(hashes, 1, {width}) WHERE level = 0"
            ))
            .await;
        house
            .database
            .run(&format!("UPDATE log_head SET size = {shorter}"))
            .await;
        (house.database.clone(), house.clock.clone(), seen)
    });
    life(async {
        let house = House::open(database, clock, 2, |_| {}).await;
        house.advance(Duration::from_secs(11)).await;
        house.add_person("dora@example.com").await;
        // What happened is durable, but nothing is sealed onto a log that does not hold together.
        let before = house
            .database
            .texts("SELECT checkpoint FROM log_head")
            .await;
        for _ in 0..20 {
            house.authority.sealing.bell.notify_one();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(
            house
                .database
                .texts("SELECT checkpoint FROM log_head")
                .await,
            before
        );
        assert!(
            house.get("/v1/log").await["pending"]
                .as_u64()
                .expect("a number")
                > 0
        );
        assert!(
            logged().contains("do not lead to its signed checkpoint"),
            "an alarm"
        );
        let copy = download(&house).await;
        copy.verify(&[seen], &mut |_, _| Ok(()))
            .expect_err("a finding");
        // A stop takes hold all the same; that it is not yet proven is said, not that it did not happen.
        let answer = house.suspend("draft-bot").await;
        answer.refused(503, "unproven");
        assert_eq!(
            house.get("/v1/agents/draft-bot").await["status"],
            "suspended"
        );
    });
}

#[test]
fn aud_02_database_of_yesterday_is_found_by_whoever_kept_a_checkpoint() {
    let (database, clock, early) = life(async {
        let house = House::found().await;
        house.register("refund-bot").await;
        house.sealed().await;
        let early = download(&house).await.checkpoint();
        house.database.run("CREATE TABLE kept_head AS SELECT * FROM log_head; CREATE TABLE kept_tile AS SELECT * FROM log_tile; CREATE TABLE kept_bundle AS SELECT * FROM log_bundle").await;
        (house.database.clone(), house.clock.clone(), early)
    });
    let late = life(async {
        let house = House::open(database.clone(), clock.clone(), 2, |_| {}).await;
        house.advance(Duration::from_secs(11)).await;
        house.register("other-bot").await;
        house.sealed().await;
        let copy = download(&house).await;
        // The log only grew: it extends what was seen before.
        copy.verify(&[early], &mut |_, _| Ok(()))
            .expect("an extension");
        copy.checkpoint()
    });
    life(async {
        let house = House::open(database, clock, 3, |_| {}).await;
        house.database.run("DELETE FROM log_head; INSERT INTO log_head SELECT * FROM kept_head; DELETE FROM log_tile; INSERT INTO log_tile SELECT * FROM kept_tile; DELETE FROM log_bundle; INSERT INTO log_bundle SELECT * FROM kept_bundle").await;
        let copy = download(&house).await;
        copy.verify(&[], &mut |_, _| Ok(()))
            .expect("by itself it is genuine");
        let finding = copy
            .verify(&[late], &mut |_, _| Ok(()))
            .expect_err("a finding");
        assert!(finding.why.contains("backwards"), "{finding}");
    });
}

/// A backup of the database, and later one of the file of entries: what changed between the two is not in the database.
#[test]
fn stor_03_change_that_a_backup_lacks_is_passed_over_and_told() {
    let (database, clock, early) = life(async {
        let house = House::found().await;
        house.register("refund-bot").await;
        house.sealed().await;
        let Some(folder) = house.database.folder() else {
            return (house.database.clone(), house.clock.clone(), None);
        };
        let early = download(&house).await.checkpoint();
        house
            .database
            .run(&format!("VACUUM INTO '{}/kept'", folder.display()))
            .await;
        // Between two changes an event that is no change: it happened, and stays.
        house.add_person("dora@example.com").await;
        house
            .send(ask("GET", "/v1/agents").bearer("chl_nobody"))
            .await;
        house.add_person("emil@example.com").await;
        house.sealed().await;
        (house.database.clone(), house.clock.clone(), Some(early))
    });
    let (Some(folder), Some(early)) = (database.folder(), early) else {
        return;
    };
    for suffix in ["-wal", "-shm"] {
        let _none = std::fs::remove_file(folder.join(format!("chancery.db{suffix}")));
    }
    std::fs::rename(folder.join("kept"), folder.join("chancery.db")).expect("restored");
    for seed in [2, 3] {
        life(async {
            let house = House::open(database.clone(), clock.clone(), seed, |_| {}).await;
            house.advance(Duration::from_secs(11)).await;
            house.add_person(&format!("fritz{seed}@example.com")).await;
            house.sealed().await;
            let lost = house.events_of("record.damaged").await;
            let told: Vec<&Value> = lost.iter().map(|event| &event["outcome"]).collect();
            assert_eq!(told, ["lost", "lost"], "dora and emil");
            let refused = house.events_of("request.refused").await;
            assert_eq!(refused.len(), 1);
            let people = house.get("/v1/owners").await.to_string();
            assert!(!people.contains("dora@") && !people.contains("emil@"));
            let copy = download(&house).await;
            let verified = copy.verify(std::slice::from_ref(&early), &mut |_, _| Ok(()));
            verified.expect("a genuine log that goes on from what was seen");
        });
    }
}

/// Waits for the patrol's alarm.
async fn alarm(house: &House) -> String {
    for _ in 0..200 {
        if let Some(alarm) = house.get("/v1/log").await["alarm"].as_str() {
            return alarm.to_owned();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no alarm");
}

#[tokio::test]
async fn aud_01_running_authority_tells_that_its_log_was_altered() {
    let house = House::found().await;
    fill_first_bundle(&house).await;
    let mut lines = lines(&house).await;
    assert_eq!(house.get("/v1/log").await["alarm"], Value::Null);
    lines[1] = lines[1].replacen("\"at\":1", "\"at\":2", 1);
    write(&house, &lines).await;
    assert_eq!(
        alarm(&house).await,
        "entry 1 is not the one that was signed"
    );
    let told = house.events_of("record.altered").await;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["facts"]["index"], "1");
}

/// On SQLite, whoever alters the file in which the entries lie is told on as well.
#[tokio::test]
async fn aud_01_running_authority_tells_that_its_file_was_altered() {
    let house = House::found().await;
    fill_first_bundle(&house).await;
    let Some(file) = house.database.file() else {
        return;
    };
    let lines = lines(&house).await;
    let mut bytes = std::fs::read(&file).expect("a file");
    let third = bytes
        .windows(lines[3].len())
        .position(|piece| piece == lines[3].as_bytes());
    bytes[third.expect("its place") + 40] ^= 1;
    std::fs::write(&file, bytes).expect("written");
    assert_eq!(
        alarm(&house).await,
        "entry 3 is not the one that was signed"
    );
    assert_eq!(finding(&house).await.index, Some(3));
}

#[tokio::test]
async fn aud_01_entry_damaged_before_it_is_sealed_is_sealed_as_damaged() {
    let house = House::found().await;
    house.sealed().await;
    house
        .database
        .run("INSERT INTO outbox (id, recorded_at, entries) VALUES ('evt_x', 1, 'no event')")
        .await;
    let damaged = house.events_of("record.damaged").await;
    assert_eq!(damaged.len(), 1);
    assert_eq!(damaged[0]["facts"]["beginning"], "no event");
    // Its twin: what comes after it is sealed as ever, and the log verifies.
    house.sealed().await;
    let copy = download(&house).await;
    copy.verify(&[], &mut |_, _| Ok(())).expect("a genuine log");
}
