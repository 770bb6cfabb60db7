//! Issuance: `client_credentials` with `private_key_jwt` and DPoP, all ES256, and the peer on the same requests.

use anyhow::Result;
use chancery_wire::jwk::{Algorithm, PrivateKey};

use crate::bench::{Bench, rate};
use crate::child::Server;
use crate::cores::Side;
use crate::figure::{limits, peer, recording};
use crate::load::{Outcome, Supply};
use crate::product::Product;
use crate::report::{Goal, Row};
use crate::series::Series;
use crate::signing::TokenEndpoint;

const UNIT: &str = "req/CPU-s";
/// The limit of whatever takes two verifications, a signature and an exchange.
pub(super) const SIGNATURES: &str = "signature limit";

pub(super) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let product = Product::start(bench).await?;
    let endpoint = product.token_endpoint();
    let key = &product.agent.key;
    let echo = Server::role(Side::Server, &["echo"]).await?;
    let other_key = PrivateKey::generate(Algorithm::Es256)?;
    let other = match &bench.peer {
        Some(found) => Some(peer::start(found, &other_key).await?),
        None => None,
    };
    // The first requests say how many the rounds will need.
    let mut expected = warm_up(bench, &product.server, &endpoint, key).await?;
    let mut other_expected = match &other {
        Some(other) => warm_up(bench, &other.server, &other.endpoint, &other_key).await?,
        None => 0.0,
    };

    let (mut ours, mut limit, mut theirs) =
        (Series::default(), Series::default(), Series::default());
    let (mut exchanges, mut p50) = (Series::default(), Series::default());
    let (mut share, mut recorded) = (Series::default(), Series::default());
    for _ in 0..bench.rounds {
        let sample = endpoint.request(key, None);
        let signing = limits::signing_beside(bench, &echo, &sample, expected).await?;
        let exchange = bench.per_cpu_second(&echo, Supply::Repeat(sample)).await?;

        let (outcome, per_cpu) = once(bench, &product.server, &endpoint, key, expected).await?;
        expected = outcome.goodput();
        p50.push(outcome.percentile(0.5).as_secs_f64() * 1_000.0);
        ours.push(per_cpu);
        exchanges.push(exchange);
        limit.push(signing.issuance(exchange));

        let cost = recording::cost(bench, expected).await?;
        recorded.push(cost * 1e6);
        share.push(cost * per_cpu * 100.0);

        if let Some(other) = &other {
            let (outcome, per_cpu) = once(
                bench,
                &other.server,
                &other.endpoint,
                &other_key,
                other_expected,
            )
            .await?;
            other_expected = outcome.goodput();
            theirs.push(per_cpu);
        }
    }
    product.server.stop().await?;
    let mut rows = vec![
        Row::plain("private_key_jwt + DPoP → JWT, ES256", ours, UNIT)
            .beside(SIGNATURES, limit.clone())
            .goal(Goal::RatioAtLeast(0.7)),
        Row::plain("latency with 32 connections, p50", p50, "ms"),
        Row::plain(
            "recording an issuance durably and sealing it",
            recorded,
            "µs of CPU",
        ),
        Row::plain("share of an issuance that is recording", share, "%").goal(Goal::AtMost(10.0)),
        Row::plain("bare hyper, the same requests", exchanges, UNIT),
    ];
    if other.is_some() {
        let name = "npm oidc-provider 9, the same requests, in memory";
        rows.push(Row::plain(name, theirs, UNIT).beside(SIGNATURES, limit));
    }
    Ok(rows)
}

/// Requests a second of a server that is new to this.
pub(super) async fn warm_up(
    bench: &Bench,
    server: &Server,
    endpoint: &TokenEndpoint,
    key: &PrivateKey,
) -> Result<f64> {
    let nonce = endpoint.fetch_nonce(key).await?;
    let requests = Supply::Once(endpoint.requests(key, &nonce, 2_000));
    let outcome = bench
        .closed(server, requests)
        .run()
        .await?
        .mostly_accepted()?;
    Ok(outcome.goodput())
}

/// One closed loop over requests signed just before, because they are good for a minute.
pub(super) async fn once(
    bench: &Bench,
    server: &Server,
    endpoint: &TokenEndpoint,
    key: &PrivateKey,
    expected: f64,
) -> Result<(Outcome, f64)> {
    let nonce = endpoint.fetch_nonce(key).await?;
    let count = (expected * bench.length.as_secs_f64() * 1.2) as usize;
    let requests = Supply::Once(endpoint.requests(key, &nonce, count.max(100)));
    let (outcome, used) = bench.closed(server, requests).against(server).await?;
    let outcome = outcome.mostly_accepted()?;
    let per_cpu = rate(&outcome, used)?;
    Ok((outcome, per_cpu))
}
