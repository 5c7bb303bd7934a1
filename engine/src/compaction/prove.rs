//! Reads back what was written, and compares every message with its source.
//!
//! Promises: [`Proved`] exists only for messages that were rebuilt from the files, byte for byte as they are stored now.

use std::io::Read;
use std::path::Path;

use coldpost_tiers::address::{BlobId, BlobRecord, Extent, FrameRef, Recode};
use coldpost_tiers::block::BlockReader;
use coldpost_tiers::disk::DiskFile;
use coldpost_tiers::frame;
use coldpost_tiers::hot::row::{BlobRow, FrameRow};

use super::group::Moved;
use super::source::{Decoding, Source};
use super::step::{DoneBlock, Fresh, Run};
use crate::error::{Error, Kind, Result};
use crate::limits::RECODED_AT_ONCE;
use crate::mail::base64_text::Shape;

/// Frames of an attachment that are asked for at once: 4 MiB.
const PROVE_FRAMES: usize = 16;

/// A block whose messages may be tied to it.
#[derive(Debug)]
pub(super) struct Proved {
    pub(super) block: DoneBlock,
}

impl Run<'_> {
    /// Takes the blocks that were written; messages that do not come out as they went in are not moved, and blocks with nothing else are empty.
    pub(super) fn prove(&mut self) -> Result<Vec<Proved>> {
        let blocks = std::mem::take(&mut self.blocks);
        blocks
            .into_iter()
            .map(|block| self.prove_block(block))
            .collect()
    }

    fn prove_block(&mut self, mut block: DoneBlock) -> Result<Proved> {
        let reader = BlockReader::open(&*self.shard.disk, &block.at.path)?;
        let mut frames = Frames {
            reader: &reader,
            rows: &block.written.frames,
            kept: Vec::new(),
        };
        let moved = std::mem::take(&mut block.moved);
        let mut is_wanted = false;
        for mut moved in moved {
            match self.is_the_same(&moved, &mut frames) {
                // One that went, or moved, meanwhile is named too: apply leaves it where it is, and counts its bytes here as dead.
                Ok(is_there) => is_wanted |= is_there,
                Err(e) if self.is_unanswered(&e) => return Err(e),
                Err(e) => {
                    // Nor is this one to be moved: it never stood in the block.
                    self.left_one(moved.item.from.0);
                    moved.item.from = (block.at.object, 0);
                    tracing::error!(
                        shard = self.shard.no.0,
                        "a message does not come out of a block as it went in, or could not be read again to be compared, and stays where it is: {e}"
                    );
                }
            }
            block.moved.push(moved);
        }
        if !is_wanted {
            block.moved.clear();
        }
        Ok(Proved { block })
    }

    /// Whether a message is still where it was, and the same here as there.
    fn is_the_same(&self, moved: &Moved, frames: &mut Frames<'_>) -> Result<bool> {
        let Some((message, reader)) = self.read(&moved.item)? else {
            return Ok(false);
        };
        let source = Source::new(reader, self.handle);
        let (mut at, mut crc, mut is_whole) = (0, 0, true);
        for extent in &moved.extents {
            let end = at + extent.raw_len();
            match extent {
                Extent::Slice { frame, skip, .. } => {
                    let mut skip = usize::try_from(*skip).unwrap_or(usize::MAX);
                    let raw = frames.frame(*frame)?;
                    source.each(at..end, |piece| {
                        let ours = raw.get(skip..).and_then(|raw| raw.get(..piece.len()));
                        skip += piece.len();
                        same(ours, piece)
                    })?;
                    crc = crc32c::crc32c_append(
                        crc,
                        &raw[skip - usize::try_from(end - at).unwrap_or(0)..skip],
                    );
                }
                Extent::Blob { blob, recode, .. } => match self.fresh.get(blob) {
                    Some(fresh) => {
                        let shape =
                            Shape::of(*recode, fresh.blob.record.raw).ok_or_else(different)?;
                        crc = self.is_same_blob(fresh, shape, &source, (at, end), crc)?;
                    }
                    None => {
                        is_whole = false;
                        let is_carried = message.address.extents.contains(extent);
                        if !is_carried {
                            self.is_same_content(*blob, *recode, &source, (at, end))?;
                        }
                    }
                },
                Extent::Frame(_) => return Err(different()),
            }
            at = end;
        }
        if at != message.size || is_whole && crc != moved.crc {
            return Err(different());
        }
        Ok(true)
    }

    /// A blob that was written now: its text is that of the source. Gives the checksum of the message so far.
    fn is_same_blob(
        &self,
        fresh: &Fresh,
        shape: Shape,
        source: &Source<'_>,
        (start, end): (u64, u64),
        mut crc: u32,
    ) -> Result<u32> {
        if shape.len() != end - start {
            return Err(different());
        }
        let mut blob = BlobBytes::open(self, fresh)?;
        let mut at = 0;
        while at < shape.len() {
            let range = at..shape.len().min(at + RECODED_AT_ONCE);
            let decoded = blob.range(shape.source(range.clone()))?;
            let text = shape.write(range.clone(), &decoded);
            let mut seen = 0;
            source.each(start + range.start..start + range.end, |piece| {
                let ours = text.get(seen..).and_then(|text| text.get(..piece.len()));
                seen += piece.len();
                same(ours, piece)
            })?;
            crc = crc32c::crc32c_append(crc, &text);
            at = range.end;
        }
        Ok(crc)
    }

    /// A blob that was there before, and was read in this run: the source decodes to its content, in this very shape.
    fn is_same_content(
        &self,
        blob: BlobId,
        recode: Recode,
        source: &Source<'_>,
        (start, end): (u64, u64),
    ) -> Result<()> {
        let mut decoding = Decoding::new(source, start..end);
        let mut hasher = blake3::Hasher::new();
        let mut piece = vec![0; 64 * 1024];
        loop {
            let many = decoding.read(&mut piece).map_err(|_| different())?;
            if many == 0 {
                break;
            }
            hasher.update(&piece[..many]);
        }
        let content = *hasher.finalize().as_bytes();
        let is_known = self
            .contents
            .iter()
            .any(|((known, _), id)| *id == blob && *known == content);
        let found = decoding.found.ok_or_else(different)?;
        let is_same = found.range == (0..end - start) && found.shape.recode() == recode;
        if is_known && is_same {
            return Ok(());
        }
        Err(different())
    }

    /// Whether a blob of the shard can be read, and has a content.
    pub(super) fn reads_as(&self, row: &BlobRow, content: [u8; 32]) -> bool {
        let fetcher = self.engine.inner.fetcher.aside();
        let mut hasher = blake3::Hasher::new();
        let frames = &row.record.frames;
        let offset = crate::view::blob_offset(row);
        for first in (0..frames.len()).step_by(PROVE_FRAMES) {
            let some = first..frames.len().min(first + PROVE_FRAMES);
            let read = fetcher.frames(self.shard.no, row.object, offset, frames, some);
            match self.handle.block_on(read) {
                Ok(got) => {
                    for raw in got {
                        hasher.update(&raw);
                    }
                }
                Err(e) => {
                    tracing::warn!(
                        "an attachment that is there already cannot be read, and is stored again: {e}"
                    );
                    return false;
                }
            }
        }
        *hasher.finalize().as_bytes() == content
    }
}

