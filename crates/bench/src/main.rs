//! The bench: what the program can do, each figure as a ratio to a limit that is measured beside it.
//!
//! The server runs on one core, the client on another. A figure alternates between the bare limit and
//! the program, so that whatever else the machine does meets both; what is compared is work per second
//! of the *server's* processor time, which neighbours move little. Start reading at [`figure`]; each
//! figure is one file. The servers that stand for the limits are in [`role`], the client is [`load`].

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a program of its own: it reads the clock, the environment and the file system"
)]

mod bench;
mod child;
mod cores;
mod event;
mod figure;
mod flow;
mod http1;
mod load;
mod product;
mod report;
mod role;
mod series;
mod signing;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::figure::Figure;
use crate::role::Role;

/// The program's allocator, so that limit and program are measured with the same.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures what the program can do.
#[derive(Debug, Parser)]
#[command(name = "chancery-bench")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure, and print one table.
    Run(RunArgs),
    /// Be one of the servers that stand for a limit; prints where it listens.
    #[command(subcommand, hide = true)]
    Role(Role),
    /// Measure one thing inside this process; prints one line of JSON.
    #[command(subcommand, hide = true)]
    Measure(figure::Inside),
}

/// How to measure, and what.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The program, built with the release profile.
    #[arg(long)]
    program: PathBuf,
    /// Measure only this figure (may be repeated).
    #[arg(long, value_name = "NAME", value_enum)]
    only: Vec<Figure>,
    /// How long each measurement of a round takes.
    #[arg(long, value_name = "N", default_value_t = 3.0)]
    seconds: f64,
    /// How often limit and program alternate.
    #[arg(long, value_name = "N", default_value_t = 5)]
    rounds: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// The Node.js that runs the peer.
    #[arg(long, requires = "peer")]
    node: Option<PathBuf>,
    /// The script that serves the peer, beside its packages.
    #[arg(long, requires = "node")]
    peer: Option<PathBuf>,
    /// Where the report of a run of all figures is written.
    #[arg(long, value_name = "FILE")]
    write: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Run(args) => alone(bench::run(args)),
        Command::Role(role) => alone(role::run(role)),
        Command::Measure(inside) => figure::measure(inside),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("chancery-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs on one thread, so that one core is all it can take.
fn alone(work: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    tokio::task::LocalSet::new().block_on(&runtime, work)
}
