//! `chancery grant …`: what people let agents do in their names.

use chancery_api::agents::Because;
use chancery_api::grants::{GrantQuery, GrantView};
use clap::{Args, Subcommand};

use crate::agent;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout;
use crate::session::{Session, all};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List what people let agents do; your own, or everybody's for those who may read it
    #[command(
        after_help = "Example:\n  chancery grant list\n  chancery grant list --owner alice@example.com"
    )]
    List(List),
    /// Take a grant back: everything that came of it stops; prints the signed receipt
    #[command(
        after_help = "Example:\n  chancery grant revoke grt_01hzy0000000000000000000aa --reason 'no longer needed'"
    )]
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only of this person
    #[arg(long, value_name = "HANDLE")]
    owner: Option<String>,
    /// At most this many; all when absent
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The grant
    #[arg(value_name = "GRANT")]
    grant: String,
    /// Why, in words; goes into the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(crate) async fn run(session: &Session, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::List(args) => list(session, &args).await,
        Verb::Revoke(args) => revoke(session, args).await,
    }
}

async fn list(session: &Session, args: &List) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let page = all(args.limit, async |page| {
        let query = GrantQuery {
            owner: args.owner.clone(),
            after: page.after,
            limit: page.limit,
        };
        authority.grant_list(&query).await
    })
    .await?;
    session.output.show(&page, || {
        let rows = page.items.iter().map(row);
        let headings = [
            "grant", "person", "agent", "resource", "scope", "status", "until",
        ];
        layout::table(&headings, rows.collect(), "no grants")
    })?;
    Ok(Exit::Done)
}

fn row(grant: &GrantView) -> Vec<String> {
    vec![
        grant.id.to_string(),
        grant.owner.clone(),
        grant.agent.clone(),
        grant.resource.clone(),
        grant.scope.join(" "),
        grant.status.clone(),
        grant.expires_at.clone(),
    ]
}

async fn revoke(session: &Session, args: Revoke) -> Result<Exit, Failure> {
    let because = Because {
        reason: args.reason,
    };
    let stopped = session
        .authority()?
        .grant_revoke(&args.grant, &because)
        .await?;
    agent::stopped(session, &stopped)
}
