//! Throw-away databases, and a door into them beside the store.
#![allow(
    clippy::disallowed_methods,
    reason = "a test is told by the environment where PostgreSQL is"
)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use chancery_store::connect::{DatabaseUrl, Store};
use tempfile::TempDir;
use tokio_postgres::NoTls;

/// An empty database.
pub(crate) enum Place {
    Sqlite(TempDir),
    Postgres { url: String, schema: String },
}

/// Runs a fact on every database there is.
pub(crate) async fn everywhere(fact: impl AsyncFn(&Place)) {
    let folder = tempfile::tempdir().expect("a folder");
    fact(&Place::Sqlite(folder)).await;
    if let Some(place) = postgres().await {
        fact(&place).await;
        place.discard().await;
    }
}

/// A fresh schema, when there is a PostgreSQL.
pub(crate) async fn postgres() -> Option<Place> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let url = std::env::var("CHANCERY_TEST_POSTGRES").ok()?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let schema = format!("store_{}_{number}", std::process::id());
    run_at(&url, &format!("CREATE SCHEMA {schema}")).await;
    Some(Place::Postgres { url, schema })
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("PostgreSQL");
    tokio::spawn(connection);
    client
}

async fn run_at(url: &str, sql: &str) {
    connect(url).await.batch_execute(sql).await.expect(sql);
}

impl Place {
    pub(crate) fn url(&self) -> DatabaseUrl {
        match self {
            Self::Sqlite(folder) => DatabaseUrl::Sqlite(folder.path().join("chancery.db")),
            Self::Postgres { .. } => DatabaseUrl::Postgres(self.postgres_url()),
        }
    }

    pub(crate) async fn open(&self) -> Store {
        Store::open(&self.url()).await.expect("a store")
    }

    /// Runs `sql` past the store, as someone with the database in hand would.
    pub(crate) async fn run(&self, sql: &str) {
        match self {
            Self::Sqlite(_) => self.sqlite().execute_batch(sql).expect(sql),
            Self::Postgres { .. } => run_at(&self.postgres_url(), sql).await,
        }
    }

    /// Whether the database lets `sql` happen.
    pub(crate) async fn permits(&self, sql: &str) -> bool {
        match self {
            Self::Sqlite(_) => self.sqlite().execute_batch(sql).is_ok(),
            Self::Postgres { .. } => {
                let client = connect(&self.postgres_url()).await;
                client.batch_execute(sql).await.is_ok()
            }
        }
    }

    /// The one number that `sql` asks for.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        match self {
            Self::Sqlite(_) => self
                .sqlite()
                .query_row(sql, [], |row| row.get(0))
                .expect(sql),
            Self::Postgres { .. } => {
                let client = connect(&self.postgres_url()).await;
                client.query_one(sql, &[]).await.expect(sql).get(0)
            }
        }
    }

    /// Takes away what events are recorded in, under the feet of whoever records.
    pub(crate) async fn lose_record(&self) {
        match self {
            Self::Sqlite(_) => {
                std::fs::copy(self.entries(), self.kept()).expect("a copy");
                self.cut_entries(0);
            }
            Self::Postgres { .. } => self.run("ALTER TABLE outbox RENAME TO gone").await,
        }
    }

    /// Puts it back.
    pub(crate) async fn restore_record(&self) {
        match self {
            Self::Sqlite(_) => {
                std::fs::copy(self.kept(), self.entries()).expect("a copy");
            }
            Self::Postgres { .. } => self.run("ALTER TABLE gone RENAME TO outbox").await,
        }
    }

    /// The file of entries, on SQLite.
    pub(crate) fn entries(&self) -> PathBuf {
        self.file("chancery.db-entries")
    }

    fn kept(&self) -> PathBuf {
        self.file("kept")
    }

    fn file(&self, name: &str) -> PathBuf {
        let Self::Sqlite(folder) = self else {
            panic!("not SQLite")
        };
        folder.path().join(name)
    }

    /// Cuts the file of entries off.
    pub(crate) fn cut_entries(&self, length: u64) {
        let file = std::fs::OpenOptions::new().write(true).open(self.entries());
        file.expect("a file").set_len(length).expect("cut off");
    }

    fn sqlite(&self) -> rusqlite::Connection {
        let Self::Sqlite(folder) = self else {
            panic!("not SQLite")
        };
        let path = folder.path().join("chancery.db");
        let connection = rusqlite::Connection::open(path).expect("SQLite");
        // Whoever tampers does not ask for foreign keys to be kept.
        connection
            .execute_batch("PRAGMA foreign_keys = OFF")
            .expect("a setting");
        connection
    }

    fn postgres_url(&self) -> String {
        let Self::Postgres { url, schema } = self else {
            panic!("not PostgreSQL")
        };
        let joint = if url.contains('?') { '&' } else { '?' };
        format!("{url}{joint}options=-csearch_path%3D{schema}")
    }

    async fn discard(&self) {
        if let Self::Postgres { url, schema } = self {
            run_at(url, &format!("DROP SCHEMA {schema} CASCADE")).await;
        }
    }
}
