//! `cargo xtask bench`: builds the program and the bench with the release profile, and measures.
//!
//! The peer of the issuance is measured beside it when its npm packages are installed; nothing is
//! installed for it here.

use std::ffi::OsString;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::command::{self, Artifact};
use crate::system::{Missing, Setup};
use crate::{interop, node};

/// Where the report of a full run goes.
const REPORT: &str = "docs/performance.md";
/// The peer's script, in the folder of the third-party suites.
const PEER: &str = "node/oidc-provider.mjs";

/// What the bench is given.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Measure only this figure (may be repeated); the report is then not written.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// How long each measurement of a round takes.
    #[arg(long, value_name = "N")]
    seconds: Option<f64>,
    /// How often limit and program alternate.
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// Runs the bench and answers with its exit code.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let setup = Setup::new(false)?;
    let packages = ["--package", "chancery", "--package", "chancery-bench"];
    let built = command::built(&setup, &[&["build", "--release"], &packages[..]].concat())?;
    let mut bench = Command::new(&artifact(&built, "chancery-bench")?.executable);
    bench
        .arg("run")
        .arg("--program")
        .arg(&artifact(&built, "chancery")?.executable)
        .arg("--write")
        .arg(setup.root.join(REPORT))
        .args(asked(args))
        .args(peer(&setup)?);
    let status = bench.status().context("starting the bench")?;
    Ok(command::exit_code(status))
}

fn artifact<'a>(built: &'a [Artifact], package: &str) -> Result<&'a Artifact> {
    built
        .iter()
        .find(|artifact| artifact.package == package)
        .with_context(|| format!("`{package}` has no executable"))
}

fn asked(args: &Args) -> Vec<String> {
    let mut words = Vec::new();
    for name in &args.only {
        words.extend(["--only".to_owned(), name.clone()]);
    }
    if let Some(seconds) = args.seconds {
        words.extend(["--seconds".to_owned(), seconds.to_string()]);
    }
    if let Some(rounds) = args.rounds {
        words.extend(["--rounds".to_owned(), rounds.to_string()]);
    }
    words.extend(args.json.then(|| "--json".to_owned()));
    words
}

/// What starts the peer; nothing, and a line that says so, when its packages are absent.
fn peer(setup: &Setup) -> Result<Vec<OsString>> {
    match node::obtain(setup) {
        Ok(node) => {
            let script = interop::folder(setup)?.join(PEER);
            Ok([
                "--node".into(),
                node.program.into(),
                "--peer".into(),
                script.into(),
            ]
            .into())
        }
        Err(error) if error.is::<Missing>() => {
            eprintln!("the peer is left out: {error:#}");
            Ok(Vec::new())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_is_handed_on() {
        let args = Args {
            only: vec!["gateway".to_owned()],
            seconds: Some(1.5),
            rounds: None,
            json: true,
        };
        assert_eq!(
            asked(&args),
            ["--only", "gateway", "--seconds", "1.5", "--json"]
        );
    }
}
