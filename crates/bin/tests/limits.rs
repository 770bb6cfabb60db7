//! The real program's socket against clients that send too much, or hardly anything.
#![allow(
    clippy::disallowed_methods,
    reason = "a test outside the program has the machine's clock"
)]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A running program, killed when it is dropped.
struct Program {
    child: Child,
    address: String,
    _data: tempfile::TempDir,
}

impl Program {
    fn start() -> Self {
        let data = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_chancery"));
        command.arg("--data").arg(data.path().join("data"));
        command.args(["up", "--listen", "127.0.0.1:0", "--json"]);
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHANCERY_")) {
            command.env_remove(name);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).expect("ready");
        let url = ready["url"].as_str().expect("a URL");
        let address = url.strip_prefix("http://").expect("plain HTTP").to_owned();
        Self {
            child,
            address,
            _data: data,
        }
    }

    /// Sends bytes on a connection of their own; the status of the answer, and 0 when there is none.
    async fn status(&self, bytes: &[u8]) -> u16 {
        let mut stream = TcpStream::connect(&self.address)
            .await
            .expect("a connection");
        // A server that has heard enough may close before all is sent.
        let _cut_off = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        let mut first = [0; 512];
        let reading = async {
            while let Ok(read @ 1..) = stream.read(&mut first).await {
                answer.extend_from_slice(&first[..read]);
                if answer.len() > 12 {
                    break;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reading)
            .await
            .expect("an end");
        let line = String::from_utf8_lossy(&answer);
        line.get(9..12)
            .and_then(|status| status.parse().ok())
            .unwrap_or(0)
    }

    fn request(&self, target: &str, headers: &str) -> Vec<u8> {
        format!(
            "GET {target} HTTP/1.1\r\nhost: {}\r\n{headers}\r\n",
            self.address
        )
        .into_bytes()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // One that ended by itself refuses both, which is as good.
        let _killed = self.child.kill();
        let _gone = self.child.wait();
    }
}

#[tokio::test]
async fn dos_04_headers_and_urls_beyond_the_limit_are_refused() {
    let program = Program::start();
    assert_eq!(program.status(&program.request("/healthz", "")).await, 200);
    let many: String = (0..10_000)
        .map(|number| format!("x-{number}: y\r\n"))
        .collect();
    let long = format!("x-long: {}\r\n", "y".repeat(1 << 20));
    let cookie = format!("cookie: a={}\r\n", "y".repeat(1 << 20));
    for (target, headers) in [
        ("/healthz", many.as_str()),
        ("/healthz", &long),
        ("/healthz", &cookie),
        (&format!("/{}", "y".repeat(64 << 10)), ""),
        (&format!("/healthz?{}", "y".repeat(1 << 20)), ""),
    ] {
        let started = Instant::now();
        let status = program.status(&program.request(target, headers)).await;
        assert!([0, 400, 414, 431].contains(&status), "{status}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    assert_eq!(program.status(&program.request("/healthz", "")).await, 200);
}

#[tokio::test]
async fn sec_03_there_is_nothing_for_debuggers_and_health_says_up_or_down() {
    let program = Program::start();
    for path in [
        "/metrics",
        "/debug/pprof",
        "/debug/vars",
        "/version",
        "/actuator",
        "/.git/config",
        "/server-status",
    ] {
        assert_eq!(
            program.status(&program.request(path, "")).await,
            404,
            "{path}"
        );
    }
    assert_eq!(program.status(&program.request("/readyz", "")).await, 200);
}

#[tokio::test]
async fn dos_02_client_that_does_not_finish_its_headers_is_let_go_and_holds_up_nobody() {
    let program = Program::start();
    let mut slow = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(&program.address)
            .await
            .expect("a connection");
        stream
            .write_all(b"GET /healthz HTTP/1.1\r\nhost:")
            .await
            .expect("sent");
        slow.push(stream);
    }
    assert_eq!(program.status(&program.request("/healthz", "")).await, 200);
    let started = Instant::now();
    let mut rest = Vec::new();
    let first = slow.first_mut().expect("a connection");
    let closing = tokio::time::timeout(Duration::from_secs(15), first.read_to_end(&mut rest));
    let _how = closing.await.expect("closed by the server");
    assert!(started.elapsed() < Duration::from_secs(15));
}
