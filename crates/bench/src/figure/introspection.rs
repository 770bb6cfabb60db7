//! Introspection: a resource server asks about a token with a token of its own.

use anyhow::{Result, bail};

use crate::bench::Bench;
use crate::child::Server;
use crate::cores::Side;
use crate::http1;
use crate::load::Supply;
use crate::product::Product;
use crate::report::{Goal, Row};
use crate::series::Series;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let product = Product::start(bench).await?;
    let echo = Server::role(Side::Server, &["echo"]).await?;
    let own = product.resource_token().await?;
    // The resource server's own audience: of other tokens it learns nothing.
    let token = product.bearer_token("https://api.example.com").await?;
    let headers = format!(
        "Authorization: Bearer {own}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    );
    let body = format!("token={token}");
    let request = http1::request(
        "POST",
        product.address(),
        "/oauth/introspect",
        &headers,
        &body,
    );
    let answer = product.send(&request).await?;
    if !answer.body().starts_with(br#"{"active":true"#) {
        bail!("the token is not active: {}", answer.beginning());
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
            "introspection of a JWT by a resource server",
            ours,
            "req/CPU-s",
        )
        .beside("bare hyper", limit)
        .goal(Goal::RatioAtLeast(0.4)),
    ])
}
