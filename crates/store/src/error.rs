//! What can go wrong with the store, by what a caller could do about it.

use std::error::Error;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another transaction won; run the whole unit of work again.
    #[error("another transaction changed the same rows")]
    Conflict,
    /// A constraint refused the change: the thing exists, or what it refers to does not.
    #[error("the change breaks a constraint of the database")]
    Constraint,
    /// A row holds what no version of this program writes.
    #[error("corrupt row in table `{table}`, column `{column}`, row `{row}`")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The column.
        column: &'static str,
        /// What names the row.
        row: String,
    },
    /// The database was written by a newer program.
    #[error("the database has schema {found}, newer than {known} which this program knows")]
    NewerSchema {
        /// What the database has.
        found: i64,
        /// What this program knows.
        known: i64,
    },
    /// A text holds NUL, which PostgreSQL cannot keep; so neither database is given one.
    #[error("a text holds NUL, which cannot be stored")]
    Unstorable,
    /// The URL names no database that we speak to.
    #[error("a database is `sqlite:PATH` or `postgres://…`")]
    UnknownUrl,
    /// The database does not answer or cannot write.
    #[error("the database is unavailable while {doing}")]
    Unavailable {
        /// What we were doing.
        doing: &'static str,
        /// What failed.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StoreError {
    pub(crate) fn unavailable(
        doing: &'static str,
    ) -> impl FnOnce(Box<dyn Error + Send + Sync>) -> Self {
        move |source| Self::Unavailable { doing, source }
    }

    /// Whether running the whole unit of work again may succeed.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Conflict)
    }
}
