//! Order, apply, serve: the only crate where tiers and search meet.
//!
//! The module list below is the table of contents: values, then the way of a message in, then what keeps it, then the way out.

pub mod account;
pub mod cold;
pub mod error;
pub mod flags;
pub mod ids;
pub mod limits;
pub mod settings;
pub mod uidset;

mod blocking;
mod cache;
mod clock;
pub mod compaction;
mod deliver;
mod directory;
mod identity;
mod left;
mod local;
mod mailboxes;
mod metrics;
mod objects;
mod open;
pub mod order;
mod present;
pub mod search;
mod shard;
mod start;
pub(crate) mod text;
mod turns;
mod upkeep;
pub(crate) mod words;

pub mod append;
pub mod apply;
pub mod journal;
pub mod mail;
pub mod op;
pub mod pattern;
pub mod query;
pub mod snapshot;
pub mod verify;
pub mod view;
pub mod write;

pub use error::{Error, Kind, Result};
pub use mailboxes::mailbox_name;
pub use open::{Engine, Health};
pub use upkeep::{DeadObject, Deleted, DeletedInPart, IndexChecked, IndexProgress};

pub use coldpost_tiers::gc::Verdict;

#[cfg(test)]
mod tests;
