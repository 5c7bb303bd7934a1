//! Extents and blob records as bytes: the same in ops, in rows and in the index of a segment.

use crate::address::{BlobId, BlobRecord, Extent, FrameRef, FrameRow, Recode};
use crate::codec::{Malformed, Reader, Writer};

/// `varint n`, then each extent (`docs/format.md`).
pub fn write_extents(w: &mut Writer, extents: &[Extent]) {
    w.count(extents.len());
    for extent in extents {
        match extent {
            Extent::Frame(frame) => {
                w.u8(1)
                    .varint(frame.stored)
                    .varint(frame.raw)
                    .u32(frame.crc);
            }
            Extent::Blob {
                blob,
                offset,
                length,
                recode,
            } => {
                w.u8(2).raw(&blob.0).varint(*offset).varint(*length);
                write_recode(w, *recode);
            }
            Extent::Slice {
                frame,
                skip,
                length,
            } => {
                w.u8(3).varint(*frame).varint(*skip).varint(*length);
            }
        }
    }
}

/// Reads what [`write_extents`] wrote.
///
/// # Errors
/// [`Malformed`] with the place.
pub fn read_extents(r: &mut Reader<'_>) -> Result<Vec<Extent>, Malformed> {
    let n = r.count()?;
    let mut extents = Vec::with_capacity(n.min(1024));
    for _ in 0..n {
        let at = r.malformed("extent tag 1 to 3");
        extents.push(match r.u8()? {
            1 => Extent::Frame(FrameRef {
                stored: r.number()?,
                raw: r.number()?,
                crc: r.u32()?,
            }),
            2 => Extent::Blob {
                blob: BlobId(r.array()?),
                offset: r.varint()?,
                length: r.varint()?,
                recode: read_recode(r)?,
            },
            3 => Extent::Slice {
                frame: r.number()?,
                skip: r.number()?,
                length: r.number()?,
            },
            _ => return Err(at),
        });
    }
    Ok(extents)
}

/// How bytes of a blob become bytes of the message.
pub fn write_recode(w: &mut Writer, recode: Recode) {
    match recode {
        Recode::Same => w.u8(0),
        Recode::Base64 { line, crlf, flags } => {
            w.u8(1).varint(line).u8(if crlf { 1 } else { 2 }).u8(flags)
        }
    };
}

/// Reads what [`write_recode`] wrote.
///
/// # Errors
/// [`Malformed`] with the place.
pub fn read_recode(r: &mut Reader<'_>) -> Result<Recode, Malformed> {
    let at = r.malformed("recode 0 or 1");
    match r.u8()? {
        0 => Ok(Recode::Same),
        1 => Ok(Recode::Base64 {
            line: r.number()?,
            crlf: r.u8()? == 1,
            flags: r.u8()?,
        }),
        _ => Err(at),
    }
}

/// A blob as its maker wrote it.
pub fn write_blob_record(w: &mut Writer, record: &BlobRecord) {
    w.raw(&record.blob.0)
        .varint(record.raw)
        .raw(&record.content);
    w.varint(record.object_bytes)
        .raw(&record.object_digest)
        .count(record.frames.len());
    for frame in &record.frames {
        w.varint(frame.stored).varint(frame.raw).u32(frame.crc);
    }
}

/// Reads what [`write_blob_record`] wrote.
///
/// # Errors
/// [`Malformed`] with the place.
pub fn read_blob_record(r: &mut Reader<'_>) -> Result<BlobRecord, Malformed> {
    let (blob, raw, content) = (BlobId(r.array()?), r.varint()?, r.array()?);
    let (object_bytes, object_digest, n) = (r.varint()?, r.array()?, r.count()?);
    let mut frames = Vec::with_capacity(n.min(1024));
    for _ in 0..n {
        frames.push(FrameRef {
            stored: r.number()?,
            raw: r.number()?,
            crc: r.u32()?,
        });
    }
    Ok(BlobRecord {
        blob,
        raw,
        content,
        object_bytes,
        object_digest,
        frames,
    })
}

impl FrameRow {
    /// `varint offset, varint stored, varint raw, u32 CRC32C`: the same in rows and in ops.
    pub fn write(&self, w: &mut Writer) {
        let FrameRef { stored, raw, crc } = self.frame;
        w.varint(self.offset).varint(stored).varint(raw).u32(crc);
    }

    /// Reads what [`FrameRow::write`] wrote.
    ///
    /// # Errors
    /// [`Malformed`] with the place.
    pub fn take(r: &mut Reader<'_>) -> Result<FrameRow, Malformed> {
        Ok(FrameRow {
            offset: r.varint()?,
            frame: FrameRef {
                stored: r.number()?,
                raw: r.number()?,
                crc: r.u32()?,
            },
        })
    }
}
