//! The report: one row a figure, as a line, as a table and as JSON.

use std::fmt::Write as _;

use anyhow::Result;
use serde::Serialize;

use crate::bench::Bench;
use crate::cores;
use crate::series::Series;

/// What one measurement came to.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// How much, each round.
    pub(crate) measured: Series,
    /// Of what.
    pub(crate) unit: &'static str,
    /// The limit beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<Limit>,
    /// What it is to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) goal: Option<Goal>,
}

/// A limit, measured in the same rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Limit {
    /// What it is.
    pub(crate) name: &'static str,
    /// How much, each round, in the unit of the row.
    pub(crate) measured: Series,
    /// What was measured divided by it, round by round.
    pub(crate) ratio: Series,
}

/// What a figure is to be.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Goal {
    /// The ratio to the limit, or more.
    RatioAtLeast(f64),
    /// The number itself, or more.
    AtLeast(f64),
    /// The number itself, or less.
    AtMost(f64),
}

impl Row {
    /// A number without a limit.
    pub(crate) fn plain(what: impl Into<String>, measured: Series, unit: &'static str) -> Self {
        Self {
            what: what.into(),
            measured,
            unit,
            limit: None,
            goal: None,
        }
    }

    /// The same beside a limit.
    pub(crate) fn beside(self, name: &'static str, measured: Series) -> Self {
        let ratio = self.measured.over(&measured);
        let limit = Some(Limit {
            name,
            measured,
            ratio,
        });
        Self { limit, ..self }
    }

    /// The same with what it is to be.
    pub(crate) fn goal(self, goal: Goal) -> Self {
        Self {
            goal: Some(goal),
            ..self
        }
    }

    /// Whether it is what it is to be.
    fn is_met(&self) -> Option<bool> {
        Some(match self.goal? {
            Goal::RatioAtLeast(least) => self.limit.as_ref()?.ratio.median() >= least,
            Goal::AtLeast(least) => self.measured.median() >= least,
            Goal::AtMost(most) => self.measured.median() <= most,
        })
    }

    /// One line for a terminal.
    pub(crate) fn line(&self) -> String {
        let cells = self.cells();
        let [what, measured, limit, ratio, goal] = &cells;
        let rest = [limit, ratio, goal].map(String::as_str);
        let rest: Vec<&str> = rest.into_iter().filter(|cell| !cell.is_empty()).collect();
        format!("{what}: {measured}  {}", rest.join("  "))
            .trim_end()
            .to_owned()
    }

    fn cells(&self) -> [String; 5] {
        let limit = self.limit.as_ref().map_or_else(String::new, |limit| {
            format!("{} {}", round(limit.measured.median()), limit.name)
        });
        let ratio = self.limit.as_ref().map_or_else(String::new, |limit| {
            let [median, min, max] =
                [limit.ratio.median(), limit.ratio.min(), limit.ratio.max()].map(percent);
            format!("{median} ({min}–{max})")
        });
        let goal = self.goal.map_or_else(String::new, |goal| {
            let met = if self.is_met() == Some(true) {
                "met"
            } else {
                "**missed**"
            };
            match goal {
                Goal::RatioAtLeast(least) => format!("≥ {}: {met}", percent(least)),
                Goal::AtLeast(least) => format!("≥ {} {}: {met}", round(least), self.unit),
                Goal::AtMost(most) => format!("≤ {} {}: {met}", round(most), self.unit),
            }
        });
        [self.what.clone(), self.told(), limit, ratio, goal]
    }

    fn told(&self) -> String {
        let median = round(self.measured.median());
        if self.measured.rounds() < 2 {
            return format!("{median} {}", self.unit);
        }
        let (min, max) = (round(self.measured.min()), round(self.measured.max()));
        format!("{median} ({min}–{max}) {}", self.unit)
    }
}

/// Three figures of a number, with thousands apart.
fn round(number: f64) -> String {
    if number.abs() < 9.995 {
        return format!("{number:.2}");
    }
    if number.abs() < 99.95 {
        return format!("{number:.1}");
    }
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0
            && (digits.len() - place).is_multiple_of(3)
            && digits.as_bytes()[place - 1] != b'-'
        {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn percent(ratio: f64) -> String {
    format!("{:.0} %", ratio * 100.0)
}

/// All rows of a run, with what is to be known of it.
pub(crate) struct Report {
    facts: Vec<(&'static str, String)>,
    rows: Vec<(&'static str, Row)>,
    notes: Vec<&'static str>,
}

impl Report {
    /// An empty report about this machine, now.
    pub(crate) fn begin(bench: &Bench) -> Self {
        let mut facts = vec![(
            "date",
            jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        )];
        facts.extend(cores::machine());
        facts.push((
            "rounds",
            format!(
                "{} of {} s each; limit and program alternate",
                bench.rounds,
                bench.length.as_secs_f64()
            ),
        ));
        Self {
            facts,
            rows: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// Adds a row of a figure.
    pub(crate) fn push(&mut self, figure: &'static str, row: Row) {
        self.rows.push((figure, row));
    }

    /// Adds a remark.
    pub(crate) fn note(&mut self, note: &'static str) {
        self.notes.push(note);
    }

    /// One JSON object.
    pub(crate) fn json(&self) -> Result<String> {
        #[derive(Serialize)]
        struct Shown<'a> {
            figure: &'static str,
            #[serde(flatten)]
            row: &'a Row,
            met: Option<bool>,
        }
        let rows: Vec<Shown<'_>> = self
            .rows
            .iter()
            .map(|(figure, row)| Shown {
                figure,
                row,
                met: row.is_met(),
            })
            .collect();
        let facts: serde_json::Map<String, serde_json::Value> = self
            .facts
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone().into()))
            .collect();
        Ok(serde_json::to_string_pretty(&serde_json::json!({
            "facts": facts,
            "rows": rows,
            "notes": self.notes,
        }))?)
    }

    /// Facts, table and remarks.
    pub(crate) fn markdown(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.facts {
            let _ = writeln!(text, "- {name}: {value}");
        }
        text.push_str(
            "\n| figure | what | measured | limit beside it | share of the limit | goal |\n",
        );
        text.push_str("|---|---|---:|---:|---:|---|\n");
        let mut last = "";
        for (figure, row) in &self.rows {
            let shown = if *figure == last { "" } else { figure };
            last = figure;
            let _ = writeln!(text, "| {shown} | {} |", row.cells().join(" | "));
        }
        for note in &self.notes {
            let _ = writeln!(text, "\n{note}");
        }
        text
    }

    /// The whole document.
    pub(crate) fn document(&self) -> String {
        format!("{}\n{}", include_str!("document.md"), self.markdown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_told_with_three_figures() {
        assert_eq!(round(0.1234), "0.12");
        assert_eq!(round(12.34), "12.3");
        assert_eq!(round(999.6), "1,000");
        assert_eq!(round(1_234_567.0), "1,234,567");
    }

    #[test]
    fn goal_of_a_ratio_looks_at_the_ratio() {
        let row = Row::plain("x", Series::once(60.0), "req/CPU-s")
            .beside("bare", Series::once(100.0))
            .goal(Goal::RatioAtLeast(0.7));
        assert_eq!(row.is_met(), Some(false));
        assert_eq!(
            row.line(),
            "x: 60.0 req/CPU-s  100 bare  60 % (60 %–60 %)  ≥ 70 %: **missed**"
        );
    }
}
