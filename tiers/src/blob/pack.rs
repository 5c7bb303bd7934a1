//! A pack: many blobs in one object, each behind a skippable frame that says which it is.

use std::io::Read;
use std::path::Path;

use super::write::write_frames;
use crate::Result;
use crate::address::{BlobId, BlobRecord};
use crate::codec::{Malformed, Reader, Writer};
use crate::disk::Disk;
use crate::extent::{read_blob_record, write_blob_record};
use crate::frame;
use crate::object::ObjectHeader;
use crate::object_file::{Made, ObjectFile, Opened, checked_frame};

/// Writes a pack, a blob after the other.
#[derive(Debug)]
pub struct PackWriter {
    object: ObjectFile,
    entries: Vec<Vec<u8>>,
}

/// A blob in a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packed {
    /// Its frames; the digest is that of their stored bytes.
    pub record: BlobRecord,
    /// Offset of the first of them.
    pub offset: u64,
}

impl PackWriter {
    /// Makes the file.
    ///
    /// # Errors
    /// `Conflict` when there is one, `Unavailable` when the disk refuses.
    pub fn create(disk: &dyn Disk, path: &Path, header: &ObjectHeader) -> Result<PackWriter> {
        Ok(PackWriter {
            object: ObjectFile::create(disk, path, header)?,
            entries: Vec::new(),
        })
    }

    /// Bytes so far.
    pub fn bytes(&self) -> u64 {
        self.object.len()
    }

    /// Blobs so far.
    pub fn blobs(&self) -> usize {
        self.entries.len()
    }

    /// Appends all of `raw` as the blob `blob`.
    ///
    /// # Errors
    /// `Limit` over [`crate::limits::BLOB_RAW_MAX`], `Unavailable` when the disk or `raw` fails: the pack is of no use then.
    pub fn add(&mut self, blob: BlobId, raw: &mut dyn Read) -> Result<Packed> {
        self.object.append(&checked_frame(frame::BLOB, &blob.0)?)?;
        let offset = self.object.len();
        let record = write_frames(blob, raw, |stored| self.object.append(stored))?;
        Ok(self.enter(record, offset))
    }

    /// Appends a blob whose frames were written before, as they are.
    ///
    /// # Errors
    /// Of the disk.
    pub fn add_stored(&mut self, record: &BlobRecord, stored: &[u8]) -> Result<Packed> {
        let head = checked_frame(frame::BLOB, &record.blob.0)?;
        self.object.append(&head)?;
        let offset = self.object.len();
        self.object.append(stored)?;
        Ok(self.enter(record.clone(), offset))
    }

    fn enter(&mut self, record: BlobRecord, offset: u64) -> Packed {
        let packed = Packed { record, offset };
        let mut w = Writer::new();
        write_blob_record(&mut w, &packed.record);
        w.varint(packed.offset);
        self.entries.push(w.into_bytes());
        packed
    }

    /// Ends the pack: file and name are durable when this returns.
    ///
    /// # Errors
    /// Of the disk.
    pub fn finish(self, disk: &dyn Disk) -> Result<Made> {
        self.object.finish(disk, &self.entries)
    }
}

/// The blobs of a pack's file, as its index has them, and whose pack it is.
///
/// # Errors
/// `Corrupt`, `Invalid` for what is no whole pack of this version; `NotFound`, `Unavailable`.
pub fn read_pack(disk: &dyn Disk, path: &Path) -> Result<(ObjectHeader, Vec<Packed>)> {
    let opened = Opened::open(disk, path)?;
    let mut blobs = Vec::new();
    for payload in &opened.index {
        let mut r = Reader::new(payload);
        while !r.rest().is_empty() {
            let read = |r: &mut Reader<'_>| {
                Ok::<_, Malformed>(Packed {
                    record: read_blob_record(r)?,
                    offset: r.varint()?,
                })
            };
            blobs.push(read(&mut r).map_err(|e| opened.malformed(e))?);
        }
    }
    if u64::try_from(blobs.len()).ok() != Some(opened.entries) {
        return Err(opened.malformed("it has another number of blobs"));
    }
    Ok((opened.header, blobs))
}
