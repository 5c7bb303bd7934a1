//! What stands where in a file: its index and footer.
//!
//! Promises: an index is used only when footer and checksum are right, and everything in it lies before it.

use crate::error::{Error, Result};
use crate::limits::{RUN_INDEX_MAX, SIGNATURE_FRAMES_MIN, TEXT_PIECE_MAX};

use super::bytes::{Bytes, length, put_id, put_key, put_varint, put_zigzag};
use super::run::Source;
use super::{Rect, TextId, signature};

const INDEX_MAGIC: u32 = 0x184D_2A5D;
const FOOTER_MAGIC: u32 = 0x184D_2A5E;
const FOOTER_SIGNATURE: &[u8; 8] = b"COLDTXT1";
/// Bytes of a footer.
const FOOTER: usize = 48;
const VERSION: u8 = 1;

/// How a file came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// By which rules text was taken out of mail.
    pub rules: u32,
    /// The writer's term and the position of the state in which messages were looked up: what had no row there is not in it.
    pub epoch: u32,
    /// The position.
    pub position: u64,
    /// Seconds since 1970.
    pub time: i64,
}

/// Where a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameAt {
    pub(super) offset: u64,
    /// As stored, its list included.
    pub(super) bytes: usize,
    /// Of its texts.
    pub(super) raw: usize,
    /// The first message in it.
    pub(super) first: TextId,
}

/// Frames of one account and kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) frames: Vec<FrameAt>,
    /// Where the rows of its signature begin; 0 without one.
    pub(super) signature: u64,
}

/// What a file has of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OfAccount {
    pub(super) account: u64,
    /// By kind.
    pub(super) parts: [Part; 2],
}

/// All of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Index {
    /// Which messages have their text in it, as far as they were there.
    pub(super) rect: Rect,
    pub(super) made: Made,
    pub(super) accounts: Vec<OfAccount>,
}

