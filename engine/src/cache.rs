//! The disk cache of the object store in this data directory: where it lies, how much disk it leaves free, and what must not stay in it.
//!
//! Promises: mail that nobody has any more, and mail of an account that is being erased, stays in it for a moment at most.

use std::sync::Arc;

use coldpost_tiers::cache::disk::DiskCache;

use crate::error::Result;
use crate::limits::CACHE_FREE_SLACK;
use crate::objects::object_row;
use crate::open::{Engine, Space};
use crate::settings::Settings;

/// Opens it; `None` where there is none. What is left of one that was there goes.
pub(crate) fn open(settings: &Settings) -> Option<Arc<DiskCache>> {
    let dir = settings.data.join("cache");
    let budget = settings.cold.cache;
    if budget == 0 || settings.cold.is_local() {
        DiskCache::clear(&dir);
        return None;
    }
    let asked = settings.clone();
    let has_room = move |bytes: u64| {
        Space::of(&asked).is_none_or(|space| space.free >= least(&space).saturating_add(bytes))
    };
    Some(DiskCache::open(dir, budget, Arc::new(has_room)))
}

/// Bytes of disk that the cache leaves free.
fn least(space: &Space) -> u64 {
    space.wanted.saturating_add(CACHE_FREE_SLACK)
}

/// Lets go of it what the disk is short of, and what must not stay.
///
/// # Errors
/// `Unavailable` after an I/O error.
pub(crate) fn tidy(engine: &Engine) -> Result<()> {
    let Some(cache) = engine.inner.fetcher.disk() else {
        return Ok(());
    };
    if let Some(space) = Space::of(engine.settings()) {
        let short = least(&space).saturating_sub(space.free);
        if short > 0 {
            cache.shrink(short);
        }
    }
    let objects = cache.objects();
    for of_shard in objects.chunk_by(|a, b| a.0 == b.0) {
        let Some((shard, _)) = of_shard.first() else {
            continue;
        };
        let state = match engine.shard(*shard) {
            Ok(shard) => Some(shard.hot.read()?),
            // Of another store that had this directory.
            Err(_) => None,
        };
        for (shard, object) in of_shard {
            let row = match &state {
                Some(state) => object_row(state, *object)?,
                None => None,
            };
            if !row.is_some_and(|row| row.count.is_live() && !row.is_urgent) {
                engine.inner.fetcher.forget(*shard, object);
            }
        }
    }
    Ok(())
}

impl Engine {
    /// Bytes of decoded frames, and of keys beside them, in memory, and how many there may be.
    pub fn frames_budget(&self) -> (u64, u64) {
        let inner = &self.inner;
        let bytes = inner.fetcher.cached_bytes() + inner.made.bytes() + inner.kept_text.0.bytes();
        (bytes, inner.settings.frames_cache)
    }
}
