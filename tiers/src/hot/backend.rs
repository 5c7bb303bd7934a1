//! redb on a [`Disk`](crate::disk::Disk) of ours: tests hand in one that forgets and fails.

use std::io;
use std::path::Path;
use std::sync::Arc;

use redb::StorageBackend;

use super::HotTier;
use crate::disk::{Disk, DiskFile, failed};
use crate::error::Result;

#[derive(Debug)]
struct DiskBackend {
    file: Arc<dyn DiskFile>,
}

impl StorageBackend for DiskBackend {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, data)
    }
}

impl HotTier {
    /// [`HotTier::open`] on a disk.
    ///
    /// # Errors
    /// As [`HotTier::open`].
    pub fn open_on(disk: &dyn Disk, path: &Path, cache: usize) -> Result<HotTier> {
        let file = match disk.open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => disk.create(path),
            opened => opened,
        };
        let file = file.map_err(|e| failed("open", path, e))?;
        HotTier::open_backend(DiskBackend { file }, path, cache)
    }
}
