//! The one query language: what IMAP SEARCH, the command line and policies ask.

mod ast;
mod eval;

pub use ast::{DateField, Query, SizeBound};
pub use eval::{Candidate, Verdict, decide, evaluate, plan, settle};
