//! The embedded journal: an append-only segment file, group commit, one fsync a batch.
//!
//! A crash leaves: an open file with a torn tail, or a file that was being sealed; `open` puts both right.

mod open;

use std::path::PathBuf;
use std::sync::Arc;

use coldpost_tiers::disk::{self, Disk};
use coldpost_tiers::object::ObjectHeader;
use coldpost_tiers::segment::{
    FileState, IndexEntry, Lineage, OpenSegment, Placed, RecordParts, SealedSegment, SegmentReader,
    file_path, record_len, would_exceed,
};

use super::{Appended, Journal, Record, index_of};
use crate::apply::At;
use crate::error::{Error, Kind, Result};
use crate::ids::Position;
use crate::op::{self, Op};

pub use open::{EmbeddedSettings, LocalSegment, Opened, local_segments};

/// See the module.
pub struct Embedded {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    lineage: Lineage,
    /// `None` until the first entry after a seal, and for good when a disk error could not be mended.
    open: Option<OpenSegment>,
    /// Position and checksum of the next segment's beginning, while there is no open one.
    next: (Position, u32),
    /// A disk error could not be mended.
    closed: bool,
    /// What the index of the open segment will say.
    index: Vec<IndexEntry>,
    segment_size: u64,
    /// Whether the last batch written was an idle mark.
    marked: bool,
    /// The open segment is to be sealed before anything else: it ends with a `cut` and a full disk did not let it be sealed yet, or of its
    /// seal the sync of the directory is left.
    seals_first: bool,
}

impl Embedded {
    /// The first position of the open segment, or of the one that is made next.
    pub(crate) fn segment_first(&self) -> Position {
        self.open.as_ref().map_or(self.next.0, |o| o.header().first)
    }

    fn at(&self, placed: &Placed) -> At {
        let first = self.open.as_ref().map_or(Position(0), |o| o.header().first);
        At {
            shard: self.lineage.shard,
            epoch: self.lineage.epoch,
            position: placed.position,
            segment_first: first,
            body_offset: placed.body_offset,
            end_offset: placed.end_offset,
            chain: placed.chain,
        }
    }

    fn open_segment(&mut self) -> Result<&mut OpenSegment> {
        let gone = || {
            Error::new(
                Kind::Unavailable,
                "the journal is closed after a disk error; restart when the disk is well",
            )
        };
        if self.closed {
            return Err(gone());
        }
        if self.open.is_none() {
            self.remove_half_made()?;
            let header = segment_header(self.lineage, self.next.0, self.next.1);
            self.open = Some(OpenSegment::create(
                Arc::clone(&self.disk),
                &self.dir,
                header,
            )?);
        }
        self.open.as_mut().ok_or_else(gone)
    }

    /// What an attempt to make the next segment left on a full disk: nothing in it was promised.
    fn remove_half_made(&self) -> Result<()> {
        let path = file_path(&self.dir, self.lineage.epoch, self.next.0, FileState::Open);
        match self.disk.remove(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(disk::failed("remove", &path, e).into())
            }
            _ => Ok(()),
        }
    }

    /// How many records from the front of `batch` go into the open segment, and whether it is sealed after them.
    fn run_length(&self, batch: &[Record]) -> (usize, bool) {
        let before = self
            .open
            .as_ref()
            .map_or(0, |open| open.written().record_bytes);
        let mut bytes = 0;
        let mut empty = before == 0;
        for (n, record) in batch.iter().enumerate() {
            let len = record_len(record.meta.len(), record.body.len());
            if !empty && would_exceed(before + bytes, len, self.segment_size) {
                return (n, true);
            }
            empty = false;
            bytes += len;
            if matches!(record.entry.op, Op::Cut) {
                return (n + 1, true);
            }
        }
        (batch.len(), false)
    }

    /// One write, one sync.
    fn write(&mut self, records: &[Record], now_ms: u64) -> Result<Vec<At>> {
        let parts: Vec<_> = records
            .iter()
            .map(|r| RecordParts {
                meta: &r.meta,
                body: &r.body,
            })
            .collect();
        let open = self.open_segment()?;
        let placed = open.append_batch(&parts, now_ms)?;
        open.sync()?;
        let at: Vec<At> = placed.iter().map(|p| self.at(p)).collect();
        for (record, at) in records.iter().zip(&at) {
            self.index.extend(index_of(&record.entry, at));
            if let Op::Level { segment_size, .. } = record.entry.op {
                self.segment_size = segment_size;
            }
        }
        self.marked = false;
        Ok(at)
    }

    fn seal(&mut self) -> Result<SealedSegment> {
        let index = std::mem::take(&mut self.index);
        let open = self.open_segment()?;
        let next = (open.next(), open.written().chain);
        match open.try_seal(&index) {
            Ok(sealed) => {
                self.open = None;
                self.seals_first = false;
                self.next = next;
                Ok(sealed)
            }
            Err(e) => {
                // A full disk leaves the segment as it was, and so does a directory that was not synced: the next attempt goes on
                // there, before the next segment is made. Anything else is mended or closes the journal.
                let is_named = open.is_named();
                self.index = index;
                self.seals_first |= is_named;
                self.rescue();
                Err(e.into())
            }
        }
    }

    /// After a failed sync: the durable prefix in a new file; the old one is not read again.
    fn rescue(&mut self) {
        if let Some(open) = self.open.take() {
            if !open.is_broken() {
                self.open = Some(open);
                return;
            }
            match open.rescue() {
                Ok(open) => self.open = Some(open),
                Err(e) => {
                    self.closed = true;
                    tracing::error!(
                        shard = self.lineage.shard.0,
                        "the journal stays closed: {e}"
                    );
                }
            }
        }
    }
}

