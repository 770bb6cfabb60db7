//! `chancery policy …`: what may be done, and why.

mod check;
mod explain;

use std::path::{Path, PathBuf};

use chancery_api::policies::{PolicyKind, PolicyText};
use clap::{Args, Subcommand};

use crate::documents::read_text;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout::{self, Facts};
use crate::session::{Session, all};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Add or replace a policy text
    #[command(after_help = "Example:\n  chancery policy add refunds.cedar --name refunds")]
    Add(Add),
    /// List policy texts
    #[command(after_help = "Example:\n  chancery policy list")]
    List,
    /// Print a policy text
    #[command(after_help = "Example:\n  chancery policy show refunds")]
    Show(Which),
    /// Remove a policy text
    #[command(after_help = "Example:\n  chancery policy remove refunds")]
    Remove(Which),
    /// Check a policy text against what is in force, or with `--cases` that policies decide as expected
    ///
    /// Without `--cases`, the authority says whether FILE could come into force; nothing is added. With `--cases`, the
    /// questions of CASES are asked here, without an authority: of the shipped policies together with every FILE, and of
    /// the tools that CASES describes. A FILE whose name ends in `.cedarschema` is then a schema fragment. Exit code 1
    /// when a text has problems or a case comes out otherwise.
    #[command(
        after_help = "Example:\n  chancery policy check refunds.cedar\n  chancery policy check refunds.cedar limits.cedar --cases refunds.cases.yaml"
    )]
    Check(check::Check),
    /// Explain what would be decided about a call, without making or recording it
    #[command(
        after_help = "Example:\n  chancery policy explain --agent refund-bot --tool desk/refund --args '{\"amount\":40}'"
    )]
    Explain(explain::Explain),
    /// Print the Cedar schema that policies are checked against
    #[command(after_help = "Example:\n  chancery policy schema > chancery.cedarschema")]
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Cedar policies; `-` is the standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Its name; that of the file when absent
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The file is a Cedar schema fragment, for types of your own
    #[arg(long)]
    schema: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
}

pub(crate) async fn run(session: &Session, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Add(args) => add(session, &args).await,
        Verb::List => list(session).await,
        Verb::Show(which) => show(session, &which).await,
        Verb::Remove(which) => remove(session, &which).await,
        Verb::Check(args) => check::run(session, &args).await,
        Verb::Explain(args) => explain::run(session, args).await,
        Verb::Schema => schema(session).await,
    }
}

async fn add(session: &Session, args: &Add) -> Result<Exit, Failure> {
    let name = match &args.name {
        Some(name) => name.clone(),
        None => name_of(&args.file)?,
    };
    let text = text(&args.file, args.schema)?;
    let policy = session.authority()?.policy_put(&name, &text).await?;
    session.output.show(&policy, || {
        Facts::new()
            .add("name", &policy.name)
            .add("id", policy.id)
            .add("kind", kind(policy.kind))
            .add("added", &policy.created_at)
            .render()
    })?;
    Ok(Exit::Done)
}

fn name_of(file: &Path) -> Result<String, Failure> {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    stem.filter(|stem| *stem != "-")
        .map(str::to_owned)
        .ok_or_else(|| {
            Failure::unreadable("the text needs a name").with_fix("give it one with `--name NAME`")
        })
}

fn text(file: &Path, schema: bool) -> Result<PolicyText, Failure> {
    Ok(PolicyText {
        text: read_text(file)?,
        kind: if schema {
            PolicyKind::Schema
        } else {
            PolicyKind::Policies
        },
        name: None,
    })
}

fn kind(kind: PolicyKind) -> &'static str {
    match kind {
        PolicyKind::Policies => "policies",
        PolicyKind::Schema => "schema",
    }
}

async fn list(session: &Session) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let page = all(None, async |page| authority.policy_list(&page).await).await?;
    session.output.show(&page, || {
        let rows = page.items.iter().map(|policy| {
            vec![
                policy.name.clone(),
                kind(policy.kind).to_owned(),
                if policy.shipped { "shipped" } else { "own" }.to_owned(),
                policy.created_at.clone(),
                policy.id.to_string(),
            ]
        });
        let headings = ["name", "kind", "origin", "added", "id"];
        layout::table(
            &headings,
            rows.collect(),
            "no policies: everything is denied",
        )
    })?;
    Ok(Exit::Done)
}

async fn show(session: &Session, which: &Which) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let page = all(None, async |page| authority.policy_list(&page).await).await?;
    let found = page
        .items
        .iter()
        .find(|policy| policy.name == which.name || policy.id.to_string() == which.name);
    let Some(policy) = found else {
        let message = format!("there is no policy text `{}`", which.name);
        return Err(Failure::refused("policy_not_found", message)
            .with_fix("see them with `chancery policy list`"));
    };
    session
        .output
        .show(policy, || layout::plain(&policy.text))?;
    Ok(Exit::Done)
}

async fn remove(session: &Session, which: &Which) -> Result<Exit, Failure> {
    let policy = session.authority()?.policy_remove(&which.name).await?;
    session.output.show(&policy, || {
        format!("removed {}", layout::plain(&policy.name))
    })?;
    Ok(Exit::Done)
}

async fn schema(session: &Session) -> Result<Exit, Failure> {
    let schema = session.authority()?.policy_schema().await?;
    session
        .output
        .show(&schema, || layout::plain(&schema.text))?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_named_after_its_file() {
        assert_eq!(
            name_of(Path::new("a/refunds.cedar")).ok().as_deref(),
            Some("refunds")
        );
        assert!(name_of(Path::new("-")).is_err());
    }
}
