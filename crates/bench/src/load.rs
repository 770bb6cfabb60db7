//! The client: ready-made requests over many connections, as fast as answers come or at a fixed rate.
//!
//! At a fixed rate the latency of a request counts from the moment it was due, whether or not a
//! connection was free then; so a slow server cannot hide its queue.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, spawn_local};

use crate::child::Server;
use crate::http1::Connection;

/// What is sent.
#[derive(Clone)]
pub(crate) enum Supply {
    /// This request, again and again.
    Repeat(Bytes),
    /// Each of these in turn, again and again.
    InTurn(Rc<[Bytes]>),
    /// Each of these once; when they are used up the load ends.
    Once(Rc<[Bytes]>),
}

/// How fast it is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// Each connection sends when it has its answer.
    Closed,
    /// So many a second, whatever the server does.
    Open(f64),
}

/// What to send where, and how.
pub(crate) struct Load {
    /// Whom to ask.
    pub(crate) to: SocketAddr,
    /// How many connections.
    pub(crate) connections: usize,
    /// What is sent.
    pub(crate) supply: Supply,
    /// How fast.
    pub(crate) pace: Pace,
    /// How long.
    pub(crate) length: Duration,
}

/// What came of a load.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// How many answers were 2xx.
    pub(crate) accepted: u64,
    /// How many were 429 or 503.
    pub(crate) shed: u64,
    /// How many were anything else.
    pub(crate) failed: u64,
    /// The beginning of the first that was.
    pub(crate) failure: Option<String>,
    /// How many were due but found no free connection before the load ended.
    pub(crate) unsent: u64,
    /// From the first request to the last answer.
    pub(crate) took: Duration,
    /// How long the accepted requests took, sorted.
    pub(crate) latencies: Vec<Duration>,
}

impl Outcome {
    /// Accepted requests a second.
    pub(crate) fn goodput(&self) -> f64 {
        self.accepted as f64 / self.took.as_secs_f64()
    }

    /// The latency that the share `part` of the accepted requests did not exceed.
    pub(crate) fn percentile(&self, part: f64) -> Duration {
        let last = self.latencies.len().saturating_sub(1);
        let place = (last as f64 * part).round() as usize;
        self.latencies.get(place).copied().unwrap_or_default()
    }

    fn fail(&mut self, why: String) {
        self.failed += 1;
        self.failure.get_or_insert(why);
    }

    /// Refuses an outcome that says little about accepted requests, and quotes the first other answer.
    ///
    /// A few may be sent away: a neighbour that takes the core for a moment looks like overload.
    pub(crate) fn mostly_accepted(self) -> Result<Self> {
        let others = self.failed + self.shed;
        if self.failed > 0 || others * 20 > self.accepted {
            bail!(
                "{others} of {} requests were not accepted: {}",
                self.accepted + others,
                self.failure.as_deref().unwrap_or("shed")
            );
        }
        Ok(self)
    }
}

/// What all connections of a load share.
struct Shared {
    supply: Supply,
    sent: Cell<usize>,
    begin: Instant,
    length: Duration,
    pacing: Option<Pacing>,
    outcome: RefCell<Outcome>,
}

/// The clockwork of an open loop: one permit for each request that is due.
struct Pacing {
    interval: Duration,
    due: Arc<Semaphore>,
    taken: Cell<u32>,
}

