//! The file of entries: what a crash may leave of it, and what several processes write to it.

use chancery_store::connect::Store;
use chancery_store::error::StoreError;
use chancery_store::journal::{AppendError, Journal};
use chancery_store::log::{self, BundleRow, Sealing, Span};
use chancery_store::outbox::{self, Batch, Place as Waits};
use chancery_store::owners;

use crate::make::{self, NOW, once};
use crate::place::Place;

fn place() -> Place {
    Place::Sqlite(tempfile::tempdir().expect("a folder"))
}

async fn waiting(store: &Store) -> Vec<Batch> {
    outbox::oldest(store, usize::MAX).await.expect("batches")
}

fn lines(batches: &[Batch]) -> Vec<&str> {
    batches
        .iter()
        .flat_map(|batch| batch.entries().lines())
        .collect()
}

fn ends(batch: &Batch) -> u64 {
    match &batch.place {
        Waits::File { ends, .. } => *ends,
        Waits::Row { .. } => panic!("in a row"),
    }
}

fn starts(batch: &Batch) -> u64 {
    match &batch.place {
        Waits::File { starts, .. } => *starts,
        Waits::Row { .. } => panic!("in a row"),
    }
}

/// Seals `batches` as the entries of one bundle.
async fn seal(store: &Store, batches: &[Batch]) -> Result<log::Head, StoreError> {
    let lease = log::lease(store, "one", NOW, std::time::Duration::from_secs(10)).await;
    let from = lease.expect("a lease").expect("the lease");
    let (first, last) = (batches.first().expect("one"), batches.last().expect("one"));
    let sealing = Sealing {
        size: from.size + lines(batches).len() as i64,
        from,
        checkpoint: "checkpoint".to_owned(),
        tiles: Vec::new(),
        bundles: vec![BundleRow {
            number: 0,
            entries: String::new(),
            kinds: ",a,".to_owned(),
            first_at: NOW,
            last_at: NOW,
            spans: vec![Span {
                starts: starts(first),
                ends: ends(last) - 1,
            }],
        }],
        agents: Default::default(),
        batches: batches.iter().map(|batch| batch.place.clone()).collect(),
    };
    log::seal(store, &sealing).await
}

async fn append(journal: &Journal, number: u8) -> String {
    let event = make::event();
    let line = event.to_canonical_json();
    let appended = journal.append_once(event, vec![once(number)]).await;
    assert_eq!(appended, Ok(()));
    line
}

#[tokio::test]
async fn stor_03_flush_that_a_crash_cut_off_is_not_there_and_what_follows_is_whole() {
    let place = place();
    let store = place.open().await;
    let journal = Journal::start(store.clone());
    let first = append(&journal, 1).await;
    let kept = ends(&waiting(&store).await[0]);
    append(&journal, 2).await;
    let whole = std::fs::read(place.entries()).expect("a file");
    let end = ends(&waiting(&store).await[1]);
    for cut in (kept..end).step_by(7) {
        // What is missing of the last flush was never written, or reads as nothing.
        let mut torn = whole.clone();
        torn[cut as usize..end as usize].fill(0);
        for torn in [&torn[..], &torn[..cut as usize]] {
            std::fs::write(place.entries(), torn).expect("a file");
            let store = place.open().await;
            assert_eq!(lines(&waiting(&store).await), [first.as_str()], "{cut}");
            // It was not acknowledged, so what it wanted to use is fresh.
            let journal = Journal::start(store.clone());
            let second = append(&journal, 2).await;
            let all = waiting(&store).await;
            assert_eq!(lines(&all), [first.as_str(), second.as_str()], "{cut}");
            let again = journal.append_once(make::event(), vec![once(1)]).await;
            assert_eq!(again, Err(AppendError::Replayed));
        }
    }
}

