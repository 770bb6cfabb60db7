//! The tests that know a database, again, on a private PostgreSQL.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::command::{self, Count};
use crate::postgres::{ALONE, Cluster, VARIABLE};
use crate::report::Outcome;
use crate::suite::cargo::count_in;
use crate::system::Setup;

/// The packages whose tests use the database that [`VARIABLE`] names, and what the names of those tests contain.
const PACKAGES: [(&str, &str); 3] = [
    ("chancery-store", ""),
    ("chancery-authority", ""),
    ("chancery", "on_postgresql"),
];

/// Runs the test programs of those packages against a cluster of their own, and one more that they may crash.
pub(super) fn run(setup: &Setup) -> Result<Outcome> {
    let programs = command::built(setup, &["test", "--workspace", "--no-run"])?;
    let cluster = Cluster::start(setup)?;
    let alone = Cluster::start(setup)?;

    let mut total = Count::default();
    let mut failed = Vec::new();
    for program in programs.iter().filter(|program| program.is_test) {
        let uses_it = |(package, _): &&(&str, &str)| *package == program.package;
        let Some((_, names)) = PACKAGES.iter().find(uses_it) else {
            continue;
        };
        let mut test = Command::new(&program.executable);
        test.arg(names)
            .current_dir(&program.folder)
            .env(VARIABLE, cluster.url())
            .env(ALONE, alone.url());
        let outcome = command::run_reading(&mut test, |line| {
            if let Some(count) = count_in(line) {
                total.passed += count.passed;
                total.skipped += count.skipped;
            }
        });
        if outcome.is_err() {
            failed.push(program.package.as_str());
        }
    }
    ensure!(failed.is_empty(), "tests failed in {}", failed.join(", "));
    for cluster in [&cluster, &alone] {
        ensure!(
            cluster.connections()? > 0,
            "no test connected to the database"
        );
    }
    Ok(Outcome::Passed(Some(total)))
}
