//! `chancery attester …`: those who vouch for running copies of agents.

use std::path::PathBuf;

use chancery_api::attesters::{AddAttester, AttesterView};
use clap::{Args, Subcommand};

use crate::documents::read_key_set;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout::{self, Facts};
use crate::session::{Session, all};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Add somebody who vouches for running copies of agents
    ///
    /// Agents that are registered with its name prove who they are by what it says about a key, and a proof by that key.
    #[command(
        after_help = "Example:\n  chancery attester add fleet --issuer https://attester.example.com --jwks attester.jwks.json"
    )]
    Add(Add),
    /// List those who vouch for running copies of agents
    #[command(after_help = "Example:\n  chancery attester list")]
    List,
    /// Remove one: agents that are registered with its name authenticate no more
    #[command(after_help = "Example:\n  chancery attester remove fleet")]
    Remove(Which),
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// What agents name it by
    #[arg(value_name = "NAME")]
    name: String,
    /// What its attestations must carry as `iss`; not looked at when absent
    #[arg(long, value_name = "URL")]
    issuer: Option<String>,
    /// The public keys that it signs with
    #[arg(long, value_name = "FILE")]
    jwks: PathBuf,
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
        Verb::Remove(which) => {
            let removed = session.authority()?.attester_remove(&which.name).await?;
            session.output.show(&removed, || facts(&removed).render())?;
            Ok(Exit::Done)
        }
    }
}

async fn add(session: &Session, args: Add) -> Result<Exit, Failure> {
    let attester = AddAttester {
        name: args.name,
        issuer: args.issuer,
        jwks: read_key_set(&args.jwks)?,
    };
    let added = session.authority()?.attester_add(&attester).await?;
    session.output.show(&added, || facts(&added).render())?;
    Ok(Exit::Done)
}

async fn list(session: &Session) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let page = all(None, async |page| authority.attester_list(&page).await).await?;
    session.output.show(&page, || {
        let rows = page.items.iter().map(|attester| {
            vec![
                attester.name.clone(),
                attester.issuer.clone().unwrap_or_default(),
                attester.keys.len().to_string(),
                attester.created_at.clone(),
            ]
        });
        let headings = ["name", "issuer", "keys", "added"];
        layout::table(&headings, rows.collect(), "no attesters")
    })?;
    Ok(Exit::Done)
}

fn facts(attester: &AttesterView) -> Facts {
    Facts::new()
        .add("name", &attester.name)
        .maybe("issuer", attester.issuer.as_ref())
        .each("keys", &attester.keys)
        .add("added", &attester.created_at)
}
