//! Bytes of a message, read in pieces: from memory, local disk or the bucket.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use coldpost_tiers::address::{Address, BlobId, Extent, FrameRef, ObjectId, Recode, ShardNo};
use coldpost_tiers::fetch::{Fetcher, Held};
use coldpost_tiers::hot::row::{BlobRow, Row};
use coldpost_tiers::hot::{Snapshot, TableName, key};

use crate::error::{Error, Kind, Result};
use crate::limits::{READ_AHEAD_FRAMES, RECODED_AT_ONCE};
use crate::mail::base64_text::Shape;
use crate::shard::Shard;
use crate::view::Message;
use crate::view::ahead::Ahead as BatchAhead;
use crate::view::budget::{Budget, Loan};
use crate::view::frames::OwnFrames;

/// A blob that the message names, as the hot tier knew it when the reader was made.
struct BlobPlace {
    blob: BlobId,
    object: ObjectId,
    /// Offset of its first frame in the object.
    offset: u64,
    frames: Vec<FrameRef>,
}

/// Frames that were read ahead of the reader, kept until it came past them.
struct Ahead {
    /// Object and offset of the frames that they are of: a pack has those of many blobs.
    of: (ObjectId, u64),
    /// Which of those frames.
    first: usize,
    frames: Arc<Loan<Vec<Bytes>>>,
}

/// Reads raw ranges of one message. Holds what it read ahead: of two objects, at most [`READ_AHEAD_FRAMES`] each, within a budget that all
/// readers share and that is taken before they are read; beyond the budget one frame at a time is read.
pub struct BodyReader {
    fetcher: Fetcher,
    budget: Arc<Budget>,
    ahead: Mutex<VecDeque<Ahead>>,
    /// What was read ahead of a batch of messages.
    batch: Option<Arc<BatchAhead>>,
    shard: ShardNo,
    address: Address,
    size: u64,
    own: OwnFrames,
    blobs: Vec<BlobPlace>,
}

impl BodyReader {
    pub(crate) fn new(
        fetcher: Fetcher,
        budget: Arc<Budget>,
        shard: &Shard,
        message: &Message,
    ) -> Result<BodyReader> {
        let address = message.address.clone();
        let mut own = OwnFrames::in_segment(&address);
        let mut blobs = Vec::new();
        // What lies in a segment is read without a look at the hot tier.
        if own.frames.len() < address.extents.len() {
            let state = shard.hot.read()?;
            own = OwnFrames::of(&state, &address)?;
            for extent in &address.extents {
                if let Extent::Blob { blob, .. } = extent {
                    blobs.push(blob_place(&state, *blob)?);
                }
            }
        }
        Ok(BodyReader {
            fetcher,
            budget,
            ahead: Mutex::default(),
            batch: message.ahead.clone(),
            shard: shard.no,
            address,
            size: message.size,
            own,
            blobs,
        })
    }

    /// Octets of the message.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads the first bytes of every object that holds some of `start..end`: then all of them are there, as far as anybody can know.
    ///
    /// # Errors
    /// As [`BodyReader::read`].
    pub async fn prove(&self, start: u64, end: u64) -> Result<()> {
        let mut seen = Vec::new();
        let mut at = 0;
        for extent in &self.address.extents {
            let length = extent.raw_len();
            let first = at.max(start);
            let object = match extent {
                Extent::Blob { blob, .. } => Some(*blob),
                Extent::Frame(_) | Extent::Slice { .. } => None,
            };
            if first < (at + length).min(end) && !seen.contains(&object) {
                self.read(first, end).await?;
                seen.push(object);
            }
            at += length;
        }
        Ok(())
    }

