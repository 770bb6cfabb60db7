//! What the store promises, asked of every database there is: SQLite in a folder of its own, and with
//! `CHANCERY_TEST_POSTGRES` set to a `postgres://` URL also PostgreSQL in a schema of its own.

mod commit;
mod corrupt;
mod delegation;
mod entries;
mod journal;
mod make;
mod migrations;
mod names;
mod people;
mod place;
mod revocations;
mod sealing;
mod statements;
