//! Bytes of a message, read in pieces: from memory, local disk or the bucket.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use coldpost_tiers::address::{Extent, FrameRef, ObjectId, Recode};
use coldpost_tiers::fetch::{Fetcher, Held};

use crate::error::{Error, Kind, Result};
use crate::ids::{AccountId, AccountRef, MessageId};
use crate::limits::{MOVES_FOLLOWED_MAX, READ_AHEAD_FRAMES, RECODED_AT_ONCE};
use crate::mail::base64_text::Shape;
use crate::shard::Shard;
use crate::view::Message;
use crate::view::ahead::Ahead as BatchAhead;
use crate::view::budget::{Budget, Loan};
use crate::view::frames::OwnFrames;
use crate::view::place::{BlobPlace, Place, unknown_blob};

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
    shard: Arc<Shard>,
    message: (AccountRef, MessageId),
    size: u64,
    /// Another one when the message was moved.
    place: Mutex<Arc<Place>>,
}

impl BodyReader {
    pub(crate) fn new(
        fetcher: Fetcher,
        budget: Arc<Budget>,
        shard: &Arc<Shard>,
        message: &Message,
    ) -> Result<BodyReader> {
        let place = Place::of(shard, message)?;
        Ok(BodyReader {
            fetcher,
            budget,
            ahead: Mutex::default(),
            batch: message.ahead.clone(),
            shard: Arc::clone(shard),
            message: (message.account, message.id),
            size: message.size,
            place: Mutex::new(Arc::new(place)),
        })
    }

