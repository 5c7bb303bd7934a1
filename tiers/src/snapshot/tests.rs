//! Rows come out as they went in; whatever else comes is refused.

use std::path::Path;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;
use crate::address::{Epoch, Position, ShardNo, StoreId};
use crate::cold::Key;
use crate::disk::{Disk, FaultyDisk};
use crate::frame::{compress_row, decompress_row};
use crate::hot::digest::{Columns, of_rows};
use crate::hot::{CommitKind, HotTier, TableName};
use crate::limits::{SNAPSHOT_RANGE_MAX, SNAPSHOT_RANGE_RAW_MAX};
use crate::object::Lineage;

const CACHE: usize = 1 << 20;
const STORE: StoreId = StoreId([5; 16]);
const SHARD: ShardNo = ShardNo(3);

fn moment() -> Moment {
    Moment {
        lineage: Lineage {
            store: STORE,
            shard: SHARD,
            epoch: Epoch(2),
        },
        position: Position(77),
        chain: 9,
        hash: [1; 32],
        time_ms: 1_700_000_000_000,
    }
}

fn key() -> Key {
    Key::of(SHARD, &moment().object())
}

fn hot(disk: &FaultyDisk, name: &str) -> HotTier {
    HotTier::open_on(disk, Path::new(name), CACHE).unwrap()
}

type Rows = Vec<(TableName, Vec<u8>, Vec<u8>)>;

fn with_rows(disk: &FaultyDisk, rows: &Rows) -> HotTier {
    let hot = hot(disk, "from");
    let put = |batch: &mut crate::hot::Batch<'_>| {
        rows.iter()
            .try_for_each(|(table, key, value)| batch.put(*table, key, value))
    };
    hot.write(CommitKind::Volatile, put).unwrap();
    hot
}

/// The manifest and the ranges of some rows.
fn packed(hot: &HotTier) -> (Manifest, Vec<Vec<u8>>) {
    let mut ranges = Vec::new();
    let mut put = |range: &RangeRef, bytes: &[u8]| {
        assert!(range.bytes == bytes.len() as u64 && range.bytes <= SNAPSHOT_RANGE_MAX);
        ranges.push(bytes.to_vec());
        Ok(())
    };
    let manifest = pack(&hot.read().unwrap(), &moment(), &mut put).unwrap();
    (manifest, ranges)
}

fn load(hot: &HotTier, manifest: &Manifest, ranges: &[Vec<u8>]) -> crate::Result<()> {
    let mut loader = Loader::new(hot, manifest)?;
    for range in ranges {
        loader.take(range)?;
    }
    loader.finish()
}

fn digest(hot: &HotTier) -> [u8; 32] {
    of_rows(&hot.read().unwrap(), Columns::All).unwrap()
}

fn any_rows() -> impl Strategy<Value = Rows> {
    let table = (0..TableName::ALL.len()).prop_map(|n| TableName::ALL[n]);
    let row = ((table, vec(any::<u8>(), 1..20)), vec(any::<u8>(), 0..200));
    btree_map(row.0, row.1, 0..60).prop_map(|rows| {
        rows.into_iter()
            .map(|((table, key), value)| (table, key, value))
            .collect()
    })
}

