//! A copy of an object, on local disk or in the bucket: what is wrong in it, and which messages it does not give.

use std::path::Path;

use coldpost_tiers::address::{BlobId, BlobRecord, Extent, FrameRef, ObjectId, ObjectKind};
use coldpost_tiers::blob::{frames_for, verify_blob};
use coldpost_tiers::cold::{Caller, Key};
use coldpost_tiers::frame::decompress;
use coldpost_tiers::hot::row::{BlobRow, Place, Row};
use coldpost_tiers::hot::{TableName, key};
use coldpost_tiers::segment::{Damage, Salvage, Salvaged, SealedSegment, SegmentReader};

use super::objects::{Messages, ShardCheck};
use crate::error::Result;
use crate::ids::{MessageId, Position};

/// See the module.
#[derive(Default)]
pub(super) struct Copy {
    pub(super) findings: Vec<Finding>,
    /// The messages that this copy does not give.
    pub(super) lost: Messages,
}

/// A damaged range of a copy.
pub(super) struct Finding {
    /// Key or path.
    pub(super) name: String,
    pub(super) offset: u64,
    pub(super) what: String,
    /// The messages that stand in it.
    pub(super) hit: Messages,
}

impl Copy {
    fn find(&mut self, name: &str, offset: u64, what: String, hit: Messages) {
        self.lost.extend(&hit);
        self.findings.push(Finding {
            name: name.to_owned(),
            offset,
            what,
            hit,
        });
    }

    fn find_error(&mut self, name: &str, error: &coldpost_tiers::Error, hit: Messages) {
        let text = error.to_string();
        let (offset, what) = match error.kind() {
            // Where it is stands beside it already.
            coldpost_tiers::Kind::Corrupt { object, offset } => {
                let what = text.strip_prefix(&format!("{object}: ")).unwrap_or(&text);
                let end = format!(" at byte {offset}");
                let what = what.strip_suffix(&end).unwrap_or(what);
                (*offset, what.trim_end_matches(','))
            }
            _ => (0, text.as_str()),
        };
        self.find(name, offset, what.to_owned(), hit);
    }
}

impl ShardCheck<'_, '_> {
    /// The file of an object, if there is one.
    pub(super) fn local_copy(
        &mut self,
        object: ObjectId,
        messages: &Messages,
    ) -> Result<Option<Copy>> {
        match object.kind {
            ObjectKind::Blob => self.local_blob(object, messages),
            _ => self.local_segment(object, messages),
        }
    }

