//! How the story is printed: as numbered steps on an 80-column terminal, or as one JSON line per step.

use std::io::{self, Write};

use chancery_model::time::{Clock, Timestamp};
use serde_json::{Map, Value, json};

use crate::story::Failure;

const WIDTH: usize = 80;
const TEXT_INDENT: usize = 4;
const LABEL_INDENT: usize = 6;
const VALUE_INDENT: usize = 22;
/// Room for the longest label, `delete_customer`.
const LABEL_WIDTH: usize = VALUE_INDENT - LABEL_INDENT - 1;

/// How a fact is coloured on a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    /// As it is.
    Plain,
    /// Something was allowed, or holds.
    Good,
    /// Something was refused, or does not hold; which is what the story said would happen.
    Refused,
}

/// What the words are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// For people, with colour.
    Coloured,
    /// For people, without colour.
    Plain,
    /// One JSON line per step.
    Json,
}

/// Tells the steps, one after the other.
pub(crate) struct Narrator<'a> {
    out: &'a mut dyn Write,
    clock: &'a dyn Clock,
    form: Form,
    step: u32,
    title: &'static str,
    begun_at: Timestamp,
    facts: Map<String, Value>,
}

impl<'a> Narrator<'a> {
    /// A narrator who has not said a word.
    pub(crate) fn new(out: &'a mut dyn Write, clock: &'a dyn Clock, form: Form) -> Self {
        let begun_at = clock.now();
        Self {
            out,
            clock,
            form,
            step: 0,
            title: "",
            begun_at,
            facts: Map::new(),
        }
    }

    /// Prints what stands above the first step.
    pub(crate) fn open(&mut self, title: &str, text: &str) -> Result<(), Failure> {
        if self.form == Form::Json {
            return Ok(());
        }
        let title = self.painted(BOLD, title);
        self.print(&format!("\n{title}\n{}", paragraph(text, 0)))
    }

    /// Begins a step: its number and title, and what is about to happen.
    pub(crate) fn begin(&mut self, title: &'static str, text: &str) -> Result<(), Failure> {
        self.step += 1;
        self.title = title;
        self.facts = Map::new();
        self.begun_at = self.clock.now();
        if self.form == Form::Json {
            return Ok(());
        }
        let number = self.painted(DIM, &format!("{:>2}", self.step));
        let title = self.painted(BOLD, title);
        self.print(&format!(
            "\n{number}  {title}\n{}",
            paragraph(text, TEXT_INDENT)
        ))
    }

    /// Tells one thing that happened.
    pub(crate) fn fact(
        &mut self,
        label: &'static str,
        value: impl Into<String>,
    ) -> Result<(), Failure> {
        self.fact_in(Tone::Plain, label, value.into())
    }

    /// Tells that something was allowed, or holds.
    pub(crate) fn good(
        &mut self,
        label: &'static str,
        value: impl Into<String>,
    ) -> Result<(), Failure> {
        self.fact_in(Tone::Good, label, value.into())
    }

    /// Tells that something was refused, as it should be.
    pub(crate) fn refused(
        &mut self,
        label: &'static str,
        value: impl Into<String>,
    ) -> Result<(), Failure> {
        self.fact_in(Tone::Refused, label, value.into())
    }

    fn fact_in(&mut self, tone: Tone, label: &'static str, value: String) -> Result<(), Failure> {
        if self.form == Form::Json {
            self.facts
                .insert(label.replace(' ', "_"), Value::String(value));
            return Ok(());
        }
        let mut text = String::new();
        for (at, line) in wrap(&value, WIDTH - VALUE_INDENT).iter().enumerate() {
            let label = if at == 0 { label } else { "" };
            let label = self.painted(DIM, &format!("{label:<width$}", width = LABEL_WIDTH));
            let value = match tone {
                Tone::Plain => line.clone(),
                Tone::Good => self.painted(GREEN, line),
                Tone::Refused => self.painted(RED, line),
            };
            text.push_str(&format!("{:LABEL_INDENT$}{label} {value}\n", ""));
        }
        self.print(&text)
    }

