//! Starting other programs: with the caller's terminal, with a count of the tests they report, or
//! within a time.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::system::Setup;

/// A cargo command at the root of the workspace, with the cargo that started us.
pub(crate) fn cargo(setup: &Setup) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(&setup.root);
    command
}

/// Runs a command on the caller's terminal; an exit code other than 0 is an error that names it.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command
        .status()
        .with_context(|| format!("starting `{}`", line_of(command)))?;
    expect_success(command, status)
}

/// Runs a command on the caller's terminal and ends it when it takes longer than `limit`.
pub(crate) fn run_within(command: &mut Command, limit: Duration) -> Result<()> {
    let child = command
        .spawn()
        .with_context(|| format!("starting `{}`", line_of(command)))?;
    let mut child = Ended(child);
    let started = Instant::now();
    loop {
        if let Some(status) = child.0.try_wait().context("waiting for a child")? {
            return expect_success(command, status);
        }
        if started.elapsed() > limit {
            bail!(
                "`{}` was still running after {} seconds",
                line_of(command),
                limit.as_secs()
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// How many tests a program says it ran.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    /// Tests that passed.
    pub(crate) passed: u64,
    /// Tests that the program left out by itself.
    pub(crate) skipped: u64,
}

/// Runs a command, shows its output as it comes, and hands every line of it to `read`.
pub(crate) fn run_reading(command: &mut Command, mut read: impl FnMut(&str)) -> Result<()> {
    let child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting `{}`", line_of(command)))?;
    let mut child = Ended(child);
    let output = child
        .0
        .stdout
        .take()
        .context("a child has no standard output")?;
    let mut terminal = std::io::stdout().lock();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("reading the output of a child")?;
        let line = String::from_utf8_lossy(&line);
        writeln!(terminal, "{line}").context("writing to the terminal")?;
        read(&line);
    }
    let status = child.0.wait().context("waiting for a child")?;
    expect_success(command, status)
}

/// An executable that cargo built.
#[derive(Debug)]
pub(crate) struct Artifact {
    /// The package that it belongs to.
    pub(crate) package: String,
    /// The folder of that package.
    pub(crate) folder: PathBuf,
    /// The program.
    pub(crate) executable: PathBuf,
    /// Whether it runs tests: a package's own program is built beside them.
    pub(crate) is_test: bool,
}

/// Builds with cargo and answers with the executables, so that they can be run without it.
pub(crate) fn built(setup: &Setup, args: &[&str]) -> Result<Vec<Artifact>> {
    let mut command = cargo(setup);
    command
        .args(args)
        .args(["--locked", "--message-format=json-render-diagnostics"]);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("starting `{}`", line_of(&command)))?;
    expect_success(&command, output.status)?;
    let messages = String::from_utf8(output.stdout).context("cargo wrote something not UTF-8")?;
    Ok(messages.lines().filter_map(artifact_in).collect())
}

fn artifact_in(message: &str) -> Option<Artifact> {
    let message: Value = serde_json::from_str(message).ok()?;
    let executable = PathBuf::from(message["executable"].as_str()?);
    let folder = PathBuf::from(message["manifest_path"].as_str()?)
        .parent()?
        .to_owned();
    let package = package_name(message["package_id"].as_str()?).to_owned();
    Some(Artifact {
        package,
        folder,
        executable,
        is_test: message["profile"]["test"] == true,
    })
}

/// The name in a package id: what stands before `@` when that is there, else the last folder.
fn package_name(id: &str) -> &str {
    let (url, fragment) = id.split_once('#').unwrap_or((id, ""));
    match fragment.split_once('@') {
        Some((name, _version)) => name,
        None => url.rsplit('/').next().unwrap_or(url),
    }
}

/// A child that does not outlive the one that holds it.
#[derive(Debug)]
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // A child that has ended by itself refuses both, which is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The exit code that tells our caller what a child told us.
pub(crate) fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

fn expect_success(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{}` ended with {status}", line_of(command));
    }
    Ok(())
}

fn line_of(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn package_name_is_found_in_both_forms_of_an_id() {
        assert_eq!(
            package_name("path+file:///w/crates/bin#chancery@0.1.0"),
            "chancery"
        );
        assert_eq!(package_name("path+file:///w/xtask#0.1.0"), "xtask");
    }

    #[test]
    fn command_that_fails_is_an_error_that_names_it() {
        let error = run(&mut Command::new("false")).unwrap_err();
        assert!(
            error.to_string().starts_with("`false` ended with"),
            "{error}"
        );
    }

    #[test]
    fn command_that_hangs_is_ended() {
        let limit = Duration::from_millis(60);
        let error = run_within(Command::new("sleep").arg("60"), limit).unwrap_err();
        assert!(error.to_string().contains("was still running"), "{error}");
    }
}
