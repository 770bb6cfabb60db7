//! How far behind the process is, and whether it takes on more (DOS-08).
//!
//! Whatever the cause, work that waits for its turn shows as the delay of a task that wants to run every few
//! milliseconds. What counts is the least delay over a while, because a single late turn is the machine's
//! noise; and, so that a loop which gives no turns at all is seen while it lasts, the time since the last one.
//!
//! Turns come in time and yet every request waits where there is always something else to do first; so cores that have
//! not rested for a while count as well.
//!
//! A request is sent away when both are true: turns come late or the cores never rest, and more requests are being worked
//! on than the cores can answer in the time that such a delay means. Late turns alone may be a neighbour's doing, and many
//! requests alone may only wait for a slow disk, which costs nobody else a thing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// How often the delay is measured.
const PERIOD: Duration = Duration::from_millis(5);
/// The delay from which on turns are late.
const LATE: Duration = Duration::from_millis(5);
/// Over how many measurements the least delay is taken.
const WINDOW: usize = 12;
/// Over how many it is seen whether the cores rest, and from which share of the time on they never do.
const REST: usize = 4;
const FULL: f64 = 0.95;

/// Requests per core that are worked on however late turns are. A token takes 0.2 to 0.4 ms of a core, so these
/// are 12 to 25 ms of work: as many as an ordinary pool of connections asks at a time, and no more.
const ALWAYS: usize = 64;
/// Requests per core that are worked on at most; they are what waits when the disk stops.
const MOST: usize = 256;

/// The delay of late, and the requests that are being worked on.
#[derive(Debug)]
pub struct Pressure {
    begin: Instant,
    last_turn: AtomicU64,
    least_delay: AtomicU64,
    never_rests: AtomicBool,
    room: Arc<Semaphore>,
    cores: usize,
}

/// Room for one request, until it is answered.
#[derive(Debug)]
pub struct Admitted {
    _room: OwnedSemaphorePermit,
}

impl Pressure {
    /// Starts measuring, for as long as the process runs.
    pub fn measure() -> Arc<Self> {
        let pressure = Arc::new(Self::of_cores(Handle::current().metrics().num_workers()));
        tokio::spawn(Arc::clone(&pressure).follow());
        pressure
    }

    fn of_cores(cores: usize) -> Self {
        Self {
            begin: Instant::now(),
            last_turn: AtomicU64::new(0),
            least_delay: AtomicU64::new(0),
            never_rests: AtomicBool::new(false),
            room: Arc::new(Semaphore::new(cores * MOST)),
            cores,
        }
    }

    async fn follow(self: Arc<Self>) {
        let mut recent = [Duration::ZERO; WINDOW];
        let mut worked = [(Instant::now(), busy()); REST];
        for (place, other) in (0..WINDOW).cycle().zip((0..REST).cycle()) {
            let due = Instant::now() + PERIOD;
            tokio::time::sleep_until(due).await;
            let turn = Instant::now();
            recent[place] = turn.saturating_duration_since(due);
            self.took_turn(turn, recent.iter().copied().min().unwrap_or_default());
            let (since, before) = std::mem::replace(&mut worked[other], (turn, busy()));
            let all = turn.saturating_duration_since(since) * self.cores as u32;
            self.worked(worked[other].1.saturating_sub(before), all);
        }
    }

    /// The cores worked for `busy` of `all` the time.
    fn worked(&self, busy: Duration, all: Duration) {
        let never_rests = busy >= all.mul_f64(FULL);
        self.never_rests.store(never_rests, Ordering::Relaxed);
    }

    fn took_turn(&self, turn: Instant, least_delay: Duration) {
        let since = turn.saturating_duration_since(self.begin);
        self.last_turn.store(micros(since), Ordering::Relaxed);
        self.least_delay
            .store(micros(least_delay), Ordering::Relaxed);
    }

    /// Room for one more request; `None` when it is to be sent away.
    pub fn admit(&self) -> Option<Admitted> {
        self.admit_at(Instant::now())
    }

    /// Whether there is room for one more request.
    pub fn has_room(&self) -> bool {
        self.has_room_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Option<Admitted> {
        if !self.has_room_at(now) {
            return None;
        }
        let room = Arc::clone(&self.room).try_acquire_owned().ok()?;
        Some(Admitted { _room: room })
    }

    fn has_room_at(&self, now: Instant) -> bool {
        let free = self.room.available_permits();
        let worked_on = self.cores * MOST - free;
        free > 0 && (worked_on < self.cores * ALWAYS || !self.is_high(now))
    }

    /// Whether work waits for its turn for too long at `now`.
    fn is_high(&self, now: Instant) -> bool {
        let since_begin = micros(now.saturating_duration_since(self.begin));
        let since_turn = since_begin.saturating_sub(self.last_turn.load(Ordering::Relaxed));
        since_turn > micros(PERIOD + LATE)
            || self.least_delay.load(Ordering::Relaxed) > micros(LATE)
            || self.never_rests.load(Ordering::Relaxed)
    }
}

/// How long the workers of this process have worked since it began.
fn busy() -> Duration {
    let metrics = Handle::current().metrics();
    (0..metrics.num_workers())
        .map(|worker| metrics.worker_total_busy_duration(worker))
        .sum()
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOMENT: Duration = Duration::from_millis(1);

    /// How many requests get in at `now`.
    fn fill(pressure: &Pressure, now: Instant) -> Vec<Admitted> {
        std::iter::from_fn(|| pressure.admit_at(now)).collect()
    }

    #[test]
    fn dos_08_a_loop_without_turns_takes_on_no_more_than_the_cores_need() {
        let pressure = Pressure::of_cores(2);
        let in_time = pressure.begin + PERIOD + LATE;
        assert_eq!(fill(&pressure, in_time).len(), 2 * MOST);
        let late = in_time + MOMENT;
        assert_eq!(fill(&pressure, late).len(), 2 * ALWAYS);
        pressure.took_turn(late, Duration::ZERO);
        assert_eq!(fill(&pressure, late).len(), 2 * MOST);
        assert_eq!(fill(&pressure, late + PERIOD + LATE).len(), 2 * MOST);
    }

    #[test]
    fn dos_08_turns_that_are_all_late_send_away() {
        let pressure = Pressure::of_cores(1);
        let now = pressure.begin;
        pressure.took_turn(now, LATE + MOMENT);
        let mut admitted = fill(&pressure, now);
        assert_eq!(admitted.len(), ALWAYS);
        assert!(!pressure.has_room_at(now));
        // Who is answered makes room for another.
        drop(admitted.pop());
        assert!(pressure.admit_at(now).is_some());
        drop(admitted);
        pressure.took_turn(now, LATE);
        assert_eq!(fill(&pressure, now).len(), MOST);
    }

    #[test]
    fn dos_08_cores_that_never_rest_send_away() {
        let pressure = Pressure::of_cores(2);
        let (now, all) = (pressure.begin, Duration::from_millis(120));
        pressure.worked(all.mul_f64(0.96), all);
        let admitted = fill(&pressure, now);
        assert_eq!(admitted.len(), 2 * ALWAYS);
        drop(admitted);
        // Whoever waits for a slow disk is in nobody's way.
        pressure.worked(all.mul_f64(0.5), all);
        assert_eq!(fill(&pressure, now).len(), 2 * MOST);
    }

    #[tokio::test]
    async fn turns_are_taken_while_the_process_runs() {
        let pressure = Pressure::measure();
        while pressure.last_turn.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert!(pressure.has_room());
    }
}
