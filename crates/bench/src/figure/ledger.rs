//! The ledger: events that become durable in SQLite, and then leaves, tiles and a signed checkpoint.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use chancery_model::event::Event;
use chancery_model::time::Clock;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::bench::Bench;
use crate::child::{self, number};
use crate::cores::used_here;
use crate::event;
use crate::figure::{limits, recording};
use crate::report::{Goal, Row};
use crate::series::Series;
use crate::world::{Distinct, MachineClock};

/// Events in one go; made before, because making them is not recording them.
const PIECE: usize = 32_768;
/// How many wait for the same flush.
const WAITING: usize = 8_192;

/// Events as fast as they go.
#[derive(Debug, clap::Args)]
pub(crate) struct Sealing {
    #[arg(long)]
    seconds: f64,
    #[arg(long)]
    folder: PathBuf,
}

impl Sealing {
    pub(super) fn measure(&self) -> Result<Value> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.seal())
    }

    async fn seal(&self) -> Result<Value> {
        let folder = tempfile::tempdir_in(&self.folder)?;
        let authority = recording::authority(folder.path()).await?;
        let mut sealed = authority.sealing.sealed.subscribe();
        let entropy = Distinct::default();
        let (mut used, mut took, mut count) = (Duration::ZERO, Duration::ZERO, 0);
        while took.as_secs_f64() < self.seconds {
            let now = MachineClock.now();
            let piece: Vec<Event> = (0..PIECE).map(|_| event::issuance(now, &entropy)).collect();
            let waiting = Arc::new(Mutex::new(piece));
            let (begin, before) = (std::time::Instant::now(), used_here()?);
            let mut running = tokio::task::JoinSet::new();
            for _ in 0..WAITING {
                let (waiting, authority) = (Arc::clone(&waiting), Arc::clone(&authority));
                running.spawn(async move {
                    loop {
                        let Some(event) = waiting.lock().await.pop() else {
                            return Ok(());
                        };
                        authority.journal.append(event).await?;
                    }
                });
            }
            while let Some(done) = running.join_next().await {
                let appended: Result<(), chancery_store::journal::AppendError> = done?;
                appended?;
            }
            count += PIECE as u64;
            sealed.wait_for(|size| *size >= count).await?;
            used += used_here()? - before;
            took += begin.elapsed();
        }
        let bytes = event::issuance(MachineClock.now(), &entropy)
            .to_canonical_json()
            .len();
        Ok(json!({
            "events_per_cpu_second": count as f64 / used.as_secs_f64(),
            "events_per_second": count as f64 / took.as_secs_f64(),
            "bytes": bytes,
        }))
    }
}

pub(super) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let (mut ours, mut wall, mut limit) = (Series::default(), Series::default(), Series::default());
    let mut bytes = 0.0;
    for _ in 0..bench.rounds {
        let seconds = bench.seconds();
        let merkle = child::measure(&["merkle", "--seconds", &seconds]).await?;
        let flush = limits::flush(bench, 4_096, &bench.disk).await?;
        let append = number(&merkle, "append")?;
        let write = number(&flush, "events_per_cpu_second")?;
        limit.push(1.0 / (1.0 / append + 1.0 / write));
        let folder = bench.disk.to_string_lossy();
        let args = ["sealing", "--seconds", &seconds, "--folder", &folder];
        let measured = child::measure(&args).await?;
        ours.push(number(&measured, "events_per_cpu_second")?);
        wall.push(number(&measured, "events_per_second")?);
        bytes = number(&measured, "bytes")?;
    }
    let what = format!("durable and sealed on SQLite, {bytes:.0} B each");
    Ok(vec![
        Row::plain(what, ours, "events/CPU-s")
            .beside("bare hashing and fsynced batches", limit)
            .goal(Goal::AtLeast(200_000.0)),
        Row::plain("the same by the clock", wall, "events/s"),
    ])
}
