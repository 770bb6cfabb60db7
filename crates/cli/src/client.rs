//! `chancery client …`: MCP clients that register themselves.

use std::time::Duration;

use chancery_api::clients::{ClientView, OpenRegistration};
use clap::{Args, Subcommand};

use crate::duration;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout::{self, Facts};
use crate::session::{Session, all};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Let clients register themselves for a while: an explicit, recorded exception
    ///
    /// Most clients need it not: they are known by the URL of a document about them. One that registers itself gets a
    /// name and no right; whoever is asked by it is told that nobody answers for it.
    #[command(after_help = "Example:\n  chancery client open --for 1h")]
    Open(Open),
    /// Let no more clients register themselves
    #[command(after_help = "Example:\n  chancery client close")]
    Close,
    /// List the clients that registered themselves
    #[command(after_help = "Example:\n  chancery client list")]
    List,
    /// Remove a client that registered itself: it begins nothing any more, and renews nothing
    ///
    /// The agents that it became for people stay, and are stopped like any other.
    #[command(after_help = "Example:\n  chancery client remove cli_01hzy0000000000000000000aa")]
    Remove(Which),
}

#[derive(Debug, Args)]
pub(crate) struct Open {
    /// For how long, at most 7 days
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    lasting: Duration,
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Its id
    #[arg(value_name = "CLIENT")]
    client: String,
}

pub(crate) async fn run(session: &Session, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Open(args) => open(session, args.lasting).await,
        Verb::Close => open(session, Duration::ZERO).await,
        Verb::List => list(session).await,
        Verb::Remove(which) => {
            let removed = session.authority()?.client_remove(&which.client).await?;
            session.output.show(&removed, || facts(&removed).render())?;
            Ok(Exit::Done)
        }
    }
}

async fn open(session: &Session, lasting: Duration) -> Result<Exit, Failure> {
    let opening = OpenRegistration {
        seconds: lasting.as_secs(),
    };
    let view = session.authority()?.client_open(&opening).await?;
    session.output.show(&view, || {
        let is_open = if view.is_open { "open" } else { "closed" };
        Facts::new()
            .add("registration", is_open)
            .add("until", &view.until)
            .render()
    })?;
    Ok(Exit::Done)
}

async fn list(session: &Session) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let page = all(None, async |page| authority.client_list(&page).await).await?;
    session.output.show(&page, || {
        let rows = page.items.iter().map(|client| {
            vec![
                client.id.to_string(),
                client.name.clone().unwrap_or_default(),
                client.used_at.clone().unwrap_or_else(|| "never".to_owned()),
                client.redirect_uris.join(" "),
            ]
        });
        let headings = ["id", "calls itself", "used", "redirect URIs"];
        layout::table(&headings, rows.collect(), "no clients")
    })?;
    Ok(Exit::Done)
}

fn facts(client: &ClientView) -> Facts {
    Facts::new()
        .add("id", client.id)
        .maybe("calls itself", client.name.as_ref())
        .each("redirect URIs", &client.redirect_uris)
        .add("registered", &client.created_at)
        .maybe("used", client.used_at.as_ref())
}
