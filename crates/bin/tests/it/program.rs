//! The program as a process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long a start may take.
pub(crate) const START: Duration = Duration::from_secs(10);

/// The same from start to start, while the port is another each time.
pub(crate) const ISSUER: &str = "https://id.example";

/// A running program, killed when it is dropped.
pub(crate) struct Program {
    child: Child,
    /// Where it answers.
    pub(crate) url: String,
}

impl Program {
    /// Starts the program on the data folder, as it comes.
    pub(crate) fn start(data: &Path) -> Self {
        Self::start_with(data, |_| {})
    }

    /// Starts the program with other arguments or surroundings.
    pub(crate) fn start_with(data: &Path, change: impl FnOnce(&mut Command)) -> Self {
        Self::try_start(data, change).unwrap_or_else(|why| panic!("it does not start: {why}"))
    }

    /// Starts the program; what it says on standard output when it ends instead of being ready.
    pub(crate) fn try_start(
        data: &Path,
        change: impl FnOnce(&mut Command),
    ) -> Result<Self, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chancery"));
        command.arg("--data").arg(data);
        command.args(["up", "--listen", "127.0.0.1:0", "--issuer", ISSUER]);
        command.arg("--json");
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHANCERY_")) {
            command.env_remove(name);
        }
        change(&mut command);
        let started = Instant::now();
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let took = started.elapsed();
        assert!(took < START, "a start takes {took:?}");
        let Ok(ready) = serde_json::from_str::<Value>(&line) else {
            let ended = child.wait().expect("its end");
            assert!(!ended.success(), "it ended well without being ready");
            return Err(format!("{ended}: `{line}`"));
        };
        let url = ready["url"].as_str().expect("a URL").to_owned();
        Ok(Self { child, url })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        self.url.strip_prefix("http://").expect("plain HTTP")
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The bytes of memory that it holds.
    pub(crate) fn memory(&self) -> u64 {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id()));
        let pages = statm.expect("its memory");
        let pages = pages.split_whitespace().nth(1).expect("the resident pages");
        pages.parse::<u64>().expect("a number") * 4_096
    }

    /// Kills the program where it stands.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// Tells the program to end, and waits until it has.
    pub(crate) fn end(mut self) {
        let mut tell = Command::new("kill");
        tell.arg(self.child.id().to_string());
        assert!(tell.status().expect("told").success());
        self.child.wait().expect("gone");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // One that was killed already refuses both, which is as good.
        let _killed = self.child.kill();
        let _gone = self.child.wait();
    }
}
