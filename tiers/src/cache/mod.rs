//! What is kept near: decoded frames in memory, whole objects on local disk, stretches of those that are in the bucket alone.

pub mod disk;
pub mod frames;
pub mod local;
pub mod texts;
