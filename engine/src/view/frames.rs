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
    /// Those that the address itself names.
    pub(crate) fn in_segment(address: &Address) -> OwnFrames {
        let frames = address.extents.iter().filter_map(|extent| match extent {
            Extent::Frame(frame) => Some(*frame),
            Extent::Slice { .. } | Extent::Blob { .. } => None,
        });
        OwnFrames {
            offset: address.offset,
            frames: frames.collect(),
            first: 0,
        }
    }

    /// Of an address.
    ///
    /// # Errors
    /// `Corrupt`: it names a frame that is not known. `Unavailable` after an I/O error.
    pub(crate) fn of(state: &Snapshot, address: &Address) -> Result<OwnFrames> {
        let mut own = OwnFrames::in_segment(address);
        let slices = || {
            address.extents.iter().filter_map(|extent| match extent {
                Extent::Slice { frame, .. } => Some(*frame),
                Extent::Frame(_) | Extent::Blob { .. } => None,
            })
        };
        let (Some(first), Some(last)) = (slices().min(), slices().max()) else {
            return Ok(own);
        };
        own.first = first;
        for number in first..=last {
            let value = state.get(TableName::Frames, &key::frame(address.object, number))?;
            let unknown = || {
                let text = format!("frame {number} of a block is not known");
                Error::new(Kind::Corrupt, text)
            };
            let row = FrameRow::decode("frames", &value.ok_or_else(unknown)?)?;
            let end = own.offset + own.frames.iter().map(|f| u64::from(f.stored)).sum::<u64>();
            if number == first {
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
