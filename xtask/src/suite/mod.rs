//! The suites, in the order in which they run: what fails fastest comes first.
//!
//! A suite answers with an [`Outcome`]; it says [`Missing`](crate::system::Missing) for what the
//! machine lacks, and any other error means that it failed.

mod cargo;
mod clients;
mod demo;
mod deny;
mod postgres;
mod vectors;

use anyhow::Result;
use clap::ValueEnum;

use crate::report::Outcome;
use crate::system::Setup;

/// A suite of `cargo xtask test`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Suite {
    /// The sources are formatted.
    Format,
    /// The floors, the rooms and the borders of the house.
    House,
    /// Lints, with warnings as errors.
    Clippy,
    /// Every test of the workspace, on SQLite.
    Unit,
    /// The tests that know a database again, on a private PostgreSQL.
    Postgres,
    /// Published test vectors.
    Vectors,
    /// Third-party clients and servers in TypeScript and Python.
    Clients,
    /// The demonstration, from beginning to end.
    Demo,
    /// Banned crates, licences and sources.
    Deny,
}

impl Suite {
    /// The name on the command line and in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::House => "house",
            Self::Clippy => "clippy",
            Self::Unit => "unit",
            Self::Postgres => "postgres",
            Self::Vectors => "vectors",
            Self::Clients => "clients",
            Self::Demo => "demo",
            Self::Deny => "deny",
        }
    }

    /// Sets up what the suite needs and runs it.
    pub(crate) fn run(self, setup: &Setup) -> Result<Outcome> {
        match self {
            Self::Format => cargo::format(setup),
            Self::House => cargo::house(setup),
            Self::Clippy => cargo::clippy(setup),
            Self::Unit => cargo::unit(setup),
            Self::Postgres => postgres::run(setup),
            Self::Vectors => vectors::run(setup),
            Self::Clients => clients::run(setup),
            Self::Demo => demo::run(setup),
            Self::Deny => deny::run(setup),
        }
    }
}
