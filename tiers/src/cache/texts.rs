//! Folded texts of header fields in memory, within a budget of bytes: who looks for one word mostly looks for another soon.
//!
//! Promises: a message's row never changes, so what is here is true as long as the message is there. What waits for its place in the
//! budget is a small part of it.

use std::sync::Arc;

use moka::sync::Cache;

use crate::address::{AccountId, MessageId, ShardNo};

/// What an entry costs beyond its texts: key, counters and links of the cache.
const OVERHEAD: usize = 200;
/// What weighs more than this share of the budget gets its place at once: others wait some dozens at a time.
const WAITS_SHARE: usize = 2_048;

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
    budget: usize,
}

fn weight(texts: &[String]) -> usize {
    let bytes = texts
        .iter()
        .map(|text| text.capacity() + size_of::<String>());
    bytes.sum::<usize>().saturating_add(OVERHEAD)
}

impl TextsCache {
    /// At most `budget` bytes.
    pub fn new(budget: usize) -> TextsCache {
        let most = u64::try_from(budget).unwrap_or(u64::MAX);
        let weigh =
            |_: &TextKey, texts: &Arc<[String]>| u32::try_from(weight(texts)).unwrap_or(u32::MAX);
        TextsCache {
            texts: Cache::builder().max_capacity(most).weigher(weigh).build(),
            budget,
        }
    }

    /// The texts of a field; none when it is not there.
    pub fn get(&self, key: &TextKey) -> Option<Arc<[String]>> {
        self.texts.get(key)
    }

    /// Keeps them.
    pub fn keep(&self, key: TextKey, texts: Arc<[String]>) {
        let is_long = weight(&texts) > self.budget / WAITS_SHARE;
        self.texts.insert(key, texts);
        if is_long {
            self.texts.run_pending_tasks();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Epoch, Position};

    /// Keeps 200 times what `text` gives, and gives the bytes that are still held.
    fn held(budget: usize, text: impl Fn() -> String) -> usize {
        let cache = TextsCache::new(budget);
        let kept: Vec<_> = (0..200)
            .map(|position| {
                let texts: Arc<[String]> = [text()].into();
                let key = TextKey {
                    shard: ShardNo(1),
                    account: AccountId(1),
                    message: MessageId {
                        epoch: Epoch(1),
                        position: Position(position),
                        number: 0,
                    },
                    field: 1,
                };
                let weak = Arc::downgrade(&texts);
                cache.keep(key, texts);
                weak
            })
            .collect();
        let held = kept.iter().filter_map(std::sync::Weak::upgrade);
        held.map(|texts| texts[0].capacity()).sum()
    }

    /// The cache's writes wait in a queue of some hundred places: with texts of 100 KB that alone was eight budgets.
    #[test]
    fn the_budget_holds_while_long_texts_come_in() {
        let budget = 1_000_000;
        let bytes = held(budget, || "x".repeat(100_000));
        assert!(bytes <= budget, "{bytes} bytes");
        assert!(bytes > budget / 2, "it keeps what there is room for");
    }

    /// A field that is mostly blanks has a short text in a long buffer once they are one blank.
    #[test]
    fn a_short_text_in_a_long_buffer_weighs_what_the_buffer_takes() {
        let budget = 1_000_000;
        let bytes = held(budget, || String::with_capacity(100_000));
        assert!(bytes <= budget, "{bytes} bytes");
    }
}
