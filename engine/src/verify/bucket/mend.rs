//! An object put again: from a local file or another copy whose bytes have the digest that the hot tier knows.
//!
//! Promises: while an object is mended none is deleted, so that nothing comes back that is gone; a shard that has another writer is left
//! alone. Never: writes bytes with another digest.

use bytes::Bytes;
use coldpost_tiers::address::ObjectId;
use coldpost_tiers::cold::Key;
use coldpost_tiers::hot::row::ObjectRow;

use super::{CALLER, Going, Object, State, Walk};
use crate::identity::Claim;
use crate::ids::ShardNo;
use crate::verify::in_full;

impl Walk<'_, '_> {
    /// Puts a copy again; `None` when it is whole now, or nobody needs it any more, else why it cannot be done. `what`: what was wrong.
    pub(super) async fn mend(
        &mut self,
        copy: usize,
        shard: ShardNo,
        object: ObjectId,
        what: &str,
    ) -> Going<Option<String>> {
        let Some(engine) = self.engine else {
            return Ok(Some("nobody asked for that".to_owned()));
        };
        let _turn = engine.inner.turns.deleting.lock().await;
        let Some(row) = self.stored_now(shard, object)? else {
            return Ok(None);
        };
        if let Some(why) = self.may_not_write(shard).await? {
            return Ok(Some(why));
        }
        let key = Key::of(shard, &object);
        let Some((bytes, from)) = self.whole(copy, shard, object, &row).await else {
            return Ok(Some("no whole copy of it is known".to_owned()));
        };
        let store = self.copies[copy].clone();
        if let Err(e) = store.put_again(&key, bytes, CALLER).await {
            return Ok(Some(in_full(&e)));
        }
        self.tell(Object {
            store: store.url().to_owned(),
            object: key.to_string(),
            bytes: row.bytes,
            modified: 0,
            state: State::Mended,
            what: format!("{what}; it was put there again from {from}"),
        });
        Ok(None)
    }

    /// Why nothing may be written for a shard from here.
    pub(super) async fn may_not_write(&mut self, shard: ShardNo) -> Going<Option<String>> {
        let Some(engine) = self.engine else {
            return Ok(Some("nobody asked for that".to_owned()));
        };
        let shard = engine.shard(shard)?;
        let claim = Claim::read(&shard.dir, shard.store, shard.no)?;
        let Some(claim) = claim.filter(|claim| claim.claimed) else {
            return Ok(Some("this store has not claimed its epoch yet".to_owned()));
        };
        if self.is_fenced(&claim).await? {
            let text = format!("another writer has shard {} now", shard.no.0);
            return Ok(Some(text));
        }
        Ok(None)
    }

    /// All bytes of an object as they were put, and who has them.
    async fn whole(
        &mut self,
        copy: usize,
        shard: ShardNo,
        object: ObjectId,
        row: &ObjectRow,
    ) -> Option<(Bytes, String)> {
        let is_it = |bytes: &Bytes| *blake3::hash(bytes).as_bytes() == row.digest;
        if self.is_here(shard, object, row.bytes)
            && let Some(path) = self.bench.local.sealed_path(shard, &object)
        {
            let read = tokio::task::spawn_blocking(move || std::fs::read(path));
            let bytes = read
                .await
                .ok()
                .and_then(std::io::Result::ok)
                .map(Bytes::from);
            if let Some(bytes) = bytes.filter(is_it) {
                return Some((bytes, "the local file".to_owned()));
            }
        }
        let key = Key::of(shard, &object);
        for (number, other) in self.copies.iter().enumerate() {
            if number == copy {
                continue;
            }
            match other.get_whole(&key, row.bytes, CALLER).await {
                Ok(bytes) if is_it(&bytes) => return Some((bytes, other.url().to_owned())),
                Ok(_) => {}
                Err(e) => tracing::debug!("{} does not give {key}: {e}", other.url()),
            }
        }
        None
    }
}
