//! One process: its streams, and who waits for which answer.

use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use chancery_wire::mcp::{FromServer, Id};
use serde_json::{Map, Value};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, MissedTickBehavior};

use super::super::asked::notice;
use super::super::{MESSAGE, Outcome, Reach, UpstreamError, answer_to_server, incoming};
use super::{Waiter, Waiters};
use crate::watch::Watch;

/// How long a process lives that nobody uses.
const IDLE: Duration = Duration::from_secs(600);
/// How often idleness and abandonment are looked for.
const TICK: Duration = Duration::from_secs(15);
/// How many of our messages wait to be written.
const OUTBOX: usize = 64;
/// How long a process may leave its input unread.
const UNREAD: Duration = Duration::from_secs(10);

/// A running server process.
pub(super) struct Process {
    outbox: mpsc::Sender<Vec<u8>>,
    last_id: AtomicU64,
    book: Mutex<Book>,
}

/// Held for a few map operations only, never across an await.
struct Book {
    waiters: Waiters,
    gone: bool,
    used_at: Instant,
}

impl Process {
    /// Starts the process: fixed arguments, no shell, an environment that holds what it is given.
    pub(super) fn launch(
        command: &str,
        args: &[String],
        reach: &Reach,
        watch: Watch,
    ) -> Result<Arc<Self>, UpstreamError> {
        let slot = Arc::clone(&reach.processes).try_acquire_owned();
        let slot = slot.map_err(|_| UpstreamError::Busy)?;
        let mut launched = Command::new(command);
        launched
            .args(args)
            .env_clear()
            .envs(reach.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        #[cfg(unix)]
        launched.process_group(0);
        let mut child = launched.spawn().map_err(|error| {
            tracing::warn!(%error, "server process cannot be started");
            UpstreamError::Unreachable
        })?;
        let streams = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = streams else {
            return Err(UpstreamError::Unreachable);
        };
        let (outbox, messages) = mpsc::channel(OUTBOX);
        let process = Arc::new(Self {
            outbox,
            last_id: AtomicU64::new(0),
            book: Mutex::new(Book {
                waiters: Waiters::new(),
                gone: false,
                used_at: Instant::now(),
            }),
        });
        tokio::spawn(write_messages(stdin, messages));
        tokio::spawn(drain(stderr));
        let reader = Reader {
            process: Arc::downgrade(&process),
            lines: Lines::new(stdout),
            watch,
        };
        tokio::spawn(reader.run(child, slot));
        Ok(process)
    }

    pub(super) fn is_gone(&self) -> bool {
        self.book().gone
    }

    pub(super) fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Notes who waits for the answer to `id`.
    pub(super) fn expect(&self, id: u64, waiter: Waiter) -> Result<(), UpstreamError> {
        let mut book = self.book();
        if book.gone {
            return Err(UpstreamError::Closed);
        }
        book.used_at = Instant::now();
        book.waiters.insert(id, waiter);
        Ok(())
    }

    /// Nobody waits for `id` any more; the process is told if it still works on it.
    pub(super) fn withdraw(&self, id: u64) {
        let waited = self.book().waiters.remove(&id);
        if waited.is_some() {
            let params = [("requestId".to_owned(), Value::from(id))];
            let told = notice("notifications/cancelled", Map::from_iter(params));
            // A full outbox means a process that reads nothing: telling it more is no use.
            let _ = self.outbox.try_send(told);
        }
    }

    /// Hands a message to the writer.
    pub(super) async fn write(&self, message: Vec<u8>) -> Result<(), UpstreamError> {
        let sent = self.outbox.send_timeout(message, UNREAD).await;
        sent.map_err(|_| UpstreamError::Closed)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Nothing panics while it holds the book; if it did, the book would still be whole.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        let mut book = self.book();
        book.gone = true;
        book.waiters.clear();
    }

    fn is_idle(&self) -> bool {
        let book = self.book();
        book.waiters.is_empty() && book.used_at.elapsed() >= IDLE
    }

    fn settle(&self, id: Option<&Id>, outcome: Outcome) {
        let Some(Id::Number(id)) = id else { return };
        let waiter = u64::try_from(*id)
            .ok()
            .and_then(|id| self.book().waiters.remove(&id));
        if let Some(waiter) = waiter {
            // Whoever waited may have gone away meanwhile.
            let _ = waiter.settle.send(outcome);
        }
    }

    /// Gives a notification to the request that it belongs to; only progress says which one that is.
    fn tell(&self, method: String, mut params: Map<String, Value>) {
        if method != "notifications/progress" {
            return;
        }
        let Some(token) = params.get_mut("progressToken") else {
            return;
        };
        let Some(id) = token.as_u64() else { return };
        let book = self.book();
        let Some(waiter) = book.waiters.get(&id) else {
            return;
        };
        let Some(own) = &waiter.token else { return };
        *token = own.clone();
        // Progress that nobody reads in time is dropped.
        let _ = waiter.tell.try_send((method, params));
    }
}

/// Owns the child: when this ends, the process ends.
struct Reader {
    process: Weak<Process>,
    lines: Lines<ChildStdout>,
    watch: Watch,
}

impl Reader {
    async fn run(mut self, mut child: Child, _slot: OwnedSemaphorePermit) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                line = self.lines.next() => match line {
                    Ok(Some(line)) => {
                        let Some(process) = self.process.upgrade() else { break };
                        self.take(&process, &line);
                    }
                    Ok(None) => break,
                    Err(LineTooLong) => {
                        tracing::warn!("server process wrote a line that is too long");
                        break;
                    }
                },
                _ = tick.tick() => {
                    if self.process.upgrade().is_none_or(|process| process.is_idle()) {
                        break;
                    }
                }
            }
        }
        if let Some(process) = self.process.upgrade() {
            process.close();
        }
        if let Err(error) = child.kill().await {
            tracing::debug!(%error, "server process could not be ended");
        }
    }

    fn take(&self, process: &Process, line: &[u8]) {
        match incoming(line) {
            Ok(FromServer::Answer { id, outcome }) => process.settle(id.as_ref(), outcome),
            Ok(FromServer::Request { id, method }) => {
                let answer = answer_to_server(&id, &method).to_string().into_bytes();
                // A full outbox means that the server does not read: then it cannot wait for this.
                let _ = process.outbox.try_send(answer);
            }
            Ok(FromServer::Notification { method, params }) => {
                if method == "notifications/tools/list_changed" {
                    self.watch.forget();
                }
                process.tell(method, params);
            }
            // Some servers print to the stream that is for messages.
            Err(_) => tracing::debug!(line.bytes = line.len(), "server process wrote no message"),
        }
    }
}

