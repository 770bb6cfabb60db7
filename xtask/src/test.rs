//! `cargo xtask test`: runs the suites in order and prints one table.
//!
//! A suite that fails does not stop the next one: one run tells all. What cannot run here is said
//! plainly, and makes the run fail unless `--allow-missing` is given; in CI it always fails.

use std::process::ExitCode;
use std::time::Instant;

use anyhow::Result;
use clap::ValueEnum;

use crate::report::{Outcome, Report, Row};
use crate::suite::Suite;
use crate::system::{Missing, Setup};

/// Which suites run, and what they may do.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Install nothing: what is not on the machine is left out.
    #[arg(long)]
    no_install: bool,
    /// Run only this suite (may be repeated).
    #[arg(long, value_name = "SUITE", value_enum)]
    only: Vec<Suite>,
    /// Pass even when a suite had to be left out; has no effect when `CI` is `true`.
    #[arg(long)]
    allow_missing: bool,
}

impl Args {
    /// What runs one suite.
    pub(crate) fn only(suite: Suite) -> Self {
        Self {
            no_install: false,
            only: vec![suite],
            allow_missing: false,
        }
    }
}

/// Runs the suites; the exit code is 0 only when the report is good.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let setup = Setup::new(!args.no_install)?;
    let mut report = Report::default();
    for suite in Suite::value_variants() {
        if args.only.is_empty() || args.only.contains(suite) {
            report.push(run_one(&setup, *suite));
        }
    }
    println!("\n{}", report.text());

    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    let good = report.is_good(args.allow_missing && !in_ci);
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn run_one(setup: &Setup, suite: Suite) -> Row {
    println!("\n== {} ==", suite.name());
    let started = Instant::now();
    let outcome = suite
        .run(setup)
        .unwrap_or_else(|error| match error.downcast_ref::<Missing>() {
            Some(Missing(why)) => Outcome::LeftOut(why.clone()),
            None => Outcome::Failed(format!("{error:#}")),
        });
    Row {
        suite: suite.name(),
        outcome,
        took: started.elapsed(),
    }
}
