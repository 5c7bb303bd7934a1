//! A snapshot that is in the bucket: its manifest pins itself, its ranges live as long as the manifest's row.

use coldpost_tiers::Result;
use coldpost_tiers::address::{ObjectId, ObjectKind};
use coldpost_tiers::hot::row::{Counted, ObjectRow, ObjectState, Row, SnapshotRow};
use coldpost_tiers::hot::{TableName, key};
use coldpost_tiers::limits::SNAPSHOT_RANGES_MAX;

use super::Step;
use crate::ids::Position;
use crate::op::{Outcome, RangeTaken, Refusal, SnapshotTaken};

impl Step<'_, '_> {
    pub(super) fn snapshot(&mut self, taken: &SnapshotTaken) -> Result<Outcome> {
        let refused = |text: &str| Ok(Outcome::refused(Refusal::Invalid, text));
        let (epoch, position) = taken.manifest.numbers();
        let is_named = taken.manifest.kind == ObjectKind::Snapshot
            && taken.position == Position(position)
            && Position(0) < taken.position
            && taken.position < self.at.position;
        if !is_named {
            return refused("no manifest of this shard has this name");
        }
        if taken.ranges.len() > SNAPSHOT_RANGES_MAX {
            let text = format!("a snapshot has at most {SNAPSHOT_RANGES_MAX} ranges");
            return Ok(Outcome::refused(Refusal::Limit, text));
        }
        let snapshot_key = key::snapshot(taken.position, epoch);
        if self
            .batch
            .get(TableName::Snapshots, &snapshot_key)?
            .is_some()
        {
            return Ok(Outcome::refused(Refusal::Exists, "it is known already"));
        }
        let mut ids: Vec<_> = taken.ranges.iter().map(|range| range.id).collect();
        let row = SnapshotRow {
            ranges: ids.clone(),
        };
        ids.sort_unstable();
        ids.dedup();
        if ids.len() != taken.ranges.len() {
            return refused("it names a range twice");
        }
        for object in taken
            .ranges
            .iter()
            .map(RangeTaken::object)
            .chain([taken.manifest])
        {
            let known = self.object(object)?;
            if known.is_some_and(|row| row.state != ObjectState::Local) {
                return refused("one of its objects was stored, or is about to be deleted");
            }
        }
        for range in &taken.ranges {
            self.confirm(range.object(), range.bytes, range.digest, Position(0), 1)?;
        }
        self.confirm(taken.manifest, taken.bytes, taken.digest, taken.position, 0)?;
        self.batch
            .put(TableName::Snapshots, &snapshot_key, &row.encode())?;
        Ok(Outcome::Done { modseq: 0 })
    }

    fn confirm(
        &mut self,
        object: ObjectId,
        bytes: u64,
        digest: [u8; 32],
        last: Position,
        count: u64,
    ) -> Result<()> {
        let known = self.object(object)?;
        let mut row = known.unwrap_or_else(|| ObjectRow::new(self.now));
        row.state = ObjectState::Stored;
        (row.bytes, row.digest, row.last) = (bytes, digest, last);
        row.count = Counted::Live(count);
        row.times.stored = self.now;
        row.times.dead = 0;
        self.put_object(object, &row)
    }

    /// The manifest is gone: nothing names its ranges any more.
    pub(super) fn forget_snapshot(&mut self, manifest: ObjectId) -> Result<()> {
        let (epoch, position) = manifest.numbers();
        let snapshot_key = key::snapshot(Position(position), epoch);
        let Some(value) = self.batch.get(TableName::Snapshots, &snapshot_key)? else {
            return Ok(());
        };
        for id in SnapshotRow::decode("snapshots", &value)?.ranges {
            let range = ObjectId {
                kind: ObjectKind::SnapshotRange,
                id,
            };
            let bytes = self.object(range)?.map_or(0, |row| row.bytes);
            self.count_object(range, -1, bytes)?;
        }
        self.batch.remove(TableName::Snapshots, &snapshot_key)?;
        Ok(())
    }
}
