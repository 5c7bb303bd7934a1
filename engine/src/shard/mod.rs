//! One shard at work: its journal, its hot tier, and those who wait for what apply decides.
//!
//! The way of a change: `submit` → journal thread (a batch = what is waiting; one fsync) → apply thread (one transaction) → outcome.

mod anew;
mod apply_loop;
mod copies;
mod fetch;
mod group;
mod hot_cell;
mod journal_loop;
mod moment;
mod open;
pub(crate) mod registry;
mod replay;
mod room;
mod schema;
mod submit;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use anew::SnapshotSource;
pub(crate) use fetch::fetch_segments;
pub(crate) use group::{OpenGroup, group_rows};
pub(crate) use hot_cell::HotCell;
pub(crate) use moment::Moment;
pub(crate) use open::{OpenShard, is_foreign, open, open_groups};
pub(crate) use replay::flush as flush_entries;
pub(crate) use schema::older as older_schema;
use std::sync::mpsc;
pub(crate) use submit::{Submission, random_id};

use coldpost_tiers::disk::Disk;
use coldpost_tiers::segment::Lineage;
use tokio::sync::Semaphore;

use crate::error::{Error, Kind, Result};
use crate::ids::{Epoch, Position, ShardNo, StoreId};
use crate::text::TextStore;
use crate::view::{BrokenBodies, SharedChanges};
use crate::words::WordStore;
use registry::Registry;

/// A shard, opened.
pub(crate) struct Shard {
    /// Which.
    pub no: ShardNo,
    /// Whose.
    pub store: StoreId,
    /// The epoch in which we write it.
    pub epoch: Epoch,
    /// `DIR/shards/<n>`.
    pub dir: PathBuf,
    /// The disk that it is on.
    pub(crate) disk: Arc<dyn Disk>,
    /// What readers read.
    pub hot: Arc<HotCell>,
    /// The text of its messages.
    pub(crate) text: Arc<TextStore>,
    /// None where they are not wanted.
    pub(crate) words: Option<Arc<WordStore>>,
    /// Sessions, watchers, \Recent.
    pub registry: Registry,
    /// What sessions need not work out again.
    pub(crate) changes: SharedChanges,
    /// Bodies that broke off while they were sent.
    pub(crate) broken: BrokenBodies,
    /// Last position applied.
    pub(crate) applied: AtomicU64,
    /// Last position durable.
    pub(crate) durable: AtomicU64,
    /// The first position that no sealed segment held when the shard was opened.
    pub(crate) unsealed: Position,
    /// Last position that the hot tier need not be given again after a power cut.
    pub(crate) hot_durable: AtomicU64,
    submit: std::sync::Mutex<Option<mpsc::Sender<Submission>>>,
    /// Groups whose command ended without undoing them.
    pub(crate) left_groups: std::sync::Mutex<Vec<(crate::ids::AccountId, crate::op::GroupId)>>,
    /// Entries that may wait for the journal at a time.
    pub(crate) places: Arc<Semaphore>,
    /// Who waits for the rows as they stand after an entry.
    pub(crate) moments: moment::Moments,
    /// Why no more entries are taken, once that is so.
    pub(crate) down: std::sync::Mutex<Option<String>>,
}

impl Shard {
    /// As what it stands in the store.
    pub(crate) fn lineage(&self) -> Lineage {
        Lineage {
            store: self.store,
            shard: self.no,
            epoch: self.epoch,
        }
    }

    /// The last position applied.
    pub(crate) fn applied(&self) -> Position {
        Position(self.applied.load(Ordering::Acquire))
    }

    /// The last position durable.
    pub(crate) fn durable(&self) -> Position {
        Position(self.durable.load(Ordering::Acquire))
    }

    /// The last position in a durable commit of the hot tier: nothing at or before it is replayed.
    pub(crate) fn hot_durable(&self) -> Position {
        Position(self.hot_durable.load(Ordering::Acquire))
    }

    /// Takes over how far the file of a hot tier that was opened keeps its rows; one that was made anew keeps none. On a full disk, where no
    /// durable commit follows, what counted before goes on counting, else nothing would be evicted and the disk stay full: a power cut
    /// may then need the bucket.
    fn hot_reopened(&self, durable: Position) {
        if self.has_room() || durable > self.hot_durable() {
            self.hot_durable.store(durable.0, Ordering::Release);
        }
    }

    /// Takes no more entries; what is waiting is written.
    pub(crate) fn shut(&self) {
        self.submit
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .take();
    }

    /// Whether [`Shard::shut`] was called.
    pub(crate) fn is_shut(&self) -> bool {
        self.submit
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .is_none()
    }

    /// Why the shard takes no entries; `None` while it does.
    pub(crate) fn down(&self) -> Option<String> {
        self.down
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set_down(&self, why: impl Into<String>) {
        let why = why.into();
        tracing::error!(shard = self.no.0, "{why}");
        *self
            .down
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some(why);
    }

    fn sender(&self) -> Result<mpsc::Sender<Submission>> {
        if let Some(why) = self.down() {
            return Err(Error::new(Kind::Unavailable, why));
        }
        let sender = self
            .submit
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone();
        sender.ok_or_else(|| Error::new(Kind::Closed, "the store is shutting down"))
    }
}

#[cfg(test)]
mod tests;
