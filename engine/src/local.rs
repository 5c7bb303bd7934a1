//! Files of this data directory that hold mail: which are there, when they were used, how much they weigh.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use coldpost_tiers::address::{BlobId, ObjectId, ObjectKind};
use coldpost_tiers::blob::blob_path;
use coldpost_tiers::disk::Disk;
use coldpost_tiers::fetch::LocalFiles;
use coldpost_tiers::segment::{FileState, file_path};

use crate::clock;
use crate::error::Result;
use crate::ids::ShardNo;
use crate::objects::object_row;
use crate::shard::Shard;

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

    pub(crate) fn make(&self, disk: &dyn Disk) -> Result<()> {
        for dir in [&self.blocks, &self.packs, &self.blobs] {
            let made = disk.create_dir(dir);
            made.map_err(|e| coldpost_tiers::disk::failed("make", dir, e))?;
        }
        Ok(())
    }

    pub(crate) fn blobs(&self) -> &Path {
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

    /// Those that are here, by the names of their files; names that are not ours are left alone.
    pub(crate) fn here(&self) -> Vec<(ObjectId, PathBuf)> {
        let mut here = Vec::new();
        for (dir, kind) in [
            (&self.blocks, ObjectKind::Block),
            (&self.packs, ObjectKind::Pack),
            (&self.blobs, ObjectKind::Blob),
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

/// Where segments and blobs lie.
pub(crate) struct LocalStore {
    data: PathBuf,
    used: Mutex<HashMap<(ShardNo, ObjectId), u64>>,
    /// By number, once they are open.
    shards: OnceLock<Vec<Arc<Shard>>>,
}

/// `DIR/shards/<n>`.
pub(crate) fn shard_dir(data: &Path, shard: ShardNo) -> PathBuf {
    data.join("shards").join(format!("{:04x}", shard.0))
}

impl LocalStore {
    /// Of a data directory.
    pub(crate) fn new(data: &Path) -> LocalStore {
        LocalStore {
            data: data.to_owned(),
            used: Mutex::default(),
            shards: OnceLock::new(),
        }
    }

    /// The shards are open, and say what the store has.
    pub(crate) fn know(&self, shards: &[Arc<Shard>]) {
        // Known already: they are the same.
        let _ = self.shards.set(shards.to_vec());
    }

    /// The file that an object has when it is sealed or whole.
    pub(crate) fn sealed_path(&self, shard: ShardNo, object: &ObjectId) -> Option<PathBuf> {
        let dir = shard_dir(&self.data, shard);
        match (object.kind, object.as_segment()) {
            (_, Some((epoch, first))) => Some(file_path(
                &dir.join("journal"),
                epoch,
                first,
                FileState::Sealed,
            )),
            (ObjectKind::Blob | ObjectKind::Block | ObjectKind::Pack, None) => {
                Some(ObjectPaths::of(&dir).path(object))
            }
            _ => None,
        }
    }

    /// When an object was last read here, ms since 1970; 0 when it was not since the start.
    pub(crate) fn last_used(&self, shard: ShardNo, object: &ObjectId) -> u64 {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.get(&(shard, *object)).copied().unwrap_or(0)
    }

    /// It is gone from local disk.
    pub(crate) fn forget(&self, shard: ShardNo, object: &ObjectId) {
        self.used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(shard, *object));
    }
}

impl LocalStore {
    /// The file of an object, sealed or open, if there is one now.
    pub(crate) fn path_of(&self, shard: ShardNo, object: &ObjectId) -> Option<PathBuf> {
        let sealed = self.sealed_path(shard, object)?;
        if sealed.exists() {
            return Some(sealed);
        }
        let (epoch, first) = object.as_segment()?;
        let dir = shard_dir(&self.data, shard).join("journal");
        let open = file_path(&dir, epoch, first, FileState::Open);
        if open.exists() {
            return Some(open);
        }
        // It may have been sealed between the two looks.
        sealed.exists().then_some(sealed)
    }
}

impl LocalFiles for LocalStore {
    fn path(&self, shard: ShardNo, object: &ObjectId) -> Option<PathBuf> {
        let there = self.path_of(shard, object);
        if there.is_some() {
            let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
            used.insert((shard, *object), clock::now_ms());
        }
        there
    }

    fn stored_bytes(&self, shard: ShardNo, object: &ObjectId) -> Option<u64> {
        let shard = self.shards.get()?.get(usize::from(shard.0))?;
        let row = object_row(&shard.hot.read().ok()?, *object).ok()??;
        Some(row.bytes).filter(|bytes| *bytes > 0)
    }
}
