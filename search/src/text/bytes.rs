//! Numbers and stretches of bytes out of a buffer that may be anything.

use integer_encoding::VarInt;

use super::{Key, TextId};

/// Reads from the front; `None` where the bytes end or are no number.
pub(super) struct Bytes<'b> {
    left: &'b [u8],
}

impl<'b> Bytes<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Bytes<'b> {
        Bytes { left: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.left.is_empty()
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, left) = self.left.split_first_chunk::<N>()?;
        self.left = left;
        Some(*array)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
        self.number()
    }

    pub(super) fn zigzag(&mut self) -> Option<i64> {
        self.number()
    }

    /// How many things follow, each of a byte at least: more than there are bytes is no count.
    pub(super) fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.varint()?).ok()?;
        (count <= self.left.len()).then_some(count)
    }

    pub(super) fn id(&mut self) -> Option<TextId> {
        Some(TextId {
            epoch: u32::try_from(self.varint()?).ok()?,
            position: self.varint()?,
            number: u16::try_from(self.varint()?).ok()?,
        })
    }

    pub(super) fn key(&mut self) -> Option<Key> {
        Some(Key {
            account: self.u64()?,
            id: self.id()?,
        })
    }

    fn number<T: VarInt>(&mut self) -> Option<T> {
        let (number, length) = T::decode_var(self.left)?;
        self.left = self.left.get(length..)?;
        Some(number)
    }
}

pub(super) fn put_varint(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.encode_var_vec());
}

pub(super) fn put_zigzag(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(&number.encode_var_vec());
}

pub(super) fn put_id(out: &mut Vec<u8>, id: TextId) {
    put_varint(out, u64::from(id.epoch));
    put_varint(out, id.position);
    put_varint(out, u64::from(id.number));
}

pub(super) fn put_key(out: &mut Vec<u8>, key: Key) {
    out.extend_from_slice(&key.account.to_le_bytes());
    put_id(out, key.id);
}

/// As a number of bytes on disk.
pub(super) fn length(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
