//! A throw-away database, and a door into it beside the store.
#![allow(
    clippy::disallowed_methods,
    reason = "a test is told by the environment where PostgreSQL is"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use chancery_store::connect::{DatabaseUrl, Store};
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
