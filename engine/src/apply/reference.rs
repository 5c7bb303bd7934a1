//! Reference counts of messages, blobs and objects. Only here do they go up or down.

use coldpost_tiers::Result;
use coldpost_tiers::address::{Address, BlobId, BlobRecord, Extent, ObjectId};
use coldpost_tiers::hot::row::{BlobRow, Counted, ObjectRow, Place, Row};
use coldpost_tiers::hot::{TableName, key};

use super::Step;
use crate::ids::{AccountId, MessageId};

impl Step<'_, '_> {
    pub(super) fn place(&self, account: AccountId, id: MessageId) -> Result<Option<Place>> {
        let key = key::message(account, id);
        let value = self.batch.get(TableName::Places, &key)?;
        value.map(|v| Place::decode(&key, &v)).transpose()
    }

    pub(super) fn put_place(
        &mut self,
        account: AccountId,
        id: MessageId,
        place: &Place,
    ) -> Result<()> {
        self.batch.put(
            TableName::Places,
            &key::message(account, id),
            &place.encode(id),
        )
    }

    /// One more entry refers to the message. Gives its octets; 0 when there is no such message.
    pub(super) fn refer(&mut self, account: AccountId, id: MessageId) -> Result<u64> {
        let Some(mut place) = self.place(account, id)? else {
            return Ok(0);
        };
        place.references += 1;
        self.put_place(account, id, &place)?;
        Ok(place.size)
    }

    /// An entry refers to the message no more; the last one takes row, place and references to objects along.
    pub(super) fn release(&mut self, account: AccountId, id: MessageId) -> Result<()> {
        let Some(mut place) = self.place(account, id)? else {
            return Ok(());
        };
        place.references = place.references.saturating_sub(1);
        if place.references > 0 {
            return self.put_place(account, id, &place);
        }
        let key = key::message(account, id);
        self.batch.remove(TableName::Places, &key)?;
        self.batch.remove(TableName::Rows, &key)?;
        self.count_address(&place.address, -1)
    }

    /// A place came (+1) or went (-1): its object and each blob in it are counted.
    pub(super) fn count_address(&mut self, address: &Address, by: i64) -> Result<()> {
        let mut stored = 0;
        for extent in &address.extents {
            match extent {
                Extent::Frame(frame) => stored += u64::from(frame.stored),
                Extent::Slice { length, .. } => stored += u64::from(*length),
                Extent::Blob { blob, .. } => self.count_blob(*blob, by)?,
            }
        }
        self.count_object(address.object, by, stored)
    }

    /// A bug to be planted: the blobs of a message are freed, and will be again.
    #[cfg(any(test, feature = "faults"))]
    pub(super) fn free_blobs(&mut self, account: AccountId, id: MessageId) -> Result<()> {
        let place = self.place(account, id)?;
        for extent in place.iter().flat_map(|place| &place.address.extents) {
            if let Extent::Blob { blob, .. } = extent {
                self.count_blob(*blob, -1)?;
            }
        }
        Ok(())
    }

    /// The object of a blob is referred to by the blob, while that is referred to by anything.
    fn count_blob(&mut self, blob: BlobId, by: i64) -> Result<()> {
        let key = key::blob(blob);
        let Some(value) = self.batch.get(TableName::Blobs, &key)? else {
            return Ok(());
        };
        let mut row = BlobRow::decode("blobs", &value)?;
        let before = row.count;
        row.count = before.add(by, self.at.position);
        row.dead_at = self.dead_at(row.count);
        self.batch.put(TableName::Blobs, &key, &row.encode())?;
        match (before, row.count) {
            (Counted::DeadSince(_), Counted::Live(_)) => {
                self.note_content(&row)?;
                self.count_object(row.object, 1, 0)
            }
            (Counted::Live(_), Counted::DeadSince(_)) => {
                self.forget_content(&row)?;
                self.count_object(row.object, -1, row.stored_bytes())
            }
            _ => Ok(()),
        }
    }

    fn dead_at(&self, count: Counted) -> i64 {
        match count {
            Counted::Live(_) => 0,
            Counted::DeadSince(_) => self.now,
        }
    }

    pub(super) fn object(&self, object: ObjectId) -> Result<Option<ObjectRow>> {
        let value = self.batch.get(TableName::Objects, &key::object(object))?;
        value.map(|v| ObjectRow::decode("objects", &v)).transpose()
    }

    pub(super) fn put_object(&mut self, object: ObjectId, row: &ObjectRow) -> Result<()> {
        self.batch
            .put(TableName::Objects, &key::object(object), &row.encode())
    }

    pub(super) fn count_object(&mut self, object: ObjectId, by: i64, stored: u64) -> Result<()> {
        let mut row = self
            .object(object)?
            .unwrap_or_else(|| ObjectRow::new(self.now));
        row.count = row.count.add(by, self.at.position);
        row.times.dead = self.dead_at(row.count);
        if by < 0 {
            row.dead_bytes += stored;
            row.is_urgent |= self.is_erasing;
            if row.times.first_dead == 0 {
                row.times.first_dead = self.now;
            }
        }
        self.put_object(object, &row)
    }

    /// A blob that an entry is the first to name. With no reference yet it is dead since that entry.
    pub(super) fn name_blob(&mut self, record: &BlobRecord) -> Result<()> {
        if self
            .batch
            .get(TableName::Blobs, &key::blob(record.blob))?
            .is_some()
        {
            return Ok(());
        }
        let object = ObjectId::blob(record.blob);
        let row = BlobRow {
            count: Counted::DeadSince(self.at.position),
            dead_at: self.now,
            object,
            offset: 0,
            record: record.clone(),
            scope: None,
        };
        self.batch
            .put(TableName::Blobs, &key::blob(record.blob), &row.encode())?;
        let mut row = ObjectRow::new(self.now);
        row.bytes = record.object_bytes;
        row.count = Counted::DeadSince(self.at.position);
        row.times.dead = self.now;
        self.put_object(object, &row)
    }
}
