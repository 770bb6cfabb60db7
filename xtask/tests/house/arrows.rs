//! The arrows between the crates: who may depend on whom, and on which heavy crate.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use crate::{assert_none, root};

/// The floors; a crate depends only on crates of lower floors. The roof is the program itself.
const FLOORS: [(&str, u8); 16] = [
    ("chancery-model", 0),
    ("chancery-ledger", 0),
    ("chancery-wire", 1),
    ("chancery-policy", 1),
    ("chancery-api", 1),
    ("chancery-store", 2),
    ("chancery-gateway", 2),
    ("chancery-node", 2),
    ("chancery-client", 2),
    ("chancery-authority", 3),
    ("chancery-cli", 3),
    ("chancery-governance", 4),
    ("chancery-demo", 4),
    ("chancery-bench", 4),
    ("chancery", ROOF),
    ("xtask", OUTSIDE),
];
const ROOF: u8 = 5;
/// No arrow leads to or from here.
const OUTSIDE: u8 = u8::MAX;

/// Crates that only the named ones may depend on, except in tests.
const FENCED: [(&str, &[&str]); 12] = [
    (
        "aws-lc-rs",
        &["chancery-wire", "chancery-ledger", "chancery"],
    ),
    ("rustls-webpki", &["chancery-wire"]),
    ("x509-cert", &["chancery-wire"]),
    ("tokio-rustls", &["chancery"]),
    ("cedar-policy", &["chancery-policy"]),
    ("rusqlite", &["chancery-store"]),
    ("tokio-postgres", &["chancery-store"]),
    ("deadpool-postgres", &["chancery-store"]),
    ("rmcp", &["chancery-demo"]),
    (
        "clap",
        &["chancery-cli", "chancery", "chancery-bench", "xtask"],
    ),
    ("comfy-table", &["chancery-cli"]),
    ("serde-saphyr", &["chancery-cli", "chancery-demo"]),
];

/// Crates that do I/O or wait; the pure crates may not name them, not even in tests.
const WAITING: [&str; 6] = ["tokio", "futures-util", "hyper", "axum", "tower", "tracing"];
const PURE: [&str; 4] = [
    "chancery-model",
    "chancery-ledger",
    "chancery-policy",
    "chancery-wire",
];

/// One line of a `[dependencies]` table.
#[derive(Debug, Clone)]
struct Arrow {
    from: String,
    to: String,
    in_tests: bool,
}

#[test]
fn every_arrow_goes_down() {
    assert_none(&upward(&arrows_of_the_workspace()));
}

#[test]
fn fenced_crates_stay_behind_their_fence() {
    assert_none(&over_the_fence(&arrows_of_the_workspace()));
}

#[test]
fn pure_crates_name_nothing_that_waits() {
    assert_none(&waiting(&arrows_of_the_workspace()));
}

fn upward(arrows: &[Arrow]) -> Vec<String> {
    let floors = BTreeMap::from(FLOORS);
    let ours = |name: &str| name.starts_with("chancery") || name == "xtask";
    let floor_of = |name: &str| {
        floors
            .get(name)
            .ok_or_else(|| format!("{name} has no floor"))
    };
    let judge = |arrow: &Arrow| {
        let (from, to) = match (floor_of(&arrow.from), floor_of(&arrow.to)) {
            (Ok(from), Ok(to)) => (*from, *to),
            (Err(unknown), _) | (_, Err(unknown)) => return Some(unknown),
        };
        let inside = from != OUTSIDE && to != OUTSIDE;
        // A test may stand beside what it tests; nothing else may go sideways.
        let down = if arrow.in_tests {
            to <= from
        } else {
            to < from
        };
        (!inside || !down).then(|| {
            let kind = if arrow.in_tests { "tests of " } else { "" };
            format!(
                "{kind}{} (floor {from}) depend on {} (floor {to})",
                arrow.from, arrow.to
            )
        })
    };
    arrows
        .iter()
        .filter(|arrow| ours(&arrow.to))
        .filter_map(judge)
        .collect()
}

