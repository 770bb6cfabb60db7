//! Where the two databases differ: opening them, and how a transaction begins and ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod};
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_postgres::error::SqlState;

use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, Value};

/// How long a transaction may wait for its turn before it is refused.
const PATIENCE: Duration = Duration::from_secs(2);

/// An open database with the present schema.
#[derive(Clone)]
pub struct Store {
    database: Database,
}

#[derive(Clone)]
enum Database {
    Sqlite {
        writer: Arc<Mutex<rusqlite::Connection>>,
        reader: Arc<Mutex<rusqlite::Connection>>,
        follower: Arc<Mutex<rusqlite::Connection>>,
    },
    Postgres(Pool),
}

/// One connection inside a transaction.
pub(crate) enum Session {
    Sqlite(OwnedMutexGuard<rusqlite::Connection>),
    Postgres(Box<deadpool_postgres::Object>),
}

/// Which database to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file.
    Sqlite(PathBuf),
    /// A server that speaks the PostgreSQL protocol.
    Postgres(String),
}

impl DatabaseUrl {
    /// Parses `sqlite:PATH` or `postgres://…`.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            return Ok(Self::Sqlite(path.trim_start_matches("//").into()));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        Err(StoreError::UnknownUrl)
    }
}

/// What schema a database has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaState {
    /// None yet.
    Empty,
    /// The one that this program writes.
    Present,
    /// An older or a newer one.
    Other {
        /// What the database has.
        found: i64,
        /// What this program writes.
        known: i64,
    },
}

impl Store {
    /// Opens the database and brings its schema up to date.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let store = Self::connect(url)?;
        crate::migrate::run(&store).await?;
        Ok(store)
    }

    /// Opens the database to look at it, and changes nothing.
    pub async fn open_as_it_is(url: &DatabaseUrl) -> Result<(Self, SchemaState), StoreError> {
        let store = Self::connect(url)?;
        let state = crate::migrate::state(&store).await?;
        Ok((store, state))
    }

    fn connect(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let database = match url {
            DatabaseUrl::Sqlite(path) => {
                let shared = |connection| Arc::new(Mutex::new(connection));
                Database::Sqlite {
                    writer: shared(open_sqlite(path)?),
                    reader: shared(open_sqlite_for_reading(path)?),
                    follower: shared(open_sqlite_for_reading(path)?),
                }
            }
            DatabaseUrl::Postgres(url) => Database::Postgres(open_postgres(url)?),
        };
        Ok(Self { database })
    }

    /// Begins a transaction that may write.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        match &self.database {
            Database::Sqlite { writer, .. } => begin_sqlite(writer, "BEGIN IMMEDIATE").await,
            Database::Postgres(pool) => {
                begin_postgres(pool, "BEGIN ISOLATION LEVEL SERIALIZABLE").await
            }
        }
    }

    /// Begins a transaction of one that takes its turn by a row: it waits for those before it, and then sees
    /// what they committed, where [`Store::begin`] would end in a conflict.
    pub(crate) async fn begin_in_turn(&self) -> Result<Tx, StoreError> {
        match &self.database {
            Database::Sqlite { .. } => self.begin().await,
            Database::Postgres(pool) => {
                begin_postgres(pool, "BEGIN ISOLATION LEVEL READ COMMITTED").await
            }
        }
    }

    /// Begins a transaction that only reads, and that nobody who searches can hold up: for those who follow
    /// what was committed, so that a stop is seen at once.
    pub async fn follow(&self) -> Result<Tx, StoreError> {
        match &self.database {
            Database::Sqlite { follower, .. } => begin_sqlite(follower, "BEGIN DEFERRED").await,
            Database::Postgres(_) => self.read().await,
        }
    }

    /// Begins a transaction that only reads; it sees one moment and holds up no writer.
    ///
    /// It never ends in a conflict: what is read after a commit must not make the whole unit run again.
    pub async fn read(&self) -> Result<Tx, StoreError> {
        match &self.database {
            Database::Sqlite { reader, .. } => begin_sqlite(reader, "BEGIN DEFERRED").await,
            Database::Postgres(pool) => {
                begin_postgres(pool, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await
            }
        }
    }
}

