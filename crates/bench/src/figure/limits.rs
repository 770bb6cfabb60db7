//! The limits by themselves: signatures, hashes, a flush, an HTTP exchange, a proxied one.

use std::fs::File;
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use bytes::Bytes;
use chancery_ledger::hash::leaf_hash;
use chancery_ledger::tree::Frontier;
use chancery_model::time::Clock;
use chancery_wire::jwk::{Algorithm, PrivateKey};
use serde_json::{Value, json};

use crate::bench::Bench;
use crate::child::{self, Server, number};
use crate::cores::{Side, used_here};
use crate::event;
use crate::figure::gateway;
use crate::http1;
use crate::load::{Load, Pace, Supply};
use crate::report::Row;
use crate::series::Series;
use crate::world::{Distinct, MachineClock};

/// ES256 through our own wire crate: the same library and the same keys as the program's.
#[derive(Debug, clap::Args)]
pub(crate) struct Primitives {
    #[arg(long)]
    seconds: f64,
}

/// Signatures and verifications per second of processor time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signing {
    /// Signatures.
    pub(crate) sign: f64,
    /// Verifications.
    pub(crate) verify: f64,
}

impl Signing {
    /// What two verifications, one signature and one exchange take, as a rate.
    pub(crate) fn issuance(self, exchange: f64) -> f64 {
        1.0 / (2.0 / self.verify + 1.0 / self.sign + 1.0 / exchange)
    }

    /// What the authorization code flow takes, as a rate: three verifications, one signature and four exchanges.
    pub(crate) fn flow(self, exchange: f64) -> f64 {
        1.0 / (3.0 / self.verify + 1.0 / self.sign + 4.0 / exchange)
    }

    /// What one verification and one exchange take, as a rate.
    pub(crate) fn proven(self, exchange: f64) -> f64 {
        1.0 / (1.0 / self.verify + 1.0 / exchange)
    }
}

/// Measures signatures on the server's core while the client sends `rate` requests a second to `echo`.
pub(crate) async fn signing_beside(
    bench: &Bench,
    echo: &Server,
    request: &Bytes,
    rate: f64,
) -> Result<Signing> {
    let load = Load {
        pace: Pace::Open(rate),
        ..bench.closed(echo, Supply::Repeat(request.clone()))
    };
    let load = load.beside();
    // Half of the time: what is measured shares its core with the server that the client talks to.
    let seconds = (bench.length.as_secs_f64() * 0.4).to_string();
    let measured = child::measure(&["primitives", "--seconds", &seconds]).await?;
    load.await??.mostly_accepted()?;
    Ok(Signing {
        sign: number(&measured, "sign")?,
        verify: number(&measured, "verify")?,
    })
}

impl Primitives {
    pub(super) fn measure(&self) -> Result<Value> {
        let key = PrivateKey::generate(Algorithm::Es256)?;
        let message = [7; 512];
        let signature = key.sign(&message);
        let half = Duration::from_secs_f64(self.seconds);
        let (mut signing, mut verifying) = (Duration::ZERO, Duration::ZERO);
        let (mut signed, mut verified) = (0_u32, 0_u32);
        while signing + verifying < half {
            let begin = used_here()?;
            for _ in 0..200 {
                black_box(key.sign(black_box(&message)));
            }
            let middle = used_here()?;
            for _ in 0..100 {
                black_box(key.public().verify(black_box(&message), &signature))?;
            }
            verifying += used_here()? - middle;
            signing += middle - begin;
            signed += 200;
            verified += 100;
        }
        Ok(json!({
            "sign": f64::from(signed) / signing.as_secs_f64(),
            "verify": f64::from(verified) / verifying.as_secs_f64(),
        }))
    }
}

/// A leaf hash of an event of real size, and the nodes above it.
#[derive(Debug, clap::Args)]
pub(crate) struct Merkle {
    #[arg(long)]
    seconds: f64,
}

