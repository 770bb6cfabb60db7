//! Python and the packages of `tests-interop/`, in a virtual environment below `target/`.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::command;
use crate::interop;
use crate::system::{self, Missing, Setup};

/// A Python with the packages inside.
#[derive(Debug)]
pub(crate) struct Python {
    /// The interpreter of the virtual environment.
    pub(crate) program: PathBuf,
    folder: PathBuf,
}

impl Python {
    /// The command that runs the suites.
    pub(crate) fn tests(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).arg("python/run.py");
        command
    }
}

/// Installs exactly what the requirements name, by digest, once for each list of requirements.
pub(crate) fn obtain(setup: &Setup) -> Result<Python> {
    let folder = interop::folder(setup)?;
    let program = folder.join("venv/bin/python");
    let requirements = folder.join("requirements.txt");
    if !program.is_file() || !interop::is_installed(&folder, &requirements)? {
        if !setup.install {
            bail!(Missing(
                "the Python packages are not installed and --no-install was given".to_owned()
            ));
        }
        let python3 = system::require_program(setup, "python3", &["python3", "python3-venv"])?;
        command::run(
            Command::new(python3)
                .args(["-m", "venv", "--clear"])
                .arg(folder.join("venv")),
        )?;
        let mut pip = Command::new(&program);
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]);
        command::run(
            pip.args(["--no-deps", "--require-hashes", "--requirement"])
                .arg(&requirements),
        )?;
        interop::remember_installed(&folder, &requirements)?;
    }
    Ok(Python { program, folder })
}
