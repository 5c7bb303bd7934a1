//! Checks the files and objects of one shard: each segment and blob, locally and in the bucket, and every message in it.

use std::collections::BTreeMap;
use std::path::Path;

use coldpost_tiers::address::{Extent, ObjectId, ObjectKind};
use coldpost_tiers::blob::verify_blob;
use coldpost_tiers::cold::{Caller, Key};
use coldpost_tiers::frame::decompress;
use coldpost_tiers::hot::row::{BlobRow, ObjectRow, ObjectState, Place, Row};
use coldpost_tiers::hot::{TableName, key};
use coldpost_tiers::segment::{FileState, Salvage, Salvaged, SealedSegment, SegmentReader};

use super::{Bench, Event, Subject, Summary, damage, victims};
use crate::error::Result;
use crate::ids::{AccountId, Epoch, MessageId, Position};
use crate::journal::embedded::local_segments;
use crate::local::shard_dir;

type Report<'a> = &'a mut (dyn FnMut(Event) + Send);
type Messages = Vec<(AccountId, MessageId)>;

pub(super) struct ShardCheck<'a, 'b> {
    bench: &'a Bench<'b>,
    subject: &'a Subject,
    summary: &'a mut Summary,
    report: Report<'a>,
    total: u64,
}

impl<'a, 'b> ShardCheck<'a, 'b> {
    pub(super) fn new(
        bench: &'a Bench<'b>,
        subject: &'a Subject,
        summary: &'a mut Summary,
        report: Report<'a>,
    ) -> ShardCheck<'a, 'b> {
        ShardCheck {
            bench,
            subject,
            summary,
            report,
            total: 0,
        }
    }

    pub(super) async fn run(mut self) -> Result<()> {
        let messages = self.messages_by_object()?;
        let mut objects = self.objects()?;
        for object in messages.keys() {
            objects.entry(*object).or_insert(None);
        }
        self.total = self.summary.bytes
            + objects
                .values()
                .flatten()
                .map(|row| row.bytes * 2)
                .sum::<u64>();
        self.journal_files()?;
        let none = Vec::new();
        for (object, row) in &objects {
            let messages = messages.get(object).unwrap_or(&none);
            self.object(*object, row.as_ref(), messages).await?;
            (self.report)(Event::Progress {
                done: self.summary.bytes,
                total: self.total.max(self.summary.bytes),
            });
        }
        Ok(())
    }

    fn messages_by_object(&self) -> Result<BTreeMap<ObjectId, Messages>> {
        let mut by_object: BTreeMap<ObjectId, Messages> = BTreeMap::new();
        let Ok(state) = self.subject.hot.read() else {
            return Ok(by_object);
        };
        state.walk(TableName::Places, &[], &[], |place_key, value| {
            let Ok(place) = Place::decode("places", value) else {
                return Ok(true);
            };
            let id = message_id(place_key);
            let account = key::account_of(place_key);
            by_object
                .entry(place.address.object)
                .or_default()
                .push((account, id));
            for extent in &place.address.extents {
                if let Extent::Blob { blob, .. } = extent {
                    by_object
                        .entry(ObjectId::blob(*blob))
                        .or_default()
                        .push((account, id));
                }
            }
            Ok(true)
        })?;
        Ok(by_object)
    }

    fn objects(&self) -> Result<BTreeMap<ObjectId, Option<ObjectRow>>> {
        let mut objects = BTreeMap::new();
        let Ok(state) = self.subject.hot.read() else {
            return Ok(objects);
        };
        state.walk(TableName::Objects, &[], &[], |object_key, value| {
            if let (Some((kind, id)), Ok(row)) = (
                object_key.split_first(),
                ObjectRow::decode("objects", value),
            ) && let (Some(kind), Ok(id)) = (ObjectKind::from_number(*kind), id.try_into())
            {
                objects.insert(ObjectId { kind, id }, Some(row));
            }
            Ok(true)
        })?;
        Ok(objects)
    }

