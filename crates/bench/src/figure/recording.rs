//! What recording takes of an issuance: the same journal and sequencer in a process that does nothing else,
//! at the rate of the issuance, because the size of a batch depends on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use chancery_authority::config::{ACCESS_TOKEN_LIFETIME, Config, KEY_OVERLAP};
use chancery_authority::found::{self, World};
use chancery_authority::state::Authority;
use chancery_gateway::upstream::Reach;
use chancery_model::digest::Digest;
use chancery_model::entropy::Entropy;
use chancery_model::secret::Secret;
use chancery_model::time::{Clock, Timestamp};
use chancery_store::connect::{DatabaseUrl, Store};
use chancery_store::one_time::OneTime;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use crate::bench::Bench;
use crate::child::{self, number};
use crate::cores::used_here;
use crate::event;
use crate::world::{Distinct, MachineClock};

/// Events at a fixed rate.
#[derive(Debug, clap::Args)]
pub(crate) struct Recording {
    #[arg(long)]
    seconds: f64,
    #[arg(long)]
    rate: f64,
    #[arg(long)]
    folder: PathBuf,
}

/// Seconds of processor time that recording one issuance takes at `rate` issuances a second.
pub(super) async fn cost(bench: &Bench, rate: f64) -> Result<f64> {
    let (rate, seconds) = (rate.to_string(), bench.seconds());
    let folder = bench.disk.to_string_lossy();
    let args = ["recording", "--rate", &rate, "--seconds", &seconds];
    let measured = child::measure(&[&args[..], &["--folder", &folder]].concat()).await?;
    number(&measured, "seconds_per_event")
}

/// An authority in this process, with its journal and its sequencer running, on an empty SQLite file.
pub(super) async fn authority(folder: &Path) -> Result<Arc<Authority>> {
    let store = Store::open(&DatabaseUrl::Sqlite(folder.join("chancery.db"))).await?;
    let config = Config {
        issuer: "http://127.0.0.1:1".to_owned(),
        hosts: Vec::new(),
        local_administrator: Digest::from_bytes([1; 32]),
        console_login: None,
        access_token_lifetime: ACCESS_TOKEN_LIFETIME,
        key_overlap: KEY_OVERLAP,
        node: "bench".to_owned(),
        log_key: None,
    };
    let world = World {
        clock: Arc::new(MachineClock),
        entropy: Arc::new(Distinct::default()),
        master: Secret::new([3; 32]),
        reach: Reach::new([]),
    };
    found::open(store, config, world)
        .await
        .context("an authority on an empty file")
}

/// The assertion and the proof of an issuance, as they are used up.
fn uses(entropy: &dyn Entropy, now: Timestamp) -> Vec<OneTime> {
    let fresh = || {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes);
        let expires_at = now.after(Duration::from_secs(65));
        OneTime {
            hash: Digest::from_bytes(bytes),
            expires_at,
        }
    };
    vec![fresh(), fresh()]
}

impl Recording {
    pub(super) fn measure(&self) -> Result<Value> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()?;
        runtime.block_on(self.record())
    }

    async fn record(&self) -> Result<Value> {
        let folder = tempfile::tempdir_in(&self.folder)?;
        let authority = authority(folder.path()).await?;
        let mut sealed = authority.sealing.sealed.subscribe();
        let entropy = Distinct::default();
        let total = (self.rate * self.seconds).max(1.0) as usize;
        let now = MachineClock.now();
        let mut ready: Vec<_> = (0..total)
            .map(|_| (event::issuance(now, &entropy), uses(&entropy, now)))
            .collect();
        let idle = {
            let before = used_here()?;
            tokio::time::sleep(Duration::from_millis(500)).await;
            (used_here()? - before).as_secs_f64() * 2.0
        };
        let before = used_here()?;
        let begin = tokio::time::Instant::now();
        let mut every = interval(Duration::from_millis(1));
        every.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut running = tokio::task::JoinSet::new();
        while !ready.is_empty() {
            every.tick().await;
            let due = (begin.elapsed().as_secs_f64() * self.rate) as usize;
            let left = total.saturating_sub(due.max(1));
            while ready.len() > left {
                let Some((event, uses)) = ready.pop() else {
                    break;
                };
                let authority = Arc::clone(&authority);
                running.spawn(async move { authority.journal.append_once(event, uses).await });
            }
        }
        while let Some(done) = running.join_next().await {
            done??;
        }
        // What was there when the authority was founded is sealed with the first of ours.
        sealed.wait_for(|size| *size >= total as u64).await?;
        let took = begin.elapsed().as_secs_f64();
        let used = (used_here()? - before).as_secs_f64() - idle * took;
        Ok(json!({"seconds_per_event": used / total as f64}))
    }
}
