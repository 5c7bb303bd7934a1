//! Reading ahead: frames of several messages that are about to be asked for, in few reads.
//!
//! Promises: what is held was checked like every frame; what is away is asked for once, what is damaged again by itself when its turn
//! comes, so that it costs its neighbours nothing.
//! Never: takes room in the cache from anything, which a client that fetches everything would wash out.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use super::{Fetcher, Keep, Loaded, Wanted, count, runs, wanted};
use crate::address::{FrameRef, ObjectId, ShardNo};
use crate::cache::frames::FrameKey;
use crate::error::{Error, Kind, Result};

/// Frames of an object that follow one another from `offset` on.
#[derive(Clone, Debug)]
pub struct Stretch {
    /// Which object.
    pub object: ObjectId,
    /// Of the first frame.
    pub offset: u64,
    /// The frames.
    pub frames: Vec<FrameRef>,
}

/// Frames in hand.
#[derive(Debug, Default)]
pub struct Held {
    frames: HashMap<FrameKey, Result<Bytes, Arc<Error>>>,
}

impl Held {
    /// One of `frames` that stand one after the other from `offset` on; `None` when it was not read ahead.
    ///
    /// # Errors
    /// `Unavailable`: it was away a moment ago.
    pub fn get(
        &self,
        shard: ShardNo,
        object: ObjectId,
        offset: u64,
        frames: &[FrameRef],
        index: usize,
    ) -> Result<Option<Bytes>> {
        let Some(key) = key(shard, object, offset, frames, index) else {
            return Ok(None);
        };
        let away = |e: &Arc<Error>| Error::new(e.kind().clone(), e.to_string());
        let got = self.frames.get(&key);
        got.map(|frame| frame.as_ref().cloned().map_err(away))
            .transpose()
    }
}

fn key(
    shard: ShardNo,
    object: ObjectId,
    offset: u64,
    frames: &[FrameRef],
    index: usize,
) -> Option<FrameKey> {
    let before = frames.get(..index)?;
    let before: u64 = before.iter().map(|frame| u64::from(frame.stored)).sum();
    Some(FrameKey {
        shard,
        object,
        offset: offset.checked_add(before)?,
        crc: frames.get(index)?.crc,
    })
}

impl Fetcher {
    /// Reads `stretches`, whose caller has bounded them, as far as they can be read now.
    pub async fn ahead(&self, shard: ShardNo, stretches: &[Stretch]) -> Held {
        let mut held = Held::default();
        let mut found = HashMap::new();
        let mut missing: Vec<Wanted> = Vec::new();
        for stretch in stretches {
            let all = 0..stretch.frames.len();
            let named = wanted(shard, stretch.object, stretch.offset, &stretch.frames, all);
            for wanted in named.unwrap_or_default() {
                match self.inner.cache.get(&wanted.key) {
                    Some(bytes) => drop(found.insert(wanted.key, bytes)),
                    None => missing.push(wanted),
                }
            }
        }
        count("memory", found.len());
        missing.sort_unstable_by_key(|wanted| (wanted.key.object, wanted.key.offset));
        missing.dedup_by_key(|wanted| wanted.key);
        for of_object in missing.chunk_by(|a, b| a.key.object == b.key.object) {
            for run in runs(of_object) {
                let object = run.first().key.object;
                let mut arrived = HashMap::new();
                for (flight, keys) in self.board(run.wanted, &mut arrived, Keep::InFreeRoom) {
                    self.take(&mut held, (shard, object), keys, flight.await);
                }
                found.extend(arrived);
            }
        }
        let found = found.into_iter().map(|(key, bytes)| (key, Ok(bytes)));
        held.frames.extend(found);
        held
    }

    /// Takes what a read gave of the frames `keys`.
    fn take(
        &self,
        held: &mut Held,
        (shard, object): (ShardNo, ObjectId),
        keys: Vec<FrameKey>,
        read: Result<Arc<Vec<Loaded>>, Arc<Error>>,
    ) {
        match read {
            Ok(loaded) => {
                let loaded = loaded.iter().filter(|(key, _)| keys.contains(key));
                let loaded = loaded.map(|(key, bytes)| (*key, Ok(bytes.clone())));
                held.frames.extend(loaded);
            }
            // Where there is a local file, one frame of it is damaged, and the store, which was asked for all of them, is away.
            Err(error)
                if *error.kind() == Kind::Unavailable
                    && self.inner.local.path(shard, &object).is_none() =>
            {
                let away = keys.into_iter().map(|key| (key, Err(Arc::clone(&error))));
                held.frames.extend(away);
            }
            Err(error) => tracing::debug!(%error, "read ahead in vain"),
        }
    }
}
