//! `agent trust`: which workloads of other issuers may act as an agent.

use std::collections::BTreeMap;

use chancery_api::agents::AgentView;
use chancery_api::issuers::{AddTrust, TrustView};
use clap::Args;

use super::view;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout;
use crate::session::Session;

#[derive(Debug, Args)]
pub(crate) struct TrustArgs {
    /// Its name or id
    #[arg(value_name = "NAME|ID")]
    agent: String,
    /// The name of the issuer that vouches for the workload
    #[arg(long, value_name = "NAME", required_unless_present_any = ["list", "remove"], requires = "subject")]
    issuer: Option<String>,
    /// The `sub` of its tokens, exactly; there are no patterns
    #[arg(long, value_name = "TEXT", requires = "issuer")]
    subject: Option<String>,
    /// A further claim that its tokens must have, a text, exactly; may be given many times
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = claim, requires = "issuer")]
    claims: Vec<(String, String)>,
    /// List what the agent trusts
    #[arg(long, conflicts_with_all = ["issuer", "remove"])]
    list: bool,
    /// Trust a workload no longer; what the agent was issued before is void
    #[arg(long, value_name = "TRUST", conflicts_with = "issuer")]
    remove: Option<String>,
}

fn claim(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() && !value.is_empty() => {
            Ok((name.to_owned(), value.to_owned()))
        }
        Some(_) | None => Err("a claim is given as `NAME=VALUE`".to_owned()),
    }
}

pub(super) async fn run(session: &Session, args: TrustArgs) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    if let Some(trust) = &args.remove {
        let agent = authority.agent_distrust(&args.agent, trust).await?;
        view::agent(session, &agent)?;
        return Ok(Exit::Done);
    }
    let (Some(issuer), Some(subject)) = (args.issuer, args.subject) else {
        let agent = authority.agent_show(&args.agent).await?;
        return list(session, &agent);
    };
    let mut claims = BTreeMap::new();
    for (name, value) in args.claims {
        if claims.insert(name.clone(), value).is_some() {
            let why = format!("the claim `{name}` is given twice");
            return Err(Failure::unreadable(why));
        }
    }
    let trust = AddTrust {
        issuer,
        subject,
        claims,
    };
    let agent = authority.agent_trust(&args.agent, &trust).await?;
    view::agent(session, &agent)?;
    Ok(Exit::Done)
}

fn list(session: &Session, agent: &AgentView) -> Result<Exit, Failure> {
    session.output.show(&agent.trusts, || {
        let rows = agent.trusts.iter().map(|trust| {
            vec![
                trust.issuer.clone(),
                trust.subject.clone(),
                said(trust),
                trust.id.to_string(),
            ]
        });
        let headings = ["issuer", "subject", "claims", "id"];
        layout::table(&headings, rows.collect(), "no workload is trusted")
    })?;
    Ok(Exit::Done)
}

/// The claims of a trust, as they are given.
fn said(trust: &TrustView) -> String {
    let claims = trust.claims.iter();
    let claims = claims.map(|(name, value)| format!("{name}={value}"));
    claims.collect::<Vec<_>>().join(" ")
}

/// A trust on one line.
pub(super) fn line(trust: &TrustView) -> String {
    let TrustView {
        issuer, subject, ..
    } = trust;
    format!("{issuer}: {subject} {}", said(trust))
        .trim_end()
        .to_owned()
}
