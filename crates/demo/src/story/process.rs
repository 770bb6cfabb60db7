//! Processes of our own program: they are killed when the story ends, however it ends.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::time::timeout;

use crate::desk::ready::Ready;

const START: Duration = Duration::from_secs(20);
const VERIFY: Duration = Duration::from_secs(60);

/// The support desk in a process of its own; killed when dropped.
pub(crate) struct DeskProcess {
    child: Child,
    // Held so that the desk can go on writing to them.
    _stdout: BufReader<ChildStdout>,
    _stderr: Option<ChildStderr>,
    /// Its process id.
    pub(crate) id: u32,
    /// Its MCP endpoint.
    pub(crate) url: String,
}

impl DeskProcess {
    /// Starts `PROGRAM desk --listen 127.0.0.1:0` and waits until it says where it listens.
    pub(crate) async fn start(program: &Path) -> anyhow::Result<Self> {
        let mut command = Command::new(program);
        command.args(["desk", "--listen", "127.0.0.1:0"]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start `{}`", program.display()))?;
        let id = child.id().context("the process ended at once")?;
        let mut stdout = BufReader::new(child.stdout.take().context("the process has no output")?);
        let mut line = String::new();
        let read = timeout(START, stdout.read_line(&mut line)).await;
        if let Ok(Ok(_)) = read
            && let Some(ready) = Ready::parse(line.trim_end())
        {
            return Ok(Self {
                _stderr: child.stderr.take(),
                child,
                _stdout: stdout,
                id,
                url: ready.url,
            });
        }
        // Whatever went wrong, the process has said why or never will.
        let _ = child.kill().await;
        let mut said = String::new();
        if let Some(stderr) = child.stderr.take() {
            let _ = stderr.take(2_000).read_to_string(&mut said).await;
        }
        bail!(
            "no line that says where the desk listens, but `{}` `{}`",
            line.trim(),
            said.trim()
        )
    }

    /// Kills the process and waits until it is gone.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }
}

/// What a run of `log verify` said.
#[derive(Debug)]
pub(crate) struct Verdict {
    /// How it exited: 0 when all holds, 1 when something was altered, 2 when it could not be read.
    pub(crate) code: Option<i32>,
    /// What it printed.
    pub(crate) report: Value,
}

/// Runs `PROGRAM log verify --dir COPY --key KEY --json`, which knows nothing but the copy and the key.
pub(crate) async fn verify(program: &Path, copy: &Path, log_key: &str) -> anyhow::Result<Verdict> {
    let mut command = Command::new(program);
    command
        .args(["log", "verify", "--dir"])
        .arg(copy)
        .args(["--key", log_key, "--json"]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(VERIFY, command.output())
        .await
        .context("the verifier does not come to an end")?;
    let Output {
        status,
        stdout,
        stderr,
    } = output.with_context(|| format!("cannot start `{}`", program.display()))?;
    let report = serde_json::from_slice(&stdout).with_context(|| {
        format!(
            "{status} and no JSON line, but `{}`",
            String::from_utf8_lossy(&stderr).trim()
        )
    })?;
    Ok(Verdict {
        code: status.code(),
        report,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    // One test, because a program that was just written must not be run while another test forks.
    #[tokio::test]
    async fn programs_are_run_as_told_reported_with_their_words_and_killed() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        let write = |script: &str| {
            std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        };
        let ready = r#"echo '{"ready":true,"url":"http://127.0.0.1:9/mcp"}'"#;

        write(&format!(
            "test \"$*\" = 'desk --listen 127.0.0.1:0' && {ready} && exec sleep 600"
        ));
        let alive = |id: u32| Path::new(&format!("/proc/{id}/cmdline")).exists();
        let desk = DeskProcess::start(&program).await.unwrap();
        assert_eq!(desk.url, "http://127.0.0.1:9/mcp");
        let id = desk.id;
        assert!(alive(id) || !cfg!(target_os = "linux"));
        desk.stop().await.unwrap();
        assert!(!alive(id));

        write("echo 'the port is busy' >&2; exit 3");
        let error = DeskProcess::start(&program)
            .await
            .err()
            .unwrap()
            .to_string();
        assert_eq!(
            error,
            "no line that says where the desk listens, but `` `the port is busy`"
        );
        let error = verify(&program, folder.path(), "key")
            .await
            .err()
            .unwrap()
            .to_string();
        assert_eq!(
            error,
            "exit status: 3 and no JSON line, but `the port is busy`"
        );

        write(
            r#"test "$1 $2 $3 $5 $6 $7" = 'log verify --dir --key key --json' && echo '{"ok":false,"index":7}'; exit 1"#,
        );
        let verdict = verify(&program, folder.path(), "key").await.unwrap();
        assert_eq!(
            (verdict.code, &verdict.report["index"]),
            (Some(1), &Value::from(7))
        );

        let error = DeskProcess::start(Path::new("/no/such/program"))
            .await
            .err()
            .unwrap()
            .to_string();
        assert_eq!(error, "cannot start `/no/such/program`");
    }
}
