//! The batch frame: says what was durable when it was written, and depends on no record, so it can be found behind damage.

use super::Mark;
use crate::address::Position;
use crate::codec::{Reader, Writer};
use crate::frame;

/// Bytes of a whole frame.
pub(super) const LENGTH: usize = 56;
const PAYLOAD: u32 = 48;
const IDLE: u8 = 1;

/// What the frame states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Batch {
    /// Own offset in the file.
    pub(super) offset: u64,
    /// Everything before it in this file was synced when this was written.
    pub(super) durable: u64,
    /// Position of the first record behind it.
    pub(super) next: Position,
    /// Checksum of the last record before it.
    pub(super) chain: u32,
    /// When it was written, ms since 1970.
    pub(super) time_ms: u64,
    /// Whether it only marks that nothing came any more.
    pub(super) idle: bool,
}

impl Batch {
    /// The frame at the end of what was written.
    pub(super) fn at(written: &Mark, durable: &Mark, time_ms: u64, idle: bool) -> Batch {
        let Mark {
            offset,
            next,
            chain,
            ..
        } = *written;
        Batch {
            offset,
            durable: durable.offset,
            next,
            chain,
            time_ms,
            idle,
        }
    }

    /// Its bytes; `seed` is the checksum of whose journal it is.
    pub(super) fn encode(&self, seed: u32) -> Vec<u8> {
        let mut w = Writer::new();
        w.u32(frame::BATCH)
            .u32(PAYLOAD)
            .u64(self.offset)
            .u64(self.durable)
            .u64(self.next.0)
            .u32(self.chain);
        w.u64(self.time_ms)
            .u8(if self.idle { IDLE } else { 0 })
            .raw(&[0; 7]);
        let mut bytes = w.into_bytes();
        bytes.extend_from_slice(&crc32c::crc32c_append(seed, &bytes).to_le_bytes());
        bytes
    }

    /// A whole frame of this journal that stands where it says, or what is wrong with it.
    pub(super) fn decode(bytes: &[u8], seed: u32, offset: u64) -> Result<Batch, &'static str> {
        let short = "a batch frame is cut off";
        let (checked, crc) = bytes.get(..LENGTH).ok_or(short)?.split_at(LENGTH - 4);
        if crc != crc32c::crc32c_append(seed, checked).to_le_bytes() {
            return Err("a batch frame has a wrong checksum");
        }
        let mut r = Reader::new(checked);
        let batch = Batch::fields(&mut r).map_err(|_| "a batch frame is not of this version")?;
        if batch.offset != offset || batch.durable > offset {
            return Err("a batch frame was written for another place");
        }
        Ok(batch)
    }

    fn fields(r: &mut Reader<'_>) -> Result<Batch, crate::codec::Malformed> {
        let unknown = r.malformed("a batch frame");
        let head = (r.u32()?, r.u32()?);
        let (offset, durable, next, chain) = (r.u64()?, r.u64()?, Position(r.u64()?), r.u32()?);
        let (time_ms, flags, zeros) = (r.u64()?, r.u8()?, r.array::<7>()?);
        if head != (frame::BATCH, PAYLOAD) || flags > IDLE || zeros != [0; 7] {
            return Err(unknown);
        }
        Ok(Batch {
            offset,
            durable,
            next,
            chain,
            time_ms,
            idle: flags == IDLE,
        })
    }
}

/// Offset in `bytes` of the first place from `from` on that may begin a batch frame.
pub(super) fn candidate(bytes: &[u8], from: usize) -> Option<usize> {
    let mut pattern = [0; 8];
    pattern[..4].copy_from_slice(&frame::BATCH.to_le_bytes());
    pattern[4..].copy_from_slice(&PAYLOAD.to_le_bytes());
    bytes
        .get(from..)?
        .windows(pattern.len())
        .position(|w| w == pattern)
        .map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_batch_frame_is_read_as_it_was_written_and_nowhere_else(
            seed: u32, offset in 1_u64.., back in 0_u64..1000, next: u64, chain: u32, time_ms: u64, idle: bool, bit in 0..LENGTH * 8,
        ) {
            let durable = offset.saturating_sub(back);
            let batch = Batch { offset, durable, next: Position(next), chain, time_ms, idle };
            let mut bytes = batch.encode(seed);
            prop_assert_eq!(bytes.len(), LENGTH);
            prop_assert_eq!(Batch::decode(&bytes, seed, offset), Ok(batch));
            prop_assert!(Batch::decode(&bytes, seed, offset - 1).is_err());
            prop_assert!(Batch::decode(&bytes, seed ^ 1, offset).is_err());
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Batch::decode(&bytes, seed, offset).is_err());
        }

        #[test]
        fn a_batch_frame_is_found_wherever_it_stands(before in proptest::collection::vec(any::<u8>(), 0..100), seed: u32) {
            let batch = Batch { offset: 9, durable: 3, next: Position(1), chain: 4, time_ms: 5, idle: false };
            let bytes = [before.clone(), batch.encode(seed)].concat();
            prop_assert_eq!(candidate(&bytes, 0), Some(before.len()));
            prop_assert_eq!(candidate(&bytes, before.len() + 1), None);
        }
    }
}
