//! Sources that are not on local disk come there whole: one object is a few large reads, its messages one by one would be thousands.
//!
//! Promises: a file has the name of the object only when it is the object, byte for byte; it is evicted like every other.
//! A crash leaves: a file that ends in `.part`; the next run over the same object writes it anew.

use std::fs::File;
use std::io::Write;

use coldpost_tiers::address::ObjectId;
use coldpost_tiers::cold::{Caller, Key};
use coldpost_tiers::disk;
use coldpost_tiers::hot::row::ObjectState;

use super::step::Run;
use crate::error::{Error, Kind, Result};
use crate::limits::BRING_PIECE_MAX;
use crate::objects::object_row;

impl Run<'_> {
    /// Brings what is not here. One that cannot be brought is read message by message, as far as that goes.
    pub(super) fn bring(&self, objects: &[ObjectId]) {
        for object in objects {
            if let Err(e) = self.bring_one(object) {
                let key = Key::of(self.shard.no, object);
                tracing::warn!("{key} is not brought to local disk for compaction: {e}");
            }
        }
    }

    fn bring_one(&self, object: &ObjectId) -> Result<()> {
        let Some(path) = self.engine.inner.local.sealed_path(self.shard.no, object) else {
            return Ok(());
        };
        let state = self.shard.hot.read()?;
        let row = object_row(&state, *object)?;
        drop(state);
        let Some(row) = row.filter(|row| row.state == ObjectState::Stored) else {
            return Ok(());
        };
        if path.exists() {
            return Ok(());
        }
        let part = path.with_extension("part");
        let failed = |e| disk::failed("write", &part, e);
        let mut file = File::create(&part).map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        let name = Key::of(self.shard.no, object);
        while hasher.count() < row.bytes {
            let end = row.bytes.min(hasher.count() + BRING_PIECE_MAX);
            let cold = &self.engine.inner.cold;
            let got = cold.get_range(&name, hasher.count()..end, Caller::Compact);
            let piece = self.handle.block_on(got)?;
            file.write_all(&piece).map_err(failed)?;
            hasher.update(&piece);
        }
        let is_whole = *hasher.finalize().as_bytes() == row.digest;
        let settled = match is_whole {
            true => file
                .sync_data()
                .and_then(|()| self.shard.disk.rename(&part, &path)),
            false => self.shard.disk.remove(&part),
        };
        settled.map_err(failed)?;
        match is_whole {
            true => Ok(()),
            false => Err(Error::new(
                Kind::Corrupt,
                "the bucket has other bytes than were put there",
            )),
        }
    }
}
