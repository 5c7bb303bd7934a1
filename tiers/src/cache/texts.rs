//! Folded texts of header fields in memory, within a budget of bytes: who looks for one word mostly looks for another soon.
//!
//! Promises: a message's row never changes, so what is here is true as long as the message is there.

use std::sync::Arc;

use moka::sync::Cache;

use crate::address::{AccountId, MessageId, ShardNo};

/// What an entry costs beyond its texts: key, counters and links of the cache.
const OVERHEAD: usize = 200;

/// A field of a message, by the number that its owner gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TextKey {
    /// Whose shard.
    pub shard: ShardNo,
    /// Whose message.
    pub account: AccountId,
    /// Which message.
    pub message: MessageId,
    /// Which field.
    pub field: u8,
}

/// The cache.
#[derive(Debug)]
pub struct TextsCache {
    texts: Cache<TextKey, Arc<[String]>>,
}

impl TextsCache {
    /// At most `budget` bytes.
    pub fn new(budget: usize) -> TextsCache {
        let budget = u64::try_from(budget).unwrap_or(u64::MAX);
        let weigh = |_: &TextKey, texts: &Arc<[String]>| {
            let bytes: usize = texts
                .iter()
                .map(|text| text.len() + size_of::<String>())
                .sum();
            u32::try_from(bytes.saturating_add(OVERHEAD)).unwrap_or(u32::MAX)
        };
        TextsCache {
            texts: Cache::builder().max_capacity(budget).weigher(weigh).build(),
        }
    }

    /// The texts of a field; none when it is not there.
    pub fn get(&self, key: &TextKey) -> Option<Arc<[String]>> {
        self.texts.get(key)
    }

    /// Keeps them.
    pub fn keep(&self, key: TextKey, texts: Arc<[String]>) {
        self.texts.insert(key, texts);
    }
}