impl Load {
    /// Sends until the time is over or nothing is left, then waits for all answers.
    pub(crate) async fn run(self) -> Result<Outcome> {
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            connections.push(Connection::open(self.to).await?);
        }
        let pacing = match self.pace {
            Pace::Closed => None,
            Pace::Open(per_second) => Some(Pacing {
                interval: Duration::from_secs_f64(1.0 / per_second),
                due: Arc::new(Semaphore::new(0)),
                taken: Cell::new(0),
            }),
        };
        let clockwork = pacing
            .as_ref()
            .map(|pacing| (pacing.interval, Arc::clone(&pacing.due)));
        let begin = Instant::now();
        let shared = Rc::new(Shared {
            supply: self.supply,
            sent: Cell::new(0),
            begin,
            length: self.length,
            pacing,
            outcome: RefCell::default(),
        });
        let over = Arc::new(AtomicBool::new(false));
        let ticking = clockwork.map(|(interval, due)| {
            let over = Arc::clone(&over);
            let last = begin + self.length;
            std::thread::spawn(move || tick(begin, interval, last, &due, &over))
        });
        let mut running = JoinSet::new();
        for connection in connections {
            running.spawn_local(drive(Rc::clone(&shared), connection, self.to));
        }
        let mut broken = None;
        while let Some(ended) = running.join_next().await {
            if let Err(error) = ended.context("a connection's task failed")? {
                broken.get_or_insert(error);
            }
        }
        over.store(true, Ordering::Relaxed);
        let due = ticking.map(|ticking| ticking.join().unwrap_or(0));
        if let Some(error) = broken {
            return Err(error);
        }
        let mut outcome = shared.outcome.take();
        if let (Some(due), Some(pacing)) = (due, &shared.pacing) {
            outcome.unsent = u64::from(due - pacing.taken.get());
        }
        outcome.took = begin.elapsed();
        outcome.latencies.sort_unstable();
        Ok(outcome)
    }

    /// Runs and says what the server used for it.
    pub(crate) async fn against(self, server: &Server) -> Result<(Outcome, Duration)> {
        let before = server.used()?;
        let outcome = self.run().await?;
        Ok((outcome, server.used()?.saturating_sub(before)))
    }

    /// Runs beside other work.
    pub(crate) fn beside(self) -> tokio::task::JoinHandle<Result<Outcome>> {
        spawn_local(self.run())
    }
}

/// Lets requests go when they are due, and says how many there were; the timers of the runtime are too
/// coarse for that.
fn tick(
    begin: Instant,
    interval: Duration,
    last: Instant,
    due: &Semaphore,
    over: &AtomicBool,
) -> u32 {
    let mut count = 0;
    while !over.load(Ordering::Relaxed) {
        let next = begin + interval * count;
        if next >= last {
            break;
        }
        if let Some(left) = next.checked_duration_since(Instant::now()) {
            std::thread::sleep(left);
        }
        due.add_permits(1);
        count += 1;
    }
    due.close();
    count
}

async fn drive(shared: Rc<Shared>, mut connection: Connection, to: SocketAddr) -> Result<()> {
    while let Some((due, request)) = shared.next().await {
        let answer = match connection.exchange(&request).await {
            Ok(answer) => answer,
            Err(error) => {
                // A server may end a connection at any time; the request counts as failed.
                shared.outcome.borrow_mut().fail(error.to_string());
                connection = Connection::open(to).await?;
                continue;
            }
        };
        let took = due.elapsed();
        let mut outcome = shared.outcome.borrow_mut();
        match answer.status {
            200..=299 => {
                outcome.accepted += 1;
                outcome.latencies.push(took);
            }
            429 | 503 => outcome.shed += 1,
            _ => outcome.fail(answer.beginning()),
        }
    }
    Ok(())
}

impl Shared {
    /// The next request and when it is due; `None` when the load is over.
    async fn next(&self) -> Option<(Instant, Bytes)> {
        let due = match &self.pacing {
            None if self.begin.elapsed() >= self.length => return None,
            None => Instant::now(),
            Some(pacing) => {
                pacing.due.acquire().await.ok()?.forget();
                let due = self.begin + pacing.interval * pacing.taken.get();
                pacing.taken.set(pacing.taken.get() + 1);
                due
            }
        };
        let sent = self.sent.get();
        self.sent.set(sent + 1);
        match &self.supply {
            Supply::Repeat(request) => Some((due, request.clone())),
            Supply::InTurn(requests) => {
                let place = sent.checked_rem(requests.len())?;
                Some((due, requests.get(place)?.clone()))
            }
            Supply::Once(requests) => Some((due, requests.get(sent)?.clone())),
        }
    }
}
