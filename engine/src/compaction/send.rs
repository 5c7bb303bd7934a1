//! What was proved goes to the bucket, is confirmed, and only then messages are tied to it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use coldpost_tiers::address::{BlobId, Extent, ObjectId, ObjectKind};
use coldpost_tiers::blob::blob_path;
use coldpost_tiers::cold::{Caller, Key};
use coldpost_tiers::disk::Disk;
use coldpost_tiers::hot::row::{FrameRow, ObjectRow, ObjectState, Row};
use coldpost_tiers::hot::{Snapshot, TableName, key};

use super::group::Moved;
use super::prove::Proved;
use super::step::{DoneObject, Run};
use crate::error::{Error, Kind, Result};
use crate::ids::{Epoch, Position};
use crate::limits::{RELOCATE_BYTES_MAX, RELOCATE_MESSAGES_MAX};
use crate::op::{Intent, MovedMessage, NewBlob, Op, Outcome, Relocate, Stored};

/// Bytes of a frame, of an extent and of the rest of a message in an entry, about.
const FRAME_BYTES: usize = 20;
const EXTENT_BYTES: usize = 32;
const MESSAGE_BYTES: usize = 40;

/// Where blocks, packs and blobs lie in a shard's directory.
pub(crate) struct ObjectPaths {
    blocks: PathBuf,
    packs: PathBuf,
    blobs: PathBuf,
}

impl ObjectPaths {
    pub(crate) fn of(shard_dir: &Path) -> ObjectPaths {
        ObjectPaths {
            blocks: shard_dir.join("blocks"),
            packs: shard_dir.join("packs"),
            blobs: shard_dir.join("blobs"),
        }
    }

    pub(super) fn make(&self, disk: &dyn Disk) -> Result<()> {
        for dir in [&self.blocks, &self.packs, &self.blobs] {
            let made = disk.create_dir(dir);
            made.map_err(|e| coldpost_tiers::disk::failed("make", dir, e))?;
        }
        Ok(())
    }

    pub(super) fn blobs(&self) -> &Path {
        &self.blobs
    }

    /// The file of a block, pack or blob.
    pub(crate) fn path(&self, object: &ObjectId) -> PathBuf {
        let dir = match object.kind {
            ObjectKind::Block => &self.blocks,
            ObjectKind::Pack => &self.packs,
            _ => &self.blobs,
        };
        blob_path(dir, BlobId(object.id))
    }

    /// Blocks and packs that are here, by the names of their files.
    pub(crate) fn here(&self) -> Vec<(ObjectId, PathBuf)> {
        let mut here = Vec::new();
        for (dir, kind) in [
            (&self.blocks, ObjectKind::Block),
            (&self.packs, ObjectKind::Pack),
        ] {
            let Ok(files) = std::fs::read_dir(dir) else {
                continue;
            };
            for file in files.flatten() {
                let name = file.file_name().into_string().unwrap_or_default();
                let number = (name.len() == 32).then(|| u128::from_str_radix(&name, 16).ok());
                if let Some(id) = number.flatten().map(u128::to_be_bytes) {
                    here.push((ObjectId { kind, id }, file.path()));
                }
            }
        }
        here
    }
}

/// Removes blocks and packs that were never confirmed: what a kill left of a compaction. Before anybody reads or compacts.
pub(crate) fn sweep_objects(disk: &dyn Disk, shard_dir: &Path, state: &Snapshot) -> Result<()> {
    for (object, path) in ObjectPaths::of(shard_dir).here() {
        let row = state.get(TableName::Objects, &key::object(object))?;
        let row = row.map(|v| ObjectRow::decode("objects", &v)).transpose()?;
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
        let key = Key::of(shard.no, &object.at.object);
        self.handle.block_on(async {
            let next = Epoch(shard.epoch.0.saturating_add(1));
            if cold.is_claimed(shard.no, next, Caller::Compact).await? {
                let text = format!("a writer in epoch {} has taken the store over", next.0);
                shard.set_down(text.clone());
                return Err(Error::new(Kind::Conflict, text));
            }
            if !cold
                .is_claimed(shard.no, shard.epoch, Caller::Compact)
                .await?
            {
                let text = format!("{} does not hold this store now", cold.url());
                return Err(Error::new(Kind::Unavailable, text));
            }
            cold.put_file(&key, &object.at.path, object.digest, Caller::Compact)
                .await?;
            Ok(())
        })?;
        self.change(Op::Stored(Stored {
            object: object.at.object,
            bytes: object.bytes,
            digest: object.digest,
            last: Position(0),
            key_id: 0,
        }))?;
        self.report.bytes_out += object.bytes;
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
                Ok(())
            }
            other => Err(crate::deliver::unexpected(&other)),
        }
    }
}

fn record_bytes(blob: &NewBlob) -> usize {
    140 + 12 * blob.record.frames.len()
}