    /// Every record of a segment file, and then every message by its address.
    fn local_segment(&mut self, object: ObjectId, messages: &Messages) -> Result<Option<Copy>> {
        let (Some((epoch, _)), Some(path)) = (
            object.as_segment(),
            self.bench.local.path_of(self.subject.shard, &object),
        ) else {
            return Ok(None);
        };
        let name = self.relative(&path);
        // It may be sealed or evicted at any moment: whoever looks next finds it under its new name.
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => {
                let mut copy = Copy::default();
                let what = format!("it cannot be read: {e}");
                copy.find(&name, 0, what, messages.clone());
                return Ok(Some(copy));
            }
        };
        self.summary.objects += 1;
        self.summary.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let mut copy = Copy::default();
        let records =
            if self.bench.local.sealed_path(self.subject.shard, &object) == Some(path.clone()) {
                SealedSegment::open(&*self.bench.disk, &path)
                    .and_then(|segment| Ok(segment.verify()?.damage))
            } else {
                self.damage_in_open(&path)
            };
        match records {
            Ok(damage) => {
                for found in damage {
                    let lost = found.first_lost..found.next_whole.unwrap_or(Position(u64::MAX));
                    let stands_there =
                        |m: &&(_, MessageId)| m.1.epoch == epoch && lost.contains(&m.1.position);
                    let hit = messages.iter().filter(stands_there).copied().collect();
                    let range = &found.range;
                    let what = format!("{} (bytes {} to {})", found.why, range.start, range.end);
                    copy.find(&name, range.start, what, hit);
                }
            }
            Err(e) if *e.kind() == coldpost_tiers::Kind::NotFound => return Ok(None),
            Err(e) => copy.find_error(&name, &e, Messages::new()),
        }
        let rest = messages.difference(&copy.lost).copied().collect();
        self.messages_in(&mut copy, &name, &bytes, &rest, object)?;
        Ok(Some(copy))
    }

    /// What is damaged below the last entry that was promised.
    fn damage_in_open(&self, path: &Path) -> coldpost_tiers::Result<Vec<Damage>> {
        let reader = SegmentReader::open(&*self.bench.disk, path)?;
        let mut damage = Vec::new();
        for found in Salvage::new(reader) {
            if let Salvaged::Damage(found) = found? {
                // Behind the last durable entry somebody is writing, or a crash left a torn tail: nothing was promised there.
                let has_more = !self.subject.is_running && found.next_whole.is_some();
                if has_more || found.first_lost <= self.subject.promised {
                    damage.push(found);
                }
            }
        }
        Ok(damage)
    }

    fn local_blob(&mut self, object: ObjectId, messages: &Messages) -> Result<Option<Copy>> {
        let Some(path) = self.bench.local.path_of(self.subject.shard, &object) else {
            return Ok(None);
        };
        let Some(row) = self.blob_row(object)? else {
            return Ok(None);
        };
        let opened = match self.bench.disk.open(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(|e| coldpost_tiers::disk::failed("open", &path, e)),
        };
        self.summary.objects += 1;
        self.summary.bytes += row.record.object_bytes;
        let mut copy = Copy::default();
        if let Err(e) = opened.and_then(|file| verify_blob(&*file, &path, &row.record)) {
            // Damage beside the frames keeps nobody from reading.
            let frames = std::fs::read(&path).ok();
            let gives = frames.is_some_and(|b| frames_of(&row.record, "", &b).is_ok());
            let hit = if gives {
                Messages::new()
            } else {
                messages.clone()
            };
            copy.find_error(&self.relative(&path), &e, hit);
        }
        Ok(Some(copy))
    }

    /// The object in the bucket, if it was ever confirmed.
    pub(super) async fn stored_copy(
        &mut self,
        object: ObjectId,
        messages: &Messages,
    ) -> Result<Option<Copy>> {
        let key = Key::of(self.subject.shard, &object);
        let name = key.to_string();
        let Some(row) = self.stored_row(&object)? else {
            return self.unconfirmed_copy(object, &key, messages).await;
        };
        self.summary.objects += 1;
        let mut copy = Copy::default();
        let (digest, bytes) = match self.bench.cold.digest(&key, Caller::Verify).await {
            Ok(found) => found,
            Err(e) if *e.kind() == coldpost_tiers::Kind::NotFound => {
                let what = "it is missing in the store".to_owned();
                copy.find(&name, 0, what, messages.clone());
                return Ok(Some(copy));
            }
            Err(e) => {
                // Nobody knows: whoever has no whole local copy cannot be read now, but nothing says that they are damaged.
                copy.find(
                    &name,
                    0,
                    format!("the store cannot say: {e}"),
                    Messages::new(),
                );
                copy.lost.clone_from(messages);
                return Ok(Some(copy));
            }
        };
        self.summary.bytes += bytes;
        if digest == row.digest {
            return Ok(Some(copy));
        }
        if let Ok(bytes) = self.bench.cold.get(&key, Caller::Verify).await {
            self.damage_in(&mut copy, &name, &bytes, messages, object)?;
        } else {
            copy.lost.clone_from(messages);
        }
        if copy.findings.is_empty() {
            let what = format!(
                "the object in the store is not the one that was put there ({bytes} bytes, {} expected)",
                row.bytes
            );
            let hit = copy.lost.clone();
            copy.find(&name, 0, what, hit);
        }
        Ok(Some(copy))
    }

    /// The object in the bucket that no row tells of: a hot tier made from a part of the journal does not know what was confirmed.
    async fn unconfirmed_copy(
        &mut self,
        object: ObjectId,
        key: &Key,
        messages: &Messages,
    ) -> Result<Option<Copy>> {
        if self.subject.made.is_none() {
            return Ok(None);
        }
        let name = key.to_string();
        let mut copy = Copy::default();
        match self.bench.cold.get(key, Caller::Verify).await {
            Ok(bytes) => {
                self.summary.objects += 1;
                self.summary.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                self.damage_in(&mut copy, &name, &bytes, messages, object)?;
            }
            Err(e) if *e.kind() == coldpost_tiers::Kind::NotFound => return Ok(None),
            Err(e) => {
                let what = format!("the store cannot say: {e}");
                copy.find(&name, 0, what, Messages::new());
                copy.lost.clone_from(messages);
            }
        }
        Ok(Some(copy))
    }

    /// What is wrong with messages in these bytes of an object.
    fn damage_in(
        &self,
        copy: &mut Copy,
        name: &str,
        bytes: &[u8],
        messages: &Messages,
        object: ObjectId,
    ) -> Result<()> {
        if object.kind != ObjectKind::Blob {
            return self.messages_in(copy, name, bytes, messages, object);
        }
        if let Some(row) = self.blob_row(object)?
            && let Err(e) = frames_of(&row.record, name, bytes)
        {
            copy.find_error(name, &e, messages.clone());
        }
        Ok(())
    }

    fn blob_row(&self, object: ObjectId) -> Result<Option<BlobRow>> {
        let Ok(state) = self.subject.hot.read() else {
            return Ok(None);
        };
        let value = state.get(TableName::Blobs, &key::blob(BlobId(object.id)))?;
        let row = value.map(|value| BlobRow::decode("blobs", &value));
        Ok(row.transpose()?)
    }

    /// Every message whose frames lie in these bytes of an object.
    fn messages_in(
        &self,
        copy: &mut Copy,
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
            if let Err(e) = whole(name, bytes, &place) {
                copy.find_error(name, &e, [(*account, *id)].into());
            }
        }
        Ok(())
    }

    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.bench.settings.data)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}