    /// The next bytes of `start..end`, at least one and at most a frame (256 KiB); call again from where they end.
    ///
    /// # Errors
    /// `Unavailable` when the bytes are away now, `Corrupt` when no copy of them is right. Nothing may be concluded from either.
    pub async fn read(&self, start: u64, end: u64) -> Result<Bytes> {
        let outside = || {
            Error::new(
                Kind::Internal,
                format!("bytes {start}..{end} of a message of {}", self.size),
            )
        };
        let mut at = 0;
        let mut frame_index = 0;
        for extent in &self.address.extents {
            let length = extent.raw_len();
            if start < at + length {
                let within = start - at..(end - at).min(length);
                return match extent {
                    Extent::Frame(_) => self.frame(frame_index, within).await,
                    Extent::Slice { frame, skip, .. } => {
                        let skip = u64::from(*skip);
                        let index = self.own.index(*frame).unwrap_or(usize::MAX);
                        self.frame(index, within.start + skip..within.end + skip)
                            .await
                    }
                    Extent::Blob {
                        blob,
                        offset,
                        recode: Recode::Same,
                        ..
                    } => {
                        self.blob(*blob, within.start + offset..within.end + offset)
                            .await
                    }
                    Extent::Blob { blob, recode, .. } => self.recoded(*blob, *recode, within).await,
                };
            }
            at += length;
            frame_index += usize::from(matches!(extent, Extent::Frame(_)));
        }
        Err(outside())
    }

    async fn frame(&self, index: usize, within: Range<u64>) -> Result<Bytes> {
        let OwnFrames { offset, frames, .. } = &self.own;
        let got = self
            .fetch(self.address.object, *offset, frames, index)
            .await?;
        slice(&got, within)
    }

    /// Bytes of a part that is stored decoded, as many of `within` as a frame of the blob gives.
    async fn recoded(&self, blob: BlobId, recode: Recode, within: Range<u64>) -> Result<Bytes> {
        let place = self.place_of(blob)?;
        let raw = place.frames.iter().map(|frame| u64::from(frame.raw)).sum();
        let wrong = || Error::new(Kind::Corrupt, "a part is stored in a way that is not known");
        let shape = Shape::of(recode, raw).ok_or_else(wrong)?;
        let range = within.start..within.end.min(within.start + RECODED_AT_ONCE);
        let source = shape.source(range.clone());
        let mut decoded = Vec::new();
        let mut at = source.start;
        while at < source.end {
            let piece = self.blob(blob, at..source.end).await?;
            at += u64::try_from(piece.len()).unwrap_or(u64::MAX);
            decoded.extend_from_slice(&piece);
        }
        let text = Bytes::from(shape.write(range.clone(), &decoded));
        slice(&text, 0..range.end - range.start)
    }

    fn place_of(&self, blob: BlobId) -> Result<&BlobPlace> {
        let found = self.blobs.iter().find(|place| place.blob == blob);
        found.ok_or_else(unknown_blob)
    }

    async fn blob(&self, blob: BlobId, range: Range<u64>) -> Result<Bytes> {
        let place = self.place_of(blob)?;
        let mut at = 0;
        for (index, frame) in place.frames.iter().enumerate() {
            let raw = u64::from(frame.raw);
            if range.start < at + raw {
                let got = self
                    .fetch(place.object, place.offset, &place.frames, index)
                    .await?;
                return slice(&got, range.start - at..(range.end - at).min(raw));
            }
            at += raw;
        }
        Err(unknown_blob())
    }

    /// One frame; those behind it come along, so that a body of up to [`READ_AHEAD_FRAMES`] is one request to the store.
    async fn fetch(
        &self,
        object: ObjectId,
        offset: u64,
        frames: &[FrameRef],
        index: usize,
    ) -> Result<Bytes> {
        if let Some(frame) = self
            .ahead()
            .iter()
            .find_map(|a| a.frame((object, offset), index))
        {
            return Ok(frame);
        }
        let get = |held: &Held| held.get(self.shard, object, offset, frames, index);
        if let Some(held) = self.batch.as_ref().and_then(|batch| batch.look(get))
            && let Some(frame) = held.map_err(away)?
        {
            return Ok(frame);
        }
        // The reader came past what it held of this object, or had to give it back.
        self.ahead().retain(|a| a.of != (object, offset));
        // Where much is held already it is fewer frames: half of what is left, and in the end this one alone.
        let wanted = frames.len().saturating_sub(index).min(READ_AHEAD_FRAMES);
        let held = wanted.min(self.budget.free(2 * wanted) / 2);
        let place = self.budget.take(held).filter(|_| held > 1);
        let held = place.as_ref().map_or(1, |_| held);
        let until = frames.len().min(index + held);
        let got = self
            .fetcher
            .frames(self.shard, object, offset, frames, index..until)
            .await
            .map_err(away)?;
        let frame = got.first().cloned().ok_or_else(|| {
            Error::new(Kind::Internal, "a frame that does not exist was asked for")
        })?;
        if let Some(place) = place {
            let frames = self.budget.lend(got, place);
            let mut ahead = self.ahead();
            ahead.truncate(1);
            ahead.push_front(Ahead {
                of: (object, offset),
                first: index,
                frames,
            });
        }
        Ok(frame)
    }

