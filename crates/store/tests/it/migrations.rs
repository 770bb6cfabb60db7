//! Bringing the schema up to date.

use chancery_store::connect::{DatabaseUrl, Store};
use chancery_store::error::StoreError;

use crate::make;
use crate::place::{Place, everywhere, postgres};

#[tokio::test]
async fn migrations_may_run_again() {
    everywhere(async |place| {
        let (owner, _) = make::inhabited(&place.open().await).await;
        let again = place.open().await;
        let mut tx = again.read().await.expect("a transaction");
        let found = chancery_store::owners::fetch(&mut tx, owner.id).await;
        assert_eq!(found.expect("a row"), Some(owner));
        assert_eq!(place.number("SELECT count(*) FROM migration").await, 12);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn stor_09_processes_that_start_together_migrate_once() {
    for _round in 0..5 {
        let folder = tempfile::tempdir().expect("a folder");
        started_together(&Place::Sqlite(folder)).await;
        if let Some(place) = postgres().await {
            started_together(&place).await;
        }
    }
}

async fn started_together(place: &Place) {
    let opening: Vec<_> = (0..6)
        .map(|_| {
            let url = place.url();
            tokio::spawn(async move { Store::open(&url).await.map(drop) })
        })
        .collect();
    for opened in opening {
        opened.await.expect("a task").expect("a store");
    }
    assert_eq!(place.number("SELECT count(*) FROM migration").await, 12);
    make::inhabited(&place.open().await).await;
}

#[tokio::test]
async fn stor_09_migration_killed_at_any_statement_is_finished_by_the_next_start() {
    const TEXTS: [&str; 12] = [
        include_str!("../../migrations/0001_first_house.sql"),
        include_str!("../../migrations/0002_uses_in_batches.sql"),
        include_str!("../../migrations/0003_login_makers.sql"),
        include_str!("../../migrations/0004_people.sql"),
        include_str!("../../migrations/0005_delegation.sql"),
        include_str!("../../migrations/0006_clients.sql"),
        include_str!("../../migrations/0007_entries_in_a_file.sql"),
        include_str!("../../migrations/0008_authentication.sql"),
        include_str!("../../migrations/0009_providers.sql"),
        include_str!("../../migrations/0010_devices.sql"),
        include_str!("../../migrations/0011_client_authentication.sql"),
        include_str!("../../migrations/0012_workloads.sql"),
    ];
    let statements: Vec<&str> = TEXTS
        .iter()
        .flat_map(|text| text.split_inclusive(';'))
        .collect();
    for done in (0..statements.len()).step_by(4) {
        let done = statements[..done].concat();
        let folder = tempfile::tempdir().expect("a folder");
        finished(&Place::Sqlite(folder), &done).await;
        if let Some(place) = postgres().await {
            finished(&place, &done).await;
        }
    }
}

async fn finished(place: &Place, done: &str) {
    place.run(done).await;
    make::inhabited(&place.open().await).await;
}

#[tokio::test]
async fn stor_09_schema_of_a_newer_program_is_refused() {
    everywhere(async |place| {
        drop(place.open().await);
        place
            .run("INSERT INTO migration (number) VALUES (999)")
            .await;
        match Store::open(&place.url()).await {
            Err(StoreError::NewerSchema { found: 999, known }) => assert_eq!(known, 12),
            Err(other) => panic!("{other:?}"),
            Ok(_) => panic!("opened"),
        }
    })
    .await;
}

#[test]
fn url_of_another_database_is_refused() {
    for bad in ["", "mysql://h/d", "chancery.db", "sqlite", "Postgres://h"] {
        assert!(
            matches!(DatabaseUrl::parse(bad), Err(StoreError::UnknownUrl)),
            "{bad}"
        );
    }
    assert!(DatabaseUrl::parse("sqlite:a.db").is_ok());
    assert!(DatabaseUrl::parse("postgresql://h/d").is_ok());
}
