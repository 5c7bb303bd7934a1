//! Long reads from the store that land in the disk cache and are read from there while they land.
//!
//! Promises: memory is a piece for each, never the whole; a reader waits for its own bytes and no more; who leaves stops nothing; each ends in
//! bounded time, and what landed of one that breaks off stays.
//! Never: more than [`CACHE_WINDOWS_MAX`] at a time, or one over bytes that are there or on their way.

use std::fs::File;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use tokio::sync::watch;
use tokio::time::{Duration, Instant, timeout_at};

use super::Inner;
use crate::address::{ObjectId, ShardNo};
use crate::cache::disk::{Class, DiskCache, Part, StretchFile};
use crate::cold::{Caller, Key, Pieces};
use crate::error::{Error, Result};
use crate::limits::{CACHE_PIECE, CACHE_WINDOW_MAX, CACHE_WINDOWS_MAX, COLD_FETCH_SHARE};
use crate::{metrics, pool};

/// How long bytes that came wait for more, to be written together.
const GATHER: Duration = Duration::from_millis(20);

/// Those on their way.
#[derive(Debug, Default)]
pub(super) struct Windows(Mutex<Vec<Arc<Window>>>);

/// Bytes of an object on their way.
#[derive(Debug)]
pub(super) struct Window {
    pub(super) shard: ShardNo,
    pub(super) object: ObjectId,
    pub(super) span: Range<u64>,
    landed: watch::Receiver<Landed>,
    /// Some of it is not what was written.
    is_wrong: AtomicBool,
}

/// How far it is.
#[derive(Clone, Debug, Default)]
struct Landed {
    file: Option<Arc<File>>,
    /// Bytes in the file.
    bytes: u64,
    end: Option<Ending>,
}

#[derive(Clone, Debug)]
enum Ending {
    /// All that will come is there.
    Over,
    /// The store did not give it.
    Failed(Arc<Error>),
}

/// What a reader gets.
#[derive(Debug)]
pub(super) enum Landing {
    /// The file has its bytes, from the first one of the window on.
    Here(Arc<File>),
    /// They will not come this way.
    Elsewhere,
}

impl Windows {
    /// One that brings all of `span`.
    pub(super) fn find(
        &self,
        shard: ShardNo,
        object: &ObjectId,
        span: &Range<u64>,
    ) -> Option<Arc<Window>> {
        let running = self.running();
        let mut found = running.iter().filter(|w| w.is_of(shard, object));
        found.find(|w| w.holds(span)).cloned()
    }

    fn running(&self) -> MutexGuard<'_, Vec<Arc<Window>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn is_of(&self, shard: ShardNo, object: &ObjectId) -> bool {
        self.shard == shard && self.object == *object
    }

    pub(super) fn holds(&self, span: &Range<u64>) -> bool {
        self.span.start <= span.start && span.end <= self.span.end
    }

    /// Waits until the bytes before `until` are there.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`: the store gave none of it, though it was asked with all patience.
    pub(super) async fn wait(&self, until: u64) -> Result<Landing> {
        let needed = until.saturating_sub(self.span.start);
        let mut landed = self.landed.clone();
        let is_told = |now: &Landed| now.bytes >= needed || now.end.is_some();
        let Ok(now) = landed.wait_for(is_told).await else {
            return Ok(Landing::Elsewhere);
        };
        match (&now.file, &now.end) {
            (Some(file), _) if now.bytes >= needed => Ok(Landing::Here(Arc::clone(file))),
            (_, Some(Ending::Failed(error))) if now.bytes == 0 => {
                Err(Error::new(error.kind().clone(), error.to_string()))
            }
            _ => Ok(Landing::Elsewhere),
        }
    }

    /// Waits until nothing more comes.
    #[cfg(test)]
    pub(super) async fn over(&self) {
        let mut landed = self.landed.clone();
        let _ = landed.wait_for(|now| now.end.is_some()).await;
    }

    /// The file that it becomes when `bytes` of it landed.
    fn file(&self, bytes: u64) -> StretchFile {
        StretchFile {
            shard: self.shard,
            object: self.object,
            class: Class::Passing,
            offset: self.span.start,
            length: u32::try_from(bytes).unwrap_or(0),
        }
    }

    /// A reader found wrong bytes in it.
    pub(super) fn is_wrong(&self, disk: &DiskCache, why: &Error) {
        self.is_wrong.store(true, Ordering::Release);
        let bytes = self.landed.borrow().bytes;
        let key = Key::of(self.shard, &self.object).to_string();
        disk.drop_wrong(&self.file(bytes), &key, why);
    }
}

