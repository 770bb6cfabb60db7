//! A database that can no longer be reached, says nothing any more, or takes its time. PostgreSQL only: a file is
//! never elsewhere.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::database::Database;
use crate::house::{House, token_form};
use crate::request::ask;

const R1: &str = "https://r1.example";

/// How long anybody may wait for a refusal.
const REFUSED: Duration = Duration::from_secs(15);
/// How long it may take to work again.
const HEALED: Duration = Duration::from_secs(30);

/// How the wire to the database behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Open,
    /// Every connection is closed, and new ones too.
    Cut,
    /// Nothing arrives any more, and nobody is told. What was on its way then never arrives.
    Silent,
    /// Everything arrives, seconds later.
    Slow,
}

/// A wire to PostgreSQL that can fail.
struct Wire {
    way: watch::Sender<Way>,
    database: Database,
}

impl Wire {
    /// `None` without a PostgreSQL.
    async fn to(database: &Database) -> Option<Self> {
        let Database::Postgres(url) = database else {
            return None;
        };
        let real = url::Url::parse(url).expect("a URL");
        let (host, port) = (real.host_str()?, real.port()?);
        let server = format!("{host}:{port}");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut ours = real.clone();
        let port = listener.local_addr().expect("an address").port();
        ours.set_port(Some(port)).expect("a port");
        let way = watch::Sender::new(Way::Open);
        tokio::spawn(carry(listener, server, way.clone()));
        let database = Database::Postgres(ours.into());
        Some(Self { way, database })
    }

    fn is(&self, way: Way) {
        self.way.send_replace(way);
    }
}

async fn carry(listener: TcpListener, server: String, way: watch::Sender<Way>) {
    loop {
        let (near, _) = listener.accept().await.expect("a connection");
        if *way.borrow() == Way::Cut {
            continue;
        }
        let (server, mut way) = (server.clone(), way.subscribe());
        tokio::spawn(async move {
            let far = TcpStream::connect(server).await.expect("PostgreSQL");
            let (near, far) = (near.into_split(), far.into_split());
            let there = pump(near.0, far.1, way.clone());
            let back = pump(far.0, near.1, way.clone());
            tokio::select! {
                () = there => {}
                () = back => {}
                _ = way.wait_for(|way| *way == Way::Cut) => {}
            }
        });
    }
}

