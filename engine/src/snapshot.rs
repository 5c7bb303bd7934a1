//! Taking snapshots of shards, and which there are.
//!
//! Promises: a snapshot is told to the journal only after all of it was read back from the bucket and everything that its rows refer to is
//! there. A crash leaves: objects that an `intent` names, and local files that the next start removes.

mod take;

use coldpost_tiers::address::{ObjectId, ObjectKind};
use coldpost_tiers::hot::row::{ObjectState, Row, SnapshotRow};
use coldpost_tiers::hot::{TableName, key};

use crate::error::{Error, Kind, Result};
use crate::ids::{Epoch, Position, ShardNo};
use crate::objects::object_row;
use crate::open::Engine;
use crate::shard::Shard;

pub(crate) use take::clear;

/// A snapshot that the journal knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Of which shard.
    pub shard: ShardNo,
    /// The entry after which the rows stood as it shows them.
    pub position: Position,
    /// The epoch of that entry.
    pub epoch: Epoch,
    /// When it was confirmed, seconds since 1970.
    pub time: i64,
    /// Bytes in the bucket, of manifest and ranges.
    pub bytes: u64,
    /// Ranges.
    pub ranges: usize,
    /// Whether it is about to be deleted.
    pub is_condemned: bool,
}

/// What taking one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Rows are written to local files: bytes, of an unknown number.
    Packing,
    /// Objects that rows refer to are on their way to the bucket: objects.
    Waiting,
    /// It is uploaded: bytes.
    Uploading,
    /// It is read back: bytes.
    Comparing,
}

/// What happens meanwhile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// How far it is.
    Progress {
        /// Of which shard.
        shard: ShardNo,
        /// What is done.
        stage: Stage,
        /// So many.
        done: u64,
        /// Of so many; 0 where nobody knows.
        total: u64,
    },
    /// One is there.
    Taken(Snapshot),
}

/// Whoever is told.
pub(crate) type Report<'a> = &'a mut (dyn FnMut(Event) + Send);

impl Engine {
    /// Takes a snapshot of every shard, one after the other.
    ///
    /// # Errors
    /// `Unavailable`: the bucket or the disk refuses; `Conflict`: somebody else writes there; `Limit`: a shard has too many rows.
    pub async fn snapshot_now(&self, report: &mut (dyn FnMut(Event) + Send)) -> Result<()> {
        for shard in &self.inner.shards {
            let taken = self.snapshot_shard(shard.no, report).await?;
            report(Event::Taken(taken));
        }
        Ok(())
    }

    /// All that there are, by shard, the oldest first.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error; `Corrupt` for a row that cannot be read.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>> {
        let mut all = Vec::new();
        for shard in &self.inner.shards {
            all.extend(known(shard)?);
        }
        Ok(all)
    }
}

/// The snapshots of a shard, the oldest first.
pub(crate) fn known(shard: &Shard) -> Result<Vec<Snapshot>> {
    let state = shard.hot.read()?;
    let mut found = Vec::new();
    state.walk(TableName::Snapshots, &[], &[], |snapshot_key, value| {
        found.push((
            key::read_snapshot(snapshot_key),
            SnapshotRow::decode("snapshots", value)?.ranges,
        ));
        Ok(true)
    })?;
    let mut known = Vec::new();
    for ((position, epoch), ranges) in found {
        let manifest = ObjectId::numbered(ObjectKind::Snapshot, epoch, position.0);
        let missing = || {
            let text = format!(
                "the manifest of the snapshot at {} has no row; `coldpost verify` says more",
                position.0
            );
            Error::new(Kind::Corrupt, text)
        };
        let row = object_row(&state, manifest)?.ok_or_else(missing)?;
        let mut bytes = row.bytes;
        for id in &ranges {
            let kind = ObjectKind::SnapshotRange;
            bytes += object_row(&state, ObjectId { kind, id: *id })?.map_or(0, |row| row.bytes);
        }
        known.push(Snapshot {
            shard: shard.no,
            position,
            epoch,
            time: row.times.stored,
            bytes,
            ranges: ranges.len(),
            is_condemned: row.state == ObjectState::Condemned,
        });
    }
    Ok(known)
}

/// The manifest and the ranges of the newest snapshot of a shard that is not condemned, and the bytes of each.
pub(crate) fn newest(shard: &Shard) -> Result<Option<Vec<(ObjectId, u64)>>> {
    let state = shard.hot.read()?;
    let mut newest = None;
    state.walk(TableName::Snapshots, &[], &[], |snapshot_key, value| {
        let (position, epoch) = key::read_snapshot(snapshot_key);
        let manifest = ObjectId::numbered(ObjectKind::Snapshot, epoch, position.0);
        let row = object_row(&state, manifest)?;
        if row.is_some_and(|row| row.state == ObjectState::Stored) {
            newest = Some((manifest, SnapshotRow::decode("snapshots", value)?.ranges));
        }
        Ok(true)
    })?;
    let Some((manifest, ranges)) = newest else {
        return Ok(None);
    };
    let kind = ObjectKind::SnapshotRange;
    let ranges = ranges.into_iter().map(|id| ObjectId { kind, id });
    let mut objects = Vec::new();
    for object in ranges.chain([manifest]) {
        let bytes = object_row(&state, object)?.map_or(0, |row| row.bytes);
        objects.push((object, bytes));
    }
    Ok(Some(objects))
}

#[cfg(test)]
mod tests;
