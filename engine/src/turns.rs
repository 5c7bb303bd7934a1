//! Work of which only one is going on at a time, for all shards together.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use coldpost_tiers::address::ObjectId;
use tokio::sync::OwnedMutexGuard;

use crate::clock;
use crate::ids::ShardNo;
use crate::open::Engine;

/// Objects and when; ids are numbered by shard.
pub(crate) type Aside = HashMap<(ShardNo, ObjectId), Instant>;

/// See the module.
#[derive(Default)]
pub(crate) struct Turns {
    /// Held by who takes a snapshot.
    pub(crate) snapshotting: Turn,
    /// Held by who deletes objects.
    pub(crate) deleting: tokio::sync::Mutex<()>,
    /// Held by the compaction that is going on.
    pub(crate) compacting: Turn,
    /// Held by who takes text out of what comes in.
    pub(crate) following: Turn,
    /// Held by who makes text again or merges its files.
    pub(crate) indexing: Turn,
    /// Objects that compaction does not choose for a while, and since when.
    aside: Mutex<Aside>,
    /// Objects that hold mail which compaction could not move: at most `COMPACT_LEFT_MAX`.
    left: Mutex<HashSet<(ShardNo, ObjectId)>>,
    /// What the compaction that is going on reads: it stays on local disk until that is over.
    sources: Mutex<HashSet<(ShardNo, ObjectId)>>,
    /// Objects that the store did not let go, and how often.
    undeleted: Mutex<HashMap<(ShardNo, ObjectId), u64>>,
}

/// What a run of compaction reads stays where it is for as long as this lives.
pub(crate) struct Pinned(Engine);

impl Pinned {
    /// For who has the turn.
    pub(crate) fn new(engine: &Engine, shard: ShardNo, objects: &[ObjectId]) -> Pinned {
        let sources = objects.iter().map(|object| (shard, *object));
        *engine.inner.turns.sources() = sources.collect();
        Pinned(engine.clone())
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        self.0.inner.turns.sources().clear();
    }
}

impl Turns {
    pub(crate) fn sources(&self) -> MutexGuard<'_, HashSet<(ShardNo, ObjectId)>> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn aside(&self) -> MutexGuard<'_, Aside> {
        self.aside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn left(&self) -> MutexGuard<'_, HashSet<(ShardNo, ObjectId)>> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn undeleted(&self) -> MutexGuard<'_, HashMap<(ShardNo, ObjectId), u64>> {
        self.undeleted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of them, with when it began.
#[derive(Default)]
pub(crate) struct Turn {
    held: Arc<tokio::sync::Mutex<()>>,
    since: AtomicI64,
}

impl Turn {
    /// Waits for it; it is over when what is given goes.
    pub(crate) async fn take(&self) -> OwnedMutexGuard<()> {
        let held = Arc::clone(&self.held).lock_owned().await;
        self.since.store(clock::now_s(), Ordering::Release);
        held
    }

    /// When the one that is going on began, or earlier: seconds since 1970.
    pub(crate) fn ongoing_since(&self) -> Option<i64> {
        let is_free = self.held.try_lock().is_ok();
        (!is_free).then(|| self.since.load(Ordering::Acquire))
    }
}
