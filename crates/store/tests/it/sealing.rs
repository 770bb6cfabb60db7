//! The log's rows: the lease, the compare-and-swap of a sealing, and what is read back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chancery_model::time::Timestamp;
use chancery_store::connect::Store;
use chancery_store::error::StoreError;
use chancery_store::journal::Journal;
use chancery_store::log::{self, Bundle, BundleRow, Head, Sealing, Search, TileRow};
use chancery_store::outbox::{self, Place};

use crate::make::{self, NOW};
use crate::place::everywhere;

const LEASE: Duration = Duration::from_secs(10);

async fn lease(store: &Store, holder: &str, now: Timestamp) -> Option<Head> {
    log::lease(store, holder, now, LEASE)
        .await
        .expect("a lease")
}

fn tile(hashes: &str) -> TileRow {
    TileRow {
        level: 0,
        number: 0,
        hashes: hashes.to_owned(),
        mids: String::new(),
    }
}

fn bundle(number: i64, kinds: &str, at: Timestamp) -> BundleRow {
    BundleRow {
        number,
        entries: format!("{{\"bundle\":{number}}}\n{{}}"),
        kinds: kinds.to_owned(),
        first_at: at,
        last_at: at,
        spans: Vec::new(),
    }
}

/// The bundle whose row holds all of it.
fn whole(row: BundleRow) -> Bundle {
    let entries = row.entries.clone();
    Bundle { row, entries }
}

fn sealing(from: &Head, size: i64) -> Sealing {
    Sealing {
        from: from.clone(),
        size,
        checkpoint: format!("checkpoint of {size}"),
        tiles: vec![tile(&"a".repeat(size as usize))],
        bundles: vec![bundle(0, ",owner.added,", NOW)],
        agents: BTreeMap::new(),
        batches: Vec::new(),
    }
}

#[tokio::test]
async fn lease_is_held_by_one_until_it_ends() {
    everywhere(async |place| {
        let store = place.open().await;
        let first = lease(&store, "one", NOW).await.expect("the lease");
        assert_eq!((first.size, first.checkpoint.as_str()), (0, ""));
        assert_eq!(lease(&store, "two", NOW).await, None);
        assert_eq!(
            lease(&store, "two", NOW.after(LEASE)).await,
            None,
            "it lasts to its end"
        );
        let renewed = lease(&store, "one", NOW).await.expect("a renewal");
        assert!(renewed.revision > first.revision);
        let late = NOW.after(LEASE + Duration::from_micros(1));
        let taken = lease(&store, "two", late).await.expect("the lease");
        assert_eq!(taken.holder, "two");
        // A lease of a clock that was far ahead does not stop the log until that time has come.
        let ahead = late.after(Duration::from_secs(3_600));
        lease(&store, "three", ahead).await.expect("the lease");
        let taken = lease(&store, "two", late).await.expect("the lease");
        assert_eq!(taken.holder, "two");
        // Who lost the lease cannot seal, however well it remembers the head.
        let refused = log::seal(&store, &sealing(&renewed, 1)).await;
        assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
        log::seal(&store, &sealing(&taken, 1))
            .await
            .expect("a sealing");
    })
    .await;
}

#[tokio::test]
async fn sealing_from_a_stale_head_is_refused_and_changes_nothing() {
    everywhere(async |place| {
        let store = place.open().await;
        let from = lease(&store, "one", NOW).await.expect("the lease");
        let head = log::seal(&store, &sealing(&from, 2))
            .await
            .expect("a sealing");
        let refused = log::seal(&store, &sealing(&from, 3)).await;
        assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
        let mut tx = store.read().await.expect("a transaction");
        assert_eq!(
            log::fetch_head(&mut tx).await.expect("a row"),
            Some(head.clone())
        );
        assert_eq!(
            log::fetch_tile(&mut tx, 0, 0).await.expect("a row"),
            Some(tile("aa"))
        );
        drop(tx);
        log::seal(&store, &sealing(&head, 3))
            .await
            .expect("a sealing");
    })
    .await;
}

#[tokio::test]
async fn aud_10_batch_is_sealed_once() {
    everywhere(async |place| {
        let store = place.open().await;
        let journal = Journal::start(store.clone());
        journal.append(make::event()).await.expect("durable");
        let batches = outbox::oldest(&store, usize::MAX).await.expect("batches");
        let from = lease(&store, "one", NOW).await.expect("the lease");
        let batches: Vec<Place> = batches.into_iter().map(|batch| batch.place).collect();
        let first = Sealing {
            batches: batches.clone(),
            ..sealing(&from, 1)
        };
        let head = log::seal(&store, &first).await.expect("a sealing");
        assert_eq!(outbox::count(&store).await.expect("a number"), 0);
        // The same batch again would be the same entries twice: all of that sealing is refused.
        let second = Sealing {
            batches,
            ..sealing(&head, 2)
        };
        let refused = log::seal(&store, &second).await;
        assert!(matches!(refused, Err(StoreError::Conflict)), "{refused:?}");
        let mut tx = store.read().await.expect("a transaction");
        assert_eq!(log::fetch_head(&mut tx).await.expect("a row"), Some(head));
    })
    .await;
}

