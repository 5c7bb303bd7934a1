//! Stored bytes of objects on local disk, so that what was read from the bucket is not asked for again.
//!
//! Promises: the budget holds at every moment; what cannot be written is not kept, and no read fails for it. A file is written under
//! another name and renamed when it is whole.
//! Never: syncs, or trusts what it reads: every frame is compared with its checksum by who reads it, and says when it was wrong.
//! A crash leaves: files that are half written, which go at the next start, and files with wrong bytes, which go when they are read.

mod file;
mod index;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

pub(crate) use file::{Class, StretchFile};
use index::Index;

use crate::address::{ObjectId, ShardNo};
use crate::cache::disk::file::weight;
use crate::limits::CACHE_FILES_MAX;
use crate::metrics;

/// Whether so many more bytes may be written to the disk that the cache is on.
pub type HasRoom = Arc<dyn Fn(u64) -> bool + Send + Sync>;

/// What the name of a file ends with while it is written.
const PART: &str = ".part";

/// See the module.
pub struct DiskCache {
    dir: PathBuf,
    index: Mutex<Index>,
    has_room: HasRoom,
    /// Files that were begun, for their names.
    begun: AtomicU64,
    /// Names of files that this process writes begin with it.
    session: String,
    /// It was told that the disk refuses.
    told: AtomicBool,
}

/// A file that is being written. Dropped, it is gone.
pub(crate) struct Part {
    cache: Arc<DiskCache>,
    path: PathBuf,
    file: Arc<File>,
    class: Class,
    weight: u64,
    is_kept: bool,
}

impl DiskCache {
    /// In a directory of its own, which is made, and looked through on a thread beside: what is in it is found bit by bit.
    pub fn open(dir: PathBuf, budget: u64, has_room: HasRoom) -> Arc<DiskCache> {
        let cache = Arc::new(DiskCache {
            dir,
            index: Mutex::new(Index::new(budget)),
            has_room,
            begun: AtomicU64::new(0),
            session: format!("{:08x}", getrandom::u32().unwrap_or_default()),
            told: AtomicBool::new(false),
        });
        if let Err(error) = fs::create_dir_all(&cache.dir) {
            cache.tell(&error);
        }
        let looking = Arc::clone(&cache);
        let look = move || looking.look_through();
        let thread = std::thread::Builder::new().name("cache".to_owned());
        if let Err(error) = thread.spawn(look) {
            cache.tell(&error);
        }
        cache
    }