fn same(ours: Option<&[u8]>, theirs: &[u8]) -> Result<()> {
    match ours == Some(theirs) {
        true => Ok(()),
        false => Err(different()),
    }
}

fn different() -> Error {
    Error::new(Kind::Corrupt, "it is not the same byte for byte")
}

/// Frames of a block, the last few kept: messages follow one another in them.
struct Frames<'a> {
    reader: &'a BlockReader,
    rows: &'a [FrameRow],
    kept: Vec<(u32, Vec<u8>)>,
}

impl Frames<'_> {
    fn frame(&mut self, number: u32) -> Result<&[u8]> {
        if !self.kept.iter().any(|(kept, _)| *kept == number) {
            let at = usize::try_from(number).unwrap_or(usize::MAX);
            let row = self.rows.get(at).ok_or_else(different)?;
            let raw = self.reader.frame(row)?;
            // Headers and bodies of one group.
            self.kept.truncate(1);
            self.kept.insert(0, (number, raw));
        }
        let kept = self.kept.iter().find(|(kept, _)| *kept == number);
        kept.map(|(_, raw)| &raw[..]).ok_or_else(different)
    }
}

/// Ranges of a blob in a local file, a frame kept.
struct BlobBytes<'a> {
    file: std::sync::Arc<dyn DiskFile>,
    path: &'a Path,
    record: &'a BlobRecord,
    offset: u64,
    kept: Option<(usize, Vec<u8>)>,
}

impl<'a> BlobBytes<'a> {
    fn open(run: &Run<'_>, fresh: &'a Fresh) -> Result<BlobBytes<'a>> {
        let open = run.shard.disk.open(&fresh.path);
        let file = open.map_err(|e| coldpost_tiers::disk::failed("open", &fresh.path, e))?;
        Ok(BlobBytes {
            file,
            path: &fresh.path,
            record: &fresh.blob.record,
            offset: fresh.blob.offset,
            kept: None,
        })
    }

    fn range(&mut self, range: std::ops::Range<u64>) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let (mut raw, mut stored) = (0, self.offset);
        for (index, frame) in self.record.frames.iter().enumerate() {
            let end = raw + u64::from(frame.raw);
            if raw < range.end && end > range.start {
                let within = range.start.max(raw) - raw..range.end.min(end) - raw;
                let piece = self.frame(index, frame, stored)?;
                let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(piece.len());
                bytes.extend_from_slice(&piece[at(within.start)..at(within.end)]);
            }
            raw = end;
            stored += u64::from(frame.stored);
        }
        Ok(bytes)
    }

    fn frame(&mut self, index: usize, frame: &FrameRef, at: u64) -> Result<&[u8]> {
        if self.kept.as_ref().is_none_or(|(kept, _)| *kept != index) {
            let name = self.path.display().to_string();
            let mut stored = vec![0; usize::try_from(frame.stored).unwrap_or(0)];
            let read = self.file.read_at(at, &mut stored);
            read.map_err(|e| coldpost_tiers::disk::failed("read", self.path, e))?;
            self.kept = Some((index, frame::decompress(&stored, frame, &name, at)?));
        }
        Ok(self.kept.as_ref().map_or(&[], |(_, raw)| raw))
    }
}
