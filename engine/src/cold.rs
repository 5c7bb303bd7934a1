//! The object store as the layers above see it: what was asked of it.

pub use coldpost_tiers::cold::{Requests, Usage};
