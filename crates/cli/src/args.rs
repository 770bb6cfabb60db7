//! What can be said on the command line, and what was said.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::exit::{self, Exit};
use crate::roles::{DemoArgs, DeskArgs, DoctorArgs, Role, ServeArgs, UpArgs};
use crate::{
    agent, attester, client, completions, grant, issuer, key, log, man, mcp, owner, policy,
    provider, resource, token,
};

/// What was asked for.
#[derive(Debug)]
pub enum Invocation {
    /// A role, which the roof runs.
    Role(Box<Role>),
    /// A command, which [`crate::run::run`] runs.
    Command(Box<Asked>),
}

/// A command, with the place where its authority is found.
#[derive(Debug)]
pub struct Asked {
    pub(crate) command: Command,
    pub(crate) login: Login,
    pub(crate) json: bool,
}

/// Where the authority is and who asks, before any file is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Login {
    /// The data folder; `None` when there is no home to put it in.
    pub(crate) data: Option<PathBuf>,
    /// Whether the folder was named on the command line.
    pub(crate) data_was_named: bool,
    /// The address, when it is not the one in the data folder.
    pub(crate) url: Option<String>,
    /// The secret of a person's login.
    pub(crate) token: Option<String>,
}

/// The identity authority for AI agents.
///
/// Registers agents, gives them identities of their own, judges and records what they do, and stops them.
#[derive(Debug, Parser)]
#[command(name = "chancery", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Anything,
}

#[derive(Debug, Subcommand)]
enum Anything {
    #[command(flatten)]
    Role(Role),
    #[command(flatten)]
    Command(Command),
}

#[derive(Debug, Args)]
struct Globals {
    /// The data folder of an authority on this machine; commands act as its local administrator
    #[arg(long, global = true, value_name = "DIR", env = "CHANCERY_DATA")]
    data: Option<PathBuf>,
    /// The address of an authority elsewhere; the login comes from CHANCERY_TOKEN
    // Not `global`: `mcp add --url` means another address. See `with_url`.
    #[arg(long, value_name = "URL", env = "CHANCERY_URL")]
    url: Option<String>,
    /// Print JSON: the answers of the API as they are, refusals as JSON on the standard error
    #[arg(long, global = true)]
    json: bool,
    // From the environment only: a secret on a command line is seen by every user of the machine.
    // Ids of global arguments are those of no other: clap hands values up and down the commands by id.
    #[arg(
        long,
        global = true,
        hide = true,
        hide_env_values = true,
        env = "CHANCERY_TOKEN"
    )]
    login_token: Option<String>,
    #[arg(long, global = true, hide = true, env = "XDG_DATA_HOME")]
    xdg_data_home: Option<OsString>,
    #[arg(long, global = true, hide = true, env = "HOME")]
    home: Option<OsString>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Agents: register, change, stop
    #[command(subcommand)]
    Agent(agent::Verb),
    /// Owners: the people and teams that answer for agents, and their logins
    #[command(subcommand)]
    Owner(owner::Verb),
    /// Providers that people sign in with
    #[command(subcommand)]
    Provider(provider::Verb),
    /// Resource servers: those for whom tokens are made
    #[command(subcommand)]
    Resource(resource::Verb),
    /// MCP servers behind the gateway
    #[command(subcommand)]
    Mcp(mcp::Verb),
    /// MCP clients that register themselves
    #[command(subcommand)]
    Client(client::Verb),
    /// Attesters: those who vouch for running copies of agents
    #[command(subcommand)]
    Attester(attester::Verb),
    /// Issuers that vouch for workloads, which then act as agents
    #[command(subcommand)]
    Issuer(issuer::Verb),
    /// Policies: what may be done
    #[command(subcommand)]
    Policy(policy::Verb),
    /// Tokens: ask for one as an agent does, look into one, revoke one
    #[command(subcommand)]
    Token(token::Verb),
    /// Grants: what people let agents do in their names
    #[command(subcommand)]
    Grant(grant::Verb),
    /// Keys: make one for an agent; list and rotate those of the authority
    #[command(subcommand)]
    Key(key::Verb),
    /// The record: read it, prove it, take it away, verify it
    #[command(subcommand)]
    Log(log::Verb),
    /// Say who this command line acts as
    #[command(after_help = "Example:\n  chancery whoami")]
    Whoami,
    /// Say whether the authority answers, and how its record stands
    #[command(after_help = "Example:\n  chancery status")]
    Status,
    /// Print completions for a shell
    #[command(
        after_help = "Example:\n  chancery completions bash > ~/.local/share/bash-completion/completions/chancery"
    )]
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write one for every command
    #[command(after_help = "Example:\n  chancery man --out ./man1")]
    Man(man::ManArgs),
}

/// The definition of the command line, as parsing, help, completions and manual pages use it.
pub(crate) fn definition() -> clap::Command {
    let command = Cli::command();
    let url = command.get_arguments().find(|arg| arg.get_id() == "url");
    // Flags of the environment are read once, at the top.
    let url = url.cloned().map(|url| url.env(None));
    completed(command, url.as_ref())
}

