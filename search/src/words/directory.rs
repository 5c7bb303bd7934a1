//! The index's files as tantivy wants them, over [`Files`].
//!
//! Promises: every byte is compared before tantivy sees it; nothing waits for a file that is watched; locks are in memory and die with the process.
//! Never: keeps tantivy's list of its own files on disk. It is made from the directory at each opening, so that a writer removes what a kill left.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    AntiCallToken, Directory, DirectoryLock, FileHandle, Lock, OwnedBytes, TerminatingWrite,
    WatchCallback, WatchHandle,
};
use tantivy::{HasLen, TantivyError};

use super::block::{self, BlockFile, BlockWriter, Damage};
use super::fault::Trouble;
use super::files::Files;

/// Where tantivy keeps the list of its files.
const MANAGED: &str = ".managed.json";

/// The directory of an index.
#[derive(Clone)]
pub(super) struct WordFiles {
    files: Arc<dyn Files>,
    pub(super) trouble: Trouble,
    managed: Arc<Mutex<Vec<u8>>>,
    locks: Arc<Locks>,
}

#[derive(Default)]
struct Locks {
    held: Mutex<BTreeSet<PathBuf>>,
    freed: Condvar,
}

/// A lock that is held.
struct Held {
    locks: Arc<Locks>,
    path: PathBuf,
}

impl fmt::Debug for WordFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WordFiles({:?})", self.files)
    }
}

impl WordFiles {
    /// Over files that are there, or none.
    pub(super) fn new(files: Arc<dyn Files>) -> io::Result<WordFiles> {
        let mut names = files.list()?;
        names.retain(|name| !name.starts_with('.'));
        let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
        let managed = format!("[{}]", names.join(",")).into_bytes();
        Ok(WordFiles {
            files,
            trouble: Trouble::default(),
            managed: Arc::new(Mutex::new(managed)),
            locks: Arc::default(),
        })
    }

