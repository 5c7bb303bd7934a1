//! What every journal must do, whatever keeps it: the same promises, the same tests.
//!
//! A journal is handed in as something that opens it again on what it wrote, so that each promise is asked of the running one and
//! of the next start.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use coldpost_testkit::dice::Dice;
use coldpost_tiers::address::{BlobId, Extent, FrameRef, Recode};
use coldpost_tiers::disk::{Disk, FaultyDisk};
use coldpost_tiers::segment::{IndexEntry, Lineage};

use super::super::embedded::{Embedded, EmbeddedSettings, local_segments};
use super::super::{Journal, Record, index_of};
use crate::apply::At;
use crate::error::{Error, Kind};
use crate::ids::{AccountId, Epoch, Position, ShardNo, StoreId};
use crate::op::{self, Add, Entry, NewMessage, Op, OpId};

const SEGMENT_SIZE: u64 = 4_000;

/// A journal that can be opened again.
trait Kept {
    fn journal(&self) -> Box<dyn Journal>;
}

impl Kept for FaultyDisk {
    fn journal(&self) -> Box<dyn Journal> {
        Box::new(embedded(self).expect("the journal opens"))
    }
}

fn embedded(disk: &FaultyDisk) -> Result<Embedded, Error> {
    embedded_on(Arc::new(disk.clone()))
}

pub(super) fn embedded_on(disk: Arc<dyn Disk>) -> Result<Embedded, Error> {
    let settings = EmbeddedSettings {
        disk,
        dir: PathBuf::from("journal"),
        lineage: Lineage {
            store: StoreId([3; 16]),
            shard: ShardNo(1),
            epoch: Epoch(1),
        },
        segment_size: SEGMENT_SIZE,
        hint: (Position(0), 0),
        applied: Position(0),
    };
    Ok(Embedded::open(settings)?.journal)
}

pub(super) fn record(dice: &mut Dice, op: Op, body: Bytes) -> Record {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&dice.draw().to_le_bytes());
    let known = (Epoch(1), Position(0));
    let entry = Entry {
        time_ms: dice.below(1 << 40),
        id: OpId(id),
        known,
        op,
    };
    let meta = Bytes::from(op::encode(&entry));
    Record { entry, meta, body }
}

fn account(dice: &mut Dice) -> Record {
    let (account, name) = (AccountId(dice.draw()), "a".repeat(dice.index(40)));
    record(dice, Op::OpenAccount { account, name }, Bytes::new())
}

/// One to three messages of some hundred bytes, one of them with a gap.
fn mail(dice: &mut Dice) -> Record {
    let mut body = Vec::new();
    let mut messages = Vec::new();
    for number in 0..1 + dice.below(3) {
        let mut extents = Vec::new();
        for _ in 0..1 + dice.below(2) {
            let stored = u32::try_from(50 + dice.below(500)).expect("a small number");
            body.extend((0..stored).map(|_| dice.draw().to_le_bytes()[0]));
            let (raw, crc) = (3 * stored, 1);
            extents.push(Extent::Frame(FrameRef { stored, raw, crc }));
            if number == 1 {
                let (blob, length) = (BlobId([dice.draw().to_le_bytes()[0]; 16]), 999);
                let (offset, recode) = (0, Recode::Same);
                extents.push(Extent::Blob {
                    blob,
                    offset,
                    length,
                    recode,
                });
            }
        }
        messages.push(NewMessage {
            size: extents.iter().map(Extent::raw_len).sum(),
            crc: 7,
            extents,
            blobs: Vec::new(),
            row: Bytes::from_static(b"row"),
            thread_keys: Vec::new(),
        });
    }
    let (group, targets) = (None, Vec::new());
    let add = Add {
        group,
        messages,
        targets,
    };
    record(dice, Op::Add(add), Bytes::from(body))
}

pub(super) fn batch(dice: &mut Dice) -> Vec<Record> {
    let most = 1 + dice.below(6);
    (0..most)
        .map(|_| {
            if dice.below(3) == 0 {
                account(dice)
            } else {
                mail(dice)
            }
        })
        .collect()
}

/// All entries after a position, with where they stand.
pub(super) fn read(journal: &dyn Journal, after: u64) -> Vec<(At, Record)> {
    let mut found = Vec::new();
    let done = journal.read_after(Position(after), &mut |at, record| {
        found.push((at, record));
        Ok(())
    });
    done.expect("the journal is read");
    found
}

pub(super) fn same(found: &[(At, Record)], expected: &[(At, Record)], context: &str) {
    let shown = |all: &[(At, Record)]| -> Vec<String> {
        all.iter().map(|(at, r)| format!("{at:?} {r:?}")).collect()
    };
    assert!(
        shown(found) == shown(expected),
        "{context}: what is read is not what was appended"
    );
}

