//! `agent suspend` and `agent retire`: a stop that really stops, and its receipt.

use chancery_api::agents::{Because, Stopped};
use clap::Args;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout::{self, Facts};
use crate::session::Session;

#[derive(Debug, Args)]
pub(crate) struct Stop {
    /// Its name or id
    #[arg(value_name = "NAME|ID")]
    agent: String,
    /// Why, in words; goes into the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

impl Stop {
    fn because(&self) -> Because {
        Because {
            reason: self.reason.clone(),
        }
    }
}

pub(super) async fn suspend(session: &Session, args: &Stop) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let stopped = authority
        .agent_suspend(&args.agent, &args.because())
        .await?;
    show(session, &stopped)
}

pub(super) async fn retire(session: &Session, args: &Stop) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let stopped = authority.agent_retire(&args.agent, &args.because()).await?;
    show(session, &stopped)
}

/// Prints what stopped, what may still run, and the receipt.
pub(super) fn show(session: &Session, stopped: &Stopped) -> Result<Exit, Failure> {
    session.output.show(stopped, || render(stopped))?;
    Ok(Exit::Done)
}

fn render(stopped: &Stopped) -> String {
    let still: Vec<String> = stopped
        .may_still_run
        .iter()
        .map(|running| format!("{}, until {} at the latest", running.what, running.until))
        .collect();
    let nothing = ["nothing".to_owned()];
    let still = if still.is_empty() {
        &nothing[..]
    } else {
        &still[..]
    };
    let facts = Facts::new()
        .maybe("name", stopped.name.as_ref())
        .add("id", &stopped.id)
        .styled("status", layout::status(&stopped.status))
        .add("since", &stopped.stopped_at)
        .each("stopped", &stopped.stopped)
        .each("may still run", still)
        .add(
            "receipt",
            format!("entry {} of the record", stopped.receipt.index),
        )
        .add("log key", &stopped.receipt.log_key);
    // The JSON is on one line, so that it can be cut out and verified.
    let receipt = serde_json::to_string(&stopped.receipt).unwrap_or_default();
    format!("{}\n\n{}", facts.render(), layout::plain(&receipt))
}

#[cfg(test)]
mod tests {
    use chancery_api::agents::StillRunning;
    use chancery_api::log::Receipt;

    use super::*;

    #[test]
    fn a_stop_says_what_may_still_run_and_carries_its_receipt() {
        let mut stopped = Stopped {
            id: "agt_01hzy0000000000000000000aa".to_owned(),
            name: Some("bot".to_owned()),
            status: "suspended".to_owned(),
            stopped_at: "2026-11-21T12:00:00Z".to_owned(),
            stopped: vec!["3 tokens".to_owned()],
            may_still_run: vec![StillRunning {
                what: "1 call already forwarded".to_owned(),
                until: "2026-11-21T12:01:00Z".to_owned(),
            }],
            receipt: Receipt {
                entry: "{}".to_owned(),
                index: 7,
                proof: "proof\n".to_owned(),
                log_key: "chancery+1+key".to_owned(),
            },
        };
        let bare = |stopped: &Stopped| anstream::adapter::strip_str(&render(stopped)).to_string();
        let text = bare(&stopped);
        assert!(
            text.contains("may still run  1 call already forwarded, until 2026"),
            "{text}"
        );
        let receipt: Receipt = text
            .lines()
            .last()
            .and_then(|line| serde_json::from_str(line).ok())
            .expect("a receipt");
        assert_eq!(receipt, stopped.receipt);
        stopped.may_still_run.clear();
        assert!(bare(&stopped).contains("may still run  nothing"));
    }
}
