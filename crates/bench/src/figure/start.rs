//! Starting: from the call of the program to the line that says it is ready; then what it holds when idle.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::bench::Bench;
use crate::child::Server;
use crate::cores::{self, Side};
use crate::report::{Goal, Row};
use crate::series::Series;

/// How long an idle process is left alone before it is looked at.
const IDLE: Duration = Duration::from_secs(5);

pub(super) async fn run(bench: &Bench) -> Result<Vec<Row>> {
    let (mut first, mut again, mut idle) =
        (Series::default(), Series::default(), Series::default());
    for _ in 0..bench.rounds {
        let data = tempfile::tempdir_in(&bench.disk)?;
        let folder = data.path().to_str().context("a path that is not text")?;
        let args = ["up", "--data", folder, "--listen", "127.0.0.1:0", "--json"];
        for (place, times) in [&mut first, &mut again].into_iter().enumerate() {
            let begin = Instant::now();
            let server = Server::start(Side::Server, &bench.program, &args).await?;
            times.push(begin.elapsed().as_secs_f64() * 1_000.0);
            if place == 1 {
                tokio::time::sleep(IDLE).await;
                idle.push(cores::memory(server.id)?.now);
            }
            server.stop().await?;
        }
    }
    let size = std::fs::metadata(&bench.program)?.len() as f64 / 1e6;
    Ok(vec![
        Row::plain("start to ready, data there", again, "ms").goal(Goal::AtMost(50.0)),
        Row::plain(
            "start to ready, first time: keys and database made",
            first,
            "ms",
        ),
        Row::plain("resident memory after 5 s idle", idle, "MiB").goal(Goal::AtMost(30.0)),
        Row::plain("stripped binary", Series::once(size), "MB").goal(Goal::AtMost(40.0)),
    ])
}
