//! The files of a word index on a disk of ours.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use coldpost_search::words::{Files, NewFile, OpenFile};
use coldpost_tiers::disk::{Disk, DiskFile};

/// Bytes that are collected before they are written.
const WRITE_BYTES: usize = 256 * 1024;

/// A directory of ours.
#[derive(Clone, Debug)]
pub(super) struct WordFiles {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
}

#[derive(Debug)]
struct Opened(Arc<dyn DiskFile>);

struct Writing {
    file: Arc<dyn DiskFile>,
    at: u64,
    bytes: Vec<u8>,
}

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
        Ok(Box::new(Writing {
            file: self.disk.create(&self.dir.join(name))?,
            at: 0,
            bytes: Vec::new(),
        }))
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

impl Writing {
    fn put(&mut self) -> io::Result<()> {
        self.file.write_at(self.at, &self.bytes)?;
        self.at += u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        self.bytes.clear();
        Ok(())
    }
}

impl NewFile for Writing {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        match self.bytes.len() >= WRITE_BYTES {
            true => self.put(),
            false => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        self.put()?;
        self.file.sync_data()
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
