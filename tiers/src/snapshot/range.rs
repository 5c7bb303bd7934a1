//! A range as an object: whose it is, and its frames.

use super::manifest::{Manifest, Moment, RangeRef};
use crate::address::{FrameRef, ObjectId, ObjectKind};
use crate::codec::{Malformed, Reader, Writer};
use crate::cold::Key;
use crate::frame::{self, compress_long, decompress_long, skippable};
use crate::limits::{
    FRAME_RAW_MAX, SNAPSHOT_FRAME_RAW_MAX, SNAPSHOT_FRAME_STORED_MAX, SNAPSHOT_RANGE_RAW_MAX,
    SNAPSHOT_RANGE_STORED_MAX,
};
use crate::object::{Lineage, ObjectHeader};
use crate::{Error, Kind, Result};

/// A range that is being filled: what has been compressed of it, and less than a frame that has not.
#[derive(Default)]
pub(super) struct RangeWriter {
    raw: u64,
    piece: Vec<u8>,
    stored: Vec<u8>,
    frames: Vec<FrameRef>,
}

impl RangeWriter {
    pub(super) fn is_empty(&self) -> bool {
        self.raw == 0
    }

    /// Whether so many bytes fit, however badly they compress.
    pub(super) fn has_room(&self, more: usize) -> bool {
        let frames = (self.piece.len() + more).div_ceil(SNAPSHOT_FRAME_RAW_MAX);
        self.stored.len() + frames * SNAPSHOT_FRAME_STORED_MAX <= SNAPSHOT_RANGE_STORED_MAX
            && (self.frames.len() + frames) * SNAPSHOT_FRAME_RAW_MAX <= SNAPSHOT_RANGE_RAW_MAX
    }

    /// Takes what [has room](RangeWriter::has_room).
    pub(super) fn add(&mut self, mut bytes: &[u8]) {
        self.raw += u64::try_from(bytes.len()).expect("a length fits 64 bits");
        while !bytes.is_empty() {
            let room = (SNAPSHOT_FRAME_RAW_MAX - self.piece.len()).min(bytes.len());
            let (now, later) = bytes.split_at(room);
            self.piece.extend_from_slice(now);
            if self.piece.len() == SNAPSHOT_FRAME_RAW_MAX {
                self.close();
            }
            bytes = later;
        }
    }

    fn close(&mut self) {
        let (bytes, frame) = compress_long(&self.piece);
        self.stored.extend_from_slice(&bytes);
        self.frames.push(frame);
        self.piece.clear();
    }

    /// The object: range `number` of the snapshot of `moment`.
    pub(super) fn finish(mut self, moment: &Moment, number: usize) -> (RangeRef, Vec<u8>) {
        if !self.piece.is_empty() {
            self.close();
        }
        encode(moment, number, &self)
    }
}

fn encode(moment: &Moment, number: usize, range: &RangeWriter) -> (RangeRef, Vec<u8>) {
    let RangeWriter {
        raw,
        stored,
        frames,
        ..
    } = range;
    let mut w = Writer::new();
    w.u32(moment.lineage.epoch.0)
        .u64(moment.position.0)
        .u32(u32::try_from(number).expect("ranges are bounded"));
    w.u8(u8::try_from(frames.len()).expect("a range has few frames"));
    for frame in frames {
        w.u32(frame.stored).u32(frame.raw).u32(frame.crc);
    }
    let mut follows = skippable(frame::RANGE, &w.into_bytes());
    follows.extend_from_slice(stored);
    let id = named(&follows);
    let object = ObjectId {
        kind: ObjectKind::SnapshotRange,
        id,
    };
    let Lineage {
        store,
        shard,
        epoch,
    } = moment.lineage;
    let key = Key::of(shard, &object).to_string();
    let mut bytes = ObjectHeader::other(store, shard, epoch, object, key).encode();
    bytes.extend_from_slice(&follows);
    let size = |n: usize| u64::try_from(n).expect("a length fits 64 bits");
    let range = RangeRef {
        id,
        bytes: size(bytes.len()),
        raw: *raw,
        digest: *blake3::hash(&bytes).as_bytes(),
    };
    (range, bytes)
}

/// What a range is named: the first bytes of the digest of what follows its object header.
fn named(follows: &[u8]) -> [u8; 16] {
    let mut id = [0; 16];
    id.copy_from_slice(&blake3::hash(follows).as_bytes()[..16]);
    id
}

/// The items of range `number` of a manifest.
///
/// # Errors
/// `Corrupt` when the bytes are not what was written; `Conflict` when they are another range; `NotFound` when the manifest has none of this number.
pub fn read_range(manifest: &Manifest, number: usize, bytes: &[u8]) -> Result<Vec<u8>> {
    let Lineage { store, shard, .. } = manifest.moment.lineage;
    let none = || Error::new(Kind::NotFound, format!("there is no range {number}"));
    let range = manifest.ranges.get(number).ok_or_else(none)?;
    let name = Key::of(shard, &range.object()).to_string();
    let corrupt = |what: &str| Error::corrupt(&name, 0, format!("{name}: {what}"));
    if blake3::hash(bytes) != range.digest {
        return Err(corrupt("is not what was written (its digest differs)"));
    }
    let (header, length) = ObjectHeader::decode(bytes, &name)?;
    header.expect(store, shard, range.object(), &name)?;
    let follows = bytes.get(length..).unwrap_or_default();
    if named(follows) != range.id {
        return Err(corrupt("is not named by its digest"));
    }
    let mut r = Reader::new(follows);
    let frames = read_frames(&mut r, &manifest.moment, number);
    let frames = frames.map_err(|m| corrupt(&m.to_string()))?;
    let mut raw = Vec::new();
    for frame in &frames {
        let at = length + r.offset();
        let stored = usize::try_from(frame.stored).unwrap_or(usize::MAX);
        let stored = r.raw(stored).map_err(|m| corrupt(&m.to_string()))?;
        let at = u64::try_from(at).unwrap_or(u64::MAX);
        raw.extend_from_slice(&decompress_long(
            stored,
            frame,
            SNAPSHOT_FRAME_RAW_MAX,
            (&name, at),
        )?);
    }
    r.end().map_err(|m| corrupt(&m.to_string()))?;
    if u64::try_from(raw.len()).ok() != Some(range.raw) {
        return Err(corrupt("has another length than its manifest says"));
    }
    Ok(raw)
}

/// The frames, after a look whose they are.
fn read_frames(
    r: &mut Reader<'_>,
    moment: &Moment,
    number: usize,
) -> Result<Vec<FrameRef>, Malformed> {
    let magic = r.malformed("the frame of a range");
    if r.u32()? != frame::RANGE {
        return Err(magic);
    }
    let length = usize::try_from(r.u32()?).unwrap_or(usize::MAX);
    let end = r.offset().saturating_add(length);
    let whose = r.malformed("a range of this manifest");
    let said = (r.u32()?, r.u64()?, r.u32()?);
    let own = u32::try_from(number).unwrap_or(u32::MAX);
    if said != (moment.lineage.epoch.0, moment.position.0, own) {
        return Err(whose);
    }
    let many = r.malformed("fewer frames");
    let count = r.u8()?;
    if usize::from(count) > SNAPSHOT_RANGE_RAW_MAX / FRAME_RAW_MAX {
        return Err(many);
    }
    let mut frames = Vec::new();
    for _ in 0..count {
        frames.push(FrameRef {
            stored: r.u32()?,
            raw: r.u32()?,
            crc: r.u32()?,
        });
    }
    match r.offset() == end {
        true => Ok(frames),
        false => Err(r.malformed("the end of the frame of a range")),
    }
}
