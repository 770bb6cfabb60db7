//! The verbs that change an agent without stopping it.

use std::path::PathBuf;

use chancery_api::agents::{Because, ReplaceKeys, ReplaceRedirects, TransferAgent, UpdateAgent};
use chancery_client::authority::Authority;
use chancery_model::document::Document;
use clap::Args;

use super::{Which, view};
use crate::authentication::Authentication;
use crate::documents::{read_as, read_key_set};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;

#[derive(Debug, Args)]
pub(crate) struct Update {
    /// The whole new document, YAML or JSON; `-` is the standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The agent, when the document changes its name
    #[arg(long, value_name = "NAME|ID")]
    agent: Option<String>,
    /// Refuse when the agent is no longer at this revision; the present one when absent
    #[arg(long, value_name = "N")]
    revision: Option<i64>,
}

#[derive(Debug, Args)]
pub(crate) struct Accept {
    /// Its name or id
    #[arg(value_name = "NAME|ID")]
    agent: String,
    /// The number of the version; the one that waits when absent
    #[arg(id = "number", long = "version", value_name = "N")]
    version: Option<i64>,
}

#[derive(Debug, Args)]
pub(crate) struct Reject {
    /// Its name or id
    #[arg(value_name = "NAME|ID")]
    agent: String,
    /// The number of the version; the one that waits when absent
    #[arg(id = "number", long = "version", value_name = "N")]
    version: Option<i64>,
    /// Why, in words; goes into the record
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

#[derive(Debug, Args)]
pub(crate) struct Activate {
    /// Its name or id
    #[arg(value_name = "NAME|ID")]
    agent: String,
    /// Refuse when the draft is no longer at this version; the present one when absent
    #[arg(id = "number", long = "version", value_name = "N")]
    version: Option<i64>,
}

#[derive(Debug, Args)]
pub(crate) struct Keys {
    /// Its name or id
    #[arg(value_name = "NAME|ID")]
    agent: String,
    /// The new public keys
    #[arg(long, value_name = "FILE")]
    jwks: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct ReplaceAuthentication {
    /// Its name or id
    #[arg(value_name = "NAME|ID")]
    agent: String,
    #[command(flatten)]
    authentication: Authentication,
}

#[derive(Debug, Args)]
pub(crate) struct Redirects {
    /// Its name or id
    #[arg(value_name = "NAME|ID")]
    agent: String,
    /// All of them, in place of those before; none when absent. `http://127.0.0.1/…` is taken at every port
    #[arg(value_name = "URI")]
    uris: Vec<String>,
    /// Where people may be sent on to once they signed out; may be given many times
    #[arg(long = "after-logout", value_name = "URI")]
    after_logout: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Transfer {
    /// Its name or id
    #[arg(value_name = "NAME|ID")]
    agent: String,
    /// The handle of the new owner: an e-mail address, or `team:` and a name
    #[arg(long, value_name = "OWNER")]
    to: String,
}

pub(super) async fn update(session: &Session, args: &Update) -> Result<Exit, Failure> {
    let document: Document = read_as(&args.file)?;
    let authority = session.authority()?;
    let agent = args.agent.clone();
    let agent = agent.unwrap_or_else(|| document.name.to_string());
    let revision = match args.revision {
        Some(revision) => revision,
        None => authority.agent_show(&agent).await?.revision,
    };
    let update = UpdateAgent { document };
    let updated = authority.agent_update(&agent, revision, &update).await?;
    view::agent(session, &updated)?;
    if let Some(number) = updated.pending_version {
        session.output.remark(&format!(
            "a second person puts it into force: chancery agent accept {agent} --version {number}"
        ));
    }
    Ok(Exit::Done)
}

pub(super) async fn accept(session: &Session, args: &Accept) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let number = pending(&authority, &args.agent, args.version).await?;
    let agent = authority.agent_accept(&args.agent, number).await?;
    view::agent(session, &agent)?;
    Ok(Exit::Done)
}

pub(super) async fn reject(session: &Session, args: &Reject) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let number = pending(&authority, &args.agent, args.version).await?;
    let because = Because {
        reason: args.reason.clone(),
    };
    let agent = authority
        .agent_reject(&args.agent, number, &because)
        .await?;
    view::agent(session, &agent)?;
    Ok(Exit::Done)
}

/// The version that was named, or the one that waits.
async fn pending(authority: &Authority, agent: &str, named: Option<i64>) -> Result<i64, Failure> {
    if let Some(number) = named {
        return Ok(number);
    }
    let waiting = authority.agent_show(agent).await?.pending_version;
    waiting.ok_or_else(|| {
        Failure::refused(
            "no_pending_version",
            format!("no version of `{agent}` waits"),
        )
        .with_fix(format!("see them with `chancery agent versions {agent}`"))
    })
}

pub(super) async fn activate(session: &Session, args: &Activate) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let draft = authority.agent_show(&args.agent).await?;
    if let Some(number) = args
        .version
        .filter(|number| *number != draft.version_number)
    {
        let present = draft.version_number;
        let why = format!("`{}` is at version {present}, not {number}", draft.name);
        let failure = Failure::refused("other_version", why);
        return Err(failure.with_fix(format!(
            "look at it with `chancery agent show {}`",
            draft.name
        )));
    }
    let agent = authority
        .agent_activate(&args.agent, draft.revision)
        .await?;
    view::agent(session, &agent)?;
    Ok(Exit::Done)
}

pub(super) async fn resume(session: &Session, which: &Which) -> Result<Exit, Failure> {
    let agent = session.authority()?.agent_resume(&which.agent).await?;
    view::agent(session, &agent)?;
    Ok(Exit::Done)
}

pub(super) async fn keys(session: &Session, args: &Keys) -> Result<Exit, Failure> {
    let keys = ReplaceKeys {
        jwks: read_key_set(&args.jwks)?,
    };
    let agent = session.authority()?.agent_keys(&args.agent, &keys).await?;
    view::agent(session, &agent)?;
    Ok(Exit::Done)
}

pub(super) async fn authentication(
    session: &Session,
    args: &ReplaceAuthentication,
) -> Result<Exit, Failure> {
    let metadata = args.authentication.metadata()?;
    let metadata = metadata.ok_or_else(|| {
        Failure::unreadable("how the agent is to authenticate was not said")
            .with_fix("give `--auth-method`")
    })?;
    let authority = session.authority()?;
    let agent = authority
        .agent_authentication(&args.agent, &metadata)
        .await?;
    view::agent(session, &agent)?;
    Ok(Exit::Done)
}

pub(super) async fn redirects(session: &Session, args: &Redirects) -> Result<Exit, Failure> {
    let redirects = ReplaceRedirects {
        redirect_uris: args.uris.clone(),
        post_logout_redirect_uris: args.after_logout.clone(),
    };
    let authority = session.authority()?;
    let agent = authority.agent_redirects(&args.agent, &redirects).await?;
    view::agent(session, &agent)?;
    Ok(Exit::Done)
}

pub(super) async fn transfer(session: &Session, args: &Transfer) -> Result<Exit, Failure> {
    let transfer = TransferAgent {
        owner: args.to.clone(),
    };
    let authority = session.authority()?;
    let agent = authority.agent_transfer(&args.agent, &transfer).await?;
    view::agent(session, &agent)?;
    Ok(Exit::Done)
}