    fn ahead(&self) -> MutexGuard<'_, VecDeque<Ahead>> {
        self.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ahead {
    fn frame(&self, of: (ObjectId, u64), index: usize) -> Option<Bytes> {
        let at = index.checked_sub(self.first)?;
        if self.of != of {
            return None;
        }
        self.frames.look(|frames| frames.get(at).cloned())?
    }
}

/// A missing object is away, never proof that mail is gone.
fn away(error: coldpost_tiers::Error) -> Error {
    let error = Error::from(error);
    match error.kind() {
        Kind::NotFound => Error::with_source(
            Kind::Unavailable,
            "the message's bytes are away now; try again",
            error,
        ),
        _ => error,
    }
}

fn slice(bytes: &Bytes, range: Range<u64>) -> Result<Bytes> {
    let wrong = || {
        Error::new(
            Kind::Corrupt,
            "a frame is shorter than the message's row says",
        )
    };
    let start = usize::try_from(range.start).map_err(|_| wrong())?;
    let end = usize::try_from(range.end).map_err(|_| wrong())?;
    if start >= end || end > bytes.len() {
        return Err(wrong());
    }
    Ok(bytes.slice(start..end))
}

/// Offset of a blob's first frame in its object.
pub(crate) fn blob_offset(row: &BlobRow) -> u64 {
    if row.object == ObjectId::blob(row.record.blob) {
        row.record.object_bytes.saturating_sub(row.stored_bytes())
    } else {
        row.offset
    }
}

fn unknown_blob() -> Error {
    Error::new(Kind::Corrupt, "a blob that this message names is not known")
}

fn blob_place(state: &Snapshot, blob: BlobId) -> Result<BlobPlace> {
    let value = state
        .get(TableName::Blobs, &key::blob(blob))?
        .ok_or_else(unknown_blob)?;
    let row = BlobRow::decode("blobs", &value)?;
    Ok(BlobPlace {
        blob,
        object: row.object,
        offset: blob_offset(&row),
        frames: row.record.frames,
    })
}

/// A section of a message with its exact length known before the first byte is sent (an IMAP literal needs it).
pub struct SectionReader {
    source: Source,
    length: u64,
}

enum Source {
    Memory(VecDeque<Bytes>),
    Body {
        reader: BodyReader,
        range: Range<u64>,
    },
}

impl SectionReader {
    pub(crate) fn memory(bytes: Bytes) -> SectionReader {
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        SectionReader {
            source: Source::Memory(VecDeque::from([bytes])),
            length,
        }
    }

    pub(crate) fn body(reader: BodyReader, range: Range<u64>) -> SectionReader {
        SectionReader {
            length: range.end - range.start,
            source: Source::Body { reader, range },
        }
    }

    /// Octets that `next` gives in all.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether it has no octets.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes sure that all of it is there, before a literal's length is sent.
    ///
    /// # Errors
    /// As [`BodyReader::read`].
    pub async fn prove(&self) -> Result<()> {
        match &self.source {
            Source::Memory(_) => Ok(()),
            Source::Body { reader, range } => reader.prove(range.start, range.end).await,
        }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// As [`BodyReader::read`].
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        match &mut self.source {
            Source::Memory(pieces) => Ok(pieces.pop_front().filter(|piece| !piece.is_empty())),
            Source::Body { range, .. } if range.start >= range.end => Ok(None),
            Source::Body { reader, range } => {
                let piece = reader.read(range.start, range.end).await?;
                range.start += u64::try_from(piece.len()).unwrap_or(u64::MAX);
                Ok(Some(piece))
            }
        }
    }
}