fn open_sqlite(path: &std::path::Path) -> Result<rusqlite::Connection, StoreError> {
    let connection = rusqlite::Connection::open(path).map_err(sqlite_error("opening SQLite"))?;
    let settings = "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;
         PRAGMA busy_timeout = 2000; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;
         PRAGMA cache_size = -4096;";
    connection
        .execute_batch(settings)
        .map_err(sqlite_error("setting up SQLite"))?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

fn open_sqlite_for_reading(path: &std::path::Path) -> Result<rusqlite::Connection, StoreError> {
    let connection = open_sqlite(path)?;
    connection
        .execute_batch("PRAGMA query_only = ON")
        .map_err(sqlite_error("setting up SQLite"))?;
    Ok(connection)
}

fn open_postgres(url: &str) -> Result<Pool, StoreError> {
    let config: tokio_postgres::Config = url.parse().map_err(|_| StoreError::UnknownUrl)?;
    let manager = Manager::from_config(
        config,
        tokio_postgres::NoTls,
        ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        },
    );
    Pool::builder(manager)
        .max_size(8)
        .runtime(deadpool_postgres::Runtime::Tokio1)
        .wait_timeout(Some(PATIENCE))
        .create_timeout(Some(PATIENCE))
        .build()
        .map_err(|error| StoreError::unavailable("opening PostgreSQL")(error.into()))
}

async fn begin_sqlite(
    connection: &Arc<Mutex<rusqlite::Connection>>,
    begin: &'static str,
) -> Result<Tx, StoreError> {
    let waiting = tokio::time::timeout(PATIENCE, Arc::clone(connection).lock_owned());
    let guard = waiting
        .await
        .map_err(|late| StoreError::unavailable("waiting for the writer")(late.into()))?;
    guard
        .execute_batch(begin)
        .map_err(sqlite_error("beginning a transaction"))?;
    Ok(Tx::new(Session::Sqlite(guard)))
}

async fn begin_postgres(pool: &Pool, begin: &'static str) -> Result<Tx, StoreError> {
    let object = pool
        .get()
        .await
        .map_err(|error| StoreError::unavailable("connecting to PostgreSQL")(error.into()))?;
    object
        .batch_execute(begin)
        .await
        .map_err(postgres_error("beginning a transaction"))?;
    Ok(Tx::new(Session::Postgres(Box::new(object))))
}

impl Session {
    pub(crate) async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, StoreError> {
        const DOING: &str = "writing";
        check(params)?;
        match self {
            Self::Sqlite(connection) => {
                let mut statement = connection
                    .prepare_cached(sql)
                    .map_err(sqlite_error(DOING))?;
                let changed = statement
                    .execute(rusqlite::params_from_iter(params))
                    .map_err(sqlite_error(DOING))?;
                Ok(changed as u64)
            }
            Self::Postgres(object) => {
                let statement = object
                    .prepare_cached(sql)
                    .await
                    .map_err(postgres_error(DOING))?;
                object
                    .execute_raw(&statement, params)
                    .await
                    .map_err(postgres_error(DOING))
            }
        }
    }

    pub(crate) async fn query(
        &mut self,
        table: &'static str,
        sql: &str,
        params: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        check(params)?;
        match self {
            Self::Sqlite(connection) => query_sqlite(connection, table, sql, params),
            Self::Postgres(object) => query_postgres(object, table, sql, params).await,
        }
    }

    pub(crate) async fn has_table(&mut self, table: &'static str) -> Result<bool, StoreError> {
        let sql = match self {
            Self::Sqlite(_) => "SELECT count(*) AS found FROM sqlite_master WHERE name = $1",
            Self::Postgres(_) => {
                "SELECT count(*) AS found FROM information_schema.tables \
                 WHERE table_name = $1 AND table_schema = current_schema()"
            }
        };
        let rows = self
            .query("information_schema", sql, &[Value::from(table)])
            .await?;
        rows.first()
            .map_or(Ok(false), |row| Ok(row.int("found")? > 0))
    }

    pub(crate) async fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        const DOING: &str = "changing the schema";
        match self {
            Self::Sqlite(connection) => connection.execute_batch(sql).map_err(sqlite_error(DOING)),
            Self::Postgres(object) => object
                .batch_execute(sql)
                .await
                .map_err(postgres_error(DOING)),
        }
    }

    /// Ends the transaction durably: the answer comes after the flush.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        const DOING: &str = "committing";
        match self {
            Self::Sqlite(connection) => {
                // The flush takes milliseconds, so it leaves the thread that serves requests.
                let committed = tokio::task::spawn_blocking(move || {
                    let committed = connection.execute_batch("COMMIT");
                    if committed.is_err() && !connection.is_autocommit() {
                        let _rolled_back = connection.execute_batch("ROLLBACK");
                    }
                    committed
                })
                .await;
                committed
                    .map_err(|error| StoreError::unavailable(DOING)(error.into()))?
                    .map_err(sqlite_error(DOING))
            }
            Self::Postgres(object) => object
                .batch_execute("COMMIT")
                .await
                .map_err(postgres_error(DOING)),
        }
    }

    /// Ends the transaction without effect.
    pub(crate) fn roll_back(self) {
        match self {
            Self::Sqlite(connection) => {
                if !connection.is_autocommit() {
                    let _rolled_back = connection.execute_batch("ROLLBACK");
                }
            }
            Self::Postgres(object) => {
                // A connection that cannot roll back is broken, and the pool drops it when it is next used.
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(async move {
                        if object.batch_execute("ROLLBACK").await.is_err() {
                            drop(deadpool_postgres::Object::take(*object));
                        }
                    });
                } else {
                    drop(deadpool_postgres::Object::take(*object));
                }
            }
        }
    }
}

