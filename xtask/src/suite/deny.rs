//! Banned crates, licences and sources, by cargo-deny and `deny.toml`.
//!
//! Advisories are not asked for here: their database is on a host that a build need not reach.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::command;
use crate::report::Outcome;
use crate::system::{Missing, Setup, find_program};

const VERSION: &str = "0.20.2";

/// Checks the dependency graph of every platform against `deny.toml`.
pub(super) fn run(setup: &Setup) -> Result<Outcome> {
    let cargo_deny = obtain(setup)?;
    // The check reads the manifests of all platforms; a build has fetched only those of this one.
    command::run(command::cargo(setup).args(["fetch", "--locked"]))?;
    let mut check = Command::new(cargo_deny);
    check
        .current_dir(&setup.root)
        .args(["--locked", "--offline", "check"]);
    command::run(check.args(["bans", "licenses", "sources"]))?;
    Ok(Outcome::Passed(None))
}

fn obtain(setup: &Setup) -> Result<PathBuf> {
    let tools = setup.target().join("tools");
    let installed = tools.join("bin/cargo-deny");
    if let Some(program) =
        find_program("cargo-deny").or_else(|| installed.is_file().then(|| installed.clone()))
    {
        return Ok(program);
    }
    if !setup.install {
        bail!(Missing(
            "cargo-deny is not installed and --no-install was given".to_owned()
        ));
    }
    let mut install = command::cargo(setup);
    install.args(["install", "--locked", "--root"]).arg(&tools);
    command::run(install.arg(format!("cargo-deny@{VERSION}")))?;
    Ok(installed)
}
