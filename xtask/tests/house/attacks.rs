//! `docs/attacks.md` tells the truth: the tests that it names exist, and no line says nothing.

use std::collections::BTreeSet;

use crate::source::{Source, below};
use crate::{assert_none, root};

/// A line of one of the tables.
struct Line<'a> {
    id: &'a str,
    shown: &'a str,
}

#[test]
fn every_test_that_the_table_of_attacks_names_exists() {
    let text = std::fs::read_to_string(root().join("docs/attacks.md")).expect("the table");
    let lines = lines(&text);
    assert!(lines.len() > 100, "the table has lines");
    assert_none(&silent(&lines));
    assert_none(&lost(&lines, |package| {
        let folder = match package {
            "chancery" => "crates/bin".to_owned(),
            "xtask" => "xtask".to_owned(),
            name => format!("crates/{name}"),
        };
        tests_in(&below(&root(), &folder))
    }));
}

fn lines(text: &str) -> Vec<Line<'_>> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    cells
        .filter_map(|cells| match cells.as_slice() {
            [id, _, shown, ..] if *id != "id" && !id.starts_with('-') => Some(Line { id, shown }),
            _ => None,
        })
        .collect()
}

/// Lines that are there twice, or say neither which test shows it nor why none does.
fn silent(lines: &[Line<'_>]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut violations = Vec::new();
    for line in lines {
        if !seen.insert(line.id) {
            violations.push(format!("{}: is there twice", line.id));
        }
        let says = ["not yet applicable: ", "open: "];
        if named(line).is_empty() && !says.iter().any(|word| line.shown.contains(word)) {
            violations.push(format!("{}: says nothing", line.id));
        }
    }
    violations
}

/// The tests that a line names, each with its package.
fn named<'a>(line: &Line<'a>) -> Vec<(&'a str, &'a str)> {
    let quoted = line.shown.split('`').skip(1).step_by(2);
    quoted.filter_map(|text| text.split_once(": ")).collect()
}

/// Named tests that do not exist.
fn lost(lines: &[Line<'_>], tests: impl Fn(&str) -> BTreeSet<String>) -> Vec<String> {
    let all: Vec<_> = lines
        .iter()
        .flat_map(|line| named(line).into_iter().map(|named| (line.id, named)))
        .collect();
    let packages: BTreeSet<&str> = all.iter().map(|(_, (package, _))| *package).collect();
    let mut violations = Vec::new();
    for package in packages {
        let there = tests(package);
        let of_it = all.iter().filter(|(_, (other, _))| *other == package);
        let gone = of_it.filter(|(_, (_, name))| !there.contains(*name));
        violations.extend(gone.map(|(id, (_, name))| format!("{id}: no test `{package}: {name}`")));
    }
    violations
}

/// The names of the functions that are tests.
fn tests_in(sources: &[Source]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for source in sources {
        let mut is_test = false;
        for (_, code) in source.code() {
            let code = code.trim();
            if code.starts_with("#[") {
                is_test |= code.starts_with("#[test]") || code.starts_with("#[tokio::test");
            } else if let Some((_, name)) = code.split_once("fn ") {
                if let Some((name, _)) = name.split_once('(').filter(|_| is_test) {
                    names.insert(name.to_owned());
                }
                is_test = false;
            }
        }
    }
    names
}

#[test]
fn line_that_names_no_test_or_one_that_is_gone_is_refused() {
    let text = "| id | attack | shown by |\n|---|---|---|\n\
        | A-1 | one | `wire: a_1_is_refused`<br>open: the rest |\n\
        | A-2 | two | later |\n\
        | A-3 | three | not yet applicable: there are no `threes` |\n\
        | A-3 | again | `wire: gone` |\n";
    let lines = lines(text);
    assert_eq!(lines.len(), 4);
    let violations = silent(&lines);
    assert_eq!(violations, ["A-2: says nothing", "A-3: is there twice"]);
    let tests = |_: &str| BTreeSet::from(["a_1_is_refused".to_owned()]);
    assert_eq!(lost(&lines, tests), ["A-3: no test `wire: gone`"]);
}

#[test]
fn only_tests_are_tests() {
    let text = "#[tokio::test(flavor = \"multi_thread\")]\nasync fn one() {}\nfn two() {}\n\
        /// A doc.\n#[test]\nfn three() {}\n";
    let source = Source {
        path: "crates/wire/tests/it/main.rs".into(),
        text: text.to_owned(),
        only_in_tests: false,
    };
    let names = tests_in(&[source]);
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["one", "three"]);
}
