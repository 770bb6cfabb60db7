//! PostgreSQL, where the environment says that there is one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_postgres::{Client, NoTls};

use crate::caller::Caller;
use crate::load::Load;
use crate::program::Program;

/// A server that others use too.
const SHARED: &str = "CHANCERY_TEST_POSTGRES";
/// A server that flushes what it acknowledges, and that may be crashed.
const ALONE: &str = "CHANCERY_TEST_POSTGRES_ALONE";

/// How long the program may refuse after the database has crashed.
const FAIL_OVER: Duration = Duration::from_secs(30);

/// The URL of a fresh schema on the shared server, when there is one.
pub(crate) async fn shared(purpose: &str) -> Option<String> {
    schema(&std::env::var(SHARED).ok()?, purpose).await
}

async fn schema(url: &str, purpose: &str) -> Option<String> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let schema = format!("{purpose}_{}_{number}", std::process::id());
    let client = connect(url).await.expect("PostgreSQL");
    let sql = format!("CREATE SCHEMA {schema}");
    client.batch_execute(&sql).await.expect("a schema");
    let joint = if url.contains('?') { '&' } else { '?' };
    Some(format!("{url}{joint}options=-csearch_path%3D{schema}"))
}

async fn connect(url: &str) -> Option<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.ok()?;
    tokio::spawn(connection);
    Some(client)
}

/// Kills one of the server's processes where it stands, so that it loses its memory and recovers from its disk.
async fn crash(url: &str) {
    let (murderer, victim) = (connect(url).await, connect(url).await);
    let (murderer, victim) = (murderer.expect("one"), victim.expect("another"));
    let pid = victim.query_one("SELECT pg_backend_pid()", &[]).await;
    let pid: i32 = pid.expect("its number").get(0);
    let sql = format!("COPY (SELECT 1) TO PROGRAM 'kill -9 {pid}'");
    // The killer goes down with the rest before it can say so.
    let _gone = murderer.batch_execute(&sql).await;
    assert!(victim.batch_execute("SELECT 1").await.is_err(), "it lives");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stor_05_on_postgresql_nothing_acknowledged_is_lost_when_the_database_crashes() {
    let Ok(server) = std::env::var(ALONE) else {
        return;
    };
    let url = schema(&server, "crashed").await.expect("a schema");
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let program = Program::start_with(&data, |command| {
        command.arg("--database").arg(&url);
    });
    let caller = Caller::new(&program, &data);
    let mut load = Load::prepare(&caller, &data).await;
    for cycle in 0..8 {
        let working = load.start(cycle, &caller);
        tokio::time::sleep(Duration::from_millis(600 + cycle * 70)).await;
        crash(&server).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        working.end().await;
        // The same process goes on: nobody starts it again, nobody tells it that the database is back.
        let crashed = Instant::now();
        loop {
            let handle = format!("again{cycle}-{}@example.com", crashed.elapsed().as_micros());
            let answer = caller.add_owner(&handle).await.expect("an answer");
            if answer.is_ok() {
                break;
            }
            assert_eq!(answer.status, 503, "{answer:?}");
            assert!(crashed.elapsed() < FAIL_OVER, "it does not recover");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for (status, times) in load.statuses() {
            // 409 is what a stop meets when the one before it was durable although nobody could say so.
            let is_known = [200, 400, 401, 409, 503].contains(&status);
            assert!(is_known, "{status} was answered {times} times");
        }
        load.check(&caller).await;
        load.audit(&caller).await;
    }
    assert!(caller.ask("GET", "/readyz", Value::Null).await.is_ok());
    let told = load.finish(&caller, 8).await;
    println!("8 crashes of PostgreSQL: {told}");
}
