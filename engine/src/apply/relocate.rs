//! `relocate`: compaction wrote messages and blobs somewhere else.
//!
//! Promises: a place moves only from where the op says that it stood, to an object that is stored, and never to a blob that died; it moves
//! whole or not at all, and no modseq changes. What was written and is not referred to is counted as dead in its object.

use std::collections::BTreeSet;

use coldpost_tiers::Result;
use coldpost_tiers::address::{Address, BlobId, Extent, ObjectId, Recode};
use coldpost_tiers::hot::row::{BlobRow, Counted, FrameRow, ObjectState, Row};
use coldpost_tiers::hot::{TableName, key};
#[cfg(any(test, feature = "faults"))]
use coldpost_tiers::planted;

use super::{ERASED, Step};
use crate::limits::RUN_SECONDS_MAX;
use crate::mail::base64_text::Shape;
use crate::objects::erased_of;
use crate::op::{MovedBlob, MovedMessage, NewBlob, Outcome, Relocate};

impl Step<'_, '_> {
    pub(super) fn relocate(&mut self, op: &Relocate) -> Result<Outcome> {
        let objects = written(op);
        if objects.is_empty() {
            if let Some(whole) = op.block {
                self.end_writing(whole)?;
            }
            return Ok(Outcome::Counted(0));
        }
        let mut new = BTreeSet::new();
        for blob in &op.blobs {
            if self.is_open(blob.object)? && self.name_new_blob(blob)? {
                new.insert(blob.record.blob);
            }
        }
        let mut moved = 0;
        if let Some(block) = op.block
            && self.is_open(block)?
        {
            self.note_frames(block, &op.frames)?;
            for message in &op.messages {
                match self.move_message(block, message, &new)? {
                    true => moved += 1,
                    false => self.leave_message(block, message)?,
                }
            }
        }
        for blob in op.blobs.iter().filter(|b| new.contains(&b.record.blob)) {
            if !self.is_live_blob(blob.record.blob)? {
                self.leave(blob.object, blob.record.raw)?;
            }
        }
        for blob in &op.moved_blobs {
            match self.move_blob(blob)? {
                true => moved += 1,
                false => self.leave_blob(blob)?,
            }
        }
        for object in objects {
            self.begin_writing(object)?;
        }
        Ok(Outcome::Counted(moved))
    }

    /// Whether something may begin to refer to an object: it is in the bucket, stays there, and did not die before.
    fn is_open(&self, object: ObjectId) -> Result<bool> {
        let row = self.object(object)?;
        Ok(row.is_some_and(|row| {
            let has_died = matches!(row.count, Counted::DeadSince(_)) && row.times.first_dead != 0;
            row.state == ObjectState::Stored && !has_died
        }))
    }

    /// A message stays where it was: what was written of it in the block is as dead as if it had been there and gone.
    fn leave_message(&mut self, block: ObjectId, message: &MovedMessage) -> Result<()> {
        let slices = message.extents.iter().map(|extent| match extent {
            Extent::Slice { length, .. } => u64::from(*length),
            Extent::Frame(_) | Extent::Blob { .. } => 0,
        });
        self.leave(block, slices.sum())
    }

    fn leave_blob(&mut self, moved: &MovedBlob) -> Result<()> {
        let value = self.batch.get(TableName::Blobs, &key::blob(moved.blob))?;
        let row = value.map(|v| BlobRow::decode("blobs", &v)).transpose()?;
        // It may be where it was to go already.
        if row.as_ref().is_some_and(|row| row.object == moved.to.0) {
            return Ok(());
        }
        self.leave(moved.to.0, row.map_or(0, |row| row.stored_bytes()))
    }

    /// Bytes that an object has and nothing came to refer to. What has such is rewritten in its time, like one that lost them.
    fn leave(&mut self, object: ObjectId, bytes: u64) -> Result<()> {
        let Some(mut row) = self.object(object)? else {
            return Ok(());
        };
        row.dead_bytes += bytes.max(1);
        self.put_object(object, &row)
    }

    /// More may follow, or never come: until the end is told, something in the object counts as dead. What was read before an account was
    /// erased may be mail of that account: it has no more time than the rest of it.
    fn begin_writing(&mut self, object: ObjectId) -> Result<()> {
        match self.object(object)? {
            Some(mut row) if row.count.is_live() && row.times.first_dead == 0 => {
                row.times.first_dead = self.now;
                row.is_urgent |= self.erased_lately()?;
                self.put_object(object, &row)
            }
            _ => Ok(()),
        }
    }

    /// Whether an account was erased since a run began that may be at work now.
    fn erased_lately(&self) -> Result<bool> {
        let erased = erased_of(self.batch.get(TableName::Meta, ERASED)?);
        Ok(erased != 0 && self.now < erased.saturating_add(RUN_SECONDS_MAX))
    }

    /// All that the object has was named.
    fn end_writing(&mut self, object: ObjectId) -> Result<()> {
        match self.object(object)? {
            Some(mut row) if row.count.is_live() && row.dead_bytes == 0 => {
                (row.times.first_dead, row.is_urgent) = (0, false);
                self.put_object(object, &row)
            }
            _ => Ok(()),
        }
    }

    fn is_live_blob(&self, blob: BlobId) -> Result<bool> {
        let value = self.batch.get(TableName::Blobs, &key::blob(blob))?;
        let row = value.map(|v| BlobRow::decode("blobs", &v)).transpose()?;
        Ok(row.is_some_and(|row| row.count.is_live()))
    }

