//! The files of a word index on a disk of ours.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use coldpost_search::words::{Files, NewFile, OpenFile};
use coldpost_tiers::disk::{Disk, DiskFile};

use crate::text::Writing;

/// A directory of ours.
#[derive(Clone, Debug)]
pub(super) struct WordFiles {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

#[derive(Debug)]
struct Opened(Arc<dyn DiskFile>);

impl WordFiles {
    pub(super) fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> WordFiles {
        WordFiles { disk, dir }
    }

    /// Bytes of all of them.
    pub(super) fn bytes(&self) -> u64 {
        let names = self.disk.list(&self.dir).unwrap_or_default().into_iter();
        let bytes = names.filter_map(|name| self.disk.open(&self.dir.join(name)).ok()?.len().ok());
        bytes.sum()
    }
}

impl Files for WordFiles {
    fn create(&self, name: &str) -> io::Result<Box<dyn NewFile>> {
        let file = self.disk.create(&self.dir.join(name))?;
        Ok(Box::new(Writing::new(file)))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn OpenFile>> {
        let file = self.disk.open(&self.dir.join(name))?;
        Ok(Arc::new(Opened(file)))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.dir.join(format!("{name}.new"));
        match self.disk.remove(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let file = self.disk.create(&new)?;
        file.write_at(0, bytes)?;
        file.sync_data()?;
        self.disk.rename(&new, &self.dir.join(name))?;
        self.disk.sync_dir(&self.dir)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(&self.dir.join(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list(&self.dir)
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.disk.sync_dir(&self.dir)
    }
}

impl NewFile for Writing {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.flush()
    }
}

impl OpenFile for Opened {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, into)
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}
