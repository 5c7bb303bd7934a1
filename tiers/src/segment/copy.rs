//! Puts a new file in the place of one whose bytes nobody may trust to be on disk: after a failed sync, and after a crash, when an earlier
//! sync may have failed and left them clean in the page cache.
//!
//! Promises: the new file holds exactly what was read in chain from the old one, and is durable under the old name when this returns.
//! A crash leaves: a `.copy` beside the old file; [`remove_stale`] takes it away.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::walk::{Step, Walker, Window};
use super::{Mark, size};
use crate::disk::{self, Disk, DiskFile};
use crate::limits::READ_CHUNK;
use crate::{Error, Result};

/// Removes what a crash left of an earlier attempt.
pub(super) fn remove_stale(disk: &dyn Disk, path: &Path) -> Result<()> {
    let copy = copy_path(path);
    match disk.remove(&copy) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(disk::failed("remove", &copy, e)),
        _ => Ok(()),
    }
}

/// The first `length` bytes of `file`, which is at `path`, in a new file at the same path. Reading in chain must arrive at `mark`.
pub(super) fn replace(
    disk: &dyn Disk,
    path: &Path,
    file: &dyn DiskFile,
    length: u64,
    mark: &Mark,
) -> Result<Arc<dyn DiskFile>> {
    remove_stale(disk, path)?;
    let fresh = copy_path(path);
    let copy = copied(disk, &fresh, file, length)
        .map_err(|e| disk::failed("copy what is whole of", path, e))?;
    arrives(&copy, path, mark)?;
    let take_over = || {
        disk.rename(&fresh, path)?;
        disk.sync_dir(directory(path))
    };
    take_over().map_err(|e| disk::failed("replace", path, e))?;
    Ok(copy)
}

/// [`replace`] at a start; where a full disk has no room for the copy, the same bytes are written over themselves and synced, and what follows
/// them is cut. That writes every page anew too, and a crash in the middle leaves the bytes that were there.
pub(super) fn renew(
    disk: &dyn Disk,
    path: &Path,
    file: &Arc<dyn DiskFile>,
    length: u64,
    mark: &Mark,
) -> Result<Arc<dyn DiskFile>> {
    let full = match replace(disk, path, &**file, length, mark) {
        Err(e) if is_full(&e) => e,
        done => return done,
    };
    remove_stale(disk, path)?;
    let over = || {
        transfer(&**file, &**file, length)?;
        file.sync_data()?;
        file.set_len(length)?;
        file.sync_data()
    };
    over().map_err(|_| full)?;
    arrives(file, path, mark)?;
    Ok(Arc::clone(file))
}

fn is_full(error: &Error) -> bool {
    let source = std::error::Error::source(error);
    source
        .and_then(|e| e.downcast_ref::<io::Error>())
        .is_some_and(disk::is_full)
}

/// The directory of a file of ours.
pub(super) fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

fn copy_path(path: &Path) -> PathBuf {
    path.with_extension("copy")
}

fn copied(
    disk: &dyn Disk,
    fresh: &Path,
    file: &dyn DiskFile,
    length: u64,
) -> io::Result<Arc<dyn DiskFile>> {
    let copy = disk.create(fresh)?;
    transfer(file, &*copy, length)?;
    copy.sync_data()?;
    Ok(copy)
}

fn transfer(from: &dyn DiskFile, to: &dyn DiskFile, length: u64) -> io::Result<()> {
    let mut bytes = vec![0; READ_CHUNK];
    let mut at = 0;
    while at < length {
        let n = usize::try_from(length - at)
            .unwrap_or(READ_CHUNK)
            .min(READ_CHUNK);
        from.read_at(at, &mut bytes[..n])?;
        to.write_at(at, &bytes[..n])?;
        at += size(n);
    }
    Ok(())
}

/// Whether the copy holds every record up to the mark: the old file may give other bytes the second time.
fn arrives(copy: &Arc<dyn DiskFile>, path: &Path, mark: &Mark) -> Result<()> {
    let mut window = Window::new(Arc::clone(copy), path)?;
    let (header, length) = window.header()?;
    let mut walker = Walker::new(window, &header, length);
    while let Step::Record(_) | Step::Batch(_) = walker.step()? {}
    if walker.mark == *mark {
        return Ok(());
    }
    let (name, offset) = (path.display().to_string(), walker.mark.offset);
    let what =
        format!("{name}: bytes that were whole before do not come back from byte {offset} on");
    Err(Error::corrupt(name, offset, what))
}
