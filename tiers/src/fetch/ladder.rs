//! The lower rungs: local file, disk cache, store.

use std::fs::File;
use std::io::IoSliceMut;
use std::sync::{Arc, MutexGuard, PoisonError};

use bytes::Bytes;
use rustix::io::{ReadWriteFlags, preadv2};

use super::run::{read_local, runs};
use super::{Flights, Inner, Keep, Loaded, Run, Wanted, count};
use crate::cache::frames::FrameKey;
use crate::cold::{Caller, Key};
use crate::error::{Error, Kind, Result};
use crate::limits::{COLD_FETCH_MEMORY, COLD_FETCH_SHARE, FETCH_NOW_RAW_MAX, FRAME_STORED_MAX};
use crate::{metrics, pool};

impl Inner {
    pub(super) fn flights(&self) -> MutexGuard<'_, Flights> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of them, one after the other.
    pub(super) async fn load(self: &Arc<Self>, run: Run, keep: Keep) -> Result<Vec<Loaded>> {
        let run = Arc::new(run);
        let damage = match self.load_local(&run).await {
            Ok(Some(frames)) => {
                count("local", frames.len());
                return Ok(frames);
            }
            Ok(None) => None,
            Err(error) => {
                metrics::LOCAL_DAMAGED.inc();
                tracing::error!(%error, "a local file is damaged; the object store is asked");
                Some(error)
            }
        };
        match (self.load_stored(run, keep).await, damage) {
            (Err(error), Some(damage)) if *error.kind() == Kind::NotFound => Err(damage),
            (Err(error), _) if *error.kind() == Kind::NotFound => Err(Error::with_source(
                Kind::Unavailable,
                "mail is missing in the object store: nothing is concluded from that; restore the object",
                error,
            )),
            (loaded, _) => loaded,
        }
    }

    /// What the store has: from the disk cache as far as it is there.
    async fn load_stored(self: &Arc<Self>, run: Arc<Run>, keep: Keep) -> Result<Vec<Loaded>> {
        let Some(disk) = &self.disk else {
            return self
                .load_exactly(&run, keep)
                .await
                .map(|(frames, _)| frames);
        };
        let (mut loaded, missing) = self.load_kept(disk, &run).await?;
        for run in runs(&missing) {
            let run = Arc::new(run);
            loaded.extend(match keep {
                // Who leaves the caches alone leaves this one alone too.
                Keep::Never => self.load_exactly(&run, keep).await?.0,
                Keep::Always | Keep::InFreeRoom => self.load_cold(disk, run, keep).await?,
            });
        }
        Ok(loaded)
    }

    /// `None`: there is no local file.
    async fn load_local(&self, run: &Arc<Run>) -> Result<Option<Vec<Loaded>>> {
        let FrameKey { shard, object, .. } = run.first().key;
        // Twice: a segment is renamed when it is sealed.
        for _ in 0..2 {
            let Some(path) = self.local.path(shard, &object) else {
                return Ok(None);
            };
            let run = Arc::clone(run);
            match pool::run(move || read_local(&path, &run)).await {
                Err(e) if *e.kind() == Kind::NotFound => {}
                other => return other.map(Some),
            }
        }
        Ok(None)
    }

    /// One GET of what is wanted; with the frames go the bytes that were right.
    pub(super) async fn load_exactly(
        &self,
        run: &Arc<Run>,
        keep: Keep,
    ) -> Result<(Vec<Loaded>, Bytes)> {
        let caller = match keep {
            Keep::Never => Caller::Compact,
            Keep::Always | Keep::InFreeRoom => Caller::Read,
        };
        let FrameKey { shard, object, .. } = run.first().key;
        let length = u32::try_from(run.span.end - run.span.start).unwrap_or(u32::MAX);
        let share = length.clamp(COLD_FETCH_SHARE, COLD_FETCH_MEMORY);
        let _share = self
            .memory
            .acquire_many(share)
            .await
            .expect("the semaphore is never closed");
        let key = Key::of(shard, &object);
        let stored = self.cold.get_range(&key, run.span.clone(), caller).await?;
        let decode = |stored: Bytes| {
            let (run, name) = (Arc::clone(run), key.to_string());
            pool::run(move || Ok((run.decode(&stored, &name)?, stored)))
        };
        let mut decoded = decode(stored).await;
        // Wrong bytes of one store may be right in the other, or were right there and came wrong.
        for copy in 0..self.cold.copies() {
            if !matches!(&decoded, Err(e) if matches!(e.kind(), Kind::Corrupt { .. })) {
                break;
            }
            let span = run.span.clone();
            let other = self.cold.get_range_of_copy(copy, &key, span, caller);
            if let Ok(stored) = other.await
                && let Ok(frames) = decode(stored).await
            {
                decoded = Ok(frames);
            }
        }
        if let Ok((frames, _)) = &decoded {
            count("bucket", frames.len());
        }
        decoded
    }

    /// The local rung for one who waits for a few frames that the page cache has: no thread is changed for them. `None`: by the other way.
    pub(super) fn load_now(&self, missing: &[Wanted]) -> Option<Vec<Loaded>> {
        let [run] = <[Run; 1]>::try_from(runs(missing)).ok()?;
        let raw: u64 = run.wanted.iter().map(|w| u64::from(w.frame.raw)).sum();
        let length = usize::try_from(run.span.end - run.span.start).ok()?;
        if length > 2 * FRAME_STORED_MAX || raw > u64::try_from(FETCH_NOW_RAW_MAX).ok()? {
            return None;
        }
        let FrameKey { shard, object, .. } = run.first().key;
        let path = self.local.path(shard, &object)?;
        let file = File::open(&path).ok()?;
        let mut stored = vec![0; length];
        let into = &mut [IoSliceMut::new(&mut stored)];
        let read = preadv2(&file, into, run.span.start, ReadWriteFlags::NOWAIT).ok()?;
        if read < length {
            return None;
        }
        // What is wrong with it is said by the other way, which has the bucket to ask.
        let frames = run.decode(&stored, "a local file").ok()?;
        count("local", frames.len());
        Some(frames)
    }
}
