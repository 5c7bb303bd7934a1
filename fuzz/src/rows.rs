//! What stands under a checksum: rows of the hot tier and entries of the journal. Whatever is read is written the same again.

use std::fmt::Debug;
use std::path::Path;

use bytes::Bytes;
use coldpost_engine::mail::{codec, describe};
use coldpost_engine::op;
use coldpost_testkit::{Must, place};
use coldpost_tiers::address::{
    AccountId, Address, Epoch, Extent, FrameRef, MessageId, ObjectId, Position, ShardNo,
};
use coldpost_tiers::codec::Reader;
use coldpost_tiers::disk::RealDisk;
use coldpost_tiers::hot::row::{
    AccountRow, Applied, BlobRow, ContentRow, ExpungedRow, FrameRow, Holes, HolesHead, KeptOutcome,
    MailboxRow, NameRow, ObjectRow, Origin, Place, Row, Run, SnapshotRow, ThreadRow, each_outcome,
};
use coldpost_tiers::hot::{HotTier, TableName, key};
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
        Some(TableName::Places) => place(bytes),
        Some(TableName::Threads) => again::<ThreadRow>(bytes),
        Some(TableName::Objects) => again::<ObjectRow>(bytes),
        Some(TableName::Blobs) => again::<BlobRow>(bytes),
        Some(TableName::Holes) => {
            again::<Holes>(bytes);
            again::<HolesHead>(bytes);
        }
        Some(TableName::Snapshots) => again::<SnapshotRow>(bytes),
        Some(TableName::Frames) => again::<FrameRow>(bytes),
        Some(TableName::Contents) => again::<ContentRow>(bytes),
        Some(TableName::Rows) => packed(bytes),
        Some(TableName::Outcomes) => outcomes(bytes),
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

/// A place of some message.
fn place(bytes: &[u8]) {
    let own = MessageId {
        epoch: Epoch(1),
        position: Position(1),
        number: 0,
    };
    let key = key::message(AccountId(1), own);
    if let Ok(place) = Place::decode(&key, bytes) {
        let read = Place::decode(&key, &place.encode(own)).expect("what was written is read");
        assert_eq!(read, place);
    }
}

/// A row of outcomes, and one outcome.
fn outcomes(bytes: &[u8]) {
    let mut all = Vec::new();
    if each_outcome(Position(1), bytes, |kept| all.push(kept)).is_ok() {
        for kept in all {
            let mut again = Vec::new();
            each_outcome(kept.position, &kept.begin(), |kept| again.push(kept))
                .expect("what was written is read");
            assert_eq!(again, [kept]);
        }
    }
    let _ = op::Outcome::decode(bytes);
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

/// Every row and entry of the kept stores of version 1.
fn rows() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    let scratch = place::scratch("fuzz-rows");
    let compacted = seeds::kept_objects("data/shards")
        .into_iter()
        .filter(|file| file.starts_with(b"redb"));
    let kept = ["0000", "0001"].map(|shard| seeds::kept(&format!("data/shards/{shard}/hot.redb")));
    for (number, file) in kept.into_iter().chain(compacted).enumerate() {
        let path = scratch.path().join(format!("{number}.redb"));
        std::fs::write(&path, file).must("writing a copy");
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
    let kept = [
        "data/shards/0000/journal/00000001-0000000000000001.open",
        "cold/segments/0001/00000001/0000000000000001",
    ]
    .map(seeds::kept);
    let compacted = seeds::kept_objects("cold/segments");
    for segment in kept.into_iter().chain(compacted) {
        let path = scratch.path().join("segment");
        std::fs::write(&path, segment).must("writing a copy");
        seeds.extend(entries(&path));
    }
    seeds.extend(of_schema_2());
    seeds.sort();
    seeds.dedup();
    seeds
}

/// What the kept store, which is of schema 1, has not.
fn of_schema_2() -> Vec<Vec<u8>> {
    let kept = |position| KeptOutcome {
        position: Position(position),
        op: [7; 16],
        outcome: vec![1, 1, 0, 1],
    };
    let id = |position| MessageId {
        epoch: Epoch(1),
        position: Position(position),
        number: 0,
    };
    let origin = |position| Origin {
        shard: ShardNo(1),
        message: id(position),
    };
    let whole = FrameRef {
        stored: 100,
        raw: 200,
        crc: 3,
    };
    let slice = |frame| Extent::Slice {
        frame,
        skip: 9,
        length: 100,
    };
    let place = |extents| Place {
        references: 2,
        email_id: origin(1),
        thread_id: origin(9),
        date: 1_700_000_000,
        zone: 60,
        size: 200,
        crc: 1,
        address: Address {
            object: ObjectId::segment(Epoch(1), Position(1)),
            offset: 0,
            extents,
        },
    };
    let threads = ThreadRow {
        entries: vec![(7, origin(1)), (1 << 60, origin(2))],
    };
    let row = kept(1).begin();
    let row = kept(2).append(Position(1), &row).must("a row of ours");
    let value = |table: TableName, value: &[u8]| {
        let at = TableName::ALL
            .iter()
            .position(|t| *t == table)
            .must("a table");
        [&[u8::try_from(at).must("few tables")], value].concat()
    };
    let described = codec::encode(&describe(b"From: a@b\r\nSubject: Re: c\r\n\r\nd\r\n"));
    vec![
        value(
            TableName::Places,
            &place(vec![Extent::Frame(whole)]).encode(id(1)),
        ),
        value(
            TableName::Places,
            &place(vec![slice(4), slice(5)]).encode(id(2)),
        ),
        value(TableName::Threads, &threads.encode()),
        value(TableName::Outcomes, &row.must("room for two")),
        value(TableName::Rows, &frame::compress_row(&described)),
        value(TableName::Rows, &described),
    ]
}

fn entries(path: &Path) -> Vec<Vec<u8>> {
    let reader = SegmentReader::open(&RealDisk, path).must("opening a kept segment");
    let record = |record: coldpost_tiers::Result<coldpost_tiers::segment::Record>| {
        [&[ENTRY], &record.must("a kept record").meta[..]].concat()
    };
    reader.map(record).collect()
}
