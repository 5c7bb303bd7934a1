//! The footer: the last 88 bytes of a sealed segment say what it holds.

use super::{Mark, size};
use crate::address::Position;
use crate::codec::{Malformed, Reader, Writer};
use crate::frame;

/// Bytes of the footer.
pub(super) const LENGTH: usize = 88;
const PAYLOAD: u32 = 80;
const SIGNATURE: &[u8; 8] = b"COLDEND1";

/// Sums of a sealed segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// First position.
    pub first: Position,
    /// Last position.
    pub last: Position,
    /// Records.
    pub records: u64,
    /// Offset of the first index frame: the end of the records.
    pub index_offset: u64,
    /// Bytes of the records alone.
    pub record_bytes: u64,
    /// Checksum of the last record: where the next segment goes on.
    pub chain: u32,
    /// Time of the last entry, ms since 1970.
    pub time_ms: u64,
}

impl Footer {
    /// Of a segment that began at `first` and ends at `end`, which has at least one record.
    pub(super) fn new(first: Position, end: &Mark) -> Footer {
        Footer {
            first,
            last: Position(end.next.0 - 1),
            records: end.records,
            index_offset: end.offset,
            record_bytes: end.record_bytes,
            chain: end.chain,
            time_ms: end.time_ms,
        }
    }

    /// Its bytes; `seed` is the checksum of whose segment it is.
    pub(super) fn encode(&self, seed: u32) -> Vec<u8> {
        let mut w = Writer::new();
        w.u32(frame::FOOTER)
            .u32(PAYLOAD)
            .raw(SIGNATURE)
            .u64(self.first.0)
            .u64(self.last.0)
            .u64(self.records);
        w.u64(self.index_offset)
            .u64(self.record_bytes)
            .u32(self.chain)
            .u32(0)
            .u64(self.time_ms)
            .raw(&[0; 12]);
        let mut bytes = w.into_bytes();
        bytes.extend_from_slice(&crc32c::crc32c_append(seed, &bytes).to_le_bytes());
        bytes
    }

    /// The footer of a file of `file_length` bytes, or what is wrong with it.
    pub(super) fn decode(
        bytes: &[u8; LENGTH],
        seed: u32,
        file_length: u64,
    ) -> Result<Footer, &'static str> {
        let (checked, crc) = bytes.split_at(LENGTH - 4);
        if crc != crc32c::crc32c_append(seed, checked).to_le_bytes() {
            return Err("does not end with a whole footer (was it sealed?)");
        }
        let footer = Footer::fields(&mut Reader::new(checked))
            .map_err(|_| "has a footer of an unknown version")?;
        let count = footer
            .last
            .0
            .checked_sub(footer.first.0)
            .and_then(|n| n.checked_add(1));
        if count != Some(footer.records)
            || footer.index_offset > file_length.saturating_sub(size(LENGTH))
        {
            return Err("has a footer that contradicts itself");
        }
        Ok(footer)
    }

    fn fields(r: &mut Reader<'_>) -> Result<Footer, Malformed> {
        let unknown = r.malformed("a footer");
        if (r.u32()?, r.u32()?) != (frame::FOOTER, PAYLOAD) || &r.array()? != SIGNATURE {
            return Err(unknown);
        }
        let (first, last, records) = (Position(r.u64()?), Position(r.u64()?), r.u64()?);
        let (index_offset, record_bytes, chain, kept_open) =
            (r.u64()?, r.u64()?, r.u32()?, r.u32()?);
        let (time_ms, zeros) = (r.u64()?, r.array::<12>()?);
        if kept_open != 0 || zeros != [0; 12] {
            return Err(unknown);
        }
        Ok(Footer {
            first,
            last,
            records,
            index_offset,
            record_bytes,
            chain,
            time_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_footer_is_read_as_it_was_written(
            first in 1..u64::MAX / 2, records in 1..u64::MAX / 2, offset in 0_u64..1 << 60, record_bytes: u64, chain: u32, time_ms: u64, bit in 0..LENGTH * 8,
        ) {
            let end = Mark { offset, next: Position(first + records), chain, records, record_bytes, time_ms };
            let footer = Footer::new(Position(first), &end);
            let mut bytes: [u8; LENGTH] = footer.encode(3).try_into().unwrap();
            prop_assert_eq!(Footer::decode(&bytes, 3, offset + size(LENGTH)), Ok(footer));
            prop_assert!(Footer::decode(&bytes, 4, offset + size(LENGTH)).is_err());
            prop_assert!(Footer::decode(&bytes, 3, offset).is_err(), "the index begins within the file");
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Footer::decode(&bytes, 3, offset + size(LENGTH)).is_err());
        }
    }
}
