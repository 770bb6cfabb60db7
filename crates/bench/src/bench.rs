//! One run: the figures in order, each telling its rows.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::RunArgs;
use crate::child::Server;
use crate::cores;
use crate::figure::Figure;
use crate::load::{Load, Outcome, Pace, Supply};
use crate::report::Report;

/// Connections of the client unless a figure says otherwise.
pub(crate) const CONNECTIONS: usize = 32;

/// What all figures share.
pub(crate) struct Bench {
    /// The program.
    pub(crate) program: PathBuf,
    /// How long each measurement takes.
    pub(crate) length: Duration,
    /// How often limit and program alternate.
    pub(crate) rounds: usize,
    /// The peer, when its packages are there.
    pub(crate) peer: Option<Peer>,
    /// Where data folders are made: a real disk, because flushes are measured.
    pub(crate) disk: PathBuf,
}

/// The peer's runtime and script.
pub(crate) struct Peer {
    /// Node.js.
    pub(crate) node: PathBuf,
    /// What it runs.
    pub(crate) script: PathBuf,
}

impl Bench {
    /// A closed loop of the usual length.
    pub(crate) fn closed(&self, server: &Server, supply: Supply) -> Load {
        Load {
            to: server.address,
            connections: CONNECTIONS,
            supply,
            pace: Pace::Closed,
            length: self.length,
        }
    }

    /// Accepted requests per second of the server's processor time, in one closed loop.
    pub(crate) async fn per_cpu_second(&self, server: &Server, supply: Supply) -> Result<f64> {
        let (outcome, used) = self.closed(server, supply).against(server).await?;
        rate(&outcome.mostly_accepted()?, used)
    }

    /// The length as an argument of a process of ours.
    pub(crate) fn seconds(&self) -> String {
        self.length.as_secs_f64().to_string()
    }
}

/// Accepted requests per second of processor time.
pub(crate) fn rate(outcome: &Outcome, used: Duration) -> Result<f64> {
    let seconds = used.as_secs_f64();
    (seconds > 0.0)
        .then(|| outcome.accepted as f64 / seconds)
        .context("the server used no processor time")
}

/// Runs the figures that were asked for and prints the report.
pub(crate) async fn run(args: RunArgs) -> Result<()> {
    cores::take_client_side()?;
    let program = args
        .program
        .canonicalize()
        .with_context(|| format!("`{}` is not there", args.program.display()))?;
    let disk = program.parent().context("a program lies in a folder")?;
    let bench = Bench {
        length: Duration::from_secs_f64(args.seconds),
        rounds: args.rounds.max(1),
        peer: args
            .node
            .zip(args.peer)
            .map(|(node, script)| Peer { node, script }),
        disk: disk.to_owned(),
        program,
    };
    let wanted: Vec<Figure> = Figure::value_variants()
        .iter()
        .copied()
        .filter(|figure| args.only.is_empty() || args.only.contains(figure))
        .collect();
    let mut report = Report::begin(&bench);
    for figure in wanted {
        eprintln!("measuring {} …", figure.name());
        let rows = figure
            .run(&bench)
            .await
            .with_context(|| format!("the figure `{}`", figure.name()))?;
        for row in rows {
            eprintln!("  {}", row.line());
            report.push(figure.name(), row);
        }
    }
    if bench.peer.is_none() {
        report.note("The peer was not measured: its npm packages are not installed (`cargo xtask test` installs them).");
    }
    if args.json {
        println!("{}", report.json()?);
    } else {
        println!("{}", report.markdown());
    }
    match args.write {
        Some(path) if args.only.is_empty() => std::fs::write(&path, report.document())
            .with_context(|| format!("writing `{}`", path.display())),
        Some(_) | None => Ok(()),
    }
}
