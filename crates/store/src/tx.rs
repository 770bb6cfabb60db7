//! A transaction, and the only door through which rows change.

use std::sync::Arc;

use chancery_model::event::Event;

use crate::connect::Session;
use crate::entries::{Entries, Span};
use crate::error::StoreError;
use crate::outbox;
use crate::value::{Row, Value};

/// A transaction; dropped without [`Tx::commit`] it leaves no trace.
pub struct Tx {
    // INVARIANT: `Some` until the transaction ends.
    session: Option<Session>,
    entries: Option<Arc<Entries>>,
}

impl Tx {
    pub(crate) fn new(session: Session, entries: Option<Arc<Entries>>) -> Self {
        Self {
            session: Some(session),
            entries,
        }
    }

    /// Whether entries lie in a file beside the database.
    pub(crate) fn has_file(&self) -> bool {
        self.entries.is_some()
    }

    /// The entries of a piece of the file beside the database, one a line; nothing where there is no such file.
    pub(crate) fn read_entries(&self, span: Span) -> Result<String, StoreError> {
        match &self.entries {
            Some(entries) => entries.read(span),
            None => Ok(String::new()),
        }
    }

    fn session(&mut self) -> Result<&mut Session, StoreError> {
        self.session.as_mut().ok_or(StoreError::Conflict)
    }

    pub(crate) async fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64, StoreError> {
        self.session()?.execute(sql, params).await
    }

    pub(crate) async fn query(
        &mut self,
        table: &'static str,
        sql: &str,
        params: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        self.session()?.query(table, sql, params).await
    }

    pub(crate) async fn has_table(&mut self, table: &'static str) -> Result<bool, StoreError> {
        self.session()?.has_table(table).await
    }

    pub(crate) async fn batch(&mut self, sql: &str) -> Result<(), StoreError> {
        self.session()?.batch(sql).await
    }

    /// Makes the change and its events durable together; there is no other way to commit a change.
    ///
    /// `first` is taken apart from `more` so that a change without an event does not compile.
    pub async fn commit(mut self, first: Event, more: Vec<Event>) -> Result<(), StoreError> {
        let sql = "UPDATE change SET number = number + 1 WHERE id = 1";
        self.execute(sql, &[]).await?;
        let events = std::iter::once(first).chain(more).collect();
        outbox::append(&mut self, events).await?;
        self.end().await
    }

    /// Commits what changes no row that has an event: the log's own tiles, leases, schema, sweeping.
    pub(crate) async fn end(mut self) -> Result<(), StoreError> {
        match self.session.take() {
            Some(session) => session.commit().await,
            None => Err(StoreError::Conflict),
        }
    }

    /// The number of the last committed change that this transaction sees.
    pub async fn change_number(&mut self) -> Result<i64, StoreError> {
        let rows = self
            .query("change", "SELECT number FROM change WHERE id = 1", &[])
            .await?;
        match rows.first() {
            Some(row) => row.int("number"),
            None => Err(StoreError::Corrupt {
                table: "change",
                column: "id",
                row: "1".to_owned(),
            }),
        }
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            session.roll_back();
        }
    }
}
