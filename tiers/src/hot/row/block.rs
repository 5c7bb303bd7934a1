//! What compaction adds: where the frames of a block are, and which blob has which content.

use super::{Row, VERSION};
use crate::address::BlobId;
pub use crate::address::FrameRow;
use crate::codec::{Malformed, Reader, Writer};

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
    use crate::address::FrameRef;

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
