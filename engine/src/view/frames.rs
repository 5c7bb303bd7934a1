//! The frames of a message in its own object: named by its extents in a segment, by the table `frames` in a block.

use coldpost_tiers::address::{Address, Extent, FrameRef};
use coldpost_tiers::hot::row::{FrameRow, Row};
use coldpost_tiers::hot::{Snapshot, TableName, key};

use crate::error::{Error, Kind, Result};

/// Frames that stand one after the other in an object.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnFrames {
    /// Of the first one.
    pub(crate) offset: u64,
    /// In their order.
    pub(crate) frames: Vec<FrameRef>,
    /// Number of the first one in its block; 0 in a segment.
    first: u32,
}

impl OwnFrames {
    /// Of an address.
    ///
    /// # Errors
    /// `Corrupt`: it names a frame that is not known. `Unavailable` after an I/O error.
    pub(crate) fn of(state: &Snapshot, address: &Address) -> Result<OwnFrames> {
        let mut own = OwnFrames {
            offset: address.offset,
            ..OwnFrames::default()
        };
        let mut slices = Vec::new();
        for extent in &address.extents {
            match extent {
                Extent::Frame(frame) => own.frames.push(*frame),
                Extent::Slice { frame, .. } => slices.push(*frame),
                Extent::Blob { .. } => {}
            }
        }
        let (Some(first), Some(last)) = (slices.iter().min(), slices.iter().max()) else {
            return Ok(own);
        };
        own.first = *first;
        for number in *first..=*last {
            let value = state.get(TableName::Frames, &key::frame(address.object, number))?;
            let unknown = || {
                let text = format!("frame {number} of a block is not known");
                Error::new(Kind::Corrupt, text)
            };
            let row = FrameRow::decode("frames", &value.ok_or_else(unknown)?)?;
            let end = own.offset + own.frames.iter().map(|f| u64::from(f.stored)).sum::<u64>();
            if number == *first {
                own.offset = row.offset;
            } else if row.offset != end {
                return Err(unknown());
            }
            own.frames.push(row.frame);
        }
        Ok(own)
    }

    /// Which of them a slice is of.
    pub(crate) fn index(&self, frame: u32) -> Option<usize> {
        usize::try_from(frame.checked_sub(self.first)?).ok()
    }
}
