//! Running commands in tests: a world that stands still, streams that are kept, and a server to talk to.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, OnceLock};

use chancery_client::presence::{Nonce, PresenceKey};
use chancery_model::entropy::Entropy;
use chancery_model::time::{Clock, Timestamp};
use serde_json::Value;

use crate::args::tests::asked;
use crate::output::Output;
use crate::run::{World, run_to};

/// Randomness that is always the same.
pub(crate) struct Seeded;

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        Timestamp::from_secs(1_800_000_000)
    }
}

/// How a command ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: u8,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    /// The JSON on the standard output, or else that on the standard error.
    pub(crate) fn json(&self) -> Value {
        let out = serde_json::from_str(&self.out);
        out.or_else(|_| serde_json::from_str(&self.err))
            .unwrap_or(Value::Null)
    }
}

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("a lock").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn text(&self) -> String {
        let bytes = self.0.lock().expect("a lock").clone();
        anstream::adapter::strip_str(&String::from_utf8_lossy(&bytes)).to_string()
    }
}

/// Runs a command line to its end.
pub(crate) fn run(line: &str) -> Ended {
    let asked = asked(line);
    let world = World {
        clock: &Stopped,
        entropy: Arc::new(Seeded),
        stdout_is_terminal: false,
        stderr_is_terminal: false,
    };
    let (out, err) = (Kept::default(), Kept::default());
    let output = Output::captured(asked.json, Box::new(out.clone()), Box::new(err.clone()));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let exit = runtime.block_on(run_to(asked, &world, output));
    Ended {
        code: exit.code(),
        out: out.text(),
        err: err.text(),
    }
}

/// Serves what `answer` says for `METHOD /path` until the test's process ends; gives the address.
pub(crate) fn serve(answer: impl Fn(&str) -> (&'static str, Vec<u8>) + Send + 'static) -> String {
    kept(answer).0
}

/// Serves as [`serve`] does, and keeps the whole text of every request.
pub(crate) fn kept(
    answer: impl Fn(&str) -> (&'static str, Vec<u8>) + Send + 'static,
) -> (String, Arc<Mutex<Vec<String>>>) {
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let text = request(&mut stream);
            let asked = text.split(" HTTP/").next().unwrap_or_default().to_owned();
            seen.lock().expect("a lock").push(text);
            let (status, body) = answer(&asked);
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    (url, requests)
}

/// Serves as [`kept`] does, and proves that it is the authority whose data folder holds `key`.
pub(crate) fn authority(
    key: &str,
    answer: impl Fn(&str) -> (&'static str, Vec<u8>) + Send + 'static,
) -> (String, Arc<Mutex<Vec<String>>>) {
    let key = PresenceKey::parse(key).expect("a key");
    let own = Arc::new(OnceLock::new());
    let address = Arc::clone(&own);
    let served = kept(move |asked| {
        let nonce = asked.split_once("?nonce=").map(|(_, nonce)| nonce);
        match (nonce, own.get()) {
            (Some(nonce), Some(address)) => {
                let nonce = Nonce::parse(nonce).expect("a nonce");
                let proof = serde_json::to_vec(&key.prove(&nonce, *address));
                ("200 OK", proof.expect("JSON"))
            }
            _ => answer(asked),
        }
    });
    let listens = served.0.strip_prefix("http://").expect("plain HTTP");
    let listens: SocketAddr = listens.parse().expect("an address");
    address.set(listens).expect("set once");
    served
}

/// The whole text of a request: its head, and as much of a body as the head announces.
fn request(stream: &mut impl std::io::Read) -> String {
    let mut bytes = Vec::new();
    let mut piece = [0; 64 * 1024];
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_lowercase().lines().find_map(|line| {
                let length = line.strip_prefix("content-length: ")?;
                length.parse::<usize>().ok()
            });
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        let read = stream.read(&mut piece).expect("a request");
        assert!(read > 0, "the request ends early");
        bytes.extend_from_slice(&piece[..read]);
    }
}
