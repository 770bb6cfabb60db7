//! The program's socket against clients that send too much, or hardly anything.

use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::program::Program;

/// A program with a data folder that goes with it.
pub(crate) fn started() -> (Program, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    (Program::start(&folder.path().join("data")), folder)
}

/// Sends bytes on a connection of their own; the status of the answer, and 0 when there is none.
async fn status(program: &Program, bytes: &[u8]) -> u16 {
    let mut stream = connection(program).await;
    // A server that has heard enough may close before all is sent.
    let _cut_off = stream.write_all(bytes).await;
    first_status(&mut stream, Duration::from_secs(20)).await
}

async fn connection(program: &Program) -> TcpStream {
    let stream = TcpStream::connect(program.address()).await;
    stream.expect("a connection")
}

/// The status that comes within `limit`, and 0 when the server closes without one.
async fn first_status(stream: &mut TcpStream, limit: Duration) -> u16 {
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
    tokio::time::timeout(limit, reading).await.expect("an end");
    let line = String::from_utf8_lossy(&answer);
    line.get(9..12)
        .and_then(|status| status.parse().ok())
        .unwrap_or(0)
}

fn request(program: &Program, target: &str, headers: &str) -> Vec<u8> {
    let host = program.address();
    format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n{headers}\r\n").into_bytes()
}

/// An ordinary client is served, and soon.
pub(crate) async fn is_served(program: &Program) {
    let started = Instant::now();
    let answer = status(program, &request(program, "/healthz", "")).await;
    assert_eq!(answer, 200);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn dos_04_headers_and_urls_beyond_the_limit_are_refused() {
    let (program, _folder) = started();
    is_served(&program).await;
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
        let status = status(&program, &request(&program, target, headers)).await;
        assert!([0, 400, 414, 431].contains(&status), "{status}");
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    is_served(&program).await;
}

#[tokio::test]
async fn sec_03_there_is_nothing_for_debuggers_and_health_says_up_or_down() {
    let (program, _folder) = started();
    for path in [
        "/metrics",
        "/debug/pprof",
        "/debug/vars",
        "/version",
        "/actuator",
        "/.git/config",
        "/server-status",
    ] {
        let status = status(&program, &request(&program, path, "")).await;
        assert_eq!(status, 404, "{path}");
    }
    let status = status(&program, &request(&program, "/readyz", "")).await;
    assert_eq!(status, 200);
}

/// Sends a byte a second for as long as the server listens; how long that was.
async fn trickle(mut stream: TcpStream, byte: u8) -> Duration {
    let started = Instant::now();
    let mut rest = [0; 512];
    loop {
        let pause = tokio::time::sleep(Duration::from_secs(1));
        tokio::select! {
            read = stream.read(&mut rest) => if !matches!(read, Ok(1..)) { break },
            () = pause => if stream.write_all(&[byte]).await.is_err() { break },
        }
        assert!(started.elapsed() < Duration::from_secs(60), "never let go");
    }
    started.elapsed()
}

/// Two hundred clients that trickle after `beginning` are let go within `limit`, and hold up nobody.
async fn all_are_let_go(beginning: &[u8], limit: Duration) {
    let (program, _folder) = started();
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = connection(&program).await;
        stream.write_all(beginning).await.expect("sent");
        slow.push(tokio::spawn(trickle(stream, b'a')));
    }
    is_served(&program).await;
    for client in slow {
        let held = client.await.expect("a task");
        assert!(held < limit, "held for {held:?}");
        is_served(&program).await;
    }
}

#[tokio::test]
async fn dos_02_client_that_does_not_finish_its_headers_is_let_go_and_holds_up_nobody() {
    all_are_let_go(b"GET /healthz HTTP/1.1\r\nhost:", Duration::from_secs(20)).await;
}

#[tokio::test]
async fn dos_02_client_that_does_not_finish_its_body_is_let_go_and_holds_up_nobody() {
    let beginning = b"POST /oauth/token HTTP/1.1\r\nhost: id.example\r\n\
        content-type: application/x-www-form-urlencoded\r\ncontent-length: 1000\r\n\r\n";
    all_are_let_go(beginning, Duration::from_secs(40)).await;
}

#[tokio::test]
async fn dos_02_what_a_stranger_asks_to_have_decided_is_not_even_read() {
    let (program, _folder) = started();
    for path in ["evaluation", "evaluations"] {
        let beginning = format!(
            "POST /access/v1/{path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: 1000\r\n\r\n",
            program.address()
        );
        let started = Instant::now();
        assert_eq!(status(&program, beginning.as_bytes()).await, 401, "{path}");
        assert!(started.elapsed() < Duration::from_secs(5), "{path}");
    }
}

#[tokio::test]
async fn dos_02_client_that_reads_nothing_is_let_go() {
    let (program, _folder) = started();
    // With little room for what it does not read, the server soon cannot write.
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("little room");
    let address = program.address().parse().expect("an address");
    let mut stream = socket.connect(address).await.expect("a connection");
    let asked = request(&program, "/console/", "").repeat(100);
    let started = Instant::now();
    // Our writes end when the server, which cannot write, reads no more; they fail when it has let go.
    let asking = async { while stream.write_all(&asked).await.is_ok() {} };
    let let_go = tokio::time::timeout(Duration::from_secs(150), asking).await;
    let_go.expect("let go by the server");
    assert!(started.elapsed() > Duration::from_secs(30), "not at once");
    is_served(&program).await;
}

#[tokio::test]
async fn dos_02_connection_that_asks_nothing_more_is_closed() {
    let (program, _folder) = started();
    let silent = connection(&program).await;
    let mut idle = connection(&program).await;
    let asked = request(&program, "/healthz", "");
    for _ in 0..3 {
        // In use it is kept.
        idle.write_all(&asked).await.expect("sent");
        assert_eq!(first_status(&mut idle, Duration::from_secs(5)).await, 200);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    for mut stream in [silent, idle] {
        let mut rest = Vec::new();
        let closing = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut rest));
        let _how = closing.await.expect("closed by the server");
    }
    is_served(&program).await;
}
