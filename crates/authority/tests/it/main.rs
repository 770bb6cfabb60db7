//! What the authority promises over HTTP, through its real router, on a throw-away database, with a clock
//! that the test moves and seeded entropy. SQLite by default; PostgreSQL, a fresh schema for each test,
//! when `CHANCERY_TEST_POSTGRES` is a `postgres://` URL.

mod accounts;
mod agents;
mod audit;
mod clients;
mod consent;
mod database;
mod enforcement;
mod house;
mod keys;
mod policies;
mod providers;
mod request;
mod resources;
mod tokens;
mod upstream;
mod workloads;
