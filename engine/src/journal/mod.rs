//! The ordered log of a shard: append entries and get positions, read from a position, trim.
//!
//! Promises: an append is atomic per entry; what it gave a place is durable. Never: looks at what an entry means, but for where a
//! segment ends and what its index says.

pub mod embedded;

use bytes::Bytes;
use coldpost_tiers::segment::{IndexEntry, SealedSegment};

use crate::apply::At;
use crate::error::{Error, Result};
use crate::ids::Position;
use crate::op::{Entry, Op};

/// An entry for the journal: decoded, and the bytes that will stand in the segment.
#[derive(Clone, Debug)]
pub struct Record {
    /// What it says.
    pub entry: Entry,
    /// Its meta bytes.
    pub meta: Bytes,
    /// Its frames.
    pub body: Bytes,
}

/// What became of a batch.
#[derive(Default)]
pub struct Appended {
    /// Where the entries that are durable now stand: the first ones of the batch, all when `failed` is none.
    pub at: Vec<At>,
    /// Segments that were sealed on the way, each after so many entries of the batch.
    pub sealed: Vec<(usize, SealedSegment)>,
    /// Why the rest was not taken: nothing of it was promised, nothing of it remains.
    pub failed: Option<Error>,
}

/// The log of one shard.
pub trait Journal: Send {
    /// Appends a batch with one sync, in order.
    fn append(&mut self, batch: &[Record], now_ms: u64) -> Appended;

    /// Notes on disk that all of it was promised; called when it has been idle for a second.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    fn idle(&mut self, now_ms: u64) -> Result<()>;

    /// The last durable position.
    fn last(&self) -> Position;

    /// Whether a disk error ended it for good: it takes nothing more until it is opened again.
    fn is_closed(&self) -> bool;

    /// Reads entries after `position`, in order, until `each` fails or all were read.
    ///
    /// # Errors
    /// `Corrupt`, `Unavailable`, or what `each` gives.
    fn read_after(
        &self,
        position: Position,
        each: &mut dyn FnMut(At, Record) -> Result<()>,
    ) -> Result<()>;

    /// Forgets what lies before `position` and is not needed any more.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    fn trim(&mut self, position: Position) -> Result<()>;
}

/// What the index of a segment says about the messages of an entry.
pub fn index_of(entry: &Entry, at: &At) -> Vec<IndexEntry> {
    use coldpost_tiers::address::Extent;
    use coldpost_tiers::segment::Gap;
    let Op::Add(add) = &entry.op else {
        return Vec::new();
    };
    let mut offset = at.body_offset;
    let mut index = Vec::with_capacity(add.messages.len());
    for (number, message) in (0_u16..).zip(&add.messages) {
        let mut gaps = Vec::new();
        let mut place = 0;
        for extent in &message.extents {
            if let Extent::Blob {
                blob,
                length,
                recode,
                ..
            } = extent
            {
                gaps.push(Gap {
                    offset: place,
                    length: *length,
                    blob: *blob,
                    recode: *recode,
                });
            }
            place += extent.raw_len();
        }
        let stored = message.stored_bytes();
        let raw = message.size;
        index.push(IndexEntry {
            position: at.position,
            number,
            offset,
            stored,
            raw,
            crc: message.crc,
            gaps,
        });
        offset += stored;
    }
    index
}

#[cfg(test)]
mod tests;
