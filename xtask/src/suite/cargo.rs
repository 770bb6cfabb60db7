//! The suites that are one cargo command, and how the counts of Rust's test programs are read.

use std::process::Command;

use anyhow::{Result, ensure};

use crate::command::{self, Count};
use crate::report::Outcome;
use crate::system::Setup;

/// The sources are as `cargo fmt` leaves them.
pub(super) fn format(setup: &Setup) -> Result<Outcome> {
    command::run(command::cargo(setup).args(["fmt", "--all", "--check"]))?;
    Ok(Outcome::Passed(None))
}

/// The laws of the house, which read the sources and build nothing but themselves.
pub(super) fn house(setup: &Setup) -> Result<Outcome> {
    let mut test = command::cargo(setup);
    test.args(["test", "--locked", "--package", "xtask"]);
    count_tests(&mut test)
}

/// Every lint of the workspace is an error.
pub(super) fn clippy(setup: &Setup) -> Result<Outcome> {
    let mut clippy = command::cargo(setup);
    clippy.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ]);
    command::run(&mut clippy)?;
    Ok(Outcome::Passed(None))
}

/// Every test of the house, on SQLite.
pub(super) fn unit(setup: &Setup) -> Result<Outcome> {
    let mut test = command::cargo(setup);
    // The whole workspace at once, here and everywhere: another selection means other features,
    // and half of the dependencies would be built again.
    test.args(["test", "--workspace", "--locked", "--no-fail-fast"])
        .env_remove("CHANCERY_TEST_POSTGRES");
    count_tests(&mut test)
}

/// Runs Rust test programs and counts what they report; to have run none is a failure.
pub(super) fn count_tests(command: &mut Command) -> Result<Outcome> {
    let mut total = Count::default();
    command::run_reading(command, |line| {
        if let Some(count) = count_in(line) {
            total.passed += count.passed;
            total.skipped += count.skipped;
        }
    })?;
    ensure!(total.passed > 0, "no test ran");
    Ok(Outcome::Passed(Some(total)))
}

/// The count in a closing line such as `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
pub(super) fn count_in(line: &str) -> Option<Count> {
    let (_, counts) = line.split_once("test result: ok. ")?;
    let number_of = |word: &str| {
        counts
            .split("; ")
            .find_map(|part| part.strip_suffix(word)?.trim_end().parse::<u64>().ok())
    };
    Some(Count {
        passed: number_of("passed")?,
        skipped: number_of("ignored")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_line_of_a_test_program_is_counted() {
        let line = "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 9 filtered out; finished in 0.00s";
        assert_eq!(
            count_in(line),
            Some(Count {
                passed: 3,
                skipped: 1
            })
        );
        assert_eq!(
            count_in("test result: FAILED. 3 passed; 1 failed; 0 ignored"),
            None
        );
        assert_eq!(count_in("test ids::parse ... ok"), None);
    }
}
