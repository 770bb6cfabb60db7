//! Where answers, remarks and failures go.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;

use crate::failure::Failure;

/// The two streams, and in which form they are wanted.
pub(crate) struct Output {
    pub(crate) json: bool,
    pub(crate) terminal: bool,
    /// Whether somebody watches the standard error.
    pub(crate) watched: bool,
    out: Mutex<Box<dyn Write + Send>>,
    err: Mutex<Box<dyn Write + Send>>,
}

impl Output {
    /// The streams of the process, coloured when they are terminals.
    pub(crate) fn standard(json: bool, terminal: bool, watched: bool) -> Self {
        Self {
            json,
            terminal,
            watched,
            out: Mutex::new(Box::new(anstream::AutoStream::auto(io::stdout()))),
            err: Mutex::new(Box::new(anstream::AutoStream::auto(io::stderr()))),
        }
    }

    /// Streams that a test reads.
    #[cfg(test)]
    pub(crate) fn captured(
        json: bool,
        out: Box<dyn Write + Send>,
        err: Box<dyn Write + Send>,
    ) -> Self {
        Self {
            json,
            terminal: false,
            watched: false,
            out: Mutex::new(out),
            err: Mutex::new(err),
        }
    }

    /// Prints the answer: as JSON when that was asked for, else as `human` says.
    pub(crate) fn show<T: Serialize + ?Sized>(
        &self,
        answer: &T,
        human: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if self.json {
            return self.line(&self.json_text(answer)?);
        }
        self.line(&human())
    }

    /// Prints one line, or several.
    pub(crate) fn line(&self, text: &str) -> Result<(), Failure> {
        let mut out = lock(&self.out);
        let text = text.strip_suffix('\n').unwrap_or(text);
        writeln!(out, "{text}")
            .and_then(|()| out.flush())
            .map_err(|error| Failure::output(&error))
    }

    /// Prints bytes as they are.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = lock(&self.out);
        out.write_all(bytes)
            .and_then(|()| out.flush())
            .map_err(|error| Failure::output(&error))
    }

    /// Says something beside the answer; silent when the output is for machines.
    pub(crate) fn remark(&self, text: &str) {
        if !self.json {
            self.tell(text);
        }
    }

    /// Says on the standard error what somebody has to do before there is an answer: a sentence, or one line of JSON.
    pub(crate) fn wants(&self, text: &str, told: &serde_json::Value) {
        if self.json {
            self.tell(&told.to_string());
        } else {
            self.tell(text);
        }
    }

    /// Rewrites one line about how far long work has come; only a terminal sees it.
    pub(crate) fn progress(&self, text: &str) {
        if self.watched && !self.json {
            let mut err = lock(&self.err);
            // Nothing depends on whether this line was seen.
            let _ = write!(err, "\r\u{1b}[2K{text}").and_then(|()| err.flush());
        }
    }

    /// Tells why the command failed.
    pub(crate) fn fail(&self, failure: &Failure) {
        if failure.is_silent() {
            return;
        }
        if self.json {
            self.tell(&failure.json().to_string());
        } else {
            self.tell(&failure.text());
        }
    }

    fn tell(&self, text: &str) {
        let mut err = lock(&self.err);
        // When the standard error is gone, nobody is left to tell.
        let _ = writeln!(err, "{text}").and_then(|()| err.flush());
    }

    /// One line in a pipe, indented on a terminal.
    fn json_text<T: Serialize + ?Sized>(&self, answer: &T) -> Result<String, Failure> {
        let text = if self.terminal {
            serde_json::to_string_pretty(answer)
        } else {
            serde_json::to_string(answer)
        };
        text.map_err(|error| Failure::unreadable(format!("the answer is not JSON: {error}")))
    }
}

fn lock(stream: &Mutex<Box<dyn Write + Send>>) -> MutexGuard<'_, Box<dyn Write + Send>> {
    stream.lock().unwrap_or_else(PoisonError::into_inner)
}
