//! What is kept near: decoded frames in memory, segments and blobs on local disk.

pub mod frames;
pub mod local;
pub mod texts;
