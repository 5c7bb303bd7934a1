//! What was made out of rows and files, in memory, within a budget of bytes.
//!
//! Never: decides what a value means; its maker names it.

use std::any::Any;
use std::hash::Hash;
use std::sync::Arc;

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use crate::address::{AccountId, ShardNo};

/// What a value costs beyond its bytes: key, counters and links of the cache.
const OVERHEAD: u32 = 256;

/// Of which mailbox, and what of it. UIDs mean the same messages for as long as its UIDVALIDITY does.
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

/// Of a file of text, an unpacked frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TextFrameKey {
    /// Which file: ids are random, and no file changes.
    pub file: [u8; 16],
    /// Where in it.
    pub offset: u64,
}

/// A value and its bytes.
#[derive(Clone, Debug)]
struct Made(Arc<dyn Any + Send + Sync>, usize);

/// The cache.
#[derive(Debug)]
pub struct MadeCache<K: Eq + Hash + Send + Sync + 'static> {
    made: Cache<K, Made>,
}

impl MadeCache<MadeKey> {
    /// At most `budget` bytes; 0 keeps nothing. What was asked for longest ago goes first: one value stands for thousands of messages, it must not wait
    /// until it was asked for as often as what it displaces.
    pub fn of_mailboxes(budget: u64) -> MadeCache<MadeKey> {
        MadeCache::new(budget, EvictionPolicy::lru())
    }
}

impl MadeCache<TextFrameKey> {
    /// At most `budget` bytes; 0 keeps nothing. What a search looks through once displaces nothing that is looked through often.
    pub fn of_text(budget: u64) -> MadeCache<TextFrameKey> {
        MadeCache::new(budget, EvictionPolicy::tiny_lfu())
    }
}

impl<K: Eq + Hash + Send + Sync + 'static> MadeCache<K> {
    fn new(budget: u64, policy: EvictionPolicy) -> MadeCache<K> {
        let weigh = |_: &K, made: &Made| {
            u32::try_from(made.1)
                .unwrap_or(u32::MAX)
                .saturating_add(OVERHEAD)
        };
        let cache = Cache::builder().max_capacity(budget).weigher(weigh);
        MadeCache {
            made: cache.eviction_policy(policy).build(),
        }
    }

    /// What is kept; none where something of another kind is.
    pub fn get<T: Any + Send + Sync>(&self, key: &K) -> Option<Arc<T>> {
        self.made.get(key)?.0.downcast().ok()
    }

    /// Keeps a value of so many bytes; others go for it at once.
    pub fn keep<T: Any + Send + Sync>(&self, key: K, made: Arc<T>, bytes: usize) {
        self.made.insert(key, Made(made, bytes));
        self.made.run_pending_tasks();
    }

    /// Bytes kept, with overhead.
    pub fn bytes(&self) -> u64 {
        self.made.weighted_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_longest_ago_goes_within_the_budget() {
        let cache = MadeCache::of_mailboxes(10_000);
        let key = |what| MadeKey {
            shard: ShardNo(1),
            account: AccountId(1),
            mailbox: 1,
            uid_validity: 7,
            what,
        };
        cache.keep(key(1), Arc::new(vec![1_u32, 2]), 4_000);
        assert_eq!(cache.get(&key(1)), Some(Arc::new(vec![1_u32, 2])));
        assert_eq!(cache.get::<String>(&key(1)), None, "of another kind");
        cache.keep(key(2), Arc::new(3_u64), 4_000);
        cache.keep(key(3), Arc::new(4_u64), 4_000);
        assert_eq!(
            cache.get(&key(3)),
            Some(Arc::new(4_u64)),
            "the newest stays"
        );
        assert_eq!(cache.get::<Vec<u32>>(&key(1)), None);
        cache.keep(key(4), Arc::new(5_u64), 60_000);
        assert!(cache.bytes() <= 10_000, "{} bytes", cache.bytes());
    }

    #[test]
    fn what_is_looked_through_once_displaces_nothing_that_is_often() {
        let cache = MadeCache::of_text(20_000);
        let key = |offset| TextFrameKey {
            file: [7; 16],
            offset,
        };
        for _ in 0..10 {
            for often in 0..4 {
                if cache.get::<u64>(&key(often)).is_none() {
                    cache.keep(key(often), Arc::new(often), 4_000);
                }
            }
        }
        for once in 100..400 {
            assert!(cache.get::<u64>(&key(once)).is_none());
            cache.keep(key(once), Arc::new(once), 4_000);
        }
        let there = (0..4).filter(|often| cache.get::<u64>(&key(*often)).is_some());
        assert_eq!(there.count(), 4);
        assert!(cache.bytes() <= 20_000, "{} bytes", cache.bytes());
    }
}
