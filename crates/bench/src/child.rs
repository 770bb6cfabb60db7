//! Processes of the bench: started on a side, ready when they say where they listen, ended with their handle.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

use crate::cores::{self, Side};

/// How long a server may take until it listens.
const START: Duration = Duration::from_secs(30);

/// A server that listens.
pub(crate) struct Server {
    process: Child,
    // Held so that the server can go on writing to it.
    _output: BufReader<ChildStdout>,
    /// Its process id.
    pub(crate) id: u32,
    /// Where it answers.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts `program` on `side` and waits for its line `{"ready":true,"url":…}`.
    pub(crate) async fn start(side: Side, program: &Path, args: &[&str]) -> Result<Self> {
        let mut command = side.command(program);
        command.args(args).kill_on_drop(true);
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting `{}`", program.display()))?;
        let id = process.id().context("the process ended at once")?;
        let output = process.stdout.take().context("no standard output")?;
        let mut output = BufReader::new(output);
        let mut line = String::new();
        timeout(START, output.read_line(&mut line))
            .await
            .with_context(|| format!("`{}` says nothing", program.display()))??;
        let ready: Value = serde_json::from_str(&line)
            .with_context(|| format!("`{}` says `{}`", program.display(), line.trim()))?;
        let url = ready["url"].as_str().context("no `url`")?;
        let address = url.strip_prefix("http://").unwrap_or(url).parse()?;
        Ok(Self {
            process,
            _output: output,
            id,
            address,
        })
    }

    /// Starts one of our own roles.
    pub(crate) async fn role(side: Side, args: &[&str]) -> Result<Self> {
        let own = std::env::current_exe().context("our own program cannot be found")?;
        Self::start(side, &own, &[&["role"], args].concat()).await
    }

    /// The processor time that it has used.
    pub(crate) fn used(&self) -> Result<Duration> {
        cores::used_by(self.id)
    }

    /// Ends it and waits until it is gone.
    pub(crate) async fn stop(mut self) -> Result<()> {
        Ok(self.process.kill().await?)
    }
}

/// Measures something inside a process of its own on the server's core; the answer is its line of JSON.
pub(crate) async fn measure(args: &[&str]) -> Result<Value> {
    let own = std::env::current_exe().context("our own program cannot be found")?;
    let mut command = Side::Server.command(&own);
    command.arg("measure").args(args).kill_on_drop(true);
    let output = command.stderr(Stdio::inherit()).output().await?;
    if !output.status.success() {
        bail!("`measure {}` ended with {}", args.join(" "), output.status);
    }
    serde_json::from_slice(&output.stdout).context("a measurement is one line of JSON")
}

/// A number of a measurement.
pub(crate) fn number(measured: &Value, name: &str) -> Result<f64> {
    measured[name]
        .as_f64()
        .with_context(|| format!("the measurement lacks `{name}`"))
}
