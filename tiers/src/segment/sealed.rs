//! A sealed segment: its header, footer and index.
//!
//! Promises: nothing of the file is believed before its checksum is right.
//! Never: writes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::walk::Window;
use super::{Footer, IndexEntry, Seeds, SegmentReader, footer, index, size};
use crate::disk::{self, Disk, DiskFile};
use crate::limits::{INDEX_FRAME_MAX, READ_CHUNK};
use crate::object::ObjectHeader;
use crate::{Error, Result};

/// See the module.
#[derive(Clone, Debug)]
pub struct SealedSegment {
    pub(super) file: Arc<dyn DiskFile>,
    path: PathBuf,
    length: u64,
    header: ObjectHeader,
    footer: Footer,
}

impl SealedSegment {
    /// Opens the file and reads header and footer.
    ///
    /// # Errors
    /// `NotFound`, `Unavailable`; `Corrupt` or `Invalid` when it is no whole sealed segment of this version.
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<SealedSegment> {
        let file = disk.open(path).map_err(|e| disk::failed("open", path, e))?;
        SealedSegment::of(file, path)
    }

    /// The same with an open file; `path` is for errors.
    ///
    /// # Errors
    /// As [`SealedSegment::open`].
    pub fn of(file: Arc<dyn DiskFile>, path: &Path) -> Result<SealedSegment> {
        let mut window = Window::new(Arc::clone(&file), path)?;
        let (header, header_length) = window.header()?;
        let length = window.end();
        let at = length.saturating_sub(size(footer::LENGTH));
        let corrupt =
            |what: &str| Error::corrupt(window.name(), at, format!("{}: {what}", window.name()));
        let mut bytes = [0; footer::LENGTH];
        file.read_at(at, &mut bytes)
            .map_err(|e| disk::failed("read", path, e))?;
        let footer = Footer::decode(&bytes, Seeds::of(&header).segment, length).map_err(corrupt)?;
        if footer.first != header.first || footer.index_offset < header_length {
            return Err(corrupt("the footer is not that of this header"));
        }
        Ok(SealedSegment {
            file,
            path: path.to_owned(),
            length,
            header,
            footer,
        })
    }

    /// What it says about itself.
    pub fn header(&self) -> &ObjectHeader {
        &self.header
    }

    /// What it holds.
    pub fn footer(&self) -> &Footer {
        &self.footer
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open file.
    pub fn file(&self) -> Arc<dyn DiskFile> {
        Arc::clone(&self.file)
    }

    /// Bytes of the file.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Its records from the first on.
    ///
    /// # Errors
    /// As [`SegmentReader::of`].
    pub fn records(&self) -> Result<SegmentReader> {
        Ok(SegmentReader::of(self.file(), &self.path)?.up_to(self.footer.index_offset))
    }

    /// The whole index. Its memory is in proportion to the index in the file, which an honest maker keeps to a hundredth of the mail.
    ///
    /// # Errors
    /// `Corrupt` at the first frame that is damaged.
    pub fn index(&self) -> Result<Vec<IndexEntry>> {
        let mut window = Window::new(self.file(), &self.path)?;
        window.cut(self.length - size(footer::LENGTH));
        let mut entries = Vec::new();
        let mut at = self.footer.index_offset;
        while at < window.end() {
            let corrupt = |what: String| {
                let name = self.path.display().to_string();
                let what = format!("{name}: {what}, at byte {at}");
                Error::corrupt(name, at, what)
            };
            let head = window.at(at, 8)?;
            let room = (window.end() - at).saturating_sub(8);
            let length = index::payload_len(&head, room).map_err(corrupt)?;
            debug_assert!(length <= INDEX_FRAME_MAX, "checked before it is read");
            let payload = window.at(at + 8, length)?;
            entries.extend(index::decode(&payload, self.footer.first).map_err(corrupt)?);
            at += 8 + size(length);
        }
        Ok(entries)
    }

    /// BLAKE3 of the whole file: its digest as an object.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub fn digest(&self) -> Result<[u8; 32]> {
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; READ_CHUNK];
        let mut at = 0;
        while at < self.length {
            let n = usize::try_from(self.length - at)
                .unwrap_or(READ_CHUNK)
                .min(READ_CHUNK);
            self.file
                .read_at(at, &mut buffer[..n])
                .map_err(|e| disk::failed("read", &self.path, e))?;
            hasher.update(&buffer[..n]);
            at += size(n);
        }
        Ok(hasher.finalize().into())
    }
}
