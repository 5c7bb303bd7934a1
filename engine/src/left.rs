//! What compaction could not move, and what that does to the dates of deletion.
//!
//! Promises: mail that was moved since, or deleted, is not counted; what no run has come to is not either; what stays is counted until then.
//! A restart forgets it, until the next run that comes to it.

use coldpost_tiers::address::ObjectId;

use crate::ids::ShardNo;
use crate::limits::COMPACT_LEFT_MAX;
use crate::objects::object_row;
use crate::open::Engine;

impl Engine {
    /// Why mail that was deleted or erased may stay past its date, and what to do; nothing where there is no reason.
    pub fn left_behind(&self) -> Option<String> {
        why(self.objects_left())
    }

    /// Objects in which the last run that took them left mail, and that are there for it still: it may have been moved or deleted since.
    pub(crate) fn objects_left(&self) -> usize {
        let left: Vec<_> = self.inner.turns.left().iter().copied().collect();
        let is_there = |shard, object| {
            let state = self.shard(shard).ok()?.hot.read().ok()?;
            let row = object_row(&state, object).ok()?;
            Some(row.is_some_and(|row| row.count.is_live()))
        };
        // Of a hot tier that cannot be read nobody knows that all is well. Dead is final.
        let gone = left
            .into_iter()
            .filter(|(shard, object)| !is_there(*shard, *object).unwrap_or(true));
        let gone: Vec<_> = gone.collect();
        let mut left = self.inner.turns.left();
        for object in gone {
            left.remove(&object);
        }
        left.len()
    }

    /// What a run that took objects could not move stands in these.
    pub(crate) fn note_left(&self, shard: ShardNo, objects: impl Iterator<Item = ObjectId>) {
        let mut objects = objects.peekable();
        if objects.peek().is_none() {
            return;
        }
        let mut room = COMPACT_LEFT_MAX.saturating_sub(self.objects_left());
        let mut left = self.inner.turns.left();
        for object in objects {
            if room > 0 && left.insert((shard, object)) {
                room -= 1;
            }
        }
    }

    /// A run came to all that stands in these, and left nothing.
    pub(crate) fn note_moved(&self, shard: ShardNo, objects: impl Iterator<Item = ObjectId>) {
        let mut left = self.inner.turns.left();
        for object in objects {
            left.remove(&(shard, object));
        }
    }
}

/// [`Engine::left_behind`], of so many objects.
pub(crate) fn why(objects: usize) -> Option<String> {
    (objects > 0).then(|| {
        format!(
            "compaction could not move all mail out of objects: {objects} of them stay, and what was deleted or erased beside that mail \
             stays in them past the stated date, until it can be moved (the log says which mail it is and why it stays). coldpost verify \
             says what of it cannot be read, coldpost verify --bucket --repair mends it from a mirror or from local files, and coldpost \
             compact moves it then"
        )
    })
}

#[cfg(test)]
mod tests;
