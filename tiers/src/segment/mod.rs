//! A run of the journal: open, then sealed and immutable.
//!
//! Promises: positions follow one another; every record's checksum covers store, shard, epoch, position and the checksum before
//! it, so a record in a wrong place is as bad as a damaged one; what was synced is never cut, and what was not is never kept by a
//! later sync alone.
//! Never: reads a clock, looks into a payload, talks to the bucket, deletes a sealed file.
//! A crash leaves: an open file with a torn tail; [`recover`] cuts it back to the last whole record.

mod batch;
mod copy;
mod cut;
mod footer;
mod index;
mod open;
mod reader;
mod record;
mod recover;
mod salvage;
mod sealed;
mod verify;
mod walk;

use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::address::{Epoch, Position, ShardNo, StoreId};
use crate::object::ObjectHeader;

pub use cut::would_exceed;
pub use footer::Footer;
pub use index::{Gap, IndexEntry};
pub use open::OpenSegment;
pub use reader::SegmentReader;
pub use record::record_len;
pub use recover::{Recovered, finish_seal, recover};
pub use salvage::{Damage, Salvage, Salvaged};
pub use sealed::SealedSegment;
pub use verify::Verified;

pub use crate::object::Lineage;

/// What its maker made of an entry; the journal adds position and checksum.
#[derive(Clone, Copy, Debug)]
pub struct RecordParts<'a> {
    /// Head and payload of the entry.
    pub meta: &'a [u8],
    /// Ordinary zstd frames.
    pub body: &'a [u8],
}

/// Where a record was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its position.
    pub position: Position,
    /// Offset of its first byte in the segment.
    pub record_offset: u64,
    /// Offset of its body.
    pub body_offset: u64,
    /// Offset of the byte after it.
    pub end_offset: u64,
    /// Its checksum.
    pub chain: u32,
}

/// A record as it was read: whole, in its place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it stands.
    pub at: Placed,
    /// Head and payload of the entry. Shares its memory with its neighbours: copy what is kept for long.
    pub meta: Bytes,
    /// zstd frames, the same.
    pub body: Bytes,
}

/// A place between two records: all that must be known to go on from there, and sums of what stands before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Offset of the next byte.
    pub offset: u64,
    /// Position of the next record.
    pub next: Position,
    /// Checksum of the last record before.
    pub chain: u32,
    /// Records before, in this segment.
    pub records: u64,
    /// Their bytes: records alone, no batch frames.
    pub record_bytes: u64,
    /// Time of the last entry before, ms since 1970; 0 when there is none.
    pub time_ms: u64,
}

/// What checksums begin with, so that bytes of another store, shard, epoch or segment never fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seeds {
    /// CRC32C of store, shard, record epoch: for records, which stay the same when a segment is cut otherwise.
    record: u32,
    /// The same and the segment's first position: for batch frames and footers.
    segment: u32,
}

impl Seeds {
    fn new(store: StoreId, shard: ShardNo, record_epoch: Epoch, first: Position) -> Seeds {
        let seed = crc32c::crc32c(&store.0);
        let seed = crc32c::crc32c_append(seed, &shard.0.to_le_bytes());
        let record = crc32c::crc32c_append(seed, &record_epoch.0.to_le_bytes());
        Seeds {
            record,
            segment: crc32c::crc32c_append(record, &first.0.to_le_bytes()),
        }
    }

    fn of(header: &ObjectHeader) -> Seeds {
        Seeds::new(
            header.store,
            header.shard,
            header.record_epoch,
            header.first,
        )
    }
}

/// Whether a file is still written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// `.open`
    Open,
    /// `.seg`
    Sealed,
}

/// The file in `dir` of the segment of `epoch` that begins at `first`.
pub fn file_path(dir: &Path, epoch: Epoch, first: Position, state: FileState) -> PathBuf {
    let ending = match state {
        FileState::Open => "open",
        FileState::Sealed => "seg",
    };
    dir.join(format!("{:08x}-{:016x}.{ending}", epoch.0, first.0))
}

/// What [`file_path`] named; `None` for every other name.
pub fn parse_file_name(name: &str) -> Option<(Epoch, Position, FileState)> {
    let (stem, ending) = name.split_once('.')?;
    let state = match ending {
        "open" => FileState::Open,
        "seg" => FileState::Sealed,
        _ => return None,
    };
    let (epoch, first) = stem.split_once('-')?;
    let epoch = Epoch(u32::from_str_radix(epoch, 16).ok()?);
    let first = Position(u64::from_str_radix(first, 16).ok()?);
    let again = file_path(Path::new(""), epoch, first, state);
    (again.to_str() == Some(name)).then_some((epoch, first, state))
}

fn size(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a length fits 64 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_read_as_they_are_written_and_no_others() {
        let path = file_path(Path::new("j"), Epoch(10), Position(255), FileState::Open);
        assert_eq!(path, Path::new("j/0000000a-00000000000000ff.open"));
        let name = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(
            parse_file_name(name),
            Some((Epoch(10), Position(255), FileState::Open))
        );
        for other in [
            "0000000A-00000000000000ff.open",
            "a-ff.open",
            "0000000a-00000000000000ff.open.rescue",
            "x",
            "",
        ] {
            assert_eq!(parse_file_name(other), None, "{other}");
        }
    }
}
