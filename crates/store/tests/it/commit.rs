//! The write door: a change and its events together, or neither.

use std::sync::Arc;
use std::time::Duration;

use chancery_store::connect::Store;
use chancery_store::error::StoreError;
use chancery_store::outbox::{self, Place};
use chancery_store::{agents, meta, owners};

use crate::make::{self, NOW};
use crate::place::{everywhere, postgres};

#[tokio::test]
async fn change_without_commit_leaves_no_trace() {
    everywhere(async |place| {
        let store = place.open().await;
        let owner = make::person("alice@example.com");
        let mut tx = store.begin().await.expect("a transaction");
        owners::insert(&mut tx, &owner).await.expect("an owner");
        drop(tx);
        assert_eq!(place.number("SELECT count(*) FROM owner").await, 0);
        assert_eq!(place.number("SELECT count(*) FROM outbox").await, 0);
        // The writer is free for the next one, who may use the same handle.
        let mut tx = store.begin().await.expect("a transaction");
        owners::insert(&mut tx, &owner).await.expect("an owner");
        tx.commit(make::event(), Vec::new())
            .await
            .expect("a commit");
        assert_eq!(place.number("SELECT count(*) FROM owner").await, 1);
    })
    .await;
}

#[tokio::test]
async fn commit_writes_the_change_and_its_events_together() {
    everywhere(async |place| {
        let store = place.open().await;
        let (first, second) = (make::event(), make::event());
        let id = first.id;
        let mut tx = store.begin().await.expect("a transaction");
        let before = tx.change_number().await.expect("a number");
        let owner = make::person("alice@example.com");
        owners::insert(&mut tx, &owner).await.expect("an owner");
        let lines = format!(
            "{}\n{}",
            first.to_canonical_json(),
            second.to_canonical_json()
        );
        tx.commit(first, vec![second]).await.expect("a commit");
        let mut tx = store.read().await.expect("a transaction");
        assert_eq!(tx.change_number().await.expect("a number"), before + 1);
        drop(tx);
        let waiting = outbox::oldest(&store, usize::MAX).await.expect("batches");
        assert_eq!(waiting.len(), 1);
        assert_eq!(waiting[0].entries(), lines);
        let row = match &waiting[0].place {
            Place::Row { id } => Some(id),
            Place::File { row, .. } => row.as_ref(),
        };
        assert_eq!(row, Some(&id.to_string()));
        // Whoever looks again finds the same.
        let again = outbox::oldest(&store, usize::MAX).await.expect("batches");
        assert_eq!(again, waiting);
    })
    .await;
}

#[tokio::test]
async fn commit_whose_event_cannot_be_written_changes_nothing() {
    everywhere(async |place| {
        let store = place.open().await;
        drop(store.read().await.expect("a transaction"));
        place.run("ALTER TABLE outbox RENAME TO gone").await;
        let mut tx = store.begin().await.expect("a transaction");
        let owner = make::person("alice@example.com");
        owners::insert(&mut tx, &owner).await.expect("an owner");
        let refused = tx.commit(make::event(), Vec::new()).await;
        assert!(
            matches!(refused, Err(StoreError::Unavailable { .. })),
            "{refused:?}"
        );
        assert_eq!(place.number("SELECT count(*) FROM owner").await, 0);
        assert_eq!(place.number("SELECT number FROM change").await, 0);
    })
    .await;
}

#[tokio::test]
async fn idr_07_update_from_an_older_revision_loses() {
    everywhere(async |place| {
        let store = place.open().await;
        let (_, agent) = make::inhabited(&store).await;
        let mut tx = store.begin().await.expect("a transaction");
        assert!(
            agents::update(&mut tx, &agent, None)
                .await
                .expect("an update")
        );
        tx.commit(make::event(), Vec::new())
            .await
            .expect("a commit");
        let mut tx = store.begin().await.expect("a transaction");
        assert!(
            !agents::update(&mut tx, &agent, None)
                .await
                .expect("an update")
        );
        // Whoever read it again may change it.
        let read = agents::fetch(&mut tx, agent.id)
            .await
            .expect("a row")
            .expect("an agent");
        assert_eq!(read.agent.revision, 2);
        assert!(
            agents::update(&mut tx, &read.agent, None)
                .await
                .expect("an update")
        );
    })
    .await;
}

