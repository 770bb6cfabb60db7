//! The gateway: `tools/call`, judged and recorded twice, with a token seen before, and with a proof each call.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use chancery_wire::mcp::{META_CAPABILITIES, META_CLIENT, META_VERSION, MODERN};
use serde_json::{Value, json};

use crate::bench::{Bench, rate};
use crate::child::Server;
use crate::cores::Side;
use crate::figure::limits;
use crate::http1;
use crate::load::{Load, Supply};
use crate::product::{Product, SERVER};
use crate::report::{Goal, Row};
use crate::role::upstream::TOOL;
use crate::series::Series;
use crate::signing::{ProvenCall, proven_calls};
use crate::world::Distinct;

/// A proof is remembered for a minute, and so many are at most; a load stays well below.
const PROOFS: f64 = 40_000.0;

/// The body of a call.
pub(crate) fn body() -> String {
    json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {
            "name": TOOL,
            "arguments": {"query": "refund policy", "limit": 10},
            "_meta": {
                META_VERSION: MODERN,
                META_CAPABILITIES: {},
                META_CLIENT: {"name": "bench", "version": "1"},
            },
        },
    })
    .to_string()
}

/// The headers of a call, beside those of the credential.
pub(crate) fn headers() -> String {
    format!(
        "Content-Type: application/json\r\nAccept: application/json, text/event-stream\r\n\
         MCP-Protocol-Version: {MODERN}\r\nMcp-Method: tools/call\r\nMcp-Name: {TOOL}\r\n"
    )
}

/// The call as one goes to the MCP server itself or through a bare proxy: without a credential.
pub(crate) fn direct_call(to: SocketAddr) -> Supply {
    Supply::Repeat(http1::request("POST", to, "/mcp", &headers(), &body()))
}

/// The call through the gateway with a bearer token.
pub(crate) async fn bearer_call(product: &Product) -> Result<Bytes> {
    let token = product.bearer_token(&product.mcp_resource()).await?;
    let headers = format!("Authorization: Bearer {token}\r\n{}", headers());
    let path = format!("/mcp/{SERVER}");
    let call = http1::request("POST", product.address(), &path, &headers, &body());
    expect_result(product, &call).await?;
    Ok(call)
}

/// Sends a call once and looks at the answer: a refusal would be faster than any call.
async fn expect_result(product: &Product, call: &Bytes) -> Result<()> {
    let answer = product.send(call).await?;
    let result: Value = serde_json::from_slice(answer.body())
        .with_context(|| format!("no result: {}", answer.beginning()))?;
    if answer.status != 200 || result["result"]["content"].is_null() {
        bail!("no result: {}", answer.beginning());
    }
    Ok(())
}

pub(super) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let product = Product::start(bench).await?;
    let behind = product.upstream.address.to_string();
    let proxy = Server::role(Side::Server, &["proxy", &behind]).await?;
    let echo = Server::role(Side::Server, &["echo"]).await?;
    let bearer = bearer_call(&product).await?;

    let token = product.bound_token().await?;
    let (path, url) = (format!("/mcp/{SERVER}"), product.mcp_resource());
    let (headers, body) = (headers(), body());
    let mut call = ProvenCall {
        address: product.address(),
        path: &path,
        url: &url,
        key: &product.agent.key,
        token: &token,
        nonce: None,
        headers: &headers,
        body: &body,
    };
    let names = Distinct::default();
    let first = product.send(&call.request(&names)).await?;
    let nonce = first.header("dpop-nonce");
    call.nonce = Some(nonce.with_context(|| format!("no nonce: {}", first.beginning()))?);
    expect_result(&product, &call.request(&names)).await?;

    let (mut ours, mut limit, mut p50) = (Series::default(), Series::default(), Series::default());
    let (mut proven, mut proven_limit) = (Series::default(), Series::default());
    for _ in 0..bench.rounds {
        let bare = bench
            .per_cpu_second(&proxy, direct_call(proxy.address))
            .await?;
        let load = bench.closed(&product.server, Supply::Repeat(bearer.clone()));
        let (outcome, used) = load.against(&product.server).await?;
        let outcome = outcome.mostly_accepted()?;
        p50.push(outcome.percentile(0.5).as_secs_f64() * 1_000.0);
        ours.push(rate(&outcome, used)?);
        limit.push(bare);

        let expected = outcome.goodput().min(PROOFS / bench.length.as_secs_f64());
        let signing = limits::signing_beside(bench, &echo, &bearer, expected).await?;
        let count = (expected * bench.length.as_secs_f64()) as usize;
        let load = Load {
            supply: Supply::Once(proven_calls(&call, count)),
            ..bench.closed(&product.server, Supply::Repeat(Bytes::new()))
        };
        let (outcome, used) = load.against(&product.server).await?;
        proven.push(rate(&outcome.mostly_accepted()?, used)?);
        proven_limit.push(signing.proven(bare));
    }
    Ok(vec![
        Row::plain("`tools/call`, bearer token seen before", ours, "req/CPU-s")
            .beside("bare proxy", limit)
            .goal(Goal::RatioAtLeast(0.3)),
        Row::plain("latency with 32 connections, p50", p50, "ms"),
        Row::plain("`tools/call`, a DPoP proof each call", proven, "req/CPU-s")
            .beside("1/(1/V + 1/bare proxy)", proven_limit),
    ])
}