fn over_the_fence(arrows: &[Arrow]) -> Vec<String> {
    let fences = BTreeMap::from(FENCED);
    let climbs = |arrow: &&Arrow| {
        let fence = fences.get(arrow.to.as_str());
        !arrow.in_tests && fence.is_some_and(|inside| !inside.contains(&arrow.from.as_str()))
    };
    let told = |arrow: &Arrow| format!("{} depends on {}", arrow.from, arrow.to);
    arrows.iter().filter(climbs).map(told).collect()
}

fn waiting(arrows: &[Arrow]) -> Vec<String> {
    let waits = |arrow: &&Arrow| {
        PURE.contains(&arrow.from.as_str()) && WAITING.contains(&arrow.to.as_str())
    };
    let told = |arrow: &Arrow| format!("{} is pure and depends on {}", arrow.from, arrow.to);
    arrows.iter().filter(waits).map(told).collect()
}

fn arrows_of_the_workspace() -> Vec<Arrow> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .current_dir(root())
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .output()
        .expect("cargo starts");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let packages = metadata["packages"]
        .as_array()
        .expect("metadata lists packages");
    packages.iter().flat_map(arrows_of).collect()
}

fn arrows_of(package: &Value) -> Vec<Arrow> {
    let name = |value: &Value| {
        value["name"]
            .as_str()
            .expect("everything has a name")
            .to_owned()
    };
    let dependencies = package["dependencies"]
        .as_array()
        .expect("a package lists dependencies");
    dependencies
        .iter()
        .map(|dependency| Arrow {
            from: name(package),
            to: name(dependency),
            in_tests: dependency["kind"] == "dev",
        })
        .collect()
}

fn arrow(from: &str, to: &str, in_tests: bool) -> Arrow {
    Arrow {
        from: from.to_owned(),
        to: to.to_owned(),
        in_tests,
    }
}

#[test]
fn arrow_up_or_sideways_is_refused() {
    assert_eq!(
        upward(&[arrow("chancery-store", "chancery-authority", false)]).len(),
        1
    );
    assert_eq!(
        upward(&[arrow("chancery-gateway", "chancery-store", false)]).len(),
        1
    );
    assert_eq!(
        upward(&[arrow("chancery-store", "chancery-authority", true)]).len(),
        1
    );
    assert_eq!(upward(&[arrow("chancery-store", "xtask", true)]).len(), 1);
    assert_eq!(upward(&[arrow("xtask", "chancery-model", false)]).len(), 1);
    assert_eq!(
        upward(&[arrow("chancery-store", "chancery-new", false)]).len(),
        1
    );
}

#[test]
fn arrow_down_is_allowed_and_tests_may_stand_beside() {
    assert_eq!(
        upward(&[arrow("chancery-store", "chancery-model", false)]).len(),
        0
    );
    assert_eq!(
        upward(&[arrow("chancery-gateway", "chancery-store", true)]).len(),
        0
    );
    assert_eq!(
        upward(&[arrow("chancery", "chancery-demo", false)]).len(),
        0
    );
}

#[test]
fn fence_is_for_programs_not_for_tests() {
    assert_eq!(
        over_the_fence(&[arrow("chancery-authority", "aws-lc-rs", false)]).len(),
        1
    );
    assert_eq!(
        over_the_fence(&[arrow("chancery-authority", "aws-lc-rs", true)]).len(),
        0
    );
    assert_eq!(
        over_the_fence(&[arrow("chancery-wire", "aws-lc-rs", false)]).len(),
        0
    );
}

#[test]
fn pure_crate_with_a_runtime_is_refused() {
    assert_eq!(waiting(&[arrow("chancery-wire", "tokio", true)]).len(), 1);
    assert_eq!(
        waiting(&[arrow("chancery-gateway", "tokio", false)]).len(),
        0
    );
}
