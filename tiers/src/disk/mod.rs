//! The few file operations we use, so that a test can hand in a disk that forgets or fails.
//!
//! Promises: every call blocks until it is done; nothing is retried. What is durable is what a sync said: bytes by
//! [`DiskFile::sync_data`], names by [`Disk::sync_dir`].
//! Never: buffers, caches, or takes a failed sync for a passing trouble.

mod read_only;
mod real;

#[cfg(feature = "faults")]
mod crash;
#[cfg(feature = "faults")]
mod faulty;

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;

#[cfg(feature = "faults")]
pub use faulty::FaultyDisk;
pub use read_only::ReadOnlyDisk;
pub use real::RealDisk;

use crate::{Error, Kind};

/// A file system.
pub trait Disk: Send + Sync + Debug {
    /// Opens a file that is there, for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Makes a new, empty file; `AlreadyExists` when there is one. The name is durable after [`Disk::sync_dir`].
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file another name in the same directory, in place of what has it; durable after [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file; durable after [`Disk::sync_dir`].
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Names of the files in a directory, sorted. Names that are not UTF-8 are not ours and left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Makes a directory and those above it, durable when it returns.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Bytes that we may still write to the file system that holds `path`.
    fn free_bytes(&self, path: &Path) -> io::Result<u64>;
    /// Bytes of that file system, full or free; 0 where nothing is to be kept free on it.
    fn total_bytes(&self, path: &Path) -> io::Result<u64>;
}

/// An open file. Reads and writes name their place; several threads may share it.
pub trait DiskFile: Send + Sync + Debug {
    /// Fills `into` from `offset` on; `UnexpectedEof` when the file ends before.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`. After an error any part of them may be in the file.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes all bytes and the length durable. After an error nobody knows what is: do not sync again, do not trust the file.
    fn sync_data(&self) -> io::Result<()>;
    /// Bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
    /// Cuts or extends (with zeros); durable after [`DiskFile::sync_data`].
    fn set_len(&self, len: u64) -> io::Result<()>;
}

/// Our error of a file operation: what was being done, to which file.
pub fn failed(doing: &str, path: &Path, source: io::Error) -> Error {
    let (kind, hint) = match source.kind() {
        io::ErrorKind::NotFound => (Kind::NotFound, ""),
        io::ErrorKind::AlreadyExists => (Kind::Conflict, ""),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (Kind::Unavailable, " (make room on this disk)")
        }
        io::ErrorKind::PermissionDenied => (
            Kind::Unavailable,
            " (the daemon's user must be able to read and write it)",
        ),
        _ => (Kind::Unavailable, ""),
    };
    Error::with_source(
        kind,
        format!("cannot {doing} {}{hint}", path.display()),
        source,
    )
}

/// Whether this says that the disk is full: then the file is as it was, and it heals by itself.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
mod tests;
