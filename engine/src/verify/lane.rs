//! All copies of a shard's journal in one place (local files, or the store), read forwards past damage.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coldpost_tiers::address::ObjectId;
use coldpost_tiers::cold::{Caller, ColdStore, Key, key};
use coldpost_tiers::disk::{Disk, DiskFile, ReadOnlyDisk, failed};
use coldpost_tiers::object::ObjectHeader;
use coldpost_tiers::segment::{
    FileState, Lineage, Record, Salvage, Salvaged, SealedSegment, SegmentReader,
};
use futures::TryStreamExt;
use tokio::runtime::Handle;

use super::{UNANSWERED_MAX, in_full};
use crate::ids::{Epoch, Position, ShardNo, StoreId};
use crate::journal::embedded::{local_segments, segment_header};
use crate::local::shard_dir;

/// What stands at a position.
pub(super) enum Look {
    /// The entry.
    Whole(ObjectHeader, Record),
    /// Something that is not what was written, between entries that are.
    Damaged(ObjectHeader, Record),
    /// Nothing that can be read; where the next one may be.
    Nothing(Option<Position>),
}

/// Where what must be whole ends.
#[derive(Clone, Copy)]
pub(super) struct End {
    /// The last entry that the files say was promised.
    pub(super) promised: Position,
    /// Where the newest file begins, when it is open: what a crash left torn at its end, behind what was promised, is no damage.
    pub(super) open_from: Option<Position>,
}

/// See the module.
pub(super) struct Lane {
    shard: ShardNo,
    store: Option<StoreId>,
    segments: Vec<Segment>,
    /// The segment that is being read.
    index: Option<usize>,
    reading: Option<(ObjectHeader, Salvage)>,
    /// Read and not asked for yet; whether it is whole.
    peeked: Option<(Record, bool)>,
    misfits: Vec<(String, String)>,
    unread: Vec<(String, String)>,
    away: Option<(String, String)>,
    /// Objects without an answer since the last one that came.
    in_a_row: u32,
}

struct Segment {
    epoch: Epoch,
    first: Position,
    name: String,
    is_open: bool,
    place: Place,
}

enum Place {
    File(PathBuf),
    Object(ColdStore, Key, u64, Handle),
}

impl Lane {
    fn new(shard: ShardNo, store: Option<StoreId>) -> Lane {
        Lane {
            shard,
            store,
            segments: Vec::new(),
            index: None,
            reading: None,
            peeked: None,
            misfits: Vec::new(),
            unread: Vec::new(),
            away: None,
            in_a_row: 0,
        }
    }

    /// Of the files; a directory that cannot be read has none, which is told elsewhere.
    pub(super) fn local(data: &Path, shard: ShardNo, store: Option<StoreId>) -> Lane {
        let mut lane = Lane::new(shard, store);
        let dir = shard_dir(data, shard).join("journal");
        let files = local_segments(&ReadOnlyDisk, &dir).unwrap_or_default();
        lane.segments = files
            .into_iter()
            .map(|file| Segment {
                epoch: file.epoch,
                first: file.first,
                is_open: file.state == FileState::Open,
                name: file
                    .path
                    .strip_prefix(data)
                    .unwrap_or(&file.path)
                    .display()
                    .to_string(),
                place: Place::File(file.path),
            })
            .collect();
        lane
    }

    /// Of the objects.
    pub(super) async fn stored(
        cold: &ColdStore,
        shard: ShardNo,
        store: Option<StoreId>,
        handle: Handle,
    ) -> Lane {
        let mut lane = Lane::new(shard, store);
        let folder = key::segments(shard);
        let mut listed = cold.list(&folder, Caller::Verify);
        loop {
            match listed.try_next().await {
                Ok(Some(object)) => {
                    if let Some(key @ Key::Segment { epoch, first, .. }) = object.key {
                        let place = Place::Object(cold.clone(), key, object.size, handle.clone());
                        lane.segments.push(Segment {
                            epoch,
                            first,
                            name: object.name,
                            is_open: false,
                            place,
                        });
                    }
                }
                Ok(None) => break,
                Err(e) => {
                    lane.away = Some((folder, in_full(&e)));
                    break;
                }
            }
        }
        lane.segments.sort_by_key(|s| (s.first, s.epoch));
        lane
    }

    /// The objects that are not of this journal, or not whole, and why.
    pub(super) fn misfits(&self) -> &[(String, String)] {
        &self.misfits
    }

    /// The files and objects whose entries were not read, or not to their end, and why.
    pub(super) fn unread(&self) -> &[(String, String)] {
        &self.unread
    }

    /// What could not be asked for, and why.
    pub(super) fn away(&self) -> Option<&(String, String)> {
        self.away.as_ref()
    }

    /// Where the newest copy begins, and whether it is open.
    pub(super) fn newest(&self) -> Option<(Position, bool)> {
        let segment = self.segments.last()?;
        Some((segment.first, segment.is_open))
    }

    /// What the newest file that can be read says of its end.
    pub(super) fn end(&self) -> End {
        for segment in self.segments.iter().rev() {
            let (Place::File(path), Ok((reader, _))) = (&segment.place, self.read(segment)) else {
                continue;
            };
            let before = Position(segment.first.0.saturating_sub(1));
            // Of one that was sealed and did not get its name, all was promised too.
            let sealed = SealedSegment::open(&ReadOnlyDisk, path);
            let is_open = segment.is_open && sealed.is_err();
            return End {
                promised: match sealed {
                    Ok(sealed) => sealed.footer().last,
                    Err(_) if is_open => reader.promised().unwrap_or(before),
                    Err(_) => before,
                },
                open_from: is_open.then_some(segment.first),
            };
        }
        End {
            promised: Position(0),
            open_from: None,
        }
    }

