//! Renewal: `refresh_token` of a person's grant with `private_key_jwt` and DPoP, all ES256.

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::child::Server;
use crate::cores::Side;
use crate::figure::issuance::{SIGNATURES, once, warm_up};
use crate::figure::limits;
use crate::flow::Flow;
use crate::http1::Connection;
use crate::load::Supply;
use crate::product::Product;
use crate::report::{Goal, Row};
use crate::series::Series;
use crate::signing::{TokenEndpoint, form};
use crate::world::Distinct;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let product = Product::start(bench).await?;
    let echo = Server::role(Side::Server, &["echo"]).await?;
    let agent = product.agent_for_people("renewing-agent").await?;
    let login = product.person("bob@example.com").await?;
    let nonce = product.nonce().await?;
    let flow = Flow::new(&product, &agent, &login, &nonce, &Distinct::default())?;
    let mut connection = Connection::open(product.address()).await?;
    let taken = flow.take(&mut connection).await?;
    let refresh_token = taken.context("the flow was sent away")?.refresh_token;
    // The same token each time: it is not rotated, because it is of use to this key alone.
    let endpoint = TokenEndpoint {
        client_id: agent.id.to_string(),
        asks: form(&[
            ("grant_type", "refresh_token"),
            ("refresh_token", &refresh_token),
        ]),
        ..product.token_endpoint()
    };
    let key = &agent.key;
    let mut expected = warm_up(bench, &product.server, &endpoint, key).await?;

    let (mut ours, mut limit, mut p50) = (Series::default(), Series::default(), Series::default());
    for _ in 0..bench.rounds {
        let sample = endpoint.request(key, None);
        let signing = limits::signing_beside(bench, &echo, &sample, expected).await?;
        let exchange = bench.per_cpu_second(&echo, Supply::Repeat(sample)).await?;
        let (outcome, per_cpu) = once(bench, &product.server, &endpoint, key, expected).await?;
        expected = outcome.goodput();
        p50.push(outcome.percentile(0.5).as_secs_f64() * 1_000.0);
        ours.push(per_cpu);
        limit.push(signing.issuance(exchange));
    }
    Ok(vec![
        Row::plain(
            "refresh token + private_key_jwt + DPoP → JWT, ES256",
            ours,
            "req/CPU-s",
        )
        .beside(SIGNATURES, limit)
        .goal(Goal::RatioAtLeast(0.7)),
        Row::plain("latency with 32 connections, p50", p50, "ms"),
    ])
}
