//! Opens the journal's directory: puts right what a crash left, and says what is durable.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use coldpost_tiers::disk::{self, Disk};
use coldpost_tiers::segment::{
    FileState, Lineage, SealedSegment, SegmentReader, finish_seal, parse_file_name, recover,
};

use super::super::Journal;
use super::{Embedded, index_of, read_segment};
use crate::error::{Error, Kind, Result};
use crate::ids::{Epoch, Position};
use crate::op::Op;

/// A segment file on local disk.
#[derive(Clone, Debug)]
pub struct LocalSegment {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its first position.
    pub first: Position,
    /// Open or sealed.
    pub state: FileState,
    /// Where.
    pub path: PathBuf,
}

/// What the journal is opened with.
pub struct EmbeddedSettings {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// `DIR/shards/<n>/journal`.
    pub dir: PathBuf,
    /// Whose journal.
    pub lineage: Lineage,
    /// Record bytes after which a segment is cut.
    pub segment_size: u64,
    /// First position and offset of the segment that the hot tier's last durable commit names.
    pub hint: (Position, u64),
    /// The last position that was applied for good: the journal reaches it.
    pub applied: Position,
}

/// The journal, opened.
pub struct Opened {
    /// Ready for the next batch.
    pub journal: Embedded,
    /// Bytes cut off the open segment: never promised.
    pub torn: u64,
    /// When the first entry of the open segment that is due for the bucket was made, ms since 1970.
    pub held_since_ms: Option<u64>,
}

/// Segment files of a directory in order of position.
///
/// # Errors
/// `Unavailable` when the directory cannot be read.
pub fn local_segments(disk: &dyn Disk, dir: &Path) -> Result<Vec<LocalSegment>> {
    let names = disk.list(dir).map_err(|e| disk::failed("list", dir, e))?;
    let mut files: Vec<LocalSegment> = names
        .iter()
        .filter_map(|name| {
            let (epoch, first, state) = parse_file_name(name)?;
            Some(LocalSegment {
                epoch,
                first,
                state,
                path: dir.join(name),
            })
        })
        .collect();
    files.sort_by_key(|f| (f.first, f.epoch));
    Ok(files)
}

impl Embedded {
    /// Opens or makes the journal in its directory.
    ///
    /// # Errors
    /// `Corrupt` names the range; `Conflict` for another store's files; `Unavailable` when the disk refuses.
    pub fn open(settings: EmbeddedSettings) -> Result<Opened> {
        let EmbeddedSettings {
            disk,
            dir,
            lineage,
            segment_size,
            hint,
            applied,
        } = settings;
        let mut files = local_segments(&*disk, &dir)?;
        for file in &mut files {
            if file.state == FileState::Open {
                let whose = Lineage {
                    epoch: file.epoch,
                    ..lineage
                };
                if let Some(sealed) = finish_seal(&*disk, &file.path, whose, file.first)? {
                    (file.path, file.state) = (sealed.path().to_owned(), FileState::Sealed);
                }
            }
        }
        let mut journal = Embedded {
            disk,
            dir,
            lineage,
            open: None,
            next: (Position(1), 0),
            closed: false,
            index: Vec::new(),
            segment_size,
            marked: true,
            seals_first: false,
        };
        let mut torn = 0;
        let mut held_since_ms = None;
        if let Some(last) = files.last().cloned() {
            journal.only_the_newest_is_open(&files)?;
            (torn, held_since_ms) = journal.recover_last(&last, hint)?;
        }
        if journal.open.is_none() {
            let (position, chain) = journal.end()?;
            reaches(position, applied)?;
            journal.next = (Position(position.0 + 1), chain);
            journal.open_segment()?;
        }
        reaches(Journal::last(&journal), applied)?;
        Ok(Opened {
            journal,
            torn,
            held_since_ms,
        })
    }

    fn only_the_newest_is_open(&self, files: &[super::open::LocalSegment]) -> Result<()> {
        let older = files.len().saturating_sub(1);
        match files
            .iter()
            .take(older)
            .find(|f| f.state == FileState::Open)
        {
            None => Ok(()),
            Some(file) => Err(Error::new(
                Kind::Corrupt,
                format!(
                    "{} was never sealed, and there is a newer segment: its end is damaged; \
                     `coldpost verify` names what is in it",
                    file.path.display()
                ),
            )),
        }
    }

    /// Recovers the newest file when it is open; gives the bytes that were cut off, and since when it holds what is due for the bucket.
    fn recover_last(
        &mut self,
        last: &LocalSegment,
        hint: (Position, u64),
    ) -> Result<(u64, Option<u64>)> {
        if last.state == FileState::Sealed {
            return Ok((0, None));
        }
        let whose = Lineage {
            epoch: last.epoch,
            ..self.lineage
        };
        let offset = if hint.0 == last.first { hint.1 } else { 0 };
        let Some(recovered) = recover(
            Arc::clone(&self.disk),
            &last.path,
            whose,
            last.first,
            offset,
        )?
        else {
            self.disk
                .remove(&last.path)
                .map_err(|e| disk::failed("remove", &last.path, e))?;
            return Ok((0, None));
        };
        if recovered.missing > 0 {
            return Err(Error::new(
                Kind::Corrupt,
                format!(
                    "{}: the last {} bytes that were promised are not there; the shard stays down, because its positions \
                     would be given twice. Put the file back from a backup, or restore the store from its bucket",
                    last.path.display(),
                    recovered.missing
                ),
            ));
        }
        let reader =
            SegmentReader::open(&*self.disk, &last.path)?.up_to(recovered.open.durable().offset);
        let (index, segment_size) = (&mut self.index, &mut self.segment_size);
        let mut ends_with_cut = false;
        let mut held_since_ms = None;
        read_segment(reader, last.first, &mut |at, record| {
            index.extend(index_of(&record.entry, &at));
            ends_with_cut = matches!(record.entry.op, Op::Cut);
            if let Op::Level {
                segment_size: size, ..
            } = record.entry.op
            {
                *segment_size = size;
            }
            if record.entry.op.makes_cut_due() {
                held_since_ms.get_or_insert(record.entry.time_ms);
            }
            Ok(())
        })?;
        self.open = Some(recovered.open);
        self.seals_first = ends_with_cut;
        if ends_with_cut {
            match self.seal() {
                // It is sealed before the next entry, once there is room.
                Err(e) if self.is_closed() => return Err(e),
                Err(e) => tracing::warn!("{} is sealed later: {e}", last.path.display()),
                Ok(_) => held_since_ms = None,
            }
        }
        Ok((recovered.torn, held_since_ms))
    }

    /// Position and checksum of the last record of the newest sealed file; of nothing when there is no file at all: the newest one is
    /// never evicted, as the entry that says it is stored stands in a newer one.
    fn end(&self) -> Result<(Position, u32)> {
        let files = local_segments(&*self.disk, &self.dir)?;
        let Some(last) = files.last() else {
            return Ok((Position(0), 0));
        };
        let footer = *SealedSegment::open(&*self.disk, &last.path)?.footer();
        Ok((footer.last, footer.chain))
    }
}

/// What was applied was durable: a journal that ends before it has lost entries, and would give positions twice.
fn reaches(end: Position, applied: Position) -> Result<()> {
    if end >= applied {
        return Ok(());
    }
    let text = format!(
        "the journal ends at {}, the hot tier was promised up to {}: entries are missing; restore the store from its bucket",
        end.0, applied.0
    );
    Err(Error::new(Kind::Corrupt, text))
}
