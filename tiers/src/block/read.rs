//! Reads a block from its file: what groups it has, and what they say of their messages.

use std::path::Path;

use crate::Result;
use crate::address::{AccountId, FrameRef, FrameRow};
use crate::codec::{Malformed, Reader};
use crate::disk::{self, Disk};
use crate::frame;
use crate::limits::{FRAME_RAW_MAX, FRAME_STORED_MAX};
use crate::object::ObjectHeader;
use crate::object_file::Opened;

/// Messages of one account that lie together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Whose.
    pub account: AccountId,
    /// Number of its first frame.
    pub first: u32,
    /// Its frames.
    pub frames: Vec<FrameRow>,
    place_offset: u64,
}

/// A whole block.
#[derive(Debug)]
pub struct BlockReader {
    opened: Opened,
    groups: Vec<Group>,
}

impl BlockReader {
    /// Opens the file and reads its index.
    ///
    /// # Errors
    /// `Corrupt`, `Invalid` for what is no whole block of this version; `NotFound`, `Unavailable`.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<BlockReader> {
        let opened = Opened::open(disk, path)?;
        let mut groups = Vec::new();
        let mut next = 0;
        for payload in &opened.index {
            let mut r = Reader::new(payload);
            while !r.rest().is_empty() {
                let group = read_group(&mut r, next).map_err(|e| opened.malformed(e))?;
                next += u32::try_from(group.frames.len()).unwrap_or(u32::MAX);
                groups.push(group);
            }
        }
        if u64::try_from(groups.len()).ok() != Some(opened.entries) {
            return Err(opened.malformed("it has another number of groups"));
        }
        Ok(BlockReader { opened, groups })
    }

    /// What it says about itself.
    pub fn header(&self) -> &ObjectHeader {
        &self.opened.header
    }

    /// Its groups in order.
    pub fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// What a group says of its messages.
    ///
    /// # Errors
    /// `Corrupt`
    pub fn place(&self, group: &Group) -> Result<Vec<u8>> {
        let (opened, end) = (&self.opened, self.opened.end);
        let mut payload = opened.skippable(group.place_offset, frame::PLACE, end)?;
        Ok(payload.split_off(4))
    }

    /// The raw bytes of a frame.
    ///
    /// # Errors
    /// `Corrupt`; `Unavailable` when the disk refuses.
    pub fn frame(&self, row: &FrameRow) -> Result<Vec<u8>> {
        let name = &self.opened.name;
        let mut stored = vec![0; usize::try_from(row.frame.stored).unwrap_or(0)];
        self.opened
            .file
            .read_at(row.offset, &mut stored)
            .map_err(|e| disk::failed("read", Path::new(name), e))?;
        frame::decompress(&stored, &row.frame, name, row.offset)
    }
}

fn read_group(r: &mut Reader<'_>, first: u32) -> Result<Group, Malformed> {
    let account = AccountId(r.u64()?);
    let (place_offset, place_length) = (r.varint()?, r.varint()?);
    let mut offset = place_offset.saturating_add(place_length);
    let mut frames = Vec::new();
    for _ in 0..r.count()? {
        let at = r.malformed("a frame within its bounds");
        let frame = FrameRef {
            stored: r.number()?,
            raw: r.number()?,
            crc: r.u32()?,
        };
        let fits = |n: u32, max: usize| usize::try_from(n).is_ok_and(|n| n <= max);
        if !fits(frame.stored, FRAME_STORED_MAX) || !fits(frame.raw, FRAME_RAW_MAX) {
            return Err(at);
        }
        frames.push(FrameRow { offset, frame });
        offset = offset.saturating_add(frame.stored.into());
    }
    Ok(Group {
        account,
        first,
        frames,
        place_offset,
    })
}