    /// Ends a step that went as it said, with the time that it took.
    pub(crate) fn end(&mut self) -> Result<(), Failure> {
        let ms = self.elapsed_ms();
        if self.form == Form::Json {
            let facts = Value::Object(std::mem::take(&mut self.facts));
            let line = json!({"step": self.step, "title": self.title, "ok": true, "ms": ms, "facts": facts});
            return self.print(&format!("{line}\n"));
        }
        let text = self.painted(DIM, &format!("ok, {ms} ms"));
        self.print(&format!("{:TEXT_INDENT$}{text}\n", ""))
    }

    /// Prints what stands below the last step, with commands that can be copied.
    pub(crate) fn close(
        &mut self,
        title: &str,
        text: &str,
        commands: &[(&str, String)],
    ) -> Result<(), Failure> {
        if self.form == Form::Json {
            let commands: Vec<&String> = commands.iter().map(|(_, command)| command).collect();
            let line = json!({"ok": true, "steps": self.step, "try_next": commands});
            return self.print(&format!("{line}\n"));
        }
        let title = self.painted(BOLD, title);
        let mut whole = format!("\n{title}\n{}", paragraph(text, 0));
        for (why, command) in commands {
            // A command is never wrapped: it is there to be copied.
            whole.push_str(&format!(
                "\n  {}\n  {command}\n",
                self.painted(DIM, &format!("# {why}"))
            ));
        }
        self.print(&whole)
    }

    /// Prints that a step did not go as it said.
    pub(crate) fn failed(&mut self, failure: &Failure) -> Result<(), Failure> {
        if self.form == Form::Json {
            let Failure {
                step,
                title,
                expected,
                got,
            } = failure;
            let line = json!({"step": step, "title": title, "ok": false, "expected": expected, "got": got});
            return self.print(&format!("{line}\n"));
        }
        let verdict = self.painted(RED, "this did not go as it should");
        let text = format!("expected: {}\ngot: {}", failure.expected, failure.got);
        self.print(&format!(
            "\n{:TEXT_INDENT$}{verdict}\n{}",
            "",
            paragraph(&text, TEXT_INDENT)
        ))
    }

    /// The present step as one that failed.
    pub(crate) fn failure(&self, expected: impl Into<String>, got: impl Into<String>) -> Failure {
        Failure {
            step: self.step,
            title: self.title,
            expected: expected.into(),
            got: got.into(),
        }
    }

    /// Goes on only when `holds`.
    pub(crate) fn expect(
        &self,
        holds: bool,
        expected: &str,
        got: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if holds {
            Ok(())
        } else {
            Err(self.failure(expected, got()))
        }
    }

    /// The result, or the present step as one that failed with all that its error says.
    pub(crate) fn must<T, E: Into<anyhow::Error>>(
        &self,
        result: Result<T, E>,
        expected: &str,
    ) -> Result<T, Failure> {
        result.map_err(|error| self.failure(expected, format!("{:#}", error.into())))
    }

    /// How long the present step has taken, in milliseconds with one decimal.
    pub(crate) fn elapsed_ms(&self) -> f64 {
        let micros = self.clock.now().since(self.begun_at).as_micros();
        (micros as f64 / 100.0).round() / 10.0
    }

    /// The number of steps begun.
    pub(crate) fn steps(&self) -> u32 {
        self.step
    }

    fn painted(&self, code: &str, text: &str) -> String {
        match self.form {
            Form::Coloured => format!("\x1b[{code}m{text}\x1b[0m"),
            Form::Plain | Form::Json => text.to_owned(),
        }
    }

    fn print(&mut self, text: &str) -> Result<(), Failure> {
        let printed: io::Result<()> = self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush());
        printed.map_err(|error| self.failure("the story can be printed", error.to_string()))
    }
}

const BOLD: &str = "1";
const DIM: &str = "2";
const GREEN: &str = "32";
const RED: &str = "31";

