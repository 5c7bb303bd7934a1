//! The name of a file of the disk cache: which bytes of which object it has. Nothing else is known of it.

use std::ops::Range;

use crate::address::{ObjectId, ObjectKind, ShardNo};

/// For whom it was read, which decides what it may displace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    /// For one who wanted these messages.
    Wanted,
    /// For one who goes through everything.
    Passing,
}

/// Stored bytes of one object from `offset` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StretchFile {
    pub(crate) shard: ShardNo,
    pub(crate) object: ObjectId,
    pub(crate) class: Class,
    pub(crate) offset: u64,
    pub(crate) length: u32,
}

/// What a file takes of the disk at least, and in whole multiples.
const DISK_BLOCK: u64 = 4096;

impl StretchFile {
    /// From which byte to which.
    pub(crate) fn span(&self) -> Range<u64> {
        self.offset..self.offset.saturating_add(u64::from(self.length))
    }

    /// Bytes of disk.
    pub(crate) fn weight(&self) -> u64 {
        weight(u64::from(self.length))
    }

    /// The name of its file.
    pub(crate) fn name(&self) -> String {
        let class = match self.class {
            Class::Wanted => 'w',
            Class::Passing => 'p',
        };
        let (kind, id) = (self.object.kind as u8, u128::from_be_bytes(self.object.id));
        let (shard, offset, length) = (self.shard.0, self.offset, self.length);
        format!("{shard:04x}-{kind:02x}{id:032x}-{offset:x}-{length:x}-{class}")
    }

    /// What a name says; `None`: it is none of ours.
    pub(crate) fn parse(name: &str) -> Option<StretchFile> {
        let mut parts = name.split('-');
        let (shard, object) = (parts.next()?, parts.next()?);
        let (offset, length, class) = (parts.next()?, parts.next()?, parts.next()?);
        let kind = u8::from_str_radix(object.get(..2)?, 16).ok()?;
        let id = u128::from_str_radix(object.get(2..)?, 16).ok()?;
        let file = StretchFile {
            shard: ShardNo(u16::from_str_radix(shard, 16).ok()?),
            object: ObjectId {
                kind: ObjectKind::from_number(kind)?,
                id: id.to_be_bytes(),
            },
            class: match class {
                "w" => Class::Wanted,
                "p" => Class::Passing,
                _ => return None,
            },
            offset: u64::from_str_radix(offset, 16).ok()?,
            length: u32::from_str_radix(length, 16).ok()?,
        };
        // One name for one stretch.
        (file.length > 0 && file.name() == name).then_some(file)
    }
}

/// Bytes of disk that a file of so many bytes takes.
pub(crate) fn weight(length: u64) -> u64 {
    length
        .max(1)
        .div_ceil(DISK_BLOCK)
        .saturating_mul(DISK_BLOCK)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_says_what_it_was_made_of(shard: u16, kind in 3..6_u8, id: [u8; 16], offset: u64, length in 1..u32::MAX, passing: bool) {
            let file = StretchFile {
                shard: ShardNo(shard),
                object: ObjectId { kind: ObjectKind::from_number(kind).unwrap(), id },
                class: if passing { Class::Passing } else { Class::Wanted },
                offset,
                length,
            };
            prop_assert_eq!(StretchFile::parse(&file.name()), Some(file));
        }

        #[test]
        fn what_is_no_name_is_none(name in "[-0-9a-fpw.]{0,70}") {
            if let Some(file) = StretchFile::parse(&name) {
                prop_assert_eq!(file.name(), name);
            }
        }
    }
}
