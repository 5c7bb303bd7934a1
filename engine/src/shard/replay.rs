//! Gives the hot tier what it lacks: every entry after its last one, from local files and, where these have a gap, from the bucket.
//!
//! Promises: entries come in order, each once, and only from segments of this journal that continue what was applied; a damaged sealed file
//! is passed over for the bucket's copy, and of two stores one that is damaged for the other. What ends too early is an error, never a shorter store.

use std::path::Path;
use std::time::Instant;

use coldpost_tiers::address::ObjectId;
use coldpost_tiers::disk::failed;
use coldpost_tiers::hot::{CommitKind, HotTier};
use coldpost_tiers::segment::{FileState, SegmentReader};

use super::copies::together;
use super::fetch::Fetched;
use super::open::OpenShard;
use crate::apply::{self, At, Fold};
use crate::error::{Error, Kind, Result};
use crate::ids::Position;
use crate::journal::Record;
use crate::journal::embedded::{LocalSegment, decode_record, local_segments};
use crate::limits::REPLAY_BATCH_BYTES;

/// Applies what the journal has up to `last` and the hot tier lacks, in transactions of bounded size.
///
/// # Errors
/// `Corrupt` names what is missing or damaged; `Unavailable` when the disk or the bucket refuses.
pub(super) fn replay(
    settings: &OpenShard,
    hot: &HotTier,
    fold: &mut Fold,
    last: Position,
) -> Result<()> {
    let begun = Instant::now();
    let from = fold.applied.position;
    let mut reading = Reading {
        settings,
        expected: Position(from.0 + 1),
        chain: fold.applied.chain,
        last,
        is_refused: false,
    };
    let mut pending: Vec<(At, Record)> = Vec::new();
    let mut bytes = 0;
    let read = reading.run(&mut |at, record| {
        bytes += record.meta.len() + record.body.len();
        pending.push((at, record));
        if bytes >= REPLAY_BATCH_BYTES {
            bytes = 0;
            flush(hot, fold, &mut pending)?;
        }
        Ok(())
    });
    read?;
    flush(hot, fold, &mut pending)?;
    let count = fold.applied.position.0 - from.0;
    if count > 0 {
        tracing::info!(
            shard = settings.lineage.shard.0,
            entries = count,
            ms = begun.elapsed().as_millis(),
            "replayed the journal"
        );
    }
    Ok(())
}

/// Applies entries that follow one another in one transaction, and empties the list.
///
/// # Errors
/// `Unavailable` when the disk refuses.
pub(crate) fn flush(hot: &HotTier, fold: &mut Fold, pending: &mut Vec<(At, Record)>) -> Result<()> {
    if pending.is_empty() {
        return Ok(());
    }
    hot.write(CommitKind::Volatile, |batch| {
        for (at, record) in pending.iter() {
            apply::apply(
                batch,
                fold,
                *at,
                &record.entry,
                [&record.meta, &record.body],
            )?;
        }
        fold.save(batch)
    })?;
    pending.clear();
    Ok(())
}

/// How far a reading of the journal came.
struct Reading<'a> {
    settings: &'a OpenShard,
    /// The next entry wanted.
    expected: Position,
    /// Checksum of the entry before it.
    chain: u32,
    /// The last entry wanted: what follows it may not be durable.
    last: Position,
    /// An entry was not applied: that is nothing which another copy of it would mend.
    is_refused: bool,
}

type Each<'e> = &'e mut dyn FnMut(At, Record) -> Result<()>;

