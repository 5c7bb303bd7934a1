//! What the hot tier says of objects: some rows at a time, so that no state of it is held while a store is asked.

use coldpost_tiers::address::{BlobId, ObjectId, ObjectKind};
use coldpost_tiers::hot::row::{BlobRow, ObjectRow, ObjectState, Row};
use coldpost_tiers::hot::{TableName, key};

use super::Walk;
use super::merge::Id;
use crate::error::Result;
use crate::ids::ShardNo;
use crate::limits::VERIFY_ROWS_AT_ONCE;
use crate::objects::object_row;
use crate::verify::Subject;

/// An object with its row.
pub(super) type Known = (ObjectId, ObjectRow);

/// The kinds of objects that a folder holds.
pub(super) fn kinds(kind: ObjectKind) -> &'static [ObjectKind] {
    match kind {
        ObjectKind::Segment => &[ObjectKind::Segment],
        ObjectKind::Block => &[ObjectKind::Block],
        ObjectKind::Blob | ObjectKind::Pack => &[ObjectKind::Blob, ObjectKind::Pack],
        ObjectKind::TextRun => &[ObjectKind::TextRun],
        ObjectKind::Snapshot => &[ObjectKind::Snapshot],
        ObjectKind::SnapshotRange => &[ObjectKind::SnapshotRange],
        ObjectKind::EpochClaim => &[],
    }
}

/// One of each folder whose objects have rows, with the folder's name.
pub(super) const FOLDERS: [(ObjectKind, &str); 6] = [
    (ObjectKind::Segment, "segments"),
    (ObjectKind::Block, "blocks"),
    (ObjectKind::Blob, "blobs"),
    (ObjectKind::TextRun, "text"),
    (ObjectKind::Snapshot, "snapshots"),
    (ObjectKind::SnapshotRange, "ranges"),
];

/// Some rows of a folder behind an id, in order.
pub(super) fn some(
    subject: &Subject,
    kinds: &[ObjectKind],
    after: Option<&Id>,
) -> Result<Vec<(Id, Known)>> {
    let state = subject.hot.read()?;
    let mut rows: Vec<(Id, Known)> = Vec::new();
    for kind in kinds {
        let prefix = [*kind as u8];
        let from = match after {
            Some(id) => key::object(ObjectId {
                kind: *kind,
                id: *id,
            }),
            None => prefix.to_vec(),
        };
        let mut count = 0;
        state.walk(TableName::Objects, &prefix, &from, |k, value| {
            let object = key::read_object(k).filter(|object| Some(&object.id) != after);
            if let Some(object) = object {
                rows.push((object.id, (object, ObjectRow::decode("objects", value)?)));
                count += 1;
            }
            Ok(count < VERIFY_ROWS_AT_ONCE)
        })?;
    }
    rows.sort_by_key(|(id, _)| *id);
    // A pack and a blob may have the same id: both or none.
    let cut = (VERIFY_ROWS_AT_ONCE..rows.len()).find(|at| rows[*at].0 != rows[at - 1].0);
    rows.truncate(cut.unwrap_or(rows.len()));
    Ok(rows)
}

impl Walk<'_, '_> {
    /// The row of an object now; `None` without one, or where the hot tier cannot be asked.
    pub(super) fn row_now(&self, shard: ShardNo, object: ObjectId) -> Result<Option<ObjectRow>> {
        let Some(subject) = self.subject(shard) else {
            return Ok(None);
        };
        Ok(object_row(&subject.hot.read()?, object)?)
    }

    /// The same of one that the store must have.
    pub(super) fn stored_now(&self, shard: ShardNo, object: ObjectId) -> Result<Option<ObjectRow>> {
        let row = self.row_now(shard, object)?;
        Ok(row.filter(|row| row.state == ObjectState::Stored))
    }

    /// Digest and bytes of a blob that lies alone, as it was made.
    pub(super) fn blob_made(
        &self,
        shard: ShardNo,
        object: ObjectId,
    ) -> Result<Option<([u8; 32], u64)>> {
        let Some(subject) = self.subject(shard) else {
            return Ok(None);
        };
        let state = subject.hot.read()?;
        let Some(value) = state.get(TableName::Blobs, &key::blob(BlobId(object.id)))? else {
            return Ok(None);
        };
        let record = BlobRow::decode("blobs", &value)?.record;
        Ok(Some((record.object_digest, record.object_bytes)))
    }

    /// Bytes of all objects that a store must have.
    pub(super) fn referenced_bytes(&self) -> Result<u64> {
        let mut bytes = 0;
        for subject in self.subjects {
            let Some(subject) = self.subject(subject.shard) else {
                continue;
            };
            let state = subject.hot.read()?;
            let walked = state.walk(TableName::Objects, &[], &[], |_, value| {
                let row = ObjectRow::decode("objects", value)?;
                if row.state == ObjectState::Stored {
                    bytes += row.bytes;
                }
                Ok(true)
            });
            // Damage is told where the rows are needed.
            if walked.is_err() {
                break;
            }
        }
        Ok(bytes)
    }

    /// Whether a file here has all bytes of an object; what is in them is not looked at.
    pub(super) fn is_here(&self, shard: ShardNo, object: ObjectId, bytes: u64) -> bool {
        let path = self.bench.local.path_of(shard, &object);
        let meta = path.and_then(|path| std::fs::metadata(path).ok());
        meta.is_some_and(|meta| meta.len() == bytes)
    }
}
