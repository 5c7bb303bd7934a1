//! What is in the store and the journal does not call stored: its `stored` went with a lost disk, and no local file is left that would be
//! sent again. Looked at whole, completed in every copy, and confirmed.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use coldpost_tiers::address::{ObjectId, ObjectKind};
use coldpost_tiers::cold::{ColdStore, Key};
use coldpost_tiers::hot::row::{ObjectRow, ObjectState};
use coldpost_tiers::segment::SealedSegment;

use super::{CALLER, Going, Object, State, Walk, answered};
use crate::error::Result;
use crate::ids::{Position, ShardNo};
use crate::op::{Op, Outcome, Stored};
use crate::verify::in_full;
use crate::verify::lane::StoredFile;

impl Walk<'_, '_> {
    /// Whether nobody will ever confirm an object that has this row.
    pub(super) fn is_forgotten(
        &self,
        shard: ShardNo,
        object: ObjectId,
        row: &ObjectRow,
    ) -> Result<bool> {
        let is_needed = match object.kind {
            ObjectKind::Segment => true,
            // What compaction announced and did not finish is nobody's.
            ObjectKind::Blob => row.count.is_live(),
            _ => false,
        };
        let is_here = || self.bench.local.path_of(shard, &object).is_some();
        if !is_needed || row.state != ObjectState::Local || is_here() {
            return Ok(false);
        }
        // It may have been confirmed and evicted since the row was read.
        let now = self.row_now(shard, object)?;
        Ok(now.is_some_and(|row| row.state == ObjectState::Local))
    }

    /// Confirms all that was met and is still forgotten.
    pub(super) async fn confirm_all(&mut self) -> Going<()> {
        for (shard, object) in std::mem::take(&mut self.forgotten) {
            let row = self.row_now(shard, object)?;
            let is_forgotten = match row {
                Some(row) => self.is_forgotten(shard, object, &row)?,
                None => true,
            };
            if is_forgotten {
                self.confirm(shard, object).await?;
            }
        }
        Ok(())
    }

    async fn confirm(&mut self, shard: ShardNo, object: ObjectId) -> Going<()> {
        let Some(engine) = self.engine else {
            return Ok(());
        };
        let key = Key::of(shard, &object);
        let mut why = "it is neither on local disk nor in the store".to_owned();
        let mut whole = None;
        for copy in self.copies.clone() {
            let head = answered(&key.to_string(), copy.head(&key, CALLER).await)?;
            let Some(head) = head else { continue };
            match self.look_at(&copy, shard, object, head.size).await? {
                Ok((stored, bytes)) => {
                    whole = Some((stored, bytes));
                    break;
                }
                Err(what) => why = format!("{what} ({})", copy.url()),
            }
        }
        let Some((stored, bytes)) = whole else {
            self.damage(key.to_string(), why, Vec::new());
            return Ok(());
        };
        if let Some(why) = self.may_not_write(shard).await? {
            self.damage(key.to_string(), why, Vec::new());
            return Ok(());
        }
        for copy in &self.copies {
            let has = match copy.digest(&key, CALLER).await {
                Ok((digest, _)) => digest == stored.digest,
                Err(e) if *e.kind() == coldpost_tiers::Kind::NotFound => false,
                Err(e) => return answered(&key.to_string(), Err(e)),
            };
            if !has {
                let put = copy.put_again(&key, bytes.clone(), CALLER).await;
                answered(&key.to_string(), put)?;
            }
        }
        let bytes = stored.bytes;
        let outcome = engine.shard(shard)?.change(Op::Stored(stored)).await?;
        if !matches!(outcome, Outcome::Done { .. }) {
            return Err(crate::deliver::unexpected(&outcome).into());
        }
        self.tell(Object {
            store: self.bench.cold.url().to_owned(),
            object: key.to_string(),
            bytes,
            modified: 0,
            state: State::Mended,
            what: "it was there, and the journal did not say so; now it does".to_owned(),
        });
        Ok(())
    }

    /// Whether an object is what its name says, by itself and by what the hot tier knows; else why not.
    pub(super) async fn look_at(
        &mut self,
        copy: &ColdStore,
        shard: ShardNo,
        object: ObjectId,
        size: u64,
    ) -> Going<std::result::Result<(Stored, Bytes), String>> {
        let key = Key::of(shard, &object);
        let bytes = match copy.get_whole(&key, size, CALLER).await {
            Err(e) if *e.kind() == coldpost_tiers::Kind::NotFound => {
                return Ok(Err("it is missing".to_owned()));
            }
            got => answered(&key.to_string(), got)?,
        };
        let digest = *blake3::hash(&bytes).as_bytes();
        let last = match object.kind {
            ObjectKind::Blob => match self.blob_made(shard, object)? {
                Some(made) if made == (digest, size) => Position(0),
                Some(_) => return Ok(Err("it is not the blob that was put there".to_owned())),
                None => return Ok(Err("nothing says what it must be".to_owned())),
            },
            _ => match self.segment_end(copy, key, size).await {
                Ok(last) => last,
                Err(why) => return Ok(Err(why)),
            },
        };
        let stored = Stored {
            object,
            bytes: size,
            digest,
            last,
            key_id: 0,
        };
        Ok(Ok((stored, bytes)))
    }

    /// The last position of a sealed segment of ours, every record of which is whole.
    async fn segment_end(
        &mut self,
        copy: &ColdStore,
        key: Key,
        size: u64,
    ) -> std::result::Result<Position, String> {
        let store = self.identity.store;
        let handle = tokio::runtime::Handle::current();
        let file = StoredFile::new(copy.clone(), key, size, handle);
        let look = move || -> std::result::Result<Position, String> {
            let name = key.to_string();
            let told = |e: coldpost_tiers::Error| in_full(&e);
            let sealed = SealedSegment::of(Arc::new(file), Path::new(&name)).map_err(told)?;
            let header = sealed.header();
            if Some(header.store) != store || header.key != name {
                return Err("it is the segment of another store".to_owned());
            }
            match sealed.verify().map_err(told)?.damage.into_iter().next() {
                Some(damage) => Err(damage.why),
                None => Ok(sealed.footer().last),
            }
        };
        let looked = tokio::task::spawn_blocking(look).await;
        looked.map_err(|e| e.to_string())?
    }
}