    fn open(&self, path: &Path) -> Result<Opened, OpenReadError> {
        let name = name_of(path);
        let opened = self
            .files
            .open(name)
            .and_then(|file| BlockFile::open(name, file));
        let file = opened.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => OpenReadError::FileDoesNotExist(path.to_owned()),
            _ => OpenReadError::wrap_io_error(self.trouble.hear(name, error), path.to_owned()),
        })?;
        Ok(Opened {
            file,
            name: name.to_owned(),
            trouble: self.trouble.clone(),
        })
    }

    /// Files that are there.
    pub(super) fn names(&self) -> io::Result<BTreeSet<PathBuf>> {
        Ok(self.files.list()?.into_iter().map(PathBuf::from).collect())
    }

    /// Reads and compares a file, block by block.
    pub(super) fn check(&self, path: &Path) -> io::Result<()> {
        let name = name_of(path);
        let heard = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => error,
            _ => self.trouble.hear(name, error),
        };
        let file = self.files.open(name).map_err(heard)?;
        let checked = BlockFile::open(name, file).and_then(|file| file.check());
        checked.map_err(heard)
    }

    fn managed(&self) -> MutexGuard<'_, Vec<u8>> {
        self.managed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name_of(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

/// An opened file.
#[derive(Debug)]
struct Opened {
    file: BlockFile,
    name: String,
    trouble: Trouble,
}

impl HasLen for Opened {
    fn len(&self) -> usize {
        self.file.len()
    }
}

impl FileHandle for Opened {
    fn read_bytes(&self, range: std::ops::Range<usize>) -> io::Result<OwnedBytes> {
        let read = self.file.read(range.start, range.end);
        read.map_err(|error| self.trouble.hear(&self.name, error))
    }
}

/// A file that is being written.
struct Writing {
    file: BlockWriter,
    name: String,
    trouble: Trouble,
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes);
        written.map_err(|error| self.trouble.hear(&self.name, error))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TerminatingWrite for Writing {
    fn terminate_ref(&mut self, _: AntiCallToken) -> io::Result<()> {
        let finished = self.file.finish();
        finished.map_err(|error| self.trouble.hear(&self.name, error))
    }
}

impl Directory for WordFiles {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        Ok(Arc::new(self.open(path)?))
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        let name = name_of(path);
        self.files.remove(name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => DeleteError::FileDoesNotExist(path.to_owned()),
            _ => DeleteError::IoError {
                io_error: Arc::new(self.trouble.hear(name, error)),
                filepath: path.to_owned(),
            },
        })
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        match self.files.open(name_of(path)) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => {
                let error = self.trouble.hear(name_of(path), error);
                Err(OpenReadError::wrap_io_error(error, path.to_owned()))
            }
        }
    }

    fn open_write(
        &self,
        path: &Path,
    ) -> Result<BufWriter<Box<dyn TerminatingWrite + Send + Sync>>, OpenWriteError> {
        let name = name_of(path);
        let file = self
            .files
            .create(name)
            .map_err(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => OpenWriteError::FileAlreadyExists(path.to_owned()),
                _ => OpenWriteError::wrap_io_error(self.trouble.hear(name, error), path.to_owned()),
            })?;
        Ok(BufWriter::new(Box::new(Writing {
            file: BlockWriter::new(name, file),
            name: name.to_owned(),
            trouble: self.trouble.clone(),
        })))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        if name_of(path) == MANAGED {
            return Ok(self.managed().clone());
        }
        let file = self.open(path)?;
        let bytes = file.read_bytes(0..file.len());
        let bytes = bytes.map_err(|error| OpenReadError::wrap_io_error(error, path.to_owned()))?;
        Ok(bytes.to_vec())
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        let name = name_of(path);
        if name == MANAGED {
            data.clone_into(&mut self.managed());
            return Ok(());
        }
        let replaced = self.files.replace(name, &block::pack(name, data));
        replaced.map_err(|error| self.trouble.hear(name, error))
    }

    fn sync_directory(&self) -> io::Result<()> {
        let synced = self.files.sync_dir();
        synced.map_err(|error| self.trouble.hear("its directory", error))
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        let mut held = self.locks.lock();
        while !held.insert(lock.filepath.clone()) {
            if !lock.is_blocking {
                return Err(LockError::LockBusy);
            }
            let freed = self.locks.freed.wait(held);
            held = freed.unwrap_or_else(PoisonError::into_inner);
        }
        drop(held);
        Ok(DirectoryLock::from(Box::new(Held {
            locks: self.locks.clone(),
            path: lock.filepath.clone(),
        })))
    }

    fn watch(&self, _: WatchCallback) -> Result<WatchHandle, TantivyError> {
        Ok(WatchHandle::empty())
    }
}

impl Locks {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<PathBuf>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.locks.lock().remove(&self.path);
        self.locks.freed.notify_all();
    }
}

/// Removes every file: damaged ones too.
pub(super) fn clear(files: &dyn Files) -> io::Result<()> {
    let mut names = files.list()?;
    // First what says which files count.
    names.sort_by_key(|name| name != META);
    for name in names {
        match files.remove(&name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        if name == META {
            files.sync_dir()?;
        }
    }
    files.sync_dir()
}

/// What says which files count.
const META: &str = "meta.json";

/// Whether there is an index at all.
pub(super) fn is_there(files: &dyn Files) -> io::Result<bool> {
    Ok(files.list()?.iter().any(|name| name == META))
}

/// Bytes of a file's payload.
pub(super) fn bytes_of(files: &WordFiles, path: &Path) -> io::Result<u64> {
    let opened = files.open(path).map_err(|error| match error {
        OpenReadError::IoError { io_error, .. } => io::Error::new(io_error.kind(), io_error),
        _ => Damage::error(name_of(path), 0, "it is gone"),
    })?;
    Ok(u64::try_from(opened.len()).unwrap_or(u64::MAX))
}
