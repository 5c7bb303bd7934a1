//! Sources that are not on local disk come there whole: one object is a few large reads, its messages one by one would be thousands.
//!
//! Promises: a file has the name of the object only when it is the object, byte for byte; it is evicted like every other, and goes with the end
//! of the run where all of it was moved, or the disk is short.
//! A crash leaves: a file that ends in `.part`; the next start removes it.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use coldpost_tiers::address::ObjectId;
use coldpost_tiers::cold::{Caller, ColdStore, Key};
use coldpost_tiers::disk::{self, Disk};
use coldpost_tiers::hot::row::{ObjectRow, ObjectState};
use coldpost_tiers::segment::parse_file_name;

use super::step::Run;
use crate::cold;
use crate::error::{Error, Kind, Result};
use crate::limits::{BRING_PIECE_MAX, COMPACT_FREE};
use crate::objects::object_row;

/// The ending of what is not whole yet.
const PART: &str = "part";

/// Removes what a kill left of objects on their way here. Before anything compacts; names that are not ours stay.
///
/// # Errors
/// `Unavailable` when the disk cannot list.
pub(crate) fn sweep_parts(disk: &dyn Disk, shard_dir: &Path) -> Result<()> {
    for folder in ["journal", "blocks", "packs", "blobs"] {
        let dir = shard_dir.join(folder);
        let names = match disk.list(&dir) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            names => names.map_err(|e| disk::failed("list", &dir, e))?,
        };
        for name in names.iter().filter(|name| is_part(folder, name)) {
            let path = dir.join(name);
            tracing::info!("{} did not come whole; it is deleted", path.display());
            if let Err(e) = disk.remove(&path) {
                tracing::warn!("{} stays: {e}", path.display());
            }
        }
    }
    Ok(())
}

fn is_part(folder: &str, name: &str) -> bool {
    let Some((stem, PART)) = name.rsplit_once('.') else {
        return false;
    };
    match folder {
        "journal" => parse_file_name(&format!("{stem}.seg")).is_some(),
        _ => u128::from_str_radix(stem, 16).is_ok_and(|id| format!("{id:032x}") == stem),
    }
}

impl Run<'_> {
    /// Brings what is not here. One that cannot be brought is read message by message, as far as that goes.
    pub(super) fn bring(&mut self, objects: &[ObjectId]) {
        for object in objects {
            match self.bring_one(object) {
                Ok(true) => self.brought.push(*object),
                Ok(false) => {}
                Err(e) => {
                    let key = Key::of(self.shard.no, object);
                    tracing::warn!("{key} is not brought to local disk for compaction: {e}");
                }
            }
        }
    }

    /// Brings one, while there is room for that and for a step behind it, and says whether; nothing is left of one that does not come whole.
    fn bring_one(&self, object: &ObjectId) -> Result<bool> {
        let Some((path, row)) = self.away(object)? else {
            return Ok(false);
        };
        if self.engine.room_left() < row.bytes.saturating_add(COMPACT_FREE) {
            let key = Key::of(self.shard.no, object);
            tracing::info!("{key} does not fit on this disk: compaction reads it where it is");
            return Ok(false);
        }
        let part = path.with_extension(PART);
        let brought = cold::right(&self.engine.inner.cold, |store| {
            self.bring_to(store, (object, &row), &part, &path)
        });
        if brought.is_err() && part.exists() {
            let removed = self.shard.disk.remove(&part);
            removed.map_err(|e| disk::failed("remove", &part, e))?;
        }
        brought.map(|()| true)
    }

    fn bring_to(
        &self,
        store: &ColdStore,
        (object, row): (&ObjectId, &ObjectRow),
        part: &Path,
        path: &Path,
    ) -> Result<()> {
        let failed = |e| disk::failed("write", part, e);
        let mut file = File::create(part).map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        let name = Key::of(self.shard.no, object);
        while hasher.count() < row.bytes {
            let end = row.bytes.min(hasher.count() + BRING_PIECE_MAX);
            let got = store.get_range(&name, hasher.count()..end, Caller::Compact);
            let piece = self.handle.block_on(got)?;
            file.write_all(&piece).map_err(failed)?;
            hasher.update(&piece);
        }
        let is_whole = *hasher.finalize().as_bytes() == row.digest;
        if !is_whole {
            let text = "the bucket has other bytes than were put there";
            return Err(Error::new(Kind::Corrupt, text));
        }
        let moved = file
            .sync_data()
            .and_then(|()| self.shard.disk.rename(part, path));
        moved.map_err(failed)?;
        self.keep(object, path)
    }

    /// A file that came, unless its object was condemned or is gone meanwhile. Looked at when the file has its name: whoever condemns the
    /// object after that removes it.
    fn keep(&self, object: &ObjectId, path: &Path) -> Result<()> {
        let row = object_row(&self.shard.hot.read()?, *object)?;
        if row.is_some_and(|row| row.state == ObjectState::Stored) {
            return Ok(());
        }
        match self.shard.disk.remove(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(disk::failed("remove", path, e).into())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