#[tokio::test]
async fn tiles_and_bundles_are_read_back_as_they_were_written() {
    everywhere(async |place| {
        let store = place.open().await;
        let from = lease(&store, "one", NOW).await.expect("the lease");
        let mut first = sealing(&from, 2);
        let deep = TileRow {
            level: 3,
            number: 1 << 40,
            hashes: "00ff".to_owned(),
            mids: "ee".to_owned(),
        };
        first.tiles.push(deep.clone());
        let odd = BundleRow {
            entries: "{\"a\":\"ü\\u0000 ' $1 %\"}".to_owned(),
            ..bundle(7, ",a,b,", NOW)
        };
        first.bundles.push(odd.clone());
        let head = log::seal(&store, &first).await.expect("a sealing");
        let mut second = sealing(&head, 3);
        let fuller = BundleRow {
            entries: "x".to_owned(),
            ..bundle(0, ",z,", NOW.after(LEASE))
        };
        second.bundles = vec![fuller.clone()];
        log::seal(&store, &second).await.expect("a sealing");
        let mut tx = store.read().await.expect("a transaction");
        let read = log::fetch_tile(&mut tx, 3, 1 << 40).await.expect("a row");
        assert_eq!(read, Some(deep));
        assert_eq!(
            log::fetch_tile(&mut tx, 0, 0).await.expect("a row"),
            Some(tile("aaa"))
        );
        assert_eq!(log::fetch_tile(&mut tx, 1, 0).await.expect("a row"), None);
        assert_eq!(
            log::fetch_bundle(&mut tx, 7).await.expect("a row"),
            Some(whole(odd))
        );
        assert_eq!(
            log::fetch_bundle(&mut tx, 0).await.expect("a row"),
            Some(whole(fuller))
        );
    })
    .await;
}

#[tokio::test]
async fn bundle_is_found_by_the_time_of_any_event_in_it() {
    everywhere(async |place| {
        let store = place.open().await;
        let from = lease(&store, "one", NOW).await.expect("the lease");
        let micros = |after| NOW.after(Duration::from_micros(after));
        // The whole bundle lies within one millisecond: an id tells its time no better than that.
        let mut all = sealing(&from, 1);
        all.bundles = vec![
            BundleRow {
                last_at: micros(300),
                ..bundle(0, ",a,", micros(200))
            },
            bundle(1, ",a,", micros(5_000)),
        ];
        log::seal(&store, &all).await.expect("a sealing");
        let mut tx = store.read().await.expect("a transaction");
        let numbers = |found: Vec<Bundle>| {
            found
                .iter()
                .map(|bundle| bundle.row.number)
                .collect::<Vec<_>>()
        };
        let found = log::list_bundles_between(&mut tx, NOW, micros(999))
            .await
            .expect("rows");
        assert_eq!(numbers(found), [0]);
        let found = log::list_bundles_between(&mut tx, micros(5_000), micros(5_999)).await;
        assert_eq!(numbers(found.expect("rows")), [1]);
        let found = log::list_bundles_between(&mut tx, micros(1_000), micros(4_999)).await;
        assert_eq!(numbers(found.expect("rows")), [0_i64; 0]);
    })
    .await;
}

#[tokio::test]
async fn search_finds_bundles_by_kind_and_agent_in_both_directions() {
    everywhere(async |place| {
        let store = place.open().await;
        let from = lease(&store, "one", NOW).await.expect("the lease");
        let mut all = sealing(&from, 1);
        all.bundles = (0..4)
            .map(|number| {
                bundle(
                    number,
                    if number % 2 == 0 {
                        ",call.denied,a,"
                    } else {
                        ",a,"
                    },
                    NOW,
                )
            })
            .collect();
        all.agents = BTreeMap::from([("agt_x".to_owned(), BTreeSet::from([1, 2]))]);
        log::seal(&store, &all).await.expect("a sealing");
        let mut tx = store.read().await.expect("a transaction");
        let of = |kind: &str, agent: &str| Search {
            kind: (!kind.is_empty()).then(|| kind.to_owned()),
            agent: (!agent.is_empty()).then(|| agent.to_owned()),
        };
        for (search, expected) in [
            (of("", ""), vec![0, 1, 2, 3]),
            (of("call.denied", ""), vec![0, 2]),
            (of("", "agt_x"), vec![1, 2]),
            (of("call.denied", "agt_x"), vec![2]),
            (of("denied", ""), vec![]),
            (of("", "agt_y"), vec![]),
        ] {
            let up = log::list_ascending(&mut tx, &search, 0, 10)
                .await
                .expect("numbers");
            let mut down = log::list_descending(&mut tx, &search, i64::MAX, 10)
                .await
                .expect("numbers");
            down.reverse();
            assert_eq!((&up, &down), (&expected, &expected), "{search:?}");
        }
        let some = log::list_ascending(&mut tx, &of("", ""), 1, 2)
            .await
            .expect("numbers");
        assert_eq!(some, [1, 2]);
        let some = log::list_descending(&mut tx, &of("", ""), 2, 2)
            .await
            .expect("numbers");
        assert_eq!(some, [2, 1]);
    })
    .await;
}