    /// Every record of every local segment file, damaged or not.
    fn journal_files(&mut self) -> Result<()> {
        let dir = shard_dir(&self.bench.settings.data, self.subject.shard).join("journal");
        for file in local_segments(&*self.bench.disk, &dir)? {
            let name = self.relative(&file.path);
            let bytes = std::fs::metadata(&file.path).map_or(0, |m| m.len());
            self.summary.objects += 1;
            self.summary.bytes += bytes;
            if file.state == FileState::Sealed {
                let verified =
                    SealedSegment::open(&*self.bench.disk, &file.path).and_then(|s| s.verify());
                match verified {
                    Ok(verified) => {
                        self.summary.messages += verified.messages;
                        for found in verified.damage {
                            self.damaged_range(
                                &name,
                                found,
                                ObjectId::segment(file.epoch, file.first),
                            )?;
                        }
                    }
                    Err(e) => self.damaged(&name, 0, e.to_string(), &[])?,
                }
            } else {
                self.open_file(&file.path, &name, ObjectId::segment(file.epoch, file.first))?;
            }
        }
        Ok(())
    }

    fn open_file(&mut self, path: &Path, name: &str, object: ObjectId) -> Result<()> {
        let reader = match SegmentReader::open(&*self.bench.disk, path) {
            Ok(reader) => reader,
            Err(e) => return self.damaged(name, 0, e.to_string(), &[]),
        };
        for found in Salvage::new(reader) {
            if let Salvaged::Damage(found) = found? {
                // Behind the last durable entry somebody is writing, or a crash left a torn tail: nothing was promised there.
                let promised = match self.subject.durable {
                    Some(durable) => found.first_lost <= durable,
                    None => found.next_whole.is_some(),
                };
                if promised {
                    self.damaged_range(name, found, object)?;
                }
            }
        }
        Ok(())
    }

    fn damaged_range(
        &mut self,
        name: &str,
        found: coldpost_tiers::segment::Damage,
        object: ObjectId,
    ) -> Result<()> {
        let lost = found.first_lost..found.next_whole.unwrap_or(Position(u64::MAX));
        let mut hit = Messages::new();
        if let Ok(state) = self.subject.hot.read() {
            state.walk(TableName::Places, &[], &[], |place_key, value| {
                let Ok(place) = Place::decode("places", value) else {
                    return Ok(true);
                };
                let id = message_id(place_key);
                if place.address.object == object && lost.contains(&id.position) {
                    hit.push((key::account_of(place_key), id));
                }
                Ok(true)
            })?;
        }
        let what = format!(
            "{} (bytes {} to {})",
            found.why, found.range.start, found.range.end
        );
        self.damaged(name, found.range.start, what, &hit)
    }

    /// One object: its local file if it has one, its copy in the bucket if it is stored, and the messages in whichever is there.
    async fn object(
        &mut self,
        object: ObjectId,
        row: Option<&ObjectRow>,
        messages: &Messages,
    ) -> Result<()> {
        let local = self.bench.local.path_of(self.subject.shard, &object);
        if let Some(path) = &local {
            let name = self.relative(path);
            match object.kind {
                ObjectKind::Blob => self.local_blob(object, path, &name, messages)?,
                _ => self.messages_in(
                    &name,
                    &std::fs::read(path).unwrap_or_default(),
                    messages,
                    object,
                )?,
            }
        }
        let stored = row.filter(|row| row.state == ObjectState::Stored);
        match (stored, &local) {
            (Some(row), _) => self.in_bucket(object, row, local.is_some(), messages).await,
            (None, None) if !messages.is_empty() => {
                let name = Key::of(self.subject.shard, &object).to_string();
                self.damaged(
                    &name,
                    0,
                    "it is neither on local disk nor confirmed in the store".to_owned(),
                    messages,
                )
            }
            _ => Ok(()),
        }
    }

    fn local_blob(
        &mut self,
        object: ObjectId,
        path: &Path,
        name: &str,
        messages: &Messages,
    ) -> Result<()> {
        self.summary.objects += 1;
        let Ok(state) = self.subject.hot.read() else {
            return Ok(());
        };
        let blob = coldpost_tiers::address::BlobId(object.id);
        let Some(value) = state.get(TableName::Blobs, &key::blob(blob))? else {
            return Ok(());
        };
        let row = BlobRow::decode("blobs", &value)?;
        self.summary.bytes += row.record.object_bytes;
        let opened = self
            .bench
            .disk
            .open(path)
            .map_err(|e| coldpost_tiers::disk::failed("open", path, e));
        match opened.and_then(|file| verify_blob(&*file, path, &row.record)) {
            Ok(_) => Ok(()),
            Err(e) => self.damaged(name, offset_of(&e), e.to_string(), messages),
        }
    }