    /// Octets of the message.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads the first bytes of every object that holds some of `start..end`: then all of them are there, as far as anybody can know. Of a body
    /// that broke off before, all from there on.
    ///
    /// # Errors
    /// As [`BodyReader::read`].
    pub async fn prove(&self, start: u64, end: u64) -> Result<()> {
        if let Some(first) = self.shard.broken.at(self.body())
            && first < end
        {
            let mut at = first.max(start);
            while at < end {
                let piece = self.read(at, end).await?;
                at += u64::try_from(piece.len()).unwrap_or(u64::MAX);
            }
            // Behind the first place there may be others.
            if first >= start {
                self.shard.broken.forget(self.body());
            }
        }
        let mut seen = Vec::new();
        let mut at = 0;
        for extent in &self.place().address.extents {
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
        for _ in 0..MOVES_FOLLOWED_MAX {
            let place = self.place();
            let error = match self.read_at(&place, start, end).await {
                Err(error) if error.kind() != Kind::Internal => error,
                read => return read,
            };
            // It may have been compacted since its row was read, and its old object deleted. The bytes are the same.
            match place.moved(&self.shard, self.message) {
                Ok(Some(moved)) => *locked(&self.place) = Arc::new(moved),
                Ok(None) | Err(_) => return Err(error),
            }
        }
        let text = "the message is moved again and again; try again";
        Err(Error::new(Kind::Unavailable, text))
    }

    fn body(&self) -> (AccountId, MessageId) {
        (self.message.0.number, self.message.1)
    }

    fn place(&self) -> Arc<Place> {
        Arc::clone(&locked(&self.place))
    }

    async fn read_at(&self, place: &Place, start: u64, end: u64) -> Result<Bytes> {
        let outside = || {
            Error::new(
                Kind::Internal,
                format!("bytes {start}..{end} of a message of {}", self.size()),
            )
        };
        let mut at = 0;
        let mut index = 0;
        for extent in &place.address.extents {
            let length = extent.raw_len();
            if start < at + length {
                let within = start - at..(end - at).min(length);
                let until = place.frames_until(end);
                return match *extent {
                    Extent::Frame(_) => self.frame(place, index, within, until).await,
                    Extent::Slice { frame, skip, .. } => {
                        let skip = u64::from(skip);
                        let index = place.own.index(frame).unwrap_or(usize::MAX);
                        let within = within.start + skip..within.end + skip;
                        self.frame(place, index, within, until).await
                    }
                    Extent::Blob {
                        blob,
                        offset,
                        recode: Recode::Same,
                        ..
                    } => {
                        let range = within.start + offset..within.end + offset;
                        self.blob(place.blob(blob)?, range.clone(), range.end).await
                    }
                    Extent::Blob { blob, recode, .. } => {
                        self.recoded(place.blob(blob)?, recode, within).await
                    }
                };
            }
            at += length;
            index += usize::from(matches!(extent, Extent::Frame(_)));
        }
        Err(outside())
    }

    async fn frame(
        &self,
        place: &Place,
        index: usize,
        within: Range<u64>,
        until: usize,
    ) -> Result<Bytes> {
        let OwnFrames { offset, frames, .. } = &place.own;
        let of = (place.address.object, *offset);
        let got = self.fetch(of, frames, index, until).await?;
        slice(&got, within)
    }

    /// Bytes of a part that is stored decoded, as many of `within` as a frame of the blob gives.
    async fn recoded(
        &self,
        place: &BlobPlace,
        recode: Recode,
        within: Range<u64>,
    ) -> Result<Bytes> {
        let raw = place.frames.iter().map(|frame| u64::from(frame.raw)).sum();
        let wrong = || Error::new(Kind::Corrupt, "a part is stored in a way that is not known");
        let shape = Shape::of(recode, raw).ok_or_else(wrong)?;
        let until = shape.source(within.clone()).end;
        let range = within.start..within.end.min(within.start + RECODED_AT_ONCE);
        let source = shape.source(range.clone());
        let mut decoded = Vec::new();
        let mut at = source.start;
        while at < source.end {
            let piece = self.blob(place, at..source.end, until).await?;
            at += u64::try_from(piece.len()).unwrap_or(u64::MAX);
            decoded.extend_from_slice(&piece);
        }
        let text = Bytes::from(shape.write(range.clone(), &decoded));
        slice(&text, 0..range.end - range.start)
    }

    /// Bytes of a blob, as many as stand in one frame, for who goes on to `until`.
    async fn blob(&self, place: &BlobPlace, range: Range<u64>, until: u64) -> Result<Bytes> {
        let mut at = 0;
        let mut found = None;
        for (index, frame) in place.frames.iter().enumerate() {
            let raw = u64::from(frame.raw);
            if found.is_none() && range.start < at + raw {
                found = Some((index, range.start - at..(range.end - at).min(raw)));
            }
            at += raw;
            if let Some((first, within)) = &found
                && (at >= until || index + 1 == place.frames.len())
            {
                let of = (place.object, place.offset);
                let got = self.fetch(of, &place.frames, *first, index + 1).await?;
                return slice(&got, within.clone());
            }
        }
        Err(unknown_blob())
    }

    /// One frame, for who needs those before `until` as well; of those behind it so many come along that a body of up to
    /// [`READ_AHEAD_FRAMES`] is one request to the store, and with a disk cache a longer one too.
    async fn fetch(
        &self,
        of: (ObjectId, u64),
        frames: &[FrameRef],
        index: usize,
        until: usize,
    ) -> Result<Bytes> {
        let (object, offset) = of;
        if let Some(frame) = self.ahead().iter().find_map(|a| a.frame(of, index)) {
            return Ok(frame);
        }
        let get = |held: &Held| held.get(self.shard.no, object, offset, frames, index);
        if let Some(held) = self.batch.as_ref().and_then(|batch| batch.look(get))
            && let Some(frame) = held.map_err(away)?
        {
            return Ok(frame);
        }
        // The reader came past what it held of this object, or had to give it back.
        self.ahead().retain(|a| a.of != of);
        // Where much is held already it is fewer frames: half of what is left, and in the end this one alone.
        let wanted = frames.len().saturating_sub(index).min(READ_AHEAD_FRAMES);
        let held = wanted.min(self.budget.free(2 * wanted) / 2);
        let place = self.budget.take(held).filter(|_| held > 1);
        let held = place.as_ref().map_or(1, |_| held);
        let want = index..frames.len().min(index + held);
        let shard = self.shard.no;
        let got = self
            .fetcher
            .frames_toward(shard, object, offset, frames, want, until)
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
                of,
                first: index,
                frames,
            });
        }
        Ok(frame)
    }

    fn ahead(&self) -> MutexGuard<'_, VecDeque<Ahead>> {
        locked(&self.ahead)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
                let piece = reader.read(range.start, range.end).await;
                let broken = &reader.shard.broken;
                let piece = piece.inspect_err(|_| broken.note(reader.body(), range.start))?;
                range.start += u64::try_from(piece.len()).unwrap_or(u64::MAX);
                Ok(Some(piece))
            }
        }
    }
}
