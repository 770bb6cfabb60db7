//! `chancery token …`: tokens as agents get them, as their holders read them, and as they end.

mod device;
mod inspect;
mod mint;
mod on_behalf;

use std::path::PathBuf;

use chancery_api::tokens::RevokeToken;
use clap::{Args, Subcommand};

use crate::agent;
use crate::documents::read_text;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Ask for a token as its holder would: discovery, private_key_jwt, DPoP
    ///
    /// The token is bound to the agent's own key unless another is given. With `--bearer` a plain bearer token is
    /// asked for, which a resource must have been allowed. A resource server gets a bearer token for the issuer
    /// (`--resource ISSUER`), to introspect with.
    ///
    /// With `--on-behalf` a person is asked: the address is printed for their browser, and the answer comes back to a
    /// port of this machine. The agent must have the redirect URI `http://127.0.0.1/callback`.
    ///
    /// With `--assertion` another issuer vouches for the agent, which has no key of its own at rest: a pipeline, a pod, a job
    /// that `agent trust` names. The token is then bound to a key that is made for this run.
    ///
    /// With `--device` a person is asked too, where no browser is: a link and a code are printed, and the person opens the
    /// one and enters the other wherever they like.
    #[command(
        after_help = "Example:\n  chancery token mint --agent refund-bot --key refund-bot.key.json --resource http://127.0.0.1:7420/mcp/desk\n  chancery token mint --client rsc_01hzy0000000000000000000aa --key ledger.key.json --resource http://127.0.0.1:7420\n  chancery token mint --agent refund-bot --key refund-bot.key.json --resource http://127.0.0.1:7420/mcp/desk --on-behalf\n  chancery token mint --agent refund-bot --key refund-bot.key.json --resource http://127.0.0.1:7420/mcp/desk --device\n  chancery token mint --agent agt_01hzy0000000000000000000aa --assertion token.jwt --dpop-key run.key.json --resource http://127.0.0.1:7420/mcp/desk"
    )]
    Mint(mint::Mint),
    /// Take a token apart, and say what of it was verified; exit code 1 when its signature is wrong
    #[command(after_help = "Example:\n  chancery token inspect eyJ0eXAi.eyJpc3Mi.c2ln")]
    Inspect(inspect::Inspect),
    /// Revoke a token before its end; prints the signed receipt
    #[command(
        after_help = "Example:\n  chancery token revoke tok_01hzy0000000000000000000aa --reason 'leaked'"
    )]
    Revoke(Revoke),
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// The token or its id (`jti`); `-` reads the token from the standard input
    #[arg(value_name = "TOKEN|JTI")]
    token: String,
    /// Why, in words; goes into the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

pub(crate) async fn run(session: &Session, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Mint(args) => mint::run(session, &args).await,
        Verb::Inspect(args) => inspect::run(session, &args).await,
        Verb::Revoke(args) => revoke(session, &args).await,
    }
}

async fn revoke(session: &Session, args: &Revoke) -> Result<Exit, Failure> {
    let token = given(&args.token)?;
    let jti = token.parse().ok();
    let request = RevokeToken {
        token: jti.is_none().then_some(token),
        jti,
        reason: args.reason.clone(),
    };
    let stopped = session.authority()?.token_revoke(&request).await?;
    agent::stopped(session, &stopped)
}

/// The token on the command line, or on the standard input, where no other user of the machine sees it.
fn given(token: &str) -> Result<String, Failure> {
    if token != "-" {
        return Ok(token.to_owned());
    }
    Ok(read_text(&PathBuf::from("-"))?.trim().to_owned())
}
