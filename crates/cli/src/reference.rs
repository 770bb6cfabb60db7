//! The reference in `docs/cli.md`: written from the definition, so that the two cannot differ.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::args::{self, tests::leaves};
use crate::exit;

const PREAMBLE: &str = "\
# Command line

Nouns, then verbs: `chancery agent suspend refund-bot --reason 'odd refunds'`. Every command has `--help`, and its page
in the manual (`chancery man --out DIR`). This page is written from the same definition; a test holds it to that.

## Which authority, and as whom

| said with | in the environment | means |
| --- | --- | --- |
| `--data DIR` | `CHANCERY_DATA` | the data folder of an authority on this machine; `$XDG_DATA_HOME/chancery` or `~/.local/share/chancery` when nothing is said |
| `--url URL` | `CHANCERY_URL` | the address of an authority elsewhere |
| | `CHANCERY_TOKEN` | the login of a person, from `chancery owner login` |

- A flag outranks the environment: `--data` on the command line is meant even where `CHANCERY_URL` is set.
- Without `CHANCERY_TOKEN`, a command on a data folder acts as the local administrator, by the file `admin.token` in it.
  That file must be readable by its owner alone. Its content is sent to the process that runs on the folder, after that
  process has proved that it is the one, and to nobody else.
- With `CHANCERY_TOKEN`, a command acts as that person, wherever the authority is.
- Plain HTTP is for the loopback interface; any other address must be `https`.

## What is printed

- For people: aligned names and values, and small tables; colour on a terminal only.
- With `--json`: the API's own shapes on the standard output, one document (one a line for `log tail -f`); indented on
  a terminal and on one line in a pipe. A refusal is a problem document with a stable `code` on the standard error.
- Without `--json`, a refusal is `error: …` and, where it is known, `fix: …` on the standard error.
- `-` in place of a file is the standard input. Documents are YAML or JSON; a member given twice is refused, and one
  that does not exist is named with the nearest one that does.

## Exit codes

";

fn markdown() -> String {
    let mut text = PREAMBLE.to_owned();
    for line in exit::TABLE.lines().skip(1) {
        let (code, meaning) = line.trim().split_once("  ").expect("a code and a meaning");
        writeln!(text, "- `{code}` {meaning}").expect("text");
    }
    let commands = leaves();
    let (nouns, alone): (Vec<_>, Vec<_>) = commands
        .iter()
        .partition(|(words, _)| words.split(' ').count() > 2);
    text.push_str("\n## Commands without a noun\n");
    for (words, command) in alone {
        write_command(&mut text, words, command);
    }
    let definition = args::definition();
    for noun in definition.get_subcommands() {
        let prefix = format!("chancery {} ", noun.get_name());
        let verbs: Vec<_> = nouns
            .iter()
            .filter(|(words, _)| words.starts_with(&prefix))
            .collect();
        if let (false, Some(about)) = (verbs.is_empty(), noun.get_about()) {
            writeln!(text, "\n## {}\n\n{about}.", noun.get_name()).expect("text");
        }
        for (words, command) in verbs {
            write_command(&mut text, words, command);
        }
    }
    text
}

fn write_command(text: &mut String, words: &str, command: &clap::Command) {
    let about = command.get_long_about().or(command.get_about());
    writeln!(text, "\n### {words}\n").expect("text");
    let about = about.map(ToString::to_string).unwrap_or_default();
    let stop = if about.ends_with(['.', '…']) || about.contains('\n') {
        ""
    } else {
        "."
    };
    writeln!(text, "{about}{stop}\n\n```console").expect("text");
    let help = command.get_after_help().map(ToString::to_string);
    for line in help.unwrap_or_default().lines().skip(1) {
        writeln!(text, "$ {}", line.trim()).expect("text");
    }
    writeln!(text, "```").expect("text");
    let own =
        |arg: &&clap::Arg| !arg.is_hide_set() && !arg.is_global_set() && arg.get_id() != "url";
    let rows: Vec<String> = command.get_arguments().filter(own).map(row).collect();
    if !rows.is_empty() {
        writeln!(
            text,
            "\n| argument | meaning |\n| --- | --- |\n{}",
            rows.join("\n")
        )
        .expect("text");
    }
}

fn row(arg: &clap::Arg) -> String {
    let values: Vec<String> = arg
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .filter(|_| arg.get_action().takes_values())
        .map(ToString::to_string)
        .collect();
    let long = arg.get_long().map(|long| format!("--{long}"));
    let short = arg.get_short().map(|short| format!("-{short}, "));
    let said = match long {
        Some(long) => format!("{}{long} {}", short.unwrap_or_default(), values.join(" ")),
        None => values.join(" "),
    };
    let mut meaning = arg.get_help().map(ToString::to_string).unwrap_or_default();
    for alias in arg.get_visible_aliases().unwrap_or_default() {
        write!(meaning, " (also `--{alias}`)").expect("text");
    }
    let names = arg.get_possible_values();
    let names: Vec<&str> = names.iter().map(|value| value.get_name()).collect();
    if !names.is_empty() && arg.get_action().takes_values() {
        write!(meaning, ": `{}`", names.join("`, `")).expect("text");
    }
    if let Some(variable) = arg.get_env() {
        write!(meaning, " (`{}`)", variable.to_string_lossy()).expect("text");
    }
    format!(
        "| `{}` | {} |",
        said.trim().replace('|', "\\|"),
        meaning.replace('|', "\\|")
    )
}

/// Set `CHANCERY_WRITE_REFERENCE` to write the page anew.
#[test]
fn the_reference_is_that_of_this_command_line() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let expected = markdown();
    if option_env!("CHANCERY_WRITE_REFERENCE").is_some() {
        std::fs::write(&path, &expected).expect("written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        found, expected,
        "run the test once with CHANCERY_WRITE_REFERENCE=1"
    );
}