/// `text` wrapped to the width of the terminal, every line behind `indent` spaces.
fn paragraph(text: &str, indent: usize) -> String {
    let lines = text.lines().flat_map(|line| wrap(line, WIDTH - indent));
    lines
        .map(|line| format!("{:indent$}{line}\n", ""))
        .collect()
}

/// Breaks `text` between words into lines of at most `width` characters; a longer word has a line of its own.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            lines.push(String::new());
            used = 0;
        }
        if let Some(line) = lines.last_mut() {
            if used > 0 {
                line.push(' ');
                used += 1;
            }
            line.push_str(word);
            used += length;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use proptest::prelude::*;

    use super::*;

    /// Moves on by 12.3 milliseconds whenever somebody looks.
    #[derive(Default)]
    struct Ticking(AtomicI64);

    impl Clock for Ticking {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(self.0.fetch_add(12_300, Ordering::Relaxed))
        }
    }

    fn told(form: Form) -> String {
        let mut out = Vec::new();
        let clock = Ticking::default();
        let mut narrator = Narrator::new(&mut out, &clock, form);
        narrator
            .open("A short story", "In which little happens.")
            .unwrap();
        let text = "An agent asks for more than it may have, and somebody has thought of that long before it asked.";
        narrator.begin("An agent asks for too much", text).unwrap();
        narrator.fact("call", "issue_refund ord_1001").unwrap();
        narrator
            .refused(
                "decision",
                "denied: refunds above 100 need a person, and there is no person here to ask",
            )
            .unwrap();
        narrator.end().unwrap();
        let failure = narrator.failure("nothing more happens", "something did");
        narrator.failed(&failure).unwrap();
        narrator
            .close(
                "That was all",
                "Good night.",
                &[("look again", "chancery demo".to_owned())],
            )
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_step_reads_like_a_paragraph() {
        let expected = "
A short story
In which little happens.

 1  An agent asks for too much
    An agent asks for more than it may have, and somebody has thought of that
    long before it asked.
      call            issue_refund ord_1001
      decision        denied: refunds above 100 need a person, and there is no
                      person here to ask
    ok, 12.3 ms

    this did not go as it should
    expected: nothing more happens
    got: something did

That was all
Good night.

  # look again
  chancery demo
";
        assert_eq!(told(Form::Plain), expected);
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let coloured = told(Form::Coloured);
        assert!(
            coloured.contains(
                "\x1b[31mdenied: refunds above 100 need a person, and there is no\x1b[0m"
            )
        );
        let mut plain = coloured;
        for code in [BOLD, DIM, GREEN, RED, "0"] {
            plain = plain.replace(&format!("\x1b[{code}m"), "");
        }
        assert_eq!(plain, told(Form::Plain));
    }

    #[test]
    fn json_is_one_line_per_step() {
        let told = told(Form::Json);
        let lines: Vec<Value> = told
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let facts = json!({
            "call": "issue_refund ord_1001",
            "decision": "denied: refunds above 100 need a person, and there is no person here to ask",
        });
        let title = "An agent asks for too much";
        assert_eq!(
            lines,
            [
                json!({"step": 1, "title": title, "ok": true, "ms": 12.3, "facts": facts}),
                json!({"step": 1, "title": title, "ok": false, "expected": "nothing more happens", "got": "something did"}),
                json!({"ok": true, "steps": 1, "try_next": ["chancery demo"]}),
            ]
        );
    }

    proptest! {
        #[test]
        fn wrapping_loses_no_word_and_keeps_the_width(text in "[a-zà-ü ]{0,200}", width in 12..80usize) {
            let lines = wrap(&text, width);
            let words: Vec<&str> = text.split_whitespace().collect();
            let told: Vec<&str> = lines.iter().flat_map(|line| line.split_whitespace()).collect();
            prop_assert_eq!(told, words);
            for line in lines {
                prop_assert!(line.chars().count() <= width || !line.contains(' '), "{}", line);
            }
        }
    }
}
