//! Files in memory that stop after some operations, and forget what was not synced.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::files::{Files, NewFile, OpenFile};

/// Clones are the same directory.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryFiles(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<String, Bytes>,
    /// What a power cut leaves of the names.
    durable: BTreeMap<String, Bytes>,
    operations: usize,
    stop_after: Option<usize>,
}

#[derive(Clone, Debug, Default)]
struct Bytes(Arc<Mutex<(Vec<u8>, Vec<u8>)>>);

impl Bytes {
    fn of(bytes: &[u8]) -> Bytes {
        Bytes(Arc::new(Mutex::new((bytes.to_vec(), bytes.to_vec()))))
    }

    /// Now, and after a power cut.
    fn both(&self) -> MutexGuard<'_, (Vec<u8>, Vec<u8>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn step(&mut self) -> io::Result<()> {
        self.operations += 1;
        match self.stop_after.is_some_and(|last| self.operations > last) {
            true => Err(io::Error::other("the disk is gone")),
            false => Ok(()),
        }
    }
}

impl MemoryFiles {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn operations(&self) -> usize {
        self.state().operations
    }

    /// All operations but the next so many fail.
    pub(super) fn stop_after(&self, operations: usize) {
        let mut state = self.state();
        state.stop_after = Some(state.operations + operations);
    }

    /// What a kill leaves.
    pub(super) fn after_kill(&self) -> MemoryFiles {
        let state = self.state();
        let names = state.names.iter();
        MemoryFiles::of(names.map(|(name, bytes)| (name.clone(), bytes.both().0.clone())))
    }

    /// What a power cut leaves at worst.
    pub(super) fn after_power_cut(&self) -> MemoryFiles {
        let state = self.state();
        let names = state.durable.iter();
        MemoryFiles::of(names.map(|(name, bytes)| (name.clone(), bytes.both().1.clone())))
    }

    fn of(files: impl Iterator<Item = (String, Vec<u8>)>) -> MemoryFiles {
        let names: BTreeMap<_, _> = files
            .map(|(name, bytes)| (name, Bytes::of(&bytes)))
            .collect();
        MemoryFiles(Arc::new(Mutex::new(State {
            durable: names.clone(),
            names,
            ..State::default()
        })))
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.state().names.keys().cloned().collect()
    }

    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        self.state().names[name].both().0.clone()
    }

    /// In place of what was there.
    pub(super) fn put(&self, name: &str, bytes: &[u8]) {
        self.state().names.insert(name.to_owned(), Bytes::of(bytes));
    }

    pub(super) fn total(&self) -> usize {
        self.names().iter().map(|name| self.bytes(name).len()).sum()
    }
}

impl Files for MemoryFiles {
    fn create(&self, name: &str) -> io::Result<Box<dyn NewFile>> {
        let mut state = self.state();
        state.step()?;
        if state.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let bytes = Bytes::default();
        state.names.insert(name.to_owned(), bytes.clone());
        Ok(Box::new(Writing(self.clone(), bytes)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn OpenFile>> {
        let bytes = self.state().names.get(name).cloned();
        let bytes = bytes.ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(bytes))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let bytes = Bytes::of(bytes);
        state.names.insert(name.to_owned(), bytes.clone());
        state.durable.insert(name.to_owned(), bytes);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let removed = state.names.remove(name);
        removed
            .map(|_| ())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.names())
    }

    fn sync_dir(&self) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.durable = state.names.clone();
        Ok(())
    }
}

struct Writing(MemoryFiles, Bytes);

impl NewFile for Writing {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stopped = self.0.state().step();
        let torn = if stopped.is_ok() { bytes.len() } else { 0 };
        self.1.both().0.extend_from_slice(&bytes[..torn]);
        stopped
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.state().step()?;
        let mut both = self.1.both();
        both.1 = both.0.clone();
        Ok(())
    }
}

impl OpenFile for Bytes {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let both = self.both();
        let range = both.0.get(start..start.saturating_add(into.len()));
        into.copy_from_slice(range.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.both().0.len() as u64)
    }
}
