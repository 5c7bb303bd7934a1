//! The cold tier: one bucket (or directory) of immutable objects that are named by what they are.
//!
//! Promises: nothing that exists is overwritten, but a damaged copy by what it was; an answer that was lost is found out by comparing bytes; every request has a
//! caller, a time limit and an end. Never: knows what is inside an object.

mod backend;
mod breaker;
mod bucket;
pub mod check;
mod directory;
#[cfg(any(test, feature = "faults"))]
pub mod faults;
pub mod key;
mod ledger;
mod link;
mod mirror;
mod patience;
mod place;
pub mod policy;
pub mod put;
mod question;
pub mod request;
mod rules;
pub mod store;
mod stream;
pub mod upload;

pub use check::{Finding, Severity};
pub use key::Key;
pub use ledger::{Requests, Usage};
pub use place::Place;
pub use put::Put;
pub use request::Caller;
pub use store::{ColdSettings, ColdStore, Listed, Meta};
pub(crate) use stream::Pieces;
pub use upload::{Upload, UploadEvent, Uploader};

#[cfg(test)]
mod tests;
