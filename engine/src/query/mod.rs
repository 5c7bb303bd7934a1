//! The one query language: what IMAP SEARCH, the command line and policies ask.
//!
//! An [`Expression`] is what was written; of a moment and a mailbox it becomes a [`Query`], which [`plan`] puts in order and
//! [`decide`] and [`settle`] evaluate. `docs/search.md` is the page about the text form.

mod ast;
mod expression;
mod key;
mod parse;
mod print;
mod syntax_error;
mod token;
mod value;

mod eval;
mod plan;
mod steps;

pub use ast::{DateField, Query, SizeBound, WordsIn};
pub use eval::{Candidate, Verdict, decide, evaluate, settle};
pub use expression::Expression;
pub use plan::plan;
pub use steps::{Source, Step, Steps};
pub use syntax_error::SyntaxError;

#[cfg(test)]
mod tests;
