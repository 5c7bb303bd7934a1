//! The read ladder: decoded frames in memory ► local file ► one ranged GET.
//!
//! Promises: every frame was checked against its checksum before anybody sees it; frames that lie together are read together; readers who
//! want the same frame at the same time cause one read, which goes on when one of them leaves. Never: concludes from a missing object
//! that a message is gone.

use std::collections::HashMap;
use std::fs::File;
use std::io::IoSliceMut;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use rustix::io::{ReadWriteFlags, preadv2};
use tokio::sync::Semaphore;

use crate::address::{FrameRef, ObjectId, ShardNo};
use crate::cache::frames::{FrameKey, FramesCache};
use crate::cold::{Caller, ColdStore, Key};
use crate::error::{Error, Kind, Result};
use crate::limits::{
    COLD_FETCH_MEMORY, COLD_FETCH_SHARE, FETCH_FRAMES_MAX, FETCH_GAP_MAX, FRAME_RAW_MAX,
    FRAME_STORED_MAX,
};
use crate::{frame, metrics, pool};

mod ahead;
#[cfg(test)]
mod tests;

pub use ahead::{Held, Stretch};

/// Where objects lie on local disk.
pub trait LocalFiles: Send + Sync {
    /// The file of an object (open or sealed segment, blob), if there is one now. Asked once for each read, so that it may count as a use.
    fn path(&self, shard: ShardNo, object: &ObjectId) -> Option<PathBuf>;
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
    flights: Mutex<HashMap<FrameKey, Flight>>,
    /// Bytes that fetches from the store may hold.
    memory: Semaphore,
}

/// A read on its way that anybody may wait for.
type Flight = Shared<BoxFuture<'static, Result<Arc<Vec<Loaded>>, Arc<Error>>>>;
type Loaded = (FrameKey, Bytes);

/// A frame that is wanted.
#[derive(Clone, Copy, Debug)]
struct Wanted {
    key: FrameKey,
    frame: FrameRef,
}

/// Frames of one object that are read at once, in the order of their offsets.
struct Run {
    wanted: Vec<Wanted>,
    span: Range<u64>,
}

