//! `chancery log …`: the record, read, proved, taken away and verified.

mod copy;
mod export;
mod prove;
mod read;
mod trust;
mod verify;

use clap::Subcommand;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Print the newest events, and with `-f` those that follow
    #[command(after_help = "Example:\n  chancery log tail -f --kind call.denied")]
    Tail(read::Tail),
    /// Search the record
    #[command(
        after_help = "Example:\n  chancery log search --agent refund-bot --kind token.issued --limit 50"
    )]
    Search(read::Search),
    /// Print a receipt: the proof that one event is in the record, which anybody verifies offline
    #[command(
        after_help = "Example:\n  chancery log prove evt_01hzy0000000000000000000aa > receipt.json"
    )]
    Prove(prove::Prove),
    /// Download the record as C2SP tiles; what is there already is not downloaded again
    #[command(after_help = "Example:\n  chancery log export --out ./record")]
    Export(export::Export),
    /// Verify the record, a downloaded copy of it, or one receipt
    ///
    /// Without `--dir` and `--receipt` the record of the running authority is verified as a stranger would. A copy and a
    /// receipt are verified offline. Exit code 0 when all holds; 1 when something was altered, with
    /// `{"ok":false,"index":N,"why":"…"}` under `--json`; 2 when it could not be read.
    ///
    /// The key of the log comes from `--key`, else from `log.key` in the data folder. Without both, the key that came
    /// with the copy or the receipt is used, and a warning says that nothing vouches for it.
    #[command(
        after_help = "Example:\n  chancery log verify --dir ./record --since ./record-of-last-week/checkpoint"
    )]
    Verify(verify::Verify),
}

pub(crate) async fn run(session: &Session, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Tail(args) => read::tail(session, &args).await,
        Verb::Search(args) => read::search(session, &args).await,
        Verb::Prove(args) => prove::run(session, &args).await,
        Verb::Export(args) => export::run(session, &args).await,
        Verb::Verify(args) => verify::run(session, &args).await,
    }
}
