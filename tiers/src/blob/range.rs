//! Reads a range of a blob: which frames hold it, and the bytes from them.

use std::ops::Range;
use std::path::Path;

use crate::address::{BlobRecord, FrameRef};
use crate::disk::{self, DiskFile};
use crate::limits::FRAME_RAW_MAX;
use crate::object::{HEADER_MAX, ObjectHeader};
use crate::{Error, Kind, Result, frame};

/// The frames that hold a raw range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameRange<'a> {
    /// Their bytes in the object: one range to ask for.
    pub stored: Range<u64>,
    /// Raw offset of the first byte of the first of them.
    pub first_raw: u64,
    /// The frames.
    pub frames: &'a [FrameRef],
}

/// Which frames of the blob hold the raw bytes `range`.
///
/// # Errors
/// `Invalid` when the range is not in the blob, `Corrupt` when the record contradicts itself.
pub fn frames_for(record: &BlobRecord, range: Range<u64>) -> Result<FrameRange<'_>> {
    let name = name(record);
    if range.start > range.end || range.end > record.raw {
        let what = format!(
            "bytes {}..{} of {name}, which has {}",
            range.start, range.end, record.raw
        );
        return Err(Error::new(Kind::Invalid, what));
    }
    let inconsistent =
        || Error::corrupt(&name, 0, format!("the record of {name} contradicts itself"));
    let sum = |size: fn(&FrameRef) -> u32| {
        record
            .frames
            .iter()
            .map(|f| u64::from(size(f)))
            .sum::<u64>()
    };
    let bytes_of_frames = sum(|f| f.stored);
    let header = record
        .object_bytes
        .checked_sub(bytes_of_frames)
        .ok_or_else(inconsistent)?;
    if sum(|f| f.raw) != record.raw {
        return Err(inconsistent());
    }
    let (mut raw, mut stored) = (0, header);
    let (mut first, mut from) = (0, header);
    let mut first_raw = 0;
    let mut count = 0;
    for (number, frame) in record.frames.iter().enumerate() {
        let raw_end = raw + u64::from(frame.raw);
        if raw < range.end && raw_end > range.start && !range.is_empty() {
            if count == 0 {
                (first, from, first_raw) = (number, stored, raw);
            }
            count += 1;
        }
        stored += u64::from(frame.stored);
        raw = raw_end;
    }
    let frames = record.frames.get(first..first + count).unwrap_or_default();
    let length: u64 = frames.iter().map(|f| u64::from(f.stored)).sum();
    Ok(FrameRange {
        stored: from..from + length,
        first_raw,
        frames,
    })
}

/// The raw bytes `range` from `stored`, the bytes of the frames that [`frames_for`] named for it.
///
/// # Errors
/// `Corrupt` when they are not those bytes.
pub fn unpack(
    record: &BlobRecord,
    part: &FrameRange<'_>,
    stored: &[u8],
    range: Range<u64>,
) -> Result<Vec<u8>> {
    let name = name(record);
    let (mut at, mut offset, mut raw) = (0_usize, part.stored.start, part.first_raw);
    let mut out = Vec::new();
    for frame in part.frames {
        let length = usize::try_from(frame.stored).unwrap_or(usize::MAX);
        let bytes = stored.get(at..at.saturating_add(length));
        let short = || {
            Error::corrupt(
                &name,
                offset,
                format!("{name}: bytes are missing from {offset} on"),
            )
        };
        let unpacked = frame::decompress(bytes.ok_or_else(short)?, frame, &name, offset)?;
        let within = |place: u64| {
            usize::try_from(place.saturating_sub(raw))
                .unwrap_or(usize::MAX)
                .min(unpacked.len())
        };
        out.extend_from_slice(&unpacked[within(range.start)..within(range.end)]);
        at += length;
        offset += u64::from(frame.stored);
        raw += u64::from(frame.raw);
    }
    Ok(out)
}

/// The raw bytes `range` of a blob's file. The caller bounds the range: it is what is held in memory.
///
/// # Errors
/// As [`frames_for`] and [`unpack`]; `Unavailable` when the disk refuses.
pub fn read_range(
    file: &dyn DiskFile,
    path: &Path,
    record: &BlobRecord,
    range: Range<u64>,
) -> Result<Vec<u8>> {
    let part = frames_for(record, range.clone())?;
    let length = file.len().map_err(|e| disk::failed("read", path, e))?;
    if part.stored.end > length {
        let what = format!(
            "{}: has {length} bytes, its record says {}",
            path.display(),
            record.object_bytes
        );
        return Err(Error::corrupt(path.display().to_string(), length, what));
    }
    let mut stored =
        vec![0; usize::try_from(part.stored.end - part.stored.start).unwrap_or(usize::MAX)];
    file.read_at(part.stored.start, &mut stored)
        .map_err(|e| disk::failed("read", path, e))?;
    unpack(record, &part, &stored, range)
}

/// Looks at every byte of a blob's file: header, frames, the digests of content and object. Gives the header.
///
/// # Errors
/// `Corrupt` with the first place that is damaged, `Unavailable` when the disk refuses.
pub fn verify_blob(file: &dyn DiskFile, path: &Path, record: &BlobRecord) -> Result<ObjectHeader> {
    let name = path.display().to_string();
    let corrupt =
        |at: u64, what: &str| Error::corrupt(&name, at, format!("{name}: {what}, at byte {at}"));
    let read = |at: u64, length: u64| {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        file.read_at(at, &mut bytes)
            .map_err(|e| disk::failed("read", path, e))
            .map(|()| bytes)
    };
    let length = file.len().map_err(|e| disk::failed("read", path, e))?;
    if length != record.object_bytes {
        return Err(corrupt(
            length.min(record.object_bytes),
            "the blob has another length than its record says",
        ));
    }
    let start = frames_for(record, 0..record.raw)?.stored.start;
    let head = read(0, start.min(u64::try_from(HEADER_MAX).expect("small")))?;
    let (header, header_length) = ObjectHeader::decode(&head, &name)?;
    if header_length != head.len() || header.object.id != record.blob.0 {
        return Err(corrupt(0, "the blob's header is not that of its record"));
    }
    let mut object = blake3::Hasher::new();
    let mut content = blake3::Hasher::new();
    object.update(&head);
    for frame in &record.frames {
        let at = object.count();
        if usize::try_from(frame.raw).unwrap_or(usize::MAX) > FRAME_RAW_MAX
            || at + u64::from(frame.stored) > length
        {
            return Err(corrupt(at, "a frame of the record is not in the blob"));
        }
        let stored = read(at, frame.stored.into())?;
        object.update(&stored);
        content.update(&frame::decompress(&stored, frame, &name, at)?);
    }
    if object.finalize() != record.object_digest || content.finalize() != record.content {
        return Err(corrupt(
            0,
            "the blob has another digest than its record says",
        ));
    }
    Ok(header)
}

fn name(record: &BlobRecord) -> String {
    format!("blob {:032x}", u128::from_be_bytes(record.blob.0))
}
