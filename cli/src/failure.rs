//! Why a command did not succeed, and the exit code that says so.

use std::fmt;

use coldpost_server::http::wire::in_full;

/// A command that failed. The text says what happened and what to do.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was typed or configured is wrong: exit code 2.
    Usage(String),
    /// It was right, but did not work: exit code 1.
    Failed(String),
}

impl Failure {
    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Failure::Failed(_) => 1,
            Failure::Usage(_) => 2,
        }
    }

    /// An error with its causes, and what was being done.
    pub(crate) fn of(doing: impl fmt::Display, error: &dyn std::error::Error) -> Failure {
        Failure::Failed(format!("{doing}: {}", in_full(error)))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(text) | Failure::Failed(text) => f.write_str(text),
        }
    }
}

impl From<coldpost_engine::Error> for Failure {
    fn from(error: coldpost_engine::Error) -> Failure {
        Failure::Failed(in_full(&error))
    }
}
