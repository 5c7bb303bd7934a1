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
        w.into_bytes()
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
        Ok(holes)
    }
}

impl Row for HolesHead {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u8(VERSION).varint(self.uid_validity).varint(self.count);
        w.into_bytes()
    }

    fn read(r: &mut Reader<'_>) -> Result<HolesHead, Malformed> {
        Ok(HolesHead {
            uid_validity: r.number()?,
            count: r.number()?,
        })
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
        fn foreign_bytes_are_refused_without_a_panic(bytes: Vec<u8>) {
            let _ = Holes::decode("holes", &bytes);
            let _ = HolesHead::decode("holes", &bytes);
        }
    }
}
