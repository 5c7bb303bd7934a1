//! The index of a sealed segment: where each message stands, so that the file can be cut into mails without knowing ops.

use super::size;
use crate::address::{BlobId, Position, Recode};
use crate::codec::{Malformed, Reader, Writer};
use crate::frame;
use crate::limits::INDEX_FRAME_MAX;
use crate::{Error, Kind, Result};

/// Number of [`Recode::Same`] in the file.
const RECODE_SAME: u8 = 0;

/// One message. The maker of the entries gives these at seal; the segment layer does not look into payloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Position of the entry that holds it.
    pub position: Position,
    /// Number of the message in the op.
    pub number: u16,
    /// Offset of its first frame in the file.
    pub offset: u64,
    /// Stored bytes of its frames.
    pub stored: u64,
    /// Bytes of the message, gaps included.
    pub raw: u64,
    /// CRC32C of the whole message as it came.
    pub crc: u32,
    /// What left as blobs, by offset.
    pub gaps: Vec<Gap>,
}

/// A part of a message that is not in the segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// First byte in the message.
    pub offset: u64,
    /// Bytes in the message.
    pub length: u64,
    /// Where they are.
    pub blob: BlobId,
    /// How they are written in the message.
    pub recode: Recode,
}

/// The index frames, one after the other.
///
/// # Errors
/// `Internal` when entries do not ascend, `Limit` for an entry that no frame can hold, `Invalid` for a recode not written by this version.
pub(super) fn encode(first: Position, entries: &[IndexEntry]) -> Result<Vec<u8>> {
    if !entries.is_sorted_by(|a, b| (a.position, a.number) < (b.position, b.number)) {
        return Err(Error::new(
            Kind::Internal,
            "the index of a segment is not in order",
        ));
    }
    let mut out = Vec::new();
    let mut payload = vec![0; 4];
    for entry in entries {
        let bytes = encode_entry(first, entry)?;
        if payload.len() + bytes.len() > INDEX_FRAME_MAX {
            flush(&mut out, &mut payload);
        }
        payload.extend_from_slice(&bytes);
    }
    flush(&mut out, &mut payload);
    Ok(out)
}

fn flush(out: &mut Vec<u8>, payload: &mut Vec<u8>) {
    if payload.len() > 4 {
        let crc = crc32c::crc32c(&payload[4..]);
        payload[..4].copy_from_slice(&crc.to_le_bytes());
        out.extend_from_slice(&frame::skippable(frame::INDEX, payload));
        payload.truncate(4);
    }
}

fn encode_entry(first: Position, entry: &IndexEntry) -> Result<Vec<u8>> {
    let before = || {
        Error::new(
            Kind::Internal,
            format!(
                "index entry of position {} before the segment",
                entry.position.0
            ),
        )
    };
    let relative = entry.position.0.checked_sub(first.0).ok_or_else(before)?;
    let mut w = Writer::new();
    w.varint(relative)
        .varint(entry.number)
        .varint(entry.offset)
        .varint(entry.stored)
        .varint(entry.raw);
    w.u32(entry.crc).count(entry.gaps.len());
    for gap in &entry.gaps {
        if gap.recode != Recode::Same {
            let what = "a part recoded as base64 is not written by this version; store it as it is";
            return Err(Error::new(Kind::Invalid, what));
        }
        w.varint(gap.offset)
            .varint(gap.length)
            .raw(&gap.blob.0)
            .u8(RECODE_SAME);
    }
    if w.len() + 4 > INDEX_FRAME_MAX {
        let what = format!(
            "a message with {} gaps is over {INDEX_FRAME_MAX} bytes of index",
            entry.gaps.len()
        );
        return Err(Error::new(Kind::Limit, what));
    }
    Ok(w.into_bytes())
}

/// The entries in the payload of one index frame, or what is wrong with it.
pub(super) fn decode(payload: &[u8], first: Position) -> Result<Vec<IndexEntry>, String> {
    let mut r = Reader::new(payload);
    let crc = r.u32().map_err(|m| m.to_string())?;
    if crc != crc32c::crc32c(r.rest()) {
        return Err("an index frame has a wrong checksum".to_owned());
    }
    let mut entries = Vec::new();
    while !r.rest().is_empty() {
        entries.push(
            decode_entry(&mut r, first).map_err(|m| format!("an index frame is damaged ({m})"))?,
        );
    }
    Ok(entries)
}

fn decode_entry(r: &mut Reader<'_>, first: Position) -> Result<IndexEntry, Malformed> {
    let beyond = r.malformed("a position of 64 bits");
    let position = Position(first.0.checked_add(r.varint()?).ok_or(beyond)?);
    let (number, offset, stored, raw, crc) =
        (r.number()?, r.varint()?, r.varint()?, r.varint()?, r.u32()?);
    let mut gaps = Vec::new();
    for _ in 0..r.count()? {
        let (offset, length, blob) = (r.varint()?, r.varint()?, BlobId(r.array()?));
        let unknown = r.malformed("a recode that this version knows (0, as they are)");
        if r.u8()? != RECODE_SAME {
            return Err(unknown);
        }
        gaps.push(Gap {
            offset,
            length,
            blob,
            recode: Recode::Same,
        });
    }
    Ok(IndexEntry {
        position,
        number,
        offset,
        stored,
        raw,
        crc,
        gaps,
    })
}

