//! Cores and processor time: who runs where, and what it used.

use std::fs;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// The core that servers run on.
const SERVER: usize = 0;
/// The core that the client and the upstream servers run on.
const CLIENT: usize = 1;

/// On which side of a measurement something runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// What is measured.
    Server,
    /// What asks, and what is asked in turn.
    Client,
}

impl Side {
    /// A command that will run `program` on this side's core.
    pub(crate) fn command(self, program: &std::path::Path) -> tokio::process::Command {
        let mut command = tokio::process::Command::new("taskset");
        command.args(["--cpu-list", &self.core().to_string()]);
        command.arg(program);
        command
    }

    fn core(self) -> usize {
        match self {
            Self::Server => SERVER,
            Self::Client => CLIENT,
        }
    }
}

/// Moves this process to the client's core; refused on a machine with one core.
pub(crate) fn take_client_side() -> Result<()> {
    let cores = std::thread::available_parallelism()?.get();
    if cores < 2 {
        bail!("the bench needs two cores: one for the server and one for the client");
    }
    let pinned = Command::new("taskset")
        .args(["--all-tasks", "--cpu-list", "--pid"])
        .args([CLIENT.to_string(), std::process::id().to_string()])
        .output()
        .context("`taskset` is needed; Debian has it in `util-linux`")?;
    if !pinned.status.success() {
        bail!(
            "`taskset`: {}",
            String::from_utf8_lossy(&pinned.stderr).trim()
        );
    }
    Ok(())
}

/// The processor time that all threads of a process have used.
pub(crate) fn used_by(process: u32) -> Result<Duration> {
    let threads = fs::read_dir(format!("/proc/{process}/task"))
        .with_context(|| format!("process {process} is gone"))?;
    let mut total = 0;
    for thread in threads.flatten() {
        // A thread that ended meanwhile has no more to say.
        if let Ok(text) = fs::read_to_string(thread.path().join("schedstat")) {
            total += first_number(&text)?;
        }
    }
    Ok(Duration::from_nanos(total))
}

/// The processor time that this process has used.
pub(crate) fn used_here() -> Result<Duration> {
    used_by(std::process::id())
}

/// The resident memory of a process, in MiB.
pub(crate) struct Memory {
    /// What it holds.
    pub(crate) now: f64,
    /// The most that it held since it began.
    pub(crate) most: f64,
}

/// What a process holds in memory.
pub(crate) fn memory(process: u32) -> Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let told = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let kibibytes = first_number(line.context("no resident memory is told")?)?;
        anyhow::Ok(kibibytes as f64 / 1024.0)
    };
    Ok(Memory {
        now: told("VmRSS:")?,
        most: told("VmHWM:")?,
    })
}

fn first_number(text: &str) -> Result<u64> {
    let word = text.split_whitespace().next().unwrap_or("");
    word.parse()
        .with_context(|| format!("`{word}` is not a number"))
}

/// What the report says about the machine.
pub(crate) fn machine() -> Vec<(&'static str, String)> {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("");
    let cores = cpus
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kibibytes = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| first_number(rest).ok())
        .unwrap_or(0);
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    vec![
        (
            "processor",
            model.trim_start_matches([' ', '\t', ':']).to_owned(),
        ),
        (
            "cores",
            format!("{cores} (server on {SERVER}, client on {CLIENT})"),
        ),
        ("memory", format!("{} GiB", kibibytes / 1024 / 1024)),
        (
            "kernel",
            read("/proc/sys/kernel/osrelease").trim().to_owned(),
        ),
        ("load average", read("/proc/loadavg").trim().to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_as_processor_time() {
        let before = used_here().unwrap();
        let mut digest = 0_u64;
        while used_here().unwrap() < before + Duration::from_millis(5) {
            digest = std::hint::black_box(digest.wrapping_mul(31).wrapping_add(7));
        }
    }

    #[test]
    fn memory_is_never_more_than_it_was_at_most() {
        let memory = memory(std::process::id()).unwrap();
        assert!(0.0 < memory.now && memory.now <= memory.most);
    }
}
