//! Where bytes live: addresses, rows, objects. Never heard of IMAP, LMTP or ops.

pub mod address;
pub mod blob;
pub mod block;
pub mod cache;
pub mod codec;
pub mod cold;
pub mod compaction;
pub mod disk;
pub mod error;
pub mod extent;
pub mod fetch;
pub mod frame;
pub mod gc;
pub mod hot;
pub mod limits;
pub mod metrics;
pub mod object;
mod object_file;
#[cfg(any(test, feature = "faults"))]
pub mod planted;
pub mod pool;
pub mod segment;
pub mod snapshot;

pub use error::{Error, Kind, Result};