/// Gives `command` and everything below it `--url`, and ends the long help with the exit codes.
fn completed(command: clap::Command, url: Option<&clap::Arg>) -> clap::Command {
    let names: Vec<String> = command
        .get_subcommands()
        .map(|below| below.get_name().to_owned())
        .collect();
    let command = names.into_iter().fold(command, |command, name| {
        command.mut_subcommand(name, |below| completed(with_url(below, url), url))
    });
    let example = command.get_after_help().map(ToString::to_string);
    let example = example.map(|example| format!("{example}\n\n"));
    let help = format!("{}{}", example.unwrap_or_default(), exit::TABLE);
    command.after_long_help(help)
}

/// Gives a command `--url`, unless it has a flag of that name with a meaning of its own.
fn with_url(command: clap::Command, url: Option<&clap::Arg>) -> clap::Command {
    let taken = command
        .get_arguments()
        .any(|arg| arg.get_long() == Some("url"));
    match url {
        Some(url) if !taken => command.arg(url.clone()),
        Some(_) | None => command,
    }
}

/// The `--url` that stands furthest to the right on the command line.
fn named_url(matches: &ArgMatches) -> Option<String> {
    let levels = std::iter::successors(Some(matches), |level| Some(level.subcommand()?.1));
    let mut named = levels.filter_map(|level| {
        let url: &String = level.try_get_one("url").ok().flatten()?;
        (level.value_source("url") == Some(ValueSource::CommandLine)).then(|| url.clone())
    });
    let first = named.next();
    named.last().or(first)
}

/// Parses the arguments of a process, its own name first.
///
/// Where help or a usage error is the answer, that is printed here and the exit code is handed back.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, ExitCode> {
    let args: Vec<OsString> = args.into_iter().collect();
    parse_from(&args).map_err(|error| {
        if error.use_stderr() && wants_json(&args) {
            anstream::eprintln!("{}", mistake(&error));
        } else {
            // Nobody is left to tell when the stream is gone.
            let _ = error.print();
        }
        if error.use_stderr() {
            Exit::Unreadable.into()
        } else {
            Exit::Done.into()
        }
    })
}

fn parse_from(args: &[OsString]) -> Result<Invocation, clap::Error> {
    let matches = definition().try_get_matches_from(args)?;
    let cli = Cli::from_arg_matches(&matches)?;
    let data_was_named = matches.value_source("data") == Some(ValueSource::CommandLine);
    let login = login(&cli.globals, data_was_named, named_url(&matches));
    let json = cli.globals.json;
    match cli.command {
        Anything::Command(command) => Ok(Invocation::Command(Box::new(Asked {
            command,
            login,
            json,
        }))),
        Anything::Role(mut role) => {
            let asked_for_json = match &mut role {
                Role::Up(UpArgs { place, json, .. })
                | Role::Serve(ServeArgs { place, json, .. })
                | Role::Doctor(DoctorArgs { place, json }) => {
                    place.data = login.data.ok_or_else(homeless)?;
                    json
                }
                Role::Demo(DemoArgs { json, .. }) => json,
                Role::Desk(DeskArgs { .. }) => return Ok(Invocation::Role(Box::new(role))),
            };
            *asked_for_json = json;
            Ok(Invocation::Role(Box::new(role)))
        }
    }
}

fn homeless() -> clap::Error {
    let message = "there is no home folder to keep data in; name one with `--data DIR`\n";
    clap::Error::raw(ErrorKind::MissingRequiredArgument, message)
}

/// Which authority is meant: a flag outranks the environment, and the data folder is where nothing else was named.
fn login(globals: &Globals, data_was_named: bool, named_url: Option<String>) -> Login {
    let default = globals
        .xdg_data_home
        .as_deref()
        .map(Path::new)
        // The XDG base directory specification has relative paths ignored.
        .filter(|path| path.is_absolute())
        .map(|path| path.join("chancery"))
        .or_else(|| {
            let home = globals.home.as_deref().filter(|home| !home.is_empty())?;
            let home = Path::new(home);
            Some(home.join(".local/share/chancery"))
        });
    let url = globals.url.clone();
    let url = url.filter(|url| !data_was_named && !url.is_empty());
    Login {
        data: globals.data.clone().or(default),
        data_was_named,
        url: named_url.or(url),
        token: globals
            .login_token
            .clone()
            .filter(|token| !token.is_empty()),
    }
}

fn wants_json(args: &[OsString]) -> bool {
    args.iter()
        .take_while(|arg| *arg != "--")
        .any(|arg| arg == "--json")
}

/// A usage error in the form of every other failure.
fn mistake(error: &clap::Error) -> serde_json::Value {
    let text = error.render().to_string();
    // The first paragraph says what is wrong; the usage follows.
    let first = text.split("\n\n").next().unwrap_or_default();
    let words: Vec<&str> = first.split_whitespace().collect();
    let title = words.join(" ");
    let title = title.strip_prefix("error: ").unwrap_or(&title);
    serde_json::json!({
        "code": "usage",
        "title": title,
        "fix": "see `--help`",
    })
}

#[cfg(test)]
pub(crate) mod tests;