impl Inner {
    /// Begins to read as much of `around` as is neither there nor on its way, `span` in any case; `None`: not now.
    pub(super) fn open_window(
        self: &Arc<Self>,
        disk: &Arc<DiskCache>,
        (shard, object): (ShardNo, ObjectId),
        span: &Range<u64>,
        around: Range<u64>,
    ) -> Option<Arc<Window>> {
        let mut running = self.windows.running();
        let of_object = |w: &&Arc<Window>| w.is_of(shard, &object);
        if let Some(there) = running.iter().filter(of_object).find(|w| w.holds(span)) {
            return Some(Arc::clone(there));
        }
        if running.len() >= CACHE_WINDOWS_MAX {
            return None;
        }
        let mut gap = disk.gap(shard, &object, span, around);
        for other in running.iter().filter(of_object) {
            if other.span.start <= span.start {
                gap.start = gap.start.max(other.span.end.min(span.start));
            } else {
                gap.end = gap.end.min(other.span.start.max(span.end));
            }
        }
        gap.end = gap.end.min(
            gap.start
                .saturating_add(CACHE_WINDOW_MAX.min(disk.passing_max())),
        );
        if gap.start > span.start || gap.end < span.end {
            return None;
        }
        let (told, landed) = watch::channel(Landed::default());
        let window = Arc::new(Window {
            shard,
            object,
            span: gap,
            landed,
            is_wrong: AtomicBool::new(false),
        });
        running.push(Arc::clone(&window));
        let runway = Runway {
            inner: Arc::clone(self),
            window: Arc::clone(&window),
        };
        let disk = Arc::clone(disk);
        tokio::spawn(async move {
            let end = runway.land(&disk, &told).await;
            // The file is known by now: who does not find it here finds it there.
            drop(runway);
            told.send_modify(|landed| landed.end = Some(end));
        });
        Some(window)
    }
}

/// Takes a window off the board when it is over, however it ends.
struct Runway {
    inner: Arc<Inner>,
    window: Arc<Window>,
}

impl Drop for Runway {
    fn drop(&mut self) {
        let mut running = self.inner.windows.running();
        running.retain(|other| !Arc::ptr_eq(other, &self.window));
    }
}

impl Runway {
    async fn land(&self, disk: &Arc<DiskCache>, told: &watch::Sender<Landed>) -> Ending {
        let memory = &self.inner.memory;
        let _share = memory
            .acquire_many(COLD_FETCH_SHARE)
            .await
            .expect("the semaphore is never closed");
        let (cache, length) = (
            Arc::clone(disk),
            self.window.span.end - self.window.span.start,
        );
        let begun = pool::run(move || Ok(cache.begin(Class::Passing, length))).await;
        let Ok(Some(part)) = begun else {
            return Ending::Over;
        };
        let part = Arc::new(part);
        told.send_modify(|landed| landed.file = Some(part.file()));
        let end = self.pieces(&part, told).await;
        let file = self.window.file(told.borrow().bytes);
        if self.window.is_wrong.load(Ordering::Acquire) {
            metrics::CACHE_DROPPED.inc();
            let key = Key::of(self.window.shard, &self.window.object);
            tracing::warn!(object = %key, "what came of it for the disk cache is wrong and is dropped");
        } else if let Some(part) = Arc::into_inner(part) {
            let finish = move || {
                part.finish(file);
                Ok(())
            };
            // What could not be renamed is not kept.
            drop(pool::run(finish).await);
        }
        end
    }

    /// Writes what comes, until it ends or the disk refuses.
    async fn pieces(&self, part: &Arc<Part>, told: &watch::Sender<Landed>) -> Ending {
        let window = &self.window;
        let key = Key::of(window.shard, &window.object);
        let cold = &self.inner.cold;
        let begun = cold.stream(&key, window.span.clone(), Caller::Read).await;
        let mut stream = match begun {
            Ok(stream) => stream,
            Err(error) => return Ending::Failed(Arc::new(error)),
        };
        let mut written = 0;
        loop {
            let (piece, more) = gather(&mut stream).await;
            let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
            let (file, at) = (Arc::clone(part), written);
            let write = pool::run(move || Ok(file.write(at, &piece)));
            if length > 0 && !matches!(write.await, Ok(true)) {
                return Ending::Over;
            }
            written += length;
            told.send_modify(|landed| landed.bytes = written);
            match more {
                Ok(More::Perhaps) => {}
                Ok(More::Nothing) => return Ending::Over,
                Err(error) => {
                    tracing::debug!(object = %key, %error, "a long read broke off");
                    return Ending::Over;
                }
            }
        }
    }
}

/// Whether something is still to come.
enum More {
    Perhaps,
    Nothing,
}

/// The next bytes, as many as come one after the other and are written at once; those before an error too.
async fn gather(stream: &mut Pieces) -> (Bytes, Result<More>) {
    let mut gathered = BytesMut::new();
    let until = Instant::now() + GATHER;
    loop {
        let next = match gathered.is_empty() {
            true => Ok(stream.next().await),
            false => timeout_at(until, stream.next()).await,
        };
        let more = match next {
            Ok(Ok(Some(piece))) => {
                gathered.extend_from_slice(&piece);
                if gathered.len() < CACHE_PIECE {
                    continue;
                }
                Ok(More::Perhaps)
            }
            Ok(Ok(None)) => Ok(More::Nothing),
            Ok(Err(error)) => Err(error),
            // A slow store: readers are given what there is.
            Err(_) => Ok(More::Perhaps),
        };
        return (gathered.freeze(), more);
    }
}
