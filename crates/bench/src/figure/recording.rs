//! What recording takes of an issuance: the same journal and sequencer in a process that does nothing else but the
//! signatures of an issuance, for as many at a time as the issuance has connections, because the size of a batch depends
//! on both; less what the signatures take by themselves.

use std::hint::black_box;
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
use chancery_wire::jwk::{Algorithm, PrivateKey};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::bench::{Bench, CONNECTIONS};
use crate::child::{self, number};
use crate::cores::used_here;
use crate::event;
use crate::world::{Distinct, MachineClock};

/// Events between signatures.
#[derive(Debug, clap::Args)]
pub(crate) struct Recording {
    #[arg(long)]
    count: usize,
    #[arg(long)]
    folder: PathBuf,
}

/// Seconds of processor time that recording one issuance takes, at so many issuances a second as there were.
pub(super) async fn cost(bench: &Bench, rate: f64) -> Result<f64> {
    let count = ((rate * bench.length.as_secs_f64()) as usize).max(1_000);
    let count = count.to_string();
    let folder = bench.disk.to_string_lossy();
    let args = ["recording", "--count", &count];
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
        has_tls: false,
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
        let now = MachineClock.now();
        let events = (0..self.count).map(|_| (event::issuance(now, &entropy), uses(&entropy, now)));
        let ready = Arc::new(Mutex::new(events.collect::<Vec<_>>()));
        let signer = Arc::new(Signer::new()?);
        let idle = {
            let before = used_here()?;
            tokio::time::sleep(Duration::from_millis(500)).await;
            (used_here()? - before).as_secs_f64() * 2.0
        };
        let (begin, before) = (tokio::time::Instant::now(), used_here()?);
        let mut running = tokio::task::JoinSet::new();
        for _connection in 0..CONNECTIONS {
            let (authority, ready, signer) = (authority.clone(), ready.clone(), signer.clone());
            running.spawn(async move {
                loop {
                    let Some((event, uses)) = ready.lock().await.pop() else {
                        return anyhow::Ok(());
                    };
                    signer.sign_as_an_issuance()?;
                    authority.journal.append_once(event, uses).await?;
                }
            });
        }
        while let Some(done) = running.join_next().await {
            done??;
        }
        // What was there when the authority was founded is sealed with the first of ours.
        sealed.wait_for(|size| *size >= self.count as u64).await?;
        let used = (used_here()? - before).as_secs_f64() - idle * begin.elapsed().as_secs_f64();
        let before = used_here()?;
        for _ in 0..self.count {
            signer.sign_as_an_issuance()?;
        }
        let signing = (used_here()? - before).as_secs_f64();
        Ok(json!({"seconds_per_event": (used - signing) / self.count as f64}))
    }
}

/// The signatures of an issuance.
struct Signer {
    key: PrivateKey,
    signature: Vec<u8>,
}

impl Signer {
    const MESSAGE: [u8; 256] = [7; 256];

    fn new() -> Result<Self> {
        let key = PrivateKey::generate(Algorithm::Es256)?;
        let signature = key.sign(&Self::MESSAGE);
        Ok(Self { key, signature })
    }

    /// Two are verified, one is made.
    fn sign_as_an_issuance(&self) -> Result<()> {
        for _ in 0..2 {
            black_box(
                self.key
                    .public()
                    .verify(black_box(&Self::MESSAGE), &self.signature),
            )?;
        }
        black_box(self.key.sign(black_box(&Self::MESSAGE)));
        Ok(())
    }
}
