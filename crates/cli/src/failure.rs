//! Why a command did not do what it was asked, and how that is told.

use std::path::Path;

use chancery_client::agent::AgentError;
use chancery_client::error::ClientError;
use serde_json::{Value, json};

use crate::exit::Exit;

/// A command that failed: what is printed as `error: …` and `fix: …`.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    /// Stable, for machines.
    code: String,
    message: String,
    fix: Option<String>,
    /// The problem document, when the authority sent one.
    problem: Option<Box<Value>>,
}

impl Failure {
    /// Input that cannot be read or does not say what it should.
    pub(crate) fn unreadable(message: impl Into<String>) -> Self {
        Self::new(Exit::Unreadable, "unreadable", message)
    }

    /// A check that failed.
    pub(crate) fn refused(code: &str, message: impl Into<String>) -> Self {
        Self::new(Exit::Refused, code, message)
    }

    /// No authority to ask.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Exit::Unreachable, "unreachable", message)
    }

    /// A file that the operating system did not let us read or write.
    pub(crate) fn file(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::unreadable(format!("cannot {doing} {}: {error}", path.display()))
    }

    /// The output could not be written.
    pub(crate) fn output(error: &std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            // Whoever read has read enough (`| head`): that is no failure, and nobody is left to tell.
            return Self::new(Exit::Done, "", "");
        }
        Self::unreadable(format!("cannot write the output: {error}"))
    }

    /// Adds what to do about it.
    pub(crate) fn with_fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }

    fn new(exit: Exit, code: &str, message: impl Into<String>) -> Self {
        Self {
            exit,
            code: code.to_owned(),
            message: message.into(),
            fix: None,
            problem: None,
        }
    }

    /// Whether there is nothing to tell.
    pub(crate) fn is_silent(&self) -> bool {
        self.message.is_empty()
    }

    /// For people: one line on what went wrong, one on what to do.
    pub(crate) fn text(&self) -> String {
        let fix = self.fix.as_ref().map(|fix| format!("\nfix: {fix}"));
        format!("error: {}{}", self.message, fix.unwrap_or_default())
    }

    /// For machines: the authority's own problem document, or one of the same form.
    pub(crate) fn json(&self) -> Value {
        if let Some(problem) = &self.problem {
            return Value::clone(problem);
        }
        let mut json = json!({"code": self.code, "title": self.message});
        if let Some(fix) = &self.fix {
            json["fix"] = fix.as_str().into();
        }
        json
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let fix = error.fix().map(str::to_owned);
        let message = error.to_string();
        let failure = match error {
            ClientError::Refused(problem) => Self {
                problem: serde_json::to_value(&*problem).ok().map(Box::new),
                ..Self::new(Exit::Refused, &problem.code, message)
            },
            ClientError::Unreachable { .. } => Self::unreachable(message),
            ClientError::NotOurs { .. } => Self::new(Exit::Unreachable, "not_ours", message),
            ClientError::Unproven { .. } => Self::new(Exit::Unreachable, "unproven", message),
            ClientError::BadAddress { .. } | ClientError::BadName(_) => Self::unreadable(message),
        };
        Self { fix, ..failure }
    }
}

impl From<AgentError> for Failure {
    fn from(error: AgentError) -> Self {
        let message = error.to_string();
        match error {
            AgentError::Client(error) => error.into(),
            AgentError::Refused { error, .. } => Self::refused(&error, message),
            AgentError::Metadata { .. } => Self::new(Exit::Unreachable, "metadata", message),
        }
    }
}
