//! A copy of an object, on local disk or in the bucket: what is wrong in it, and which messages it does not give.

use std::ops::Range;
use std::path::{Path, PathBuf};

use coldpost_tiers::address::{BlobId, ObjectId, ObjectKind};
use coldpost_tiers::blob::verify_blob;
use coldpost_tiers::cold::{Caller, Key};
use coldpost_tiers::hot::row::{BlobRow, Place, Row};
use coldpost_tiers::hot::{TableName, key};
use coldpost_tiers::segment::{Damage, Salvage, Salvaged, SealedSegment, SegmentReader};

use super::in_full;
use super::objects::{Message, Messages, ShardCheck};
use super::pieces::{Source, blob_frames, groups, span};
use crate::error::Result;
use crate::ids::{MessageId, Position};

/// Rows read at once.
const PLACES_AT_ONCE: usize = 1024;

/// See the module.
#[derive(Default)]
pub(super) struct Copy {
    pub(super) findings: Vec<Finding>,
    /// The messages that this copy does not give.
    pub(super) lost: Messages,
    /// The messages of which nobody knows whether it gives them.
    pub(super) unasked: Messages,
    /// Why nobody knows.
    pub(super) away: Option<String>,
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
    pub(super) fn find(&mut self, name: &str, offset: u64, what: String, hit: Messages) {
        self.lost.extend(&hit);
        // Several messages may stand in the same bytes: one delivery to several accounts.
        if let Some(last) = self.findings.last_mut()
            && (&*last.name, last.offset, &*last.what) == (name, offset, &*what)
        {
            last.hit.extend(&hit);
            return;
        }
        self.findings.push(Finding {
            name: name.to_owned(),
            offset,
            what,
            hit,
        });
    }

    /// Nobody knows anything of it.
    fn unasked(why: &str, messages: &Messages) -> Copy {
        Copy {
            unasked: messages.clone(),
            away: Some(why.to_owned()),
            ..Copy::default()
        }
    }

    /// The store did not answer: whoever has no whole local copy cannot be read now, but nothing says that they are damaged.
    pub(super) fn ask_later(&mut self, error: &coldpost_tiers::Error, messages: &Messages) {
        self.unasked.extend(messages.difference(&self.lost));
        self.away.get_or_insert_with(|| in_full(error));
    }

