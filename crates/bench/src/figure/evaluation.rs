//! AuthZEN: a resource server asks whether the agent may call the tool; each answer is recorded.

use anyhow::{Result, bail};
use serde_json::json;

use crate::bench::Bench;
use crate::child::Server;
use crate::cores::Side;
use crate::http1;
use crate::load::Supply;
use crate::product::{Product, SERVER};
use crate::report::{Goal, Row};
use crate::role::upstream::TOOL;
use crate::series::Series;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let product = Product::start(bench).await?;
    let echo = Server::role(Side::Server, &["echo"]).await?;
    let token = product.resource_token().await?;
    let body = json!({
        "subject": {"type": "agent", "id": product.agent.id},
        "action": {"name": "call_tool"},
        "resource": {"type": "tool", "id": format!("{SERVER}/{TOOL}")},
        "context": {"args": {"query": "refund policy", "limit": 10}},
    });
    let headers = format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\n");
    let path = "/access/v1/evaluation";
    let request = http1::request("POST", product.address(), path, &headers, &body.to_string());
    let answer = product.send(&request).await?;
    if answer.status != 200 {
        bail!("no decision: {}", answer.beginning());
    }
    let (mut ours, mut limit) = (Series::default(), Series::default());
    for _ in 0..bench.rounds {
        limit.push(
            bench
                .per_cpu_second(&echo, Supply::Repeat(request.clone()))
                .await?,
        );
        let supply = Supply::Repeat(request.clone());
        ours.push(bench.per_cpu_second(&product.server, supply).await?);
    }
    Ok(vec![
        Row::plain(
            "AuthZEN evaluation, decided and recorded",
            ours,
            "req/CPU-s",
        )
        .beside("bare hyper", limit)
        .goal(Goal::RatioAtLeast(0.4)),
    ])
}
