//! Where the files of a word index lie: the few operations that it needs, for whoever has a disk.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

/// A directory that the index has for itself. Names are short ASCII without `/`.
pub trait Files: Send + Sync + Debug + 'static {
    /// Makes a new, empty file; `AlreadyExists` when there is one. The name is durable after [`Files::sync_dir`].
    fn create(&self, name: &str) -> io::Result<Box<dyn NewFile>>;
    /// Opens a file; `NotFound` when there is none. It can be read after its name is gone.
    fn open(&self, name: &str) -> io::Result<Arc<dyn OpenFile>>;
    /// Writes a whole file in place of what had its name: the old bytes or the new ones are there, and durable when it returns.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Removes a file; `NotFound` when there is none. Durable after [`Files::sync_dir`].
    fn remove(&self, name: &str) -> io::Result<()>;
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Makes the names durable.
    fn sync_dir(&self) -> io::Result<()>;
}

/// A file that is being written.
pub trait NewFile: Send + Sync {
    /// Writes all of `bytes` behind what is there.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Makes all bytes durable; nothing is written afterwards. A failed sync is final.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file that is read, perhaps by several threads.
pub trait OpenFile: Send + Sync + Debug {
    /// Fills `into` from `offset` on; `UnexpectedEof` when the file ends before.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()>;
    /// Bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}
