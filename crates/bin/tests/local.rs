//! What commands on this machine rely on: the data folder of the real program, the credential in it, and who gets it.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test outside the program has the machine's clock and sockets"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chancery_store::connect::{DatabaseUrl, Store};
use chancery_store::log;
use serde_json::Value;

/// A running program, killed when it is dropped.
struct Program {
    child: Child,
    url: String,
}

fn command(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chancery"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CHANCERY_")) {
        command.env_remove(name);
    }
    command.arg("--data").arg(data);
    command
}

impl Program {
    fn start(data: &Path) -> Self {
        let mut command = command(data);
        command.args(["up", "--listen", "127.0.0.1:0", "--json"]);
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the program");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let ready: Value = serde_json::from_str(&line).expect("ready");
        let url = ready["url"].as_str().expect("a URL").to_owned();
        Self { child, url }
    }

    /// Kills the program where it stands, so that it takes nothing down.
    fn kill(mut self) -> String {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
        std::mem::take(&mut self.url)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // One that was killed already refuses both, which is as good.
        let _killed = self.child.kill();
        let _gone = self.child.wait();
    }
}

fn run(data: &Path, words: &[&str]) -> Output {
    command(data).args(words).output().expect("the program")
}

/// Listens at `address` and answers everything with `{}`; keeps all that it was sent.
fn stranger(address: &str) -> Arc<Mutex<Vec<u8>>> {
    let listener = TcpListener::bind(address).expect("the port of the one that was killed");
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heard);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut bytes = [0; 4096];
            let read = stream.read(&mut bytes).unwrap_or(0);
            kept.lock()
                .expect("a lock")
                .extend_from_slice(&bytes[..read]);
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
            // One that has heard enough may have gone.
            let _sent = stream.write_all(answer);
        }
    });
    heard
}

#[test]
fn what_takes_the_port_of_a_killed_authority_is_not_sent_the_credential() {
    let outside = tempfile::tempdir().expect("a folder");
    let data = outside.path().join("data");
    let program = Program::start(&data);
    let whoami = run(&data, &["whoami", "--json"]);
    let told = String::from_utf8_lossy(&whoami.stdout).into_owned();
    assert_eq!(whoami.status.code(), Some(0), "{told}");
    assert!(told.contains("local_administrator"), "{told}");

    let url = program.kill();
    let address = url.strip_prefix("http://").expect("plain HTTP");
    assert!(
        data.join("server.json").exists(),
        "it had no time to clean up"
    );
    let heard = stranger(address);
    for words in [
        &["whoami"][..],
        &["whoami", "--url", &url],
        &["agent", "list"],
        &["log", "tail", "-f"],
    ] {
        let refused = run(&data, words);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(3), "{words:?}: {told}");
        assert!(told.contains("nothing was sent to it"), "{told}");
        assert!(told.contains("chancery up"), "{told}");
    }
    let credential = std::fs::read_to_string(data.join("admin.token")).expect("the credential");
    let heard = String::from_utf8_lossy(&heard.lock().expect("a lock")).into_owned();
    assert_eq!(
        heard
            .matches("GET /.well-known/chancery/presence?nonce=")
            .count(),
        4,
        "{heard}"
    );
    assert!(!heard.contains(credential.trim()) && !heard.to_lowercase().contains("authorization"));

    let again = Program::start(&data);
    assert_ne!(again.url, url, "the stranger has that port");
    assert_eq!(run(&data, &["whoami"]).status.code(), Some(0));
}

/// Why the program does not start on `data`.
fn refused(data: &Path) -> String {
    let mut command = command(data);
    command.args(["up", "--listen", "127.0.0.1:0", "--json"]);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program");
    let mut line = String::new();
    let output = child.stdout.take().expect("its output");
    BufReader::new(output).read_line(&mut line).expect("an end");
    if !line.is_empty() {
        child.kill().expect("killed");
    }
    let told = child.wait_with_output().expect("its end").stderr;
    assert_eq!(line, "", "it started");
    String::from_utf8_lossy(&told).into_owned()
}

#[test]
fn stor_03_a_data_folder_without_its_database_is_not_founded_anew() {
    let outside = tempfile::tempdir().expect("a folder");
    let (data, other) = (outside.path().join("data"), outside.path().join("other"));
    for folder in [&data, &other] {
        let program = Program::start(folder);
        assert_eq!(run(folder, &["status"]).status.code(), Some(0));
        program.kill();
    }
    let key = std::fs::read(data.join("log.key")).expect("a key");
    let backup = outside.path().join("backup");
    std::fs::create_dir(&backup).expect("a folder");
    let files = [
        "chancery.db",
        "chancery.db-wal",
        "chancery.db-shm",
        "chancery.db-entries",
    ];
    for file in files {
        std::fs::rename(data.join(file), backup.join(file)).expect("moved");
    }
    assert!(refused(&data).contains("missing or empty"));
    std::fs::write(data.join("chancery.db"), "").expect("written");
    assert!(refused(&data).contains("missing or empty"));
    // That of another authority, with all that opens it.
    let master = std::fs::read(data.join("master.key")).expect("a key");
    for file in files.iter().chain(&["master.key"]) {
        std::fs::copy(other.join(file), data.join(file)).expect("copied");
    }
    let told = refused(&data);
    assert!(told.contains("not the one that belongs here"), "{told}");
    assert_eq!(std::fs::read(data.join("log.key")).expect("a key"), key);
    // Its twin: with its own again it is the authority that it was.
    for file in files {
        let _none = std::fs::remove_file(data.join(file));
        std::fs::rename(backup.join(file), data.join(file)).expect("moved");
    }
    std::fs::write(data.join("master.key"), master).expect("written");
    let _again = Program::start(&data);
    let mut verified = run(&data, &["log", "verify"]);
    // One that was killed in its first moments had sealed nothing.
    while verified.status.code() == Some(2) {
        std::thread::sleep(Duration::from_millis(50));
        verified = run(&data, &["log", "verify"]);
    }
    let told = String::from_utf8_lossy(&verified.stderr).into_owned();
    assert_eq!(verified.status.code(), Some(0), "{told}");
}

