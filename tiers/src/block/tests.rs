//! Blocks both ways; what zstd makes of them; damage.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::address::{AccountId, Epoch, ObjectId, ObjectKind, ShardNo, StoreId};
use crate::disk::RealDisk;
use crate::object::ObjectHeader;

fn header() -> ObjectHeader {
    let object = ObjectId::numbered(ObjectKind::Block, Epoch(2), 7);
    let key = crate::cold::Key::of(ShardNo(1), &object).to_string();
    ObjectHeader::other(StoreId([1; 16]), ShardNo(1), Epoch(2), object, key)
}

/// Account, place, frames of a group.
type Drawn = (u64, Vec<u8>, Vec<Vec<u8>>);

fn written(dir: &std::path::Path, groups: &[Drawn]) -> (PathBuf, WrittenBlock) {
    let path = dir.join("block");
    drop(std::fs::remove_file(&path));
    let mut block = BlockWriter::create(&RealDisk, &path, &header()).unwrap();
    for (account, place, frames) in groups {
        block.begin_group(AccountId(*account), place).unwrap();
        for frame in frames {
            block.frame(frame).unwrap();
        }
    }
    let written = block.finish(&RealDisk).unwrap();
    (path, written)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn groups_come_out_as_they_went_in_and_zstd_reads_the_frames(
        groups in prop::collection::vec(
            (any::<u64>(), prop::collection::vec(any::<u8>(), 0..50),
             prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..4)), 0..6),
        flip in any::<(prop::sample::Index, u8)>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (path, block) = written(dir.path(), &groups);
        let bytes = std::fs::read(&path).unwrap();
        prop_assert_eq!(block.made.bytes, bytes.len() as u64);
        prop_assert_eq!(block.made.digest, *blake3::hash(&bytes).as_bytes());
        let all: Vec<u8> = groups.iter().flat_map(|(_, _, frames)| frames.concat()).collect();
        prop_assert_eq!(zstd::stream::decode_all(&bytes[..]).unwrap(), all);
        let reader = BlockReader::open(&RealDisk, &path).unwrap();
        prop_assert_eq!(reader.header(), &header());
        prop_assert_eq!(reader.groups().len(), groups.len());
        let mut number = 0;
        for (group, (account, place, frames)) in reader.groups().iter().zip(&groups) {
            prop_assert_eq!(group.account, AccountId(*account));
            prop_assert_eq!(group.first as usize, number);
            prop_assert_eq!(&reader.place(group).unwrap(), place);
            prop_assert_eq!(&group.frames[..], &block.frames[number..number + frames.len()]);
            for (row, raw) in group.frames.iter().zip(frames) {
                prop_assert_eq!(&reader.frame(row).unwrap(), raw);
            }
            number += frames.len();
        }
        // A flipped bit is noticed by whoever reads what it is in.
        let mut bad = bytes.clone();
        let at = flip.0.index(bad.len());
        bad[at] ^= 1 << (flip.1 % 8);
        std::fs::write(&path, &bad).unwrap();
        let is_noticed = || {
            let reader = BlockReader::open(&RealDisk, &path)?;
            for group in reader.groups() {
                reader.place(group)?;
                for row in &group.frames {
                    reader.frame(row)?;
                }
            }
            Ok::<_, crate::Error>(())
        };
        prop_assert!(is_noticed().is_err(), "byte {at} of {}", bytes.len());
    }
}