impl Reading<'_> {
    fn run(&mut self, each: Each<'_>) -> Result<()> {
        while self.expected <= self.last {
            let before = self.expected;
            let local = self.local()?;
            if let Some(file) = &local {
                match self.read(&file.path, &file.path, each) {
                    Ok(()) => {}
                    Err(e) if self.is_refused => return Err(e),
                    Err(e) if file.state == FileState::Sealed && e.kind() == Kind::Corrupt => {
                        tracing::error!("{e}; the object store's copy is read instead");
                    }
                    // It was sealed or evicted since it was listed.
                    Err(e)
                        if e.kind() == Kind::NotFound
                            && self.local()?.map(|f| f.path) != local.map(|f| f.path) =>
                    {
                        continue;
                    }
                    Err(e) => return Err(e),
                }
            }
            if self.expected == before {
                self.read_stored(each)?;
            }
        }
        Ok(())
    }

    /// Reads what the object store has of the segment with the next entry: each copy of it, until one is whole.
    fn read_stored(&mut self, each: Each<'_>) -> Result<()> {
        let (settings, next) = (self.settings, self.expected);
        let mut said = Vec::new();
        for copy in (settings.fetch)(next, &settings.dir) {
            let read = copy.and_then(|file| self.read_fetched(&file, each));
            match read {
                Ok(()) => {
                    for e in &said {
                        tracing::error!("{e}; another copy of it is whole");
                    }
                    return Ok(());
                }
                Err(e) if self.is_refused => return Err(e),
                Err(e) => said.push(e),
            }
        }
        // Of two stores each was asked by itself after what both said together.
        if said.len() > 1 {
            said.remove(0);
        }
        let said = together(said);
        if said.kind() == Kind::Unavailable {
            return Err(said);
        }
        let text = format!(
            "entry {} of shard {} cannot be read from local disk or the object store: {said}; put the damaged or missing object back from a copy",
            self.expected.0, settings.lineage.shard.0
        );
        Err(Error::with_source(said.kind(), text, said))
    }

    /// Reads a file that was fetched and removes it.
    fn read_fetched(&mut self, file: &Fetched, each: Each<'_>) -> Result<()> {
        let before = self.expected;
        let read = self.read(&file.path, &file.name, each);
        let removed = self.settings.disk.remove(&file.path);
        read?;
        removed.map_err(|e| failed("remove", &file.path, e))?;
        if self.expected == before {
            let text = format!("{} does not hold entry {}", file.name.display(), before.0);
            return Err(Error::new(Kind::Corrupt, text));
        }
        Ok(())
    }

    /// The local file that may hold the next entry.
    fn local(&self) -> Result<Option<LocalSegment>> {
        let files = local_segments(&*self.settings.disk, &self.settings.dir.join("journal"))?;
        Ok(files.into_iter().rfind(|file| file.first <= self.expected))
    }

    /// Reads what the file at `path` has of what is wanted; nothing when it ends before. `name`: what it is called in errors.
    fn read(&mut self, path: &Path, name: &Path, each: Each<'_>) -> Result<()> {
        let lineage = self.settings.lineage;
        let file = self.settings.disk.open(path);
        let file = file.map_err(|e| failed("open", path, e))?;
        let mut reader = SegmentReader::of(file, name)?;
        let name = name.display().to_string();
        let header = reader.header().clone();
        let id = ObjectId::segment(header.epoch, header.first);
        header.expect(lineage.store, lineage.shard, id, &name)?;
        if header.first == self.expected && header.chain != self.chain {
            return Err(broken(&name, self.expected));
        }
        while self.expected <= self.last {
            let Some(record) = reader.next_record()? else {
                break;
            };
            let (position, chain) = (record.at.position, record.at.chain);
            if position.0 + 1 == self.expected.0 && chain != self.chain {
                return Err(broken(&name, self.expected));
            }
            if position == self.expected {
                let (at, record) = decode_record(&header, record)?;
                each(at, record).inspect_err(|_| self.is_refused = true)?;
                self.expected = Position(position.0 + 1);
                self.chain = chain;
            }
        }
        Ok(())
    }
}

fn broken(name: &str, position: Position) -> Error {
    let text = format!(
        "{name} does not continue the journal: its entry {} follows another one than was applied",
        position.0
    );
    Error::new(Kind::Corrupt, text)
}