/// Rows that need several ranges.
fn many() -> Rows {
    let noise = |n: u64| {
        let mut value = vec![0; 200_000];
        blake3::Hasher::new()
            .update(&n.to_le_bytes())
            .finalize_xof()
            .fill(&mut value);
        value
    };
    let row = |n: u64| {
        let table = if n < 30 {
            TableName::Rows
        } else {
            TableName::Places
        };
        (table, n.to_be_bytes().to_vec(), noise(n))
    };
    (0..50).map(row).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn any_rows_come_out_as_they_went_in(rows in any_rows()) {
        let disk = FaultyDisk::new();
        let from = with_rows(&disk, &rows);
        let (manifest, ranges) = packed(&from);
        let read = Manifest::decode(&manifest.encode(), STORE, SHARD, &key()).unwrap();
        prop_assert_eq!(&read, &manifest);
        prop_assert_eq!(manifest.rows, rows.len() as u64);
        let to = hot(&disk, "to");
        load(&to, &read, &ranges).unwrap();
        prop_assert_eq!(digest(&to), digest(&from));
    }

    #[test]
    fn foreign_bytes_are_refused_and_never_panic(bytes in vec(any::<u8>(), 0..400), cut in 0_usize..400) {
        let disk = FaultyDisk::new();
        let (manifest, ranges) = packed(&with_rows(&disk, &vec![(TableName::Rows, vec![1], vec![2; 90])]));
        prop_assert!(Manifest::decode(&bytes, STORE, SHARD, &key()).is_err());
        prop_assert!(read_range(&manifest, 0, &bytes).is_err());
        let whole = manifest.encode();
        prop_assert!(Manifest::decode(&whole[..cut.min(whole.len() - 1)], STORE, SHARD, &key()).is_err());
        prop_assert!(read_range(&manifest, 0, &ranges[0][..cut.min(ranges[0].len() - 1)]).is_err());
    }
}

/// Rows of messages, one of which is damaged.
fn of_messages() -> (Vec<Vec<u8>>, Rows) {
    let text = |n: u64| format!("Subject: message {n} of a list\r\nFrom: somebody\r\n").repeat(20);
    let plain: Vec<Vec<u8>> = (0..500).map(|n| text(n).into_bytes()).collect();
    let packed = plain.iter().map(|row| compress_row(row));
    let values = packed.chain([vec![2, 9, 9]]);
    let row = |(n, value): (u64, Vec<u8>)| (TableName::Rows, n.to_be_bytes().to_vec(), value);
    let rows = (0..).zip(values).map(row).collect();
    (plain, rows)
}

#[test]
fn rows_of_messages_are_compressed_together_and_come_out_as_they_were() {
    let disk = FaultyDisk::new();
    let (plain, rows) = of_messages();
    let from = with_rows(&disk, &rows);
    let (manifest, ranges) = packed(&from);
    assert_eq!(manifest.form, Form::Unpacked);
    let raw = read_range(&manifest, 0, &ranges[0]).unwrap();
    let stands = |row: &Vec<u8>| raw.windows(row.len()).any(|window| window == row);
    assert!(plain.iter().step_by(100).all(stands));
    let by_themselves: usize = rows.iter().map(|(_, _, value)| value.len()).sum();
    assert!(ranges[0].len() < by_themselves / 2, "{}", ranges[0].len());
    let to = hot(&disk, "to");
    load(&to, &manifest, &ranges).unwrap();
    assert_eq!(digest(&to), digest(&from));
    let state = to.read().unwrap();
    for (_, key, value) in &rows {
        let loaded = state.get(TableName::Rows, key).unwrap().unwrap();
        match decompress_row(value) {
            Ok(row) => assert_eq!(decompress_row(&loaded).unwrap(), row),
            Err(_) => assert_eq!(&loaded, value),
        }
    }
}

#[test]
fn an_unpacked_row_stands_in_no_other_table() {
    let disk = FaultyDisk::new();
    let mut stream = stream::Item::Table(TableName::Places.name()).encode();
    stream.extend(stream::Item::Unpacked(&[1], b"row").encode());
    let mut writer = range::RangeWriter::default();
    writer.add(&stream);
    let (range, bytes) = writer.finish(&moment(), 0);
    let (mut manifest, _) = packed(&with_rows(&disk, &Rows::new()));
    manifest.ranges = vec![range];
    let refused = load(&hot(&disk, "to"), &manifest, &[bytes]).unwrap_err();
    assert!(refused.to_string().contains("unpacked"), "{refused}");
}

