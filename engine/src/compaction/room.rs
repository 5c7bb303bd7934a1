//! Room on local disk for a run: what comes here for it and what it writes, beside mail that goes on coming in.
//!
//! Promises: what is brought leaves room for a step and for mail; a step begins only where what it writes takes half of the room at most, and a
//! message for which there is less stays where it is while others go on; a run that the disk is too short for lets go of what it brought. An
//! object that does not fit is read where it is, so that a small disk keeps no mail from being moved.

use std::io;
use std::path::PathBuf;

use coldpost_tiers::address::{ObjectId, ObjectKind};
use coldpost_tiers::hot::row::{ObjectRow, ObjectState};

use super::gather::Item;
use super::place_frame::Entries;
use super::step::{Run, Trouble};
use crate::error::{Error, Result};
use crate::limits::{BLOCK_BYTES, COMPACT_FREE, STEP_BYTES};
use crate::objects::object_row;

impl Run<'_> {
    /// Of chosen objects those that are here, or find room here.
    pub(super) fn those_with_room(&self, objects: Vec<ObjectId>) -> Result<Vec<ObjectId>> {
        let mut comes = Vec::new();
        for object in objects {
            let away = self.away(&object)?;
            comes.push((object, away.map_or(0, |(_, row)| row.bytes)));
        }
        Ok(with_room(&comes, self.engine.room_left()))
    }

    /// The file that an object would have here, where it is in the bucket alone.
    pub(super) fn away(&self, object: &ObjectId) -> Result<Option<(PathBuf, ObjectRow)>> {
        let Some(path) = self.engine.inner.local.sealed_path(self.shard.no, object) else {
            return Ok(None);
        };
        let row = object_row(&self.shard.hot.read()?, *object)?;
        let row = row.filter(|row| row.state == ObjectState::Stored && !path.exists());
        Ok(row.map(|row| (path, row)))
    }

    /// How much the run writes at most, about: mail as it came, without attachments that stand apart already, and blobs of packs as they are stored.
    pub(super) fn will_write(&mut self, objects: &[ObjectId], items: &[Item]) -> Result<()> {
        let state = self.shard.hot.read()?;
        let mut bytes = items.iter().map(|item| item.written).sum::<u64>();
        for object in objects
            .iter()
            .filter(|object| object.kind == ObjectKind::Pack)
        {
            bytes += object_row(&state, *object)?.map_or(0, |row| row.bytes);
        }
        self.run_bytes = bytes;
        Ok(())
    }

    /// Before a message of so many bytes: ends a block that is full, and the step where the message would take more than that may. Between two
    /// messages, as attachments are sent together with the messages that name them.
    ///
    /// # Errors
    /// Of the message: it takes more of the disk than there is for it, beside mail that comes in.
    pub(super) fn make_room(&mut self, size: u64, entries: &Entries<'_>) -> Result<(), Trouble> {
        let written = self.step_bytes();
        if written > 0 && written.saturating_add(size) > self.step_bytes_max {
            self.end_group(entries)?;
            self.finish()?;
        } else if self
            .block
            .as_ref()
            .is_some_and(|(_, block, _)| block.bytes() >= BLOCK_BYTES)
        {
            self.end_group(entries)?;
            self.end_block()?;
        }
        if size > BLOCK_BYTES && self.step_bytes() == 0 {
            self.room_for(size).map_err(Trouble::Message)?;
        }
        Ok(())
    }

    /// Before a file is made: a step that was begun ends while mail is taken; the next one begins where there is room for it and as much again.
    ///
    /// # Errors
    /// `Unavailable`, with a full disk below it.
    pub(super) fn has_room(&mut self) -> Result<()> {
        if self.step_bytes() > 0 {
            return self.engine.room();
        }
        let left = self.room_for(self.run_bytes.min(BLOCK_BYTES))?;
        self.step_bytes_max = (left / 2).clamp(BLOCK_BYTES, STEP_BYTES);
        Ok(())
    }

    /// The room that there is, at least twice as much as these bytes take.
    ///
    /// # Errors
    /// As [`Run::has_room`].
    fn room_for(&mut self, bytes: u64) -> Result<u64> {
        let wanted = bytes.saturating_mul(2);
        if self.engine.room_left() < wanted {
            self.evict_sent();
        }
        let left = self.engine.room_left();
        if left >= wanted {
            return Ok(left);
        }
        let data = self.engine.data().display();
        let text = format!(
            "{data} has room for {} KiB before mail is refused, and compaction writes up to {} KiB at once: it goes on when there is more \
             ([hot] local_bodies says how much mail stays on this disk, [hot] min_free how much of it stays free)",
            left >> 10,
            wanted >> 10
        );
        Err(Error::no_room(text))
    }

    /// What was made is in the bucket, and messages are tied to it: its files may go like every other.
    fn evict_sent(&mut self) {
        for object in std::mem::take(&mut self.sent) {
            self.evict(&object);
        }
    }

    /// What was brought is needless where all of it was moved; where the disk is short, it goes before mail is refused for it.
    pub(super) fn let_go(&mut self) {
        let is_short = self.engine.room_left() < COMPACT_FREE;
        let state = self.shard.hot.read();
        let is_dead = |object: &ObjectId| {
            let row = object_row(state.as_ref().ok()?, *object).ok()?;
            Some(row.is_none_or(|row| !row.count.is_live()))
        };
        for object in std::mem::take(&mut self.brought) {
            if is_short || is_dead(&object) == Some(true) {
                self.evict(&object);
            }
        }
    }

    fn evict(&self, object: &ObjectId) {
        let local = &self.engine.inner.local;
        let Some(path) = local.sealed_path(self.shard.no, object) else {
            return;
        };
        match self.shard.disk.remove(&path) {
            Ok(()) => local.forget(self.shard.no, object),
            // Eviction was here first.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => tracing::warn!("{} is not evicted: {e}", path.display()),
        }
    }
}

