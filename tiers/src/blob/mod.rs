//! Large parts, stored once: an object of its own, with its raw bytes in zstd frames of 256 KiB.
//!
//! Promises: the file and its name are durable before the record is handed out; writing takes the memory of one frame, reading that
//! of the range asked for.
//! A crash leaves: a file that no row names; it is deleted at start.

mod pack;
mod range;
mod write;

pub use pack::{PackWriter, Packed, read_pack};
pub use range::{FrameRange, frames_for, read_range, unpack, verify_blob};
pub use write::{blob_path, write_blob};

#[cfg(test)]
mod tests;