    /// The copy that should hold a position.
    pub(super) fn name_at(&self, position: Position) -> Option<String> {
        let segment = self.segments.iter().rfind(|s| s.first <= position)?;
        Some(segment.name.clone())
    }

    /// What stands at `position`, which never goes back.
    pub(super) fn look(&mut self, position: Position) -> Look {
        let Some(index) = self.segments.iter().rposition(|s| s.first <= position) else {
            return Look::Nothing(self.segments.first().map(|s| s.first));
        };
        if self.index != Some(index) {
            self.index = Some(index);
            self.peeked = None;
            self.reading = self.open(index);
        }
        while let Some((record, is_whole)) = self.next() {
            if record.at.position > position {
                let next = record.at.position;
                self.peeked = Some((record, is_whole));
                return Look::Nothing(Some(next));
            }
            if record.at.position == position
                && let Some((header, _)) = &self.reading
            {
                return match is_whole {
                    true => Look::Whole(header.clone(), record),
                    false => Look::Damaged(header.clone(), record),
                };
            }
        }
        Look::Nothing(self.segments.get(index + 1).map(|s| s.first))
    }

    fn next(&mut self) -> Option<(Record, bool)> {
        if self.peeked.is_some() {
            return self.peeked.take();
        }
        loop {
            match self.reading.as_mut()?.1.next()? {
                Ok(Salvaged::Record(record)) => return Some((record, true)),
                Ok(Salvaged::Suspect(record)) => return Some((record, false)),
                Ok(Salvaged::Damage(_)) => {}
                Err(e) => {
                    self.failed(self.index?, &e, false);
                    return None;
                }
            }
        }
    }

    fn open(&mut self, index: usize) -> Option<(ObjectHeader, Salvage)> {
        if self.in_a_row >= UNANSWERED_MAX {
            return None;
        }
        let segment = self.segments.get(index)?;
        let (read, why) = match self.read(segment) {
            Ok((reader, why)) => (Some(reader), why),
            Err(e) => (None, Some(e)),
        };
        if let Some(why) = why {
            self.failed(index, &why, read.is_some());
        }
        let reader = read?;
        self.in_a_row = 0;
        Some((
            reader.header().clone(),
            Salvage::new(reader).with_suspects(),
        ))
    }

    /// A segment's records, and what is wrong with its header: what it should say is known.
    fn read(
        &self,
        segment: &Segment,
    ) -> coldpost_tiers::Result<(SegmentReader, Option<coldpost_tiers::Error>)> {
        let path = Path::new(&segment.name);
        let file = segment.place.open()?;
        let id = ObjectId::segment(segment.epoch, segment.first);
        match SegmentReader::of(Arc::clone(&file), path) {
            Ok(reader) => {
                let header = reader.header();
                let store = self.store.unwrap_or(header.store);
                header.expect(store, self.shard, id, &segment.name)?;
                Ok((reader, None))
            }
            Err(e) if *e.kind() == coldpost_tiers::Kind::Unavailable => Err(e),
            Err(e) => {
                let Some(store) = self.store else {
                    return Err(e);
                };
                let lineage = Lineage {
                    store,
                    shard: self.shard,
                    epoch: segment.epoch,
                };
                let header = segment_header(lineage, segment.first, 0);
                let reader = SegmentReader::behind_header(file, path, header)?;
                Ok((reader, Some(e)))
            }
        }
    }

    fn failed(&mut self, index: usize, error: &coldpost_tiers::Error, is_read: bool) {
        let Some(segment) = self.segments.get(index) else {
            return;
        };
        let what = (segment.name.clone(), in_full(error));
        let is_object = matches!(segment.place, Place::Object(..));
        if is_object && *error.kind() == coldpost_tiers::Kind::Unavailable {
            self.away.get_or_insert(what);
            self.in_a_row += 1;
            return;
        }
        if !is_read {
            self.unread.push(what.clone());
        }
        // Files are looked at one by one afterwards.
        if is_object {
            self.misfits.push(what);
        }
    }
}

impl Place {
    fn open(&self) -> coldpost_tiers::Result<Arc<dyn DiskFile>> {
        match *self {
            Place::File(ref path) => ReadOnlyDisk.open(path).map_err(|e| failed("open", path, e)),
            Place::Object(ref cold, key, length, ref handle) => {
                let (cold, handle) = (cold.clone(), handle.clone());
                Ok(Arc::new(StoredFile::new(cold, key, length, handle)))
            }
        }
    }
}

/// An object of the store as a file. Reads wait: not for async tasks.
#[derive(Debug)]
pub(super) struct StoredFile {
    cold: ColdStore,
    key: Key,
    length: u64,
    handle: Handle,
}

impl StoredFile {
    pub(super) fn new(cold: ColdStore, key: Key, length: u64, handle: Handle) -> StoredFile {
        StoredFile {
            cold,
            key,
            length,
            handle,
        }
    }
}

impl DiskFile for StoredFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        if into.is_empty() {
            return Ok(());
        }
        let length = u64::try_from(into.len()).unwrap_or(u64::MAX);
        let range = offset..offset.saturating_add(length);
        let got = self
            .handle
            .block_on(self.cold.get_range(&self.key, range, Caller::Verify));
        into.copy_from_slice(&got.map_err(io::Error::other)?);
        Ok(())
    }

    fn write_at(&self, _offset: u64, _bytes: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.length)
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
