//! The segment that is written: batches go to its end, a sync makes them durable, a seal ends it.
//!
//! Promises: one batch is one write; nothing counts as durable before its sync came back good. After a failed sync nothing more is
//! written, synced or believed: [`OpenSegment::rescue`] copies what was durable to a new file. Of a seal the sync of the directory, which
//! comes last, may be repeated: either name is the whole segment to the next start.
//! A crash leaves: a file that [`super::recover`] cuts back to its last whole record.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch::Batch;
use super::copy::{self, directory};
use super::footer::Footer;
use super::{
    FileState, IndexEntry, Mark, Placed, RecordParts, SealedSegment, Seeds, file_path, index,
    record, size, walk,
};
use crate::address::{ObjectKind, Position};
use crate::disk::{self, Disk, DiskFile};
use crate::limits::{READ_CHUNK, RECORD_MAX};
use crate::object::ObjectHeader;
use crate::{Error, Kind, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Well,
    Broken,
    /// Whole, durable and renamed; the directory is not synced yet.
    Named,
    Sealed,
}

/// See the module.
pub struct OpenSegment {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    header: ObjectHeader,
    seeds: Seeds,
    written: Mark,
    durable: Mark,
    state: State,
    buffer: Vec<u8>,
}

impl OpenSegment {
    /// Makes the file in `dir`; it and its name are durable when this returns. `header` is that of a segment.
    ///
    /// # Errors
    /// `Conflict` when the file exists, `Unavailable` when the disk refuses.
    pub fn create(disk: Arc<dyn Disk>, dir: &Path, header: ObjectHeader) -> Result<OpenSegment> {
        assert_eq!(
            header.object.kind,
            ObjectKind::Segment,
            "a journal is made of segments"
        );
        let path = file_path(dir, header.epoch, header.first, FileState::Open);
        let bytes = header.encode();
        let make = || {
            let file = disk.create(&path)?;
            file.write_at(0, &bytes)?;
            file.sync_data()?;
            disk.sync_dir(dir)?;
            Ok(file)
        };
        let file = make().map_err(|e| disk::failed("make the segment", &path, e))?;
        let mark = walk::start(&header, size(bytes.len()));
        Ok(OpenSegment::at(disk, path, file, header, mark))
    }

    /// A file whose every byte up to `mark`, its end, is durable.
    pub(super) fn at(
        disk: Arc<dyn Disk>,
        path: PathBuf,
        file: Arc<dyn DiskFile>,
        header: ObjectHeader,
        mark: Mark,
    ) -> OpenSegment {
        let seeds = Seeds::of(&header);
        OpenSegment {
            disk,
            path,
            file,
            header,
            seeds,
            written: mark,
            durable: mark,
            state: State::Well,
            buffer: Vec::new(),
        }
    }

