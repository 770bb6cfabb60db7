//! Introspection: a resource server asks about a token with a token of its own, while none and while many others are
//! revoked.

use std::time::Duration;

use anyhow::{Result, bail};
use bytes::Bytes;
use chancery_api::tokens::RevokeToken;
use chancery_model::event::{Actor, ActorKind, Event, EventKind};
use chancery_model::id::TokenId;
use chancery_model::time::Clock;
use chancery_store::connect::{DatabaseUrl, Store};
use chancery_store::revocations;

use crate::bench::Bench;
use crate::child::Server;
use crate::cores::{self, Memory, Side};
use crate::http1;
use crate::load::Supply;
use crate::product::Product;
use crate::report::{Goal, Row};
use crate::series::Series;
use crate::signing::FORM;
use crate::world::{Distinct, MachineClock};

/// Revoked tokens that have not ended. Where tokens live five minutes, no house issues so many in that time, let alone
/// revokes them; so they are written to the database while the program does not run, by the store's own functions, with
/// their ends a day away.
const MILLION: usize = 1_000_000;
const A_DAY: Duration = Duration::from_secs(86_400);
/// Revocations that say what one more takes.
const MORE: u32 = 20;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let echo = Server::role(Side::Server, &["echo"]).await?;
    let none = Asked::start(bench, 0).await?;
    let many = Asked::start(bench, MILLION).await?;
    let (mut with_none, mut with_many, mut limit) =
        (Series::default(), Series::default(), Series::default());
    for _ in 0..bench.rounds {
        let supply = Supply::Repeat(none.request.clone());
        limit.push(bench.per_cpu_second(&echo, supply).await?);
        for (asked, rates) in [(&none, &mut with_none), (&many, &mut with_many)] {
            let supply = Supply::Repeat(asked.request.clone());
            rates.push(bench.per_cpu_second(&asked.product.server, supply).await?);
        }
    }
    let dearer = with_none.over(&with_many);
    let reading = many.started.saturating_sub(none.started);
    let revoking = [none.revoke_more().await?, many.revoke_more().await?];
    let held = [none.memory()?, many.memory()?];
    let once = |what, number, unit| Row::plain(what, Series::once(number), unit);
    let mut rows = vec![
        Row::plain(
            "introspection of a JWT by a resource server",
            with_none,
            "req/CPU-s",
        )
        .beside("bare hyper", limit.clone())
        .goal(Goal::RatioAtLeast(0.6)),
        Row::plain("the same, a million others revoked", with_many, "req/CPU-s")
            .beside("bare hyper", limit),
        Row::plain("cost with a million revoked over none", dearer, "times")
            .goal(Goal::AtMost(1.05)),
        once(
            "reading a million revoked",
            reading.as_secs_f64() * 1_000.0,
            "ms of CPU",
        ),
    ];
    for ((kind, revoking), held) in ["none", "a million"].into_iter().zip(revoking).zip(held) {
        let row = |what, number, unit| {
            Row::plain(
                format!("{kind} revoked: {what}"),
                Series::once(number),
                unit,
            )
        };
        rows.extend([
            row("one more", revoking.as_secs_f64() * 1_000.0, "ms of CPU"),
            row("resident memory", held.now, "MiB"),
            row("the most that it was", held.most, "MiB"),
        ]);
    }
    Ok(rows)
}

/// A program that is asked about a token.
struct Asked {
    product: Product,
    request: Bytes,
    /// The processor time of its start.
    started: Duration,
}

impl Asked {
    /// Starts it with so many revoked tokens.
    async fn start(bench: &Bench, revoked: usize) -> Result<Self> {
        let product = Product::start(bench).await?;
        let product = product
            .restart(bench, async |database| revoke(&database, revoked).await)
            .await?;
        let started = product.server.used()?;
        let own = product.resource_token().await?;
        // The resource server's own audience: of other tokens it learns nothing.
        let token = product.bearer_token("https://api.example.com").await?;
        let headers = format!("{FORM}Authorization: Bearer {own}\r\n");
        let (to, body) = (product.address(), format!("token={token}"));
        let request = http1::request("POST", to, "/oauth/introspect", &headers, &body);
        let answer = product.send(&request).await?;
        if !answer.body().starts_with(br#"{"active":true"#) {
            bail!("the token is not active: {}", answer.beginning());
        }
        Ok(Self {
            product,
            request,
            started,
        })
    }

    /// The processor time of one more revocation, with its receipt.
    async fn revoke_more(&self) -> Result<Duration> {
        let (before, names) = (self.product.server.used()?, Distinct::default());
        for _ in 0..MORE {
            let revoke = RevokeToken {
                jti: Some(TokenId::generate(MachineClock.now(), &names)),
                token: None,
                reason: "measuring".to_owned(),
            };
            self.product.authority.token_revoke(&revoke).await?;
        }
        Ok(self.product.server.used()?.saturating_sub(before) / MORE)
    }

    fn memory(&self) -> Result<Memory> {
        cores::memory(self.product.server.id)
    }
}

/// Writes so many revoked tokens to the database of a program that does not run.
async fn revoke(database: &DatabaseUrl, count: usize) -> Result<()> {
    let store = Store::open(database).await?;
    let (now, names) = (MachineClock.now(), Distinct::default());
    let mut tx = store.begin().await?;
    for _ in 0..count {
        let jti = TokenId::generate(now, &names);
        revocations::insert(&mut tx, jti, now.after(A_DAY), now).await?;
    }
    let actor = Actor {
        id: "bench".to_owned(),
        kind: ActorKind::LocalAdministrator,
    };
    let event = Event::new(EventKind::TokenRevoked, actor, now, &names);
    Ok(tx.commit(event, Vec::new()).await?)
}