/// Unpacks all frames of a blob.
fn frames_of(record: &BlobRecord, name: &str, bytes: &[u8]) -> coldpost_tiers::Result<()> {
    let mut at = frames_for(record, 0..record.raw)?.stored.start;
    for frame in &record.frames {
        at = unpacked(name, bytes, at, frame)?.0;
    }
    Ok(())
}

/// A frame at `at`: where it ends, and what is in it.
fn unpacked(
    name: &str,
    bytes: &[u8],
    at: u64,
    frame: &FrameRef,
) -> coldpost_tiers::Result<(u64, Vec<u8>)> {
    let end = at + u64::from(frame.stored);
    let index = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    let missing = || coldpost_tiers::Error::corrupt(name, at, "the file ends before this frame");
    let stored = bytes.get(index(at)..index(end)).ok_or_else(missing)?;
    Ok((end, decompress(stored, frame, name, at)?))
}

/// Unpacks a message's frames and compares it with its checksum; blobs are checked as objects of their own.
fn whole(name: &str, bytes: &[u8], place: &Place) -> coldpost_tiers::Result<()> {
    let mut at = place.address.offset;
    let mut crc = 0;
    let mut has_blobs = false;
    for extent in &place.address.extents {
        match extent {
            Extent::Frame(frame) => {
                let (end, raw) = unpacked(name, bytes, at, frame)?;
                crc = crc32c::crc32c_append(crc, &raw);
                at = end;
            }
            Extent::Blob { .. } | Extent::Slice { .. } => has_blobs = true,
        }
    }
    if !has_blobs && crc != place.crc {
        let text = "the message is not the one that was delivered (CRC32C)";
        return Err(coldpost_tiers::Error::corrupt(
            name,
            place.address.offset,
            text,
        ));
    }
    Ok(())
}
