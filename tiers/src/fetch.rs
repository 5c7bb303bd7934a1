//! The read ladder: decoded frames in memory ► local file ► disk cache ► one ranged GET.
//!
//! Promises: every frame was checked against its checksum before anybody sees it; frames that lie together are read together; readers who
//! want the same frame at the same time cause one read, which goes on when one of them leaves. Never: concludes from a missing object
//! that a message is gone.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::sync::Semaphore;

use crate::address::{FrameRef, ObjectId, ShardNo};
use crate::cache::disk::DiskCache;
use crate::cache::frames::{FrameKey, FramesCache};
use crate::cold::ColdStore;
use crate::error::{Error, Kind, Result};
use crate::limits::{COLD_FETCH_MEMORY, LANDING_FRAMES};
use crate::metrics;

mod ahead;
mod disk;
mod ladder;
mod run;
mod sequence;
#[cfg(test)]
mod tests;
mod window;

pub use ahead::{Held, Stretch};
use run::{Run, Wanted, runs, span, wanted};
use sequence::Sequences;
use window::Windows;

/// Where objects lie on local disk.
pub trait LocalFiles: Send + Sync {
    /// The file of an object (open or sealed segment, blob), if there is one now. Asked once for each read, so that it may count as a use.
    fn path(&self, shard: ShardNo, object: &ObjectId) -> Option<PathBuf>;

    /// Bytes of an object as the store has it, where that is known.
    fn stored_bytes(&self, _shard: ShardNo, _object: &ObjectId) -> Option<u64> {
        None
    }
}

/// Reads frames from wherever they are. Cheap to clone.
#[derive(Clone)]
pub struct Fetcher {
    inner: Arc<Inner>,
    /// What it reads stays in the cache.
    keeps: bool,
}

struct Inner {
    cache: FramesCache,
    local: Arc<dyn LocalFiles>,
    cold: ColdStore,
    flights: Mutex<Flights>,
    /// Bytes that fetches from the store may hold.
    memory: Semaphore,
    disk: Option<Arc<DiskCache>>,
    windows: Windows,
    sequences: Mutex<Sequences>,
    /// Who waits for bytes that are not in memory.
    readers: AtomicUsize,
}

/// One of those who wait.
struct Reading<'a>(&'a AtomicUsize);

