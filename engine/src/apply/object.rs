//! The life of an object: named by `intent`, counted while it is referred to, `condemn`ed when nobody can need it, `gone`.
//!
//! Promises: only what is dead at or before the horizon is condemned, and only what is condemned goes; dead is final (`docs/cold.md`).

use coldpost_tiers::Result;
use coldpost_tiers::address::{BlobId, ObjectId, ObjectKind};
use coldpost_tiers::hot::row::{BlobRow, ContentRow, Counted, ObjectRow, ObjectState, Row};
use coldpost_tiers::hot::{TableName, key};
#[cfg(any(test, feature = "faults"))]
use coldpost_tiers::planted;

use super::Step;
use crate::ids::Position;
use crate::op::{Intent, Outcome, Refusal};

/// Key in `meta` of the number that the next numbered object gets, big-endian.
const NEXT_OBJECT: &[u8] = b"next_object";

fn is_referred_to(row: &ObjectRow) -> bool {
    #[cfg(any(test, feature = "faults"))]
    if planted::is_planted(planted::Bug::CondemnsUnseen) {
        return false;
    }
    row.count.is_live()
}

impl Step<'_, '_> {
    /// Objects that are about to be made are dead since now, until something refers to them.
    pub(super) fn intent(&mut self, intent: &Intent) -> Result<Outcome> {
        let first = match self.batch.get(TableName::Meta, NEXT_OBJECT)? {
            Some(value) => value
                .first_chunk::<8>()
                .map_or(1, |b| u64::from_be_bytes(*b)),
            None => 1,
        };
        for object in &intent.given {
            let known = self.object(*object)?;
            if known.is_some_and(|row| row.state == ObjectState::Condemned) {
                let text = "an object of this name is about to be deleted";
                return Ok(Outcome::refused(Refusal::Exists, text));
            }
        }
        let mut number = first;
        for kind in &intent.numbered {
            self.announce(ObjectId::numbered(*kind, self.at.epoch, number))?;
            number = number.saturating_add(1);
        }
        for object in &intent.given {
            if self.object(*object)?.is_none() {
                self.announce(*object)?;
            }
        }
        self.batch
            .put(TableName::Meta, NEXT_OBJECT, &number.to_be_bytes())?;
        Ok(Outcome::Counted(first))
    }

    fn announce(&mut self, object: ObjectId) -> Result<()> {
        let mut row = ObjectRow::new(self.now);
        row.count = Counted::DeadSince(self.at.position);
        row.times.dead = self.now;
        self.put_object(object, &row)
    }

    /// From here on nothing may refer to it.
    pub(super) fn condemn(&mut self, object: ObjectId) -> Result<Outcome> {
        let Some(mut row) = self.object(object)? else {
            return Ok(Outcome::refused(
                Refusal::Invalid,
                "no such object is known",
            ));
        };
        if let Some(why) = self.is_needed(object, &row)? {
            return Ok(Outcome::refused(Refusal::Invalid, why));
        }
        row.state = ObjectState::Condemned;
        row.times.condemned = self.now;
        self.put_object(object, &row)?;
        Ok(Outcome::Done { modseq: 0 })
    }

