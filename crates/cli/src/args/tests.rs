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
        Ok(Invocation::Role(role)) => *role,
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

/// An argument of a command with the id of a global one would be read in its place: a token to revoke as the login.
#[test]
fn no_argument_of_a_command_has_the_id_of_a_global_one() {
    fn walk(command: &clap::Command, words: &str, globals: &[clap::Id], named: &mut Vec<String>) {
        for below in command.get_subcommands() {
            let words = format!("{words} {}", below.get_name());
            let taken = below
                .get_arguments()
                .map(clap::Arg::get_id)
                .filter(|id| globals.contains(id));
            named.extend(taken.map(|id| format!("{words}: {id}")));
            walk(below, &words, globals, named);
        }
    }
    // Before it is built: building copies the global arguments into every command.
    let command = Cli::command();
    let globals: Vec<clap::Id> = command
        .get_arguments()
        .map(|arg| arg.get_id().clone())
        .collect();
    assert_eq!(globals.len(), 6, "{globals:?}");
    let mut named = Vec::new();
    walk(&command, "chancery", &globals, &mut named);
    assert_eq!(named, Vec::<String>::new());
}

#[test]
fn a_token_that_is_named_is_not_the_login() {
    for line in [
        "chancery token revoke eyJh.eyJp.c2ln --reason leaked",
        "chancery token inspect eyJh.eyJp.c2ln",
    ] {
        assert_ne!(asked(line).login.token.as_deref(), Some("eyJh.eyJp.c2ln"));
    }
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
        login_token: Some(String::new()),
        xdg_data_home: Some("relative".into()),
        home: Some("/home/alice".into()),
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
    assert!(error.use_stderr());
    let json = mistake(&error);
    assert_eq!(json["code"], "usage");
    assert!(
        json["title"]
            .as_str()
            .is_some_and(|title| title.ends_with("<FILE>"))
    );
    let help = parsed("chancery agent --help").expect_err("help");
    assert!(!help.use_stderr());
}