impl Fetcher {
    /// Over a store and the local files; keeps up to `frames_cache` bytes of decoded frames.
    pub fn new(frames_cache: u64, local: Arc<dyn LocalFiles>, cold: ColdStore) -> Fetcher {
        let memory = Semaphore::new(usize::try_from(COLD_FETCH_MEMORY).expect("32 bits fit"));
        let cache = FramesCache::new(frames_cache);
        Fetcher {
            inner: Arc::new(Inner {
                cache,
                local,
                cold,
                flights: Mutex::default(),
                memory,
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
        if missing.is_empty() {
            count("memory", wanted.len());
        } else if let Some(loaded) = self.inner.load_now(&missing) {
            count("memory", found.len());
            if self.keeps {
                self.inner.cache.keep(loaded.iter().cloned());
            }
            found.extend(loaded);
        } else {
            for flight in self.board(missing, &mut found) {
                let loaded = flight
                    .await
                    .map_err(|e| Error::new(e.kind().clone(), e.to_string()))?;
                found.extend(loaded.iter().cloned());
            }
        }
        Ok(wanted.iter().map(|w| found[&w.key].clone()).collect())
    }

    /// Bytes of decoded frames kept in memory.
    pub fn cached_bytes(&self) -> u64 {
        self.inner.cache.bytes()
    }

    /// Joins the reads that are on their way and starts those that are not; frames that arrived meanwhile go to `found`.
    fn board(&self, missing: Vec<Wanted>, found: &mut HashMap<FrameKey, Bytes>) -> Vec<Flight> {
        let mut boarded = Vec::new();
        let mut own = Vec::new();
        let mut flights = self.inner.flights();
        for wanted in missing {
            if let Some(flight) = flights.get(&wanted.key) {
                boarded.push(flight.clone());
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
            let keeps = self.keeps;
            // A task of its own: a reader who leaves takes nobody's bytes along.
            let task = tokio::spawn(async move {
                let landing = landing;
                let loaded = landing.inner.load(run).await?;
                if keeps {
                    landing.inner.cache.keep(loaded.iter().cloned());
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
            flights.extend(keys.into_iter().map(|key| (key, flight.clone())));
            boarded.push(flight);
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

impl Inner {
    fn flights(&self) -> MutexGuard<'_, HashMap<FrameKey, Flight>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The two lower rungs.
    async fn load(&self, run: Run) -> Result<Vec<Loaded>> {
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
        match (self.load_cold(&run).await, damage) {
            (Ok(frames), _) => {
                count("bucket", frames.len());
                Ok(frames)
            }
            (Err(error), Some(damage)) if *error.kind() == Kind::NotFound => Err(damage),
            (Err(error), _) if *error.kind() == Kind::NotFound => Err(Error::with_source(
                Kind::Unavailable,
                "mail is missing in the object store: nothing is concluded from that; restore the object",
                error,
            )),
            (Err(error), _) => Err(error),
        }
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

    async fn load_cold(&self, run: &Arc<Run>) -> Result<Vec<Loaded>> {
        let FrameKey { shard, object, .. } = run.first().key;
        let length = u32::try_from(run.span.end - run.span.start).unwrap_or(u32::MAX);
        let share = length.clamp(COLD_FETCH_SHARE, COLD_FETCH_MEMORY);
        let _share = self
            .memory
            .acquire_many(share)
            .await
            .expect("the semaphore is never closed");
        let key = Key::of(shard, &object);
        let stored = self
            .cold
            .get_range(&key, run.span.clone(), Caller::Read)
            .await?;
        let decode = |stored: Bytes| {
            let (run, name) = (Arc::clone(run), key.to_string());
            pool::run(move || run.decode(&stored, &name))
        };
        let mut decoded = decode(stored).await;
        // Wrong bytes of one store may be right in the other.
        let copies = self.cold.copies();
        for copy in (0..copies).filter(|_| copies > 1) {
            if !matches!(&decoded, Err(e) if matches!(e.kind(), Kind::Corrupt { .. })) {
                break;
            }
            let span = run.span.clone();
            let other = self.cold.get_range_of_copy(copy, &key, span, Caller::Read);
            if let Ok(stored) = other.await
                && let Ok(frames) = decode(stored).await
            {
                decoded = Ok(frames);
            }
        }
        decoded
    }

    /// The local rung for one who waits for a few frames that the page cache has: no thread is changed for them. `None`: by the other way.
    fn load_now(&self, missing: &[Wanted]) -> Option<Vec<Loaded>> {
        let [run] = <[Run; 1]>::try_from(runs(missing)).ok()?;
        let raw: u64 = run.wanted.iter().map(|w| u64::from(w.frame.raw)).sum();
        let length = usize::try_from(run.span.end - run.span.start).ok()?;
        if length > FRAME_STORED_MAX || raw > u64::try_from(FRAME_RAW_MAX).ok()? {
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

impl Run {
    fn first(&self) -> &Wanted {
        self.wanted
            .first()
            .expect("a run is made of at least one frame")
    }

    /// Checks and unpacks the frames out of the stored bytes of the whole span.
    fn decode(&self, stored: &[u8], name: &str) -> Result<Vec<Loaded>> {
        let decode = |wanted: &Wanted| {
            let at = usize::try_from(wanted.key.offset - self.span.start).ok();
            let length = usize::try_from(wanted.frame.stored).ok();
            let bytes = at
                .zip(length)
                .and_then(|(at, length)| stored.get(at..)?.get(..length));
            let bytes = bytes.ok_or_else(|| {
                Error::corrupt(
                    name,
                    wanted.key.offset,
                    format!("{name} ends inside a frame"),
                )
            })?;
            let raw = frame::decompress(bytes, &wanted.frame, name, wanted.key.offset)?;
            Ok((wanted.key, Bytes::from(raw)))
        };
        self.wanted.iter().map(decode).collect()
    }
}

/// # Errors
/// `NotFound`: no such file. `Corrupt`: unreadable, short or wrong bytes; names the file.
fn read_local(path: &Path, run: &Run) -> Result<Vec<Loaded>> {
    let name = path.display().to_string();
    let start = run.span.start;
    let file = match File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::with_source(Kind::NotFound, name, e));
        }
        opened => opened,
    };
    let length = usize::try_from(run.span.end - start).expect("a span is bounded");
    let mut stored = vec![0; length];
    file.and_then(|file| file.read_exact_at(&mut stored, start))
        .map_err(|e| {
            let words =
                format!("{name} cannot be read from byte {start} on ({length} bytes wanted)");
            Error::with_source(
                Kind::Corrupt {
                    object: name.clone(),
                    offset: start,
                },
                words,
                e,
            )
        })?;
    run.decode(&stored, &name)
}

/// The frames asked for with their places, checked against the bounds of the format.
fn wanted(
    shard: ShardNo,
    object: ObjectId,
    offset: u64,
    frames: &[FrameRef],
    want: Range<usize>,
) -> Result<Vec<Wanted>> {
    if want.len() > FETCH_FRAMES_MAX {
        return Err(Error::new(
            Kind::Limit,
            format!("{} frames at once: at most {FETCH_FRAMES_MAX}", want.len()),
        ));
    }
    let invalid = || {
        let words = format!(
            "`{}`: an address from byte {offset} on that no object can have",
            Key::of(shard, &object)
        );
        Error::new(Kind::Invalid, words)
    };
    if want.end > frames.len() || want.start > want.end {
        return Err(invalid());
    }
    let bounded = |n: u32, max: usize| usize::try_from(n).is_ok_and(|n| n <= max);
    let mut at = offset;
    let mut wanted = Vec::with_capacity(want.len());
    for (number, frame) in frames.iter().enumerate().take(want.end) {
        if frame.stored == 0
            || !bounded(frame.stored, FRAME_STORED_MAX)
            || !bounded(frame.raw, FRAME_RAW_MAX)
        {
            return Err(invalid());
        }
        if want.contains(&number) {
            wanted.push(Wanted {
                key: FrameKey {
                    shard,
                    object,
                    offset: at,
                    crc: frame.crc,
                },
                frame: *frame,
            });
        }
        at = at
            .checked_add(u64::from(frame.stored))
            .ok_or_else(invalid)?;
    }
    Ok(wanted)
}

/// Which frames are read together: those with at most [`FETCH_GAP_MAX`] bytes between them, as long as the read is no longer than what it
/// gives unpacked and one gap: what lies between is memory that nobody counted.
fn runs(wanted: &[Wanted]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut most = 0;
    for next in wanted {
        let end = next.key.offset + u64::from(next.frame.stored);
        most += u64::from(next.frame.raw);
        match runs.last_mut() {
            Some(run) if joins(&run.span, next.key.offset..end, most) => {
                run.wanted.push(*next);
                run.span.end = end;
            }
            _ => {
                most = FETCH_GAP_MAX + u64::from(next.frame.raw);
                runs.push(Run {
                    wanted: vec![*next],
                    span: next.key.offset..end,
                });
            }
        }
    }
    runs
}

/// Frames of two addresses may overlap where one of them is damaged: they are read apart.
fn joins(run: &Range<u64>, next: Range<u64>, most: u64) -> bool {
    match next.start.checked_sub(run.end) {
        Some(0) => true,
        Some(gap) => gap <= FETCH_GAP_MAX && next.end - run.start <= most,
        None => false,
    }
}

fn count(rung: &str, frames: usize) {
    metrics::FRAMES
        .with_label_values(&[rung])
        .inc_by(u64::try_from(frames).unwrap_or(u64::MAX));
}