    fn note_frames(&mut self, block: ObjectId, frames: &[(u32, FrameRow)]) -> Result<()> {
        let mut raw = 0;
        for (number, row) in frames {
            let frame_key = key::frame(block, *number);
            if self.batch.get(TableName::Frames, &frame_key)?.is_none() {
                raw += u64::from(row.frame.raw);
                self.batch
                    .put(TableName::Frames, &frame_key, &row.encode())?;
            }
        }
        if let Some(mut row) = self.object(block)?.filter(|_| raw > 0) {
            row.raw_bytes += raw;
            self.put_object(block, &row)?;
        }
        Ok(())
    }

    /// Whether it is new.
    fn name_new_blob(&mut self, new: &NewBlob) -> Result<bool> {
        let blob_key = key::blob(new.record.blob);
        if self.batch.get(TableName::Blobs, &blob_key)?.is_some() {
            return Ok(false);
        }
        let row = BlobRow {
            count: Counted::DeadSince(self.at.position),
            dead_at: self.now,
            object: new.object,
            offset: new.offset,
            record: new.record.clone(),
            scope: Some(new.scope),
        };
        self.batch.put(TableName::Blobs, &blob_key, &row.encode())?;
        Ok(true)
    }

    fn move_message(
        &mut self,
        block: ObjectId,
        moved: &MovedMessage,
        new: &BTreeSet<BlobId>,
    ) -> Result<bool> {
        let Some(mut place) = self.place(moved.account, moved.message)? else {
            return Ok(false);
        };
        let at = (place.address.object, place.address.offset);
        if !still_stands(at, moved.from)
            || moved.from.0 == block
            || !self.is_whole(block, &moved.extents, place.size)?
        {
            return Ok(false);
        }
        for extent in &moved.extents {
            if let Extent::Blob { blob, .. } = extent
                && !self.may_name(*blob, extent, new.contains(blob))?
            {
                return Ok(false);
            }
        }
        let to = Address {
            object: block,
            offset: 0,
            extents: moved.extents.clone(),
        };
        self.count_address(&to, 1)?;
        self.count_address(&place.address, -1)?;
        place.address = to;
        self.put_place(moved.account, moved.message, &place)?;
        Ok(true)
    }

    /// Whether extents are slices of known frames, and blobs, of the message's length together.
    fn is_whole(&self, block: ObjectId, extents: &[Extent], size: u64) -> Result<bool> {
        let mut length = 0_u64;
        for extent in extents {
            length = length.saturating_add(extent.raw_len());
            match extent {
                Extent::Frame(_) => return Ok(false),
                Extent::Blob { .. } => {}
                Extent::Slice {
                    frame,
                    skip,
                    length,
                } => {
                    let row = self
                        .batch
                        .get(TableName::Frames, &key::frame(block, *frame))?;
                    let Some(row) = row else {
                        return Ok(false);
                    };
                    let raw = FrameRow::decode("frames", &row)?.frame.raw;
                    if u64::from(*skip) + u64::from(*length) > u64::from(raw) {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(length == size)
    }

    /// Whether a message may be tied to a blob: it is new in this op or lives, and has what the extent wants of it.
    fn may_name(&self, blob: BlobId, extent: &Extent, is_new: bool) -> Result<bool> {
        let Some(value) = self.batch.get(TableName::Blobs, &key::blob(blob))? else {
            return Ok(false);
        };
        let row = BlobRow::decode("blobs", &value)?;
        let is_live = row.count.is_live();
        let Extent::Blob {
            offset,
            length,
            recode,
            ..
        } = extent
        else {
            return Ok(false);
        };
        let raw = row.record.raw;
        let fits = match recode {
            Recode::Same => offset.checked_add(*length).is_some_and(|end| end <= raw),
            Recode::Base64 { .. } => {
                let shape = Shape::of(*recode, raw);
                *offset == 0 && shape.is_some_and(|shape| shape.len() == *length)
            }
        };
        Ok(fits && (is_new || is_live))
    }

    fn move_blob(&mut self, moved: &MovedBlob) -> Result<bool> {
        let blob_key = key::blob(moved.blob);
        let Some(value) = self.batch.get(TableName::Blobs, &blob_key)? else {
            return Ok(false);
        };
        let mut row = BlobRow::decode("blobs", &value)?;
        let is_live = row.count.is_live();
        if !is_live
            || !still_stands((row.object, row.offset), moved.from)
            || moved.from.0 == moved.to.0
            || !self.is_open(moved.to.0)?
        {
            return Ok(false);
        }
        self.count_object(moved.to.0, 1, 0)?;
        self.count_object(moved.from.0, -1, row.stored_bytes())?;
        (row.object, row.offset) = moved.to;
        self.batch.put(TableName::Blobs, &blob_key, &row.encode())?;
        Ok(true)
    }
}

/// The blocks and packs that an op names something in.
fn written(op: &Relocate) -> BTreeSet<ObjectId> {
    let block = op.block.filter(|_| !op.messages.is_empty());
    let blobs = op.blobs.iter().map(|blob| blob.object);
    let moved = op.moved_blobs.iter().map(|moved| moved.to.0);
    block.into_iter().chain(blobs).chain(moved).collect()
}

/// Whether something is where whoever moved it saw it.
fn still_stands(at: (ObjectId, u64), from: (ObjectId, u64)) -> bool {
    #[cfg(any(test, feature = "faults"))]
    if planted::is_planted(planted::Bug::RelocatesFromAnywhere) {
        return true;
    }
    at == from
}
