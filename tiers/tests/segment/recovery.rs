//! An open segment after a crash: what was promised stays, what was not is cut, what is damaged is named.

use crate::kit::*;
use coldpost_tiers::Kind;
use coldpost_tiers::address::{Epoch, Position};
use coldpost_tiers::disk::{Disk, FaultyDisk};
use coldpost_tiers::object::ObjectHeader;
use coldpost_tiers::segment::{Lineage, SealedSegment, SegmentReader, finish_seal};

/// Three synced batches of 2, 1 and 3 mails; the ends of everything that is whole; and how many records lie before each.
fn journal() -> (Vec<u8>, Vec<Mail>, Vec<(u64, usize)>) {
    let disk = FaultyDisk::new();
    let mut open = create(&disk);
    let mails: Vec<Mail> = (1..=6).map(|n| Mail::new(n, 40 * usize::from(n))).collect();
    let mut ends = vec![(open.written().offset, 0)];
    for batch in [0..2, 2..3, 3..6] {
        let start = open.written().offset;
        ends.push((start + 56, batch.start));
        let placed = append(&mut open, &mails[batch.clone()]);
        ends.extend(placed.iter().zip(batch).map(|(p, n)| (p.end_offset, n + 1)));
        open.sync().unwrap();
    }
    (read(&disk, &open_path()), mails, ends)
}

#[test]
fn batches_cut_at_every_byte_recover_to_the_last_whole_record() {
    let (bytes, mails, ends) = journal();
    for cut in 0..=bytes.len() {
        let disk = disk_with(&open_path(), &bytes[..cut]);
        let cut = u64::try_from(cut).unwrap();
        let Some((end, count)) = ends.iter().rev().find(|(end, _)| *end <= cut) else {
            assert!(
                recover(&disk, 0).unwrap().is_none(),
                "cut at {cut}: no whole header"
            );
            continue;
        };
        let mut recovered = recover(&disk, 0).unwrap().unwrap();
        assert_eq!(
            (recovered.open.durable().offset, recovered.torn),
            (*end, cut - end),
            "cut at {cut}"
        );
        assert_eq!(
            contents(&disk, &open_path()),
            expected(&mails[..*count]),
            "cut at {cut}"
        );
        let more = Mail::new(99, 10);
        append(&mut recovered.open, std::slice::from_ref(&more));
        recovered.open.sync().unwrap();
        let all = [&mails[..*count], &[more]].concat();
        assert_eq!(
            contents(&disk.crash(0), &open_path()),
            expected(&all),
            "cut at {cut}"
        );
    }
}

#[test]
fn garbage_behind_the_durable_offset_is_cut_and_whole_records_stay() {
    let (bytes, mails, _) = journal();
    let garbage = [&bytes[..], &[0; 300], &bytes[100..400]].concat();
    let disk = disk_with(&open_path(), &garbage);
    let recovered = recover(&disk, u64::try_from(bytes.len()).unwrap())
        .unwrap()
        .unwrap();
    assert_eq!((recovered.torn, recovered.missing), (600, 0));
    assert_eq!(contents(&disk.crash(3), &open_path()), expected(&mails));
}

#[test]
fn a_flipped_bit_anywhere_below_the_durable_offset_is_named_and_never_cut() {
    let (bytes, mails, _) = journal();
    let disk = disk_with(&open_path(), &bytes);
    let mut open = recover(&disk, 0).unwrap().unwrap().open;
    open.idle_mark(5).unwrap();
    let marked = read(&disk, &open_path());
    assert_eq!(marked.len(), bytes.len() + 56);
    for at in 0..marked.len() {
        let mut bad = marked.clone();
        bad[at] ^= 1 << (at % 8);
        let disk = disk_with(&open_path(), &bad);
        let result = recover(&disk, 0);
        if at >= bytes.len() {
            assert_eq!(
                result.unwrap().unwrap().torn,
                56,
                "only the idle mark is lost"
            );
            assert_eq!(contents(&disk, &open_path()), expected(&mails));
            continue;
        }
        let error = result.unwrap_err();
        assert_named(&error, at);
        assert_eq!(read(&disk, &open_path()), bad, "byte {at}: nothing is cut");
        assert!(
            recover(&disk_with(&open_path(), &marked), 0).is_ok(),
            "put right, it opens"
        );
    }
}

