//! One SQL over SQLite and PostgreSQL: transactions, migrations, the outbox.
