//! A sealed segment: a zstd file, checked to its last bit, read from anywhere.

use std::process::{Command, Stdio};

use crate::kit::*;
use coldpost_tiers::address::Position;
use coldpost_tiers::disk::{Disk, FaultyDisk};
use coldpost_tiers::limits::RECORD_MAX;
use coldpost_tiers::segment::{
    Placed, RecordParts, Salvage, Salvaged, SealedSegment, SegmentReader, record_len,
};
use coldpost_tiers::{Kind, Result};

/// Batches of two mails each, sealed.
fn sealed(mails: &[Mail]) -> (FaultyDisk, SealedSegment, Vec<Placed>) {
    let disk = FaultyDisk::new();
    let mut open = create(&disk);
    let mut placed = Vec::new();
    for batch in mails.chunks(2) {
        placed.extend(append(&mut open, batch));
        open.sync().unwrap();
    }
    let index: Vec<_> = mails.iter().zip(&placed).map(|(m, p)| m.entry(p)).collect();
    let sealed = open.seal(&index).unwrap();
    (disk, sealed, placed)
}

fn six() -> Vec<Mail> {
    (1..=6).map(|n| Mail::new(n, 30 * usize::from(n))).collect()
}

#[test]
fn zstd_gives_every_mail_cut_by_the_lengths_in_the_index() {
    let mut mails = six();
    mails.push(Mail::new(7, 600_000));
    mails.push(Mail::from_body(8, Vec::new(), Vec::new(), Vec::new()));
    mails.push(Mail::new(9, 0));
    let (disk, sealed, _) = sealed(&mails);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.seg");
    std::fs::write(&path, read(&disk, &sealed_path())).unwrap();
    let output = Command::new("zstd")
        .arg("-dc")
        .arg(&path)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    let mut rest = &output.stdout[..];
    for (entry, mail) in sealed.index().unwrap().iter().zip(&mails) {
        let (message, after) = rest.split_at(usize::try_from(entry.raw).unwrap());
        assert!(message == mail.raw, "position {}", entry.position.0);
        assert_eq!(entry.crc, crc32c::crc32c(message));
        rest = after;
    }
    assert!(rest.is_empty());
}

#[test]
fn what_was_sealed_is_verified_and_its_footer_says_what_it_holds() {
    let mails = six();
    let (disk, sealed, placed) = sealed(&mails);
    let found = sealed.verify().unwrap();
    assert_eq!(
        (found.records, found.messages, &found.damage[..]),
        (6, 6, &[][..])
    );
    let footer = sealed.footer();
    assert_eq!(
        (footer.first, footer.last, footer.records),
        (FIRST, Position(46), 6)
    );
    assert_eq!(
        (footer.chain, footer.time_ms),
        (placed[5].chain, 1_700_000_000_006)
    );
    let records: u64 = mails
        .iter()
        .map(|m| record_len(m.meta.len(), m.body.len()))
        .sum();
    assert_eq!(
        (footer.record_bytes, footer.index_offset),
        (records, placed[5].end_offset)
    );
    let bytes = read(&disk, &sealed_path());
    assert_eq!(sealed.digest().unwrap(), *blake3::hash(&bytes).as_bytes());
    assert_eq!(sealed.length(), u64::try_from(bytes.len()).unwrap());
    assert_eq!(contents(&disk, &sealed_path()), expected(&mails));
}

fn positions(reader: SegmentReader) -> Vec<u64> {
    reader.map(|r| r.unwrap().at.position.0).collect()
}

