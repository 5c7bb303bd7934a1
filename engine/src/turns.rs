//! Work of which only one is going on at a time, for all shards together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use coldpost_tiers::address::ObjectId;

/// See the module.
#[derive(Default)]
pub(crate) struct Turns {
    /// Held by who takes a snapshot.
    pub(crate) snapshotting: Arc<tokio::sync::Mutex<()>>,
    /// Held by who deletes objects.
    pub(crate) deleting: tokio::sync::Mutex<()>,
    /// Held by the compaction that is going on.
    pub(crate) compacting: Arc<tokio::sync::Mutex<()>>,
    /// Objects in which compaction left something, and when.
    pub(crate) uncompacted: Mutex<HashMap<ObjectId, Instant>>,
}
