//! What became of each suite, and the one table at the end.

use std::fmt::Write as _;
use std::time::Duration;

use crate::command::Count;

/// What became of a suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It ran and found nothing wrong; `Some` when it counts its cases.
    Passed(Option<Count>),
    /// It ran and found something, or could not run for a reason that is ours.
    Failed(String),
    /// It could not run on this machine. The run as a whole then fails, unless that is allowed.
    LeftOut(String),
    /// What it reads is no part of this repository and is not here. The run as a whole may pass.
    Absent(String),
}

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    /// The name of the suite.
    pub(crate) suite: &'static str,
    /// What became of it.
    pub(crate) outcome: Outcome,
    /// How long it took, with its setting up.
    pub(crate) took: Duration,
}

/// The rows so far, in the order in which the suites ran.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Adds the next row.
    pub(crate) fn push(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Whether the run as a whole is good.
    pub(crate) fn is_good(&self, allow_missing: bool) -> bool {
        self.rows.iter().all(|row| match row.outcome {
            Outcome::Passed(_) | Outcome::Absent(_) => true,
            Outcome::LeftOut(_) => allow_missing,
            Outcome::Failed(_) => false,
        })
    }

    /// The table, then why each suite that did not pass did not, then the totals.
    pub(crate) fn text(&self) -> String {
        let mut text = format!(
            "{:<10} {:<9} {:>7}  {}\n",
            "suite", "result", "seconds", "cases"
        );
        for row in &self.rows {
            let line = format!(
                "{:<10} {:<9} {:>7.1}  {}",
                row.suite,
                word(&row.outcome),
                row.took.as_secs_f64(),
                cases(&row.outcome),
            );
            text.push_str(line.trim_end());
            text.push('\n');
        }
        for row in &self.rows {
            if let Outcome::Failed(why) | Outcome::LeftOut(why) | Outcome::Absent(why) =
                &row.outcome
            {
                let _ = writeln!(text, "\n{} {}: {why}", row.suite, word(&row.outcome));
            }
        }
        let count = |wanted| {
            self.rows
                .iter()
                .filter(|row| word(&row.outcome) == wanted)
                .count()
        };
        let skipped = count("left out") + count("absent");
        let _ = writeln!(
            text,
            "\n{} passed, {} failed, {skipped} skipped",
            count("passed"),
            count("failed"),
        );
        text
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Passed(_) => "passed",
        Outcome::Failed(_) => "failed",
        Outcome::LeftOut(_) => "left out",
        Outcome::Absent(_) => "absent",
    }
}

fn cases(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Passed(Some(Count { passed, skipped: 0 })) => passed.to_string(),
        Outcome::Passed(Some(Count { passed, skipped })) => format!("{passed} ({skipped} skipped)"),
        Outcome::Passed(None) | Outcome::Failed(_) | Outcome::LeftOut(_) | Outcome::Absent(_) => {
            String::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(outcomes: impl IntoIterator<Item = Outcome>) -> Report {
        let rows = outcomes
            .into_iter()
            .map(|outcome| Row {
                suite: "unit",
                outcome,
                took: Duration::from_millis(1250),
            })
            .collect();
        Report { rows }
    }

    #[test]
    fn suite_left_out_fails_the_run_unless_allowed() {
        let report = report([
            Outcome::Passed(None),
            Outcome::LeftOut("no database".into()),
        ]);
        assert!(!report.is_good(false));
        assert!(report.is_good(true));
    }

    #[test]
    fn failed_suite_fails_the_run_always() {
        assert!(!report([Outcome::Failed("broken".into())]).is_good(true));
    }

    #[test]
    fn absent_vectors_do_not_fail_the_run() {
        assert!(report([Outcome::Absent("no folder".into())]).is_good(false));
    }

    #[test]
    fn table_tells_results_reasons_and_totals() {
        let report = report([
            Outcome::Passed(Some(Count {
                passed: 12,
                skipped: 1,
            })),
            Outcome::LeftOut("no database".into()),
        ]);
        let expected = "\
suite      result    seconds  cases
unit       passed        1.2  12 (1 skipped)
unit       left out      1.2

unit left out: no database

1 passed, 0 failed, 1 skipped
";
        assert_eq!(report.text(), expected);
    }
}
