//! The demonstration, from beginning to end, as a stranger would run it.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::command;
use crate::report::Outcome;
use crate::system::Setup;

/// Longer than this means that the demonstration hangs.
const LIMIT: Duration = Duration::from_secs(180);

/// Builds the program and expects `chancery demo` to end well.
pub(super) fn run(setup: &Setup) -> Result<Outcome> {
    let data = tempfile::tempdir().context("making a folder for the demonstration")?;
    let mut demo = Command::new(chancery(setup)?);
    demo.arg("demo")
        .env("CHANCERY_DATA", data.path())
        .env_remove("CHANCERY_URL");
    command::run_within(&mut demo, LIMIT)?;
    Ok(Outcome::Passed(None))
}

/// The program, built with the development profile.
pub(super) fn chancery(setup: &Setup) -> Result<PathBuf> {
    command::built(setup, &["build", "--workspace", "--bin", "chancery"])?
        .into_iter()
        .find(|artifact| artifact.package == "chancery")
        .map(|artifact| artifact.executable)
        .context("cargo built no program called `chancery`")
}
