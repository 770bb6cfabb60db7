//! The project's own commands: `cargo xtask test`, `vectors`, `postgres`, `bench`.
//!
//! This program stands outside the house: it depends on no crate of ours and only starts other
//! programs. Start reading at [`test`] for the order of the suites and at [`report`] for what their
//! outcomes mean.

#![allow(
    clippy::disallowed_methods,
    reason = "outside the house: it reads the environment, the clock and the file system"
)]

mod bench;
mod command;
mod interop;
mod node;
mod postgres;
mod python;
mod report;
mod suite;
mod system;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Set up what the suites need, run them all, and print one table.
    Test(test::Args),
    /// Run only the suite of published test vectors.
    Vectors,
    /// Run a command with a private PostgreSQL in `CHANCERY_TEST_POSTGRES`.
    Postgres(postgres::Args),
    /// Build the bench with the release profile and run it.
    Bench(bench::Args),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Test(args) => test::run(&args),
        Verb::Vectors => test::run(&test::Args::only(suite::Suite::Vectors)),
        Verb::Postgres(args) => postgres::run(&args),
        Verb::Bench(args) => bench::run(&args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("xtask: {error:#}");
        ExitCode::FAILURE
    })
}