/// Positions follow one another from 1; what was appended is read, from any position, now and after a start; a reader that fails is told so.
fn appends_in_order_and_reads_from_any_position(kept: &dyn Kept) {
    let mut dice = Dice::new(11);
    let mut written: Vec<(At, Record)> = Vec::new();
    for round in 0..4 {
        let mut journal = kept.journal();
        assert_eq!(journal.last().0, written.len() as u64, "round {round}");
        for _ in 0..8 {
            let records = batch(&mut dice);
            let given = journal.append(&records, 5);
            assert!(given.failed.is_none(), "{:?}", given.failed);
            written.extend(given.at.into_iter().zip(records));
            assert_eq!(journal.last().0, written.len() as u64);
        }
        journal.idle(6).expect("an idle mark");
        let positions: Vec<u64> = written.iter().map(|(at, _)| at.position.0).collect();
        assert!(
            positions.iter().copied().eq(1..=written.len() as u64),
            "{positions:?}"
        );
        for after in 0..=written.len() {
            let found = read(&*journal, after as u64);
            same(
                &found,
                &written[after..],
                &format!("round {round}, after {after}"),
            );
        }
    }
    let mut seen = 0;
    let stopped = kept.journal().read_after(Position(0), &mut |_, _| {
        seen += 1;
        if seen < 3 {
            Ok(())
        } else {
            Err(Error::new(Kind::Limit, "enough"))
        }
    });
    assert_eq!((stopped.map_err(|e| e.kind()), seen), (Err(Kind::Limit), 3));
}

/// A segment ends before the record that would take it over its size, and after a `cut`; its index says where each message is.
fn seals_by_size_and_by_cut_with_an_index_of_every_message(kept: &dyn Kept) {
    let mut dice = Dice::new(12);
    let mut journal = kept.journal();
    let mut written: Vec<(At, Record)> = Vec::new();
    let mut sealed = 0;
    for turn in 0..40 {
        let mut records = batch(&mut dice);
        if turn % 7 == 3 {
            let cut = record(&mut dice, Op::Cut, Bytes::new());
            records.insert(dice.index(records.len()), cut);
        }
        let first = written.len();
        let given = journal.append(&records, 5);
        assert!(given.failed.is_none(), "{:?}", given.failed);
        written.extend(given.at.into_iter().zip(records));
        for (after, segment) in given.sealed {
            sealed += 1;
            let footer = *segment.footer();
            let end = written[..first + after]
                .last()
                .expect("an entry")
                .0
                .position;
            assert_eq!(
                footer.last, end,
                "it was sealed after entry {after} of the batch"
            );
            let from = usize::try_from(footer.first.0 - 1).expect("a small number");
            let to = usize::try_from(footer.last.0).expect("a small number");
            let held = &written[from..to];
            let index: Vec<IndexEntry> = held
                .iter()
                .flat_map(|(at, r)| index_of(&r.entry, at))
                .collect();
            assert_eq!(segment.index().expect("its index"), index);
            assert!(held.iter().all(|(at, _)| at.segment_first == footer.first));
            assert!(footer.record_bytes <= SEGMENT_SIZE || footer.records == 1);
            let cuts = held.iter().filter(|(_, r)| r.entry.op == Op::Cut).count();
            let ends_with_cut = held.last().is_some_and(|(_, r)| r.entry.op == Op::Cut);
            assert_eq!(cuts, usize::from(ends_with_cut), "a cut ends its segment");
        }
    }
    assert!(sealed > 20, "only {sealed} segments");
    same(&read(&*kept.journal(), 0), &written, "after a start");
}

#[test]
fn the_embedded_journal_appends_in_order_and_reads_from_any_position() {
    appends_in_order_and_reads_from_any_position(&FaultyDisk::new());
}

#[test]
fn the_embedded_journal_seals_by_size_and_by_cut_with_an_index_of_every_message() {
    seals_by_size_and_by_cut_with_an_index_of_every_message(&FaultyDisk::new());
}

/// The newest file and its length.
fn newest(disk: &FaultyDisk) -> (PathBuf, u64) {
    let files = local_segments(disk, Path::new("journal")).expect("a listing");
    let path = files.last().expect("a file").path.clone();
    let length = disk
        .open(&path)
        .and_then(|file| file.len())
        .expect("its length");
    (path, length)
}

#[test]
fn a_batch_cut_at_every_byte_recovers_to_its_whole_records_and_never_less_than_was_promised() {
    let mut dice = Dice::new(13);
    let disk = FaultyDisk::new();
    let mut journal = embedded(&disk).expect("the journal opens");
    let mut written: Vec<(At, Record)> = Vec::new();
    let mut append = |journal: &mut Embedded, records: Vec<Record>| {
        let given = journal.append(&records, 5);
        assert!(given.failed.is_none() && given.sealed.is_empty());
        written.extend(given.at.into_iter().zip(records));
        written.len()
    };
    let first = vec![account(&mut dice), account(&mut dice)];
    let promised = append(&mut journal, first);
    let before = newest(&disk).1;
    let last = vec![account(&mut dice), mail(&mut dice), account(&mut dice)];
    append(&mut journal, last);
    drop(journal);
    let (path, length) = newest(&disk);
    for cut in before..=length {
        let torn = disk.crash(0);
        let file = torn.open(&path).expect("the segment");
        file.set_len(cut).expect("cutting");
        file.sync_data().expect("a sync");
        let journal = embedded(&torn).expect("the journal opens");
        let whole = written
            .iter()
            .filter(|(at, _)| at.end_offset <= cut)
            .count();
        assert_eq!(journal.last().0, whole as u64, "cut at {cut} of {length}");
        assert!(whole >= promised);
        same(
            &read(&journal, 0),
            &written[..whole],
            &format!("cut at {cut}"),
        );
        drop(journal);
        let kept = read(&embedded(&torn.crash(1)).expect("the journal opens"), 0).len();
        assert_eq!(kept, whole, "cut at {cut}: what is kept is durable");
    }
}
