//! `chancery resource …`: the resource servers that tokens are made for.

use std::path::PathBuf;
use std::time::Duration;

use chancery_api::resources::{RegisterResource, ResourceView};
use clap::{Args, Subcommand};

use crate::authentication::{self, Authentication};
use crate::documents::read_key_set;
use crate::duration;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout::{self, Facts};
use crate::session::{Session, all};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Register a resource server, which may then introspect tokens
    #[command(
        after_help = "Example:\n  chancery resource register https://api.example.com/orders --jwks api.jwks.json"
    )]
    Register(Box<Register>),
    /// List resource servers
    #[command(after_help = "Example:\n  chancery resource list")]
    List,
}

#[derive(Debug, Args)]
pub(crate) struct Register {
    /// Its resource identifier: an absolute URL without fragment (RFC 8707)
    // Not named `url`: that is the address of the authority.
    #[arg(value_name = "URL")]
    identifier: String,
    /// The public keys that it introspects with
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    #[command(flatten)]
    authentication: Authentication,
    /// Issue plain bearer tokens for it, for this long: an explicit, recorded exception
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    allow_bearer: Option<Duration>,
}

pub(crate) async fn run(session: &Session, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Register(args) => register(session, *args).await,
        Verb::List => list(session).await,
    }
}

async fn register(session: &Session, args: Register) -> Result<Exit, Failure> {
    let request = RegisterResource {
        url: args.identifier,
        jwks: args.jwks.as_deref().map(read_key_set).transpose()?,
        authentication: args.authentication.metadata()?,
        allow_bearer: args.allow_bearer.map(|lifetime| lifetime.as_secs()),
    };
    let resource = session.authority()?.resource_register(&request).await?;
    session
        .output
        .show(&resource, || facts(&resource).render())?;
    Ok(Exit::Done)
}

fn facts(resource: &ResourceView) -> Facts {
    Facts::new()
        .add("url", &resource.url)
        .add("id", resource.id)
        .each("keys", &resource.keys)
        .maybe("known by", authentication::told(&resource.authentication))
        .maybe("bearer until", resource.bearer_until.as_ref())
        .add("registered", &resource.created_at)
}

async fn list(session: &Session) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let page = all(None, async |page| authority.resource_list(&page).await).await?;
    session.output.show(&page, || {
        let rows = page.items.iter().map(|resource| {
            vec![
                resource.url.clone(),
                resource.keys.len().to_string(),
                resource.bearer_until.clone().unwrap_or_default(),
                resource.id.to_string(),
            ]
        });
        let headings = ["url", "keys", "bearer until", "id"];
        layout::table(&headings, rows.collect(), "no resource servers")
    })?;
    Ok(Exit::Done)
}
