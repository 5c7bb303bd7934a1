//! The redb view of a shard: what applying its journal in order gives.
//!
//! Promises: readers see whole applied batches; after a crash it stands at a durable commit, never ahead of the journal (the caller
//! checks and replays). Never: decides anything, reads a clock, knows what a flag means.

#[cfg(feature = "faults")]
mod backend;
mod dense;
pub mod digest;
mod guard;
pub mod key;
mod overlay;
pub mod row;
mod schema;
mod snapshot;
mod store;
mod unwritten;

pub use guard::{OBJECT, Scan};
pub use schema::{SCHEMA, TableName};
pub use snapshot::Snapshot;
pub use store::{Batch, CommitKind, HotTier};
