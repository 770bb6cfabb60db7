//! Group commit: events that change no row wait together for one flush.
//!
//! While one flush is under way, the next batch gathers; so the cost of a flush is shared by all who
//! asked during the one before. Once several ask at a time, a batch gathers a little longer, so that
//! flushing takes a small part of the time whatever the disk; who asks alone never waits for others.
//! An answer comes only after the flush.

use std::time::Duration;

use chancery_model::event::Event;
use chancery_model::id::EventId;
use chancery_model::time::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::connect::Store;
use crate::error::StoreError;
use crate::one_time::{OneTime, Used};
use crate::outbox;

/// The most events in one batch.
const BATCH: usize = 4_096;
/// While several ask at a time, a flush begins no sooner than so many times what the last one took after it began.
const SHARE: u32 = 10;
/// The longest that a batch gathers.
const GATHER: Duration = Duration::from_millis(4);
/// The most events that may wait; beyond it callers are refused at once.
const WAITING: usize = 16_384;

/// Where events go that change no row.
#[derive(Clone)]
pub struct Journal {
    queue: mpsc::Sender<Waiting>,
}

struct Waiting {
    id: EventId,
    at: Timestamp,
    line: String,
    uses: Vec<OneTime>,
    answer: oneshot::Sender<Result<(), AppendError>>,
}

/// Why an event did not become durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// What the event uses was used before; the event was not recorded.
    #[error("used before")]
    Replayed,
    /// More events wait than the journal holds; try later.
    #[error("the journal is full")]
    Full,
    /// The event is longer than an entry of the log may be.
    #[error("the event is too large")]
    TooLarge,
    /// The database cannot write.
    #[error("the record cannot be written")]
    Unavailable,
}

impl Journal {
    /// Starts the one writer of this process.
    pub fn start(store: Store) -> Self {
        let (queue, waiting) = mpsc::channel(WAITING);
        tokio::spawn(write_batches(store, waiting));
        Self { queue }
    }

    /// Resolves once `event` is durable.
    pub async fn append(&self, event: Event) -> Result<(), AppendError> {
        self.enqueue(event, Vec::new()).await
    }

    /// Records `event` and uses all of `uses` in the same flush; refused when one was used before (SI-4).
    pub async fn append_once(&self, event: Event, uses: Vec<OneTime>) -> Result<(), AppendError> {
        self.enqueue(event, uses).await
    }

    async fn enqueue(&self, event: Event, uses: Vec<OneTime>) -> Result<(), AppendError> {
        let (answer, answered) = oneshot::channel();
        let (id, at) = (event.id, event.at);
        let line = outbox::line(event).map_err(|_| AppendError::TooLarge)?;
        let waiting = Waiting {
            id,
            at,
            line,
            uses,
            answer,
        };
        self.queue
            .try_send(waiting)
            .map_err(|refused| match refused {
                mpsc::error::TrySendError::Full(_) => AppendError::Full,
                mpsc::error::TrySendError::Closed(_) => AppendError::Unavailable,
            })?;
        answered.await.unwrap_or(Err(AppendError::Unavailable))
    }
}

async fn write_batches(store: Store, mut queue: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::new();
    let mut used = Used::default();
    let mut due = Instant::now();
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        if due > Instant::now() {
            sleep_until(due).await;
        }
        while batch.len() < BATCH
            && let Ok(more) = queue.try_recv()
        {
            batch.push(more);
        }
        let began = Instant::now();
        let answers = match write_with_retries(&store, &mut used, &batch).await {
            Ok(answers) => answers,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the journal cannot write"
                );
                vec![Err(AppendError::Unavailable); batch.len()]
            }
        };
        due = match batch.len() {
            1 => began,
            _ => began + GATHER.min(began.elapsed() * SHARE),
        };
        for (waiting, answer) in batch.drain(..).zip(answers) {
            // Whoever asked may have gone; the event is durable all the same.
            let _gone = waiting.answer.send(answer);
        }
    }
}

async fn write_with_retries(
    store: &Store,
    used: &mut Used,
    batch: &[Waiting],
) -> Result<Vec<Result<(), AppendError>>, StoreError> {
    let mut attempts = 0;
    loop {
        match write(store, used, batch).await {
            Err(error) if error.is_retryable() && attempts < 10 => attempts += 1,
            done => return done,
        }
    }
}

async fn write(
    store: &Store,
    used: &mut Used,
    batch: &[Waiting],
) -> Result<Vec<Result<(), AppendError>>, StoreError> {
    let mut tx = store.begin_in_turn().await?;
    let wanted: Vec<OneTime> = batch
        .iter()
        .flat_map(|waiting| waiting.uses.iter().copied())
        .collect();
    let now = batch.iter().map(|waiting| waiting.at).max();
    let now = now.unwrap_or(Timestamp::from_micros(0));
    let mut fresh = used.consume(&mut tx, &wanted, now).await?;
    let mut lines = String::with_capacity(batch.len() * 640);
    let mut first = None;
    let answers = batch
        .iter()
        .map(|waiting| {
            // Taking the hash out lets only the first of two equal uses in one batch pass.
            let mut all_fresh = true;
            for once in &waiting.uses {
                all_fresh &= fresh.remove(&once.hash);
            }
            if !all_fresh {
                return Err(AppendError::Replayed);
            }
            if first.is_none() {
                first = Some((waiting.id, waiting.at));
            } else {
                lines.push('\n');
            }
            lines.push_str(&waiting.line);
            Ok(())
        })
        .collect();
    if let Some((id, at)) = first {
        outbox::append_lines(&mut tx, id, at, &lines).await?;
    }
    tx.end().await?;
    used.committed();
    Ok(answers)
}
