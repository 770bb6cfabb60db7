//! `log prove`: a receipt for one event.

use clap::Args;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout;
use crate::session::Session;

#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// The event's id, `evt_…`
    #[arg(value_name = "EVENT")]
    event: String,
}

pub(super) async fn run(session: &Session, args: &Prove) -> Result<Exit, Failure> {
    let receipt = session.authority()?.receipt(&args.event).await?;
    // A receipt is for machines, so it is JSON in either form.
    session.output.show(&receipt, || {
        layout::plain(&serde_json::to_string(&receipt).unwrap_or_default())
    })?;
    Ok(Exit::Done)
}
