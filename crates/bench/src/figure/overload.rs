//! Overload: twice what the program can do, at fixed times. What it accepts must stay fast.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::bench::Bench;
use crate::figure::gateway;
use crate::load::{Load, Outcome, Pace, Supply};
use crate::product::Product;
use crate::report::{Goal, Row};
use crate::series::Series;
use crate::signing::TokenEndpoint;

/// Many more than the program answers at a time, so that what waits waits there and not in the client.
const CONNECTIONS: usize = 512;
/// As many as keep the program busy all the time, also while a flush is under way.
const BUSY: usize = 64;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let product = Product::start(bench).await?;
    let mut rows = issuance(bench, &product).await?;
    rows.extend(calls(bench, &product).await?);
    Ok(rows)
}

async fn issuance(bench: &Bench, product: &Product) -> Result<Vec<Row>> {
    let endpoint = product.token_endpoint();
    let mut numbers = Numbers::default();
    let mut capacity = 1_000.0;
    for round in 0..=bench.rounds {
        let supply = fresh(bench, product, &endpoint, capacity * 1.5).await?;
        capacity = capacity_with(bench, product, supply).await?;
        if round == 0 {
            continue;
        }
        let half = fresh(bench, product, &endpoint, capacity * 0.5).await?;
        let half = at_rate(bench, product, half, capacity * 0.5).await?;
        let twice = fresh(bench, product, &endpoint, capacity * 2.0).await?;
        let twice = at_rate(bench, product, twice, capacity * 2.0).await?;
        numbers.add(capacity, &half, &twice)?;
    }
    Ok(numbers.rows("issuance"))
}

async fn calls(bench: &Bench, product: &Product) -> Result<Vec<Row>> {
    let call = gateway::bearer_call(product).await?;
    let supply = || Supply::Repeat(call.clone());
    let mut numbers = Numbers::default();
    for _ in 0..bench.rounds {
        let capacity = capacity_with(bench, product, supply()).await?;
        let half = at_rate(bench, product, supply(), capacity * 0.5).await?;
        let twice = at_rate(bench, product, supply(), capacity * 2.0).await?;
        numbers.add(capacity, &half, &twice)?;
    }
    Ok(numbers.rows("gateway call"))
}

/// What a closed loop reaches.
async fn capacity_with(bench: &Bench, product: &Product, supply: Supply) -> Result<f64> {
    let load = Load {
        connections: BUSY,
        ..bench.closed(&product.server, supply)
    };
    Ok(load.run().await?.mostly_accepted()?.goodput())
}

/// Requests that last for one load at `rate`.
async fn fresh(
    bench: &Bench,
    product: &Product,
    endpoint: &TokenEndpoint,
    rate: f64,
) -> Result<Supply> {
    let nonce = endpoint.fetch_nonce(&product.agent.key).await?;
    let count = (rate * bench.length.as_secs_f64() * 1.02) as usize + 10;
    Ok(Supply::Once(endpoint.requests(
        &product.agent.key,
        &nonce,
        count,
    )))
}

async fn at_rate(bench: &Bench, product: &Product, supply: Supply, rate: f64) -> Result<Outcome> {
    let load = Load {
        connections: CONNECTIONS,
        pace: Pace::Open(rate),
        ..bench.closed(&product.server, supply)
    };
    let outcome = load.run().await?;
    // A moment to come to rest, so that one load is not the beginning of the next.
    tokio::time::sleep(Duration::from_millis(300)).await;
    Ok(outcome)
}

/// What the rounds of one kind of request came to.
#[derive(Default)]
struct Numbers {
    goodput: Series,
    shed: Series,
    half: Series,
    twice_p50: Series,
    twice: Series,
    growth: Series,
}

impl Numbers {
    fn add(&mut self, capacity: f64, half: &Outcome, twice: &Outcome) -> Result<()> {
        for outcome in [half, twice] {
            if outcome.failed > 0 {
                let why = outcome.failure.as_deref().unwrap_or("");
                bail!("{} requests failed: {why}", outcome.failed);
            }
        }
        let offered = twice.accepted + twice.shed + twice.unsent;
        let p99 = |outcome: &Outcome| outcome.percentile(0.99).as_secs_f64() * 1_000.0;
        self.goodput.push(twice.goodput() / capacity * 100.0);
        self.shed.push(twice.shed as f64 / offered as f64 * 100.0);
        self.half.push(p99(half));
        self.twice_p50
            .push(twice.percentile(0.5).as_secs_f64() * 1_000.0);
        self.twice.push(p99(twice));
        self.growth.push(p99(twice) / p99(half));
        Ok(())
    }

    fn rows(self, kind: &str) -> Vec<Row> {
        let row = |what: &str, numbers, unit| Row::plain(format!("{kind}: {what}"), numbers, unit);
        vec![
            row(
                "goodput at twice the capacity",
                self.goodput,
                "% of capacity",
            ),
            row("sent away early (429, 503)", self.shed, "% of what was due"),
            row("p99 at half the capacity", self.half, "ms"),
            row("p50 of the accepted at twice", self.twice_p50, "ms"),
            row("p99 of the accepted at twice", self.twice, "ms"),
            row("p99 at twice over p99 at half", self.growth, "times").goal(Goal::AtMost(5.0)),
        ]
    }
}