/// Refuses what only one of the databases could keep.
fn check(params: &[Value]) -> Result<(), StoreError> {
    let holds_nul = |value: &Value| matches!(value, Value::Text(text) if text.contains('\0'));
    if params.iter().any(holds_nul) {
        return Err(StoreError::Unstorable);
    }
    Ok(())
}

fn query_sqlite(
    connection: &rusqlite::Connection,
    table: &'static str,
    sql: &str,
    params: &[Value],
) -> Result<Vec<Row>, StoreError> {
    const DOING: &str = "reading";
    let mut statement = connection
        .prepare_cached(sql)
        .map_err(sqlite_error(DOING))?;
    let names: Arc<[String]> = statement.column_names().map(str::to_owned).collect();
    let mut found = Vec::new();
    let mut rows = statement
        .query(rusqlite::params_from_iter(params))
        .map_err(sqlite_error(DOING))?;
    while let Some(row) = rows.next().map_err(sqlite_error(DOING))? {
        let mut values = Vec::with_capacity(names.len());
        for place in 0..names.len() {
            use rusqlite::types::ValueRef;
            values.push(match row.get_ref(place).map_err(sqlite_error(DOING))? {
                ValueRef::Integer(int) => Value::Int(int),
                ValueRef::Text(text) => Value::Text(String::from_utf8_lossy(text).into_owned()),
                ValueRef::Null | ValueRef::Real(_) | ValueRef::Blob(_) => Value::Null,
            });
        }
        found.push(Row {
            table,
            names: Arc::clone(&names),
            values,
        });
    }
    Ok(found)
}

async fn query_postgres(
    object: &deadpool_postgres::Object,
    table: &'static str,
    sql: &str,
    params: &[Value],
) -> Result<Vec<Row>, StoreError> {
    const DOING: &str = "reading";
    let statement = object
        .prepare_cached(sql)
        .await
        .map_err(postgres_error(DOING))?;
    let names: Arc<[String]> = statement
        .columns()
        .iter()
        .map(|column| column.name().to_owned())
        .collect();
    let parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
        params.iter().map(|value| value as _).collect();
    let rows = object
        .query(&statement, &parameters)
        .await
        .map_err(postgres_error(DOING))?;
    rows.iter()
        .map(|row| {
            let values = statement
                .columns()
                .iter()
                .enumerate()
                .map(|(place, column)| {
                    let value = if *column.type_() == tokio_postgres::types::Type::INT8 {
                        row.try_get::<_, Option<i64>>(place).map(Value::from)
                    } else {
                        row.try_get::<_, Option<String>>(place).map(Value::from)
                    };
                    value.map_err(postgres_error(DOING))
                });
            Ok(Row {
                table,
                names: Arc::clone(&names),
                values: values.collect::<Result<_, _>>()?,
            })
        })
        .collect()
}

fn sqlite_error(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> StoreError {
    move |error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::ConstraintViolation) => StoreError::Constraint,
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
            StoreError::Conflict
        }
        _ => StoreError::Unavailable {
            doing,
            source: error.into(),
        },
    }
}

fn postgres_error(doing: &'static str) -> impl FnOnce(tokio_postgres::Error) -> StoreError {
    move |error| match error.code() {
        Some(code)
            if *code == SqlState::T_R_SERIALIZATION_FAILURE
                || *code == SqlState::T_R_DEADLOCK_DETECTED =>
        {
            StoreError::Conflict
        }
        // Class 23: integrity constraint violation. A table that came to be meanwhile exists just so.
        Some(code)
            if code.code().starts_with("23")
                || *code == SqlState::DUPLICATE_TABLE
                || *code == SqlState::DUPLICATE_OBJECT =>
        {
            StoreError::Constraint
        }
        _ => StoreError::Unavailable {
            doing,
            source: error.into(),
        },
    }
}