async fn pump(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    way: watch::Receiver<Way>,
) {
    let mut piece = vec![0; 16_384];
    let mut is_lost = false;
    while let Ok(read @ 1..) = from.read(&mut piece).await {
        let now = *way.borrow();
        // Whoever was silent once has lost a piece, and stays silent: nothing would fit behind the gap.
        is_lost |= now == Way::Silent;
        if is_lost {
            continue;
        }
        if now == Way::Slow {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
        if to.write_all(&piece[..read]).await.is_err() {
            return;
        }
    }
}

/// Two processes of one authority: the first with a wire that can fail, the second without.
async fn two() -> Option<(Wire, Arc<House>, House)> {
    let steady = House::found().await;
    let wire = Wire::to(&steady.database).await?;
    let clock = Arc::clone(&steady.clock);
    let house = House::open(wire.database.clone(), clock, 2, |_| {}).await;
    Some((wire, Arc::new(house), steady))
}

async fn cut_off(way: Way, id: &str) {
    let Some((wire, house, steady)) = two().await else {
        return;
    };
    let server = steady.resource(R1).await;
    let agent = steady.register("refund-bot").await;
    house.catch_up_with(&steady).await;
    let questions = steady.questions(&server).await;
    let token = house.token(&agent, R1).await;
    assert!(house.is_told_active(&questions, &token).await);
    wire.is(way);
    let started = Instant::now();
    // What needs the record is refused in time: many at once, so that none waits for the one before.
    let spent = house.assertion(&agent);
    let nonce = house.nonce(&agent).await;
    let form = [("client_assertion", spent.as_str()), ("resource", R1)];
    let asked: Vec<_> = (0..20)
        .map(|_| {
            let ask = token_form(&form).header("dpop", house.proof(&agent.key, &nonce));
            let house = Arc::clone(&house);
            tokio::spawn(async move { house.send(ask).await })
        })
        .collect();
    let owner = house
        .admin("POST", "/v1/owners", json!({"handle": "carol@example.com"}))
        .await;
    assert_eq!(owner.status, 503, "{id}: {owner:?}");
    for asked in asked {
        let answer = asked.await.expect("a task");
        assert_eq!(answer.status, 503, "{id}: {answer:?}");
    }
    assert!(started.elapsed() < REFUSED, "{id}: {:?}", started.elapsed());
    // What needs no database goes on, until nobody knows any more whether it still holds.
    assert_eq!(house.send(ask("GET", "/oauth/jwks")).await.status, 200);
    steady.suspend("refund-bot").await.ok();
    house.advance_unseen(Duration::from_secs(31));
    let question = ask("POST", "/oauth/introspect").bearer(&questions);
    let question = question.form(&[("token", &token)]);
    let answer = house.send(question).await;
    answer.oauth_error(503, "temporarily_unavailable");
    assert_eq!(house.send(ask("GET", "/readyz")).await.status, 503);

    // It heals by itself: the stop is known before anything else is said.
    wire.is(Way::Open);
    let healing = Instant::now();
    while house.send(ask("GET", "/readyz")).await.status != 200 {
        assert!(healing.elapsed() < HEALED, "{id}: it does not heal");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!house.is_told_active(&questions, &token).await);
    house.forget_nonce();
    steady.forget_nonce();
    steady.resume("refund-bot").await.ok();
    house.catch_up_with(&steady).await;
    while house.ask_token(&agent, R1).await.status != 200 {
        assert!(healing.elapsed() < HEALED, "{id}: it does not issue");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // What was asked in vain may or may not have been used up, but never twice.
    let mut won = 0;
    for node in [&*house, &steady] {
        let nonce = node.nonce(&agent).await;
        let form = [("client_assertion", spent.as_str()), ("resource", R1)];
        let again = token_form(&form).header("dpop", node.proof(&agent.key, &nonce));
        won += usize::from(node.send(again).await.status == 200);
    }
    assert!(won <= 1, "{id}: used {won} times");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stor_07_process_cut_off_from_its_database_refuses_and_heals_by_itself() {
    cut_off(Way::Cut, "cut").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stor_07_database_that_says_nothing_any_more_is_given_up_and_found_again() {
    cut_off(Way::Silent, "silent").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stor_08_database_that_takes_seconds_refuses_some_and_holds_up_nobody_else() {
    let Some((wire, house, steady)) = two().await else {
        return;
    };
    steady.resource(R1).await;
    let agent = Arc::new(steady.register("refund-bot").await);
    house.catch_up_with(&steady).await;
    house.token(&agent, R1).await;
    wire.is(Way::Slow);
    let slow: Vec<_> = (0..30)
        .map(|_| {
            let (house, agent) = (Arc::clone(&house), Arc::clone(&agent));
            tokio::spawn(async move {
                let started = Instant::now();
                let answer = house.ask_token(&agent, R1).await;
                (answer, started.elapsed())
            })
        })
        .collect();
    // Others are served as ever, here and there.
    for _ in 0..20 {
        let started = Instant::now();
        assert_eq!(house.send(ask("GET", "/oauth/jwks")).await.status, 200);
        assert!(started.elapsed() < Duration::from_secs(2));
        steady.token(&agent, R1).await;
    }
    for asked in slow {
        let (answer, took) = asked.await.expect("a task");
        assert!([200, 503].contains(&answer.status.as_u16()), "{answer:?}");
        assert!(took < Duration::from_secs(25), "{took:?}");
    }
    wire.is(Way::Open);
    let healing = Instant::now();
    house.forget_nonce();
    while house.ask_token(&agent, R1).await.status != 200 {
        assert!(healing.elapsed() < HEALED, "it does not issue");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A process that vanishes in the middle of a transaction does not keep the others from writing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stor_07_rows_of_a_process_that_vanished_are_free_again() {
    let Some((wire, house, steady)) = two().await else {
        return;
    };
    steady.resource(R1).await;
    let agent = Arc::new(steady.register("refund-bot").await);
    house.catch_up_with(&steady).await;
    house.nonce(&agent).await;
    for round in 0..3 {
        // Somewhere in the middle of these.
        let asked: Vec<_> = (0..40)
            .map(|_| {
                let (house, agent) = (Arc::clone(&house), Arc::clone(&agent));
                tokio::spawn(async move { house.ask_token(&agent, R1).await })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(3 + round * 4)).await;
        wire.is(Way::Silent);
        let vanished = Instant::now();
        while steady.ask_token(&agent, R1).await.status != 200 {
            assert!(vanished.elapsed() < HEALED, "round {round}: rows are held");
        }
        for asked in asked {
            asked.await.expect("a task");
        }
        wire.is(Way::Open);
        while house.ask_token(&agent, R1).await.status != 200 {
            assert!(vanished.elapsed() < HEALED * 2, "round {round}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}
