//! Group commit: events that change no row wait together for one flush.
//!
//! While one flush is under way, the next batch gathers; so the cost of a flush is shared by all who
//! asked during the one before. Once several ask at a time, a batch gathers a little longer, so that
//! flushing takes a small part of the time whatever the disk; who asks alone never waits for others.
//! An answer comes only after the flush. What an event uses up, or leaves for the next step of its client, is in
//! the same flush as the event: there is no moment between the two.

use std::time::Duration;

use chancery_model::digest::Digest;
use chancery_model::event::Event;
use chancery_model::id::{EventId, GrantId};
use chancery_model::time::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};

use crate::connect::Store;
use crate::error::StoreError;
use crate::one_time::{OneTime, Used};
use crate::outbox;
use crate::pushed_requests::{self, PushedRequest};
use crate::refresh_tokens::{self, RefreshToken};
use crate::registered_clients::{self, RegisteredClient};
use crate::rotating_tokens::{self, RotatingToken};
use crate::tx::Tx;
use crate::{codes, grants};

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
    step: Option<Step>,
    answer: oneshot::Sender<Result<(), AppendError>>,
}

/// A step of a client that acts on behalf of a person, taken in the flush that records it. These are too many to
/// be changes: nothing that enforcement sees is other than before.
#[derive(Debug, Clone)]
pub enum Step {
    /// Pushes a request, while fewer than `most` of the client wait.
    Push {
        /// The request.
        request: PushedRequest,
        /// The most that may wait.
        most: i64,
    },
    /// Uses a code up, for tokens of its grant.
    Redeem {
        /// The hash of the code.
        code: Digest,
        /// What it gives tokens of.
        grant: GrantId,
        /// What the next token is fetched with.
        refresh: Option<RefreshToken>,
    },
    /// Uses a refresh token, for another token of its grant.
    Refresh {
        /// The hash of the refresh token.
        token: Digest,
        /// What it gives tokens of.
        grant: GrantId,
        /// When it ends unless it is used again.
        idle_until: Timestamp,
    },
    /// Uses a code up for tokens of its grant, as a public client does.
    RedeemPublic {
        /// The hash of the code.
        code: Digest,
        /// What the next token is fetched with.
        refresh: RotatingToken,
    },
    /// Uses a refresh token of a public client up, and puts the next one in its place.
    Rotate {
        /// The hash of the refresh token.
        token: Digest,
        /// The next one, of the same grant.
        next: RotatingToken,
    },
    /// A client registers itself, while fewer than `most` are there.
    Register {
        /// The client.
        client: RegisteredClient,
        /// The most that may be there.
        most: i64,
    },
}

impl Step {
    /// Takes the step at `now`; false when things are not as it expects.
    async fn take(&self, tx: &mut Tx, now: Timestamp) -> Result<bool, StoreError> {
        match self {
            Self::Push { request, most } => pushed_requests::insert(tx, request, *most).await,
            Self::Redeem {
                code,
                grant,
                refresh,
            } => {
                // A code is used up also when its grant was revoked meanwhile.
                let is_taken =
                    codes::use_it(tx, *code, now).await? && grants::use_it(tx, *grant, now).await?;
                if is_taken && let Some(refresh) = refresh {
                    refresh_tokens::insert(tx, refresh).await?;
                }
                Ok(is_taken)
            }
            Self::Refresh {
                token,
                grant,
                idle_until,
            } => {
                let is_used = refresh_tokens::use_it(tx, *token, *idle_until, now).await?;
                Ok(is_used && grants::use_it(tx, *grant, now).await?)
            }
            Self::RedeemPublic { code, refresh } => {
                let is_taken = codes::use_it(tx, *code, now).await?
                    && grants::use_it(tx, refresh.grant, now).await?;
                if is_taken {
                    rotating_tokens::insert(tx, refresh).await?;
                }
                Ok(is_taken)
            }
            Self::Rotate { token, next } => {
                let is_taken = rotating_tokens::use_it(tx, *token, now).await?
                    && grants::use_it(tx, next.grant, now).await?;
                if is_taken {
                    rotating_tokens::insert(tx, next).await?;
                }
                Ok(is_taken)
            }
            Self::Register { client, most } => registered_clients::insert(tx, client, *most).await,
        }
    }
}

/// Why an event did not become durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// What the event uses was used before; the event was not recorded.
    #[error("used before")]
    Replayed,
    /// The step that the event is about cannot be taken; neither was it, nor was the event recorded.
    #[error("not as it was expected")]
    Lost,
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
        self.enqueue(event, Vec::new(), None).await
    }

    /// Records `event` and uses all of `uses` in the same flush; refused when one was used before (SI-4).
    pub async fn append_once(&self, event: Event, uses: Vec<OneTime>) -> Result<(), AppendError> {
        self.enqueue(event, uses, None).await
    }

    /// The same, and takes `step` in the same flush; refused when it cannot be taken.
    pub async fn append_step(
        &self,
        event: Event,
        uses: Vec<OneTime>,
        step: Step,
    ) -> Result<(), AppendError> {
        self.enqueue(event, uses, Some(step)).await
    }

    async fn enqueue(
        &self,
        event: Event,
        uses: Vec<OneTime>,
        step: Option<Step>,
    ) -> Result<(), AppendError> {
        let (answer, answered) = oneshot::channel();
        let (id, at) = (event.id, event.at);
        let line = outbox::line(event).map_err(|_| AppendError::TooLarge)?;
        let waiting = Waiting {
            id,
            at,
            line,
            uses,
            step,
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
    let mut answers = Vec::with_capacity(batch.len());
    for waiting in batch {
        // Taking the hash out lets only the first of two equal uses in one batch pass.
        let mut all_fresh = true;
        for once in &waiting.uses {
            all_fresh &= fresh.remove(&once.hash);
        }
        if !all_fresh {
            answers.push(Err(AppendError::Replayed));
            continue;
        }
        if let Some(step) = &waiting.step
            && !step.take(&mut tx, waiting.at).await?
        {
            answers.push(Err(AppendError::Lost));
            continue;
        }
        if first.is_none() {
            first = Some((waiting.id, waiting.at));
        } else {
            lines.push('\n');
        }
        lines.push_str(&waiting.line);
        answers.push(Ok(()));
    }
    if let Some((id, at)) = first {
        outbox::append_lines(&mut tx, id, at, &lines).await?;
    }
    tx.end().await?;
    used.committed();
    Ok(answers)
}