    /// Removes what a cache has left in a directory that is none any more.
    pub fn clear(dir: &Path) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            if StretchFile::parse(&name).is_some() || name.ends_with(PART) {
                remove_file(&entry.path());
            }
        }
    }

    /// Bytes of disk that it takes.
    pub fn bytes(&self) -> u64 {
        self.index().bytes()
    }

    /// The objects of which it has something.
    pub fn objects(&self) -> Vec<(ShardNo, ObjectId)> {
        self.index().objects()
    }

    /// Lets go all of an object that is gone.
    pub fn forget(&self, shard: ShardNo, object: &ObjectId) {
        let gone = self.index().forget(shard, object);
        self.remove(&gone);
    }

    /// Lets go so many bytes: the disk is short.
    pub fn shrink(&self, bytes: u64) {
        let gone = self.index().shrink(bytes);
        self.remove(&gone);
    }

    /// A stretch that has all of `span`.
    pub(crate) fn find(
        &self,
        shard: ShardNo,
        object: &ObjectId,
        span: &Range<u64>,
    ) -> Option<StretchFile> {
        self.index().find(shard, object, span)
    }

    /// As [`Index::gap`].
    pub(crate) fn gap(
        &self,
        shard: ShardNo,
        object: &ObjectId,
        span: &Range<u64>,
        around: Range<u64>,
    ) -> Range<u64> {
        self.index().gap(shard, object, span, around)
    }

    /// Bytes that one stretch read in passing may have.
    pub(crate) fn passing_max(&self) -> u64 {
        self.index().share(Class::Passing)
    }

    /// Bytes of a stretch. Blocks.
    ///
    /// # Errors
    /// Of the disk; `UnexpectedEof`: it is short.
    pub(crate) fn read(&self, file: &StretchFile, span: &Range<u64>) -> io::Result<Vec<u8>> {
        let opened = File::open(self.path(file))?;
        read_exact(&opened, file.offset, span)
    }

    /// Removes a stretch that gave wrong bytes.
    pub(crate) fn drop_wrong(&self, file: &StretchFile, object: &str, why: &dyn std::fmt::Display) {
        if !self.index().remove(file) {
            // It went meanwhile, or another reader was faster.
            return;
        }
        metrics::CACHE_DROPPED.inc();
        let path = self.path(file);
        tracing::warn!(object, file = %path.display(), "what the disk cache has of it is wrong and is dropped: {why}");
        self.remove(&[*file]);
    }

    /// Keeps bytes of an object from `offset` on, if there is room. Blocks.
    pub(crate) fn keep(
        self: &Arc<Self>,
        class: Class,
        (shard, object): (ShardNo, ObjectId),
        offset: u64,
        bytes: &[u8],
    ) {
        let Ok(length) = u32::try_from(bytes.len()) else {
            return;
        };
        if let Some(part) = self.begin(class, u64::from(length))
            && part.write(0, bytes)
        {
            part.finish(StretchFile {
                shard,
                object,
                class,
                offset,
                length,
            });
        }
    }

    /// Begins a file of at most so many bytes; `None`: there is no room, or the disk refuses. Blocks.
    pub(crate) fn begin(self: &Arc<Self>, class: Class, length: u64) -> Option<Part> {
        let weight = weight(length);
        if length == 0 || !(self.has_room)(weight) {
            return None;
        }
        let (fits, gone) = self.index().reserve(class, weight);
        self.remove(&gone);
        if !fits {
            return None;
        }
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join(format!("{}-{number:x}{PART}", self.session));
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create_new(true).mode(0o600);
        let opened = options.open(&path).or_else(|error| {
            // Somebody emptied the data directory's cache as a whole.
            fs::create_dir(&self.dir).map_err(|_| error)?;
            options.open(&path)
        });
        match opened {
            Ok(file) => Some(Part {
                cache: Arc::clone(self),
                path,
                file: Arc::new(file),
                class,
                weight,
                is_kept: false,
            }),
            Err(error) => {
                self.index().release(class, weight);
                self.tell(&error);
                None
            }
        }
    }

    fn path(&self, file: &StretchFile) -> PathBuf {
        self.dir.join(file.name())
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self, gone: &[StretchFile]) {
        for file in gone {
            remove_file(&self.path(file));
        }
        let bytes = self.bytes();
        metrics::CACHE_BYTES.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Says once that nothing can be kept, until something can.
    fn tell(&self, error: &io::Error) {
        if !self.told.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                dir = %self.dir.display(),
                "the disk cache cannot be written, mail is read without it: {error}"
            );
        }
    }

    /// Finds what earlier processes left, by names and lengths only.
    fn look_through(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return;
        };
        let mut found: Vec<(SystemTime, StretchFile)> = Vec::new();
        for entry in entries.flatten() {
            let name = entry.file_name().into_string().unwrap_or_default();
            let meta = entry.metadata().ok().filter(fs::Metadata::is_file);
            let file = StretchFile::parse(&name);
            match (file, meta) {
                (Some(file), Some(meta))
                    if meta.len() == u64::from(file.length) && found.len() < CACHE_FILES_MAX =>
                {
                    let made = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                    found.push((made, file));
                }
                _ if name.starts_with(&self.session) => {}
                // Half written, or of a length that it must not have, or none of ours.
                (_, Some(_)) => remove_file(&entry.path()),
                (_, None) => {}
            }
        }
        found.sort_unstable();
        for (nth, (_, file)) in (0..).zip(&found) {
            let gone = self.index().found(*file, nth);
            self.remove(&gone);
        }
    }
}

impl Part {
    /// For readers of what is there already.
    pub(crate) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Writes; whether it could. Blocks.
    pub(crate) fn write(&self, at: u64, bytes: &[u8]) -> bool {
        let written = self.file.write_all_at(bytes, at);
        match &written {
            Ok(()) => self.cache.told.store(false, Ordering::Relaxed),
            Err(error) => self.cache.tell(error),
        }
        written.is_ok()
    }

    /// Makes it a stretch of the cache. Blocks.
    pub(crate) fn finish(mut self, file: StretchFile) {
        let cache = Arc::clone(&self.cache);
        if file.length == 0 || file.class != self.class || file.weight() > self.weight {
            return;
        }
        if let Err(error) = fs::rename(&self.path, cache.path(&file)) {
            cache.tell(&error);
            return;
        }
        self.is_kept = true;
        let gone = {
            let mut index = cache.index();
            index.release(self.class, self.weight);
            index.add(file)
        };
        cache.remove(&gone);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_kept {
            remove_file(&self.path);
            self.cache.index().release(self.class, self.weight);
        }
    }
}

/// `span` out of a file that begins with the byte `offset` of its object.
///
/// # Errors
/// Of the disk; `UnexpectedEof`: it is short.
pub(crate) fn read_exact(file: &File, offset: u64, span: &Range<u64>) -> io::Result<Vec<u8>> {
    let wrong = || io::Error::from(io::ErrorKind::InvalidInput);
    let at = span.start.checked_sub(offset).ok_or_else(wrong)?;
    let length = span.end.saturating_sub(span.start);
    let mut bytes = vec![0; usize::try_from(length).map_err(|_| wrong())?];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

fn remove_file(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(file = %path.display(), "a file of the disk cache stays: {error}");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
