//! A file of the text store on a disk of ours.
//!
//! Promises: opened only when its header, index and what the manifest says of it agree. A crash leaves: a file that no manifest names.

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use coldpost_search::text::{Kept, NewFile, Rect, Run, Source, Unpacked};
use coldpost_tiers::address::{ObjectId, ObjectKind};
use coldpost_tiers::cache::made::{MadeCache, TextFrameKey};
use coldpost_tiers::cold::Key as ObjectKey;
use coldpost_tiers::disk::{Disk, DiskFile, failed};
use coldpost_tiers::object::{HEADER_MAX, ObjectHeader};
use coldpost_tiers::segment::Lineage;

use super::manifest::Named;
use crate::error::{Error, Kind, Result};
use crate::shard::random_id;

/// Bytes that are collected before they are written.
const WRITE_BYTES: usize = 256 * 1024;

/// An open file.
pub(crate) struct TextFile {
    pub(super) id: [u8; 16],
    pub(crate) rect: Rect,
    pub(crate) run: Run,
}

struct OnDisk(Arc<dyn DiskFile>);

/// Unpacked frames of text files, in memory.
#[derive(Debug)]
pub(crate) struct KeptFrames(pub(crate) MadeCache<TextFrameKey>);

impl Kept for KeptFrames {
    fn get(&self, file: [u8; 16], offset: u64) -> Option<Arc<Unpacked>> {
        self.0.get(&TextFrameKey { file, offset })
    }

    fn keep(&self, file: [u8; 16], offset: u64, frame: &Arc<Unpacked>) {
        let key = TextFrameKey { file, offset };
        self.0.keep(key, Arc::clone(frame), frame.bytes());
    }
}

impl Source for OnDisk {
    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut read = vec![0; bytes];
        self.0.read_at(offset, &mut read)?;
        Ok(read)
    }
}

/// Its name in the directory.
fn name(id: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(id))
}

fn object(id: [u8; 16]) -> ObjectId {
    ObjectId {
        kind: ObjectKind::TextRun,
        id,
    }
}

impl TextFile {
    /// Opens a file that a manifest names.
    ///
    /// # Errors
    /// `Corrupt`, `NotFound`, `Unavailable`.
    pub(super) fn open(
        disk: &dyn Disk,
        dir: &Path,
        lineage: Lineage,
        named: Named,
        kept: &Arc<KeptFrames>,
    ) -> Result<TextFile> {
        let path = dir.join(name(named.id));
        let shown = path.display().to_string();
        let damaged =
            |e: &dyn std::fmt::Display| Error::new(Kind::Corrupt, format!("{shown}: {e}"));
        let file = disk.open(&path).map_err(|e| failed("open", &path, e))?;
        let size = file.len().map_err(|e| failed("read", &path, e))?;
        if size != named.bytes {
            let text = format!("it has {size} bytes instead of {}", named.bytes);
            return Err(damaged(&text));
        }
        let mut head = vec![0; HEADER_MAX.min(usize::try_from(size).unwrap_or(0))];
        file.read_at(0, &mut head)
            .map_err(|e| failed("read", &path, e))?;
        let (header, _) = ObjectHeader::decode(&head, &shown)?;
        header.expect(lineage.store, lineage.shard, object(named.id), &shown)?;
        let kept = Arc::clone(kept) as Arc<dyn Kept>;
        let run = Run::open(Arc::new(OnDisk(file)), size, named.id, kept);
        let run = run.map_err(|e| damaged(&e))?;
        if run.rect() != named.rect {
            return Err(damaged(
                &"it is about other messages than the manifest says",
            ));
        }
        Ok(TextFile {
            id: named.id,
            rect: named.rect,
            run,
        })
    }

    pub(super) fn name(&self) -> String {
        name(self.id)
    }

    pub(super) fn named(&self) -> Named {
        Named {
            id: self.id,
            bytes: self.run.bytes(),
            rect: self.rect,
        }
    }
}

/// Takes the bytes of a new file, and syncs them with its last one.
pub(crate) struct Writing {
    file: Arc<dyn DiskFile>,
    at: u64,
    bytes: Vec<u8>,
}

impl Writing {
    pub(crate) fn new(file: Arc<dyn DiskFile>) -> Writing {
        Writing {
            file,
            at: 0,
            bytes: Vec::new(),
        }
    }

    fn put(&mut self) -> io::Result<()> {
        self.file.write_at(self.at, &self.bytes)?;
        self.at += u64::try_from(self.bytes.len()).unwrap_or(u64::MAX);
        self.bytes.clear();
        Ok(())
    }
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= WRITE_BYTES {
            self.put()?;
        }
        Ok(bytes.len())
    }

    /// The last thing that is asked of it.
    fn flush(&mut self) -> io::Result<()> {
        self.put()?;
        self.file.sync_data()
    }
}

/// Makes a file, its header in it.
pub(super) fn make(disk: &dyn Disk, dir: &Path, lineage: Lineage) -> io::Result<NewFile> {
    let id = random_id().map_err(io::Error::other)?;
    let Lineage {
        store,
        shard,
        epoch,
    } = lineage;
    let key = ObjectKey::TextRun { shard, id }.to_string();
    let header = ObjectHeader::other(store, shard, epoch, object(id), key).encode();
    let mut writing = Writing::new(disk.create(&dir.join(name(id)))?);
    writing.write_all(&header)?;
    Ok(NewFile {
        id,
        at: u64::try_from(header.len()).unwrap_or(0),
        out: Box::new(writing),
    })
}