#[test]
fn a_nonce_that_is_none_is_refused() {
    let outside = tempfile::tempdir().expect("a folder");
    let program = Program::start(&outside.path().join("data"));
    let address = program.url.strip_prefix("http://").expect("plain HTTP");
    let status = |query: &str| {
        let mut stream = std::net::TcpStream::connect(address).expect("a connection");
        let request = format!(
            "GET /.well-known/chancery/presence{query} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
            .get(9..12)
            .and_then(|status| status.parse::<u16>().ok())
    };
    let nonce = "A".repeat(43);
    assert_eq!(status(&format!("?nonce={nonce}")), Some(200));
    for bad in [
        String::new(),
        "?nonce=".to_owned(),
        format!("?nonce={nonce}A"),
        format!("?nonce={nonce}&nonce={nonce}"),
        format!("?other={nonce}"),
        format!("?nonce={}=", &nonce[1..]),
    ] {
        assert_eq!(status(&bad), Some(400), "{bad}");
    }
}

#[test]
fn somebody_elses_folder_is_not_taken_over() {
    let outside = tempfile::tempdir().expect("a folder");
    let shared = outside.path().join("shared");
    std::fs::create_dir(&shared).expect("made");
    std::fs::write(shared.join("notes.txt"), "somebody's").expect("written");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&shared, open).expect("set");
    let refused = run(&shared, &["up", "--listen", "127.0.0.1:0", "--json"]);
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    assert!(
        told.contains(&format!("chmod 700 {}", shared.display())),
        "{told}"
    );
    let mode = std::fs::metadata(&shared)
        .expect("it is there")
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o755);
    assert_eq!(std::fs::read_dir(&shared).expect("readable").count(), 1);
}

/// The head of the record, once it is as `wanted`.
async fn head(data: &Path, wanted: impl Fn(&log::Head) -> bool) -> log::Head {
    let started = Instant::now();
    let url = DatabaseUrl::Sqlite(data.join("chancery.db"));
    let (store, _) = Store::open_as_it_is(&url).await.expect("it opens");
    loop {
        let mut tx = store.read().await.expect("a transaction");
        let head = log::fetch_head(&mut tx).await.expect("readable");
        if let Some(head) = head.filter(&wanted) {
            return head;
        }
        assert!(
            started.elapsed() < Duration::from_secs(20),
            "nothing is sealed"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_process_that_starts_again_seals_under_the_name_of_the_one_before() {
    let outside = tempfile::tempdir().expect("a folder");
    let data = outside.path().join("data");
    let program = Program::start(&data);
    let before = head(&data, |head| head.size > 0).await;
    assert!(before.holder.starts_with("first-"), "{}", before.holder);
    program.kill();

    // Another port than before is an event, so there is something to seal.
    let program = Program::start(&data);
    let after = head(&data, |head| head.size > before.size).await;
    assert_eq!(after.holder, before.holder);

    // A second process on the same database has a name of its own, and takes over when the first is gone.
    let second = Program::start(&data);
    program.kill();
    let added = run(&data, &["owner", "add", "alice@example.com"]);
    assert_eq!(added.status.code(), Some(0));
    let last = head(&data, |head| {
        head.size > after.size && head.holder != before.holder
    })
    .await;
    assert!(last.holder.starts_with("req_"), "{}", last.holder);
    drop(second);
}

/// Pages are opened at `localhost`, and whoever has one of its two addresses could be taken for us.
#[test]
fn web_05_nobody_else_listens_at_the_port_of_localhost() {
    let data = tempfile::tempdir().expect("a folder");
    let Ok(other) = TcpListener::bind("[::1]:0") else {
        // Without the other address there is nobody to be mistaken for us.
        return;
    };
    let port = other.local_addr().expect("an address").port();
    let listen = format!("127.0.0.1:{port}");
    let words = ["up", "--listen", &listen, "--json"];
    let output = run(data.path(), &words);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("somebody else listens"), "{said}");

    let program = Program::start(data.path());
    let port = program.url.rsplit(':').next().expect("a port");
    for address in ["127.0.0.1", "[::1]"] {
        let mut stream = std::net::TcpStream::connect(format!("{address}:{port}")).expect(address);
        let request =
            format!("GET /healthz HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("asked");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{address}: {answer}");
    }
}