    /// What its file says about itself.
    pub fn header(&self) -> &ObjectHeader {
        &self.header
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file, for readers of what is durable.
    pub fn file(&self) -> Arc<dyn DiskFile> {
        Arc::clone(&self.file)
    }

    /// The end of what was written.
    pub fn written(&self) -> &Mark {
        &self.written
    }

    /// The end of what is durable.
    pub fn durable(&self) -> &Mark {
        &self.durable
    }

    /// Whether a write or sync failed for good: [`OpenSegment::rescue`] is what is left.
    pub fn is_broken(&self) -> bool {
        matches!(self.state, State::Broken | State::Sealed)
    }

    /// Whether a seal got as far as its new name, and only the sync of the directory failed: [`OpenSegment::try_seal`] repeats that, and
    /// nothing else can be done with it meanwhile.
    pub fn is_named(&self) -> bool {
        self.state == State::Named
    }

    /// Position of the next record.
    pub fn next(&self) -> Position {
        self.written.next
    }

    /// Whether a record of `record` bytes must go to the next segment.
    pub fn would_exceed(&self, record: u64, segment_size: u64) -> bool {
        super::would_exceed(self.written.record_bytes, record, segment_size)
    }

    /// Writes a batch: one frame, the records, one write; nothing is synced. `time_ms` is since 1970.
    ///
    /// # Errors
    /// `Limit` for a record over [`RECORD_MAX`]: nothing was written. `Unavailable` when the disk refuses: on a full disk nothing was
    /// written and a later batch may go well, after any other failure the segment is broken.
    pub fn append_batch(
        &mut self,
        records: &[RecordParts<'_>],
        time_ms: u64,
    ) -> Result<Vec<Placed>> {
        self.usable()?;
        for parts in records {
            let length = record::record_len(parts.meta.len(), parts.body.len());
            if length > size(RECORD_MAX) {
                let what = format!(
                    "a record of {length} bytes, at most {RECORD_MAX} are allowed; store large parts as blobs"
                );
                return Err(Error::new(Kind::Limit, what));
            }
        }
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let mut end = self.begin_batch(time_ms, false);
        let placed = records
            .iter()
            .map(|parts| record::append(&mut self.buffer, self.seeds.record, &mut end, parts))
            .collect();
        self.write(end)?;
        Ok(placed)
    }

    /// Writes and syncs an empty batch, so that the last promised one is below a stated durable offset.
    ///
    /// # Errors
    /// As [`OpenSegment::append_batch`] and [`OpenSegment::sync`].
    pub fn idle_mark(&mut self, time_ms: u64) -> Result<()> {
        self.sync()?;
        let end = self.begin_batch(time_ms, true);
        self.write(end)?;
        self.sync()
    }

    /// Makes everything written durable.
    ///
    /// # Errors
    /// `Unavailable`, and then for ever: see the module.
    pub fn sync(&mut self) -> Result<()> {
        self.usable()?;
        if self.durable != self.written {
            self.file.sync_data().map_err(|e| {
                self.state = State::Broken;
                disk::failed("sync", &self.path, e)
            })?;
            self.durable = self.written;
        }
        Ok(())
    }

    /// Copies what was durable to a new file under the same name; the old one is not read again.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses this too: the shard stays down then. `Corrupt` when the old file does not give its durable
    /// bytes back.
    pub fn rescue(self) -> Result<OpenSegment> {
        if matches!(self.state, State::Named | State::Sealed) {
            self.usable()?;
        }
        let durable = self.durable;
        let file = copy::replace(
            &*self.disk,
            &self.path,
            &*self.file,
            durable.offset,
            &durable,
        )?;
        Ok(OpenSegment::at(
            self.disk,
            self.path,
            file,
            self.header,
            durable,
        ))
    }

    /// Ends the segment: records synced, index and footer, another sync, then its final name. `index` ascends; its entries name messages
    /// of this segment.
    ///
    /// # Errors
    /// As [`OpenSegment::try_seal`]; the file is recovered then.
    pub fn seal(mut self, index: &[IndexEntry]) -> Result<SealedSegment> {
        self.try_seal(index)
    }

    /// The same, and a full disk does no harm. After success only the sealed segment is used.
    ///
    /// # Errors
    /// `Internal` when there is no record or the index is wrong. `Unavailable` when the disk refuses: on a full disk the segment is as it was
    /// and can be sealed later; when only its directory could not be synced, the same ([`OpenSegment::is_named`]); after any other failure
    /// it is broken.
    pub fn try_seal(&mut self, index: &[IndexEntry]) -> Result<SealedSegment> {
        if self.state != State::Named {
            self.end_with(index)?;
        }
        let sealed = self.sealed_path();
        self.disk
            .sync_dir(directory(&sealed))
            .map_err(|e| disk::failed("sync the directory of", &sealed, e))?;
        let segment = SealedSegment::of(self.file(), &sealed)?;
        self.state = State::Sealed;
        Ok(segment)
    }

    /// Records synced, index and footer, another sync, the final name.
    fn end_with(&mut self, index: &[IndexEntry]) -> Result<()> {
        self.sync()?;
        let wrong = |what: &str| {
            Err(Error::new(
                Kind::Internal,
                format!("{}: {what}", self.path.display()),
            ))
        };
        if self.written.records == 0 {
            return wrong("a segment without records cannot be sealed");
        }
        let inside =
            |e: &IndexEntry| e.position < self.written.next && e.end() <= self.written.offset;
        if !index.iter().all(inside) {
            return wrong("the index names a message behind the end of the segment");
        }
        let first = self.header.first;
        self.buffer = index::encode(first, index)?;
        let footer = Footer::new(first, &self.written).encode(self.seeds.segment);
        self.buffer.extend_from_slice(&footer);
        self.write_buffer()?;
        self.state = State::Broken;
        self.file
            .sync_data()
            .map_err(|e| disk::failed("sync", &self.path, e))?;
        self.disk
            .rename(&self.path, &self.sealed_path())
            .map_err(|e| disk::failed("rename", &self.path, e))?;
        self.state = State::Named;
        Ok(())
    }

    fn sealed_path(&self) -> PathBuf {
        let (epoch, first) = (self.header.epoch, self.header.first);
        file_path(directory(&self.path), epoch, first, FileState::Sealed)
    }

    fn usable(&self) -> Result<()> {
        let why = match self.state {
            State::Well => return Ok(()),
            State::Broken => "a write or sync failed; only what was durable before can be rescued",
            State::Named => "its final name is not durable yet; seal it again",
            State::Sealed => {
                "it has its final name already; open the sealed segment, or start again when that fails"
            }
        };
        Err(Error::new(
            Kind::Unavailable,
            format!("{}: {why}", self.path.display()),
        ))
    }

    /// Puts a batch frame into the buffer and gives the mark behind it.
    fn begin_batch(&mut self, time_ms: u64, idle: bool) -> Mark {
        let frame =
            Batch::at(&self.written, &self.durable, time_ms, idle).encode(self.seeds.segment);
        self.buffer.clear();
        self.buffer.shrink_to(4 * READ_CHUNK);
        self.buffer.extend_from_slice(&frame);
        Mark {
            offset: self.written.offset + size(frame.len()),
            ..self.written
        }
    }

    fn write(&mut self, end: Mark) -> Result<()> {
        let written = self.written.offset + size(self.buffer.len());
        assert_eq!(written, end.offset, "the mark counts what is in the buffer");
        self.write_buffer()?;
        self.written = end;
        Ok(())
    }

    fn write_buffer(&mut self) -> Result<()> {
        let start = self.written.offset;
        self.file.write_at(start, &self.buffer).map_err(|e| {
            // A full disk is nobody's loss when the part that fitted is taken back; of anything else we know nothing.
            let taken_back = disk::is_full(&e) && self.file.set_len(start).is_ok();
            if !taken_back {
                self.state = State::Broken;
            }
            disk::failed("append to", &self.path, e)
        })
    }
}

impl fmt::Debug for OpenSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("OpenSegment");
        out.field("path", &self.path)
            .field("written", &self.written)
            .field("durable", &self.durable);
        out.field("state", &self.state).finish_non_exhaustive()
    }
}
