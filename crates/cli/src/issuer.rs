//! `chancery issuer …`: issuers that vouch for workloads, which then act as agents.

use std::path::PathBuf;

use chancery_api::issuers::{AddIssuer, IssuerView};
use clap::{Args, Subcommand};

use crate::documents::read_key_set;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout::{self, Facts};
use crate::session::{Session, all};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Name an issuer of workload tokens: of pipelines, pods, jobs
    ///
    /// Its keys are found by discovery unless they are given. Nothing of it may act as an agent before `agent trust` says
    /// which workload may.
    #[command(
        after_help = "Example:\n  chancery issuer add github --issuer https://token.actions.githubusercontent.com\n  chancery issuer add cluster --issuer https://kubernetes.default.svc.cluster.local --jwks cluster.jwks.json"
    )]
    Add(Add),
    /// List issuers
    #[command(after_help = "Example:\n  chancery issuer list")]
    List,
    /// Show an issuer
    #[command(after_help = "Example:\n  chancery issuer show github")]
    Show(Which),
    /// Remove an issuer: its workloads act as nobody any more, and what they were issued is void
    #[command(after_help = "Example:\n  chancery issuer remove github")]
    Remove(Which),
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// What it is to be called here
    #[arg(value_name = "NAME")]
    name: String,
    /// Its identifier, exactly as its tokens write it in `iss`
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// Its public keys; by discovery when absent
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Whom its tokens must be for; the issuer of the authority when absent
    #[arg(long, value_name = "TEXT")]
    audience: Option<String>,
    /// Let its documents be on a private network
    #[arg(long)]
    private_network: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
}

pub(crate) async fn run(session: &Session, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Add(args) => add(session, args).await,
        Verb::List => list(session).await,
        Verb::Show(which) => show(
            session,
            &session.authority()?.issuer_show(&which.name).await?,
        ),
        Verb::Remove(which) => show(
            session,
            &session.authority()?.issuer_remove(&which.name).await?,
        ),
    }
}

async fn add(session: &Session, args: Add) -> Result<Exit, Failure> {
    let request = AddIssuer {
        name: args.name,
        issuer: args.issuer,
        audience: args.audience,
        jwks: args.jwks.as_deref().map(read_key_set).transpose()?,
        private_network: args.private_network,
    };
    show(session, &session.authority()?.issuer_add(&request).await?)
}

fn show(session: &Session, issuer: &IssuerView) -> Result<Exit, Failure> {
    session.output.show(issuer, || {
        let network = if issuer.private_network {
            "private"
        } else {
            "public"
        };
        Facts::new()
            .add("name", &issuer.name)
            .add("issuer", &issuer.issuer)
            .add("audience", &issuer.audience)
            .add("keys", &issuer.keys)
            .add("network", network)
            .add("id", issuer.id)
            .add("added", &issuer.created_at)
            .render()
    })?;
    Ok(Exit::Done)
}

async fn list(session: &Session) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let page = all(None, async |page| authority.issuer_list(&page).await).await?;
    session.output.show(&page, || {
        let rows = page.items.iter().map(|issuer| {
            vec![
                issuer.name.clone(),
                issuer.issuer.clone(),
                issuer.audience.clone(),
                issuer.keys.clone(),
            ]
        });
        let headings = ["name", "issuer", "audience", "keys"];
        layout::table(&headings, rows.collect(), "no issuers")
    })?;
    Ok(Exit::Done)
}