#[test]
fn reading_begins_at_any_position_or_known_place_and_ends_where_it_is_told() {
    let mails = six();
    let (disk, sealed, placed) = sealed(&mails);
    let open = || SegmentReader::open(&disk, &sealed_path()).unwrap();
    assert_eq!(
        positions(open().read_from(Position(44)).unwrap()),
        [44, 45, 46]
    );
    assert!(positions(open().read_from(Position(99)).unwrap()).is_empty());
    assert!(matches!(
        open().read_from(Position(40)).unwrap_err().kind(),
        Kind::NotFound
    ));
    let after = placed[2];
    assert_eq!(
        positions(open().resume_at(after.end_offset, Position(44), after.chain)),
        [44, 45, 46]
    );
    let wrong = open()
        .resume_at(after.end_offset, Position(44), after.chain ^ 1)
        .next()
        .unwrap();
    assert!(matches!(wrong.unwrap_err().kind(), Kind::Corrupt { .. }));
    assert_eq!(
        positions(open().up_to(placed[3].end_offset)),
        [41, 42, 43, 44]
    );
    let read: Vec<Placed> = open().map(|r| r.unwrap().at).collect();
    assert_eq!(read, placed);
    assert_eq!(sealed.header(), &header());
}

#[test]
fn every_flipped_bit_of_a_sealed_segment_is_found_and_every_other_batch_read() {
    let mails = six();
    let (disk, whole, placed) = sealed(&mails);
    let bytes = read(&disk, &sealed_path());
    let header_length = header().encode().len();
    let records_end = usize::try_from(whole.footer().index_offset).unwrap();
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        let disk = disk_with(&sealed_path(), &bad);
        let Ok(segment) = SealedSegment::open(&disk, &sealed_path()) else {
            assert!(
                at < header_length || at >= bytes.len() - 88,
                "byte {at}: header and footer are read at open"
            );
            continue;
        };
        let found = segment.verify().unwrap();
        let place = u64::try_from(at).unwrap();
        assert!(
            found.damage.iter().any(|d| d.range.contains(&place)),
            "byte {at}: {:?}",
            found.damage
        );
        if at >= records_end {
            assert_eq!(found.records, 6, "byte {at}");
            continue;
        }
        let salvage = Salvage::new(segment.records().unwrap());
        let left: Vec<Placed> = salvage.filter_map(|s| record_of(s).map(|r| r.at)).collect();
        let batch = placed.iter().position(|p| place < p.end_offset).unwrap() / 2;
        let outside = |p: &&Placed| {
            p.position.0 < 41 + 2 * size(batch) || p.position.0 >= 43 + 2 * size(batch)
        };
        for other in placed.iter().filter(outside) {
            assert!(
                left.contains(other),
                "byte {at}: position {} is whole",
                other.position.0
            );
        }
    }
}

/// What is known of the entries of a segment with a damaged byte in its records: their positions, and whether each is whole.
fn known(mut items: Salvage) -> Vec<(u64, bool)> {
    let mut known = Vec::new();
    for item in items.by_ref() {
        match item.unwrap() {
            Salvaged::Record(record) => known.push((record.at.position.0, true)),
            Salvaged::Suspect(record) => known.push((record.at.position.0, false)),
            Salvaged::Damage(_) => {}
        }
    }
    known
}

#[test]
fn a_flipped_bit_in_a_record_leaves_its_place_known_and_its_neighbours_whole() {
    const HEAD: u64 = 24;
    let (disk, whole, placed) = sealed(&six());
    let bytes = read(&disk, &sealed_path());
    let begin = header().encode().len();
    let end = usize::try_from(whole.footer().index_offset).unwrap();
    for at in begin..end {
        let mut bad = bytes.clone();
        bad[at] ^= 1 << (at % 8);
        let disk = disk_with(&sealed_path(), &bad);
        let reader = SegmentReader::open(&disk, &sealed_path()).unwrap();
        let known = known(Salvage::new(reader).with_suspects());
        let place = size(at);
        let hit = placed
            .iter()
            .find(|p| (p.record_offset..p.end_offset).contains(&place));
        let expected = |p: &Placed| (p.position.0, Some(p) != hit);
        match hit {
            // What is not behind its beginning may cost its batch.
            Some(p) if place < p.record_offset + HEAD => assert!(known.len() >= 4, "byte {at}"),
            _ => assert_eq!(
                known,
                placed.iter().map(expected).collect::<Vec<_>>(),
                "byte {at}"
            ),
        }
    }
}

