//! Group commit: events that change no row wait together for one flush.
//!
//! While one flush is under way, the next batch gathers; so the cost of a flush is shared by all who
//! asked during the one before. A batch gathers on while there is anything else to do: then whoever is being served
//! shares the flush, and it takes no time from anybody. Where nothing else is to be done, nobody waits for others.
//! An answer comes only after the flush. What an event uses up is in the same flush as the event. What it leaves for the
//! next step of its client is committed with the event: on PostgreSQL in that flush too, on SQLite after it.

use std::sync::Arc;
use std::time::Duration;

use chancery_model::digest::Digest;
use chancery_model::event::Event;
use chancery_model::id::{EventId, GrantId};
use chancery_model::time::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::Instant;

use crate::connect::Store;
use crate::device_requests::{self, DeviceRequest};
use crate::entries::{Append, Entries};
use crate::error::StoreError;
use crate::one_time::{OneTime, Used};
use crate::outbox;
use crate::pushed_requests::{self, PushedRequest};
use crate::refresh_tokens::{self, RefreshToken};
use crate::registered_clients::{self, RegisteredClient};
use crate::rotating_tokens::{self, RotatingToken};
use crate::tx::Tx;
use crate::workload_assertions;
use crate::{codes, grants};

/// The most events in one batch.
const BATCH: usize = 4_096;
/// The longest that a batch gathers.
const GATHER: Duration = Duration::from_millis(4);
/// A batch that is as large gathers no more: sharing the flush with others saves next to nothing.
const ENOUGH: usize = 32;
/// How often a transaction that another one beat is run again.
const ATTEMPTS: u32 = 10;
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
    answer: oneshot::Sender<Answer>,
}

/// What became of an event: durable, or why not.
pub type Answer = Result<(), AppendError>;

/// A step of a client that acts on behalf of a person, taken in the transaction that records it. These are too many to
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
    /// A device asks for a person, while fewer than `most` of the client wait.
    Wait {
        /// What it asks.
        request: DeviceRequest,
        /// The most that may wait.
        most: i64,
    },
    /// Uses up what a person answered to a device, for tokens of its grant.
    Collect {
        /// The hash of the device code.
        code: Digest,
        /// What it gives tokens of.
        grant: GrantId,
        /// What the next token is fetched with.
        refresh: Option<RefreshToken>,
    },
    /// Binds a token of a workload to what it came with, or to nothing; it is of use in no other way.
    Bind {
        /// Names the token.
        assertion: Digest,
        /// What its holder must prove to hold, as one text.
        cnf: Option<String>,
        /// When the token ends.
        expires_at: Timestamp,
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
            Self::Wait { request, most } => device_requests::insert(tx, request, *most).await,
            Self::Collect {
                code,
                grant,
                refresh,
            } => {
                let is_taken = device_requests::use_it(tx, *code, *grant, now).await?
                    && grants::use_it(tx, *grant, now).await?;
                if is_taken && let Some(refresh) = refresh {
                    refresh_tokens::insert(tx, refresh).await?;
                }
                Ok(is_taken)
            }
            Self::Bind {
                assertion,
                cnf,
                expires_at,
            } => workload_assertions::bind(tx, *assertion, cnf.as_deref(), *expires_at).await,
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

    /// Resolves once `event` is durable. It waits for its flush from the call on, whoever waits for the answer.
    pub fn append(&self, event: Event) -> impl Future<Output = Answer> + use<> {
        answered(self.enqueue(event, Vec::new(), None))
    }

    /// Records `event` and uses all of `uses` in the same flush; refused when one was used before (SI-4).
    pub fn append_once(
        &self,
        event: Event,
        uses: Vec<OneTime>,
    ) -> impl Future<Output = Answer> + use<> {
        answered(self.enqueue(event, uses, None))
    }

    /// The same, and takes `step` with it; refused when it cannot be taken.
    pub fn append_step(
        &self,
        event: Event,
        uses: Vec<OneTime>,
        step: Step,
    ) -> impl Future<Output = Answer> + use<> {
        answered(self.enqueue(event, uses, Some(step)))
    }

    fn enqueue(
        &self,
        event: Event,
        uses: Vec<OneTime>,
        step: Option<Step>,
    ) -> Result<oneshot::Receiver<Answer>, AppendError> {
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
        Ok(answered)
    }
}

