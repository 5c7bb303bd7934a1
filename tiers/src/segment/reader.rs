//! Reads records in chain, with every check, from a sealed segment or the durable part of an open one.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;

use super::walk::{Step, Walker, Window};
use super::{Mark, Record, size};
use crate::address::Position;
use crate::disk::{self, Disk, DiskFile};
use crate::object::ObjectHeader;
use crate::{Error, Kind, Result};

/// Gives one record after the other; ends at the end of the records or at the first error.
#[derive(Debug)]
pub struct SegmentReader {
    header: ObjectHeader,
    walker: Walker,
    ended: bool,
}

impl SegmentReader {
    /// Reads the file from its first record on, to the end of its records.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`; `Corrupt` or `Invalid` for its header.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<SegmentReader> {
        let file = disk.open(path).map_err(|e| disk::failed("open", path, e))?;
        SegmentReader::of(file, path)
    }

    /// The same with an open file; `path` is for errors.
    ///
    /// # Errors
    /// As [`SegmentReader::open`].
    pub fn of(file: Arc<dyn DiskFile>, path: &Path) -> Result<SegmentReader> {
        let mut window = Window::new(file, path)?;
        let (header, length) = window.header()?;
        let walker = Walker::new(window, &header, length);
        Ok(SegmentReader {
            header,
            walker,
            ended: false,
        })
    }

    /// The same with the header that the file should have, whatever its own says: for who reads on past damage. Its `chain` is taken
    /// from the first batch frame.
    ///
    /// # Errors
    /// `Unavailable`.
    pub fn behind_header(
        file: Arc<dyn DiskFile>,
        path: &Path,
        header: ObjectHeader,
    ) -> Result<SegmentReader> {
        let length = size(header.encode().len());
        let mut walker = Walker::new(Window::new(file, path)?, &header, length);
        if let Some(batch) = walker.next_batch(length)?
            && (batch.offset, batch.next) == (length, header.first)
        {
            walker.resume(&batch);
        }
        Ok(SegmentReader {
            header,
            walker,
            ended: false,
        })
    }

    /// Ends at `end`, the end of a record: for an open segment that is being written.
    #[must_use]
    pub fn up_to(mut self, end: u64) -> SegmentReader {
        self.walker.window.cut(end);
        self
    }

    /// Goes on at a known place: the end of a record, the position of the next one and the checksum of the one before.
    /// The sums of [`SegmentReader::mark`] count from here.
    #[must_use]
    pub fn resume_at(mut self, offset: u64, next: Position, chain: u32) -> SegmentReader {
        self.walker.mark = Mark {
            offset,
            next,
            chain,
            ..self.walker.mark
        };
        self
    }

    /// Reads over, checking, to the record at `position`, which is then the next one; to the end when all are before it.
    ///
    /// # Errors
    /// `Corrupt` when something before it is.
    pub fn read_from(mut self, position: Position) -> Result<SegmentReader> {
        if position < self.walker.mark.next {
            let what = format!(
                "{}: position {} is before this segment",
                self.walker.window.name(),
                position.0
            );
            return Err(Error::new(Kind::NotFound, what));
        }
        while self.walker.mark.next < position && self.next_record()?.is_some() {}
        Ok(self)
    }

    /// The last position that a whole batch frame states as durable, whatever is damaged before it: behind it a crash may have left a torn
    /// tail. The one before the segment when none does.
    ///
    /// # Errors
    /// `Unavailable`.
    pub fn promised(mut self) -> Result<Position> {
        let mut promised = Position(self.header.first.0.saturating_sub(1));
        let mut durable = 0;
        let mut waiting = VecDeque::new();
        loop {
            let batch = match self.walker.step()? {
                Step::Record(_) => continue,
                Step::End | Step::Index => break,
                Step::Batch(batch) => batch,
                Step::Misfit(_) => {
                    let Some(batch) = self.walker.next_batch(self.walker.mark.offset)? else {
                        break;
                    };
                    // It fits from here on, also where it follows another record than was read.
                    self.walker.resume(&batch);
                    continue;
                }
            };
            durable = durable.max(batch.durable);
            waiting.push_back((batch.offset, batch.next));
            while let Some((_, next)) = waiting.pop_front_if(|(offset, _)| *offset <= durable) {
                promised = Position(next.0.saturating_sub(1));
            }
        }
        Ok(promised)
    }

    pub(super) fn into_walker(self) -> Walker {
        self.walker
    }

    /// What the file says about itself.
    pub fn header(&self) -> &ObjectHeader {
        &self.header
    }

    /// Behind the last record given.
    pub fn mark(&self) -> &Mark {
        &self.walker.mark
    }

    /// The next record, `None` at the end.
    ///
    /// # Errors
    /// `Corrupt` with the place when something does not fit, `Unavailable` when the disk refuses.
    pub fn next_record(&mut self) -> Result<Option<Record>> {
        while !self.ended {
            match self.walker.step()? {
                Step::Record(record) => return Ok(Some(record)),
                Step::Batch(_) => {}
                Step::End | Step::Index => self.ended = true,
                Step::Misfit(why) => {
                    self.ended = true;
                    let (name, offset) = (self.walker.window.name(), self.walker.mark.offset);
                    return Err(Error::corrupt(
                        name,
                        offset,
                        format!("{name}: {why}, at byte {offset}"),
                    ));
                }
            }
        }
        Ok(None)
    }
}

impl Iterator for SegmentReader {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Result<Record>> {
        self.next_record().transpose()
    }
}
