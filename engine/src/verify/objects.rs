//! Each object of a shard once: its copies on local disk and in the bucket, and who cannot be read from any of them.

use std::collections::{BTreeMap, BTreeSet};

use coldpost_tiers::address::{Extent, ObjectId, ObjectKind};
use coldpost_tiers::cold::Key;
use coldpost_tiers::hot::row::{ObjectRow, ObjectState, Place, Row};
use coldpost_tiers::hot::{TableName, key};

use super::copy::{Copy, Finding};
use super::{Bench, Event, Subject, Summary, damage, victims};
use crate::error::Result;
use crate::ids::{AccountId, Epoch, MessageId, Position};
use crate::journal::embedded::local_segments;
use crate::local::shard_dir;

type Report<'a> = &'a mut (dyn FnMut(Event) + Send);
/// Messages of a shard.
pub(super) type Messages = BTreeSet<(AccountId, MessageId)>;

pub(super) struct ShardCheck<'a, 'b> {
    pub(super) bench: &'a Bench<'b>,
    pub(super) subject: &'a Subject,
    pub(super) summary: &'a mut Summary,
    report: Report<'a>,
    /// Victims are named once, under the first damage that is found.
    named: Messages,
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
            named: Messages::new(),
        }
    }

    pub(super) async fn run(mut self) -> Result<()> {
        let messages = self.messages_by_object()?;
        let mut objects = self.rows()?;
        for object in messages.keys() {
            objects.entry(*object).or_insert(0);
        }
        // A start with damage may know of no row at all: the files are looked at nevertheless.
        let dir = shard_dir(&self.bench.settings.data, self.subject.shard).join("journal");
        for file in local_segments(&*self.bench.disk, &dir)? {
            let bytes = std::fs::metadata(&file.path).map_or(0, |m| m.len());
            *objects
                .entry(ObjectId::segment(file.epoch, file.first))
                .or_insert(0) += bytes;
        }
        let mut total = self.summary.bytes + objects.values().sum::<u64>();
        let none = Messages::new();
        for object in objects.keys() {
            let checked = self
                .object(*object, messages.get(object).unwrap_or(&none))
                .await;
            // Told once for the whole hot tier; the others are looked at all the same.
            if let Err(e) = checked
                && !e.is_hot_damage()
            {
                return Err(e);
            }
            let done = self.summary.bytes;
            total = total.max(done);
            (self.report)(Event::Progress { done, total });
        }
        Ok(())
    }

    fn messages_by_object(&self) -> Result<BTreeMap<ObjectId, Messages>> {
        let mut by_object: BTreeMap<ObjectId, Messages> = BTreeMap::new();
        let Ok(state) = self.subject.hot.read() else {
            return Ok(by_object);
        };
        let walked = state.walk(TableName::Places, &[], &[], |place_key, value| {
            let Ok(place) = Place::decode("places", value) else {
                return Ok(true);
            };
            let id = message_id(place_key);
            let account = key::account_of(place_key);
            by_object
                .entry(place.address.object)
                .or_default()
                .insert((account, id));
            for extent in &place.address.extents {
                if let Extent::Blob { blob, .. } = extent {
                    by_object
                        .entry(ObjectId::blob(*blob))
                        .or_default()
                        .insert((account, id));
                }
            }
            Ok(true)
        });
        as_far_as_it_goes(walked)?;
        Ok(by_object)
    }

    /// The objects that have a row, and how many bytes the store has of them.
    fn rows(&self) -> Result<BTreeMap<ObjectId, u64>> {
        let mut objects = BTreeMap::new();
        let Ok(state) = self.subject.hot.read() else {
            return Ok(objects);
        };
        let walked = state.walk(TableName::Objects, &[], &[], |object_key, value| {
            if let (Some((kind, id)), Ok(row)) = (
                object_key.split_first(),
                ObjectRow::decode("objects", value),
            ) && let (Some(kind), Ok(id)) = (ObjectKind::from_number(*kind), id.try_into())
            {
                let stored = row.state == ObjectState::Stored;
                objects.insert(ObjectId { kind, id }, if stored { row.bytes } else { 0 });
            }
            Ok(true)
        });
        as_far_as_it_goes(walked)?;
        Ok(objects)
    }

    /// What the store was told to have of an object, as the row says now: an upload may have been confirmed meanwhile.
    pub(super) fn stored_row(&self, object: &ObjectId) -> Result<Option<ObjectRow>> {
        let Ok(state) = self.subject.hot.read() else {
            return Ok(None);
        };
        let value = state.get(TableName::Objects, &key::object(*object))?;
        let row = value
            .map(|value| ObjectRow::decode("objects", &value))
            .transpose()?;
        Ok(row.filter(|row| row.state == ObjectState::Stored))
    }

    /// One object: both its copies, and the messages that neither of them gives.
    async fn object(&mut self, object: ObjectId, messages: &Messages) -> Result<()> {
        let mut local = self.local_copy(object, messages)?;
        let mut stored = self.stored_copy(object, messages).await?;
        if local.is_none() && stored.is_none() {
            // It may have been sealed, or stored and evicted, between the two looks.
            local = self.local_copy(object, messages)?;
            stored = self.stored_copy(object, messages).await?;
        }
        if object.kind != ObjectKind::Blob && (local.is_some() || stored.is_some()) {
            self.summary.messages += u64::try_from(messages.len()).unwrap_or(u64::MAX);
        }
        let lost_from = |copy: &Option<Copy>| match copy {
            Some(copy) => copy.lost.clone(),
            None => messages.clone(),
        };
        let lost: Messages = lost_from(&local)
            .intersection(&lost_from(&stored))
            .copied()
            .collect();
        if local.is_none() && stored.is_none() {
            // Whoever was purged meanwhile took the object along.
            let lost = self.still_there(lost)?;
            if lost.is_empty() {
                return Ok(());
            }
            let finding = Finding {
                name: Key::of(self.subject.shard, &object).to_string(),
                offset: 0,
                what: "it is neither on local disk nor confirmed in the store".to_owned(),
                hit: lost.clone(),
            };
            return self.tell(finding, &lost);
        }
        for finding in [local, stored]
            .into_iter()
            .flatten()
            .flat_map(|c| c.findings)
        {
            self.tell(finding, &lost)?;
        }
        Ok(())
    }

    fn still_there(&self, messages: Messages) -> Result<Messages> {
        let mut there = Messages::new();
        if let Ok(state) = self.subject.hot.read() {
            for (account, id) in messages {
                let place = state.get(TableName::Places, &key::message(account, id))?;
                if place.is_some() {
                    there.insert((account, id));
                }
            }
        }
        Ok(there)
    }

    /// Reports it, with those of `lost` that it hits and that were not named yet.
    fn tell(&mut self, finding: Finding, lost: &Messages) -> Result<()> {
        let hit: Vec<_> = finding
            .hit
            .intersection(lost)
            .filter(|message| !self.named.contains(message))
            .copied()
            .collect();
        self.named.extend(&hit);
        let named = match self.subject.hot.read() {
            Ok(state) if !hit.is_empty() => victims::name(&state, &hit)?,
            _ => Vec::new(),
        };
        let Finding {
            name, offset, what, ..
        } = finding;
        damage(self.summary, self.report, name, offset, what, named);
        Ok(())
    }
}

/// A walk that ends at a damaged page gave what is before it.
fn as_far_as_it_goes(walked: coldpost_tiers::Result<()>) -> Result<()> {
    match walked.map_err(crate::Error::from) {
        Err(e) if !e.is_hot_damage() => Err(e),
        _ => Ok(()),
    }
}

pub(super) fn message_id(place_key: &[u8]) -> MessageId {
    let part = |range: std::ops::Range<usize>| place_key.get(range).unwrap_or_default();
    MessageId {
        epoch: Epoch(part(8..12).try_into().map_or(0, u32::from_be_bytes)),
        position: Position(part(12..20).try_into().map_or(0, u64::from_be_bytes)),
        number: part(20..22).try_into().map_or(0, u16::from_be_bytes),
    }
}