#[test]
fn behind_a_damaged_header_every_record_is_read() {
    let (disk, _, placed) = sealed(&six());
    let mut bytes = read(&disk, &sealed_path());
    bytes[20] ^= 1;
    let disk = disk_with(&sealed_path(), &bytes);
    assert!(SegmentReader::open(&disk, &sealed_path()).is_err());
    let file = disk.open(&sealed_path()).unwrap();
    let mut known_header = header();
    known_header.chain = 0;
    let reader = SegmentReader::behind_header(file, &sealed_path(), known_header).unwrap();
    let all: Vec<_> = placed.iter().map(|p| (p.position.0, true)).collect();
    assert_eq!(known(Salvage::new(reader)), all);
}

fn size(n: usize) -> u64 {
    u64::try_from(n).unwrap()
}

fn record_of(item: Result<Salvaged>) -> Option<coldpost_tiers::segment::Record> {
    match item.unwrap() {
        Salvaged::Record(record) => Some(record),
        Salvaged::Suspect(_) | Salvaged::Damage(_) => None,
    }
}

#[test]
fn an_index_that_lies_about_a_mail_is_found() {
    let disk = FaultyDisk::new();
    let mails = six();
    let wrongs: [fn(&mut coldpost_tiers::segment::IndexEntry); 5] = [
        |e| e.crc ^= 1,
        |e| e.raw += 1,
        |e| e.offset += 1,
        |e| e.stored -= 1,
        |e| e.offset = 0,
    ];
    for wrong in wrongs {
        let mut open = create(&disk);
        let placed = append(&mut open, &mails);
        let mut index: Vec<_> = mails.iter().zip(&placed).map(|(m, p)| m.entry(p)).collect();
        wrong(&mut index[3]);
        let found = open.seal(&index).unwrap().verify().unwrap();
        assert_eq!(
            (found.records, found.messages, found.damage.len()),
            (6, 5, 1)
        );
        assert_eq!(found.damage[0].first_lost, Position(44));
    }
}

#[test]
fn a_mail_with_a_part_in_a_blob_has_a_gap_in_the_index() {
    let disk = FaultyDisk::new();
    let mut open = create(&disk);
    let mail = Mail::new(1, 500);
    let placed = append(&mut open, std::slice::from_ref(&mail));
    let entry = mail.entry_with_gap(&placed[0], 1_000_000);
    let sealed = open.seal(std::slice::from_ref(&entry)).unwrap();
    assert_eq!(sealed.index().unwrap(), [entry]);
    assert_eq!(sealed.verify().unwrap().damage, []);
}

#[test]
fn a_record_over_the_bound_is_refused_before_anything_is_written() {
    let disk = FaultyDisk::new();
    let mut open = create(&disk);
    let body = vec![0; RECORD_MAX];
    let before = *open.written();
    let error = open
        .append_batch(
            &[RecordParts {
                meta: b"",
                body: &body,
            }],
            0,
        )
        .unwrap_err();
    assert!(
        matches!(error.kind(), Kind::Limit) && error.to_string().contains("524288"),
        "{error}"
    );
    assert_eq!(*open.written(), before);
    let most = RecordParts {
        meta: b"",
        body: &body[24..],
    };
    open.append_batch(&[most, most], 0).unwrap();
    assert!(open.would_exceed(1, record_len(0, body.len() - 24) * 2));
    open.sync().unwrap();
    assert_eq!(
        positions(SegmentReader::open(&disk, &open_path()).unwrap()),
        [41, 42]
    );
}

#[test]
fn a_segment_without_records_is_not_sealed() {
    let disk = FaultyDisk::new();
    assert!(matches!(
        create(&disk).seal(&[]).unwrap_err().kind(),
        Kind::Internal
    ));
}
