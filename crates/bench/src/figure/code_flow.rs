//! The authorization code flow end to end: an agent asks, a person says yes in a browser, the agent has its tokens.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use crate::bench::{Bench, CONNECTIONS, rate};
use crate::child::Server;
use crate::cores::Side;
use crate::figure::limits;
use crate::flow::{Flow, Taken};
use crate::http1::Connection;
use crate::load::{Outcome, Supply};
use crate::product::{Agent, Product};
use crate::report::Row;
use crate::series::Series;
use crate::world::Distinct;

/// A person may have given an agent a hundred grants at a time, so there are enough of both for as many flows as a
/// round could take.
const AGENTS: usize = 12;
const PEOPLE: usize = 12;
const GRANTS: usize = 100;
/// Flows that say how many the round will need, and those that are then taken one after the other.
const FIRST: usize = 500;
const ALONE: usize = 1_000;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let echo = Server::role(Side::Server, &["echo"]).await?;
    let (mut ours, mut limit) = (Series::default(), Series::default());
    let (mut p50, mut alone_p50, mut over) =
        (Series::default(), Series::default(), Series::default());
    for _ in 0..bench.rounds {
        // Grants stay in force and in memory: each round begins with none, so that rounds are alike.
        let mut parties = Parties::assemble(bench).await?;
        let (first, sample) = take(parties.flows(FIRST).await?, CONNECTIONS, bench.length).await?;
        let per_second = first.goodput();

        let signing =
            limits::signing_beside(bench, &echo, &sample.requests[0], per_second * 4.0).await?;
        let exchange = Supply::InTurn(Rc::new(sample.requests));
        let exchange = bench.per_cpu_second(&echo, exchange).await?;
        let least = signing.flow(exchange);

        let count = (per_second * bench.length.as_secs_f64() * 1.2) as usize;
        let flows = parties.flows(count).await?;
        let server = &parties.product.server;
        let before = server.used()?;
        let (outcome, _) = take(flows, CONNECTIONS, bench.length).await?;
        let per_cpu = rate(&outcome, server.used()?.saturating_sub(before))?;
        ours.push(per_cpu);
        limit.push(least);
        p50.push(outcome.percentile(0.5).as_secs_f64() * 1_000.0);

        let (alone, _) = take(parties.flows(ALONE).await?, 1, bench.length).await?;
        let alone = alone.percentile(0.5).as_secs_f64();
        alone_p50.push(alone * 1_000.0);
        over.push(alone * least);
    }
    Ok(vec![
        Row::plain(
            "push, page, answer, redemption → JWT and refresh token, ES256",
            ours,
            "flows/CPU-s",
        )
        .beside("1/(3/V + 1/S + 4/H)", limit),
        Row::plain("a flow with 32 at a time, p50", p50, "ms"),
        Row::plain("a flow by itself, p50", alone_p50, "ms"),
        Row::plain(
            "a flow by itself, p50 over the sum of its limits",
            over,
            "times",
        ),
    ])
}

/// Agents that ask, and people who answer.
struct Parties {
    product: Product,
    agents: Vec<Agent>,
    logins: Vec<String>,
    names: Distinct,
    begun: usize,
}

impl Parties {
    async fn assemble(bench: &Bench) -> Result<Self> {
        let product = Product::start(bench).await?;
        let (mut agents, mut logins) = (Vec::new(), Vec::new());
        for number in 0..AGENTS {
            let name = format!("asking-agent-{number}");
            agents.push(product.agent_for_people(&name).await?);
        }
        for number in 0..PEOPLE {
            let handle = format!("person-{number}@example.com");
            logins.push(product.person(&handle).await?);
        }
        Ok(Self {
            product,
            agents,
            logins,
            names: Distinct::default(),
            begun: 0,
        })
    }

    /// So many flows, of each agent with each person in turn; fewer when no more grants may be given.
    async fn flows(&mut self, count: usize) -> Result<Rc<[Flow]>> {
        let end = (self.begun + count).min(AGENTS * PEOPLE * GRANTS);
        let nonce = self.product.nonce().await?;
        let flows = (self.begun..end).map(|number| {
            let agent = &self.agents[number % AGENTS];
            let login = &self.logins[number / AGENTS % PEOPLE];
            Flow::new(&self.product, agent, login, &nonce, &self.names)
        });
        let flows = flows.collect::<Result<_>>()?;
        self.begun = end;
        Ok(flows)
    }
}

/// Takes flows, so many at a time, until the time is over or none is left; also one of them.
async fn take(flows: Rc<[Flow]>, connections: usize, length: Duration) -> Result<(Outcome, Taken)> {
    let begin = Instant::now();
    let next = Rc::new(Cell::new(0));
    let outcome = Rc::new(RefCell::new(Outcome::default()));
    let mut running = JoinSet::new();
    for _connection in 0..connections {
        let (flows, next, outcome) = (Rc::clone(&flows), Rc::clone(&next), Rc::clone(&outcome));
        running.spawn_local(async move {
            let mut connection = Connection::open(flows.first().context("no flow")?.to).await?;
            let mut last = None;
            while begin.elapsed() < length
                && let Some(flow) = flows.get(next.get())
            {
                next.set(next.get() + 1);
                let begin = Instant::now();
                let taken = flow.take(&mut connection).await?;
                let mut outcome = outcome.borrow_mut();
                match taken {
                    Some(taken) => {
                        outcome.accepted += 1;
                        outcome.latencies.push(begin.elapsed());
                        last = Some(taken);
                    }
                    None => outcome.shed += 1,
                }
            }
            anyhow::Ok(last)
        });
    }
    let mut one = None;
    while let Some(ended) = running.join_next().await {
        one = ended.context("a connection's task failed")??.or(one);
    }
    let mut outcome = outcome.take();
    outcome.took = begin.elapsed();
    outcome.latencies.sort_unstable();
    Ok((
        outcome.mostly_accepted()?,
        one.context("no flow was taken")?,
    ))
}
