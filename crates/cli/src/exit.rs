//! Exit codes: part of the interface, so they are few and never change their meaning.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done; a check holds.
    Done,
    /// The authority refused, or a check failed.
    Refused,
    /// Wrong usage, or input that could not be read.
    Unreadable,
    /// No authority answered.
    Unreachable,
}

/// The table that every `--help` ends with.
pub(crate) const TABLE: &str = "Exit codes:
  0  done; a check holds
  1  the authority refused, or a check failed
  2  wrong usage, or input that could not be read
  3  no authority answered";

impl Exit {
    /// The code that the process ends with.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Unreadable => 2,
            Self::Unreachable => 3,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
