//! What can be said on the command line, and what was said.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::exit;
use crate::roles::{DemoArgs, DeskArgs, DoctorArgs, Role, ServeArgs, UpArgs};
use crate::{agent, completions, key, log, man, mcp, owner, policy, resource, token};

/// What was asked for.
#[derive(Debug)]
pub enum Invocation {
    /// A role, which the roof runs.
    Role(Role),
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
    #[arg(
        long = "login-token",
        global = true,
        hide = true,
        hide_env_values = true,
        env = "CHANCERY_TOKEN"
    )]
    token: Option<String>,
    #[arg(long, global = true, hide = true, env = "XDG_DATA_HOME")]
    xdg_data_home: Option<PathBuf>,
    #[arg(long, global = true, hide = true, env = "HOME")]
    home: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Agents: register, change, stop
    #[command(subcommand)]
    Agent(agent::Verb),
    /// Owners: the people and teams that answer for agents, and their logins
    #[command(subcommand)]
    Owner(owner::Verb),
    /// Resource servers: those for whom tokens are made
    #[command(subcommand)]
    Resource(resource::Verb),
    /// MCP servers behind the gateway
    #[command(subcommand)]
    Mcp(mcp::Verb),
    /// Policies: what may be done
    #[command(subcommand)]
    Policy(policy::Verb),
    /// Tokens: ask for one as an agent does, look into one, revoke one
    #[command(subcommand)]
    Token(token::Verb),
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

/// Parses the arguments of this process; prints help or a usage error and ends the process where that is the answer.
pub fn parse() -> Invocation {
    let args: Vec<OsString> = std::env::args_os().collect();
    match parse_from(&args) {
        Ok(invocation) => invocation,
        Err(error) if wants_json(&args) && is_mistake(&error) => {
            eprintln!("{}", mistake(&error));
            std::process::exit(exit::Exit::Unreadable.code().into());
        }
        Err(error) => error.exit(),
    }
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
                Role::Up(UpArgs { place, json })
                | Role::Serve(ServeArgs { place, json, .. })
                | Role::Doctor(DoctorArgs { place, json }) => {
                    place.data = login.data.ok_or_else(homeless)?;
                    json
                }
                Role::Demo(DemoArgs { json, .. }) => json,
                Role::Desk(DeskArgs { .. }) => return Ok(Invocation::Role(role)),
            };
            *asked_for_json = json;
            Ok(Invocation::Role(role))
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
        // The XDG base directory specification has relative paths ignored.
        .filter(|path| path.is_absolute())
        .map(|path| path.join("chancery"))
        .or_else(|| {
            let home = globals.home.as_deref().filter(|home| !is_empty(home))?;
            Some(home.join(".local/share/chancery"))
        });
    let url = globals.url.clone().filter(|_| !data_was_named);
    Login {
        data: globals.data.clone().or(default),
        data_was_named,
        url: named_url.or(url),
        token: globals.token.clone().filter(|token| !token.is_empty()),
    }
}

fn is_empty(path: &Path) -> bool {
    path.as_os_str().is_empty()
}

fn is_mistake(error: &clap::Error) -> bool {
    error.use_stderr()
}

fn wants_json(args: &[OsString]) -> bool {
    args.iter()
        .take_while(|arg| *arg != "--")
        .any(|arg| arg == "--json")
}