    /// Why somebody may need an object still.
    fn is_needed(&self, object: ObjectId, row: &ObjectRow) -> Result<Option<&'static str>> {
        if object.kind == ObjectKind::Snapshot && row.last > Position(0) {
            // Of those that were stored; one that never was is what a kill left.
            let newest = self.snapshots()?.into_iter().max();
            let is_newest = newest == Some(row.last);
            return Ok(is_newest.then_some("it is the newest snapshot"));
        }
        if is_referred_to(row) {
            return Ok(Some("it is referred to"));
        }
        let is_segment = object.kind == ObjectKind::Segment;
        if is_segment && row.state != ObjectState::Stored {
            return Ok(Some("it is not in the bucket yet"));
        }
        // A range is needed for as long as a manifest is there that names it, whatever died when.
        let is_range = object.kind == ObjectKind::SnapshotRange;
        let horizon = self.horizon()?;
        Ok(match row.count {
            Counted::DeadSince(since) if since > horizon && !is_range => {
                Some("it died behind the horizon")
            }
            _ if is_segment && row.last > horizon => Some("it ends behind the horizon"),
            Counted::Live(_) | Counted::DeadSince(_) => None,
        })
    }

    fn horizon(&self) -> Result<Position> {
        #[cfg(any(test, feature = "faults"))]
        if planted::is_planted(planted::Bug::GraceByClock) {
            return Ok(Position(u64::MAX));
        }
        let oldest = self.snapshots()?.into_iter().min();
        Ok(oldest.unwrap_or(Position(0)))
    }

    /// The positions of snapshots that were stored and are not gone.
    fn snapshots(&self) -> Result<Vec<Position>> {
        let kind = [ObjectKind::Snapshot as u8];
        let mut snapshots = Vec::new();
        for row in self.batch.scan(TableName::Objects, &kind, &kind)? {
            let row = ObjectRow::decode("objects", &row?.1)?;
            if row.last > Position(0) {
                snapshots.push(row.last);
            }
        }
        Ok(snapshots)
    }

    /// The bytes are deleted: so are the rows of the object and of what it held.
    pub(super) fn gone(&mut self, object: ObjectId, blobs: &[BlobId]) -> Result<Outcome> {
        match self.object(object)? {
            Some(row) if row.state == ObjectState::Condemned => {}
            _ => {
                let text = "only what was condemned goes";
                return Ok(Outcome::refused(Refusal::Invalid, text));
            }
        }
        self.batch
            .remove(TableName::Objects, &key::object(object))?;
        if object.kind == ObjectKind::Block {
            let prefix = key::object(object);
            let frames: Vec<_> = self
                .batch
                .scan(TableName::Frames, &prefix, &prefix)?
                .collect::<Result<_>>()?;
            for (k, _) in frames {
                self.batch.remove(TableName::Frames, &k)?;
            }
        }
        if object.kind == ObjectKind::Snapshot {
            self.forget_snapshot(object)?;
        }
        for blob in blobs {
            self.forget_blob(object, *blob)?;
        }
        Ok(Outcome::Done { modseq: 0 })
    }

    fn forget_blob(&mut self, object: ObjectId, blob: BlobId) -> Result<()> {
        let blob_key = key::blob(blob);
        let Some(value) = self.batch.get(TableName::Blobs, &blob_key)? else {
            return Ok(());
        };
        let row = BlobRow::decode("blobs", &value)?;
        if row.object != object || row.count.is_live() {
            return Ok(());
        }
        self.batch.remove(TableName::Blobs, &blob_key)?;
        self.forget_content(&row)
    }

    /// A content is given to others from the first reference to its blob on.
    pub(super) fn note_content(&mut self, row: &BlobRow) -> Result<()> {
        let Some(scope) = row.scope else {
            return Ok(());
        };
        let content = key::content(&row.record.content, scope);
        if self.batch.get(TableName::Contents, &content)?.is_some() {
            return Ok(());
        }
        let row = ContentRow {
            blob: row.record.blob,
        };
        self.batch.put(TableName::Contents, &content, &row.encode())
    }

    /// A content is given to nobody any more when its blob died.
    pub(super) fn forget_content(&mut self, row: &BlobRow) -> Result<()> {
        let Some(scope) = row.scope else {
            return Ok(());
        };
        let content = key::content(&row.record.content, scope);
        let Some(value) = self.batch.get(TableName::Contents, &content)? else {
            return Ok(());
        };
        if ContentRow::decode("contents", &value)?.blob == row.record.blob {
            self.batch.remove(TableName::Contents, &content)?;
        }
        Ok(())
    }
}
