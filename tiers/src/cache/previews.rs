//! Beginnings of messages in memory, within a budget of bytes: a listing that is asked again reads no bodies.
//!
//! Promises: a message never changes, so what is here is true as long as it is there.

use std::sync::Arc;

use moka::sync::Cache;

use crate::address::{AccountId, MessageId, ShardNo};

/// What an entry costs beyond its text: key, counters and links of the cache.
const OVERHEAD: usize = 200;

/// A message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PreviewKey {
    /// Whose shard.
    pub shard: ShardNo,
    /// Whose message.
    pub account: AccountId,
    /// Which message.
    pub message: MessageId,
}

/// The cache.
#[derive(Debug)]
pub struct PreviewsCache(Cache<PreviewKey, Arc<str>>);

impl PreviewsCache {
    /// At most `budget` bytes.
    pub fn new(budget: usize) -> PreviewsCache {
        let most = u64::try_from(budget).unwrap_or(u64::MAX);
        let weigh = |_: &PreviewKey, text: &Arc<str>| {
            u32::try_from(text.len().saturating_add(OVERHEAD)).unwrap_or(u32::MAX)
        };
        PreviewsCache(Cache::builder().max_capacity(most).weigher(weigh).build())
    }

    /// The preview of a message; empty where it has no text.
    pub fn get(&self, key: &PreviewKey) -> Option<Arc<str>> {
        self.0.get(key)
    }

    /// Keeps it.
    pub fn keep(&self, key: PreviewKey, text: &str) {
        self.0.insert(key, text.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Epoch, Position};

    #[test]
    fn the_budget_holds() {
        let cache = PreviewsCache::new(100_000);
        let key = |position| PreviewKey {
            shard: ShardNo(1),
            account: AccountId(1),
            message: MessageId {
                epoch: Epoch(1),
                position: Position(position),
                number: 0,
            },
        };
        cache.keep(key(0), "");
        assert_eq!(
            cache.get(&key(0)).as_deref(),
            Some(""),
            "no text is known too"
        );
        for position in 1..1_000 {
            cache.keep(key(position), &"x".repeat(800));
        }
        cache.0.run_pending_tasks();
        let kept = (0..1_000).filter_map(|position| cache.get(&key(position)));
        let bytes = kept.map(|text| text.len() + OVERHEAD).sum::<usize>();
        assert!(bytes <= 100_000 && bytes > 50_000, "{bytes} bytes");
    }
}
