//! Each object of a shard once: its copies on local disk and in the bucket, and who cannot be read from any of them.

use std::collections::{BTreeMap, BTreeSet};

use coldpost_tiers::address::{BlobId, Extent, ObjectId, ObjectKind};
use coldpost_tiers::cold::Key;
use coldpost_tiers::hot::row::{BlobRow, ObjectRow, ObjectState, Place, Row};
use coldpost_tiers::hot::{TableName, key};

use super::copy::{Copy, Finding};
use super::{
    Bench, Event, Subject, Summary, UNANSWERED_MAX, Unchecked, damage, journal, unchecked, victims,
};
use crate::error::Result;
use crate::ids::{AccountId, MessageId};
use crate::objects::object_row;

type Report<'a> = &'a mut (dyn FnMut(Event) + Send);
/// A message of a shard.
pub(super) type Message = (AccountId, MessageId);
/// Messages of a shard.
pub(super) type Messages = BTreeSet<Message>;

pub(super) struct ShardCheck<'a, 'b> {
    pub(super) bench: &'a Bench<'b>,
    pub(super) subject: &'a Subject,
    pub(super) summary: &'a mut Summary,
    report: Report<'a>,
    /// Victims are named once, under the first damage that is found.
    named: Messages,
    pub(super) away: Away,
}

/// What the store could not be asked about, told once for a shard.
#[derive(Default)]
pub(super) struct Away {
    /// Without an answer since the last one that came.
    in_a_row: u32,
    objects: u64,
    messages: u64,
    first: Option<(ObjectId, String)>,
}

impl Away {
    /// Why nothing more is asked.
    pub(super) fn given_up(&self) -> Option<&str> {
        let (_, why) = self.first.as_ref()?;
        (self.in_a_row >= UNANSWERED_MAX).then_some(why)
    }

    fn add(&mut self, object: ObjectId, why: &str, messages: usize) {
        self.in_a_row += 1;
        self.objects += 1;
        self.messages += u64::try_from(messages).unwrap_or(u64::MAX);
        self.first.get_or_insert_with(|| (object, why.to_owned()));
    }
}

/// The messages that no copy gives. Where the store was not asked, what is damaged here counts as lost: it cannot be read now.
fn lost(local: Option<&Copy>, stored: Option<&Copy>, messages: &Messages) -> Messages {
    match (local, stored) {
        (None, None) => messages.clone(),
        (None, Some(copy)) | (Some(copy), None) => copy.lost.clone(),
        (Some(local), Some(stored)) => {
            let gone = |m: &&(_, _)| stored.lost.contains(m) || stored.unasked.contains(m);
            local.lost.iter().filter(gone).copied().collect()
        }
    }
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
            away: Away::default(),
        }
    }

    pub(super) async fn run(mut self) -> Result<()> {
        let messages = messages_by_object(self.subject, |_| true)?;
        let mut objects = self.rows()?;
        for object in messages.keys() {
            objects.entry(*object).or_insert(0);
        }
        // A start with damage may know of no row at all: the files are looked at nevertheless.
        for file in journal::files(self.bench, self.subject.shard).ours {
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
        if let Some((object, why)) = self.away.first.take() {
            let Away {
                objects, messages, ..
            } = self.away;
            let object = Key::of(self.subject.shard, &object).to_string();
            let what = format!(
                "this object, and {} others, could not be asked for: {why}",
                objects - 1
            );
            let entries = 0;
            unchecked(
                self.summary,
                self.report,
                Unchecked {
                    object,
                    what,
                    objects,
                    messages,
                    entries,
                },
            );
        }
        Ok(())
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
        let row = object_row(&state, *object)?;
        Ok(row.filter(|row| row.state == ObjectState::Stored))
    }

    /// One object: both its copies, and the messages that neither of them gives.
    async fn object(&mut self, object: ObjectId, messages: &Messages) -> Result<()> {
        let mut local = self.local_copy(object, messages).await?;
        let mut stored = self.stored_copy(object, messages).await?;
        if local.is_none() && stored.is_none() {
            // It may have been sealed, or stored and evicted, between the two looks.
            local = self.local_copy(object, messages).await?;
            stored = self.stored_copy(object, messages).await?;
        }
        let is_of_messages = matches!(object.kind, ObjectKind::Segment | ObjectKind::Block);
        if is_of_messages && (local.is_some() || stored.is_some()) {
            self.summary.messages += u64::try_from(messages.len()).unwrap_or(u64::MAX);
        }
        let lost = lost(local.as_ref(), stored.as_ref(), messages);
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
        if let Some(copy) = &stored
            && let Some(why) = &copy.away
        {
            let elsewhere = if local.is_some() {
                0
            } else {
                copy.unasked.len()
            };
            self.away.add(object, why, elsewhere);
        } else if stored.is_some() {
            self.away.in_a_row = 0;
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

/// The messages of each object that is wanted: those whose frames stand in it, or that name a blob in it.
pub(super) fn messages_by_object(
    subject: &Subject,
    wanted: impl Fn(&ObjectId) -> bool,
) -> Result<BTreeMap<ObjectId, Messages>> {
    let mut by_object: BTreeMap<ObjectId, Messages> = BTreeMap::new();
    let Ok(state) = subject.hot.read() else {
        return Ok(by_object);
    };
    let mut of_blob: BTreeMap<BlobId, ObjectId> = BTreeMap::new();
    let walked = state.walk(TableName::Places, &[], &[], |place_key, value| {
        let Ok(place) = Place::decode(place_key, value) else {
            return Ok(true);
        };
        let Some(message) = key::read_message(place_key) else {
            return Ok(true);
        };
        let mut add = |object: ObjectId| {
            if wanted(&object) {
                by_object.entry(object).or_default().insert(message);
            }
        };
        add(place.address.object);
        for extent in &place.address.extents {
            if let Extent::Blob { blob, .. } = extent {
                add(*of_blob.entry(*blob).or_insert_with(|| {
                    let row = state.get(TableName::Blobs, &key::blob(*blob));
                    let row = row.ok().flatten();
                    let row = row.and_then(|v| BlobRow::decode("blobs", &v).ok());
                    row.map_or(ObjectId::blob(*blob), |row| row.object)
                }));
            }
        }
        Ok(true)
    });
    as_far_as_it_goes(walked)?;
    Ok(by_object)
}

/// A walk that ends at a damaged page gave what is before it.
fn as_far_as_it_goes(walked: coldpost_tiers::Result<()>) -> Result<()> {
    match walked.map_err(crate::Error::from) {
        Err(e) if !e.is_hot_damage() => Err(e),
        _ => Ok(()),
    }
}
