//! Group commit, and one use that means one use.

use std::collections::HashSet;
use std::time::Duration;

use chancery_model::event::Event;
use chancery_store::journal::{AppendError, Journal};
use chancery_store::{one_time, outbox};

use crate::make::{self, NOW, once};
use crate::place::{Place, everywhere, postgres};

/// The flushes that wait to be sealed, as a process sees them that starts now.
async fn flushes(place: &Place) -> Vec<String> {
    let batches = outbox::oldest(&place.open().await, usize::MAX).await;
    let batches = batches.expect("batches").into_iter();
    batches.map(|batch| batch.entries().to_owned()).collect()
}

/// The ids of the events in them.
async fn recorded(place: &Place) -> Vec<String> {
    let flushes = flushes(place).await;
    let lines = flushes.iter().flat_map(|flush| flush.lines());
    lines
        .map(|line| {
            serde_json::from_str::<Event>(line)
                .expect("an event")
                .id
                .to_string()
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn thousand_concurrent_appends_are_all_durable_and_share_their_flushes() {
    everywhere(async |place| {
        let journal = Journal::start(place.open().await);
        let appending: Vec<_> = (0..1_000)
            .map(|_| {
                let journal = journal.clone();
                let event = make::event();
                let id = event.id.to_string();
                (id, tokio::spawn(async move { journal.append(event).await }))
            })
            .collect();
        let mut acknowledged = HashSet::new();
        for (id, append) in appending {
            append.await.expect("a task").expect("durable");
            acknowledged.insert(id);
        }
        let found = recorded(place).await;
        assert_eq!(found.len(), 1_000, "each once");
        assert_eq!(found.into_iter().collect::<HashSet<_>>(), acknowledged);
        let flushes = flushes(place).await.len();
        assert!(flushes < 500, "{flushes} flushes for 1,000 events");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn race_05_of_fifty_uses_of_one_thing_exactly_one_wins() {
    everywhere(async |place| {
        let store = place.open().await;
        // Two processes, each with a journal of its own.
        let journals = [
            Journal::start(store.clone()),
            Journal::start(place.open().await),
        ];
        for round in 0..200 {
            let racing: Vec<_> = (0..50)
                .map(|racer| {
                    let journal = journals[racer % 2].clone();
                    let event = make::event();
                    let id = event.id.to_string();
                    let use_it = async move { journal.append_once(event, vec![once(round)]).await };
                    (id, tokio::spawn(use_it))
                })
                .collect();
            let mut winners = Vec::new();
            for (id, racer) in racing {
                match racer.await.expect("a task") {
                    Ok(()) => winners.push(id),
                    Err(error) => assert_eq!(error, AppendError::Replayed),
                }
            }
            assert_eq!(winners.len(), 1);
            let recorded = recorded(place).await;
            assert_eq!(
                recorded.len(),
                usize::from(round) + 1,
                "who lost is not recorded"
            );
            assert!(recorded.contains(&winners[0]));
        }
    })
    .await;
}

#[tokio::test]
async fn use_within_one_batch_is_used_once() {
    everywhere(async |place| {
        let journal = Journal::start(place.open().await);
        // On one thread all of these are queued before the writer runs: they are one batch.
        let racing: Vec<_> = (0..50)
            .map(|_| {
                let journal = journal.clone();
                tokio::spawn(async move { journal.append_once(make::event(), vec![once(1)]).await })
            })
            .collect();
        let mut won = 0;
        for racer in racing {
            won += usize::from(racer.await.expect("a task").is_ok());
        }
        assert_eq!(won, 1);
        assert_eq!(flushes(place).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn use_is_remembered_across_a_restart_until_its_end() {
    everywhere(async |place| {
        let store = place.open().await;
        let journal = Journal::start(store.clone());
        assert_eq!(
            journal.append_once(make::event(), vec![once(1)]).await,
            Ok(())
        );
        drop(journal);
        let store_again = place.open().await;
        let journal = Journal::start(store_again.clone());
        let again = journal.append_once(make::event(), vec![once(1)]).await;
        assert_eq!(again, Err(AppendError::Replayed));
        // Its legitimate twin passes.
        assert_eq!(
            journal.append_once(make::event(), vec![once(2)]).await,
            Ok(())
        );
        let end = once(1).expires_at;
        // Only PostgreSQL has rows of uses to sweep.
        let rows = match place {
            Place::Postgres { .. } => 2,
            Place::Sqlite(_) => 0,
        };
        let over = end.after(one_time::GRACE);
        for (now, expected) in [
            (NOW, 0),
            (over, 0),
            (over.after(Duration::from_micros(1)), rows),
        ] {
            let swept = one_time::sweep(&store_again, now).await;
            assert_eq!(swept.expect("a sweep"), expected);
        }
    })
    .await;
}

#[tokio::test]
async fn event_is_recorded_only_when_all_that_it_uses_is_fresh() {
    everywhere(async |place| {
        let journal = Journal::start(place.open().await);
        assert_eq!(
            journal.append_once(make::event(), vec![once(1)]).await,
            Ok(())
        );
        let half = journal
            .append_once(make::event(), vec![once(2), once(1)])
            .await;
        assert_eq!(half, Err(AppendError::Replayed));
        assert_eq!(recorded(place).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn aud_05_append_to_a_database_that_cannot_write_fails_and_recovers() {
    everywhere(async |place| {
        let journal = Journal::start(place.open().await);
        journal.append(make::event()).await.expect("durable");
        place.lose_record().await;
        let refused = journal.append_once(make::event(), vec![once(1)]).await;
        assert_eq!(refused, Err(AppendError::Unavailable));
        place.restore_record().await;
        // What was refused used nothing up.
        assert_eq!(
            journal.append_once(make::event(), vec![once(1)]).await,
            Ok(())
        );
    })
    .await;
}

#[tokio::test]
async fn dpop_03_use_that_ended_on_the_way_is_not_fresh_again() {
    everywhere(async |place| {
        let journal = Journal::start(place.open().await);
        let mut late = make::event();
        late.at = once(1).expires_at;
        let refused = journal.append_once(late, vec![once(1)]).await;
        assert_eq!(refused, Err(AppendError::Replayed));
        // Its legitimate twin is recorded a moment before the end.
        let mut timely = make::event();
        timely.at = once(1).expires_at.before(Duration::from_micros(1));
        assert_eq!(journal.append_once(timely, vec![once(1)]).await, Ok(()));
    })
    .await;
}

#[tokio::test]
async fn without_the_row_of_turns_nothing_is_fresh() {
    let Some(place) = postgres().await else {
        return;
    };
    let journal = Journal::start(place.open().await);
    assert_eq!(
        journal.append_once(make::event(), vec![once(1)]).await,
        Ok(())
    );
    place.run("DELETE FROM one_time_turn").await;
    let refused = journal.append_once(make::event(), vec![once(2)]).await;
    assert_eq!(refused, Err(AppendError::Unavailable));
}

#[tokio::test]
async fn rows_of_a_copy_from_before_are_all_read_again() {
    let Some(place) = postgres().await else {
        return;
    };
    let journal = Journal::start(place.open().await);
    for number in [1, 2, 3] {
        let used = journal.append_once(make::event(), vec![once(number)]).await;
        assert_eq!(used, Ok(()));
    }
    // The database is one of yesterday, and another process has used something under a number that we know.
    let other = "04".repeat(16);
    for sql in [
        "DELETE FROM one_time_batch WHERE number >= 2".to_owned(),
        "UPDATE one_time_turn SET number = 3".to_owned(),
        format!("INSERT INTO one_time_batch VALUES (2, 9000000000000000, '{other}')"),
        format!("INSERT INTO one_time_batch VALUES (3, 9000000000000000, '{other}')"),
    ] {
        place.run(&sql).await;
    }
    for number in [2, 3, 4] {
        let again = journal.append_once(make::event(), vec![once(number)]).await;
        assert_eq!(again, Err(AppendError::Replayed), "{number}");
    }
    assert_eq!(
        journal.append_once(make::event(), vec![once(5)]).await,
        Ok(())
    );
}

#[tokio::test]
async fn what_was_used_before_there_was_a_file_stays_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::Sqlite(folder);
    drop(place.open().await);
    let hash = once(4).hash.to_string();
    let short = hash.trim_start_matches("sha256:").get(..32).expect("half");
    let row = format!("INSERT INTO one_time_batch VALUES (1, 9000000000000000, '{short}')");
    place.run(&row).await;
    let journal = Journal::start(place.open().await);
    let again = journal.append_once(make::event(), vec![once(4)]).await;
    assert_eq!(again, Err(AppendError::Replayed));
    let fresh = journal.append_once(make::event(), vec![once(5)]).await;
    assert_eq!(fresh, Ok(()));
}
