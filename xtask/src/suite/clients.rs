//! Third-party clients and servers, and the console in a browser: the suites in `tests-interop/`, each in its own language.

use anyhow::{Result, ensure};

use crate::command::{self, Count};
use crate::report::Outcome;
use crate::suite::demo::chancery;
use crate::system::Setup;
use crate::{interop, node, python, system};

/// Runs the suites in TypeScript's and Python's runtimes; one that fails does not stop the other.
pub(super) fn run(setup: &Setup) -> Result<Outcome> {
    let node = node::obtain(setup)?;
    let python = python::obtain(setup)?;
    let chromium = system::require_program(setup, "chromium", &["chromium"])?;
    // The pages of docs/ are followed with these.
    for program in ["curl", "openssl"] {
        system::require_program(setup, program, &[program])?;
    }
    let chancery = chancery(setup)?;

    let mut total = Count::default();
    let mut failed = Vec::new();
    for (language, mut suite) in [("node", node.tests()?), ("python", python.tests())] {
        suite
            .env("CHANCERY_BIN", &chancery)
            .env("CHANCERY_DOCS", setup.root.join("docs"))
            .env("CHROMIUM", &chromium)
            .env("INTEROP_NODE", &node.program)
            .env("INTEROP_PYTHON", &python.program)
            .env_remove("CHANCERY_URL")
            .env_remove("CHANCERY_DATA");
        let before = total.passed;
        if let Err(error) =
            command::run_reading(&mut suite, |line| interop::count(&mut total, line))
        {
            failed.push(format!("{language}: {error:#}"));
        } else if total.passed == before {
            failed.push(format!("{language}: no test ran"));
        }
    }
    ensure!(failed.is_empty(), "{}", failed.join("; "));
    Ok(Outcome::Passed(Some(total)))
}