impl<'a> Reading<'a> {
    fn begin(readers: &'a AtomicUsize) -> Reading<'a> {
        readers.fetch_add(1, Ordering::Relaxed);
        Reading(readers)
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A read on its way that anybody may wait for.
type Flight = Shared<BoxFuture<'static, Result<Arc<Vec<Loaded>>, Arc<Error>>>>;
type Flights = HashMap<FrameKey, Flight>;
type Loaded = (FrameKey, Bytes);

/// What becomes of frames when they were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keep {
    /// They stay in memory.
    Always,
    /// They stay as far as nothing has to go for them.
    InFreeRoom,
    /// They are handed on.
    Never,
}

impl Fetcher {
    /// Over a store and the local files; keeps up to `frames_cache` bytes of decoded frames.
    pub fn new(frames_cache: u64, local: Arc<dyn LocalFiles>, cold: ColdStore) -> Fetcher {
        Fetcher::with_disk(frames_cache, local, cold, None)
    }

    /// The same with a disk cache between the local files and the store.
    pub fn with_disk(
        frames_cache: u64,
        local: Arc<dyn LocalFiles>,
        cold: ColdStore,
        disk: Option<Arc<DiskCache>>,
    ) -> Fetcher {
        let memory = Semaphore::new(usize::try_from(COLD_FETCH_MEMORY).expect("32 bits fit"));
        let cache = FramesCache::new(frames_cache);
        // They are there before they count, and where there is no disk cache.
        metrics::CACHE_BYTES.set(0);
        LazyLock::force(&metrics::CACHE_DROPPED);
        Fetcher {
            inner: Arc::new(Inner {
                cache,
                local,
                cold,
                flights: Mutex::default(),
                memory,
                disk,
                windows: Windows::default(),
                sequences: Mutex::default(),
                readers: AtomicUsize::new(0),
            }),
            keeps: true,
        }
    }

    /// The same for who reads everything once: what it reads takes nobody's place in the cache.
    #[must_use]
    pub fn aside(&self) -> Fetcher {
        Fetcher {
            inner: Arc::clone(&self.inner),
            keeps: false,
        }
    }

    /// The frames `want` of an object whose `frames` stand one after the other from `offset` on, decoded, in their order. At most
    /// [`FETCH_FRAMES_MAX`] at a time.
    ///
    /// # Errors
    /// `Unavailable`: away, or the object is missing. `Corrupt`: names the object and the offset. `Limit`, `Invalid`: the request.
    pub async fn frames(
        &self,
        shard: ShardNo,
        object: ObjectId,
        offset: u64,
        frames: &[FrameRef],
        want: Range<usize>,
    ) -> Result<Vec<Bytes>> {
        let wanted = wanted(shard, object, offset, frames, want)?;
        let mut found: HashMap<FrameKey, Bytes> = wanted
            .iter()
            .filter_map(|w| Some((w.key, self.inner.cache.get(&w.key)?)))
            .collect();
        let missing: Vec<Wanted> = wanted
            .iter()
            .filter(|w| !found.contains_key(&w.key))
            .copied()
            .collect();
        let _reading =
            (self.keeps && !missing.is_empty()).then(|| Reading::begin(&self.inner.readers));
        if missing.is_empty() {
            count("memory", wanted.len());
        } else if let Some(loaded) = self.inner.load_now(&missing) {
            count("memory", found.len());
            if self.keeps {
                self.inner.cache.keep(loaded.iter().cloned());
            }
            found.extend(loaded);
        } else {
            let keep = match self.keeps {
                true => Keep::Always,
                false => Keep::Never,
            };
            for (flight, _) in self.board(missing, &mut found, keep) {
                let loaded = flight.await.map_err(|e| again(&e))?;
                found.extend(loaded.iter().cloned());
            }
        }
        Ok(wanted.iter().map(|w| found[&w.key].clone()).collect())
    }

    /// The same for who goes on as far as `until`: where that is further than `want` and lies in the store alone, all of it is one read,
    /// which lands in the disk cache; then fewer frames than `want` are given, at least one, as soon as they are there.
    ///
    /// # Errors
    /// As [`Fetcher::frames`].
    pub async fn frames_toward(
        &self,
        shard: ShardNo,
        object: ObjectId,
        offset: u64,
        frames: &[FrameRef],
        mut want: Range<usize>,
        until: usize,
    ) -> Result<Vec<Bytes>> {
        if self.keeps
            && until > want.end
            && let Some(all) = span(offset, frames, want.start..until)
            && let Some(first) = span(offset, frames, want.start..want.start + 1)
            && self.inner.lands(shard, object, &first, all)
        {
            want.end = want.end.min(want.start + LANDING_FRAMES);
        }
        self.frames(shard, object, offset, frames, want).await
    }

    /// An object is gone: nothing of it stays on disk.
    pub fn forget(&self, shard: ShardNo, object: &ObjectId) {
        if let Some(disk) = &self.inner.disk {
            disk.forget(shard, object);
        }
    }

    /// The disk cache, where there is one.
    pub fn disk(&self) -> Option<&Arc<DiskCache>> {
        self.inner.disk.as_ref()
    }

    /// Whether a reader waits for bytes that are not in memory; who reads [aside](Fetcher::aside) is none.
    pub fn is_awaited(&self) -> bool {
        self.inner.readers.load(Ordering::Relaxed) > 0
    }

    /// Bytes of decoded frames kept in memory.
    pub fn cached_bytes(&self) -> u64 {
        self.inner.cache.bytes()
    }

    /// Joins the reads that are on their way and starts those that are not; frames that arrived meanwhile go to `found`.
    fn board(
        &self,
        missing: Vec<Wanted>,
        found: &mut HashMap<FrameKey, Bytes>,
        keep: Keep,
    ) -> Vec<(Flight, Vec<FrameKey>)> {
        let mut boarded = Vec::new();
        let mut own = Vec::new();
        let mut flights = self.inner.flights();
        for wanted in missing {
            if let Some(flight) = flights.get(&wanted.key) {
                boarded.push((flight.clone(), vec![wanted.key]));
            } else if let Some(bytes) = self.inner.cache.get(&wanted.key) {
                found.insert(wanted.key, bytes);
            } else {
                own.push(wanted);
            }
        }
        count("memory", found.len() + boarded.len());
        for run in runs(&own) {
            let keys: Vec<FrameKey> = run.wanted.iter().map(|w| w.key).collect();
            let landing = Landing {
                inner: Arc::clone(&self.inner),
                keys: keys.clone(),
            };
            // A task of its own: a reader who leaves takes nobody's bytes along.
            let task = tokio::spawn(async move {
                let landing = landing;
                let loaded = landing.inner.load(run, keep).await?;
                let cache = &landing.inner.cache;
                match keep {
                    Keep::Always => cache.keep(loaded.iter().cloned()),
                    Keep::InFreeRoom => {
                        cache.keep_in_free_room(loaded.iter().map(|(key, bytes)| (key, bytes)));
                    }
                    Keep::Never => {}
                }
                Ok(loaded)
            });
            let flight = async move {
                let died = |e| Error::with_source(Kind::Internal, "a read died", e);
                task.await
                    .map_err(died)
                    .flatten()
                    .map(Arc::new)
                    .map_err(Arc::new)
            };
            let flight = flight.boxed().shared();
            flights.extend(keys.iter().map(|key| (*key, flight.clone())));
            boarded.push((flight, keys));
        }
        boarded
    }
}

/// Takes a read off the board when it is over, however it ends.
struct Landing {
    inner: Arc<Inner>,
    keys: Vec<FrameKey>,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut flights = self.inner.flights();
        for key in &self.keys {
            flights.remove(key);
        }
    }
}

/// The error of a read that several waited for, for one of them.
fn again(error: &Arc<Error>) -> Error {
    Error::new(error.kind().clone(), error.to_string())
}

fn count(rung: &str, frames: usize) {
    metrics::FRAMES
        .with_label_values(&[rung])
        .inc_by(u64::try_from(frames).unwrap_or(u64::MAX));
}
