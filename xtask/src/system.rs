//! The machine: where the workspace lies, which programs there are, and how a missing one comes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command;

/// Where we work and what we may do to the machine.
#[derive(Debug)]
pub(crate) struct Setup {
    /// The root of the workspace.
    pub(crate) root: PathBuf,
    /// Whether packages may be installed, into the machine or into `target/`.
    pub(crate) install: bool,
}

impl Setup {
    /// Finds the workspace that this program was started from.
    pub(crate) fn new(install: bool) -> Result<Self> {
        let xtask = std::env::var_os("CARGO_MANIFEST_DIR")
            .context("start this program with `cargo xtask`, which says where the workspace is")?;
        let root = Path::new(&xtask)
            .parent()
            .context("the manifest of xtask has no parent folder")?
            .to_owned();
        Ok(Self { root, install })
    }

    /// The folder of everything that a build or an installation leaves behind.
    pub(crate) fn target(&self) -> PathBuf {
        match std::env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => self.root.join(folder),
            None => self.root.join("target"),
        }
    }
}

/// What a suite needs and this machine lacks: the suite is left out, which is not the same as failed.
#[derive(Debug)]
pub(crate) struct Missing(pub(crate) String);

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// The first executable called `name` on `PATH`.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}

/// Finds `name`, installing the Debian packages that bring it when it is absent and that is allowed.
pub(crate) fn require_program(setup: &Setup, name: &str, packages: &[&str]) -> Result<PathBuf> {
    if let Some(program) = find_program(name) {
        return Ok(program);
    }
    install_packages(setup, packages)?;
    let program = find_program(name)
        .with_context(|| format!("`{name}` is still absent after installing {packages:?}"))?;
    Ok(program)
}

/// Installs Debian packages; says [`Missing`] where that is not allowed or not possible.
pub(crate) fn install_packages(setup: &Setup, packages: &[&str]) -> Result<()> {
    let wanted = packages.join(" ");
    if !setup.install {
        bail!(Missing(format!(
            "`{wanted}` is not installed and --no-install was given"
        )));
    }
    if !is_root() || find_program("apt-get").is_none() {
        bail!(Missing(format!(
            "`{wanted}` is not installed, and only root on Debian may install it from here"
        )));
    }
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    command::run(apt().args(["update", "-qq"]))?;
    command::run(
        apt()
            .args(["install", "-y", "--no-install-recommends"])
            .args(packages),
    )
}

/// Whether we run as root.
pub(crate) fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// The numeric ids of the account `name`, from the password file.
pub(crate) fn account(name: &str) -> Option<(u32, u32)> {
    let accounts = std::fs::read_to_string("/etc/passwd").ok()?;
    accounts.lines().find_map(|line| account_in(line, name))
}

fn account_in(line: &str, name: &str) -> Option<(u32, u32)> {
    let mut fields = line.split(':');
    if fields.next()? != name {
        return None;
    }
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some((uid, gid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_line_gives_user_and_group() {
        let line = "postgres:x:101:104:PostgreSQL:/var/lib/postgresql:/bin/bash";
        assert_eq!(account_in(line, "postgres"), Some((101, 104)));
        assert_eq!(account_in(line, "post"), None);
        assert_eq!(
            account_in("postgres:x:word:104::/:/bin/sh", "postgres"),
            None
        );
    }
}
