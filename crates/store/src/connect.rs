//! Where the two databases differ: opening them, and how a transaction begins and ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use rusqlite::config::DbConfig;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_postgres::error::SqlState;

use crate::entries::{self, Entries};
use crate::error::StoreError;
use crate::tx::Tx;
use crate::value::{Row, Value};

/// How long a transaction may wait for its turn before it is refused.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a start tries again while others start.
const ATTEMPTS: u64 = 20;
/// How long PostgreSQL may take for one statement before it counts as gone (STOR-07, STOR-08).
const STATEMENT: Duration = Duration::from_secs(5);

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
        flushes: Flushes,
        /// Where entries lie, once the schema is the present one.
        entries: Option<Arc<Entries>>,
    },
    Postgres {
        pool: Pool,
        readers: Pool,
    },
}

/// One connection inside a transaction.
pub(crate) enum Session {
    Sqlite(OwnedMutexGuard<rusqlite::Connection>, Flushes),
    Postgres(Box<Object>),
}

/// Whether a flush of the file has failed since it was opened.
///
/// A page that could not be written counts as clean afterwards, so a later flush would succeed and say nothing
/// of what was lost: nothing is written any more until the process starts anew (STOR-04).
#[derive(Clone, Default)]
pub(crate) struct Flushes(Arc<AtomicBool>);

impl Flushes {
    /// Refuses once one has failed.
    pub(crate) fn require_whole(&self) -> Result<(), StoreError> {
        if self.0.load(Ordering::SeqCst) {
            let gone = "a flush failed, and what it lost is not known; start the program again";
            return Err(StoreError::unavailable("writing")(gone.into()));
        }
        Ok(())
    }

