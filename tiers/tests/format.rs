//! Golden files of version 1: read for ever, and made again byte for byte from the same entries.
//!
//! `COLDPOST_WRITE_GOLDEN=1` writes a file that is not there yet; one that is there is never changed.

#[cfg(test)]
mod golden {
    use std::fmt::Write as _;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use coldpost_tiers::address::{
        BlobId, BlobRecord, Epoch, FrameRef, ObjectId, Position, Recode, ShardNo, StoreId,
    };
    use coldpost_tiers::blob::{blob_path, verify_blob, write_blob};
    use coldpost_tiers::disk::{Disk, RealDisk};
    use coldpost_tiers::object::{Lineage, ObjectHeader};
    use coldpost_tiers::segment::{Gap, IndexEntry, OpenSegment, RecordParts, SealedSegment};
    use coldpost_tiers::{frame, segment};
    use expect_test::expect;

    const STORE: StoreId = StoreId(*b"a golden store 1");
    const BLOB: BlobId = BlobId(*b"a golden blob 01");
    const FIRST: Position = Position(7);

    fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/fixtures/v1")
            .join(name)
    }

    /// The golden file; `make` gives its bytes when it is to be written.
    fn golden(name: &str, make: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
        let path = fixture(name);
        if !path.exists() && std::env::var_os("COLDPOST_WRITE_GOLDEN").is_some() {
            fs::write(&path, make()).unwrap();
        }
        fs::read(&path).unwrap()
    }

    const WHOSE: Lineage = Lineage {
        store: STORE,
        shard: ShardNo(1),
        epoch: Epoch(3),
    };

    fn raw(number: usize) -> Vec<u8> {
        format!(
            "Subject: golden {number}\r\n\r\n{}",
            "A line of the body.\r\n".repeat(number * 3)
        )
        .into_bytes()
    }

    fn meta(number: u8) -> Vec<u8> {
        let time = 1_700_000_000_000 + u64::from(number);
        [
            &[1, 1],
            &time.to_le_bytes()[..],
            &[number; 16],
            &6_u64.to_le_bytes(),
            b"payload",
        ]
        .concat()
    }

    /// Four records in two batches, an idle mark, the index with a gap, sealed. Bodies come from outside: zstd may compress otherwise
    /// one day, the format may not.
    fn make_segment(bodies: &[Vec<u8>]) -> Vec<u8> {
        let dir = tempfile::tempdir().unwrap();
        let key = "segments/0001/00000003/0000000000000007".to_owned();
        let header = ObjectHeader::segment(WHOSE, FIRST, 0xfeed_beef, key);
        let mut open = OpenSegment::create(Arc::new(RealDisk), dir.path(), header).unwrap();
        let metas: Vec<Vec<u8>> = (1..=4).map(meta).collect();
        let parts: Vec<RecordParts<'_>> = metas
            .iter()
            .zip(bodies)
            .map(|(meta, body)| RecordParts { meta, body })
            .collect();
        let mut placed = open.append_batch(&parts[..3], 1_700_000_000_100).unwrap();
        open.sync().unwrap();
        open.idle_mark(1_700_000_001_100).unwrap();
        placed.extend(open.append_batch(&parts[3..], 1_700_000_002_000).unwrap());
        let index: Vec<IndexEntry> = placed[1..]
            .iter()
            .enumerate()
            .map(|(number, placed)| {
                let raw = raw(number + 1);
                let mut entry = IndexEntry {
                    position: placed.position,
                    number: 0,
                    offset: placed.body_offset,
                    stored: placed.end_offset - placed.body_offset,
                    raw: u64::try_from(raw.len()).unwrap(),
                    crc: crc32c::crc32c(&raw),
                    gaps: Vec::new(),
                };
                if number == 2 {
                    let gap = Gap {
                        offset: entry.raw,
                        length: 300,
                        blob: BLOB,
                        recode: Recode::Same,
                    };
                    (entry.raw, entry.gaps) = (entry.raw + 300, vec![gap]);
                }
                entry
            })
            .collect();
        let sealed = open.seal(&index).unwrap();
        fs::read(sealed.path()).unwrap()
    }

    /// A record without a body, then three mails.
    fn bodies() -> Vec<Vec<u8>> {
        let packed = (1..=3).map(|n| frame::compress_message(&raw(n), &[10]).0);
        std::iter::once(Vec::new()).chain(packed).collect()
    }

    #[test]
    fn the_golden_segment_is_read_and_made_again_from_its_entries() {
        let bytes = golden("segment.seg", || make_segment(&bodies()));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("golden.seg");
        fs::write(&path, &bytes).unwrap();
        let sealed = SealedSegment::open(&RealDisk, &path).unwrap();
        let mut text = format!("{:?}\n{:?}\n", sealed.header(), sealed.footer());
        let mut kept = Vec::new();
        for record in sealed.records().unwrap() {
            let record = record.unwrap();
            writeln!(
                text,
                "{:?} meta {} body {}",
                record.at,
                record.meta.len(),
                record.body.len()
            )
            .unwrap();
            kept.push(record.body.to_vec());
        }
        for entry in sealed.index().unwrap() {
            writeln!(text, "{entry:?}").unwrap();
        }
        expect![[r#"
            ObjectHeader { store: StoreId([97, 32, 103, 111, 108, 100, 101, 110, 32, 115, 116, 111, 114, 101, 32, 49]), shard: ShardNo(1), epoch: Epoch(3), object: ObjectId { kind: Segment, id: [0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7] }, record_epoch: Epoch(3), chain: 4276993775, first: Position(7), last: Position(0), offset: 0, key: "segments/0001/00000003/0000000000000007" }
            Footer { first: Position(7), last: Position(10), records: 4, index_offset: 764, record_bytes: 455, chain: 2747875644, time_ms: 1700000000004 }
            Placed { position: Position(7), record_offset: 197, body_offset: 262, end_offset: 262, chain: 3283148615 } meta 41 body 0
            Placed { position: Position(8), record_offset: 262, body_offset: 327, end_offset: 392, chain: 4095085086 } meta 41 body 65
            Placed { position: Position(9), record_offset: 392, body_offset: 457, end_offset: 522, chain: 2363065322 } meta 41 body 65
            Placed { position: Position(10), record_offset: 634, body_offset: 699, end_offset: 764, chain: 2747875644 } meta 41 body 65
            IndexEntry { position: Position(8), number: 0, offset: 327, stored: 65, raw: 84, crc: 3620121898, gaps: [] }
            IndexEntry { position: Position(9), number: 0, offset: 457, stored: 65, raw: 147, crc: 3694370180, gaps: [] }
            IndexEntry { position: Position(10), number: 0, offset: 699, stored: 65, raw: 510, crc: 3284637534, gaps: [Gap { offset: 210, length: 300, blob: BlobId([97, 32, 103, 111, 108, 100, 101, 110, 32, 98, 108, 111, 98, 32, 48, 49]), recode: Same }] }
        "#]].assert_eq(&text);
        let found = sealed.verify().unwrap();
        assert_eq!(
            (found.records, found.messages, found.damage),
            (4, 3, Vec::new())
        );
        assert!(
            make_segment(&kept) == bytes,
            "the same entries make another file"
        );
        let mails: Vec<u8> = (1..=3).flat_map(raw).collect();
        assert_eq!(zstd::stream::decode_all(&bytes[..]).unwrap(), mails);
    }

    #[test]
    fn the_golden_open_segment_is_recovered() {
        let sealed = golden("segment.seg", || make_segment(&bodies()));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("golden.open");
        fs::write(&path, sealed).unwrap();
        let recovered = segment::recover(Arc::new(RealDisk), &path, WHOSE, FIRST, 0)
            .unwrap()
            .unwrap();
        expect!["Mark { offset: 764, next: Position(11), chain: 2747875644, records: 4, record_bytes: 455, time_ms: 1700000000004 } torn 156"].assert_eq(&format!(
            "{:?} torn {}",
            recovered.open.durable(),
            recovered.torn
        ));
    }

    #[test]
    fn the_golden_blob_is_read() {
        let key = "blobs/0001/6120676f6c64656e20626c6f62203031";
        let header = ObjectHeader::other(
            STORE,
            ShardNo(1),
            Epoch(3),
            ObjectId::blob(BLOB),
            key.to_owned(),
        );
        let raw: Vec<u8> = (0..40_000_u32)
            .flat_map(u32::to_le_bytes)
            .chain([7; 200_000])
            .collect();
        let dir = tempfile::tempdir().unwrap();
        let bytes = golden("blob", || {
            write_blob(&RealDisk, dir.path(), &header, &mut &raw[..]).unwrap();
            fs::read(blob_path(dir.path(), BLOB)).unwrap()
        });
        assert_eq!(zstd::stream::decode_all(&bytes[..]).unwrap(), raw);
        let (found, length) = ObjectHeader::decode(&bytes, "blob").unwrap();
        assert_eq!(found, header);
        assert_eq!(header.encode(), bytes[..length]);
        let mut frames: Vec<FrameRef> = Vec::new();
        let mut rest = &bytes[length..];
        while !rest.is_empty() {
            let n = zstd::zstd_safe::find_frame_compressed_size(rest).unwrap();
            let raw = zstd::zstd_safe::get_frame_content_size(rest)
                .ok()
                .flatten()
                .unwrap();
            let size = |n| u32::try_from(n).unwrap();
            frames.push(FrameRef {
                stored: size(n),
                raw: u32::try_from(raw).unwrap(),
                crc: crc32c::crc32c(&rest[..n]),
            });
            rest = &rest[n..];
        }
        expect!["145 [FrameRef { stored: 96873, raw: 262144, crc: 3255133540 }, FrameRef { stored: 22, raw: 97856, crc: 1481492118 }]"].assert_eq(&format!("{length} {frames:?}"));
        let record = BlobRecord {
            blob: BLOB,
            raw: u64::try_from(raw.len()).unwrap(),
            content: *blake3::hash(&raw).as_bytes(),
            object_bytes: u64::try_from(bytes.len()).unwrap(),
            object_digest: *blake3::hash(&bytes).as_bytes(),
            frames,
        };
        let path = dir.path().join("golden");
        fs::write(&path, &bytes).unwrap();
        verify_blob(&*RealDisk.open(&path).unwrap(), &path, &record).unwrap();
    }
}
