//! A frame: the texts of some messages of one account, compressed, and before it what they are.
//!
//! Promises: bytes are unpacked only when their checksum, which file, account and kind are part of, is the one that was expected; what is given out has the lengths that the list says.

use std::sync::Arc;

use zstd::bulk::{Compressor, Decompressor};

use crate::error::{Error, Result};

use super::bytes::{Bytes, length, put_varint};
use super::{BEHIND, Kind, TextId};

/// Magic number of the skippable frame before the texts.
const MAGIC: u32 = 0x184D_2A55;
/// What zstd is told: a higher level is several times slower and 3 % smaller.
const LEVEL: i32 = 3;

/// A text in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) id: TextId,
    /// Bytes, the NUL behind it not counted.
    pub(super) bytes: usize,
    /// Of a piece of a longer text.
    pub(super) piece: Option<PieceOf>,
}

/// Which piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PieceOf {
    pub(super) number: u32,
    /// Bytes that it repeats of the one before.
    pub(super) repeats: usize,
}

/// What a frame holds.
#[derive(Debug)]
pub struct Unpacked {
    pub(super) list: Vec<Listed>,
    pub(super) text: String,
}

/// Keeps frames that were unpacked, for the next search.
pub trait Kept: Send + Sync {
    /// The frame at an offset of the file `id`, if it is kept.
    fn get(&self, id: [u8; 16], offset: u64) -> Option<Arc<Unpacked>>;
    /// Keeps one, perhaps.
    fn keep(&self, id: [u8; 16], offset: u64, frame: &Arc<Unpacked>);
}

/// Keeps nothing.
impl Kept for () {
    fn get(&self, _: [u8; 16], _: u64) -> Option<Arc<Unpacked>> {
        None
    }

    fn keep(&self, _: [u8; 16], _: u64, _: &Arc<Unpacked>) {}
}

impl Unpacked {
    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        size_of::<Unpacked>() + size_of_val(self.list.as_slice()) + self.text.capacity()
    }
}

/// Whose texts stand in a frame, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Of {
    /// What the checksums of the file begin with.
    pub(super) seed: u32,
    pub(super) account: u64,
    pub(super) kind: Kind,
}

impl Of {
    /// What the checksums of these frames and of their signature begin with.
    pub(super) fn seed(&self) -> u32 {
        let account = crc32c::crc32c_append(self.seed, &self.account.to_le_bytes());
        crc32c::crc32c_append(account, &[self.kind.number()])
    }
}

/// Makes frames.
pub(super) struct Packer(Compressor<'static>);

impl Packer {
    pub(super) fn new() -> Result<Packer> {
        let packer = Compressor::new(LEVEL).map_err(Error::io("zstd"))?;
        Ok(Packer(packer))
    }

    /// `text` has the texts of `list`, a NUL behind each.
    pub(super) fn pack(&mut self, of: Of, list: &[Listed], text: &str) -> Result<Vec<u8>> {
        let packed = self
            .0
            .compress(text.as_bytes())
            .map_err(Error::io("zstd"))?;
        let mut head = Vec::new();
        put_list(&mut head, list);
        let crc = checksum(of, &head, &packed);
        let mut out = Vec::with_capacity(12 + head.len() + packed.len());
        out.extend_from_slice(&MAGIC.to_le_bytes());
        let bytes = u32::try_from(4 + head.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&bytes.to_le_bytes());
        out.extend_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&head);
        out.extend_from_slice(&packed);
        Ok(out)
    }
}

fn checksum(of: Of, head: &[u8], packed: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(of.seed(), head), packed)
}

