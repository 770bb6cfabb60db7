//! Pushed authorization requests: `private_key_jwt` and the name of the key that the code will be bound to.

use std::rc::Rc;

use anyhow::Result;
use bytes::Bytes;

use crate::bench::{Bench, rate};
use crate::child::Server;
use crate::cores::Side;
use crate::figure::limits;
use crate::flow;
use crate::load::{Outcome, Supply};
use crate::product::{Agent, Product};
use crate::report::{Goal, Row};
use crate::series::Series;
use crate::world::Distinct;

/// How many requests of one agent wait at most. A hundred may, for a minute, and here nobody answers any; so whoever
/// pushes without end needs ever more agents, and each round registers its own before it begins.
const WAITING: usize = 50;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let product = Product::start(bench).await?;
    let echo = Server::role(Side::Server, &["echo"]).await?;
    let mut clients = Clients {
        product: &product,
        registered: 0,
        names: Distinct::default(),
    };
    let (outcome, _) = clients.push(bench, 1_000).await?;
    let mut expected = outcome.goodput();

    let (mut ours, mut limit, mut p50) = (Series::default(), Series::default(), Series::default());
    for _ in 0..bench.rounds {
        let sample = clients.request(&product.agent)?;
        let signing = limits::signing_beside(bench, &echo, &sample, expected).await?;
        let exchange = bench.per_cpu_second(&echo, Supply::Repeat(sample)).await?;
        let count = (expected * bench.length.as_secs_f64() * 1.2) as usize;
        let (outcome, per_cpu) = clients.push(bench, count.max(100)).await?;
        expected = outcome.goodput();
        p50.push(outcome.percentile(0.5).as_secs_f64() * 1_000.0);
        ours.push(per_cpu);
        limit.push(signing.proven(exchange));
    }
    Ok(vec![
        Row::plain("private_key_jwt → `request_uri`, ES256", ours, "req/CPU-s")
            .beside("1/(1/V + 1/H)", limit)
            .goal(Goal::RatioAtLeast(0.7)),
        Row::plain("latency with 32 connections, p50", p50, "ms"),
    ])
}

/// Agents that push.
struct Clients<'a> {
    product: &'a Product,
    registered: usize,
    names: Distinct,
}

impl Clients<'_> {
    /// So many requests in a closed loop, of agents that have pushed nothing yet.
    async fn push(&mut self, bench: &Bench, count: usize) -> Result<(Outcome, f64)> {
        let mut agents = Vec::new();
        for _ in 0..count.div_ceil(WAITING) {
            let name = format!("pushing-agent-{}", self.registered);
            agents.push(self.product.agent_for_people(&name).await?);
            self.registered += 1;
        }
        // Each agent in turn, as of many that ask at the same time.
        let requests = agents.iter().cycle().take(count);
        let requests: Rc<[Bytes]> = requests
            .map(|agent| self.request(agent))
            .collect::<Result<_>>()?;
        let server = &self.product.server;
        let load = bench.closed(server, Supply::Once(requests));
        let (outcome, used) = load.against(server).await?;
        let outcome = outcome.mostly_accepted()?;
        let per_cpu = rate(&outcome, used)?;
        Ok((outcome, per_cpu))
    }

    fn request(&self, agent: &Agent) -> Result<Bytes> {
        let verifier = [self.names.name(), self.names.name()].concat();
        flow::push(self.product, agent, &verifier, &self.names)
    }
}