#[test]
fn a_flipped_bit_anywhere_is_noticed() {
    let disk = FaultyDisk::new();
    let (manifest, ranges) = packed(&with_rows(
        &disk,
        &vec![(TableName::Rows, vec![1], vec![2; 300])],
    ));
    let flipped = |bytes: &[u8], bit: usize| {
        let mut bytes = bytes.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    };
    let object = manifest.encode();
    for bit in 0..object.len() * 8 {
        let read = Manifest::decode(&flipped(&object, bit), STORE, SHARD, &key());
        assert!(read.is_err(), "bit {bit} of the manifest");
    }
    for bit in 0..ranges[0].len() * 8 {
        let read = read_range(&manifest, 0, &flipped(&ranges[0], bit));
        assert!(read.is_err(), "bit {bit} of the range");
    }
}

/// Whatever the rows are, what is held of them while they are packed is one range.
#[test]
fn many_rows_are_several_ranges_of_bounded_size_and_come_out_again() {
    let disk = FaultyDisk::new();
    let from = with_rows(&disk, &many());
    let (manifest, ranges) = packed(&from);
    assert!(manifest.ranges.len() >= 3, "{}", manifest.ranges.len());
    for range in &manifest.ranges {
        assert!(range.raw <= SNAPSHOT_RANGE_RAW_MAX as u64);
    }
    let to = hot(&disk, "to");
    load(&to, &manifest, &ranges).unwrap();
    assert_eq!(digest(&to), digest(&from));
    // The commit at the end keeps them through a power cut.
    disk.sync_dir(Path::new("")).unwrap();
    let after = disk.crash(7);
    assert_eq!(digest(&hot(&after, "to")), digest(&from));
}

#[test]
fn ranges_that_are_missing_exchanged_or_anothers_are_refused() {
    let disk = FaultyDisk::new();
    let from = with_rows(&disk, &many());
    let (manifest, mut ranges) = packed(&from);
    let say = |ranges: &[Vec<u8>]| {
        let to = hot(&FaultyDisk::new(), "to");
        load(&to, &manifest, ranges).map_err(|e| e.kind().clone())
    };
    assert!(say(&ranges[1..]).is_err());
    assert!(say(&ranges[..ranges.len() - 1]).is_err());
    ranges.swap(0, 1);
    assert!(say(&ranges).is_err());
    let later = Moment {
        position: Position(78),
        ..moment()
    };
    let mut others = Vec::new();
    let mut put = |_: &RangeRef, bytes: &[u8]| {
        others.push(bytes.to_vec());
        Ok(())
    };
    let other = pack(&from.read().unwrap(), &later, &mut put).unwrap();
    for (one, two) in manifest.ranges.iter().zip(&other.ranges) {
        assert_ne!(one.id, two.id, "no two manifests name the same range");
    }
    assert!(say(&others).is_err());
}

#[test]
fn a_table_that_a_newer_version_has_is_refused_in_words() {
    let disk = FaultyDisk::new();
    let (mut manifest, ranges) = packed(&with_rows(
        &disk,
        &vec![(TableName::Rows, vec![1], vec![2])],
    ));
    manifest.tables[0].table = "sundials".to_owned();
    let refused = load(&hot(&disk, "to"), &manifest, &ranges).unwrap_err();
    expect_test::expect![
        "the snapshot has a table `sundials` that is not known; a newer Coldpost wrote it: start that version"
    ]
    .assert_eq(&refused.to_string());
}

#[test]
fn another_stores_manifest_is_refused_in_words() {
    let disk = FaultyDisk::new();
    let (manifest, _) = packed(&with_rows(&disk, &Rows::new()));
    let refused =
        Manifest::decode(&manifest.encode(), StoreId([6; 16]), SHARD, &key()).unwrap_err();
    expect_test::expect!["snapshots/0003/00000002/000000000000004d: belongs to another store"]
        .assert_eq(&refused.to_string());
}