fn put_list(out: &mut Vec<u8>, list: &[Listed]) {
    put_varint(out, length(list.len()));
    let mut before = (0, 0, 0);
    for listed in list {
        let id = listed.id;
        let epoch = id.epoch.saturating_sub(before.0);
        let is_same = epoch == 0;
        let position = id
            .position
            .saturating_sub(if is_same { before.1 } else { 0 });
        let is_same = is_same && position == 0;
        let number = id.number.saturating_sub(if is_same { before.2 } else { 0 });
        put_varint(out, u64::from(epoch));
        put_varint(out, position);
        put_varint(out, u64::from(number));
        let is_piece = u64::from(listed.piece.is_some());
        put_varint(out, length(listed.bytes) * 2 + is_piece);
        if let Some(piece) = listed.piece {
            put_varint(out, u64::from(piece.number));
            put_varint(out, length(piece.repeats));
        }
        before = (id.epoch, id.position, id.number);
    }
}

fn read_list(bytes: &mut Bytes<'_>) -> Option<Vec<Listed>> {
    let count = bytes.count()?;
    let mut list = Vec::with_capacity(count);
    let mut before = TextId {
        epoch: 0,
        position: 0,
        number: 0,
    };
    for _ in 0..count {
        let mut id = bytes.id()?;
        if id.epoch == 0 {
            if id.position == 0 {
                id.number = id.number.checked_add(before.number)?;
            }
            id.position = id.position.checked_add(before.position)?;
        }
        id.epoch = id.epoch.checked_add(before.epoch)?;
        let size = bytes.varint()?;
        let piece = match size % 2 {
            0 => None,
            _ => Some(PieceOf {
                number: u32::try_from(bytes.varint()?).ok()?,
                repeats: usize::try_from(bytes.varint()?).ok()?,
            }),
        };
        list.push(Listed {
            id,
            bytes: usize::try_from(size / 2).ok()?,
            piece,
        });
        before = id;
    }
    bytes.is_empty().then_some(list)
}

/// A frame whose checksum was compared.
pub(super) struct Stored<'b> {
    pub(super) list: Vec<Listed>,
    packed: &'b [u8],
    raw: usize,
    offset: u64,
}

/// Compares the frame that `bytes`, from `offset` of a file, are, and reads its list.
pub(super) fn read(bytes: &[u8], of: Of, raw: usize, offset: u64) -> Result<Stored<'_>> {
    let damaged = |found: &str| Error::corrupt("a frame of text", offset, found);
    let mut head = Bytes::new(bytes);
    let magic = head.u32();
    let size = head.u32().and_then(|size| usize::try_from(size).ok());
    let (Some(MAGIC), Some(size)) = (magic, size) else {
        return Err(damaged("it is none"));
    };
    let split = bytes.split_at_checked(8_usize.saturating_add(size));
    let (Some((head, packed)), Some(crc)) = (split, head.u32()) else {
        return Err(damaged("it ends too early"));
    };
    let head = head.get(12..).unwrap_or_default();
    if checksum(of, head, packed) != crc {
        return Err(damaged("its bytes are not those of its checksum"));
    }
    let list = read_list(&mut Bytes::new(head)).ok_or_else(|| damaged("its list is damaged"))?;
    let listed = list.iter().try_fold(0_usize, |sum, listed| {
        sum.checked_add(listed.bytes)?.checked_add(1)
    });
    if listed != Some(raw) {
        return Err(damaged("its texts are not as long as the index says"));
    }
    Ok(Stored {
        list,
        packed,
        raw,
        offset,
    })
}

impl Stored<'_> {
    /// Its text, for which `unpacker` has room.
    pub(super) fn unpack(self, unpacker: &mut Decompressor<'static>) -> Result<Unpacked> {
        let Stored {
            list,
            packed,
            raw,
            offset,
        } = self;
        let damaged = |found: String| Error::corrupt("a frame of text", offset, found);
        let text = unpacker
            .decompress(packed, raw)
            .map_err(|e| damaged(e.to_string()))?;
        let text = String::from_utf8(text).map_err(|e| damaged(e.to_string()))?;
        let mut end = 0;
        for listed in &list {
            end += listed.bytes + 1;
            if text.as_bytes().get(end - 1) != Some(&(BEHIND as u8)) {
                return Err(damaged("a text does not end where it should".to_owned()));
            }
        }
        match end == text.len() {
            true => Ok(Unpacked { list, text }),
            false => Err(damaged("it is longer than its texts".to_owned())),
        }
    }
}
