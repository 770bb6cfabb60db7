//! `chancery mcp …`: MCP servers behind the gateway.

use std::time::Duration;

use chancery_api::mcp::{AddMcpServer, McpServerView};
use chancery_model::mcp::Upstream;
use clap::{Args, Subcommand};

use crate::duration;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::layout::{self, Facts};
use crate::session::{Session, all};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Put an MCP server behind the gateway, at /mcp/NAME
    ///
    /// Its tools are accepted as they are now; a definition that changes later is not offered until somebody
    /// accepts it. A command is started as it is written, never through a shell.
    #[command(
        override_usage = "chancery mcp add [OPTIONS] <NAME> --url <URL>\n       chancery mcp add [OPTIONS] <NAME> -- <CMD> [ARG]...",
        after_help = "Example:\n  chancery mcp add desk --url http://127.0.0.1:7500/mcp --allow-bearer 1h\n  chancery mcp add files -- mcp-server-filesystem /srv/files"
    )]
    Add(Add),
    /// List MCP servers
    #[command(after_help = "Example:\n  chancery mcp list")]
    List,
    /// Show an MCP server and its tools
    #[command(after_help = "Example:\n  chancery mcp show desk")]
    Show(Which),
    /// Accept the server's tools as they are now
    #[command(after_help = "Example:\n  chancery mcp accept desk")]
    Accept(Which),
    /// Remove an MCP server
    #[command(after_help = "Example:\n  chancery mcp remove desk")]
    Remove(Which),
}

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// Its name
    #[arg(value_name = "NAME")]
    name: String,
}

#[derive(Debug, Args)]
pub(crate) struct Add {
    /// The last segment of its path, /mcp/NAME
    #[arg(value_name = "NAME")]
    name: String,
    /// Its Streamable HTTP endpoint
    #[arg(
        id = "endpoint",
        long = "url",
        value_name = "URL",
        required_unless_present = "command",
        conflicts_with = "command"
    )]
    endpoint: Option<String>,
    /// Accept plain bearer tokens for this long: an explicit, recorded exception
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    allow_bearer: Option<Duration>,
    /// Take calls in a person's name only when the person signed in within this long: the client is told to ask again (RFC 9470)
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    max_auth_age: Option<Duration>,
    /// Take calls in a person's name only when the person signed in this surely: `phr` is a passkey
    #[arg(long, value_name = "ACR")]
    acr: Option<String>,
    /// Accept tools although something was found in their definitions, such as hidden text
    #[arg(long)]
    accept_findings: bool,
    /// The program that speaks MCP on its standard streams, and its arguments
    #[arg(id = "command", value_name = "CMD", last = true)]
    command: Vec<String>,
}

pub(crate) async fn run(session: &Session, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Add(args) => add(session, args).await,
        Verb::List => list(session).await,
        Verb::Show(which) => show(session, &session.authority()?.mcp_show(&which.name).await?),
        Verb::Accept(which) => show(
            session,
            &session.authority()?.mcp_accept(&which.name).await?,
        ),
        Verb::Remove(which) => show(
            session,
            &session.authority()?.mcp_remove(&which.name).await?,
        ),
    }
}

async fn add(session: &Session, args: Add) -> Result<Exit, Failure> {
    let server = session.authority()?.mcp_add(&request(args)?).await?;
    show(session, &server)
}

fn request(args: Add) -> Result<AddMcpServer, Failure> {
    let mut words = args.command.into_iter();
    let upstream = match (args.endpoint, words.next()) {
        (Some(url), None) => Upstream::Http { url },
        (None, Some(command)) => Upstream::Stdio {
            command,
            args: words.collect(),
        },
        (Some(_), Some(_)) | (None, None) => {
            return Err(Failure::unreadable(
                "give either `--url URL` or `-- CMD ARG…`",
            ));
        }
    };
    Ok(AddMcpServer {
        name: args.name,
        upstream,
        allow_bearer: args.allow_bearer.map(|lifetime| lifetime.as_secs()),
        max_auth_age: args.max_auth_age.map(|age| age.as_secs()),
        acr: args.acr,
        accept_findings: args.accept_findings,
    })
}

async fn list(session: &Session) -> Result<Exit, Failure> {
    let authority = session.authority()?;
    let page = all(None, async |page| authority.mcp_list(&page).await).await?;
    session.output.show(&page, || {
        let rows = page.items.iter().map(|server| {
            vec![
                server.name.clone(),
                server.url.clone(),
                server.tools.len().to_string(),
                server.findings.len().to_string(),
                upstream(&server.upstream),
            ]
        });
        let headings = ["name", "url", "tools", "findings", "upstream"];
        layout::table(&headings, rows.collect(), "no MCP servers")
    })?;
    Ok(Exit::Done)
}

fn show(session: &Session, server: &McpServerView) -> Result<Exit, Failure> {
    session.output.show(server, || facts(server).render())?;
    Ok(Exit::Done)
}

fn facts(server: &McpServerView) -> Facts {
    let tools: Vec<String> = server
        .tools
        .iter()
        .map(|tool| {
            // The first line only: the rest is for the model, and may be long.
            let about = tool.description.as_deref().unwrap_or_default();
            let about = about.lines().next().unwrap_or_default();
            format!("{}  {about}", tool.name).trim_end().to_owned()
        })
        .collect();
    Facts::new()
        .add("name", &server.name)
        .add("id", server.id)
        .add("url", &server.url)
        .add("upstream", upstream(&server.upstream))
        .maybe("bearer until", server.bearer_until.as_ref())
        .each("tools", &tools)
        .each("findings", &server.findings)
        .add("added", &server.created_at)
}

fn upstream(upstream: &Upstream) -> String {
    match upstream {
        Upstream::Http { url } => url.clone(),
        Upstream::Stdio { command, args } => {
            let words = std::iter::once(command).chain(args);
            words.cloned().collect::<Vec<_>>().join(" ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Command;
    use crate::args::tests::{asked, parsed};

    fn added(line: &str) -> AddMcpServer {
        match asked(line).command {
            Command::Mcp(Verb::Add(args)) => request(args).expect("a request"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_server_is_reached_by_url_or_by_command() {
        let http = added("chancery mcp add desk --url http://127.0.0.1:1/mcp --allow-bearer 1h");
        assert_eq!(http.allow_bearer, Some(3_600));
        assert!(matches!(http.upstream, Upstream::Http { url } if url.ends_with("/mcp")));
        let stdio = added("chancery mcp add files --json -- npx server --url x --json");
        let Upstream::Stdio { command, args } = stdio.upstream else {
            panic!("not stdio");
        };
        assert_eq!(
            (command.as_str(), args.join(" ").as_str()),
            ("npx", "server --url x --json")
        );
        for wrong in [
            "chancery mcp add desk",
            "chancery mcp add desk --url http://127.0.0.1:1 -- npx",
            "chancery mcp add desk npx",
            "chancery mcp add desk --url http://127.0.0.1:1 --allow-bearer soon",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
    }
}
