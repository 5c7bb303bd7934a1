//! The frames of a message or blob: ordinary zstd, content size in the header, no checksum (the address has one), no dictionary.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe;

use super::{LEVEL, LEVEL_DENSE};
use crate::address::FrameRef;
use crate::limits::FRAME_RAW_MAX;
use crate::{Error, Result};

thread_local! {
    static COMPRESSOR: RefCell<Compressor<'static>> =
        RefCell::new(Compressor::new(LEVEL).expect("zstd knows this level"));
    static DENSE: RefCell<Compressor<'static>> =
        RefCell::new(Compressor::new(LEVEL_DENSE).expect("zstd knows this level"));
    static DECOMPRESSOR: RefCell<Decompressor<'static>> =
        RefCell::new(Decompressor::new().expect("no dictionary cannot be refused"));
}

/// Compresses `raw` into frames that follow one another; a frame ends at every one of `borders` (ascending raw offsets) and
/// at [`FRAME_RAW_MAX`] raw bytes. An empty message has no frame.
pub fn compress_message(raw: &[u8], borders: &[u64]) -> (Vec<u8>, Vec<FrameRef>) {
    let all = compress_message_within(raw, borders, usize::MAX);
    all.expect("nothing is longer than all there is")
}

/// As [`compress_message`], but gives up, and lets go of what it has, once the frames are longer than `limit` bytes.
pub fn compress_message_within(
    raw: &[u8],
    borders: &[u64],
    limit: usize,
) -> Option<(Vec<u8>, Vec<FrameRef>)> {
    assert!(borders.is_sorted(), "borders ascend");
    let mut stored = Vec::with_capacity((raw.len() / 2).min(limit) + 64);
    let mut frames = Vec::with_capacity(1 + borders.len() + raw.len() / FRAME_RAW_MAX);
    let ends = borders
        .iter()
        .map(|b| usize::try_from(*b).unwrap_or(raw.len()).min(raw.len()));
    let mut start = 0;
    for end in ends.chain([raw.len()]) {
        for piece in raw[start..end].chunks(FRAME_RAW_MAX) {
            frames.push(append_frame(&mut stored, piece));
            if stored.len() > limit {
                return None;
            }
        }
        start = end;
    }
    Some((stored, frames))
}

/// One frame of at most [`FRAME_RAW_MAX`] raw bytes that is written once and read for years: blocks and packs.
pub fn compress_dense(raw: &[u8]) -> (Vec<u8>, FrameRef) {
    assert!(raw.len() <= FRAME_RAW_MAX, "a frame of {} bytes", raw.len());
    compress_long(raw)
}

/// One frame as long as `raw` is, for what is never read in part.
pub fn compress_long(raw: &[u8]) -> (Vec<u8>, FrameRef) {
    let mut stored = Vec::new();
    let frame = DENSE.with_borrow_mut(|c| append_with(c, &mut stored, raw));
    (stored, frame)
}

/// Bytes of our own in a skippable frame.
pub fn compress_plain(raw: &[u8]) -> Vec<u8> {
    compress_long(raw).0
}

/// Appends one frame of at most [`FRAME_RAW_MAX`] raw bytes.
fn append_frame(stored: &mut Vec<u8>, raw: &[u8]) -> FrameRef {
    COMPRESSOR.with_borrow_mut(|c| append_with(c, stored, raw))
}

fn append_with(compressor: &mut Compressor<'_>, stored: &mut Vec<u8>, raw: &[u8]) -> FrameRef {
    let start = stored.len();
    stored.resize(start + zstd_safe::compress_bound(raw.len()), 0);
    let written = compressor
        .compress_to_buffer(raw, &mut stored[start..])
        .expect("zstd's own bound is room enough");
    stored.truncate(start + written);
    let size = |n: usize| u32::try_from(n).expect("a frame is bounded far below 4 GiB");
    FrameRef {
        stored: size(written),
        raw: size(raw.len()),
        crc: crc32c::crc32c(&stored[start..]),
    }
}

/// The raw bytes of one frame. `object` and `offset` say where `stored` came from, for the error.
///
/// # Errors
/// `Corrupt` when the length, the checksum (looked at before anything is unpacked) or the content is not what `frame` says.
pub fn decompress(stored: &[u8], frame: &FrameRef, object: &str, offset: u64) -> Result<Vec<u8>> {
    decompress_long(stored, frame, FRAME_RAW_MAX, (object, offset))
}

/// The same of a frame of up to `most` raw bytes, at an offset of an object.
///
/// # Errors
/// As [`decompress`].
pub fn decompress_long(
    stored: &[u8],
    frame: &FrameRef,
    most: usize,
    (object, offset): (&str, u64),
) -> Result<Vec<u8>> {
    let corrupt = |what: String| {
        Err(Error::corrupt(
            object,
            offset,
            format!("{object}: {what} at byte {offset}"),
        ))
    };
    let raw = usize::try_from(frame.raw).unwrap_or(usize::MAX);
    if raw > most {
        return corrupt(format!(
            "a frame of {raw} raw bytes is named, at most {most} are allowed,"
        ));
    }
    if u64::from(frame.stored) != length(stored) {
        return corrupt(format!(
            "a frame of {} bytes is named, {} were read",
            frame.stored,
            stored.len()
        ));
    }
    let found = crc32c::crc32c(stored);
    if found != frame.crc {
        return corrupt(format!(
            "a frame has checksum {found:08x} instead of {:08x}",
            frame.crc
        ));
    }
    let unpacked = DECOMPRESSOR
        .with_borrow_mut(|d| d.decompress(stored, raw))
        .map_err(|source| {
            let kind = Error::corrupt(object, offset, String::new()).kind().clone();
            Error::with_source(
                kind,
                format!("{object}: a frame does not unpack at byte {offset}"),
                source,
            )
        })?;
    if unpacked.len() == raw {
        Ok(unpacked)
    } else {
        corrupt(format!(
            "a frame gives {} bytes, not {raw},",
            unpacked.len()
        ))
    }
}

/// Unpacks frames that follow one another without knowing them beforehand, and hands each one's raw bytes to `take`.
///
/// # Errors
/// `Corrupt` at the first byte that is not the beginning of a whole frame of at most [`FRAME_RAW_MAX`] raw bytes that names its size.
pub fn decompress_each(
    stored: &[u8],
    object: &str,
    offset: u64,
    mut take: impl FnMut(&[u8]),
) -> Result<()> {
    let mut at = 0;
    while at < stored.len() {
        let rest = &stored[at..];
        let here = offset + length(&stored[..at]);
        let torn = || {
            Error::corrupt(
                object,
                here,
                format!("{object}: no whole zstd frame at byte {here}"),
            )
        };
        let size = zstd_safe::find_frame_compressed_size(rest).map_err(|_| torn())?;
        let raw = zstd_safe::get_frame_content_size(rest)
            .ok()
            .flatten()
            .ok_or_else(torn)?;
        let frame = rest
            .get(..size)
            .filter(|f| !f.is_empty())
            .ok_or_else(torn)?;
        let raw = u32::try_from(raw).map_err(|_| torn())?;
        let stored = u32::try_from(size).map_err(|_| torn())?;
        take(&decompress(
            frame,
            &FrameRef {
                stored,
                raw,
                crc: crc32c::crc32c(frame),
            },
            object,
            here,
        )?);
        at += size;
    }
    Ok(())
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).expect("a length fits 64 bits")
}
