//! The UIDs of a mailbox that are not there, so that opening it does not read its runs. Only ever a shortcut: what the runs say counts.

use super::{Row, VERSION};
use crate::codec::{Malformed, Reader, Writer};

/// UIDs of a chunk.
const CHUNK: u32 = 4096;

/// Ranges of UIDs below UIDNEXT without an entry that begin in one chunk of 4,096 UIDs; the last may reach far beyond it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holes {
    /// First and last UID of each, in order; they neither overlap nor touch.
    pub ranges: Vec<(u32, u32)>,
}

/// Whether the holes of a mailbox are all of them: so when UIDVALIDITY is this and `count` UIDs below UIDNEXT have no entry. UIDs do not come
/// back, so the recorded ones are always holes, and as many as there are can only be all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HolesHead {
    /// UIDVALIDITY of the mailbox.
    pub uid_validity: u32,
    /// UIDs in all of its holes.
    pub count: u32,
}

impl Holes {
    /// Most rows that the holes of UIDs below `uid_next` are in.
    pub fn rows_max(uid_next: u32) -> u32 {
        uid_next / CHUNK
    }

    /// The key column of the head: no UID.
    pub const HEAD: u32 = 0;

    /// The key column of the holes that begin where `uid` is.
    pub fn first_uid(uid: u32) -> u32 {
        uid.saturating_sub(1) / CHUNK * CHUNK + 1
    }
}

impl Row for Holes {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION).count(self.ranges.len());
        let mut end = 0;
        for (first, last) in &self.ranges {
            w.varint(first - end).varint(last - first);
            end = *last;
        }
        summed(w)
    }

    fn read(r: &mut Reader<'_>) -> Result<Holes, Malformed> {
        let mut holes = Holes::default();
        let mut end = 0_u32;
        for n in 0..r.count()? {
            let at = r.malformed("ranges in order that do not touch");
            let gap: u32 = r.number()?;
            if gap < if n == 0 { 1 } else { 2 } {
                return Err(at);
            }
            let first = end.checked_add(gap).ok_or(at)?;
            let last = first.checked_add(r.number()?).ok_or(at)?;
            holes.ranges.push((first, last));
            end = last;
        }
        check_sum(r, &holes.encode())?;
        Ok(holes)
    }
}

/// A wrong hole hides a message that is there: what other rows leave to the pages' checksums, these say themselves.
fn summed(w: Writer) -> Vec<u8> {
    let mut bytes = w.into_bytes();
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    bytes
}

/// What was read, `written` again, ends in the sum that follows.
fn check_sum(r: &mut Reader<'_>, written: &[u8]) -> Result<(), Malformed> {
    let at = r.malformed("the checksum of the holes before it");
    for byte in written.iter().skip(written.len().saturating_sub(4)) {
        if r.u8()? != *byte {
            return Err(at);
        }
    }
    Ok(())
}

impl Row for HolesHead {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION).varint(self.uid_validity).varint(self.count);
        summed(w)
    }

    fn read(r: &mut Reader<'_>) -> Result<HolesHead, Malformed> {
        let head = HolesHead {
            uid_validity: r.number()?,
            count: r.number()?,
        };
        check_sum(r, &head.encode())?;
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn holes_are_read_as_they_were_written(gaps in proptest::collection::vec((2u32..9_000, 0u32..9_000), 0..130), head: (u32, u32)) {
            let mut ranges = Vec::new();
            let mut end = 0;
            for (gap, length) in gaps {
                ranges.push((end + gap, end + gap + length));
                end += gap + length;
            }
            let holes = Holes { ranges };
            prop_assert_eq!(Holes::decode("holes", &holes.encode()).unwrap(), holes);
            let head = HolesHead { uid_validity: head.0, count: head.1 };
            prop_assert_eq!(HolesHead::decode("holes", &head.encode()).unwrap(), head);
        }

        #[test]
        fn a_flipped_bit_is_noticed(bit in 0usize..88) {
            let holes = Holes { ranges: vec![(10, 20), (300, 400)] };
            let mut bytes = holes.encode();
            let bit = bit % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(Holes::decode("holes", &bytes).is_err());
        }

        #[test]
        fn foreign_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
            let _ = Holes::decode("holes", &bytes);
            let _ = HolesHead::decode("holes", &bytes);
        }
    }
}
