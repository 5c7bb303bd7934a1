//! Decoded frames in memory, and what was made out of decoded rows, within one budget of bytes.
//!
//! Promises: a frame that is here was checked against the checksum that is part of its key, so an address that is wrong finds nothing.

use std::any::Any;
use std::sync::Arc;

use bytes::Bytes;
use moka::sync::Cache;

use crate::address::{AccountId, ObjectId, ShardNo};

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

/// What was made out of the rows of a mailbox. UIDs mean the same messages for as long as its UIDVALIDITY does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct MadeKey {
    /// Whose shard.
    pub shard: ShardNo,
    /// Whose mailbox.
    pub account: AccountId,
    /// Number of the mailbox.
    pub mailbox: u32,
    /// Its UIDVALIDITY.
    pub uid_validity: u32,
    /// What of it, by the number that its maker gives it.
    pub what: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Frame(FrameKey),
    Made(MadeKey),
}

#[derive(Clone, Debug)]
enum Kept {
    Frame(Bytes),
    /// With its bytes.
    Made(Arc<dyn Any + Send + Sync>, usize),
}

impl Kept {
    fn weight(&self) -> u32 {
        let bytes = match self {
            Kept::Frame(bytes) => bytes.len(),
            Kept::Made(_, bytes) => *bytes,
        };
        u32::try_from(bytes)
            .unwrap_or(u32::MAX)
            .saturating_add(OVERHEAD)
    }
}

/// The cache.
#[derive(Debug)]
pub(crate) struct FramesCache {
    kept: Cache<Key, Kept>,
    budget: u64,
}

impl FramesCache {
    /// At most `budget` bytes; 0 keeps nothing.
    pub(crate) fn new(budget: u64) -> FramesCache {
        let weigh = |_: &Key, kept: &Kept| kept.weight();
        FramesCache {
            kept: Cache::builder().max_capacity(budget).weigher(weigh).build(),
            budget,
        }
    }

    /// A frame.
    pub(crate) fn get(&self, key: &FrameKey) -> Option<Bytes> {
        match self.kept.get(&Key::Frame(*key))? {
            Kept::Frame(bytes) => Some(bytes),
            Kept::Made(..) => None,
        }
    }

    /// What was made; none where something else was kept under that key.
    pub(crate) fn made<T: Any + Send + Sync>(&self, key: &MadeKey) -> Option<Arc<T>> {
        match self.kept.get(&Key::Made(*key))? {
            Kept::Made(made, _) => made.downcast().ok(),
            Kept::Frame(_) => None,
        }
    }

    /// Keeps what was made, of so many bytes.
    pub(crate) fn keep_made<T: Any + Send + Sync>(&self, key: MadeKey, made: Arc<T>, bytes: usize) {
        self.kept.insert(Key::Made(key), Kept::Made(made, bytes));
        self.kept.run_pending_tasks();
    }

    /// Keeps frames that were read together; others go for them at once, so that the budget holds now and not later.
    pub(crate) fn keep(&self, frames: impl IntoIterator<Item = (FrameKey, Bytes)>) {
        for (key, bytes) in frames {
            self.kept.insert(Key::Frame(key), Kept::Frame(bytes));
        }
        self.kept.run_pending_tasks();
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
            self.kept
                .insert(Key::Frame(*key), Kept::Frame(bytes.clone()));
        }
        self.kept.run_pending_tasks();
    }

    /// Bytes kept, with overhead.
    pub(crate) fn bytes(&self) -> u64 {
        self.kept.weighted_size()
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
    fn what_was_made_counts_beside_the_frames() {
        let cache = FramesCache::new(10_000);
        let key = |what| MadeKey {
            shard: ShardNo(1),
            account: AccountId(1),
            mailbox: 1,
            uid_validity: 7,
            what,
        };
        cache.keep_made(key(1), Arc::new(vec![1_u32, 2]), 6_000);
        assert_eq!(cache.made(&key(1)), Some(Arc::new(vec![1_u32, 2])));
        assert_eq!(cache.made::<String>(&key(1)), None, "of another kind");
        cache.keep_made(key(2), Arc::new(3_u64), 6_000);
        cache.keep_made(key(3), Arc::new(4_u64), 60_000);
        assert!(cache.bytes() <= 10_000, "{} bytes", cache.bytes());
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
