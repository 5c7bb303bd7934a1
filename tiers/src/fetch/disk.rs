//! The disk cache as a rung: what is read from it, and what is read into it.
//!
//! Promises: a file that gives wrong bytes is dropped, and the store is asked; nothing that the disk does fails a read.

use std::ops::Range;
use std::sync::{Arc, MutexGuard, PoisonError};

use bytes::Bytes;
use rustix::io::Errno;
use tokio::time::Instant;

use super::sequence::{Manner, Sequences};
use super::window::{Landing, Window};
use super::{Inner, Keep, Loaded, Run, Wanted, count};
use crate::address::{ObjectId, ShardNo};
use crate::cache::disk::{Class, DiskCache, StretchFile, read_exact};
use crate::cache::frames::FrameKey;
use crate::cold::Key;
use crate::error::{Error, Kind, Result};
use crate::limits::{CACHE_LARGE_MIN, CACHE_WINDOW, SEQUENCE_GAP_MAX};
use crate::pool;

/// Where bytes of an object are, or will be in a moment.
#[derive(Clone)]
enum Source {
    File(StretchFile),
    Window(Arc<Window>),
}

impl Source {
    fn holds(&self, span: &Range<u64>) -> bool {
        match self {
            Source::File(file) => {
                let has = file.span();
                has.start <= span.start && span.end <= has.end
            }
            Source::Window(window) => window.holds(span),
        }
    }
}

impl Inner {
    /// Frames that the disk has, or will have in a moment; and those that it does not.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`: they were on their way, and the store does not give them.
    pub(super) async fn load_kept(
        &self,
        disk: &Arc<DiskCache>,
        run: &Run,
    ) -> Result<(Vec<Loaded>, Vec<Wanted>)> {
        let FrameKey { shard, object, .. } = run.first().key;
        let (mut kept, mut missing) = (Vec::<(Source, Run)>::new(), Vec::new());
        for wanted in &run.wanted {
            let span = wanted.span();
            match kept.last_mut() {
                Some((source, run)) if source.holds(&span) && run.span.end <= span.start => {
                    run.span.end = span.end;
                    run.wanted.push(*wanted);
                }
                _ => match self.source(disk, shard, &object, &span) {
                    Some(source) => kept.push((
                        source,
                        Run {
                            wanted: vec![*wanted],
                            span,
                        },
                    )),
                    None => missing.push(*wanted),
                },
            }
        }
        let mut loaded = Vec::new();
        for (source, run) in kept {
            let run = Arc::new(run);
            match self.load_from(disk, &source, &run).await? {
                Some(frames) => {
                    count("disk", frames.len());
                    loaded.extend(frames);
                }
                None => missing.extend_from_slice(&run.wanted),
            }
        }
        missing.sort_unstable_by_key(|wanted| wanted.key.offset);
        Ok((loaded, missing))
    }

    fn source(
        &self,
        disk: &DiskCache,
        shard: ShardNo,
        object: &ObjectId,
        span: &Range<u64>,
    ) -> Option<Source> {
        // In this order: one that has landed is a file before it is no window any more.
        let window = self.windows.find(shard, object, span).map(Source::Window);
        window.or_else(|| disk.find(shard, object, span).map(Source::File))
    }

    /// `None`: the store is to be asked.
    async fn load_from(
        &self,
        disk: &Arc<DiskCache>,
        source: &Source,
        run: &Arc<Run>,
    ) -> Result<Option<Vec<Loaded>>> {
        let FrameKey { shard, object, .. } = run.first().key;
        let name = Key::of(shard, &object).to_string();
        let (cache, run, of) = (Arc::clone(disk), Arc::clone(run), source.clone());
        let file = match source {
            Source::File(_) => None,
            Source::Window(window) => match window.wait(run.span.end).await? {
                Landing::Here(file) => Some(file),
                Landing::Elsewhere => return Ok(None),
            },
        };
        let read = move || {
            let bytes = match (&of, file) {
                (Source::Window(window), Some(file)) => {
                    read_exact(&file, window.span.start, &run.span)
                }
                (Source::File(file), _) => cache.read(file, &run.span),
                (Source::Window(_), None) => Err(std::io::ErrorKind::NotFound.into()),
            };
            let bytes = match bytes {
                // Nothing is wrong with it.
                Err(error) if is_out_of_files(&error) => return Ok(None),
                bytes => bytes,
            };
            let unreadable = |e| Error::with_source(Kind::Unavailable, "it cannot be read", e);
            let frames = bytes
                .map_err(unreadable)
                .and_then(|bytes| run.decode(&bytes, &name));
            if let Err(why) = &frames {
                match &of {
                    Source::File(file) => cache.drop_wrong(file, &name, why),
                    Source::Window(window) => window.is_wrong(&cache, why),
                }
            }
            Ok(frames.ok())
        };
        pool::run(read).await
    }

