//! A hot tier as objects: the rows of every table in key order, cut into ranges, and a manifest that names them (`docs/format.md`, Snapshots).
//!
//! Promises: what is loaded has exactly the rows that were packed (one of a message perhaps compressed otherwise), or is refused; neither holds more than one range in memory.
//! Never: talks to the bucket, knows what a row means. A crash leaves: files that the next start removes.

mod load;
mod manifest;
mod pack;
mod range;
mod stream;

pub use load::{Loader, read_range};
pub use manifest::{Form, Manifest, Moment, RangeRef, TableRows};
pub use pack::pack;

#[cfg(test)]
mod tests;
