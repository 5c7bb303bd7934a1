//! What waits for its upload, and what goes next.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use coldpost_tiers::address::ObjectId;
use tokio::time::Instant;

use crate::ids::ShardNo;
use crate::limits::UPLOAD_ASIDE_SECONDS;
use crate::upkeep::tick;

/// Attempts at one upload before others have their turn, each with the requests that it takes; twice as many where the store answers nothing.
const ATTEMPTS: u32 = 2;
/// For how long an object that has trouble of its own is left alone.
pub(super) const ASIDE: Duration = Duration::from_secs(UPLOAD_ASIDE_SECONDS);
/// How often the time doubles for which an object is left alone: up to a quarter of an hour.
const ASIDE_DOUBLED_MAX: u32 = 4;

/// In which order: blobs that a segment may name go before it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Item {
    /// Blobs wait for nobody (false sorts first).
    pub(super) is_segment: bool,
    pub(super) object: ObjectId,
    pub(super) path: PathBuf,
}

/// What waits for its upload.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) waiting: BTreeMap<ShardNo, Vec<Item>>,
    /// Shards of which nobody has looked yet what was there before: nothing of them goes, as a blob of theirs may be missing here.
    pub(super) unlisted: BTreeSet<ShardNo>,
    /// What had trouble of its own, and until when it is left alone: objects, or all of a shard.
    pub(super) aside: BTreeMap<(ShardNo, Option<ObjectId>), Instant>,
    /// How often an object was put aside.
    often: BTreeMap<(ShardNo, ObjectId), u32>,
}

impl Queue {
    /// Of these shards; what was there before is to be listed.
    pub(super) fn of(shards: impl Iterator<Item = ShardNo> + Clone) -> Queue {
        Queue {
            waiting: shards.clone().map(|no| (no, Vec::new())).collect(),
            unlisted: shards.collect(),
            ..Queue::default()
        }
    }

    pub(super) fn len(&self) -> u64 {
        let count: usize = self.waiting.values().map(Vec::len).sum();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// What goes next: no segment of a shard before a blob of it.
    pub(super) fn next(&self) -> Option<(ShardNo, Item)> {
        let is_aside = |shard, object| self.aside.contains_key(&(shard, object));
        self.waiting.iter().find_map(|(shard, items)| {
            if is_aside(*shard, None) || self.unlisted.contains(shard) {
                return None;
            }
            let is_left = |item: &&Item| !is_aside(*shard, Some(item.object));
            let a_blob_is_left_out = items.iter().any(|i| !i.is_segment && !is_left(&i));
            let may_go = |item: &&Item| is_left(item) && !(item.is_segment && a_blob_is_left_out);
            items
                .iter()
                .filter(may_go)
                .min()
                .map(|item| (*shard, item.clone()))
        })
    }

    pub(super) fn set_aside(&mut self, shard: ShardNo, object: Option<ObjectId>) {
        self.set_aside_for(shard, object, ASIDE);
    }

    /// All of a shard, for the time after which a store that did not answer is asked again, and for as long as it `took` from the others.
    pub(super) fn let_others_go(&mut self, shard: ShardNo, took: Duration) {
        self.set_aside_for(shard, None, took.max(tick() * 10));
    }

    /// How often it is tried in a row: once only where that did not help before.
    pub(super) fn attempts(&self, shard: ShardNo, object: ObjectId) -> u32 {
        if self.often.contains_key(&(shard, object)) {
            1
        } else {
            ATTEMPTS
        }
    }

    /// For twice as long each time: one that the store lets hang costs the others the time until that is seen.
    pub(super) fn set_aside_for_longer(&mut self, shard: ShardNo, object: ObjectId) {
        let often = self.often.entry((shard, object)).or_default();
        let times = 1_u32 << (*often).min(ASIDE_DOUBLED_MAX);
        *often += 1;
        self.set_aside_for(shard, Some(object), times * ASIDE);
    }

    fn set_aside_for(&mut self, shard: ShardNo, object: Option<ObjectId>, time: Duration) {
        let until = Instant::now() + time;
        self.aside.insert((shard, object), until);
    }

    /// When to look again at the latest: what is left alone for long has a turn when nothing else waits.
    pub(super) fn look_again(&self) -> Instant {
        let soon = Instant::now() + ASIDE;
        let earliest = self.aside.values().min().copied();
        earliest.map_or(soon, |until| until.min(soon))
    }

    pub(super) fn end_earliest(&mut self) {
        let earliest = self.aside.iter().min_by_key(|(_, until)| **until);
        if let Some(key) = earliest.map(|(key, _)| *key) {
            self.aside.remove(&key);
        }
    }

    /// It was uploaded, or never will be.
    pub(super) fn forget(&mut self, shard: ShardNo, item: &Item) {
        if self.often.remove(&(shard, item.object)).is_some() {
            // What kept this one may have kept the others.
            self.aside.retain(|(_, object), _| object.is_none());
        }
        if let Some(items) = self.waiting.get_mut(&shard) {
            items.retain(|i| i.object != item.object);
        }
    }

    /// Takes what was heard of or listed, once; nothing of a shard whose uploads stopped.
    pub(super) fn add(&mut self, shard: ShardNo, items: Vec<Item>) {
        if let Some(known) = self.waiting.get_mut(&shard) {
            for item in items {
                if !known.contains(&item) {
                    known.push(item);
                }
            }
        }
    }
}
