//! What lies in the bucket after compaction: blocks, packs, manifests of snapshots.

use std::path::Path;

use coldpost_tiers::blob::read_pack;
use coldpost_tiers::block::BlockReader;
use coldpost_tiers::cold::Key;
use coldpost_tiers::limits::FRAME_RAW_MAX;
use coldpost_tiers::object::ObjectHeader;
use coldpost_tiers::snapshot::Manifest;

use crate::held::Held;
use crate::{Target, seeds};

/// Objects of the bucket.
pub const TARGET: Target = Target {
    name: "object",
    seeds: objects,
    words: &[
        b"COLDPOST",
        b"\x28\xb5\x2f\xfd",
        b"\x50\x2a\x4d\x18",
        b"\xff\xff\xff\xff",
        b"\x80\x80\x80\x80\x10",
    ],
    opening: b"",
    feed,
    group: 1,
};

/// Bytes of the digest that ends a manifest.
const DIGEST: usize = 32;

/// Reads an object in every way in which objects are read, as it is and with checksums that fit what was changed.
pub fn feed(input: &[u8]) -> usize {
    let disk = Held(input.to_vec());
    let path = Path::new("fuzz");
    if let Ok(block) = BlockReader::open(&disk, path) {
        for group in block.groups() {
            let _ = block.place(group);
            for frame in &group.frames {
                let raw = block.frame(frame);
                assert!(raw.map_or(0, |raw| raw.len()) <= FRAME_RAW_MAX);
            }
        }
    }
    if let Ok((_, blobs)) = read_pack(&disk, path) {
        assert!(blobs.len() <= input.len(), "more blobs than bytes");
    }
    manifest(input);
    if let Some((before, digest)) = input.split_last_chunk::<DIGEST>() {
        let fitting = blake3::hash(before);
        if fitting != *digest {
            manifest(&[before, fitting.as_bytes()].concat());
        }
    }
    input.len()
}

/// What is read as a manifest is written the same again.
fn manifest(bytes: &[u8]) {
    let Ok((header, _)) = ObjectHeader::decode(bytes, "fuzz") else {
        return;
    };
    let Some(key) = Key::parse(&header.key) else {
        return;
    };
    if let Ok(manifest) = Manifest::decode(bytes, header.store, header.shard, &key) {
        let again = Manifest::decode(&manifest.encode(), header.store, header.shard, &key);
        assert_eq!(again.expect("what was written is read"), manifest);
    }
}

fn objects() -> Vec<Vec<u8>> {
    ["blocks", "blobs", "snapshots"]
        .into_iter()
        .flat_map(|folder| seeds::kept_objects(&format!("cold/{folder}")))
        .collect()
}