pub(crate) fn segment_header(lineage: Lineage, first: Position, chain: u32) -> ObjectHeader {
    let object = coldpost_tiers::address::ObjectId::segment(lineage.epoch, first);
    let key = coldpost_tiers::cold::Key::of(lineage.shard, &object).to_string();
    ObjectHeader::segment(lineage, first, chain, key)
}

impl Journal for Embedded {
    fn append(&mut self, batch: &[Record], now_ms: u64) -> Appended {
        let mut given = Appended::default();
        let mut rest = batch;
        if self.seals_first {
            match self.seal() {
                Ok(sealed) => given.sealed.push((0, sealed)),
                Err(e) => {
                    given.failed = Some(e);
                    return given;
                }
            }
        }
        while !rest.is_empty() {
            let (n, seals) = self.run_length(rest);
            let (now, later) = rest.split_at(n);
            if !now.is_empty() {
                match self.write(now, now_ms) {
                    Ok(at) => given.at.extend(at),
                    Err(e) => {
                        self.rescue();
                        given.failed = Some(e);
                        return given;
                    }
                }
            }
            if seals {
                match self.seal() {
                    Ok(sealed) => given.sealed.push((given.at.len(), sealed)),
                    Err(e) => {
                        self.seals_first |=
                            matches!(now.last(), Some(r) if matches!(r.entry.op, Op::Cut));
                        given.failed = Some(e);
                        return given;
                    }
                }
            }
            rest = later;
        }
        given
    }

    fn idle(&mut self, now_ms: u64) -> Result<()> {
        // A named segment ends in a footer, which says more than a mark.
        let needs_none = self
            .open
            .as_ref()
            .is_none_or(|open| open.written().records == 0 || open.is_named());
        if self.marked || needs_none {
            return Ok(());
        }
        let marked = self.open_segment()?.idle_mark(now_ms);
        match &marked {
            Ok(_) => self.marked = true,
            Err(_) => self.rescue(),
        }
        Ok(marked?)
    }

    fn is_closed(&self) -> bool {
        self.closed
    }

    fn last(&self) -> Position {
        let next = self.open.as_ref().map_or(self.next.0, |o| o.durable().next);
        Position(next.0.saturating_sub(1))
    }

    fn read_after(
        &self,
        position: Position,
        each: &mut dyn FnMut(At, Record) -> Result<()>,
    ) -> Result<()> {
        let files = local_segments(&*self.disk, &self.dir)?;
        let start = files
            .partition_point(|f| f.first <= Position(position.0 + 1))
            .saturating_sub(1);
        let mut expected = Position(position.0 + 1);
        for file in files.get(start..).unwrap_or_default() {
            if file.first > expected {
                break;
            }
            let reader = SegmentReader::open(&*self.disk, &file.path)?;
            expected = read_segment(reader, expected, each)?;
        }
        if expected.0 <= self.last().0 {
            let text = format!(
                "journal entries from {} on are not on local disk",
                expected.0
            );
            return Err(Error::new(Kind::NotFound, text));
        }
        Ok(())
    }

    fn trim(&mut self, position: Position) -> Result<()> {
        let files = local_segments(&*self.disk, &self.dir)?;
        for pair in files.windows(2) {
            if let [old, next] = pair
                && next.first <= position
            {
                self.disk
                    .remove(&old.path)
                    .map_err(|e| coldpost_tiers::disk::failed("remove", &old.path, e))?;
            }
        }
        Ok(())
    }
}

/// Reads the records of one segment from `expected` on; gives the position after its last.
pub(crate) fn read_segment(
    mut reader: SegmentReader,
    mut expected: Position,
    each: &mut dyn FnMut(At, Record) -> Result<()>,
) -> Result<Position> {
    while let Some(record) = reader.next_record()? {
        if record.at.position < expected {
            continue;
        }
        let (at, record) = decode_record(reader.header(), record)?;
        each(at, record)?;
        expected = Position(at.position.0 + 1);
    }
    Ok(expected)
}

/// An entry as the engine knows it, from a record of a segment with this header.
pub(crate) fn decode_record(
    header: &ObjectHeader,
    record: coldpost_tiers::segment::Record,
) -> Result<(At, Record)> {
    let at = At {
        shard: header.shard,
        epoch: header.epoch,
        position: record.at.position,
        segment_first: header.first,
        body_offset: record.at.body_offset,
        end_offset: record.at.end_offset,
        chain: record.at.chain,
    };
    let entry = op::decode(&record.meta).map_err(|e| {
        let text = format!("entry {} of shard {}: {e}", at.position.0, at.shard.0);
        Error::with_source(Kind::Corrupt, text, e)
    })?;
    Ok((
        at,
        Record {
            entry,
            meta: record.meta,
            body: record.body,
        },
    ))
}
