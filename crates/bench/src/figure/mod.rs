//! The figures: one file each. A figure runs on the client's core; what it measures inside a process runs
//! in a process of its own on the server's core, and answers with one line of JSON.

mod code_flow;
mod decision;
mod evaluation;
mod gateway;
mod introspection;
mod issuance;
mod ledger;
mod limits;
mod overload;
mod peer;
mod proof;
mod push;
mod recording;
mod refresh;
mod start;

use anyhow::Result;
use clap::ValueEnum;

use crate::bench::Bench;
use crate::report::Row;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Figure {
    /// The bare limits by themselves.
    Limits,
    /// `POST /oauth/token` with an assertion and a DPoP proof.
    Issuance,
    /// `POST /oauth/token` with a refresh token.
    Refresh,
    /// `POST /oauth/par`.
    Push,
    /// From a pushed request over a person's yes to tokens.
    CodeFlow,
    /// `POST /oauth/introspect`.
    Introspection,
    /// `POST /access/v1/evaluation`.
    Evaluation,
    /// A decision inside a process.
    Decision,
    /// `tools/call` through the gateway.
    Gateway,
    /// Events that become durable and sealed.
    Ledger,
    /// Inclusion proofs.
    Proof,
    /// Starting, and what an idle process holds.
    Start,
    /// Twice as much as can be done.
    Overload,
}

impl Figure {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Limits => "limits",
            Self::Issuance => "issuance",
            Self::Refresh => "refresh",
            Self::Push => "push",
            Self::CodeFlow => "code-flow",
            Self::Introspection => "introspection",
            Self::Evaluation => "evaluation",
            Self::Decision => "decision",
            Self::Gateway => "gateway",
            Self::Ledger => "ledger",
            Self::Proof => "proof",
            Self::Start => "start",
            Self::Overload => "overload",
        }
    }

    /// Measures it.
    pub(crate) async fn run(self, bench: &Bench) -> Result<Vec<Row>> {
        match self {
            Self::Limits => limits::run(bench).await,
            Self::Issuance => issuance::run(bench).await,
            Self::Refresh => refresh::run(bench).await,
            Self::Push => push::run(bench).await,
            Self::CodeFlow => code_flow::run(bench).await,
            Self::Introspection => introspection::run(bench).await,
            Self::Evaluation => evaluation::run(bench).await,
            Self::Decision => decision::run(bench).await,
            Self::Gateway => gateway::run(bench).await,
            Self::Ledger => ledger::run(bench).await,
            Self::Proof => proof::run(bench).await,
            Self::Start => start::run(bench).await,
            Self::Overload => overload::run(bench).await,
        }
    }
}

/// What is measured inside a process.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Inside {
    /// ES256 signatures and verifications.
    Primitives(limits::Primitives),
    /// Leaf and node hashes.
    Merkle(limits::Merkle),
    /// Appending to a file and flushing it.
    Flush(limits::Flush),
    /// The journal and the sequencer at a fixed rate.
    Recording(recording::Recording),
    /// The journal and the sequencer as fast as they go.
    Sealing(ledger::Sealing),
    /// Decisions.
    Decision(decision::Deciding),
    /// Inclusion proofs.
    Proof(proof::Proving),
}

/// Measures inside this process and prints one line of JSON.
pub(crate) fn measure(inside: Inside) -> Result<()> {
    let measured = match inside {
        Inside::Primitives(primitives) => primitives.measure()?,
        Inside::Merkle(merkle) => merkle.measure()?,
        Inside::Flush(flush) => flush.measure()?,
        Inside::Recording(recording) => recording.measure()?,
        Inside::Sealing(sealing) => sealing.measure()?,
        Inside::Decision(deciding) => deciding.measure()?,
        Inside::Proof(proving) => proving.measure()?,
    };
    println!("{measured}");
    Ok(())
}