#[test]
fn a_hint_makes_the_last_batch_as_safe_as_an_idle_mark() {
    let (bytes, _, _) = journal();
    let hint = u64::try_from(bytes.len()).unwrap();
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 0x80;
        assert_named(
            &recover(&disk_with(&open_path(), &bad), hint).unwrap_err(),
            at,
        );
    }
    let recovered = recover(&disk_with(&open_path(), &bytes), hint + 7)
        .unwrap()
        .unwrap();
    assert_eq!(
        (recovered.torn, recovered.missing),
        (0, 7),
        "the caller learns that more was known"
    );
}

/// Whoever only looks at a journal must call damage what a start refuses, and torn what it cuts.
#[test]
fn what_a_segment_says_was_promised_is_what_recovery_never_cuts() {
    let (bytes, mails, _) = journal();
    let disk = disk_with(&open_path(), &bytes);
    recover(&disk, 0)
        .unwrap()
        .unwrap()
        .open
        .idle_mark(5)
        .unwrap();
    let marked = read(&disk, &open_path());
    let promised = |disk: &FaultyDisk| {
        let reader = SegmentReader::open(disk, &open_path()).ok()?;
        Some(reader.promised().unwrap())
    };
    let last = Position(FIRST.0 - 1 + u64::try_from(mails.len()).unwrap());
    assert_eq!(promised(&disk), Some(last));
    let (mut refused, mut cut) = (0, 0);
    for at in 0..marked.len() {
        let mut flipped = marked.clone();
        flipped[at] ^= 1 << (at % 8);
        for bad in [
            &flipped[..],
            &flipped[..bytes.len().max(at + 1)],
            &marked[..at],
        ] {
            let disk = disk_with(&open_path(), bad);
            // Without a header it is told another way.
            let Some(promised) = promised(&disk) else {
                continue;
            };
            match recover(&disk, 0) {
                Ok(recovered) => {
                    let end = recovered.unwrap().open.durable().next;
                    assert!(promised < end, "byte {at}: {promised:?} is cut");
                    cut += usize::from(end <= last);
                }
                Err(error) => {
                    let text = error.to_string();
                    let lost = text.split_once("positions ").unwrap().1;
                    let lost = lost.split_once(' ').unwrap().0.parse().unwrap();
                    assert!(Position(lost) <= promised, "byte {at}: {text}");
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 1000 && cut > 1000, "{refused} {cut}");
}

/// The error names a range with this byte in it.
fn assert_named(error: &coldpost_tiers::Error, at: usize) {
    let Kind::Corrupt { offset, .. } = error.kind() else {
        panic!("byte {at}: {error}")
    };
    let text = error.to_string();
    let range = text
        .split_once("bytes ")
        .and_then(|(_, rest)| rest.split_once(" are damaged"))
        .unwrap()
        .0;
    let (start, end) = range.split_once("..").unwrap();
    let (start, end): (usize, usize) = (start.parse().unwrap(), end.parse().unwrap());
    assert_eq!(u64::try_from(start).unwrap(), *offset);
    assert!((start..end).contains(&at), "byte {at}: {text}");
}

#[test]
fn another_journals_segment_is_refused_in_words() {
    let (bytes, _, _) = journal();
    let disk = disk_with(&open_path(), &bytes);
    let other = coldpost_tiers::segment::Lineage {
        store: coldpost_tiers::address::StoreId([1; 16]),
        ..WHOSE
    };
    let shared: std::sync::Arc<dyn Disk> = std::sync::Arc::new(disk.clone());
    let error =
        coldpost_tiers::segment::recover(shared, &open_path(), other, FIRST, 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("{}: belongs to another store", open_path().display())
    );
    assert_eq!(read(&disk, &open_path()), bytes);
}

/// A file that was sealed but for its name, and where its records end.
fn nameless() -> (Vec<u8>, u64) {
    let disk = FaultyDisk::new();
    let mut open = create(&disk);
    let mails = [Mail::new(1, 100), Mail::new(2, 50)];
    let placed = append(&mut open, &mails);
    open.idle_mark(3).unwrap();
    let index = [mails[0].entry(&placed[0]), mails[1].entry(&placed[1])];
    let sealed = open.seal(&index).unwrap();
    (read(&disk, &sealed_path()), sealed.footer().index_offset)
}

#[test]
fn a_sealed_file_without_its_name_gets_it() {
    let (bytes, _) = nameless();
    let disk = disk_with(&open_path(), &bytes);
    let sealed = finish_seal(&disk, &open_path(), WHOSE, FIRST)
        .unwrap()
        .unwrap();
    assert_eq!(sealed.path(), sealed_path());
    let after = disk.crash(1);
    assert_eq!(after.list(dir()).unwrap().len(), 1);
    assert!(read(&after, &sealed_path()) == bytes);
}

#[test]
fn a_file_that_was_being_sealed_is_cut_back_to_its_records_and_sealed_again() {
    let (bytes, end) = nameless();
    let records = usize::try_from(end).unwrap();
    for cut in records..bytes.len() {
        let disk = disk_with(&open_path(), &bytes[..cut]);
        assert!(
            finish_seal(&disk, &open_path(), WHOSE, FIRST)
                .unwrap()
                .is_none(),
            "cut at {cut}"
        );
        let recovered = recover(&disk, 0).unwrap().unwrap();
        assert_eq!(recovered.open.durable().offset, end, "cut at {cut}");
        let index = SealedSegment::open(&disk_with(&open_path(), &bytes), &open_path())
            .unwrap()
            .index()
            .unwrap();
        recovered.open.seal(&index).unwrap();
        assert!(read(&disk, &sealed_path()) == bytes, "cut at {cut}");
    }
}

#[test]
fn a_hole_in_the_index_of_a_nameless_file_is_written_again_and_one_in_its_records_is_named() {
    let (bytes, end) = nameless();
    let records = usize::try_from(end).unwrap();
    for at in 0..bytes.len() {
        let mut bad = bytes.clone();
        bad[at] ^= 0x10;
        let disk = disk_with(&open_path(), &bad);
        assert!(
            finish_seal(&disk, &open_path(), WHOSE, FIRST)
                .unwrap()
                .is_none(),
            "byte {at}"
        );
        match recover(&disk, 0) {
            Ok(recovered) => {
                assert!(at >= records, "byte {at}");
                assert_eq!(recovered.unwrap().open.durable().offset, end);
            }
            Err(error) => {
                assert!(at < records, "byte {at}: {error}");
                assert_named(&error, at);
            }
        }
    }
}

#[test]
fn a_copied_piece_of_a_parents_segment_keeps_its_records_and_their_checksums() {
    let (bytes, mails, _) = journal();
    let length = header().encode().len();
    let own = ObjectHeader::segment(
        Lineage {
            epoch: Epoch(7),
            ..WHOSE
        },
        FIRST,
        CHAIN,
        header().key,
    );
    let copied = ObjectHeader {
        record_epoch: WHOSE.epoch,
        ..own.clone()
    };
    let piece = |header: &ObjectHeader| [&header.encode(), &bytes[length..]].concat();
    let path = sealed_path();
    assert_eq!(
        contents(&disk_with(&path, &piece(&copied)), &path),
        expected(&mails)
    );
    let wrong = disk_with(&path, &piece(&own));
    assert!(
        SegmentReader::open(&wrong, &path)
            .unwrap()
            .next_record()
            .is_err()
    );
}
