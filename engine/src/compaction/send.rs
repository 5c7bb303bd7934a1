//! What was proved goes to the bucket, is confirmed, and only then messages are tied to it.

use std::collections::BTreeSet;
use std::path::Path;

use coldpost_tiers::address::{Extent, ObjectId, ObjectKind};
use coldpost_tiers::cold::Caller;
use coldpost_tiers::disk::Disk;
use coldpost_tiers::hot::Snapshot;
use coldpost_tiers::hot::row::{FrameRow, ObjectState};

use super::group::Moved;
use super::prove::Proved;
use super::step::{DoneObject, Run};
use crate::cold;
use crate::error::Result;
use crate::ids::Position;
use crate::limits::{RELOCATE_BYTES_MAX, RELOCATE_MESSAGES_MAX};
use crate::local::ObjectPaths;
use crate::metrics;
use crate::objects::object_row;
use crate::op::{Intent, MovedMessage, NewBlob, Op, Outcome, Relocate, Stored};

/// Bytes of a frame, of an extent and of the rest of a message in an entry, about.
const FRAME_BYTES: usize = 20;
const EXTENT_BYTES: usize = 32;
const MESSAGE_BYTES: usize = 40;

/// Removes blocks and packs that were never confirmed: what a kill left of a compaction. Before anybody reads or compacts.
pub(crate) fn sweep_objects(disk: &dyn Disk, shard_dir: &Path, state: &Snapshot) -> Result<()> {
    for (object, path) in ObjectPaths::of(shard_dir).here() {
        if object.kind == ObjectKind::Blob {
            continue;
        }
        let row = object_row(state, object)?;
        if row.is_none_or(|row| row.state == ObjectState::Local) {
            tracing::info!("{} was not finished; it is deleted", path.display());
            if let Err(e) = disk.remove(&path) {
                tracing::warn!("{} stays: {e}", path.display());
            }
        }
    }
    Ok(())
}

impl Run<'_> {
    /// Uploads, confirms, relocates.
    pub(super) fn send(&mut self, proved: Vec<Proved>) -> Result<()> {
        for object in std::mem::take(&mut self.objects) {
            if object.at.object.kind == ObjectKind::Blob {
                let given = vec![object.at.object];
                self.change(Op::Intent(Intent {
                    numbered: Vec::new(),
                    given,
                }))?;
            }
            self.put(&object)?;
            self.whole.push(object.at.object);
        }
        for Proved { block } in proved {
            if block.moved.is_empty() {
                continue;
            }
            let object = block.at.object;
            self.put(&DoneObject {
                bytes: block.written.made.bytes,
                digest: block.written.made.digest,
                at: block.at,
            })?;
            self.whole.push(object);
            self.relocate(object, &block.written.frames, &block.moved)?;
        }
        self.name_unused()
    }

    /// Attachments that no message came to name: the journal hears of them, so that their bytes are known to be dead.
    fn name_unused(&mut self) -> Result<()> {
        let fresh = std::mem::take(&mut self.fresh).into_values();
        let mut left: Vec<NewBlob> = fresh.map(|fresh| fresh.blob).collect();
        left.sort_by_key(|blob| blob.record.blob);
        let (mut op, mut bytes) = (Relocate::default(), 0);
        for blob in left {
            self.contents.retain(|_, known| *known != blob.record.blob);
            bytes += record_bytes(&blob);
            op.blobs.push(blob);
            if bytes >= RELOCATE_BYTES_MAX {
                self.append(std::mem::take(&mut op))?;
                bytes = 0;
            }
        }
        if !op.blobs.is_empty() {
            self.append(op)?;
        }
        Ok(())
    }

    /// One object, confirmed in the bucket and in the journal.
    fn put(&mut self, object: &DoneObject) -> Result<()> {
        let (shard, cold) = (self.shard, &self.engine.inner.cold);
        self.handle.block_on(async {
            cold::holds(cold, shard, Caller::Compact).await?;
            let named = (object.at.object, object.digest);
            cold::put(cold, shard, named, &object.at.path, Caller::Compact).await
        })?;
        self.change(Op::Stored(Stored {
            object: object.at.object,
            bytes: object.bytes,
            digest: object.digest,
            last: Position(0),
            key_id: 0,
        }))?;
        self.unsent.remove(&object.at.path);
        self.sent.push(object.at.object);
        self.report.bytes_out += object.bytes;
        metrics::compacted(0, object.bytes);
        Ok(())
    }

    fn relocate(&mut self, block: ObjectId, rows: &[FrameRow], moved: &[Moved]) -> Result<()> {
        let mut op = Relocate::default();
        let mut frames = BTreeSet::new();
        let mut bytes = 0;
        for moved in moved {
            op.block = Some(block);
            for extent in &moved.extents {
                match extent {
                    Extent::Slice { frame, .. } if frames.insert(*frame) => {
                        let at = usize::try_from(*frame).unwrap_or(usize::MAX);
                        op.frames.extend(rows.get(at).map(|row| (*frame, *row)));
                        bytes += FRAME_BYTES;
                    }
                    Extent::Blob { blob, .. } => {
                        if let Some(fresh) = self.fresh.remove(blob) {
                            bytes += record_bytes(&fresh.blob);
                            op.blobs.push(fresh.blob);
                        }
                    }
                    _ => {}
                }
            }
            bytes += MESSAGE_BYTES + EXTENT_BYTES * moved.extents.len();
            op.messages.push(MovedMessage {
                account: moved.item.account,
                message: moved.item.message,
                from: moved.item.from,
                extents: moved.extents.clone(),
            });
            if op.messages.len() >= RELOCATE_MESSAGES_MAX || bytes >= RELOCATE_BYTES_MAX {
                self.append(std::mem::take(&mut op))?;
                (frames, bytes) = (BTreeSet::new(), 0);
            }
        }
        if !op.messages.is_empty() {
            self.append(op)?;
        }
        Ok(())
    }

    /// Everything in the blocks and packs that were sent was named; where a kill comes before that, they are rewritten in their time.
    pub(super) fn name_whole(&mut self) -> Result<()> {
        for object in std::mem::take(&mut self.whole) {
            if object.kind != ObjectKind::Blob {
                self.append(Relocate {
                    block: Some(object),
                    ..Relocate::default()
                })?;
            }
        }
        Ok(())
    }

    pub(super) fn append(&mut self, op: Relocate) -> Result<()> {
        match self.change(Op::Relocate(op))? {
            Outcome::Counted(moved) => {
                self.report.moved += moved;
                metrics::compacted(moved, 0);
                Ok(())
            }
            other => Err(crate::deliver::unexpected(&other)),
        }
    }
}

fn record_bytes(blob: &NewBlob) -> usize {
    140 + 12 * blob.record.frames.len()
}
