//! Writes a blob from a stream.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::address::{BlobId, BlobRecord, FrameRef, ObjectKind};
use crate::disk::Disk;
use crate::frame;
use crate::limits::{BLOB_RAW_MAX, FRAME_RAW_MAX};
use crate::object::ObjectHeader;
use crate::object_file::ObjectFile;
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
    let mut object = ObjectFile::create(disk, &path, header)?;
    let id = BlobId(header.object.id);
    let written = write_frames(id, raw, |bytes| object.append(bytes)).and_then(|record| {
        let made = object.settle(disk)?;
        Ok(BlobRecord {
            object_bytes: made.bytes,
            object_digest: made.digest,
            ..record
        })
    });
    if written.is_err() {
        // Whether this works or not: a file that no row names is deleted at the next start.
        drop(disk.remove(&path));
    }
    written
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
