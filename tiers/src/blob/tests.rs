//! Blobs both ways, ranges, damage, failures.

use std::io::{self, Read};
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::address::{BlobId, BlobRecord, Epoch, ObjectId, ShardNo, StoreId};
use crate::disk::{Disk, RealDisk};
use crate::limits::FRAME_RAW_MAX;
use crate::object::ObjectHeader;
use crate::{Kind, Result};

const ID: BlobId = BlobId([0xab; 16]);

fn header() -> ObjectHeader {
    let key = "blobs/0002/abababababababababababababababab".to_owned();
    ObjectHeader::other(
        StoreId([1; 16]),
        ShardNo(2),
        Epoch(3),
        ObjectId::blob(ID),
        key,
    )
}

/// Bytes that tell their place and do not compress to nothing.
fn bytes(n: usize) -> Vec<u8> {
    let mut out = vec![0; n];
    blake3::Hasher::new().finalize_xof().fill(&mut out);
    out
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

fn write(dir: &Path, mut raw: &[u8]) -> Result<BlobRecord> {
    write_blob(&RealDisk, dir, &header(), &mut raw)
}

#[test]
fn a_blob_is_read_as_it_was_written_and_is_a_zstd_file() {
    for n in [0, 1, FRAME_RAW_MAX, FRAME_RAW_MAX + 1, 3 * FRAME_RAW_MAX] {
        let dir = tempfile::tempdir().unwrap();
        let raw = bytes(n);
        let record = write(dir.path(), &raw).unwrap();
        let path = blob_path(dir.path(), ID);
        assert!(path.ends_with("abababababababababababababababab"));
        let stored = std::fs::read(&path).unwrap();
        assert_eq!(zstd::stream::decode_all(&stored[..]).unwrap(), raw);
        assert_eq!(
            (record.object_bytes, record.raw),
            (stored.len() as u64, n as u64)
        );
        assert_eq!(record.object_digest, *blake3::hash(&stored).as_bytes());
        assert_eq!(record.frames.len(), n.div_ceil(FRAME_RAW_MAX));
        let file = RealDisk.open(&path).unwrap();
        assert_eq!(
            read_range(&*file, &path, &record, 0..n as u64).unwrap(),
            raw
        );
        assert_eq!(verify_blob(&*file, &path, &record).unwrap(), header());
        assert_eq!(write(dir.path(), &raw).unwrap_err().kind(), &Kind::Conflict);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_range_is_the_slice_of_the_whole_from_no_more_frames_than_it_touches(a in 0..3 * FRAME_RAW_MAX as u64, b in 0..3 * FRAME_RAW_MAX as u64) {
        let dir = tempfile::tempdir().unwrap();
        let raw = bytes(2 * FRAME_RAW_MAX + 5000);
        let (a, b) = (a.min(b).min(raw.len() as u64), a.max(b).min(raw.len() as u64));
        let record = write(dir.path(), &raw).unwrap();
        let path = blob_path(dir.path(), ID);
        let got = read_range(&*RealDisk.open(&path).unwrap(), &path, &record, a..b).unwrap();
        prop_assert!(got[..] == raw[place(a)..place(b)]);
        let part = frames_for(&record, a..b).unwrap();
        let frame = FRAME_RAW_MAX as u64;
        let touched = if a == b { 0 } else { (b - 1) / frame - a / frame + 1 };
        prop_assert_eq!(part.frames.len() as u64, touched);
    }
}

#[test]
fn damage_is_named_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let record = write(dir.path(), &bytes(FRAME_RAW_MAX + 10)).unwrap();
    let path = blob_path(dir.path(), ID);
    let file = RealDisk.open(&path).unwrap();
    let whole = std::fs::read(&path).unwrap();
    for at in [0, 50, 130, whole.len() / 2, whole.len() - 1] {
        let mut bad = whole.clone();
        bad[at] ^= 1;
        std::fs::write(&path, &bad).unwrap();
        let error = verify_blob(&*file, &path, &record).unwrap_err();
        assert!(
            matches!(error.kind(), Kind::Corrupt { .. }),
            "{at}: {error}"
        );
    }
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(matches!(
        read_range(&*file, &path, &record, 0..record.raw)
            .unwrap_err()
            .kind(),
        Kind::Corrupt { .. }
    ));
    assert!(verify_blob(&*file, &path, &record).is_err());
    assert!(matches!(
        frames_for(&record, 0..record.raw + 1).unwrap_err().kind(),
        Kind::Invalid
    ));
    let liar = BlobRecord {
        object_bytes: 1,
        ..record
    };
    assert!(matches!(
        frames_for(&liar, 0..1).unwrap_err().kind(),
        Kind::Corrupt { .. }
    ));
}

/// Gives some bytes, then fails, as a spool or a socket does.
struct Broken(u64);

impl Read for Broken {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0 = self
            .0
            .checked_sub(1)
            .ok_or(io::ErrorKind::ConnectionReset)?;
        into.fill(7);
        Ok(into.len())
    }
}

#[test]
fn a_source_that_fails_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let error = write_blob(&RealDisk, dir.path(), &header(), &mut Broken(40)).unwrap_err();
    assert!(matches!(error.kind(), Kind::Unavailable), "{error}");
    assert!(RealDisk.list(dir.path()).unwrap().is_empty());
}

#[cfg(feature = "faults")]
#[test]
fn a_blob_that_was_written_survives_a_power_cut_and_a_full_disk_leaves_none() {
    use crate::disk::FaultyDisk;
    let disk = FaultyDisk::new();
    let raw = bytes(FRAME_RAW_MAX * 2);
    disk.set_room(Some(1000));
    assert!(write_blob(&disk, Path::new("blobs"), &header(), &mut &raw[..]).is_err());
    disk.set_room(None);
    let record = write_blob(&disk, Path::new("blobs"), &header(), &mut &raw[..]).unwrap();
    for seed in 0..20 {
        let path = blob_path(Path::new("blobs"), ID);
        let file = disk.crash(seed).open(&path).unwrap();
        assert!(verify_blob(&*file, &path, &record).is_ok(), "seed {seed}");
    }
}
