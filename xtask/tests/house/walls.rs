//! What may stand in which crate, read from the sources as text.

use std::path::{Path, PathBuf};

use crate::source::{Source, below, crates};
use crate::{assert_none, root};

/// Crates without I/O, and without waiting.
const PURE: [&str; 4] = [
    "crates/model",
    "crates/ledger",
    "crates/policy",
    "crates/wire",
];

/// What a pure crate may not say.
const IMPURE: [&str; 12] = [
    "async fn",
    "async move",
    "async {",
    ".await",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime::now",
    "Instant::now",
    "tokio::",
];

/// The one place that may start a thread: Cedar needs a deeper stack to compile on than a caller may have.
const OWN_STACK: &str = "crates/policy/src/limits.rs";

/// Where SQL stands; the demonstration quotes some as what an agent asks a tool for.
const SQL: [&str; 2] = ["crates/store", "crates/demo"];

#[test]
fn pure_crates_neither_wait_nor_reach_out() {
    let sources: Vec<_> = PURE.iter().flat_map(|folder| sources_of(folder)).collect();
    assert_none(&sources.iter().flat_map(impure).collect::<Vec<_>>());
}

#[test]
fn sql_stands_in_store_only() {
    let folders = crates(&root())
        .into_iter()
        .filter(|folder| !SQL.contains(&folder.as_str()));
    let sources: Vec<_> = folders.flat_map(|folder| sources_of(&folder)).collect();
    assert_none(&sources.iter().flat_map(sql).collect::<Vec<_>>());
}

#[test]
fn every_crate_opens_by_saying_what_it_is_for() {
    let mut violations = Vec::new();
    for folder in crates(&root()) {
        let sources = sources_of(&folder);
        let roots = ["lib.rs", "main.rs"].map(|name| Path::new(&folder).join("src").join(name));
        let roots = sources.iter().filter(|source| roots.contains(&source.path));
        violations.extend(roots.filter_map(silent));
    }
    assert_none(&violations);
}

#[test]
fn every_folder_of_modules_opens_by_saying_what_it_is_for() {
    let mut violations = Vec::new();
    for folder in crates(&root()) {
        let sources = sources_of(&folder);
        let heads = sources
            .iter()
            .filter(|source| is_head_of_folder(source, &sources));
        violations.extend(heads.filter_map(silent));
    }
    assert_none(&violations);
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let lacking = |folder: &String| {
        let manifest = std::fs::read_to_string(root().join(folder).join("Cargo.toml"));
        !manifest
            .expect("a crate has a manifest")
            .contains("[lints]\nworkspace = true")
    };
    let violations = crates(&root()).into_iter().filter(lacking);
    assert_none(
        &violations
            .map(|folder| format!("{folder}: lints.workspace is not true"))
            .collect::<Vec<_>>(),
    );
}

fn sources_of(folder: &str) -> Vec<Source> {
    below(&root(), &format!("{folder}/src"))
}

fn impure(source: &Source) -> Vec<String> {
    said(source, |code| {
        let may_start_a_thread = source.at(0).starts_with(OWN_STACK);
        let mut words = IMPURE
            .iter()
            .filter(|word| !(may_start_a_thread && **word == "std::thread"));
        words.find(|word| code.contains(**word)).copied()
    })
}

fn sql(source: &Source) -> Vec<String> {
    said(source, statement_in)
}

fn said(source: &Source, word_in: impl Fn(&str) -> Option<&'static str>) -> Vec<String> {
    source
        .program()
        .filter_map(|(line, code)| {
            word_in(code).map(|word| format!("{}: says `{word}`", source.at(line)))
        })
        .collect()
}

/// The SQL statement that a line of program contains, by its capital letters.
fn statement_in(code: &str) -> Option<&'static str> {
    const PAIRS: [(&str, &str); 7] = [
        ("\"SELECT ", ""),
        ("\"UPDATE ", ""),
        ("SELECT ", " FROM "),
        ("UPDATE ", " SET "),
        ("INSERT INTO ", ""),
        ("DELETE FROM ", ""),
        ("CREATE TABLE ", ""),
    ];
    PAIRS
        .iter()
        .find(|(verb, rest)| code.contains(verb) && code.contains(rest))
        .map(|(verb, _)| verb.trim_matches(['"', ' ']))
}

/// What is wrong with a file whose first line is not `//!`.
fn silent(source: &Source) -> Option<String> {
    (!source.text.starts_with("//! "))
        .then(|| format!("{}: does not open with //!", source.path.display()))
}

/// Whether a file is the `mod.rs` of a folder, or the `NAME.rs` beside a folder `NAME`.
fn is_head_of_folder(source: &Source, sources: &[Source]) -> bool {
    let folder: PathBuf = source.path.with_extension("");
    source.path.ends_with("mod.rs")
        || sources
            .iter()
            .any(|other| other.path.parent() == Some(&folder))
}

fn source(text: &str) -> Source {
    Source {
        path: PathBuf::from("crates/wire/src/lib.rs"),
        text: text.to_owned(),
        only_in_tests: false,
    }
}

#[test]
fn waiting_in_a_pure_crate_is_refused() {
    assert_eq!(impure(&source("pub async fn fetch() {}")).len(), 1);
    assert_eq!(
        impure(&source("let now = std::time::SystemTime::now();")).len(),
        1
    );
    assert!(impure(&source("// an async fn would not do")).is_empty());
    assert!(impure(&source("#[cfg(test)]\nmod tests { use std::fs; }")).is_empty());
}

#[test]
fn statement_outside_the_store_is_refused() {
    assert_eq!(sql(&source("\"SELECT id FROM agent\"")).len(), 1);
    assert_eq!(sql(&source("\"UPDATE agent SET name = $1\"")).len(), 1);
    assert!(sql(&source("// INSERT INTO agent")).is_empty());
    assert!(sql(&source("\"select a tool from the list\"")).is_empty());
}

#[test]
fn crate_that_does_not_say_what_it_is_for_is_refused() {
    assert!(silent(&source("pub mod a;")).is_some());
    assert!(silent(&source("//! The words.\n\npub mod a;")).is_none());
}
