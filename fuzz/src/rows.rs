//! What stands under a checksum: rows of the hot tier and entries of the journal. Whatever is read is written the same again.

use std::fmt::Debug;
use std::path::Path;

use bytes::Bytes;
use coldpost_engine::mail::codec;
use coldpost_engine::op;
use coldpost_testkit::{Must, place};
use coldpost_tiers::codec::Reader;
use coldpost_tiers::disk::RealDisk;
use coldpost_tiers::hot::row::{
    AccountRow, Applied, BlobRow, ExpungedRow, Holes, HolesHead, MailboxRow, NameRow, ObjectRow,
    Place, Row, Run, SnapshotRow,
};
use coldpost_tiers::hot::{HotTier, TableName};
use coldpost_tiers::segment::SegmentReader;
use coldpost_tiers::{extent, frame};

use crate::{Target, seeds};

/// A byte that says what the rest is: a table by its number in `TableName::ALL`, or behind them an entry.
pub const TARGET: Target = Target {
    name: "rows",
    seeds: rows,
    words: &[
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x80\x80\x80\x80\x10",
        b"\0",
        b"\x01\x01",
        b"\x28\xb5\x2f\xfd",
    ],
    opening: b"",
    feed,
    group: 1,
};

/// The byte of an entry.
const ENTRY: u8 = 20;
const _: () = assert!(TableName::ALL.len() == ENTRY as usize);
/// Bytes of redb's cache while the seeds are read.
const CACHE: usize = 1 << 20;

/// Reads a row or an entry.
pub fn feed(input: &[u8]) -> usize {
    let Some((what, bytes)) = input.split_first() else {
        return 0;
    };
    match TableName::ALL.get(usize::from(*what)) {
        Some(TableName::Meta) => again::<Applied>(bytes),
        Some(TableName::Accounts) => again::<AccountRow>(bytes),
        Some(TableName::Names) => again::<NameRow>(bytes),
        Some(TableName::Mailboxes) => again::<MailboxRow>(bytes),
        Some(TableName::Runs) => again::<Run>(bytes),
        Some(TableName::Expunged) => again::<ExpungedRow>(bytes),
        Some(TableName::Places) => again::<Place>(bytes),
        Some(TableName::Objects) => again::<ObjectRow>(bytes),
        Some(TableName::Blobs) => again::<BlobRow>(bytes),
        Some(TableName::Holes) => {
            again::<Holes>(bytes);
            again::<HolesHead>(bytes);
        }
        Some(TableName::Snapshots) => again::<SnapshotRow>(bytes),
        Some(TableName::Rows) => packed(bytes),
        Some(TableName::Outcomes) => drop(op::Outcome::decode(bytes)),
        Some(_) => extents(bytes),
        None => entry(bytes),
    }
    input.len()
}

fn again<T: Row + PartialEq + Debug>(bytes: &[u8]) {
    if let Ok(row) = T::decode("fuzz", bytes) {
        let written = row.encode();
        let read = T::decode("fuzz", &written).expect("what was written is read");
        assert_eq!(read, row);
        let _ = Run::peek_highest_modseq(bytes);
    }
}

/// A description, packed and as it is.
fn packed(bytes: &[u8]) {
    let unpacked = frame::decompress_row(bytes);
    for row in [Some(bytes), unpacked.as_deref().ok()]
        .into_iter()
        .flatten()
    {
        if let Ok(description) = codec::decode(row) {
            let read =
                codec::decode(&codec::encode(&description)).expect("what was written is read");
            assert_eq!(read, description);
        }
    }
}

fn extents(bytes: &[u8]) {
    let _ = extent::read_extents(&mut Reader::new(bytes));
    let _ = extent::read_blob_record(&mut Reader::new(bytes));
    let _ = extent::read_recode(&mut Reader::new(bytes));
    let _ = op::uids::read_uids(&mut Reader::new(bytes));
}

fn entry(bytes: &[u8]) {
    if let Ok(entry) = op::decode(&Bytes::copy_from_slice(bytes)) {
        let written = op::encode(&entry);
        let read = op::decode(&Bytes::from(written)).expect("what was written is read");
        assert_eq!(read, entry);
        let _ = (read.op.accounts(), read.op.messages());
    }
}

/// Every row and entry of the kept store of version 1.
fn rows() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let scratch = place::scratch("fuzz-rows");
    for shard in ["0000", "0001"] {
        let path = scratch.path().join(format!("{shard}.redb"));
        std::fs::write(&path, seeds::kept(&format!("data/shards/{shard}/hot.redb")))
            .must("writing a copy");
        let hot = HotTier::open(&path, CACHE).must("opening a kept hot tier");
        let state = hot.read().must("reading it");
        for (what, table) in (0..ENTRY).zip(TableName::ALL) {
            let each = |_: &[u8], value: &[u8]| {
                seeds.push([&[what], value].concat());
                Ok(true)
            };
            state.walk(table, &[], &[], each).must("reading a table");
        }
    }
    for name in [
        "data/shards/0000/journal/00000001-0000000000000001.open",
        "cold/segments/0001/00000001/0000000000000001",
    ] {
        let path = scratch.path().join("segment");
        std::fs::write(&path, seeds::kept(name)).must("writing a copy");
        seeds.extend(entries(&path));
    }
    seeds.sort();
    seeds.dedup();
    seeds
}

fn entries(path: &Path) -> Vec<Vec<u8>> {
    let reader = SegmentReader::open(&RealDisk, path).must("opening a kept segment");
    let record = |record: coldpost_tiers::Result<coldpost_tiers::segment::Record>| {
        [&[ENTRY], &record.must("a kept record").meta[..]].concat()
    };
    reader.map(record).collect()
}
