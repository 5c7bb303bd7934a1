//! Writes a block, a group after the other.

use std::path::Path;

use crate::Result;
use crate::address::{AccountId, FrameRef, FrameRow};
use crate::codec::Writer;
use crate::disk::Disk;
use crate::frame::{self, compress_dense};
use crate::object::ObjectHeader;
use crate::object_file::{Made, ObjectFile, checked_frame};

/// See the module.
#[derive(Debug)]
pub struct BlockWriter {
    object: ObjectFile,
    frames: Vec<FrameRow>,
    groups: Vec<Vec<u8>>,
    open: Option<OpenGroup>,
}

/// A group that is being written: its index entry as far as it is known.
#[derive(Debug)]
struct OpenGroup {
    account: AccountId,
    place: (u64, usize),
    first: usize,
}

/// A block that is whole and durable.
#[derive(Debug)]
pub struct WrittenBlock {
    /// Its bytes and digest.
    pub made: Made,
    /// Its frames by number.
    pub frames: Vec<FrameRow>,
}

impl BlockWriter {
    /// Makes the file.
    ///
    /// # Errors
    /// `Conflict` when there is one, `Unavailable` when the disk refuses.
    pub fn create(disk: &dyn Disk, path: &Path, header: &ObjectHeader) -> Result<BlockWriter> {
        Ok(BlockWriter {
            object: ObjectFile::create(disk, path, header)?,
            frames: Vec::new(),
            groups: Vec::new(),
            open: None,
        })
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.object.len()
    }

    /// The number that the next frame gets.
    pub fn next_frame(&self) -> u32 {
        u32::try_from(self.frames.len()).expect("a block is bounded")
    }

    /// Begins a group of one account; `place` is for whoever reads the block without a hot tier. Its frames follow.
    ///
    /// # Errors
    /// `Limit` for a place frame that nobody would read; of the disk.
    pub fn begin_group(&mut self, account: AccountId, place: &[u8]) -> Result<()> {
        self.end_group();
        let place = checked_frame(frame::PLACE, place)?;
        self.open = Some(OpenGroup {
            account,
            place: (self.object.len(), place.len()),
            first: self.frames.len(),
        });
        self.object.append(&place)
    }

    /// A frame of the group, of at most [`crate::limits::FRAME_RAW_MAX`] bytes.
    ///
    /// # Errors
    /// Of the disk.
    pub fn frame(&mut self, raw: &[u8]) -> Result<()> {
        let (stored, frame) = compress_dense(raw);
        let offset = self.object.len();
        self.frames.push(FrameRow { offset, frame });
        self.object.append(&stored)
    }

    /// Ends the block: file and name are durable when this returns.
    ///
    /// # Errors
    /// Of the disk.
    pub fn finish(mut self, disk: &dyn Disk) -> Result<WrittenBlock> {
        self.end_group();
        Ok(WrittenBlock {
            made: self.object.finish(disk, &self.groups)?,
            frames: self.frames,
        })
    }

    fn end_group(&mut self) {
        let Some(group) = self.open.take() else {
            return;
        };
        let frames = &self.frames[group.first..];
        let mut w = Writer::new();
        w.u64(group.account.0)
            .varint(group.place.0)
            .count(group.place.1)
            .count(frames.len());
        for FrameRow { frame, .. } in frames {
            let FrameRef { stored, raw, crc } = frame;
            w.varint(*stored).varint(*raw).u32(*crc);
        }
        self.groups.push(w.into_bytes());
    }
}
