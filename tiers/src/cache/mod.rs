//! What is kept near: decoded frames in memory and what was made out of rows, whole objects on local disk, stretches of those that are in the bucket alone.

pub mod disk;
pub mod frames;
pub mod local;
pub mod made;
pub mod previews;