    /// One has failed.
    pub(crate) fn fail(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    /// Looks at what became of a commit.
    fn watch(&self, committed: &Result<(), rusqlite::Error>) {
        use rusqlite::ffi::{SQLITE_IOERR_DIR_FSYNC, SQLITE_IOERR_FSYNC};
        let error = committed
            .as_ref()
            .err()
            .and_then(|error| error.sqlite_error());
        let code = error.map(|error| error.extended_code);
        if matches!(code, Some(SQLITE_IOERR_FSYNC | SQLITE_IOERR_DIR_FSYNC)) {
            self.fail();
        }
    }
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
        let mut attempt = 1;
        loop {
            match Self::open_once(url).await {
                // Another authority opens it at this moment. Only one may make SQLite's write-ahead log; and a
                // table may come to be between the look for it and its making, which PostgreSQL reports as a
                // broken constraint.
                Err(StoreError::Conflict | StoreError::Constraint) if attempt < ATTEMPTS => {
                    tokio::time::sleep(Duration::from_millis(50 * attempt)).await;
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    async fn open_once(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let left = matches!(url, DatabaseUrl::Sqlite(path) if entries::are_left(path));
        let mut store = Self::connect(url)?;
        // Only in this order: whoever else makes the database at this moment has made its schema before it writes entries.
        if left && crate::migrate::state(&store).await? == SchemaState::Empty {
            let lost = "it is empty, but its entries are not; restore it from its backup";
            return Err(StoreError::unavailable("opening SQLite")(lost.into()));
        }
        crate::migrate::bring_up_to_date(&store).await?;
        store.open_entries(url).await?;
        Ok(store)
    }

    async fn open_entries(&mut self, url: &DatabaseUrl) -> Result<(), StoreError> {
        let DatabaseUrl::Sqlite(path) = url else {
            return Ok(());
        };
        let mut tx = self.read().await?;
        let position = crate::log::fetch_position(&mut tx).await?;
        let used = crate::one_time::fetch_memory(&mut tx).await?;
        drop(tx);
        if let Database::Sqlite {
            entries, flushes, ..
        } = &mut self.database
        {
            *entries = Some(Entries::open(path, flushes.clone(), position, used).await?);
        }
        Ok(())
    }

    /// The file of entries, on SQLite.
    pub(crate) fn entries(&self) -> Option<&Arc<Entries>> {
        match &self.database {
            Database::Sqlite { entries, .. } => entries.as_ref(),
            Database::Postgres { .. } => None,
        }
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
                    flushes: Flushes::default(),
                    entries: None,
                }
            }
            DatabaseUrl::Postgres(url) => Database::Postgres {
                pool: open_postgres(url)?,
                readers: open_postgres(url)?,
            },
        };
        Ok(Self { database })
    }

    /// Begins a transaction that may write.
    pub async fn begin(&self) -> Result<Tx, StoreError> {
        match &self.database {
            Database::Sqlite {
                writer, flushes, ..
            } => {
                flushes.require_whole()?;
                self.begin_sqlite(writer, flushes, "BEGIN IMMEDIATE").await
            }
            Database::Postgres { pool, .. } => {
                begin_postgres(pool, "BEGIN ISOLATION LEVEL SERIALIZABLE").await
            }
        }
    }

    /// Begins a transaction of one that takes its turn by a row: it waits for those before it, and then sees
    /// what they committed, where [`Store::begin`] would end in a conflict.
    pub async fn begin_in_turn(&self) -> Result<Tx, StoreError> {
        match &self.database {
            Database::Sqlite { .. } => self.begin().await,
            Database::Postgres { pool, .. } => {
                begin_postgres(pool, "BEGIN ISOLATION LEVEL READ COMMITTED").await
            }
        }
    }

    /// Begins a transaction that only reads, and that nobody who searches can hold up: for those who follow
    /// what was committed, so that a stop is seen at once.
    pub async fn follow(&self) -> Result<Tx, StoreError> {
        match &self.database {
            Database::Sqlite {
                follower, flushes, ..
            } => {
                // What cannot be relied on is soon too old to permit anything.
                flushes.require_whole()?;
                self.begin_sqlite(follower, flushes, "BEGIN DEFERRED").await
            }
            Database::Postgres { pool, .. } => begin_postgres(pool, READING).await,
        }
    }

    /// Begins a transaction that only reads; it sees one moment and holds up no writer.
    ///
    /// It never ends in a conflict: what is read after a commit must not make the whole unit run again.
    pub async fn read(&self) -> Result<Tx, StoreError> {
        match &self.database {
            Database::Sqlite {
                reader, flushes, ..
            } => self.begin_sqlite(reader, flushes, "BEGIN DEFERRED").await,
            Database::Postgres { readers, .. } => begin_postgres(readers, READING).await,
        }
    }

    async fn begin_sqlite(
        &self,
        connection: &Arc<Mutex<rusqlite::Connection>>,
        flushes: &Flushes,
        begin: &'static str,
    ) -> Result<Tx, StoreError> {
        let waiting = tokio::time::timeout(PATIENCE, Arc::clone(connection).lock_owned());
        let guard = waiting
            .await
            .map_err(|late| StoreError::unavailable("waiting for the writer")(late.into()))?;
        guard
            .execute_batch(begin)
            .map_err(sqlite_error("beginning a transaction"))?;
        let session = Session::Sqlite(guard, flushes.clone());
        Ok(Tx::new(session, self.entries().cloned()))
    }
}

fn open_sqlite(path: &std::path::Path) -> Result<rusqlite::Connection, StoreError> {
    require_whole_file(path)?;
    let connection = rusqlite::Connection::open(path).map_err(sqlite_error("opening SQLite"))?;
    let settings =
        "PRAGMA busy_timeout = 2000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;
         PRAGMA cache_size = -16384; PRAGMA cache_spill = OFF; PRAGMA wal_autocheckpoint = 4000;";
    connection
        .execute_batch(settings)
        .map_err(sqlite_error("setting up SQLite"))?;
    // A statement keeps its plan, whatever values it is run with; SQLite would make a new one each time.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map_err(sqlite_error("setting up SQLite"))?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// Refuses an empty file beside a log that has something: SQLite would take the log for a leftover, and everything
/// that was acknowledged would be gone without a word (STOR-03).
fn require_whole_file(path: &std::path::Path) -> Result<(), StoreError> {
    let length = |path: &std::path::Path| path.metadata().map_or(0, |file| file.len());
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if length(path) == 0 && length(log.as_ref()) > 0 {
        let lost = "the file is empty, but its write-ahead log is not; restore it from a backup";
        return Err(StoreError::unavailable("opening SQLite")(lost.into()));
    }
    Ok(())
}

fn open_sqlite_for_reading(path: &std::path::Path) -> Result<rusqlite::Connection, StoreError> {
    let connection = open_sqlite(path)?;
    connection
        .execute_batch("PRAGMA query_only = ON")
        .map_err(sqlite_error("setting up SQLite"))?;
    Ok(connection)
}

/// How a transaction begins that only reads, and sees one moment.
const READING: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// What holds for every session. A server that may acknowledge before it has flushed may not do so for us; any
/// other choice of its owner stands. And a process that vanished in the middle of a transaction must not hold its
/// rows until the network finds out.
const SESSION: &str = "SELECT set_config('synchronous_commit', 'on', false) \
                       WHERE current_setting('synchronous_commit') = 'off'; \
                       SET idle_in_transaction_session_timeout = 4000";

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
        .max_size(6)
        .runtime(deadpool_postgres::Runtime::Tokio1)
        .wait_timeout(Some(PATIENCE))
        .create_timeout(Some(PATIENCE))
        .post_create(Hook::async_fn(|client, _| {
            Box::pin(async move {
                let set = client.batch_execute(SESSION).await;
                set.map_err(HookError::Backend)
            })
        }))
        .build()
        .map_err(|error| StoreError::unavailable("opening PostgreSQL")(error.into()))
}

async fn begin_postgres(pool: &Pool, begin: &'static str) -> Result<Tx, StoreError> {
    const CONNECTING: &str = "connecting to PostgreSQL";
    let object = tokio::time::timeout(STATEMENT, pool.get())
        .await
        .map_err(|late| StoreError::unavailable(CONNECTING)(late.into()))?
        .map_err(|error| StoreError::unavailable(CONNECTING)(error.into()))?;
    match in_time("beginning a transaction", object.batch_execute(begin)).await {
        Ok(()) => Ok(Tx::new(Session::Postgres(Box::new(object)), None)),
        Err(error) => {
            // Whether it began is not known, so the connection is not used again.
            drop(Object::take(object));
            Err(error)
        }
    }
}

/// Waits for an answer of PostgreSQL, but not for ever: a server that is silent has gone.
async fn in_time<T>(
    doing: &'static str,
    answer: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, StoreError> {
    match tokio::time::timeout(STATEMENT, answer).await {
        Ok(answered) => answered.map_err(postgres_error(doing)),
        Err(late) => Err(StoreError::unavailable(doing)(late.into())),
    }
}

impl Session {
    pub(crate) async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, StoreError> {
        const DOING: &str = "writing";
        check(params)?;
        match self {
            Self::Sqlite(connection, _) => {
                let mut statement = connection
                    .prepare_cached(sql)
                    .map_err(sqlite_error(DOING))?;
                let changed = statement
                    .execute(rusqlite::params_from_iter(params))
                    .map_err(sqlite_error(DOING))?;
                Ok(changed as u64)
            }
            Self::Postgres(object) => {
                let statement = in_time(DOING, object.prepare_cached(sql)).await?;
                in_time(DOING, object.execute_raw(&statement, params)).await
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
            Self::Sqlite(connection, _) => query_sqlite(connection, table, sql, params),
            Self::Postgres(object) => query_postgres(object, table, sql, params).await,
        }
    }

    pub(crate) async fn has_table(&mut self, table: &'static str) -> Result<bool, StoreError> {
        let sql = match self {
            Self::Sqlite(..) => "SELECT count(*) AS found FROM sqlite_master WHERE name = $1",
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
            Self::Sqlite(connection, _) => {
                connection.execute_batch(sql).map_err(sqlite_error(DOING))
            }
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
            Self::Sqlite(connection, flushes) => {
                // The flush takes milliseconds, so it leaves the thread that serves requests.
                let committed = tokio::task::spawn_blocking(move || {
                    let committed = connection.execute_batch("COMMIT");
                    flushes.watch(&committed);
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
            Self::Postgres(object) => {
                let committed = in_time(DOING, object.batch_execute("COMMIT")).await;
                if matches!(committed, Err(StoreError::Unavailable { .. })) {
                    // Whether it is committed is not known, so the connection is not used again.
                    drop(Object::take(*object));
                }
                committed
            }
        }
    }

    /// Ends the transaction without effect.
    pub(crate) fn roll_back(self) {
        match self {
            Self::Sqlite(connection, _) => {
                if !connection.is_autocommit() {
                    let _rolled_back = connection.execute_batch("ROLLBACK");
                }
            }
            Self::Postgres(object) => {
                // A connection that cannot roll back is broken, and the pool drops it when it is next used.
                if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                    runtime.spawn(async move {
                        let ended = in_time("rolling back", object.batch_execute("ROLLBACK"));
                        if ended.await.is_err() {
                            drop(Object::take(*object));
                        }
                    });
                } else {
                    drop(Object::take(*object));
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
                ValueRef::Text(text) => Value::Text(match std::str::from_utf8(text) {
                    Ok(text) => text.to_owned(),
                    Err(_) => String::from_utf8_lossy(text).into_owned(),
                }),
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
    object: &Object,
    table: &'static str,
    sql: &str,
    params: &[Value],
) -> Result<Vec<Row>, StoreError> {
    const DOING: &str = "reading";
    let statement = in_time(DOING, object.prepare_cached(sql)).await?;
    let names: Arc<[String]> = statement
        .columns()
        .iter()
        .map(|column| column.name().to_owned())
        .collect();
    let parameters: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
        params.iter().map(|value| value as _).collect();
    let rows = in_time(DOING, object.query(&statement, &parameters)).await?;
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
