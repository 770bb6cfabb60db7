//! What is wrong with a policy, for the person who wrote it: where, what, and what to do.

use std::fmt;

use cedar_policy::ffi::DetailedError;
use serde::Serialize;

/// One thing that is wrong, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The name of the text: a policy file, a schema fragment, or a tool as `server/tool`.
    pub source: String,
    /// The policy within the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// The line, from 1; 0 when the text has no lines.
    pub line: u32,
    /// The column in characters, from 1; 0 when the text has no lines.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if let Some(policy) = &self.policy {
            write!(f, ": policy `{policy}`")?;
        }
        write!(f, ": {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// The set cannot be compiled; nothing of it is in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct CompileError {
    /// Everything that is wrong, at least one, in the order of the texts.
    pub diagnostics: Vec<Diagnostic>,
}

impl fmt::Display for CompileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.diagnostics.as_slice() {
            [] => f.write_str("the policies do not compile"),
            [only] => only.fmt(f),
            [first, rest @ ..] => write!(f, "{first} (and {} more)", rest.len()),
        }
    }
}

impl Diagnostic {
    /// Something wrong with a text as a whole.
    pub(crate) fn whole(source: &str, message: impl Into<String>) -> Self {
        Self {
            source: source.to_owned(),
            policy: None,
            line: 0,
            column: 0,
            message: message.into(),
            hint: None,
        }
    }

    /// Something wrong at a byte offset of a text.
    pub(crate) fn at(source: &str, text: &str, offset: usize, message: impl Into<String>) -> Self {
        let (line, column) = position(text, offset);
        Self {
            line,
            column,
            ..Self::whole(source, message)
        }
    }

    pub(crate) fn in_policy(mut self, policy: &str) -> Self {
        self.policy = Some(policy.to_owned());
        self
    }

    pub(crate) fn with_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.map(|hint| one_line(&hint));
        self
    }

    /// What the engine reports about `text`, with the errors that it groups taken apart.
    pub(crate) fn of_engine(source: &str, text: &str, error: &DetailedError) -> Vec<Self> {
        let offset = error.source_locations.first().map(|label| label.loc.start);
        let label = error
            .source_locations
            .first()
            .and_then(|label| label.label.as_deref());
        let message = match label {
            Some(label) => format!("{}: {}", one_line(&error.message), one_line(label)),
            None => one_line(&error.message),
        };
        let first = match offset {
            Some(offset) => Self::at(source, text, offset, message),
            None => Self::whole(source, message),
        };
        let mut all = vec![first.with_hint(error.help.clone())];
        for related in &error.related {
            all.extend(Self::of_engine(source, text, related));
        }
        all
    }
}

/// The line and column of a byte offset, both from 1.
pub(crate) fn position(text: &str, offset: usize) -> (u32, u32) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    let small = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    (small(line), small(column))
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
