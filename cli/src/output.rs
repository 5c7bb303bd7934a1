//! What a command says: to people or as JSON, on standard output.
//!
//! Promises: a reader that went away ends nothing in the middle, and the command goes on silently; any other answer that cannot be
//! written is a failure, as a script would take an empty file for the answer.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::failure::Failure;

/// Where and how a command answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    /// For people, or as JSON.
    pub(crate) fn new(json: bool) -> Output {
        Output { json }
    }

    /// One answer: `value` as JSON on a line, or `text` for people.
    ///
    /// # Errors
    /// When standard output does not take it.
    pub(crate) fn say(self, value: &impl Serialize, text: impl Display) -> Result<(), Failure> {
        let said = match self.json {
            true => line(serde_json::to_string(value).unwrap_or_default()),
            false => line(text),
        };
        said.map_err(|error| Failure::of("standard output cannot be written", &error))
    }

    /// An answer for programs alone.
    ///
    /// # Errors
    /// When standard output does not take it.
    pub(crate) fn say_json(self, value: &impl Serialize) -> Result<(), Failure> {
        match self.json {
            true => self.say(value, ""),
            false => Ok(()),
        }
    }

    /// A word to people; nothing as JSON, where it would be an answer.
    ///
    /// # Errors
    /// When standard output does not take it.
    pub(crate) fn remark(self, text: impl Display) -> Result<(), Failure> {
        if self.json {
            return Ok(());
        }
        line(text).map_err(|error| Failure::of("standard output cannot be written", &error))
    }

    /// A failure that an answer named: as JSON it is said, people have not heard it yet.
    ///
    /// # Errors
    /// The failure, for people.
    pub(crate) fn said_as_json(self, failure: Failure) -> Result<ExitCode, Failure> {
        match self.json {
            true => Ok(ExitCode::from(failure.code())),
            false => Err(failure),
        }
    }

    /// Why it failed: as JSON among the answers, else on standard error.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.json && line(serde_json::json!({ "error": failure.to_string() })).is_ok() {
            return;
        }
        // There is no third place; the exit code says it too.
        let _ = writeln!(io::stderr(), "coldpost: {failure}");
    }
}

fn line(text: impl Display) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    unless_nobody_reads(writeln!(stdout, "{text}").and_then(|()| stdout.flush()))
}

/// Nobody reads any more: there is nobody to tell that either.
pub(crate) fn unless_nobody_reads(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
