//! The bytes of a copy, wherever it lies, read in pieces: a segment or a blob may be larger than memory should be.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use coldpost_tiers::address::{BlobRecord, Extent, FrameRef};
use coldpost_tiers::blob::frames_for;
use coldpost_tiers::cold::{Caller, ColdStore, Key};
use coldpost_tiers::disk::{DiskFile, failed};
use coldpost_tiers::frame::decompress;
use coldpost_tiers::hot::row::Place;
use coldpost_tiers::{Error, Result};

use crate::limits::VERIFY_PIECE_MAX;

/// Frames of a blob that are read at once.
const PIECE_FRAMES: usize = 32;

/// Where the bytes are, and how many there are.
pub(super) struct Source {
    place: Whereabouts,
    length: u64,
}

enum Whereabouts {
    File(Arc<dyn DiskFile>, PathBuf),
    Object(ColdStore, Key),
}

/// Bytes of a copy from `base` on; fewer than were asked for when the copy ends before.
pub(super) struct Piece {
    base: u64,
    bytes: Bytes,
}

impl Source {
    pub(super) fn file(file: Arc<dyn DiskFile>, path: PathBuf) -> Result<Source> {
        let length = file.len().map_err(|e| failed("read", &path, e))?;
        let place = Whereabouts::File(file, path);
        Ok(Source { place, length })
    }

    pub(super) fn object(cold: &ColdStore, key: Key, length: u64) -> Source {
        let place = Whereabouts::Object(cold.clone(), key);
        Source { place, length }
    }

    /// Bytes of the copy.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    pub(super) fn is_local(&self) -> bool {
        matches!(self.place, Whereabouts::File(..))
    }

    /// BLAKE3 of all of it.
    ///
    /// # Errors
    /// Those of [`Source::piece`].
    pub(super) async fn digest(&self) -> Result<[u8; 32]> {
        let mut hasher = blake3::Hasher::new();
        while hasher.count() < self.length {
            let end = hasher.count().saturating_add(VERIFY_PIECE_MAX);
            let piece = self.piece(hasher.count()..end).await?;
            hasher.update(&piece.bytes);
        }
        Ok(hasher.finalize().into())
    }

    /// As much of a range as there is; of one that no message and no frames of ours have, its beginning.
    ///
    /// # Errors
    /// `Unavailable` when the disk or the store refuses.
    pub(super) async fn piece(&self, range: Range<u64>) -> Result<Piece> {
        let most = range.start.saturating_add(4 * VERIFY_PIECE_MAX);
        let (base, end) = (range.start, range.end.min(self.length).min(most));
        if end <= base {
            let bytes = Bytes::new();
            return Ok(Piece { base, bytes });
        }
        let bytes = match &self.place {
            Whereabouts::Object(cold, key) => {
                cold.get_range(key, base..end, Caller::Verify).await?
            }
            Whereabouts::File(file, path) => {
                let mut bytes = vec![0; usize::try_from(end - base).unwrap_or(0)];
                let read = file.read_at(base, &mut bytes);
                read.map_err(|e| failed("read", path, e))?;
                bytes.into()
            }
        };
        Ok(Piece { base, bytes })
    }
}

impl Piece {
    fn get(&self, range: Range<u64>) -> Option<&[u8]> {
        let index = |at: u64| usize::try_from(at.checked_sub(self.base)?).ok();
        self.bytes.get(index(range.start)?..index(range.end)?)
    }

    /// A frame at `at`: where it ends, and what is in it.
    fn unpacked(&self, name: &str, at: u64, frame: &FrameRef) -> Result<(u64, Vec<u8>)> {
        let end = at.saturating_add(u64::from(frame.stored));
        let missing = || Error::corrupt(name, at, "the file ends before this frame");
        let stored = self.get(at..end).ok_or_else(missing)?;
        Ok((end, decompress(stored, frame, name, at)?))
    }

    /// Unpacks a message's frames and compares it with its checksum; blobs are checked as objects of their own.
    ///
    /// # Errors
    /// `Corrupt`: where it is not what was delivered.
    pub(super) fn holds(&self, name: &str, place: &Place) -> Result<()> {
        let mut at = place.address.offset;
        let mut crc = 0;
        let mut has_blobs = false;
        for extent in &place.address.extents {
            match extent {
                Extent::Frame(frame) => {
                    let (end, raw) = self.unpacked(name, at, frame)?;
                    crc = crc32c::crc32c_append(crc, &raw);
                    at = end;
                }
                Extent::Blob { .. } | Extent::Slice { .. } => has_blobs = true,
            }
        }
        if !has_blobs && crc != place.crc {
            let text = "the message is not the one that was delivered (CRC32C)";
            return Err(Error::corrupt(name, place.address.offset, text));
        }
        Ok(())
    }
}

/// The bytes of an object in which a message's own frames stand.
pub(super) fn span(place: &Place) -> Range<u64> {
    let stored = place.address.extents.iter().map(|extent| match extent {
        Extent::Frame(frame) => u64::from(frame.stored),
        Extent::Blob { .. } | Extent::Slice { .. } => 0,
    });
    let start = place.address.offset;
    start..start.saturating_add(stored.sum())
}

/// Ranges, in order of their beginnings, put together to pieces of bounded size.
pub(super) fn groups<T>(mut ranges: Vec<(Range<u64>, T)>) -> Vec<(Range<u64>, Vec<T>)> {
    ranges.sort_by_key(|(range, _)| range.start);
    let mut groups: Vec<(Range<u64>, Vec<T>)> = Vec::new();
    for (range, item) in ranges {
        match groups.last_mut() {
            Some((group, items)) if range.end.saturating_sub(group.start) <= VERIFY_PIECE_MAX => {
                group.end = group.end.max(range.end);
                items.push(item);
            }
            _ => groups.push((range, vec![item])),
        }
    }
    groups
}

/// Unpacks all frames of a blob.
///
/// # Errors
/// `Corrupt`: which is damaged; those of [`Source::piece`].
pub(super) async fn blob_frames(source: &Source, record: &BlobRecord, name: &str) -> Result<()> {
    let at = frames_for(record, 0..record.raw)?.stored.start;
    stored_frames(source, at, &record.frames, name).await
}

/// Unpacks frames that stand one after the other from `at` on.
///
/// # Errors
/// As [`blob_frames`].
pub(super) async fn stored_frames(
    source: &Source,
    mut at: u64,
    frames: &[FrameRef],
    name: &str,
) -> Result<()> {
    for frames in frames.chunks(PIECE_FRAMES) {
        let stored: u64 = frames.iter().map(|frame| u64::from(frame.stored)).sum();
        let piece = source.piece(at..at.saturating_add(stored)).await?;
        for frame in frames {
            at = piece.unpacked(name, at, frame)?.0;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_together_is_one_piece_and_no_piece_is_too_large() {
        const M: u64 = VERIFY_PIECE_MAX;
        let ranges = vec![
            (M - 5..M, 'c'),
            (0..10, 'a'),
            (M - 5..M + 5, 'd'),
            (5..9, 'b'),
        ];
        let expected = vec![(0..M, vec!['a', 'b', 'c']), (M - 5..M + 5, vec!['d'])];
        assert_eq!(groups(ranges), expected);
        assert_eq!(groups(vec![(0..5 * M, 'x')]), [(0..5 * M, vec!['x'])]);
    }
}