/// A usage error in the form of every other failure.
fn mistake(error: &clap::Error) -> serde_json::Value {
    let text = error.render().to_string();
    let title = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .map(|line| line.trim_start_matches("error: ").to_owned());
    serde_json::json!({
        "code": "usage",
        "title": title.unwrap_or_default(),
        "fix": "see `--help`",
    })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Parses a line as a shell would split it, with the environment of the test.
    pub(crate) fn parsed(line: &str) -> Result<Invocation, clap::Error> {
        let mut args: Vec<OsString> = Vec::new();
        let mut quoted = false;
        let mut word = String::new();
        for c in line.chars() {
            match c {
                '\'' => quoted = !quoted,
                ' ' if !quoted => args.push(std::mem::take(&mut word).into()),
                c => word.push(c),
            }
        }
        args.push(word.into());
        parse_from(&args)
    }

    fn role(line: &str) -> Role {
        match parsed(line) {
            Ok(Invocation::Role(role)) => role,
            other => panic!("{line}: {other:?}"),
        }
    }

    pub(crate) fn asked(line: &str) -> Asked {
        match parsed(line) {
            Ok(Invocation::Command(asked)) => *asked,
            other => panic!("{line}: {other:?}"),
        }
    }

    /// Every command without commands below it, with the words that lead to it.
    pub(crate) fn leaves() -> Vec<(String, clap::Command)> {
        fn walk(command: &clap::Command, words: &str, found: &mut Vec<(String, clap::Command)>) {
            if command.get_subcommands().next().is_none() {
                found.push((words.to_owned(), command.clone()));
            }
            for below in command.get_subcommands() {
                walk(below, &format!("{words} {}", below.get_name()), found);
            }
        }
        let mut found = Vec::new();
        walk(&definition(), "chancery", &mut found);
        found
    }

    /// The lines of an example that are commands of ours, without what a shell does with their output.
    pub(crate) fn examples(command: &clap::Command) -> Vec<String> {
        let help = command.get_after_help().map(ToString::to_string);
        let help = help.unwrap_or_default();
        help.lines()
            .filter_map(|line| line.trim().strip_prefix("chancery "))
            .map(|line| {
                let own = line.split(" > ").next().unwrap_or(line);
                let own = own.split(" | ").next().unwrap_or(own);
                format!("chancery {own}")
            })
            .collect()
    }

    #[test]
    fn the_definition_is_consistent() {
        definition().debug_assert();
    }

    #[test]
    fn every_command_has_help_with_an_example_that_parses_and_the_exit_codes() {
        let leaves = leaves();
        assert!(leaves.len() > 50, "{}", leaves.len());
        for (words, mut command) in leaves {
            let examples = examples(&command);
            assert!(!examples.is_empty(), "{words} has no example");
            for example in examples {
                assert!(example.starts_with(&words), "{words}: {example}");
                parsed(&example).unwrap_or_else(|error| panic!("{example}: {error}"));
            }
            let help = command.render_long_help().to_string();
            assert!(help.contains(exit::TABLE), "{words}");
            assert!(command.get_about().is_some(), "{words}");
        }
    }

    #[test]
    fn up_takes_the_flags_that_scripts_rely_on() {
        let Role::Up(up) = role("chancery up --data DIR --listen 127.0.0.1:0 --json") else {
            panic!("another role");
        };
        assert!(up.json);
        assert_eq!(up.place.data, PathBuf::from("DIR"));
        assert_eq!(up.place.listen.port(), 0);
        let Role::Up(up) = role("chancery --data DIR up") else {
            panic!("another role");
        };
        assert_eq!(up.place.listen.to_string(), DEFAULT);
        assert_eq!(up.place.issuer, None);
    }

    const DEFAULT: &str = crate::roles::DEFAULT_LISTEN;

    #[test]
    fn a_flag_outranks_the_environment() {
        let globals = |data: Option<&str>, url: Option<&str>| Globals {
            data: data.map(PathBuf::from),
            url: url.map(str::to_owned),
            json: false,
            token: Some(String::new()),
            xdg_data_home: Some(PathBuf::from("relative")),
            home: Some(PathBuf::from("/home/alice")),
        };
        let remote = Some("https://id.example.com");
        let both_from_environment = login(&globals(Some("d"), remote), false, None);
        assert_eq!(both_from_environment.url.as_deref(), remote);
        let data_on_the_command_line = login(&globals(Some("d"), remote), true, None);
        assert_eq!(data_on_the_command_line.url, None);
        let url = Some("https://other.example.com".to_owned());
        let both_on_the_command_line = login(&globals(Some("d"), remote), true, url.clone());
        assert_eq!(both_on_the_command_line.url, url);
        let nothing = login(&globals(None, None), false, None);
        let home = PathBuf::from("/home/alice/.local/share/chancery");
        assert_eq!(nothing.data, Some(home));
        assert_eq!(nothing.token, None);
    }

    #[test]
    fn the_url_of_a_tool_server_is_not_that_of_the_authority() {
        let url = |line: &str| asked(line).login.url;
        let authority = Some("https://id.example.com".to_owned());
        let server = "--url http://127.0.0.1:7500/mcp";
        assert_eq!(
            url(&format!("chancery --data d mcp add desk {server}")),
            None
        );
        let both = format!("chancery --url https://id.example.com mcp add desk {server}");
        assert_eq!(url(&both), authority);
        assert_eq!(
            url("chancery agent list --url https://id.example.com"),
            authority
        );
        assert_eq!(
            url("chancery agent --url https://id.example.com list"),
            authority
        );
    }

    #[test]
    fn a_usage_error_is_json_when_json_was_asked_for() {
        let error = parsed("chancery agent register --json").expect_err("no file");
        assert!(is_mistake(&error));
        let json = mistake(&error);
        assert_eq!(json["code"], "usage");
        assert!(
            json["title"]
                .as_str()
                .is_some_and(|title| title.contains("required"))
        );
        let help = parsed("chancery agent --help").expect_err("help");
        assert!(!is_mistake(&help));
    }
}