#[tokio::test]
async fn stor_03_what_was_left_behind_the_end_never_comes_back() {
    let place = place();
    let store = place.open().await;
    let journal = Journal::start(store.clone());
    append(&journal, 1).await;
    let first = ends(&waiting(&store).await[0]);
    append(&journal, 2).await;
    append(&journal, 3).await;
    let second = ends(&waiting(&store).await[1]);
    // Of two flushes the second reached the disk and the first did not; the next one is as long as the one that is lost.
    let mut torn = std::fs::read(place.entries()).expect("a file");
    torn[first as usize..second as usize].fill(0);
    std::fs::write(place.entries(), torn).expect("a file");
    let store = place.open().await;
    let journal = Journal::start(store.clone());
    append(&journal, 2).await;
    let all = waiting(&store).await;
    assert_eq!(ends(&all[1]), second, "the place of the lost one");
    assert_eq!(all.len(), 2, "the third is not there");
    assert_eq!(lines(&waiting(&place.open().await).await).len(), 2);
}

#[tokio::test]
async fn processes_write_one_after_the_other_and_see_it_all() {
    let place = place();
    let stores = [place.open().await, place.open().await];
    let journals = stores.clone().map(Journal::start);
    let mut expected = Vec::new();
    for round in 0..20 {
        expected.push(append(&journals[round % 2], round as u8).await);
    }
    for store in &stores {
        assert_eq!(lines(&waiting(store).await), expected);
    }
}

#[tokio::test]
async fn rows_are_brought_once_whoever_brings_them() {
    let place = place();
    let stores = [place.open().await, place.open().await];
    for (number, store) in stores.iter().enumerate() {
        let mut tx = store.begin().await.expect("a transaction");
        let owner = make::person(&format!("p{number}@example.com"));
        owners::insert(&mut tx, &owner).await.expect("an owner");
        tx.commit(make::event(), vec![make::event()])
            .await
            .expect("a commit");
    }
    // Both look at the same rows at once, and so does one that starts after a kill.
    let (one, two) = tokio::join!(waiting(&stores[0]), waiting(&stores[1]));
    let later = waiting(&place.open().await).await;
    assert_eq!(lines(&later).len(), 4);
    assert_eq!((&one, &two), (&later, &later));
    assert_eq!(place.number("SELECT count(*) FROM outbox").await, 2);
    seal(&stores[0], &one).await.expect("a sealing");
    assert_eq!(place.number("SELECT count(*) FROM outbox").await, 0);
    assert_eq!(outbox::count(&stores[0]).await.expect("a number"), 0);
    // Who was slower seals nothing twice, and finds nothing more.
    let refused = seal(&stores[1], &two).await;
    assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
    assert_eq!(waiting(&stores[1]).await, []);
}

/// A crash may take a change from the database, and leave its events in the file.
#[tokio::test]
async fn stor_03_events_of_a_change_that_the_database_lost_are_passed_over() {
    let place = place();
    let store = place.open().await;
    let first = append(&Journal::start(store.clone()), 1).await;
    for handle in ["alice@example.com", "bob@example.com"] {
        let mut tx = store.begin().await.expect("a transaction");
        owners::insert(&mut tx, &make::person(handle))
            .await
            .expect("an owner");
        tx.commit(make::event(), Vec::new())
            .await
            .expect("a commit");
    }
    let brought = waiting(&store).await;
    assert_eq!(lines(&brought).len(), 3);
    drop(store);
    place
        .run("DELETE FROM owner WHERE handle = 'bob@example.com'")
        .await;
    place
        .run("DELETE FROM outbox WHERE id = (SELECT max(id) FROM outbox)")
        .await;
    let store = place.open().await;
    let last = append(&Journal::start(store.clone()), 2).await;
    let left = waiting(&store).await;
    let kept = brought[1].entries();
    assert_eq!(lines(&left), [first.as_str(), kept, last.as_str()]);
    seal(&store, &left).await.expect("sealed");
    assert_eq!(waiting(&store).await, []);
}

