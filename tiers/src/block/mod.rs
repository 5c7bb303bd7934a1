//! Compacted messages in groups of one account: who and where (skippable), then headers and bodies in dense frames.
//!
//! Promises: a valid zstd file without a dictionary; header and body frames of a group follow one another, so that a message is one range.
//! Never: knows what stands in a place frame, or in a message.

mod read;
mod write;

pub use read::{BlockReader, Group};
pub use write::{BlockWriter, WrittenBlock};

#[cfg(test)]
mod tests;