    /// Frames that nothing here has: by a long read that is begun for who reads on and on, or by one of just these, which are kept.
    pub(super) async fn load_cold(
        self: &Arc<Self>,
        disk: &Arc<DiskCache>,
        run: Arc<Run>,
        keep: Keep,
    ) -> Result<Vec<Loaded>> {
        let FrameKey { shard, object, .. } = run.first().key;
        let now = Instant::now();
        // A batch is some way ahead of who sends the one before it.
        let gap = match keep {
            Keep::InFreeRoom => CACHE_WINDOW,
            Keep::Always | Keep::Never => SEQUENCE_GAP_MAX,
        };
        let manner = self.sequences().read(shard, object, &run.span, gap, now);
        if let Some(window) = self.window_for(disk, (shard, object), &run.span, manner) {
            let source = Source::Window(window);
            if let Some(frames) = self.load_from(disk, &source, &run).await? {
                count("bucket", frames.len());
                return Ok(frames);
            }
        }
        let (frames, stored) = self.load_exactly(&run, keep).await?;
        let is_long = stored.len() >= usize::try_from(CACHE_LARGE_MIN).unwrap_or(usize::MAX);
        let class = match manner {
            Manner::Scattered if !is_long => Class::Wanted,
            _ => Class::Passing,
        };
        self.keep_on_disk(disk, class, (shard, object), run.span.start, stored)
            .await;
        Ok(frames)
    }

    /// A failure of it is nobody's: the frames are there.
    async fn keep_on_disk(
        &self,
        disk: &Arc<DiskCache>,
        class: Class,
        of: (ShardNo, ObjectId),
        offset: u64,
        stored: Bytes,
    ) {
        let disk = Arc::clone(disk);
        let write = move || {
            disk.keep(class, of, offset, &stored);
            Ok(())
        };
        if let Err(error) = pool::run(write).await {
            tracing::debug!(%error, "a file of the disk cache is not written");
        }
    }

    /// The long read that is worth it for who reads in this manner.
    fn window_for(
        self: &Arc<Self>,
        disk: &Arc<DiskCache>,
        (shard, object): (ShardNo, ObjectId),
        span: &Range<u64>,
        manner: Manner,
    ) -> Option<Arc<Window>> {
        if manner == Manner::Scattered {
            return None;
        }
        let end = self.local.stored_bytes(shard, &object)?;
        if span.end > end {
            return None;
        }
        let around = around(span, end, manner);
        let window = self.open_window(disk, (shard, object), span, around)?;
        let reaches = window.span.end;
        self.sequences()
            .reaches(shard, object, reaches, reaches >= end);
        Some(window)
    }

    /// Whether `first` is on local disk in a moment: all that lies in `all` is on its way, or there already, in the disk cache.
    pub(super) fn lands(
        self: &Arc<Self>,
        shard: ShardNo,
        object: ObjectId,
        first: &Range<u64>,
        all: Range<u64>,
    ) -> bool {
        let Some(disk) = &self.disk else {
            return false;
        };
        if self.source(disk, shard, &object, first).is_some() {
            return true;
        }
        if self.local.path(shard, &object).is_some() {
            return false;
        }
        let Some(window) = self.open_window(disk, (shard, object), first, all) else {
            return false;
        };
        let mut sequences = self.sequences();
        sequences.read(shard, object, first, SEQUENCE_GAP_MAX, Instant::now());
        sequences.reaches(shard, object, window.span.end, false);
        true
    }

    fn sequences(&self) -> MutexGuard<'_, Sequences> {
        let sequences = self.sequences.lock();
        sequences.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether this process, or the machine, has as many files open as it may.
fn is_out_of_files(error: &std::io::Error) -> bool {
    [Errno::MFILE, Errno::NFILE]
        .map(|e| Some(e.raw_os_error()))
        .contains(&error.raw_os_error())
}

/// What is read at once of an object of `end` bytes.
fn around(span: &Range<u64>, end: u64, manner: Manner) -> Range<u64> {
    let start = match manner {
        Manner::Throughout => span.start - span.start % CACHE_WINDOW,
        Manner::Onward | Manner::Scattered => span.start,
    };
    let until = (start + CACHE_WINDOW).max(span.end);
    // What would be left is not worth a read of its own.
    match end.saturating_sub(until) < CACHE_WINDOW / 2 {
        true => start..end,
        false => start..until,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_read_ends_with_the_object_or_leaves_a_part_that_is_worth_another() {
        let mib = 1024 * 1024;
        let onward = |at: u64, end| around(&(at..at + 100), end, Manner::Onward);
        assert_eq!(onward(100, 64 * mib), 100..100 + CACHE_WINDOW);
        assert_eq!(onward(100, 11 * mib), 100..11 * mib);
        assert_eq!(onward(100, 13 * mib), 100..100 + CACHE_WINDOW);
        assert_eq!(onward(100, 200), 100..200);
        let throughout = around(&(9 * mib..9 * mib + 100), 64 * mib, Manner::Throughout);
        assert_eq!(throughout, 8 * mib..16 * mib);
    }
}
