//! Goes through a segment from record to record and checks everything; what it makes of a misfit is up to the caller.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::batch::{self, Batch};
use super::{Mark, Record, Seeds, record, size};
use crate::disk::{self, DiskFile};
use crate::limits::READ_CHUNK;
use crate::object::{HEADER_MAX, ObjectHeader};
use crate::{Result, frame};

/// A file, read in large pieces up to `end`.
#[derive(Debug)]
pub(super) struct Window {
    file: Arc<dyn DiskFile>,
    name: String,
    end: u64,
    base: u64,
    bytes: Bytes,
}

impl Window {
    /// Of the whole file.
    pub(super) fn new(file: Arc<dyn DiskFile>, path: &Path) -> Result<Window> {
        let end = file.len().map_err(|e| disk::failed("read", path, e))?;
        Ok(Window {
            file,
            name: path.display().to_string(),
            end,
            base: 0,
            bytes: Bytes::new(),
        })
    }

    /// What errors call the file.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where reading ends.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Lets reading end at `end`, if the file is that long.
    pub(super) fn cut(&mut self, end: u64) {
        self.end = self.end.min(end);
    }

    /// `n` bytes from `offset` on, or as many as there are before the end; `n` is at most [`READ_CHUNK`].
    pub(super) fn at(&mut self, offset: u64, n: usize) -> Result<Bytes> {
        let left = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let n = n.min(left);
        let within = offset
            .checked_sub(self.base)
            .and_then(|d| usize::try_from(d).ok());
        if let Some(from) = within.filter(|from| from.saturating_add(n) <= self.bytes.len()) {
            return Ok(self.bytes.slice(from..from + n));
        }
        let mut bytes = vec![0; left.min(READ_CHUNK)];
        self.file
            .read_at(offset, &mut bytes)
            .map_err(|e| disk::failed("read", Path::new(&self.name), e))?;
        self.bytes = bytes.into();
        self.base = offset;
        Ok(self.bytes.slice(..n))
    }

    /// The object header and its length.
    pub(super) fn header(&mut self) -> Result<(ObjectHeader, u64)> {
        let bytes = self.at(0, HEADER_MAX)?;
        let (header, length) = ObjectHeader::decode(&bytes, &self.name)?;
        Ok((header, size(length)))
    }

    /// The first whole batch frame from `from` on, wherever it stands.
    pub(super) fn next_batch(&mut self, seed: u32, mut from: u64) -> Result<Option<Batch>> {
        while from < self.end {
            let bytes = self.at(from, READ_CHUNK)?;
            let mut search = 0;
            while let Some(at) = batch::candidate(&bytes, search) {
                let offset = from + size(at);
                let frame = self.at(offset, batch::LENGTH)?;
                if let Ok(found) = Batch::decode(&frame, seed, offset) {
                    return Ok(Some(found));
                }
                search = at + 1;
            }
            // A frame may begin in the last few bytes of this piece.
            let step = bytes.len().saturating_sub(batch::LENGTH).max(1);
            from += size(step);
        }
        Ok(None)
    }
}

/// What stands at a place.
#[derive(Debug)]
pub(super) enum Step {
    /// The next record.
    Record(Record),
    /// A batch frame that fits.
    Batch(Batch),
    /// The end of the file, or of what may be read.
    End,
    /// An index frame or the footer: no records follow.
    Index,
    /// Something that does not belong here.
    Misfit(&'static str),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Walker {
    pub(super) window: Window,
    pub(super) mark: Mark,
    seeds: Seeds,
}

impl Walker {
    /// At the first record of the segment with this header.
    pub(super) fn new(window: Window, header: &ObjectHeader, header_length: u64) -> Walker {
        Walker {
            window,
            mark: start(header, header_length),
            seeds: Seeds::of(header),
        }
    }

    /// Looks at the next place and moves behind it, except when it is a misfit or an end.
    pub(super) fn step(&mut self) -> Result<Step> {
        let offset = self.mark.offset;
        let head = self.window.at(offset, batch::LENGTH)?;
        if head.is_empty() {
            return Ok(Step::End);
        }
        let magic = head
            .get(..4)
            .and_then(|b| b.try_into().ok())
            .map_or(0, u32::from_le_bytes);
        Ok(match magic {
            frame::RECORD => return self.record(&head),
            frame::BATCH => self.batch(&head),
            frame::INDEX | frame::FOOTER => Step::Index,
            _ => Step::Misfit("neither a record nor a batch frame stands here"),
        })
    }

    fn record(&mut self, head: &[u8]) -> Result<Step> {
        let whole = match record::whole_len(head) {
            Ok(whole) => whole,
            Err(why) => return Ok(Step::Misfit(why)),
        };
        let bytes = self.window.at(self.mark.offset, whole)?;
        if bytes.len() < whole {
            return Ok(Step::Misfit("a record goes on beyond the end"));
        }
        Ok(record::decode(bytes, self.seeds.record, &mut self.mark)
            .map_or_else(Step::Misfit, Step::Record))
    }

    fn batch(&mut self, head: &[u8]) -> Step {
        match Batch::decode(head, self.seeds.segment, self.mark.offset) {
            Err(why) => Step::Misfit(why),
            Ok(batch) if (batch.next, batch.chain) != (self.mark.next, self.mark.chain) => {
                Step::Misfit("a batch frame follows another record than the one before it")
            }
            Ok(batch) => {
                self.mark.offset += size(batch::LENGTH);
                Step::Batch(batch)
            }
        }
    }

    /// At a misfit: the next record, when only the batch frame before it is damaged.
    pub(super) fn behind_frame(&mut self) -> Result<Option<Record>> {
        let before = self.mark;
        self.mark.offset += size(batch::LENGTH);
        if let Step::Record(record) = self.step()? {
            return Ok(Some(record));
        }
        self.mark = before;
        Ok(None)
    }

    /// At a misfit: the record that stands here but for some of its bytes. What follows it must fit the checksum that it states: so
    /// its length, its position and that checksum are what was written.
    pub(super) fn suspect(&mut self) -> Result<Option<Record>> {
        let before = self.mark;
        let head = self.window.at(before.offset, batch::LENGTH)?;
        let begins = head.starts_with(&frame::RECORD.to_le_bytes());
        let Some(whole) = record::whole_len(&head).ok().filter(|_| begins) else {
            return Ok(None);
        };
        let bytes = self.window.at(before.offset, whole)?;
        let Some((record, behind)) = record::unchecked(bytes, whole, &before) else {
            return Ok(None);
        };
        self.mark = behind;
        let follows = matches!(self.step()?, Step::Record(_) | Step::Batch(_) | Step::Index);
        self.mark = if follows { behind } else { before };
        Ok(follows.then_some(record))
    }

    /// The first whole batch frame from `from` on.
    pub(super) fn next_batch(&mut self, from: u64) -> Result<Option<Batch>> {
        self.window.next_batch(self.seeds.segment, from)
    }

    /// Goes on at a batch frame behind damage: the sums of the mark are then those of what was read.
    pub(super) fn resume(&mut self, batch: &Batch) {
        self.mark = Mark {
            offset: batch.offset,
            next: batch.next,
            chain: batch.chain,
            ..self.mark
        };
    }
}

/// Where the records of a segment with this header begin.
pub(super) fn start(header: &ObjectHeader, header_length: u64) -> Mark {
    let (next, chain) = (header.first, header.chain);
    Mark {
        offset: header_length,
        next,
        chain,
        records: 0,
        record_bytes: 0,
        time_ms: 0,
    }
}