impl Merkle {
    pub(super) fn measure(&self) -> Result<Value> {
        let entry = event_text();
        let mut tree = Frontier::new();
        let begin = used_here()?;
        let mut used = Duration::ZERO;
        while used.as_secs_f64() < self.seconds {
            for _ in 0..10_000 {
                tree.push(leaf_hash(black_box(entry.as_bytes())));
            }
            used = used_here()? - begin;
        }
        black_box(tree.root());
        Ok(json!({"append": tree.size() as f64 / used.as_secs_f64(), "bytes": entry.len()}))
    }
}

/// The least that makes events durable: one write and one flush for a batch.
#[derive(Debug, clap::Args)]
pub(crate) struct Flush {
    #[arg(long)]
    seconds: f64,
    #[arg(long)]
    batch: usize,
    #[arg(long)]
    folder: PathBuf,
}

impl Flush {
    pub(super) fn measure(&self) -> Result<Value> {
        let folder = tempfile::tempdir_in(&self.folder)?;
        let mut file = File::create(folder.path().join("log"))?;
        let batch = event_text().repeat(self.batch);
        let (begin, before) = (Instant::now(), used_here()?);
        let mut flushes = 0_u32;
        while begin.elapsed().as_secs_f64() < self.seconds {
            file.write_all(batch.as_bytes())?;
            file.sync_data()?;
            flushes += 1;
        }
        let used = (used_here()? - before).as_secs_f64();
        let events = f64::from(flushes) * self.batch as f64;
        Ok(json!({
            "events_per_cpu_second": events / used,
            "flush_ms": begin.elapsed().as_secs_f64() * 1_000.0 / f64::from(flushes),
        }))
    }
}

/// Measures batches of events of real size in a file beside the data folders.
pub(crate) async fn flush(bench: &Bench, batch: usize, folder: &Path) -> Result<Value> {
    let (batch, folder) = (batch.to_string(), folder.to_string_lossy());
    let seconds = bench.seconds();
    let args = ["flush", "--seconds", &seconds, "--batch", &batch];
    child::measure(&[&args[..], &["--folder", &folder]].concat()).await
}

fn event_text() -> String {
    event::issuance(MachineClock.now(), &Distinct::default()).to_canonical_json()
}

pub(super) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let echo = Server::role(Side::Server, &["echo"]).await?;
    let upstream = Server::role(Side::Client, &["upstream"]).await?;
    let behind = upstream.address.to_string();
    let proxy = Server::role(Side::Server, &["proxy", &behind]).await?;
    let empty = http1::request("GET", echo.address, "/", "", "");
    let mut rows = [
        ("ES256 signature", "per CPU-s"),
        ("ES256 verification", "per CPU-s"),
        ("bare hyper, empty bodies", "req/CPU-s"),
        ("bare proxy, `tools/call`", "req/CPU-s"),
        ("direct `tools/call`: the MCP server by itself", "req/s"),
        ("Merkle append, leaf and nodes of a real event", "per CPU-s"),
        ("fsynced batches of 4,096 events", "events/CPU-s"),
        ("a flush of one event", "ms"),
    ]
    .map(|(what, unit)| Row::plain(what, Series::default(), unit));
    for _ in 0..bench.rounds {
        let signing = signing_beside(bench, &echo, &empty, 5_000.0).await?;
        let seconds = bench.seconds();
        let merkle = child::measure(&["merkle", "--seconds", &seconds]).await?;
        let batches = flush(bench, 4_096, &bench.disk).await?;
        let alone = flush(bench, 1, &bench.disk).await?;
        let direct = bench
            .closed(&upstream, gateway::direct_call(upstream.address))
            .run()
            .await?
            .mostly_accepted()?;
        let proxied = gateway::direct_call(proxy.address);
        let numbers = [
            signing.sign,
            signing.verify,
            bench
                .per_cpu_second(&echo, Supply::Repeat(empty.clone()))
                .await?,
            bench.per_cpu_second(&proxy, proxied).await?,
            direct.goodput(),
            number(&merkle, "append")?,
            number(&batches, "events_per_cpu_second")?,
            number(&alone, "flush_ms")?,
        ];
        for (row, number) in rows.iter_mut().zip(numbers) {
            row.measured.push(number);
        }
    }
    Ok(rows.into())
}
