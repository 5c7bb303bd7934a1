//! An object on its way into a local file: what is written is digested, and durable with its name before it counts.
//!
//! A crash leaves: a file that no row names; it is deleted at start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Result;
use crate::codec::{Reader, Writer};
use crate::disk::{self, Disk, DiskFile};
use crate::frame;
use crate::limits::{INDEX_FRAME_MAX, OBJECT_SYNC_BYTES, READ_CHUNK};
use crate::object::ObjectHeader;
use crate::{Error, Kind};

/// Bytes of the footer of a block or pack.
const FOOTER: usize = 48;
const SIGNATURE: &[u8; 8] = b"COLDEND2";

/// An object that is whole: bytes and BLAKE3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Made {
    /// Bytes of the object.
    pub bytes: u64,
    /// BLAKE3 of it.
    pub digest: [u8; 32],
}

/// See the module.
#[derive(Debug)]
pub(crate) struct ObjectFile {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    hasher: blake3::Hasher,
    seed: u32,
    /// Bytes that are on disk for good.
    synced: u64,
}

impl ObjectFile {
    /// Makes the file and writes the header.
    pub(crate) fn create(
        disk: &dyn Disk,
        path: &Path,
        header: &ObjectHeader,
    ) -> Result<ObjectFile> {
        let file = disk
            .create(path)
            .map_err(|e| disk::failed("make", path, e))?;
        let mut object = ObjectFile {
            file,
            path: path.to_owned(),
            hasher: blake3::Hasher::new(),
            seed: seed(header),
            synced: 0,
        };
        match object.append(&header.encode()) {
            Ok(()) => Ok(object),
            Err(e) => {
                // Whether this works or not: see the module.
                drop(disk.remove(path));
                Err(e)
            }
        }
    }

    /// Bytes so far.
    pub(crate) fn len(&self) -> u64 {
        self.hasher.count()
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_at(self.len(), bytes)
            .map_err(|e| disk::failed("write", &self.path, e))?;
        self.hasher.update(bytes);
        if self.len() - self.synced >= OBJECT_SYNC_BYTES {
            self.file
                .sync_data()
                .map_err(|e| disk::failed("sync", &self.path, e))?;
            self.synced = self.len();
        }
        Ok(())
    }

    /// Writes index and footer; file and name are durable when this returns.
    pub(crate) fn finish(mut self, disk: &dyn Disk, entries: &[Vec<u8>]) -> Result<Made> {
        let index = self.len();
        let mut payload = vec![0; 4];
        for entry in entries {
            if payload.len() + entry.len() > INDEX_FRAME_MAX && payload.len() > 4 {
                self.index_frame(&mut payload)?;
            }
            payload.extend_from_slice(entry);
        }
        self.index_frame(&mut payload)?;
        let mut w = Writer::new();
        w.u32(frame::FOOTER)
            .u32(u32::try_from(FOOTER - 8).expect("small"))
            .raw(SIGNATURE)
            .u64(index)
            .u64(u64::try_from(entries.len()).expect("a length fits 64 bits"))
            .raw(&[0; 12]);
        let mut footer = w.into_bytes();
        let crc = crc32c::crc32c_append(self.seed, &footer);
        footer.extend_from_slice(&crc.to_le_bytes());
        self.append(&footer)?;
        self.settle(disk)
    }

    /// Ends an object that has no index: file and name are durable when this returns.
    pub(crate) fn settle(self, disk: &dyn Disk) -> Result<Made> {
        let settle = || {
            self.file.sync_data()?;
            disk.sync_dir(self.path.parent().unwrap_or(Path::new(".")))
        };
        settle().map_err(|e| disk::failed("sync", &self.path, e))?;
        Ok(Made {
            bytes: self.len(),
            digest: self.hasher.finalize().into(),
        })
    }

    fn index_frame(&mut self, payload: &mut Vec<u8>) -> Result<()> {
        let crc = crc32c::crc32c(&payload[4..]);
        payload[..4].copy_from_slice(&crc.to_le_bytes());
        self.append(&frame::skippable(frame::INDEX, payload))?;
        payload.truncate(4);
        Ok(())
    }
}

/// Checksum of whose object it is: begins that of the footer.
fn seed(header: &ObjectHeader) -> u32 {
    let seed = crc32c::crc32c(&header.store.0);
    let seed = crc32c::crc32c_append(seed, &header.shard.0.to_le_bytes());
    crc32c::crc32c_append(seed, &header.object.id)
}

/// Header and index of a block or pack that is whole.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) name: String,
    pub(crate) header: ObjectHeader,
    /// Payloads of the index frames, checked.
    pub(crate) index: Vec<Vec<u8>>,
    /// Entries in them.
    pub(crate) entries: u64,
    /// Where the index begins: the end of the content.
    pub(crate) end: u64,
}

