//! Writes a blob from a stream.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::address::{BlobId, BlobRecord, FrameRef, ObjectKind};
use crate::disk::{self, Disk, DiskFile};
use crate::frame;
use crate::limits::{BLOB_RAW_MAX, FRAME_RAW_MAX};
use crate::object::ObjectHeader;
use crate::{Error, Kind, Result};

/// The file of a blob in `dir` (`DIR/blobs`).
pub fn blob_path(dir: &Path, blob: BlobId) -> PathBuf {
    dir.join(format!("{:032x}", u128::from_be_bytes(blob.0)))
}

/// Writes all of `raw` as the object that `header` names, to its file in `dir`; file and name are durable when this returns.
///
/// # Errors
/// `Limit` over [`BLOB_RAW_MAX`], `Conflict` when the file exists, `Unavailable` when the disk or `raw` fails. What was written is
/// removed again.
pub fn write_blob(
    disk: &dyn Disk,
    dir: &Path,
    header: &ObjectHeader,
    raw: &mut dyn Read,
) -> Result<BlobRecord> {
    assert_eq!(
        header.object.kind,
        ObjectKind::Blob,
        "a blob has the header of a blob"
    );
    let path = blob_path(dir, BlobId(header.object.id));
    let file = disk
        .create(&path)
        .map_err(|e| disk::failed("make the blob", &path, e))?;
    let written = write(&*file, &path, header, raw).and_then(|record| {
        let settle = || {
            file.sync_data()?;
            disk.sync_dir(dir)
        };
        settle().map_err(|e| disk::failed("sync the blob", &path, e))?;
        Ok(record)
    });
    if written.is_err() {
        // Whether this works or not: a file that no row names is deleted at the next start.
        drop(disk.remove(&path));
    }
    written
}

fn write(
    file: &dyn DiskFile,
    path: &Path,
    header: &ObjectHeader,
    raw: &mut dyn Read,
) -> Result<BlobRecord> {
    let mut object = Object {
        file,
        path,
        length: 0,
        digest: blake3::Hasher::new(),
    };
    object.append(&header.encode())?;
    let record = write_frames(BlobId(header.object.id), raw, |bytes| object.append(bytes))?;
    Ok(BlobRecord {
        object_bytes: object.length,
        object_digest: object.digest.finalize().into(),
        ..record
    })
}

/// The frames of a blob, handed to `append` one by one. Bytes and digest of the record are those of the frames.
pub(super) fn write_frames(
    blob: BlobId,
    mut raw: &mut dyn Read,
    mut append: impl FnMut(&[u8]) -> Result<()>,
) -> Result<BlobRecord> {
    let (mut content, mut digest) = (blake3::Hasher::new(), blake3::Hasher::new());
    let mut frames: Vec<FrameRef> = Vec::new();
    let mut piece = Vec::with_capacity(FRAME_RAW_MAX);
    loop {
        piece.clear();
        let bound = u64::try_from(FRAME_RAW_MAX).expect("a length fits 64 bits");
        let filled = Read::by_ref(&mut raw).take(bound).read_to_end(&mut piece);
        filled.map_err(|e| {
            Error::with_source(Kind::Unavailable, "the bytes of a blob ended early", e)
        })?;
        if piece.is_empty() {
            break;
        }
        content.update(&piece);
        if content.count() > BLOB_RAW_MAX {
            return Err(Error::new(
                Kind::Limit,
                format!("a blob of more than {BLOB_RAW_MAX} bytes"),
            ));
        }
        let (stored, refs) = frame::compress_message(&piece, &[]);
        append(&stored)?;
        digest.update(&stored);
        frames.extend(refs);
    }
    Ok(BlobRecord {
        blob,
        raw: content.count(),
        content: content.finalize().into(),
        object_bytes: digest.count(),
        object_digest: digest.finalize().into(),
        frames,
    })
}

/// The object as far as it is written.
struct Object<'a> {
    file: &'a dyn DiskFile,
    path: &'a Path,
    length: u64,
    digest: blake3::Hasher,
}

impl Object<'_> {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_at(self.length, bytes)
            .map_err(|e| disk::failed("write the blob", self.path, e))?;
        self.digest.update(bytes);
        self.length = self.digest.count();
        Ok(())
    }
}