#[tokio::test]
async fn race_04_stops_at_the_same_moment_are_two_stops() {
    everywhere(async |place| {
        let store = place.open().await;
        let (_, mut agent) = make::inhabited(&store).await;
        let mut moments = Vec::new();
        // The clock stands still, and then goes back; a change that is no stop leaves the moment as it is.
        for stop in [
            Some(NOW),
            Some(NOW),
            Some(NOW.before(Duration::from_secs(1))),
            None,
        ] {
            let mut tx = store.begin().await.expect("a transaction");
            let updated = agents::update(&mut tx, &agent, stop).await;
            assert!(updated.expect("an update"));
            tx.commit(make::event(), Vec::new())
                .await
                .expect("a commit");
            let mut tx = store.read().await.expect("a transaction");
            let read = agents::fetch(&mut tx, agent.id).await.expect("a row");
            let read = read.expect("an agent");
            moments.push(read.stopped_at.expect("a stop").as_micros());
            agent = read.agent;
        }
        let first = NOW.as_micros();
        assert_eq!(moments, [first, first + 1, first + 2, first + 2]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn idr_07_of_many_updates_from_one_revision_exactly_one_wins() {
    everywhere(async |place| {
        let store = place.open().await;
        let (_, agent) = make::inhabited(&store).await;
        let agent = Arc::new(agent);
        for _round in 0..5 {
            let mut tx = store.read().await.expect("a transaction");
            let read = agents::fetch(&mut tx, agent.id)
                .await
                .expect("a row")
                .expect("an agent");
            drop(tx);
            let racing: Vec<_> = (0..8)
                .map(|_| {
                    let (store, agent) = (store.clone(), read.agent.clone());
                    tokio::spawn(async move { update(&store, &agent).await })
                })
                .collect();
            let mut won = 0;
            for racer in racing {
                won += usize::from(racer.await.expect("a task"));
            }
            assert_eq!(won, 1);
        }
    })
    .await;
}

async fn update(store: &Store, agent: &chancery_model::agent::Agent) -> bool {
    let attempt = async {
        let mut tx = store.begin().await?;
        if !agents::update(&mut tx, agent, None).await? {
            return Ok(false);
        }
        tx.commit(make::event(), Vec::new()).await.map(|_| true)
    };
    match attempt.await {
        Ok(won) => won,
        Err(StoreError::Conflict) => false,
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn reader_sees_one_moment_and_holds_up_no_writer() {
    everywhere(async |place| {
        let store = place.open().await;
        let mut reading = store.read().await.expect("a transaction");
        assert_eq!(
            meta::fetch(&mut reading, "colour").await.expect("a row"),
            None
        );
        let mut tx = store.begin().await.expect("a transaction");
        meta::set(&mut tx, "colour", "green").await.expect("a row");
        tx.commit(make::event(), Vec::new())
            .await
            .expect("a commit");
        assert_eq!(
            meta::fetch(&mut reading, "colour").await.expect("a row"),
            None
        );
        drop(reading);
        let mut reading = store.read().await.expect("a transaction");
        let colour = meta::fetch(&mut reading, "colour").await.expect("a row");
        assert_eq!(colour.as_deref(), Some("green"));
    })
    .await;
}

#[tokio::test]
async fn writer_that_waits_too_long_for_its_turn_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = crate::place::Place::Sqlite(folder);
    let store = place.open().await;
    let _writing = store.begin().await.expect("a transaction");
    let refused = store.begin().await.err().expect("a refusal");
    assert!(
        matches!(refused, StoreError::Unavailable { .. }),
        "{refused:?}"
    );
    assert!(!refused.is_retryable());
}

/// SQLite has one writer, so two transactions that conflict exist on PostgreSQL alone.
#[tokio::test]
async fn one_of_two_serialisable_transactions_that_conflict_is_told_to_run_again() {
    let Some(place) = postgres().await else {
        return;
    };
    let store = place.open().await;
    let (alice, bob) = (
        make::person("alice@example.com"),
        make::person("bob@example.com"),
    );
    let mut one = store.begin().await.expect("a transaction");
    let mut two = store.begin().await.expect("a transaction");
    // Each looks for what the other is about to add.
    assert_eq!(
        owners::fetch_by_handle(&mut one, &bob.handle)
            .await
            .expect("a row"),
        None
    );
    assert_eq!(
        owners::fetch_by_handle(&mut two, &alice.handle)
            .await
            .expect("a row"),
        None
    );
    owners::insert(&mut one, &alice).await.expect("an owner");
    owners::insert(&mut two, &bob).await.expect("an owner");
    one.commit(make::event(), Vec::new())
        .await
        .expect("a commit");
    let error = two
        .commit(make::event(), Vec::new())
        .await
        .expect_err("a conflict");
    assert!(matches!(error, StoreError::Conflict), "{error:?}");
    assert!(error.is_retryable());
    // The connection is whole again, and the second one succeeds when it runs again.
    let mut two = store.begin().await.expect("a transaction");
    assert_eq!(
        owners::fetch_by_handle(&mut two, &alice.handle)
            .await
            .expect("a row"),
        Some(alice)
    );
    owners::insert(&mut two, &bob).await.expect("an owner");
    two.commit(make::event(), Vec::new())
        .await
        .expect("a commit");
    assert_eq!(place.number("SELECT count(*) FROM outbox").await, 2);
}

/// A reader that were told to run again would run a change again that was committed already.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn reader_is_never_told_to_run_again() {
    everywhere(async |place| {
        let store = place.open().await;
        let writing: Vec<_> = (0..4)
            .map(|writer| {
                let store = store.clone();
                tokio::spawn(async move {
                    for round in 0..25 {
                        let Ok(mut tx) = store.begin().await else {
                            continue;
                        };
                        let other = format!("key-{}", (writer + 1) % 4);
                        // What one writer reads the next one writes.
                        if meta::fetch(&mut tx, &other).await.is_err() {
                            continue;
                        }
                        let key = format!("key-{writer}");
                        if meta::set(&mut tx, &key, &round.to_string()).await.is_ok() {
                            let _won = tx.commit(make::event(), Vec::new()).await;
                        }
                    }
                })
            })
            .collect();
        let reading: Vec<_> = (0..3)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    for _round in 0..50 {
                        let mut tx = store.read().await.expect("a transaction");
                        for writer in 0..4 {
                            let key = format!("key-{writer}");
                            meta::fetch(&mut tx, &key).await.expect("a row");
                        }
                        tx.change_number().await.expect("a number");
                        drop(tx);
                        outbox::count(&store).await.expect("a number");
                    }
                })
            })
            .collect();
        for task in writing.into_iter().chain(reading) {
            task.await.expect("a task");
        }
    })
    .await;
}

