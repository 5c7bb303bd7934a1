//! A disk in memory that knows what was synced: fails on order, and gives the state after a power cut.
//!
//! Promises: what a successful sync covered survives [`FaultyDisk::crash`]; of everything else a part that only the seed decides.
//! After a sync failed on order every later one fails too, until [`FaultyDisk::mend`]; what a failed sync should have covered never becomes
//! durable, though it can be read, as on Linux.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::crash::Random;
use super::{Disk, DiskFile};

/// See the module. Clones share one state, which stands for one machine between two power cuts.
#[derive(Clone, Debug, Default)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

/// A change of a directory, not yet synced.
#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Link(PathBuf, usize),
    Unlink(PathBuf),
}

/// A change of a file, not yet synced.
#[derive(Clone, Debug)]
pub(super) enum ByteChange {
    Write(usize, Vec<u8>),
    Length(usize),
}

/// A file by number: names come and go.
#[derive(Clone, Debug, Default)]
pub(super) struct Inode {
    pub(super) now: Vec<u8>,
    pub(super) durable: Vec<u8>,
    pub(super) unsynced: Vec<ByteChange>,
}

#[derive(Debug, Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// In order; a change belongs to the directory of its path. A rename is one item.
    unsynced: Vec<Vec<NameChange>>,
    syncs: u64,
    failing_sync: Option<u64>,
    room: Option<u64>,
}

impl FaultyDisk {
    /// An empty one.
    pub fn new() -> FaultyDisk {
        FaultyDisk::default()
    }

    /// Lets the `nth` sync from now on (0 = the next one; of a file or a directory) fail, and every one after it.
    pub fn fail_sync(&self, nth: u64) {
        let mut state = self.state();
        state.failing_sync = Some(state.syncs + nth);
    }

    /// Lets syncs go well again. What a failed one was to cover stays lost.
    pub fn mend(&self) {
        self.state().failing_sync = None;
    }

    /// Lets every write that goes over `bytes` from now on fail with `StorageFull`, after what still had room was
    /// written; `None` gives room again. (Bytes written count, not the length of files.)
    pub fn set_room(&self, bytes: Option<u64>) {
        self.state().room = bytes;
    }

    /// Syncs asked for so far.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    /// The disk after a power cut now: what was synced, and of the rest a part that `seed` decides. Of a file's unsynced
    /// writes a prefix survives, its last write torn at any byte, or each 4 KiB page for itself in any of its states; of a directory's
    /// unsynced names a prefix. The disk before the cut is unchanged, so that many seeds can be tried on one.
    pub fn crash(&self, seed: u64) -> FaultyDisk {
        let state = self.state();
        let mut random = Random::new(seed);
        let mut names = state.durable_names.clone();
        let mut lost: Vec<PathBuf> = Vec::new();
        for change in &state.unsynced {
            let dir = parent(change);
            if lost.contains(&dir) {
                continue;
            }
            if random.below(4) == 0 {
                lost.push(dir);
            } else {
                apply(&mut names, change);
            }
        }
        let inodes = state
            .inodes
            .iter()
            .map(|inode| inode.after_crash(&mut random))
            .collect();
        let after = State {
            inodes,
            durable_names: names.clone(),
            names,
            ..State::default()
        };
        FaultyDisk {
            state: Arc::new(Mutex::new(after)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while this lock is held")
    }

    fn file(&self, inode: usize) -> Arc<dyn DiskFile> {
        Arc::new(FaultyFile {
            disk: self.clone(),
            inode,
        })
    }
}

impl State {
    fn sync(&mut self) -> io::Result<()> {
        let number = self.syncs;
        self.syncs += 1;
        match self.failing_sync {
            Some(failing) if number >= failing => Err(io::Error::other("this sync fails on order")),
            _ => Ok(()),
        }
    }

    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names
            .get(path)
            .copied()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn change(&mut self, change: Vec<NameChange>) {
        apply(&mut self.names, &change);
        self.unsynced.push(change);
    }
}

fn parent(change: &[NameChange]) -> PathBuf {
    let (NameChange::Link(path, _) | NameChange::Unlink(path)) = &change[0];
    path.parent().unwrap_or(Path::new("")).to_owned()
}

fn apply(names: &mut BTreeMap<PathBuf, usize>, change: &[NameChange]) {
    for one in change {
        match one {
            NameChange::Link(path, inode) => names.insert(path.clone(), *inode),
            NameChange::Unlink(path) => names.remove(path),
        };
    }
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let inode = self.state().find(path)?;
        Ok(self.file(inode))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.state();
        if state.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.change(vec![NameChange::Link(path.to_owned(), inode)]);
        drop(state);
        Ok(self.file(inode))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        let inode = state.find(from)?;
        state.change(vec![
            NameChange::Unlink(from.to_owned()),
            NameChange::Link(to.to_owned(), inode),
        ]);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.find(path)?;
        state.change(vec![NameChange::Unlink(path.to_owned())]);
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let inside = state.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside
            .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
            .collect())
    }

    fn create_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.sync()?;
        let (synced, rest) = std::mem::take(&mut state.unsynced)
            .into_iter()
            .partition(|c| parent(c) == dir);
        state.unsynced = rest;
        let synced: Vec<Vec<NameChange>> = synced;
        for change in synced {
            apply(&mut state.durable_names, &change);
        }
        Ok(())
    }

    fn free_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(self.state().room.unwrap_or(u64::MAX))
    }

    fn total_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(0)
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    inode: usize,
}

fn index(offset: u64) -> io::Result<usize> {
    usize::try_from(offset).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl DiskFile for FaultyFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let state = self.disk.state();
        let from = index(offset)?;
        let bytes = state.inodes[self.inode]
            .now
            .get(from..from.saturating_add(into.len()));
        into.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        let mut fits = bytes.len();
        if let Some(room) = &mut state.room {
            fits = fits.min(usize::try_from(*room).unwrap_or(usize::MAX));
            *room -= u64::try_from(fits).expect("a length fits 64 bits");
        }
        let change = ByteChange::Write(index(offset)?, bytes[..fits].to_vec());
        state.inodes[self.inode].change(change);
        if fits == bytes.len() {
            Ok(())
        } else {
            Err(io::ErrorKind::StorageFull.into())
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let done = state.sync();
        let inode = &mut state.inodes[self.inode];
        match done {
            Ok(()) => inode.sync(),
            Err(_) => inode.unsynced.clear(),
        }
        done
    }

    fn len(&self) -> io::Result<u64> {
        Ok(
            u64::try_from(self.disk.state().inodes[self.inode].now.len())
                .expect("a length fits 64 bits"),
        )
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let change = ByteChange::Length(index(len)?);
        self.disk.state().inodes[self.inode].change(change);
        Ok(())
    }
}