async fn write_messages(mut stdin: ChildStdin, mut messages: mpsc::Receiver<Vec<u8>>) {
    while let Some(mut message) = messages.recv().await {
        message.push(b'\n');
        let written = async {
            stdin.write_all(&message).await?;
            stdin.flush().await
        };
        match tokio::time::timeout(UNREAD, written).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return,
        }
    }
}

/// Reads what the process prints for people, so that it never blocks; only how much is noted.
async fn drain(mut stderr: ChildStderr) {
    let mut buffer = [0; 4096];
    let mut bytes: u64 = 0;
    while let Ok(read @ 1..) = stderr.read(&mut buffer).await {
        bytes = bytes.saturating_add(read as u64);
    }
    tracing::debug!(
        stderr.bytes = bytes,
        "server process closed its error stream"
    );
}

/// A line is longer than a message may be.
struct LineTooLong;

/// Lines, bounded; what was read of one survives when reading is interrupted.
struct Lines<R> {
    reader: BufReader<R>,
    partial: Vec<u8>,
}

impl<R: tokio::io::AsyncRead + Unpin> Lines<R> {
    fn new(stream: R) -> Self {
        Self {
            reader: BufReader::new(stream),
            partial: Vec::new(),
        }
    }

    /// The next line that is not empty, without its end; `None` when the stream has ended.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, LineTooLong> {
        loop {
            let Ok(buffer) = self.reader.fill_buf().await else {
                return Ok(None);
            };
            if buffer.is_empty() {
                return Ok(None);
            }
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let taken = end.unwrap_or(buffer.len());
            if self.partial.len() + taken > MESSAGE.bytes {
                return Err(LineTooLong);
            }
            self.partial.extend_from_slice(&buffer[..taken]);
            self.reader.consume(taken + usize::from(end.is_some()));
            if end.is_some() {
                let line = std::mem::take(&mut self.partial);
                if !line.trim_ascii().is_empty() {
                    return Ok(Some(line));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_whole_and_bounded() {
        let mut lines = Lines::new(&b"{}\n\n \r\n[1]\nrest"[..]);
        let mut read = Vec::new();
        while let Ok(Some(line)) = lines.next().await {
            read.push(line);
        }
        assert_eq!(read, [b"{}".to_vec(), b"[1]".to_vec()]);
        let long = vec![b'x'; MESSAGE.bytes + 1];
        assert!(Lines::new(&long[..]).next().await.is_err());
    }
}