    async fn in_bucket(
        &mut self,
        object: ObjectId,
        row: &ObjectRow,
        has_local: bool,
        messages: &Messages,
    ) -> Result<()> {
        let key = Key::of(self.subject.shard, &object);
        let name = key.to_string();
        self.summary.objects += 1;
        let (digest, bytes) = match self.bench.cold.digest(&key, Caller::Verify).await {
            Ok(found) => found,
            Err(e) if *e.kind() == coldpost_tiers::Kind::NotFound => {
                let hit = if has_local { &Vec::new() } else { messages };
                return self.damaged(&name, 0, "it is missing in the store".to_owned(), hit);
            }
            Err(e) => {
                let what = format!("the store cannot say: {e}");
                return self.damaged(&name, 0, what, &[]);
            }
        };
        self.summary.bytes += bytes;
        if digest == row.digest {
            if !has_local {
                self.summary.messages += u64::try_from(messages.len()).unwrap_or(u64::MAX);
            }
            return Ok(());
        }
        let what = format!(
            "the object in the store is not the one that was put there ({bytes} bytes, {} expected)",
            row.bytes
        );
        if has_local {
            return self.damaged(&name, 0, what, &[]);
        }
        self.damaged(&name, 0, what, &[])?;
        match (object.kind, self.bench.cold.get(&key, Caller::Verify).await) {
            (ObjectKind::Segment, Ok(bytes)) => self.messages_in(&name, &bytes, messages, object),
            _ => self.damaged(
                &name,
                0,
                "the messages that need it cannot be read".to_owned(),
                messages,
            ),
        }
    }

    /// Every message whose frames lie in these bytes of an object.
    fn messages_in(
        &mut self,
        name: &str,
        bytes: &[u8],
        messages: &Messages,
        object: ObjectId,
    ) -> Result<()> {
        let Ok(state) = self.subject.hot.read() else {
            return Ok(());
        };
        for (account, id) in messages {
            let Some(value) = state.get(TableName::Places, &key::message(*account, *id))? else {
                continue;
            };
            let place = Place::decode("places", &value)?;
            if place.address.object != object {
                continue;
            }
            self.summary.messages += 1;
            if let Err(e) = whole(name, bytes, &place) {
                self.damaged(name, offset_of(&e), e.to_string(), &[(*account, *id)])?;
            }
        }
        Ok(())
    }

    fn damaged(
        &mut self,
        name: &str,
        offset: u64,
        what: String,
        messages: &[(AccountId, MessageId)],
    ) -> Result<()> {
        let named = match self.subject.hot.read() {
            Ok(state) if !messages.is_empty() => victims::name(&state, messages)?,
            _ => Vec::new(),
        };
        damage(
            self.summary,
            self.report,
            name.to_owned(),
            offset,
            what,
            named,
        );
        Ok(())
    }

    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.bench.settings.data)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}

/// Unpacks a message's frames and compares it with its checksum; blobs are checked as objects of their own.
fn whole(name: &str, bytes: &[u8], place: &Place) -> Result<()> {
    let mut at = place.address.offset;
    let mut crc = 0;
    let mut has_blobs = false;
    for extent in &place.address.extents {
        match extent {
            Extent::Frame(frame) => {
                let end = at + u64::from(frame.stored);
                let index = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
                let missing =
                    || coldpost_tiers::Error::corrupt(name, at, "the file ends before this frame");
                let stored = bytes.get(index(at)..index(end)).ok_or_else(missing)?;
                crc = crc32c::crc32c_append(crc, &decompress(stored, frame, name, at)?);
                at = end;
            }
            Extent::Blob { .. } | Extent::Slice { .. } => has_blobs = true,
        }
    }
    if !has_blobs && crc != place.crc {
        let text = "the message is not the one that was delivered (CRC32C)";
        return Err(coldpost_tiers::Error::corrupt(name, place.address.offset, text).into());
    }
    Ok(())
}

fn offset_of(error: &(dyn std::error::Error + 'static)) -> u64 {
    let mut source = Some(error);
    while let Some(e) = source {
        if let Some(below) = e.downcast_ref::<coldpost_tiers::Error>()
            && let coldpost_tiers::Kind::Corrupt { offset, .. } = below.kind()
        {
            return *offset;
        }
        source = e.source();
    }
    0
}

fn message_id(place_key: &[u8]) -> MessageId {
    let part = |range: std::ops::Range<usize>| place_key.get(range).unwrap_or_default();
    MessageId {
        epoch: Epoch(part(8..12).try_into().map_or(0, u32::from_be_bytes)),
        position: Position(part(12..20).try_into().map_or(0, u64::from_be_bytes)),
        number: part(20..22).try_into().map_or(0, u16::from_be_bytes),
    }
}
