//! What a command says: to people or as JSON, on standard output.
//!
//! Promises: a reader that went away ends nothing in the middle; the command goes on silently.

use std::fmt::Display;
use std::io::Write;

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
    pub(crate) fn say(self, value: &impl Serialize, text: impl Display) {
        if self.json {
            line(serde_json::to_string(value).unwrap_or_default());
        } else {
            line(text);
        }
    }

    /// Why it failed: as JSON among the answers, else on standard error.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.json {
            line(serde_json::json!({ "error": failure.to_string() }));
        } else {
            let _ = writeln!(std::io::stderr(), "coldpost: {failure}");
        }
    }
}

fn line(text: impl Display) {
    let mut stdout = std::io::stdout().lock();
    // Nobody reads any more: there is nobody to tell that either.
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}
