//! What compaction adds: where the frames of a block are, and which blob has which content.

use super::{Row, VERSION};
use crate::address::{BlobId, FrameRef};
use crate::codec::{Malformed, Reader, Writer};

/// A frame of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRow {
    /// Offset in the block.
    pub offset: u64,
    /// The frame.
    pub frame: FrameRef,
}

impl FrameRow {
    /// `varint offset, varint stored, varint raw, u32 CRC32C`: the same in rows and in ops.
    pub fn write(&self, w: &mut Writer) {
        let FrameRef { stored, raw, crc } = self.frame;
        w.varint(self.offset).varint(stored).varint(raw).u32(crc);
    }

    /// Reads what [`FrameRow::write`] wrote.
    ///
    /// # Errors
    /// [`Malformed`] with the place.
    pub fn take(r: &mut Reader<'_>) -> Result<FrameRow, Malformed> {
        Ok(FrameRow {
            offset: r.varint()?,
            frame: FrameRef {
                stored: r.number()?,
                raw: r.number()?,
                crc: r.u32()?,
            },
        })
    }
}

impl Row for FrameRow {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION);
        self.write(&mut w);
        w.into_bytes()
    }

    fn read(r: &mut Reader<'_>) -> Result<FrameRow, Malformed> {
        FrameRow::take(r)
    }
}

/// The blob that has a content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRow {
    /// Which.
    pub blob: BlobId,
}

impl Row for ContentRow {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION).raw(&self.blob.0);
        w.into_bytes()
    }

    fn read(r: &mut Reader<'_>) -> Result<ContentRow, Malformed> {
        Ok(ContentRow {
            blob: BlobId(r.array()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_frame_and_a_content_are_read_as_they_were_written(offset: u64, frame: (u32, u32, u32), blob: [u8; 16]) {
            let (stored, raw, crc) = frame;
            let row = FrameRow { offset, frame: FrameRef { stored, raw, crc } };
            prop_assert_eq!(FrameRow::decode("frames", &row.encode()).unwrap(), row);
            let row = ContentRow { blob: BlobId(blob) };
            prop_assert_eq!(ContentRow::decode("contents", &row.encode()).unwrap(), row);
        }
    }
}
