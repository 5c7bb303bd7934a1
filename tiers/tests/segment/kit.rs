//! A small journal for the tests of segments: mails in batches on a disk in memory, and what must come back.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use coldpost_tiers::address::{BlobId, Epoch, FrameRef, Position, Recode, ShardNo, StoreId};
use coldpost_tiers::disk::{Disk, FaultyDisk};
use coldpost_tiers::object::ObjectHeader;
use coldpost_tiers::segment::{
    self, FileState, Gap, IndexEntry, Lineage, OpenSegment, Placed, RecordParts, Recovered,
    SegmentReader,
};
use coldpost_tiers::{Result, frame};

pub(crate) const WHOSE: Lineage = Lineage {
    store: StoreId([0x5a; 16]),
    shard: ShardNo(3),
    epoch: Epoch(2),
};
pub(crate) const FIRST: Position = Position(41);
pub(crate) const CHAIN: u32 = 0x1234_5678;

pub(crate) fn dir() -> &'static Path {
    Path::new("journal")
}

pub(crate) fn header() -> ObjectHeader {
    ObjectHeader::segment(
        WHOSE,
        FIRST,
        CHAIN,
        "segments/0003/00000002/0000000000000029".to_owned(),
    )
}

pub(crate) fn open_path() -> PathBuf {
    segment::file_path(dir(), WHOSE.epoch, FIRST, FileState::Open)
}

pub(crate) fn sealed_path() -> PathBuf {
    segment::file_path(dir(), WHOSE.epoch, FIRST, FileState::Sealed)
}

pub(crate) fn create(disk: &FaultyDisk) -> OpenSegment {
    OpenSegment::create(Arc::new(disk.clone()), dir(), header()).unwrap()
}

pub(crate) fn recover(disk: &FaultyDisk, hint: u64) -> Result<Option<Recovered>> {
    segment::recover(Arc::new(disk.clone()), &open_path(), WHOSE, FIRST, hint)
}

/// One mail in one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) raw: Vec<u8>,
    pub(crate) meta: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) frames: Vec<FrameRef>,
}

impl Mail {
    /// The `number`th, of about `bytes` bytes that do not compress to nothing.
    pub(crate) fn new(number: u8, bytes: usize) -> Mail {
        let mut noise = vec![0; bytes];
        blake3::Hasher::new()
            .update(&[number])
            .finalize_xof()
            .fill(&mut noise);
        let letters = noise.iter().map(|b| b'a' + b % 20);
        let raw: Vec<u8> = format!("Subject: {number}\r\n\r\n")
            .into_bytes()
            .into_iter()
            .chain(letters)
            .collect();
        let half = u64::try_from(raw.len() / 2).unwrap();
        let (body, frames) = frame::compress_message(&raw, &[half]);
        Mail::from_body(number, raw, body, frames)
    }

    /// The same mail as it was compressed before.
    pub(crate) fn from_body(
        number: u8,
        raw: Vec<u8>,
        body: Vec<u8>,
        frames: Vec<FrameRef>,
    ) -> Mail {
        let time = 1_700_000_000_000 + u64::from(number);
        let meta = [&[1, 1], &time.to_le_bytes()[..], &[number; 16], b"payload"].concat();
        Mail {
            raw,
            meta,
            body,
            frames,
        }
    }

    pub(crate) fn parts(&self) -> RecordParts<'_> {
        RecordParts {
            meta: &self.meta,
            body: &self.body,
        }
    }

    /// Its entry in the index.
    pub(crate) fn entry(&self, placed: &Placed) -> IndexEntry {
        IndexEntry {
            position: placed.position,
            number: 0,
            offset: placed.body_offset,
            stored: placed.end_offset - placed.body_offset,
            raw: u64::try_from(self.raw.len()).unwrap(),
            crc: crc32c::crc32c(&self.raw),
            gaps: Vec::new(),
        }
    }

    /// The same for a mail that goes on with `length` bytes in a blob.
    pub(crate) fn entry_with_gap(&self, placed: &Placed, length: u64) -> IndexEntry {
        let entry = self.entry(placed);
        let gap = Gap {
            offset: entry.raw,
            length,
            blob: BlobId([9; 16]),
            recode: Recode::Same,
        };
        IndexEntry {
            raw: entry.raw + length,
            crc: 0,
            gaps: vec![gap],
            ..entry
        }
    }
}

pub(crate) fn append(open: &mut OpenSegment, mails: &[Mail]) -> Vec<Placed> {
    let parts: Vec<RecordParts<'_>> = mails.iter().map(Mail::parts).collect();
    open.append_batch(&parts, 1_700_000_000_000).unwrap()
}

pub(crate) fn read(disk: &FaultyDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// A disk with one synced file.
pub(crate) fn disk_with(path: &Path, bytes: &[u8]) -> FaultyDisk {
    let disk = FaultyDisk::new();
    let file = disk.create(path).unwrap();
    file.write_at(0, bytes).unwrap();
    file.sync_data().unwrap();
    disk.sync_dir(path.parent().unwrap()).unwrap();
    disk
}

/// Meta and body of every record in the file.
pub(crate) fn contents(disk: &FaultyDisk, path: &Path) -> Vec<(Vec<u8>, Vec<u8>)> {
    let reader = SegmentReader::open(disk, path).unwrap();
    reader
        .map(|r| r.map(|r| (r.meta.to_vec(), r.body.to_vec())).unwrap())
        .collect()
}

pub(crate) fn expected(mails: &[Mail]) -> Vec<(Vec<u8>, Vec<u8>)> {
    mails
        .iter()
        .map(|m| (m.meta.clone(), m.body.clone()))
        .collect()
}
