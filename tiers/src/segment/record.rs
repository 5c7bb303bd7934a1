//! One record: magic, length, checksum, position, body length, meta, body.

use bytes::Bytes;

use super::{Mark, Placed, Record, RecordParts, size};
use crate::address::Position;
use crate::codec::{Malformed, Reader};
use crate::frame;
use crate::limits::RECORD_MAX;

/// Bytes before the meta.
pub(super) const HEAD: usize = 24;
/// Those of them that the frame's length counts.
const COUNTED: usize = 16;
/// Where the entry's head has its time: behind version and kind.
const TIME_AT: usize = 2;

/// Bytes of a record with so many bytes of meta and body.
pub fn record_len(meta: usize, body: usize) -> u64 {
    size(HEAD)
        .saturating_add(size(meta))
        .saturating_add(size(body))
}

/// The bytes before the meta; `checksum` as it stands.
struct Head {
    counted: u32,
    checksum: [u8; 4],
    position: Position,
    body_length: u32,
}

impl Head {
    fn read(r: &mut Reader<'_>) -> Result<Head, Malformed> {
        let (_magic, counted) = (r.u32()?, r.u32()?);
        Ok(Head {
            counted,
            checksum: r.array()?,
            position: Position(r.u64()?),
            body_length: r.u32()?,
        })
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&frame::RECORD.to_le_bytes());
        out.extend_from_slice(&self.counted.to_le_bytes());
        out.extend_from_slice(&self.checksum);
        out.extend_from_slice(&self.position.0.to_le_bytes());
        out.extend_from_slice(&self.body_length.to_le_bytes());
    }

    /// What the checksum must be behind a record with checksum `before`.
    fn sum(&self, seed: u32, before: u32, meta_and_body: &[u8]) -> u32 {
        let mut fields = [0; 20];
        fields[..4].copy_from_slice(&self.counted.to_le_bytes());
        fields[4..12].copy_from_slice(&self.position.0.to_le_bytes());
        fields[12..16].copy_from_slice(&before.to_le_bytes());
        fields[16..].copy_from_slice(&self.body_length.to_le_bytes());
        crc32c::crc32c_append(crc32c::crc32c_append(seed, &fields), meta_and_body)
    }
}

/// Appends a record at `mark` and moves the mark behind it. Its length is within [`RECORD_MAX`].
pub(super) fn append(
    out: &mut Vec<u8>,
    seed: u32,
    mark: &mut Mark,
    parts: &RecordParts<'_>,
) -> Placed {
    let bounded = |n: usize| u32::try_from(n).expect("records are bounded");
    let (counted, body_length) = (
        bounded(COUNTED + parts.meta.len()),
        bounded(parts.body.len()),
    );
    let head = Head {
        counted,
        checksum: [0; 4],
        position: mark.next,
        body_length,
    };
    let start = out.len();
    head.write(out);
    out.extend_from_slice(parts.meta);
    out.extend_from_slice(parts.body);
    let chain = head.sum(seed, mark.chain, &out[start + HEAD..]);
    out[start + 8..start + 12].copy_from_slice(&chain.to_le_bytes());
    advance(mark, parts.meta, parts.body.len(), chain)
}

/// Length of the record that begins with `head`, or why there is none.
pub(super) fn whole_len(head: &[u8]) -> Result<usize, &'static str> {
    let head = Head::read(&mut Reader::new(head)).map_err(|_| "a record is cut off")?;
    let long = "a record is longer than any we write";
    let (counted, body) = (
        usize::try_from(head.counted),
        usize::try_from(head.body_length),
    );
    let (Ok(counted), Ok(body)) = (counted, body) else {
        return Err(long);
    };
    let whole = counted.saturating_add(8).saturating_add(body);
    if counted < COUNTED {
        return Err("a record is too short");
    }
    if whole > RECORD_MAX {
        Err(long)
    } else {
        Ok(whole)
    }
}

