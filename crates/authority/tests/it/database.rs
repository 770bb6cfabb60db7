//! A throw-away database, and a door into it beside the store.
#![allow(
    clippy::disallowed_methods,
    reason = "a test is told by the environment where PostgreSQL is"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chancery_store::connect::{DatabaseUrl, Store};
use chancery_store::log;
use tempfile::TempDir;
use tokio_postgres::NoTls;

/// An empty database, gone with the last one who holds it.
#[derive(Clone)]
pub(crate) enum Database {
    Sqlite(Arc<TempDir>),
    Postgres(String),
}

impl Database {
    pub(crate) async fn fresh() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let Ok(url) = std::env::var("CHANCERY_TEST_POSTGRES") else {
            return Self::Sqlite(Arc::new(tempfile::tempdir().expect("a folder")));
        };
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let schema = format!("authority_{}_{number}", std::process::id());
        run_at(&url, &format!("CREATE SCHEMA {schema}")).await;
        let joint = if url.contains('?') { '&' } else { '?' };
        Self::Postgres(format!("{url}{joint}options=-csearch_path%3D{schema}"))
    }

    pub(crate) async fn open(&self) -> Store {
        let url = match self {
            Self::Sqlite(folder) => DatabaseUrl::Sqlite(folder.path().join("chancery.db")),
            Self::Postgres(url) => DatabaseUrl::Postgres(url.clone()),
        };
        Store::open(&url).await.expect("a store")
    }

    /// Runs `sql` past the authority, as someone with the database in hand would.
    pub(crate) async fn run(&self, sql: &str) {
        match self {
            Self::Sqlite(folder) => sqlite(folder).execute_batch(sql).expect(sql),
            Self::Postgres(url) => run_at(url, sql).await,
        }
    }

    /// The texts of the one column that `sql` asks for.
    pub(crate) async fn texts(&self, sql: &str) -> Vec<String> {
        match self {
            Self::Sqlite(folder) => {
                let connection = sqlite(folder);
                let mut statement = connection.prepare(sql).expect(sql);
                let rows = statement.query_map([], |row| row.get(0)).expect(sql);
                rows.collect::<Result<_, _>>().expect("texts")
            }
            Self::Postgres(url) => {
                let rows = connect(url).await.query(sql, &[]).await.expect(sql);
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }
}

impl Database {
    /// The entries of every bundle, one a line.
    pub(crate) async fn bundles(&self) -> Vec<String> {
        let store = self.open().await;
        let mut tx = store.read().await.expect("a transaction");
        let mut bundles = Vec::new();
        while let Some(bundle) = log::fetch_bundle(&mut tx, bundles.len() as i64)
            .await
            .expect("readable")
        {
            bundles.push(bundle.entries);
        }
        bundles
    }

    /// Puts other entries in the place of a sealed bundle.
    pub(crate) async fn alter_bundle(&self, number: u64, entries: &str) {
        let entries = entries.replace('\'', "''");
        self.run(&format!(
            "UPDATE log_bundle SET entries = '{entries}' WHERE number = {number}; \
             DELETE FROM log_span WHERE number = {number}"
        ))
        .await;
    }

    /// Takes away what events are recorded in, under the feet of whoever records.
    pub(crate) async fn lose_record(&self) {
        self.run("ALTER TABLE outbox RENAME TO gone").await;
        if let Self::Sqlite(folder) = self {
            let [entries, kept] = [ENTRIES, "kept"].map(|name| folder.path().join(name));
            std::fs::copy(&entries, kept).expect("a copy");
            std::fs::write(entries, "").expect("cut off");
        }
    }

    /// Puts it back.
    pub(crate) async fn restore_record(&self) {
        self.run("ALTER TABLE gone RENAME TO outbox").await;
        if let Self::Sqlite(folder) = self {
            let [entries, kept] = [ENTRIES, "kept"].map(|name| folder.path().join(name));
            std::fs::copy(kept, entries).expect("a copy");
        }
    }

    /// Where the files of SQLite lie.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        match self {
            Self::Sqlite(folder) => Some(folder.path().to_owned()),
            Self::Postgres(_) => None,
        }
    }

    /// The file of entries; on PostgreSQL there is none.
    pub(crate) fn file(&self) -> Option<PathBuf> {
        self.folder().map(|folder| folder.join(ENTRIES))
    }
}

const ENTRIES: &str = "chancery.db-entries";

fn sqlite(folder: &TempDir) -> rusqlite::Connection {
    let connection = rusqlite::Connection::open(folder.path().join("chancery.db"));
    let connection = connection.expect("SQLite");
    // Whoever tampers does not ask for foreign keys to be kept, and waits for a writer to end.
    let settings = "PRAGMA foreign_keys = OFF; PRAGMA busy_timeout = 5000";
    connection.execute_batch(settings).expect("settings");
    connection
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let connected = tokio_postgres::connect(url, NoTls).await;
    let (client, connection) = connected.expect("PostgreSQL");
    tokio::spawn(connection);
    client
}

async fn run_at(url: &str, sql: &str) {
    connect(url).await.batch_execute(sql).await.expect(sql);
}