async fn answered(queued: Result<oneshot::Receiver<Answer>, AppendError>) -> Answer {
    queued?.await.unwrap_or(Err(AppendError::Unavailable))
}

impl Waiting {
    fn answer(self, answer: Answer) {
        // Whoever asked may have gone; the event is durable all the same.
        let _gone = self.answer.send(answer);
    }
}

async fn write_batches(store: Store, mut queue: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::new();
    let mut used = Used::default();
    while queue.recv_many(&mut batch, BATCH).await > 0 {
        gather(&mut queue, &mut batch).await;
        let written = match store.entries() {
            Some(entries) => write_to_file(&store, entries, &mut batch).await,
            None => write_to_database(&store, &mut used, &mut batch).await,
        };
        if let Err(error) = written {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the journal cannot write"
            );
        }
        for waiting in batch.drain(..) {
            waiting.answer(Err(AppendError::Unavailable));
        }
    }
}

/// Lets everybody else run, and takes what they append, until nobody does.
async fn gather(queue: &mut mpsc::Receiver<Waiting>, batch: &mut Vec<Waiting>) {
    let due = Instant::now() + GATHER;
    let mut before = 0;
    while before < batch.len() && batch.len() < ENOUGH && Instant::now() < due {
        before = batch.len();
        yield_now().await;
        while batch.len() < BATCH
            && let Ok(more) = queue.try_recv()
        {
            batch.push(more);
        }
    }
}

fn now(batch: &[Waiting]) -> Timestamp {
    let latest = batch.iter().map(|waiting| waiting.at).max();
    latest.unwrap_or(Timestamp::from_micros(0))
}

/// Writes a batch to the file of entries, and answers. What a step uses up is there before the step is taken: who is
/// killed between the two has used it up for nothing, and nobody uses it twice.
async fn write_to_file(
    store: &Store,
    entries: &Arc<Entries>,
    batch: &mut Vec<Waiting>,
) -> Result<(), StoreError> {
    let append = |waiting: &mut Waiting| Append {
        uses: std::mem::take(&mut waiting.uses),
        entry: match waiting.step {
            Some(_) => None,
            None => Some(std::mem::take(&mut waiting.line)),
        },
    };
    let now = now(batch);
    let appends = batch.iter_mut().map(append).collect();
    let fresh = entries.flush(appends, now).await?;
    let mut steps = Vec::new();
    for (waiting, is_fresh) in batch.drain(..).zip(fresh) {
        match (is_fresh, &waiting.step) {
            (false, _) => waiting.answer(Err(AppendError::Replayed)),
            (true, None) => waiting.answer(Ok(())),
            (true, Some(_)) => steps.push(waiting),
        }
    }
    take_steps(store, steps).await;
    Ok(())
}

/// Takes steps together, and answers. Where one of them is what the database refuses, each is taken by itself, so that it
/// does not keep the others back.
async fn take_steps(store: &Store, steps: Vec<Waiting>) {
    let mut answers = write_steps_with_retries(store, &steps).await;
    if steps.len() > 1
        && let Err(refused) = &answers
        && !matches!(
            refused,
            StoreError::Unavailable { .. } | StoreError::Conflict
        )
    {
        let mut each = Vec::with_capacity(steps.len());
        for step in steps.chunks(1) {
            each.extend(or_unavailable(
                write_steps_with_retries(store, step).await,
                step,
            ));
        }
        answers = Ok(each);
    }
    let answers = or_unavailable(answers, &steps);
    for (waiting, answer) in steps.into_iter().zip(answers) {
        waiting.answer(answer);
    }
}

