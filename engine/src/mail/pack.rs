//! A message as its op carries it: described, compressed, and what is too large for an entry taken out as blobs.
//!
//! A crash leaves: blob files that no entry names; the next start deletes them.

use std::ops::Range;

use bytes::Bytes;
use coldpost_tiers::address::{BlobId, BlobRecord, Extent, ObjectId, Recode};
use coldpost_tiers::blob::{blob_path, write_blob};
use coldpost_tiers::cold::Key;
use coldpost_tiers::disk::Disk;
use coldpost_tiers::frame::{compress_message_within, compress_row};
use coldpost_tiers::object::ObjectHeader;

use super::{Part, PartKind, codec, describe, frame_borders};
use crate::error::Result;
use crate::limits::{BLOB_PART_MIN, BLOB_PARTS_MAX, ENTRY_MAX, FRAME_MAX, TARGETS_BYTES_MAX};
use crate::op::NewMessage;
use crate::shard::{Shard, random_id};

/// Bytes of an entry besides row, targets and body: head, extents, blob records, keys.
const ENTRY_OVERHEAD: usize = 16 * 1024;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Packed {
    /// For the op.
    pub(crate) message: NewMessage,
    /// For the entry.
    pub(crate) body: Bytes,
}

impl Packed {
    /// Reads `raw` once. Blobs are durable when this returns.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses a blob.
    pub(crate) fn new(
        disk: &dyn Disk,
        shard: &Shard,
        raw: &Bytes,
        threshold: u64,
    ) -> Result<Packed> {
        let description = describe(raw);
        let row = Bytes::from(compress_row(&codec::encode(&description)));
        let borders = frame_borders(&description.parts, threshold, FRAME_MAX);
        let room = ENTRY_MAX.saturating_sub(row.len() + TARGETS_BYTES_MAX + ENTRY_OVERHEAD);
        let mut out: Vec<Range<u64>> = Vec::new();
        let mut candidates = leaves(&description.parts);
        let (extents, body) = loop {
            if let Some(fitting) = assemble(raw, &borders, &out, room) {
                break fitting;
            }
            let whole = 0..size(raw.len());
            assert!(
                out.first() != Some(&whole),
                "a message that left as a blob fits"
            );
            match candidates.pop().filter(|_| out.len() < BLOB_PARTS_MAX) {
                Some(part) => {
                    out.push(part);
                    out.sort_by_key(|r| r.start);
                }
                None => out = vec![whole],
            }
        };
        let (extents, blobs) = write_blobs(disk, shard, raw, extents)?;
        let mut thread_keys = vec![description.sort.message_id];
        thread_keys.extend_from_slice(&description.sort.references);
        let message = NewMessage {
            size: size(raw.len()),
            crc: crc32c::crc32c(raw),
            extents,
            blobs,
            row,
            thread_keys,
        };
        Ok(Packed {
            message,
            body: Bytes::from(body),
        })
    }
}

/// Removes blobs that nothing names and nothing will.
pub(crate) fn discard(disk: &dyn Disk, shard: &Shard, blobs: &[BlobRecord]) {
    for blob in blobs {
        let path = blob_path(&shard.dir.join("blobs"), blob.blob);
        if let Err(e) = disk.remove(&path) {
            tracing::warn!("{} stays until the next start: {e}", path.display());
        }
    }
}

/// Bodies of leaf parts that are worth a blob, the largest last.
fn leaves(parts: &[Part]) -> Vec<Range<u64>> {
    let large =
        |p: &&Part| p.kind == PartKind::Leaf && p.end.saturating_sub(p.body) >= BLOB_PART_MIN;
    let mut leaves: Vec<_> = parts.iter().filter(large).map(|p| p.body..p.end).collect();
    leaves.sort_by_key(|r| r.end - r.start);
    leaves
}

/// What stands in the entry: frames, and gaps (blobs not yet named) for what leaves.
enum Stretch {
    Frame(coldpost_tiers::address::FrameRef),
    Gap(Range<u64>),
}

/// None when the frames have no room in an entry: a large message is not compressed whole into memory to learn that.
fn assemble(
    raw: &Bytes,
    borders: &[u64],
    out: &[Range<u64>],
    room: usize,
) -> Option<(Vec<Stretch>, Vec<u8>)> {
    let mut stretches = Vec::new();
    let mut body = Vec::new();
    let mut at = 0;
    let ends = size(raw.len());
    for gap in out.iter().cloned().chain(std::iter::once(ends..ends)) {
        if gap.start > at {
            let inside = borders
                .iter()
                .filter(|b| **b > at && **b < gap.start)
                .map(|b| b - at);
            let (stored, frames) = compress_message_within(
                part(raw, at..gap.start),
                &inside.collect::<Vec<_>>(),
                room.checked_sub(body.len())?,
            )?;
            body.extend_from_slice(&stored);
            stretches.extend(frames.into_iter().map(Stretch::Frame));
        }
        at = gap.end;
        if gap.end > gap.start {
            stretches.push(Stretch::Gap(gap));
        }
    }
    Some((stretches, body))
}

fn write_blobs(
    disk: &dyn Disk,
    shard: &Shard,
    raw: &Bytes,
    stretches: Vec<Stretch>,
) -> Result<(Vec<Extent>, Vec<BlobRecord>)> {
    let mut extents = Vec::with_capacity(stretches.len());
    let mut blobs = Vec::new();
    for stretch in stretches {
        extents.push(match stretch {
            Stretch::Frame(frame) => Extent::Frame(frame),
            Stretch::Gap(range) => {
                let blob = BlobId(random_id()?);
                let object = ObjectId::blob(blob);
                let key = Key::of(shard.no, &object).to_string();
                let header = ObjectHeader::other(shard.store, shard.no, shard.epoch, object, key);
                let length = range.end - range.start;
                let mut bytes = part(raw, range);
                match write_blob(disk, &shard.dir.join("blobs"), &header, &mut bytes) {
                    Ok(record) => blobs.push(record),
                    Err(e) => {
                        discard(disk, shard, &blobs);
                        return Err(e.into());
                    }
                }
                Extent::Blob {
                    blob,
                    offset: 0,
                    length,
                    recode: Recode::Same,
                }
            }
        });
    }
    Ok((extents, blobs))
}

fn part(raw: &Bytes, range: Range<u64>) -> &[u8] {
    let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(raw.len());
    &raw[at(range.start)..at(range.end)]
}

fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
