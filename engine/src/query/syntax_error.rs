//! What is wrong with the text of a query, and where.
//!
//! Promises: the line is shown with a caret below the place, however long the text is and whatever stands in it.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use crate::error::{Error, Kind};

/// Characters shown before the place, and in all.
const BEFORE: usize = 50;
const SHOWN: usize = 100;

/// A text that is no query. `Display` says it in words, then shows the line and the place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    said: Cow<'static, str>,
    kind: Kind,
    place: Range<usize>,
    line: usize,
    column: usize,
    shown: String,
    caret: Range<usize>,
}

/// The same while its text is at hand.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    place: Range<usize>,
    said: Cow<'static, str>,
    kind: Kind,
}

impl Fault {
    pub(super) fn new(place: Range<usize>, said: impl Into<Cow<'static, str>>) -> Fault {
        Fault {
            place,
            said: said.into(),
            kind: Kind::Invalid,
        }
    }

    /// Right, but beyond a bound.
    pub(super) fn limit(place: Range<usize>, said: impl Into<Cow<'static, str>>) -> Fault {
        Fault {
            kind: Kind::Limit,
            ..Fault::new(place, said)
        }
    }
}

impl SyntaxError {
    pub(super) fn in_text(text: &str, fault: Fault) -> SyntaxError {
        let Fault { place, said, kind } = fault;
        let before = text.get(..place.start).unwrap_or(text);
        let from = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = text.get(from..).unwrap_or_default();
        let line = line.split('\n').next().unwrap_or_default();
        let marked = text.get(place.clone()).unwrap_or_default();
        let until_line = marked.split('\n').next().unwrap_or_default();
        let (skipped, wide) = (
            before.get(from..).unwrap_or_default().chars().count(),
            until_line.chars().count(),
        );
        let (shown, caret) = window(line, skipped, wide);
        SyntaxError {
            said,
            kind,
            line: before.matches('\n').count() + 1,
            column: place.start - from + 1,
            place,
            shown,
            caret,
        }
    }

    /// The bytes of the text that are meant; empty where something is missing.
    pub fn place(&self) -> Range<usize> {
        self.place.clone()
    }

    /// The line, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The byte in the line, from 1.
    pub fn column(&self) -> usize {
        self.column
    }

    /// What is wrong, without the place.
    pub fn said(&self) -> &str {
        &self.said
    }
}

/// So much of a line as is shown, and which of its characters are meant. What cannot be seen is shown as a blank, so that the caret stands right.
fn window(line: &str, skipped: usize, wide: usize) -> (String, Range<usize>) {
    let from = skipped.saturating_sub(BEFORE);
    let visible = |c: char| {
        if c.is_control() || c.is_whitespace() {
            ' '
        } else {
            c
        }
    };
    let mut rest = line.chars().skip(from).map(visible);
    let mut shown = String::from(if from > 0 { "…" } else { "" });
    shown.extend(rest.by_ref().take(SHOWN));
    if rest.next().is_some() {
        shown.push('…');
    }
    let start = skipped - from + usize::from(from > 0);
    let shown_until = shown.chars().count().max(start + 1);
    (shown, start..(start + wide.max(1)).min(shown_until))
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 1 {
            write!(f, "line {}, ", self.line)?;
        }
        writeln!(f, "byte {}: {}", self.column, self.said)?;
        match self.shown.trim_end() {
            "" => writeln!(f)?,
            shown => writeln!(f, "  {shown}")?,
        }
        let (before, wide) = (self.caret.start, self.caret.len());
        write!(f, "  {:before$}{:^<wide$}", "", "")
    }
}

impl std::error::Error for SyntaxError {}

/// `Invalid`, or `Limit` beyond a bound; in one line, for those who show no caret.
impl From<SyntaxError> for Error {
    fn from(wrong: SyntaxError) -> Error {
        let said = format!("query, byte {}: {}", wrong.place.start + 1, wrong.said);
        Error::new(wrong.kind, said)
    }
}