impl Index {
    /// The bytes at the end of a file, from `offset` on.
    pub(super) fn write(&self, offset: u64, seed: u32) -> Vec<u8> {
        let mut body = vec![VERSION];
        put_varint(&mut body, self.rect.from);
        put_varint(&mut body, self.rect.to);
        put_key(&mut body, self.rect.low);
        body.push(self.rect.high.is_some().into());
        if let Some(high) = self.rect.high {
            put_key(&mut body, high);
        }
        let made = &self.made;
        for number in [made.rules.into(), made.epoch.into(), made.position] {
            put_varint(&mut body, number);
        }
        put_zigzag(&mut body, made.time);
        put_varint(&mut body, length(self.accounts.len()));
        for of in &self.accounts {
            body.extend_from_slice(&of.account.to_le_bytes());
            for part in &of.parts {
                put_part(&mut body, part);
            }
        }
        let bytes = u32::try_from(4 + body.len()).unwrap_or(u32::MAX);
        let mut out = INDEX_MAGIC.to_le_bytes().to_vec();
        out.extend_from_slice(&bytes.to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c_append(seed, &body).to_le_bytes());
        out.extend_from_slice(&body);
        let index_bytes = length(out.len());
        let footer = out.len();
        out.extend_from_slice(&FOOTER_MAGIC.to_le_bytes());
        out.extend_from_slice(&40_u32.to_le_bytes());
        out.extend_from_slice(FOOTER_SIGNATURE);
        out.extend_from_slice(&offset.to_le_bytes());
        out.extend_from_slice(&index_bytes.to_le_bytes());
        out.extend_from_slice(&[0; 12]);
        let crc = crc32c::crc32c_append(seed, &out[footer..]);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Of a file of so many bytes.
    pub(super) fn read(source: &dyn Source, size: u64, seed: u32) -> Result<Index> {
        let damaged =
            |offset, found: &str| Error::corrupt("the index of a file of text", offset, found);
        let footer_at = size
            .checked_sub(length(FOOTER))
            .ok_or_else(|| damaged(size, "the file is shorter than its end"))?;
        let footer = source
            .read_at(footer_at, FOOTER)
            .map_err(Error::io("a file of text"))?;
        let (offset, bytes) = read_footer(&footer, seed)
            .ok_or_else(|| damaged(footer_at, "the file has no whole end"))?;
        if offset.checked_add(bytes) != Some(footer_at) || bytes > RUN_INDEX_MAX {
            return Err(damaged(
                footer_at,
                "the end of the file names no index before it",
            ));
        }
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let frame = source
            .read_at(offset, bytes)
            .map_err(Error::io("a file of text"))?;
        let mut head = Bytes::new(&frame);
        let (magic, size, crc) = (head.u32(), head.u32(), head.u32());
        let body = frame.get(12..).unwrap_or_default();
        let is_whole = magic == Some(INDEX_MAGIC)
            && size == u32::try_from(body.len() + 4).ok()
            && crc == Some(crc32c::crc32c_append(seed, body));
        if !is_whole {
            return Err(damaged(offset, "its bytes are not those of its checksum"));
        }
        let index = read_body(&mut Bytes::new(body));
        index
            .filter(|index| index.is_before(offset))
            .ok_or_else(|| damaged(offset, "it is of no known version, or not whole"))
    }

    /// Whether everything it names stands before `end`, in an order that it can have been written in.
    fn is_before(&self, end: u64) -> bool {
        let parts = self.accounts.iter().flat_map(|of| &of.parts);
        let is_sorted = self.accounts.is_sorted_by(|a, b| a.account < b.account);
        is_sorted && parts.into_iter().all(|part| is_part(part, end))
    }

    /// What is there of an account.
    pub(super) fn of(&self, account: u64) -> Option<&OfAccount> {
        let at = self
            .accounts
            .binary_search_by_key(&account, |of| of.account);
        self.accounts.get(at.ok()?)
    }
}

fn is_part(part: &Part, end: u64) -> bool {
    let ends = |offset: u64, bytes: usize| {
        let at = offset.checked_add(length(bytes));
        at.is_some_and(|at| at <= end)
    };
    let has_signature = part.frames.len() >= SIGNATURE_FRAMES_MIN;
    let is_frame = |frame: &FrameAt| {
        // The longest text is a piece, and a NUL stands behind it.
        ends(frame.offset, frame.bytes) && frame.raw <= TEXT_PIECE_MAX + 1
    };
    part.frames.iter().all(is_frame)
        && part.frames.is_sorted_by_key(|frame| frame.first)
        && has_signature == (part.signature > 0)
        && (!has_signature || ends(part.signature, signature::size(part.frames.len())))
}

fn put_part(out: &mut Vec<u8>, part: &Part) {
    put_varint(out, length(part.frames.len()));
    let mut end = 0;
    for frame in &part.frames {
        put_varint(out, frame.offset.saturating_sub(end));
        put_varint(out, length(frame.bytes));
        put_varint(out, length(frame.raw));
        put_id(out, frame.first);
        end = frame.offset.saturating_add(length(frame.bytes));
    }
    put_varint(out, part.signature);
}

fn read_part(bytes: &mut Bytes<'_>) -> Option<Part> {
    let mut frames = Vec::new();
    let mut end = 0_u64;
    for _ in 0..bytes.count()? {
        let offset = end.checked_add(bytes.varint()?)?;
        let stored = bytes.varint()?;
        end = offset.checked_add(stored)?;
        frames.push(FrameAt {
            offset,
            bytes: usize::try_from(stored).ok()?,
            raw: usize::try_from(bytes.varint()?).ok()?,
            first: bytes.id()?,
        });
    }
    let signature = bytes.varint()?;
    Some(Part { frames, signature })
}

fn read_footer(footer: &[u8], seed: u32) -> Option<(u64, u64)> {
    let crc = footer.last_chunk::<4>()?;
    let before = footer.get(..footer.len() - 4)?;
    let mut bytes = Bytes::new(before);
    let is_one = bytes.u32()? == FOOTER_MAGIC
        && bytes.u32()? == 40
        && bytes.array::<8>()? == *FOOTER_SIGNATURE
        && crc32c::crc32c_append(seed, before).to_le_bytes() == *crc;
    let place = (bytes.u64()?, bytes.u64()?);
    is_one.then_some(place)
}

fn read_body(bytes: &mut Bytes<'_>) -> Option<Index> {
    if bytes.u8()? != VERSION {
        return None;
    }
    let rect = Rect {
        from: bytes.varint()?,
        to: bytes.varint()?,
        low: bytes.key()?,
        high: match bytes.u8()? {
            0 => None,
            _ => Some(bytes.key()?),
        },
    };
    let made = Made {
        rules: u32::try_from(bytes.varint()?).ok()?,
        epoch: u32::try_from(bytes.varint()?).ok()?,
        position: bytes.varint()?,
        time: bytes.zigzag()?,
    };
    let mut accounts = Vec::new();
    for _ in 0..bytes.count()? {
        accounts.push(OfAccount {
            account: bytes.u64()?,
            parts: [read_part(bytes)?, read_part(bytes)?],
        });
    }
    bytes.is_empty().then_some(Index {
        rect,
        made,
        accounts,
    })
}