/// Of objects, with the bytes that come here for each, those for which there is room beside a step and mail; the first in any case.
fn with_room(objects: &[(ObjectId, u64)], left: u64) -> Vec<ObjectId> {
    let mut room = left.saturating_sub(COMPACT_FREE);
    let mut taken = Vec::new();
    for (object, comes) in objects {
        if *comes <= room {
            room -= comes;
        } else if !taken.is_empty() {
            continue;
        }
        taken.push(*object);
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Epoch;

    const MIB: u64 = 1 << 20;

    fn taken(comes: &[u64], left: u64) -> Vec<u64> {
        let object = |number| ObjectId::numbered(ObjectKind::Block, Epoch(1), number);
        let comes = comes.iter().zip(0..);
        let objects: Vec<_> = comes
            .map(|(bytes, number)| (object(number), *bytes))
            .collect();
        let taken = with_room(&objects, left);
        taken.iter().map(|object| object.numbers().1).collect()
    }

    #[test]
    fn a_run_takes_as_many_objects_as_find_room_beside_a_step_and_one_in_any_case() {
        let comes = [8 * MIB, 8 * MIB, 8 * MIB];
        assert_eq!(taken(&comes, u64::MAX), [0, 1, 2]);
        assert_eq!(taken(&comes, COMPACT_FREE + 17 * MIB), [0, 1]);
        assert_eq!(taken(&comes, COMPACT_FREE), [0]);
        assert_eq!(taken(&comes, 0), [0]);
    }

    #[test]
    fn what_is_here_already_is_taken_however_short_the_disk_is() {
        assert_eq!(taken(&[9 * MIB, 0, 5 * MIB, 0], COMPACT_FREE), [0, 1, 3]);
        assert_eq!(
            taken(&[0, 9 * MIB, 5 * MIB], COMPACT_FREE + 5 * MIB),
            [0, 2]
        );
    }
}
