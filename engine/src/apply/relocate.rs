//! `relocate`: compaction wrote messages and blobs somewhere else.
//!
//! Promises: a place moves only from where the op says that it stood, to an object that is stored, and never to a blob that died; it moves
//! whole or not at all, and no modseq changes.

use std::collections::BTreeSet;

use coldpost_tiers::Result;
use coldpost_tiers::address::{Address, BlobId, Extent, ObjectId, Recode};
use coldpost_tiers::hot::row::{BlobRow, Counted, FrameRow, ObjectState, Row};
use coldpost_tiers::hot::{TableName, key};

use super::Step;
use crate::mail::base64_text::Shape;
use crate::op::{MovedBlob, MovedMessage, NewBlob, Outcome, Relocate};

impl Step<'_, '_> {
    pub(super) fn relocate(&mut self, op: &Relocate) -> Result<Outcome> {
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
                moved += u64::from(self.move_message(block, message, &new)?);
            }
        }
        for blob in &op.moved_blobs {
            moved += u64::from(self.move_blob(blob)?);
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
        if (place.address.object, place.address.offset) != moved.from
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
        let is_live = matches!(row.count, Counted::Live(n) if n > 0);
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
        let is_live = matches!(row.count, Counted::Live(n) if n > 0);
        if !is_live
            || (row.object, row.offset) != moved.from
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
