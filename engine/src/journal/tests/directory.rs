//! A seal whose directory is not synced: the journal waits for it and goes on, and a power cut meanwhile loses nothing.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use coldpost_testkit::dice::Dice;
use coldpost_tiers::disk::{Disk, DiskFile, FaultyDisk};
use coldpost_tiers::segment::FileState;

use super::super::embedded::{Embedded, local_segments};
use super::super::{Journal, Record};
use super::contract::{batch, embedded_on, read, record, same};
use crate::apply::At;
use crate::error::Kind;
use crate::op::Op;

/// A disk whose directories cannot be opened for some syncs, as when the process has no descriptor left.
#[derive(Clone, Debug, Default)]
struct Short {
    disk: FaultyDisk,
    failing: Arc<AtomicU64>,
}

impl Short {
    fn fail(&self, syncs: u64) {
        self.failing.store(syncs, Ordering::Relaxed);
    }

    fn fails(&self) -> bool {
        self.failing.load(Ordering::Relaxed) > 0
    }
}

impl Disk for Short {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(path)
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dir(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if self.fails() {
            self.failing.fetch_sub(1, Ordering::Relaxed);
            return Err(io::Error::other("too many open files"));
        }
        self.disk.sync_dir(dir)
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_bytes(path)
    }
    fn total_bytes(&self, path: &Path) -> io::Result<u64> {
        self.disk.total_bytes(path)
    }
}

/// Every entry that was acknowledged, after a power cut now.
fn survives(short: &Short, written: &[(At, Record)], context: &str) {
    for seed in 0..8 {
        let after = short.disk.crash(seed);
        let journal = embedded_on(Arc::new(after)).unwrap_or_else(|e| panic!("{context}: {e}"));
        same(&read(&journal, 0), written, &format!("{context}, {seed}"));
    }
}

/// Appends until all of `records` are taken; gives how often some were refused, and the segments sealed.
fn insist(
    short: &Short,
    journal: &mut Embedded,
    records: &[Record],
    written: &mut Vec<(At, Record)>,
) -> (u64, usize) {
    let (mut rest, mut refused, mut sealed) = (records, 0, 0);
    loop {
        let given = journal.append(rest, 5);
        let taken;
        (taken, rest) = rest.split_at(given.at.len());
        written.extend(given.at.into_iter().zip(taken.iter().cloned()));
        sealed += given.sealed.len();
        let Some(error) = given.failed else {
            return (refused, sealed);
        };
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        assert!(!journal.is_closed(), "{error}");
        journal
            .idle(6)
            .expect("nothing is to be marked, or it can be");
        refused += 1;
        survives(short, written, "while it is refused");
        if rest.is_empty() && !short.fails() {
            return (refused, sealed);
        }
    }
}

/// One "too many open files" closed the shard until a restart.
#[test]
fn a_seal_whose_directory_is_not_synced_refuses_for_now_and_goes_on_when_it_is() {
    for failures in [1, 2, 7] {
        let short = Short::default();
        let mut dice = Dice::new(failures);
        let mut journal = embedded_on(Arc::new(short.clone())).expect("the journal opens");
        let (mut written, mut refused, mut sealed) = (Vec::new(), 0, 0);
        for turn in 0..30 {
            let mut records = batch(&mut dice);
            if turn % 7 == 3 {
                records.push(record(&mut dice, Op::Cut, Bytes::new()));
            }
            short.fail(if turn % 3 == 0 { failures } else { 0 });
            let (more_refused, more_sealed) = insist(&short, &mut journal, &records, &mut written);
            (refused, sealed) = (refused + more_refused, sealed + more_sealed);
        }
        assert!(
            refused >= 3 * failures && sealed > 10,
            "{refused}, {sealed}"
        );
        same(&read(&journal, 0), &written, "at the end");
        let names = local_segments(&short, Path::new("journal")).expect("a listing");
        let whole = names.iter().filter(|file| file.state == FileState::Sealed);
        assert!(whole.count() >= sealed, "each was told once");
        survives(&short, &written, "at the end");
    }
}

/// What a sync of the directory that was believed wrongly would leave: the old name, and the next segment behind it.
#[test]
fn a_seal_that_lost_its_new_name_is_sealed_again_at_the_next_start_though_there_is_a_newer_segment()
{
    let short = Short::default();
    let mut dice = Dice::new(3);
    let mut journal = embedded_on(Arc::new(short.clone())).expect("the journal opens");
    let mut written = Vec::new();
    for _ in 0..30 {
        insist(&short, &mut journal, &batch(&mut dice), &mut written);
    }
    drop(journal);
    let dir = Path::new("journal");
    let files = local_segments(&short, dir).expect("a listing");
    for file in files.iter().filter(|file| file.state == FileState::Sealed) {
        let old = file.path.with_extension("open");
        short.disk.rename(&file.path, &old).expect("renamed");
    }
    short.disk.sync_dir(dir).expect("synced");
    survives(&short, &written, "under the old names");
}