/// The record `bytes`, of the length that [`whole_len`] gave, when it is the next one at `mark`; moves the mark behind it.
pub(super) fn decode(bytes: Bytes, seed: u32, mark: &mut Mark) -> Result<Record, &'static str> {
    let mut r = Reader::new(&bytes);
    let head = Head::read(&mut r).map_err(|_| "a record is cut off")?;
    if head.position != mark.next {
        return Err("a record has another position than the next one");
    }
    let chain = head.sum(seed, mark.chain, r.rest());
    if chain.to_le_bytes() != head.checksum {
        return Err("a record has a wrong checksum");
    }
    let split = usize::try_from(head.counted)
        .unwrap_or(usize::MAX)
        .saturating_add(8);
    if split < HEAD || split > bytes.len() {
        return Err("a record has a wrong length");
    }
    let (meta, body) = (bytes.slice(HEAD..split), bytes.slice(split..));
    let at = advance(mark, &meta, body.len(), chain);
    Ok(Record { at, meta, body })
}

/// The record `bytes` at `mark` with the checksum that it states, right or not, and the place behind it; `None` when it is another one.
pub(super) fn unchecked(bytes: Bytes, whole: usize, mark: &Mark) -> Option<(Record, Mark)> {
    let head = Head::read(&mut Reader::new(&bytes)).ok()?;
    let split = usize::try_from(head.counted).ok()?.checked_add(8)?;
    if head.position != mark.next || bytes.len() < whole || !(HEAD..=whole).contains(&split) {
        return None;
    }
    let (meta, body) = (bytes.slice(HEAD..split), bytes.slice(split..whole));
    let mut behind = *mark;
    let at = advance(
        &mut behind,
        &meta,
        body.len(),
        u32::from_le_bytes(head.checksum),
    );
    Some((Record { at, meta, body }, behind))
}

fn advance(mark: &mut Mark, meta: &[u8], body: usize, chain: u32) -> Placed {
    let whole = record_len(meta.len(), body);
    let end_offset = mark.offset + whole;
    let body_offset = end_offset - size(body);
    let placed = Placed {
        position: mark.next,
        record_offset: mark.offset,
        body_offset,
        end_offset,
        chain,
    };
    let time_ms = meta
        .get(TIME_AT..TIME_AT + 8)
        .and_then(|b| b.try_into().ok())
        .map_or(0, u64::from_le_bytes);
    *mark = Mark {
        offset: end_offset,
        next: Position(mark.next.0 + 1),
        chain,
        records: mark.records + 1,
        record_bytes: mark.record_bytes + whole,
        time_ms,
    };
    placed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const START: Mark = Mark {
        offset: 90,
        next: Position(7),
        chain: 3,
        records: 0,
        record_bytes: 0,
        time_ms: 0,
    };

    proptest! {
        #[test]
        fn a_record_is_read_as_it_was_written_and_in_no_other_place(meta: Vec<u8>, body: Vec<u8>, seed: u32, bit: usize) {
            let (mut out, mut mark) = (Vec::new(), START);
            let placed = append(&mut out, seed, &mut mark, &RecordParts { meta: &meta, body: &body });
            prop_assert_eq!(whole_len(&out).unwrap(), out.len());
            prop_assert_eq!(record_len(meta.len(), body.len()), size(out.len()));
            let read = |bytes: &[u8], seed, from: Mark| {
                let mut mark = from;
                decode(Bytes::copy_from_slice(bytes), seed, &mut mark).map(|r| (r, mark))
            };
            let (record, after) = read(&out, seed, START).unwrap();
            prop_assert_eq!((record.at, after), (placed, mark));
            prop_assert_eq!((&record.meta[..], &record.body[..]), (&meta[..], &body[..]));
            prop_assert!(read(&out, seed ^ 4, START).is_err());
            for elsewhere in [Mark { chain: 4, ..START }, Mark { next: Position(8), ..START }] {
                prop_assert!(read(&out, seed, elsewhere).is_err());
            }
            let bit = bit % (out.len() * 8);
            out[bit / 8] ^= 1 << (bit % 8);
            // The magic number is looked at before.
            if bit >= 32 {
                prop_assert!(read(&out, seed, START).is_err());
            }
        }

        #[test]
        fn foreign_bytes_are_no_record_and_no_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(whole_len(&bytes).is_err() || bytes.len() >= HEAD);
            prop_assert!(decode(Bytes::from(bytes), 1, &mut START.clone()).is_err());
        }
    }
}
