//! `chancery whoami` and `chancery status`.

use chancery_api::log::LogView;
use chancery_api::owners::WhoAmI;
use serde::Serialize;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout::Facts;
use crate::session::Session;

pub(crate) async fn whoami(session: &Session) -> Result<Exit, Failure> {
    let caller = session.authority()?.whoami().await?;
    session.output.show(&caller, || {
        Facts::new()
            .add("kind", &caller.kind)
            .add("id", &caller.id)
            .maybe("issued by", caller.issued_by.as_ref())
            .each("roles", &caller.roles)
            .maybe("signed in with", caller.signed_in_with.as_ref())
            .render()
    })?;
    Ok(Exit::Done)
}

/// What `status` prints as JSON.
#[derive(Serialize)]
struct Status {
    /// Where the authority answers.
    url: String,
    /// Who asks.
    caller: WhoAmI,
    /// The state of the record.
    log: LogView,
}

pub(crate) async fn status(session: &Session) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let status = Status {
        url: authority.url().to_string(),
        caller: authority.whoami().await?,
        log: authority.log_state().await?,
    };
    session.output.show(&status, || {
        // The authority counts what it flushed together, not the events in it.
        let waiting = match status.log.pending {
            1 => "1 flush waits".to_owned(),
            pending => format!("{pending} flushes wait"),
        };
        let sealed = format!("{} entries, {waiting} to be sealed", status.log.size);
        Facts::new()
            .add("url", &status.url)
            .add(
                "you are",
                format!("{} {}", status.caller.kind, status.caller.id),
            )
            .add("record", sealed)
            .maybe("ALARM", status.log.alarm.as_ref())
            .add("origin", &status.log.origin)
            .add("root", &status.log.root)
            .add("log key", &status.log.log_key)
            .render()
    })?;
    Ok(Exit::Done)
}
