//! IMAP4rev1 (RFC 3501): from bytes to commands and back.
//!
//! The way of a command: [`framing`] cuts bytes into commands within the bounds, [`grammar`] makes the tree of [`ast`], [`search_key`]
//! turns the keys of SEARCH into a query of the engine, and what is said in answer is written by [`reply`]. None of these knows a socket.

pub mod ast;
pub mod framing;
pub mod grammar;
pub mod mutf7;
pub mod reply;
pub mod search_key;

mod capability;
mod command;
mod completion;
mod context;
mod fetch_batch;
mod fetch_octets;
mod fetch_plan;
mod input;
mod listing;
mod metrics;
mod out;
mod pattern;
mod results;
mod resync;
mod selected;
mod serve;
mod session;
mod spool;

pub use context::{Context, ImapSettings};
pub use metrics::Metrics;
pub use serve::{serve, serve_tls};