impl Opened {
    /// # Errors
    /// `Corrupt`, `Invalid` for what is no whole block or pack; `Unavailable` when the disk refuses.
    pub(crate) fn open(disk: &dyn Disk, path: &Path) -> Result<Opened> {
        let file = disk.open(path).map_err(|e| disk::failed("open", path, e))?;
        let name = path.display().to_string();
        let corrupt = |at: u64, what: &str| {
            let what = format!("{name}: {what}, at byte {at}");
            Error::corrupt(&name, at, what)
        };
        let failed = |e| disk::failed("read", path, e);
        let length = file.len().map_err(failed)?;
        let head = length.min(crate::object::HEADER_MAX.try_into().expect("small"));
        let mut bytes = vec![0; usize::try_from(head).expect("bounded")];
        file.read_at(0, &mut bytes).map_err(failed)?;
        let (header, header_length) = ObjectHeader::decode(&bytes, &name)?;
        let footer_at = length.saturating_sub(FOOTER.try_into().expect("small"));
        let mut footer = [0; FOOTER];
        file.read_at(footer_at, &mut footer)
            .map_err(|_| corrupt(footer_at, "it is shorter than its footer"))?;
        let (checked, crc) = footer.split_at(FOOTER - 4);
        if crc != crc32c::crc32c_append(seed(&header), checked).to_le_bytes() {
            return Err(corrupt(footer_at, "it does not end with a whole footer"));
        }
        let mut r = Reader::new(&checked[16..]);
        let unreadable = |_| corrupt(footer_at, "it has a footer of an unknown version");
        let (end, entries) = (r.u64().map_err(unreadable)?, r.u64().map_err(unreadable)?);
        if &checked[8..16] != SIGNATURE
            || end > footer_at
            || end < u64::try_from(header_length).expect("small")
        {
            return Err(corrupt(footer_at, "it has a footer of an unknown version"));
        }
        let mut opened = Opened {
            file,
            name,
            header,
            index: Vec::new(),
            entries,
            end,
        };
        opened.read_index(footer_at)?;
        Ok(opened)
    }

    fn read_index(&mut self, until: u64) -> Result<()> {
        let mut at = self.end;
        while at < until {
            let payload = self.skippable(at, frame::INDEX, until)?;
            at += 8 + u64::try_from(payload.len()).expect("bounded");
            self.index.push(payload[4..].to_vec());
        }
        Ok(())
    }

    /// The payload of the skippable frame at `at`, whose first four bytes are the checksum of the others.
    ///
    /// # Errors
    /// `Corrupt`
    pub(crate) fn skippable(&self, at: u64, magic: u32, until: u64) -> Result<Vec<u8>> {
        let corrupt = || {
            let what = format!("{}: no whole frame {magic:08x} at byte {at}", self.name);
            Error::corrupt(&self.name, at, what)
        };
        let mut head = [0; 8];
        self.file.read_at(at, &mut head).map_err(|_| corrupt())?;
        let [a, b, c, d, e, f, g, h] = head;
        let length = usize::try_from(u32::from_le_bytes([e, f, g, h])).unwrap_or(usize::MAX);
        let end = u64::try_from(length)
            .ok()
            .and_then(|n| at.checked_add(8 + n));
        if u32::from_le_bytes([a, b, c, d]) != magic
            || !(4..=2 * READ_CHUNK).contains(&length)
            || end.is_none_or(|end| end > until)
        {
            return Err(corrupt());
        }
        let mut payload = vec![0; length];
        self.file
            .read_at(at + 8, &mut payload)
            .map_err(|_| corrupt())?;
        let (crc, rest) = payload.split_at(4);
        if crc != crc32c::crc32c(rest).to_le_bytes() {
            return Err(corrupt());
        }
        Ok(payload)
    }

    pub(crate) fn malformed(&self, what: impl std::fmt::Display) -> Error {
        let what = format!("{}: its index is damaged: {what}", self.name);
        Error::corrupt(&self.name, self.end, what)
    }
}

/// A skippable frame whose payload begins with its checksum.
///
/// # Errors
/// `Limit` for a payload that no reader would take.
pub(crate) fn checked_frame(magic: u32, payload: &[u8]) -> Result<Vec<u8>> {
    if payload.len() > 2 * READ_CHUNK - 4 {
        let what = format!(
            "a frame of {} bytes: at most {}",
            payload.len(),
            2 * READ_CHUNK
        );
        return Err(Error::new(Kind::Limit, what));
    }
    let mut whole = crc32c::crc32c(payload).to_le_bytes().to_vec();
    whole.extend_from_slice(payload);
    Ok(frame::skippable(magic, &whole))
}
