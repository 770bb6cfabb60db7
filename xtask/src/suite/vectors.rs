//! Published test vectors: files of others, which are no part of this repository.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use crate::command::{self, Count};
use crate::report::Outcome;
use crate::system::Setup;

/// Runs every test whose name contains `vectors`, and counts the cases that they say they ran.
pub(super) fn run(setup: &Setup) -> Result<Outcome> {
    let folder = match std::env::var_os("CHANCERY_VECTORS") {
        Some(folder) => PathBuf::from(folder),
        None => setup.root.join("../shared/vectors"),
    };
    let Ok(folder) = folder.canonicalize() else {
        return Ok(Outcome::Absent(format!(
            "there is no folder `{}`; CHANCERY_VECTORS names another",
            folder.display()
        )));
    };
    let mut total = Count::default();
    let mut test = command::cargo(setup);
    test.args([
        "test",
        "--workspace",
        "--locked",
        "--no-fail-fast",
        "vectors",
        "--",
        "--nocapture",
    ]);
    command::run_reading(test.env("CHANCERY_VECTORS", folder), |line| {
        total.passed += cases_in(line).unwrap_or(0);
    })?;
    ensure!(
        total.passed > 0,
        "the folder is there, but no test said that it ran a case"
    );
    Ok(Outcome::Passed(Some(total)))
}

/// The number of cases in a line such as `jcs-rfc8785 vectors: 12 cases`.
fn cases_in(line: &str) -> Option<u64> {
    let mut words = line.split_whitespace().peekable();
    while let Some(word) = words.next() {
        let next = words
            .peek()
            .map(|next| next.trim_end_matches([',', '.', ';', ')']));
        if matches!(next, Some("case" | "cases"))
            && let Ok(count) = word.trim_start_matches('(').parse()
        {
            return Some(count);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_before_the_word_cases_is_counted() {
        assert_eq!(
            cases_in("test jcs_vectors ... jcs-rfc8785 vectors: 12 cases"),
            Some(12)
        );
        assert_eq!(cases_in("vectors: 1 case, 0 skipped"), Some(1));
        assert_eq!(cases_in("vectors absent: not run"), None);
        assert_eq!(cases_in("in most cases 5"), None);
    }
}