    pub(super) fn find_error(&mut self, name: &str, error: &coldpost_tiers::Error, hit: Messages) {
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
    pub(super) async fn local_copy(
        &mut self,
        object: ObjectId,
        messages: &Messages,
    ) -> Result<Option<Copy>> {
        match object.kind {
            ObjectKind::Blob => self.local_blob(object, messages).await,
            ObjectKind::Block | ObjectKind::Pack => self.local_compacted(object, messages).await,
            ObjectKind::Snapshot | ObjectKind::SnapshotRange => Ok(None),
            _ => self.local_segment(object, messages).await,
        }
    }

    /// A local file; `None` when it is not there: it may be sealed or evicted at any moment, and whoever looks next finds it under its new name.
    pub(super) fn open(&self, path: &Path) -> Option<coldpost_tiers::Result<Source>> {
        match self.bench.disk.open(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
            Err(e) => Some(Err(coldpost_tiers::disk::failed("open", path, e))),
            Ok(file) => Some(Source::file(file, path.to_owned())),
        }
    }

    /// The local file of an object, which is counted; one that cannot be opened is a copy that gives nobody anything. `None` as
    /// [`ShardCheck::open`].
    pub(super) fn begin(
        &mut self,
        object: ObjectId,
        messages: &Messages,
    ) -> Option<std::result::Result<(PathBuf, Source), Copy>> {
        let path = self.bench.local.path_of(self.subject.shard, &object)?;
        Some(match self.open(&path)? {
            Ok(source) => {
                self.summary.objects += 1;
                self.summary.bytes += source.length();
                Ok((path, source))
            }
            Err(e) => {
                let mut copy = Copy::default();
                let name = self.bench.relative(&path);
                copy.find(&name, 0, in_full(&e), messages.clone());
                Err(copy)
            }
        })
    }

    /// Every record of a segment file, and then every message by its address.
    async fn local_segment(
        &mut self,
        object: ObjectId,
        messages: &Messages,
    ) -> Result<Option<Copy>> {
        let (path, source) = match self.begin(object, messages) {
            Some(Ok(begun)) => begun,
            Some(Err(copy)) => return Ok(Some(copy)),
            None => return Ok(None),
        };
        let name = self.bench.relative(&path);
        let mut copy = Copy::default();
        if !self.records(&mut copy, object, &path, messages) {
            return Ok(None);
        }
        let rest = messages.difference(&copy.lost).copied().collect();
        self.messages_in(&mut copy, &name, &source, &rest, object)
            .await?;
        Ok(Some(copy))
    }

    /// Whether the file is still there: what is damaged in its records, and whose mail stands in that.
    fn records(&self, copy: &mut Copy, object: ObjectId, path: &Path, messages: &Messages) -> bool {
        let name = self.bench.relative(path);
        let sealed = self.bench.local.sealed_path(self.subject.shard, &object);
        let records = if sealed.as_deref() == Some(path) {
            SealedSegment::open(&*self.bench.disk, path)
                .and_then(|segment| Ok(segment.verify()?.damage))
        } else {
            self.damage_in_open(path)
        };
        let epoch = object.as_segment().map(|(epoch, _)| epoch);
        match records {
            Ok(damage) => {
                for found in damage {
                    let lost = found.first_lost..found.next_whole.unwrap_or(Position(u64::MAX));
                    let stands_there = |m: &&(_, MessageId)| {
                        Some(m.1.epoch) == epoch && lost.contains(&m.1.position)
                    };
                    let hit = messages.iter().filter(stands_there).copied().collect();
                    let range = &found.range;
                    let what = format!("{} (bytes {} to {})", found.why, range.start, range.end);
                    copy.find(&name, range.start, what, hit);
                }
            }
            Err(e) if *e.kind() == coldpost_tiers::Kind::NotFound => return false,
            Err(e) => copy.find_error(&name, &e, Messages::new()),
        }
        true
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

    async fn local_blob(&mut self, object: ObjectId, messages: &Messages) -> Result<Option<Copy>> {
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
        let whole = opened.and_then(|file| {
            verify_blob(&*file, &path, &row.record)?;
            Ok(())
        });
        if let Err(e) = whole {
            // Damage beside the frames keeps nobody from reading.
            let gives = match self.open(&path) {
                Some(Ok(source)) => blob_frames(&source, &row.record, "").await.is_ok(),
                _ => false,
            };
            let hit = if gives {
                Messages::new()
            } else {
                messages.clone()
            };
            copy.find_error(&self.bench.relative(&path), &e, hit);
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
        if let Some(why) = self.away.given_up() {
            return Ok(Some(Copy::unasked(why, messages)));
        }
        let mut copy = Copy::default();
        let (digest, bytes) = match self.bench.cold.digest(&key, Caller::Verify).await {
            Ok(found) => found,
            Err(e) if *e.kind() == coldpost_tiers::Kind::NotFound => {
                let what = "it is missing in the store".to_owned();
                copy.find(&name, 0, what, messages.clone());
                self.summary.objects += 1;
                return Ok(Some(copy));
            }
            Err(e) => {
                copy.ask_later(&e, messages);
                return Ok(Some(copy));
            }
        };
        self.summary.objects += 1;
        self.summary.bytes += bytes;
        if digest == row.digest {
            return Ok(Some(copy));
        }
        let source = Source::object(&self.bench.cold, key, bytes);
        self.damage_in(&mut copy, &name, &source, messages, object)
            .await?;
        if copy.findings.is_empty() {
            let what = format!(
                "the object in the store is not the one that was put there ({bytes} bytes, {} expected)",
                row.bytes
            );
            copy.find(&name, 0, what, Messages::new());
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
        if !self.subject.is_made {
            return Ok(None);
        }
        if let Some(why) = self.away.given_up() {
            return Ok(Some(Copy::unasked(why, messages)));
        }
        let mut copy = Copy::default();
        match self.bench.cold.head(key, Caller::Verify).await {
            Ok(Some(found)) => {
                self.summary.objects += 1;
                self.summary.bytes += found.size;
                let source = Source::object(&self.bench.cold, *key, found.size);
                let name = key.to_string();
                self.damage_in(&mut copy, &name, &source, messages, object)
                    .await?;
            }
            Ok(None) => return Ok(None),
            Err(e) => copy.ask_later(&e, messages),
        }
        Ok(Some(copy))
    }

    /// What is wrong with messages in the bytes of an object.
    async fn damage_in(
        &mut self,
        copy: &mut Copy,
        name: &str,
        source: &Source,
        messages: &Messages,
        object: ObjectId,
    ) -> Result<()> {
        match object.kind {
            ObjectKind::Blob => {}
            ObjectKind::Block | ObjectKind::Pack => {
                return self
                    .compacted_in(copy, name, source, messages, object)
                    .await;
            }
            _ => return self.messages_in(copy, name, source, messages, object).await,
        }
        if let Some(row) = self.blob_row(object)?
            && let Err(e) = blob_frames(source, &row.record, name).await
        {
            match e.kind() {
                coldpost_tiers::Kind::Unavailable => copy.ask_later(&e, messages),
                _ => copy.find_error(name, &e, messages.clone()),
            }
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
    async fn messages_in(
        &mut self,
        copy: &mut Copy,
        name: &str,
        source: &Source,
        messages: &Messages,
        object: ObjectId,
    ) -> Result<()> {
        for (range, messages) in groups(self.spans(messages, object)?) {
            match source.piece(range).await {
                Ok(piece) => {
                    for (message, place) in self.places(&messages, object)? {
                        if let Err(e) = piece.holds(name, &place) {
                            copy.find_error(name, &e, [message].into());
                        }
                    }
                }
                Err(e) if source.is_local() => {
                    copy.find(name, 0, in_full(&e), messages.into_iter().collect());
                }
                Err(e) => copy.ask_later(&e, &messages.into_iter().collect()),
            }
        }
        Ok(())
    }

    /// Where in an object the messages are that stand in it. Their places are read again piece by piece: all of them may be many.
    fn spans(&self, messages: &Messages, object: ObjectId) -> Result<Vec<(Range<u64>, Message)>> {
        let messages: Vec<_> = messages.iter().copied().collect();
        let mut spans = Vec::with_capacity(messages.len());
        for some in messages.chunks(PLACES_AT_ONCE) {
            let places = self.places(some, object)?;
            spans.extend(
                places
                    .into_iter()
                    .map(|(message, place)| (span(&place), message)),
            );
        }
        Ok(spans)
    }

    pub(super) fn places(
        &self,
        messages: &[Message],
        object: ObjectId,
    ) -> Result<Vec<(Message, Place)>> {
        let all = messages.iter().copied().collect();
        let mut places = self.all_places(&all)?;
        places.retain(|(_, place)| place.address.object == object);
        Ok(places)
    }

    pub(super) fn all_places(&self, messages: &Messages) -> Result<Vec<(Message, Place)>> {
        let mut places = Vec::new();
        let Ok(state) = self.subject.hot.read() else {
            return Ok(places);
        };
        for (account, id) in messages {
            let place_key = key::message(*account, *id);
            let Some(value) = state.get(TableName::Places, &place_key)? else {
                continue;
            };
            let place = Place::decode(&place_key, &value)?;
            places.push(((*account, *id), place));
        }
        Ok(places)
    }
}
