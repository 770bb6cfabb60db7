//! `cargo xtask bench -- ARGS`: builds the bench with the release profile and runs it.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::command;
use crate::system::Setup;

/// What the bench is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Passed to the bench as they are.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Runs the bench and answers with its exit code.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let setup = Setup::new(true)?;
    let status = command::cargo(&setup)
        .args([
            "run",
            "--release",
            "--locked",
            "--package",
            "chancery-bench",
            "--",
        ])
        .args(&args.rest)
        .status()
        .context("starting the bench")?;
    Ok(command::exit_code(status))
}