impl IndexEntry {
    /// Bytes of the message that stand in the segment; `None` when the gaps are larger than the message.
    pub(super) fn raw_here(&self) -> Option<u64> {
        self.gaps
            .iter()
            .try_fold(self.raw, |left, gap| left.checked_sub(gap.length))
    }

    /// Offset of the byte after its last frame, at most 2^64 - 1.
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(self.stored)
    }
}

/// Length of the payload that the frame beginning with `head` names, or what is wrong with it.
pub(super) fn payload_len(head: &[u8], room: u64) -> Result<usize, String> {
    let mut r = Reader::new(head);
    let mut read = || Ok::<_, Malformed>((r.u32()?, r.u32()?));
    let (magic, length) = read().map_err(|m| m.to_string())?;
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if magic != frame::INDEX || length > INDEX_FRAME_MAX || size(length) > room {
        return Err("no whole index frame stands here".to_owned());
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = IndexEntry> {
        let gap = (any::<u64>(), any::<u64>(), any::<[u8; 16]>());
        let gap = gap.prop_map(|(offset, length, b)| Gap {
            offset,
            length,
            blob: BlobId(b),
            recode: Recode::Same,
        });
        let gaps = proptest::collection::vec(gap, 0..4);
        (
            any::<u64>(),
            any::<u16>(),
            any::<[u64; 3]>(),
            any::<u32>(),
            gaps,
        )
            .prop_map(|(p, number, n, crc, gaps)| IndexEntry {
                position: Position(p),
                number,
                offset: n[0],
                stored: n[1],
                raw: n[2],
                crc,
                gaps,
            })
    }

    fn frames(mut bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let n = payload_len(bytes, size(bytes.len() - 8)).unwrap();
            frames.push(bytes[8..8 + n].to_vec());
            bytes = &bytes[8 + n..];
        }
        frames
    }

    proptest! {
        #[test]
        fn an_index_is_read_as_it_was_written(mut entries in proptest::collection::vec(entry(), 0..20)) {
            entries.sort_by_key(|e| (e.position, e.number));
            let first = entries.first().map_or(Position(1), |e| e.position);
            let read = frames(&encode(first, &entries).unwrap()).iter().flat_map(|f| decode(f, first).unwrap()).collect::<Vec<_>>();
            prop_assert_eq!(read, entries);
        }

        #[test]
        fn foreign_bytes_are_no_index_and_no_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes, Position(1));
            let crc = crc32c::crc32c(&bytes);
            bytes.splice(0..0, crc.to_le_bytes());
            let _ = decode(&bytes, Position(1));
        }
    }

    fn plain(position: u64, gaps: Vec<Gap>) -> IndexEntry {
        IndexEntry {
            position: Position(position),
            number: 0,
            offset: 1,
            stored: 2,
            raw: 3,
            crc: 4,
            gaps,
        }
    }

    #[test]
    fn a_long_index_is_several_frames_within_the_bound_and_no_entry_crosses_one() {
        let entries: Vec<IndexEntry> = (1..200_000).map(|p| plain(p, Vec::new())).collect();
        let frames = frames(&encode(Position(1), &entries).unwrap());
        assert!(frames.len() > 1 && frames.iter().all(|f| f.len() <= INDEX_FRAME_MAX));
        assert_eq!(
            frames
                .iter()
                .map(|f| decode(f, Position(1)).unwrap().len())
                .sum::<usize>(),
            entries.len()
        );
    }

    #[test]
    fn what_this_version_does_not_write_is_refused_in_words() {
        let gap = Gap {
            offset: 0,
            length: 1,
            blob: BlobId([1; 16]),
            recode: Recode::Same,
        };
        let base64 = Gap {
            recode: Recode::Base64 {
                line: 76,
                crlf: true,
                flags: 3,
            },
            ..gap
        };
        let error = encode(Position(1), &[plain(1, vec![base64])]).unwrap_err();
        assert!(
            matches!(error.kind(), Kind::Invalid) && error.to_string().contains("base64"),
            "{error}"
        );
        assert!(matches!(
            encode(Position(1), &[plain(1, vec![gap; 60_000])])
                .unwrap_err()
                .kind(),
            Kind::Limit
        ));
        assert!(matches!(
            encode(Position(2), &[plain(1, vec![])]).unwrap_err().kind(),
            Kind::Internal
        ));
        assert!(matches!(
            encode(Position(1), &[plain(2, vec![]), plain(1, vec![])])
                .unwrap_err()
                .kind(),
            Kind::Internal
        ));
        let mut payload = frames(&encode(Position(1), &[plain(1, vec![gap])]).unwrap()).remove(0);
        *payload.last_mut().unwrap() = 1;
        let crc = crc32c::crc32c(&payload[4..]).to_le_bytes();
        payload[..4].copy_from_slice(&crc);
        assert!(
            decode(&payload, Position(1))
                .unwrap_err()
                .contains("recode that this version knows")
        );
    }
}
