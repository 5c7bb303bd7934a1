//! What lies on disk and in the bucket: segments, blobs, the headers of objects.

use std::path::Path;
use std::sync::Arc;

use coldpost_tiers::disk::DiskFile;
use coldpost_tiers::object::ObjectHeader;
use coldpost_tiers::segment::{Salvage, Salvaged, SealedSegment, SegmentReader};

use crate::held::Held;
use crate::{Target, seeds};

/// Files of the journal and of the bucket.
pub const TARGET: Target = Target {
    name: "segment",
    seeds: objects,
    words: &[
        b"COLDPOST",
        b"\x28\xb5\x2f\xfd",
        b"\x50\x2a\x4d\x18",
        b"\xff\xff\xff\xff",
        b"\0\0\0\0\0\0\0\0",
    ],
    opening: b"",
    feed,
    group: 1,
};

/// Reads a file in every way in which files of the journal are read: what is damaged is said, and every reading ends.
pub fn feed(input: &[u8]) -> usize {
    let path = Path::new("fuzz");
    let _ = ObjectHeader::decode(input, "fuzz");
    let file: Arc<dyn DiskFile> = Arc::new(Held(input.to_vec()));
    if let Ok(mut reader) = SegmentReader::of(Arc::clone(&file), path) {
        let mut records = 0;
        while let Ok(Some(_)) = reader.next_record() {
            records += 1;
            assert!(records <= input.len(), "more records than bytes");
        }
    }
    for suspects in [false, true] {
        if let Ok(reader) = SegmentReader::of(Arc::clone(&file), path) {
            let salvage = Salvage::new(reader);
            salvaged(
                if suspects {
                    salvage.with_suspects()
                } else {
                    salvage
                },
                input.len(),
            );
        }
    }
    if let Ok(sealed) = SealedSegment::of(file, path) {
        let _ = sealed.index();
        let _ = sealed.verify();
        let _ = sealed.digest();
    }
    input.len()
}

/// Everything that is found lies in the file, one behind the other.
fn salvaged(salvage: Salvage, length: usize) {
    let (mut found, length) = (0, u64::try_from(length).expect("64 bits"));
    for step in salvage {
        found += 1;
        assert!(found <= length + 1, "the salvage does not end");
        match step {
            Ok(Salvaged::Damage(damage)) => {
                assert!(
                    damage.range.start <= damage.range.end && damage.range.end <= length,
                    "{damage:?} of {length}"
                );
            }
            Ok(_) => {}
            Err(_) => break,
        }
    }
}

fn objects() -> Vec<Vec<u8>> {
    [
        "data/shards/0000/journal/00000001-0000000000000001.open",
        "data/shards/0001/journal/00000001-000000000000001a.open",
        "cold/segments/0001/00000001/0000000000000001",
        "cold/epochs/0001/00000001",
    ]
    .map(seeds::kept)
    .to_vec()
}
