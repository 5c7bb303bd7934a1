//! Why bytes are no command, as the parsers pass it up.

use winnow::error::{ErrMode, ParserError};

use crate::imap::reply::{Code, Refusal};

/// The result of a parser.
pub(super) type Parsed<O> = Result<O, ErrMode<Wrong>>;

/// What is wrong.
#[derive(Debug)]
pub(super) enum Wrong {
    /// The bytes here are something else; another rule may fit.
    Unfit,
    /// No rule fits: what should stand here.
    Expected(&'static str),
    /// The form is right, the content is not.
    Refused(Box<Refusal>),
}

impl ParserError<&[u8]> for Wrong {
    type Inner = Wrong;

    fn from_input(_input: &&[u8]) -> Wrong {
        Wrong::Unfit
    }

    fn into_inner(self) -> Result<Wrong, Wrong> {
        Ok(self)
    }
}

/// The bytes here are something else.
pub(super) fn unfit() -> ErrMode<Wrong> {
    ErrMode::Backtrack(Wrong::Unfit)
}

/// A BAD with this text, whatever else might fit.
pub(super) fn bad(text: impl Into<String>) -> ErrMode<Wrong> {
    ErrMode::Cut(Wrong::Refused(Box::new(Refusal::bad(text))))
}

/// A NO with this text, whatever else might fit.
pub(super) fn no(code: Code, text: impl Into<String>) -> ErrMode<Wrong> {
    ErrMode::Cut(Wrong::Refused(Box::new(Refusal::no(code, text))))
}

/// `parser`, which nothing else can stand for: where it does not fit, `what` was expected.
pub(super) fn expect<'i, O>(
    what: &'static str,
    mut parser: impl FnMut(&mut &'i [u8]) -> Parsed<O>,
) -> impl FnMut(&mut &'i [u8]) -> Parsed<O> {
    move |input| {
        parser(input).map_err(|error| match error {
            ErrMode::Backtrack(Wrong::Unfit) => ErrMode::Cut(Wrong::Expected(what)),
            other => other,
        })
    }
}