#[tokio::test]
async fn bundle_is_read_from_the_file_without_its_marks() {
    let place = place();
    let store = place.open().await;
    let journal = Journal::start(store.clone());
    let expected = [append(&journal, 1).await, append(&journal, 2).await];
    assert_eq!(outbox::count(&store).await.expect("a number"), 2);
    seal(&store, &waiting(&store).await).await.expect("sealed");
    let mut tx = store.read().await.expect("a transaction");
    let row = log::fetch_bundle(&mut tx, 0).await.expect("a row");
    assert_eq!(row.expect("a bundle").entries, expected.join("\n"));
    // It is found once more by who starts later, and what comes then is behind it.
    drop(tx);
    let store = place.open().await;
    assert_eq!(waiting(&store).await, []);
    let third = append(&Journal::start(store.clone()), 3).await;
    assert_eq!(lines(&waiting(&store).await), [third.as_str()]);
}

#[tokio::test]
async fn stor_03_file_that_lost_what_is_sealed_is_refused() {
    let place = place();
    let store = place.open().await;
    let journal = Journal::start(store.clone());
    append(&journal, 1).await;
    append(&journal, 2).await;
    let batches = waiting(&store).await;
    seal(&store, &batches).await.expect("sealed");
    let whole = std::fs::read(place.entries()).expect("a file");
    let end = ends(&batches[1]);
    for length in [0, 1, ends(&batches[0]), end - 1] {
        place.cut_entries(length);
        let refused = Store::open(&place.url()).await.err();
        assert!(
            matches!(refused, Some(StoreError::Unavailable { .. })),
            "{length}: {refused:?}"
        );
        // Who writes to it already does not go on either.
        let refused = journal.append(make::event()).await;
        assert_eq!(refused, Err(AppendError::Unavailable));
        std::fs::write(place.entries(), &whole).expect("a file");
    }
    // The file ends with what is sealed: its twin, of which nothing is lost.
    place.cut_entries(end);
    append(&Journal::start(place.open().await), 3).await;
}

/// Damage in what waits looks like the end of the file to whoever starts: it is kept beside it, with all that follows.
#[tokio::test]
async fn stor_03_what_is_not_whole_is_kept_before_anything_is_written_over_it() {
    let place = place();
    let store = place.open().await;
    let journal = Journal::start(store.clone());
    append(&journal, 1).await;
    let kept = ends(&waiting(&store).await[0]);
    append(&journal, 2).await;
    append(&journal, 3).await;
    let mut damaged = std::fs::read(place.entries()).expect("a file");
    let end = ends(&waiting(&store).await[2]) as usize;
    damaged[kept as usize + 200] ^= 1;
    std::fs::write(place.entries(), &damaged).expect("a file");
    let store = place.open().await;
    append(&Journal::start(store.clone()), 4).await;
    assert_eq!(lines(&waiting(&store).await).len(), 2);
    let mut side = place.entries().into_os_string();
    side.push(format!("-torn-{kept}"));
    let side = std::fs::read(side).expect("what was not whole");
    assert_eq!(side, damaged[kept as usize..end]);
}

#[tokio::test]
async fn stor_03_database_that_is_new_beside_entries_that_are_not_is_refused() {
    let place = place();
    append(&Journal::start(place.open().await), 1).await;
    for suffix in ["", "-wal", "-shm"] {
        let file = place
            .entries()
            .with_file_name(format!("chancery.db{suffix}"));
        let _none = std::fs::remove_file(file);
    }
    let refused = Store::open(&place.url()).await.err();
    assert!(
        matches!(refused, Some(StoreError::Unavailable { .. })),
        "{refused:?}"
    );
    // Without them it is a new one.
    std::fs::remove_file(place.entries()).expect("removed");
    append(&Journal::start(place.open().await), 1).await;
}

#[tokio::test]
async fn file_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = place();
    drop(place.open().await);
    let mode = std::fs::metadata(place.entries()).expect("a file");
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
}
