//! Identity documents on the way in and out: `init`, `schema`, `import`, `export`.

use std::path::PathBuf;

use chancery_api::agents::{AgentView, RegisterAgent};
use chancery_model::document::{AgentName, Document};
use clap::{Args, ValueEnum};

use super::{Which, view};
use crate::documents::read_as;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The name of the new agent
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Identity documents, YAML or JSON
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    #[command(flatten)]
    which: Which,
    /// The notation
    #[arg(long, value_enum, default_value = "yaml")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Yaml,
    Json,
}

pub(super) fn init(session: &Session, args: &Init) -> Result<Exit, Failure> {
    let name = AgentName::parse(&args.name)
        .map_err(|error| Failure::unreadable(format!("`{}`: {error}", args.name)))?;
    let text = TEMPLATE.replacen("NAME", name.as_str(), 1);
    if session.output.json {
        let document: Document = serde_saphyr::from_str(&text)
            .map_err(|error| Failure::unreadable(format!("the template: {error}")))?;
        session.output.show(&document, String::new)?;
    } else {
        session.output.line(&text)?;
    }
    Ok(Exit::Done)
}

pub(super) fn schema(session: &Session) -> Result<Exit, Failure> {
    let schema = Document::json_schema();
    let pretty = serde_json::to_string_pretty(&schema).unwrap_or_default();
    session.output.show(&schema, || pretty)?;
    Ok(Exit::Done)
}

/// Reads every document before the first is sent, so that a mistake in the last leaves nothing half done.
pub(super) async fn import(session: &Session, args: &Import) -> Result<Exit, Failure> {
    let documents: Vec<Document> = args
        .files
        .iter()
        .map(|file| read_as(file))
        .collect::<Result<_, _>>()?;
    let authority = session.authority()?;
    let mut registered: Vec<AgentView> = Vec::with_capacity(documents.len());
    for (at, document) in documents.into_iter().enumerate() {
        session
            .output
            .progress(&format!("registering {} of {}", at + 1, args.files.len()));
        let request = RegisterAgent {
            document,
            jwks: None,
            authentication: None,
        };
        match authority.agent_register(&request).await {
            Ok(agent) => registered.push(agent),
            Err(error) => {
                session.output.progress("");
                let done: Vec<&str> = registered.iter().map(|agent| agent.name.as_str()).collect();
                if !done.is_empty() {
                    session
                        .output
                        .remark(&format!("registered before that: {}", done.join(", ")));
                }
                return Err(error.into());
            }
        }
    }
    session.output.progress("");
    session
        .output
        .show(&registered, || view::agents(&registered))?;
    Ok(Exit::Done)
}

pub(super) async fn export(session: &Session, args: &Export) -> Result<Exit, Failure> {
    let agent = session.authority()?.agent_show(&args.which.agent).await?;
    let text = match args.format {
        Format::Yaml => serde_saphyr::to_string(&agent.document).map_err(|error| error.to_string()),
        Format::Json => {
            serde_json::to_string_pretty(&agent.document).map_err(|error| error.to_string())
        }
    };
    let text = text.map_err(|error| Failure::unreadable(format!("the document: {error}")))?;
    session.output.show(&agent.document, || text)?;
    Ok(Exit::Done)
}

const TEMPLATE: &str = "\
# The identity document of an agent: what it is and may do, as its owner declares it.
# Register it with `chancery agent register FILE --jwks KEYS`; the full shape is `chancery agent schema`.

# Unique among living agents: a-z, 0-9, `.`, `_` and `-`.
name: NAME
description: What the agent is for, in a sentence or two.

# Who answers for it: an e-mail address, or `team:` and a name. A person becomes known with the agent when you may
# add owners; a team must exist first: `chancery owner add`.
owner: you@example.com

# What it is built with, what it thinks with, and where it runs.
#platform: langchain
#model: {provider: example, name: example-model, version: \"2026-05\"}
#hosting: {provider: on-premises, region: eu, environment: production}

# assisted (a person asks for each step), supervised (a person watches), autonomous.
autonomy_level: supervised

# What it can do, each with how bad its misuse would be: low, medium, high, critical.
#capabilities:
#  - {name: refunds.issue, risk: high}

# Which data it reaches, how, and how sensitive it is: public, internal, confidential, restricted.
#data_access:
#  - {resource: crm, access: [read], classification: internal}

# Which tools it may use on which MCP server behind the gateway; `*` is every tool of a server.
#tools:
#  - {server: desk, tool: lookup_order}

# What needs a person, and who that is.
#human_oversight: {required_for: [refunds.issue], approvers: [you@example.com]}

# Digests of what it is made of; a change of any is a new version that is reviewed.
#integrity: {prompt: \"sha256:…\"}

# When the identity ends by itself.
#expires_at: 2030-01-31T00:00:00Z
";

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Document {
        serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn the_template_is_a_document_and_so_are_its_comments() {
        let text = TEMPLATE.replacen("NAME", "bot", 1);
        assert_eq!(parsed(&text).name.as_str(), "bot");
        let digest = format!("sha256:{}", "0".repeat(64));
        let is_prose = |line: &&str| line.starts_with("# ") && !line.starts_with("#  ");
        let all: String = text
            .replace("sha256:…", &digest)
            .lines()
            .filter(|line| !is_prose(line))
            .map(|line| format!("{}\n", line.strip_prefix('#').unwrap_or(line)))
            .collect();
        let document = parsed(&all);
        assert_eq!(
            (document.capabilities.len(), document.data_access.len()),
            (1, 1)
        );
        assert_eq!(document.tools.len(), 1);
        assert!(document.human_oversight.is_some() && document.expires_at.is_some());
    }

    #[test]
    fn the_template_says_which_owners_must_exist_first() {
        assert!(!TEMPLATE.contains("Must be known"));
        assert!(TEMPLATE.contains("a team must exist first: `chancery owner add"));
    }

    #[test]
    fn exported_yaml_is_read_back_as_the_same_document() {
        let document = parsed(
            "name: bot\nowner: a@b.example\nmodel: {name: m, version: '1.10'}\ndescription: 'yes: #no\n\n  x'\n",
        );
        let text = serde_saphyr::to_string(&document).expect("YAML");
        assert_eq!(parsed(&text), document);
    }
}
