//! Decoded frames in memory, within a budget of bytes.
//!
//! Promises: what is here was checked against the checksum that is part of its key, so an address that is wrong finds nothing.

use bytes::Bytes;
use moka::sync::Cache;

use crate::address::{ObjectId, ShardNo};

/// What a frame costs beyond its bytes: key, counters and links of the cache.
const OVERHEAD: u32 = 256;

/// A frame of an object. Objects of two shards may have one id, so the shard belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FrameKey {
    /// Whose object.
    pub(crate) shard: ShardNo,
    /// Which object.
    pub(crate) object: ObjectId,
    /// Offset of the frame in it.
    pub(crate) offset: u64,
    /// CRC32C of its stored bytes.
    pub(crate) crc: u32,
}

/// The cache.
#[derive(Debug)]
pub(crate) struct FramesCache {
    frames: Cache<FrameKey, Bytes>,
    budget: u64,
}

impl FramesCache {
    /// At most `budget` bytes; 0 keeps nothing.
    pub(crate) fn new(budget: u64) -> FramesCache {
        let weigh = |_: &FrameKey, bytes: &Bytes| {
            u32::try_from(bytes.len())
                .unwrap_or(u32::MAX)
                .saturating_add(OVERHEAD)
        };
        FramesCache {
            frames: Cache::builder().max_capacity(budget).weigher(weigh).build(),
            budget,
        }
    }

    /// A frame.
    pub(crate) fn get(&self, key: &FrameKey) -> Option<Bytes> {
        self.frames.get(key)
    }

    /// Keeps frames that were read together; others go for them at once, so that the budget holds now and not later.
    pub(crate) fn keep(&self, frames: impl IntoIterator<Item = (FrameKey, Bytes)>) {
        for (key, bytes) in frames {
            self.frames.insert(key, bytes);
        }
        self.frames.run_pending_tasks();
    }

    /// Keeps frames that may not be asked for again, as far as nothing has to go for them.
    pub(crate) fn keep_in_free_room<'f>(
        &self,
        frames: impl Iterator<Item = (&'f FrameKey, &'f Bytes)>,
    ) {
        let mut room = self.budget.saturating_sub(self.bytes());
        for (key, bytes) in frames {
            let weight = u64::try_from(bytes.len()).unwrap_or(u64::MAX) + u64::from(OVERHEAD);
            let Some(left) = room.checked_sub(weight) else {
                break;
            };
            room = left;
            self.frames.insert(*key, bytes.clone());
        }
        self.frames.run_pending_tasks();
    }

    /// Bytes kept, with overhead.
    pub(crate) fn bytes(&self) -> u64 {
        self.frames.weighted_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Epoch, Position};

    #[test]
    fn what_is_read_ahead_displaces_nothing() {
        let cache = FramesCache::new(100_000);
        let object = ObjectId::segment(Epoch(1), Position(1));
        let frame = |offset| {
            let key = FrameKey {
                shard: ShardNo(1),
                object,
                offset,
                crc: 7,
            };
            (key, Bytes::from(vec![1; 9_000]))
        };
        let kept: Vec<_> = (0..5).map(frame).collect();
        cache.keep(kept.iter().cloned());
        let ahead: Vec<_> = (5..50).map(frame).collect();
        cache.keep_in_free_room(ahead.iter().map(|(key, bytes)| (key, bytes)));
        assert!(kept.iter().all(|(key, _)| cache.get(key).is_some()));
        assert!(cache.get(&ahead[0].0).is_some(), "there was room for it");
        assert!(cache.bytes() <= 100_000);
    }

    #[test]
    fn the_budget_holds_after_every_read() {
        let cache = FramesCache::new(100_000);
        let object = ObjectId::segment(Epoch(1), Position(1));
        for offset in 0..50 {
            let key = FrameKey {
                shard: ShardNo(1),
                object,
                offset,
                crc: 7,
            };
            cache.keep([(key, Bytes::from(vec![1; 9_000]))]);
            assert!(cache.bytes() <= 100_000, "{} bytes", cache.bytes());
        }
        assert!(cache.bytes() > 50_000);
    }
}