/// What steps are answered; a failure is told, and is the same for all of them.
fn or_unavailable(answers: Result<Vec<Answer>, StoreError>, steps: &[Waiting]) -> Vec<Answer> {
    answers.unwrap_or_else(|error| {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "steps of clients cannot be taken"
        );
        vec![Err(AppendError::Unavailable); steps.len()]
    })
}

async fn write_steps_with_retries(
    store: &Store,
    steps: &[Waiting],
) -> Result<Vec<Answer>, StoreError> {
    let mut attempts = 0;
    loop {
        match write_steps(store, steps).await {
            Err(error) if error.is_retryable() && attempts < ATTEMPTS => attempts += 1,
            done => return done,
        }
    }
}

async fn write_steps(store: &Store, steps: &[Waiting]) -> Result<Vec<Answer>, StoreError> {
    if steps.is_empty() {
        return Ok(Vec::new());
    }
    let mut tx = store.begin().await?;
    let mut rows = Rows::default();
    let mut answers = Vec::with_capacity(steps.len());
    for waiting in steps {
        answers.push(rows.take(&mut tx, waiting).await?);
    }
    rows.write(&mut tx).await?;
    tx.end().await?;
    Ok(answers)
}

/// The events of a transaction, which become one row of the outbox.
#[derive(Default)]
struct Rows {
    first: Option<(EventId, Timestamp)>,
    lines: String,
}

impl Rows {
    /// Takes the step of an event, if it has one, and the event with it.
    async fn take(&mut self, tx: &mut Tx, waiting: &Waiting) -> Result<Answer, StoreError> {
        if let Some(step) = &waiting.step
            && !step.take(tx, waiting.at).await?
        {
            return Ok(Err(AppendError::Lost));
        }
        if self.first.is_none() {
            self.first = Some((waiting.id, waiting.at));
        } else {
            self.lines.push('\n');
        }
        self.lines.push_str(&waiting.line);
        Ok(Ok(()))
    }

    async fn write(self, tx: &mut Tx) -> Result<(), StoreError> {
        match self.first {
            Some((id, at)) => outbox::append_lines(tx, id, at, &self.lines).await,
            None => Ok(()),
        }
    }
}

/// Writes a batch as rows, and answers.
async fn write_to_database(
    store: &Store,
    used: &mut Used,
    batch: &mut Vec<Waiting>,
) -> Result<(), StoreError> {
    let mut attempts = 0;
    let answers = loop {
        match write_rows(store, used, batch).await {
            Err(error) if error.is_retryable() && attempts < ATTEMPTS => attempts += 1,
            done => break done?,
        }
    };
    for (waiting, answer) in batch.drain(..).zip(answers) {
        waiting.answer(answer);
    }
    Ok(())
}

async fn write_rows(
    store: &Store,
    used: &mut Used,
    batch: &[Waiting],
) -> Result<Vec<Answer>, StoreError> {
    let mut tx = store.begin_in_turn().await?;
    let wanted: Vec<OneTime> = batch
        .iter()
        .flat_map(|waiting| waiting.uses.iter().copied())
        .collect();
    let mut fresh = used.consume(&mut tx, &wanted, now(batch)).await?;
    let mut rows = Rows::default();
    let mut answers = Vec::with_capacity(batch.len());
    for waiting in batch {
        // Taking the hash out lets only the first of two equal uses in one batch pass.
        let mut all_fresh = true;
        for once in &waiting.uses {
            all_fresh &= fresh.remove(&once.hash);
        }
        answers.push(match all_fresh {
            true => rows.take(&mut tx, waiting).await?,
            false => Err(AppendError::Replayed),
        });
    }
    rows.write(&mut tx).await?;
    tx.end().await?;
    used.committed();
    Ok(answers)
}