/// What a reader could write would be written without its event.
#[tokio::test]
async fn transaction_that_only_reads_cannot_write() {
    everywhere(async |place| {
        let store = place.open().await;
        let mut tx = store.read().await.expect("a transaction");
        assert!(meta::set(&mut tx, "colour", "green").await.is_err());
        drop(tx);
        let mut tx = store.begin().await.expect("a transaction");
        meta::set(&mut tx, "colour", "green").await.expect("a row");
    })
    .await;
}

#[tokio::test]
async fn text_that_one_database_could_not_keep_is_refused_by_both() {
    everywhere(async |place| {
        let store = place.open().await;
        let mut tx = store.begin().await.expect("a transaction");
        for (key, value) in [("colour", "gr\0een"), ("col\0our", "green")] {
            let refused = meta::set(&mut tx, key, value).await;
            assert!(
                matches!(refused, Err(StoreError::Unstorable)),
                "{refused:?}"
            );
        }
        let refused = meta::fetch(&mut tx, "\0").await;
        assert!(
            matches!(refused, Err(StoreError::Unstorable)),
            "{refused:?}"
        );
        // The transaction is whole.
        meta::set(&mut tx, "colour", "green").await.expect("a row");
        tx.commit(make::event(), Vec::new())
            .await
            .expect("a commit");
    })
    .await;
}
