//! A failing sync, a full disk, a torn tail, a flipped byte.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::wait;
use coldpost_tiers::disk::{Disk, DiskFile, FaultyDisk};
use coldpost_tiers::hot::digest::{Columns, of_rows};

use super::kit::{Change, Running, Setup, check, dir};
use crate::error::Kind;
use crate::journal::embedded::local_segments;
use crate::op::Outcome;

/// A disk whose failing sync fails once: what it should have covered is lost, the next one goes well.
#[derive(Clone, Debug)]
pub(super) struct FailsOnce(pub(super) FaultyDisk);

#[derive(Debug)]
struct FailsOnceFile(FaultyDisk, Arc<dyn DiskFile>);

fn mended<T>(disk: &FaultyDisk, done: io::Result<T>) -> io::Result<T> {
    done.inspect_err(|_| disk.mend())
}

impl Disk for FailsOnce {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FailsOnceFile(self.0.clone(), self.0.open(path)?)))
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(FailsOnceFile(
            self.0.clone(),
            self.0.create(path)?,
        )))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.create_dir(dir)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        mended(&self.0, self.0.sync_dir(dir))
    }
    fn free_bytes(&self, path: &Path) -> io::Result<u64> {
        self.0.free_bytes(path)
    }
    fn total_bytes(&self, _path: &Path) -> io::Result<u64> {
        // Large enough for the reserves to be what they are.
        Ok(1 << 30)
    }
}

impl DiskFile for FailsOnceFile {
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        self.1.read_at(offset, into)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.1.write_at(offset, bytes)
    }
    fn sync_data(&self) -> io::Result<()> {
        mended(&self.0, self.1.sync_data())
    }
    fn len(&self) -> io::Result<u64> {
        self.1.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.1.set_len(len)
    }
}

/// The newest journal file.
/// Bytes of a page of redb.
const PAGE: u64 = 4096;

fn newest(disk: &FaultyDisk) -> PathBuf {
    local_segments(disk, &dir().join("journal"))
        .unwrap()
        .pop()
        .unwrap()
        .path
}

fn length(disk: &FaultyDisk, path: &Path) -> u64 {
    disk.open(path).unwrap().len().unwrap()
}

fn bytes(disk: &FaultyDisk, path: &Path) -> Vec<u8> {
    let file = disk.open(path).unwrap();
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// A disk with an account and some mail, all acknowledged, in one open segment; nothing but the journal was synced since.
fn filled(dice: &mut Dice) -> (FaultyDisk, Running, Vec<(Change, Outcome)>) {
    let disk = FaultyDisk::new();
    let running = Running::open(quiet(&disk)).unwrap();
    let mut acknowledged = Vec::new();
    let first = Change::open_account(dice);
    acknowledged.push((first.clone(), running.submit(&first).unwrap()));
    for _ in 0..5 {
        let mail = Change::mail(dice, 700);
        acknowledged.push((mail.clone(), running.submit(&mail).unwrap()));
    }
    (disk, running, acknowledged)
}

/// No durable commit of the hot tier, no cut.
pub(super) fn quiet(disk: &FaultyDisk) -> Setup {
    Setup {
        segment_size: 1 << 20,
        durable_every: Duration::from_secs(3600),
        ..Setup::on(disk)
    }
}

#[test]
fn a_batch_whose_sync_fails_is_refused_and_the_next_ones_are_taken() {
    // Each sync of the work in turn: of a batch, of a sealed segment, of its name, of the next file.
    for nth in 0..60 {
        let (disk, hot) = (FaultyDisk::new(), FaultyDisk::new());
        let mut dice = Dice::new(nth);
        let setup = || Setup {
            journal: Arc::new(FailsOnce(disk.clone())),
            hot: Arc::new(hot.clone()),
            ..Setup::on(&disk)
        };
        let running = Running::open(setup()).unwrap();
        let mut acknowledged = Vec::new();
        let first = Change::open_account(&mut dice);
        acknowledged.push((first.clone(), running.submit(&first).unwrap()));
        disk.fail_sync(nth);
        let mut refused = Vec::new();
        for _ in 0..60 {
            let mail = Change::mail(&mut dice, 900);
            match running.submit(&mail) {
                Ok(outcome) => acknowledged.push((mail, outcome)),
                Err(e) if e.kind() == Kind::Unavailable => refused.push(mail),
                Err(e) => panic!("sync {nth}: {e}"),
            }
        }
        // Once: what failed is rescued, or repeated where it may be.
        assert_eq!(refused.len(), 1, "sync {nth}");
        // The start after it has exactly what was acknowledged: one refused batch was not kept.
        drop(running);
        let running = Running::open(setup()).unwrap_or_else(|e| panic!("sync {nth}: {e}"));
        let count = u64::try_from(acknowledged.len()).unwrap();
        assert_eq!(running.shard.durable().0, count, "sync {nth}");
        check(&running, &disk, &acknowledged, &format!("sync {nth}"));
    }
}

#[test]
fn a_full_disk_refuses_and_heals_by_itself() {
    let (disk, hot) = (FaultyDisk::new(), FaultyDisk::new());
    let mut dice = Dice::new(1);
    let setup = || Setup {
        hot: Arc::new(hot.clone()),
        ..Setup::on(&disk)
    };
    let running = Running::open(setup()).unwrap();
    let mut acknowledged = Vec::new();
    let first = Change::open_account(&mut dice);
    acknowledged.push((first.clone(), running.submit(&first).unwrap()));
    for room in (0..8_000).step_by(131) {
        disk.set_room(Some(room));
        loop {
            let mail = Change::mail(&mut dice, 800);
            match running.submit(&mail) {
                Ok(outcome) => acknowledged.push((mail, outcome)),
                Err(e) => break assert_eq!(e.kind(), Kind::Unavailable, "room {room}: {e}"),
            }
        }
        disk.set_room(None);
        let mail = Change::mail(&mut dice, 800);
        let outcome = running
            .submit(&mail)
            .unwrap_or_else(|e| panic!("room {room}: it does not heal: {e}"));
        acknowledged.push((mail, outcome));
    }
    drop(running);
    let running = Running::open(setup()).unwrap();
    assert_eq!(
        running.shard.durable().0,
        u64::try_from(acknowledged.len()).unwrap()
    );
    check(&running, &disk, &acknowledged, "after all of it");
}

#[test]
fn a_hot_tier_whose_disk_is_full_is_rebuilt_when_there_is_room() {
    let (disk, hot) = (FaultyDisk::new(), FaultyDisk::new());
    let mut dice = Dice::new(2);
    let running = Running::open(Setup {
        hot: Arc::new(hot.clone()),
        ..Setup::on(&disk)
    })
    .unwrap();
    let first = Change::open_account(&mut dice);
    let mut acknowledged = vec![(first.clone(), running.submit(&first).unwrap())];
    hot.set_room(Some(0));
    let mail = Change::mail(&mut dice, 800);
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        let (running, mail) = (&running, &mail);
        scope.spawn(move || {
            let told = tell.send(running.submit(mail));
            assert!(told.is_ok(), "the test waits for the answer");
        });
        wait::until(
            "the hot tier to be closed or the answer to come",
            Duration::from_secs(20),
            || running.shard.hot.get().is_err(),
        );
        hot.set_room(None);
        let outcome = told.recv().unwrap().expect("what is durable is applied");
        acknowledged.push((mail.clone(), outcome));
    });
    let mail = Change::mail(&mut dice, 800);
    acknowledged.push((mail.clone(), running.submit(&mail).unwrap()));
    check(&running, &disk, &acknowledged, "after it healed");
}

#[test]
fn a_hot_tier_whose_sync_failed_is_not_believed_after_a_power_cut() {
    let mut hits = 0;
    for seed in 0..100 {
        let (disk, hot) = (FaultyDisk::new(), FaultyDisk::new());
        let mut dice = Dice::new(seed);
        let setup = Setup {
            hot: Arc::new(FailsOnce(hot.clone())),
            ..Setup::on(&disk)
        };
        let running = Running::open(setup).unwrap();
        let first = Change::open_account(&mut dice);
        let mut acknowledged = vec![(first.clone(), running.submit(&first).unwrap())];
        let armed = hot.syncs() + dice.below(12);
        hot.fail_sync(armed - hot.syncs());
        for _ in 0..60 {
            let change = Change::random(&mut dice);
            let outcome = running
                .submit(&change)
                .unwrap_or_else(|e| panic!("seed {seed}: what is durable is applied: {e}"));
            acknowledged.push((change, outcome));
        }
        hits += usize::from(hot.syncs() > armed);
        let (disk, hot) = (disk.crash(seed), hot.crash(seed));
        drop(running);
        let setup = Setup {
            hot: Arc::new(hot),
            ..Setup::on(&disk)
        };
        let running = Running::open(setup).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        check(&running, &disk, &acknowledged, &format!("seed {seed}"));
    }
    assert!(hits > 50, "only {hits} syncs failed");
}

#[test]
fn a_torn_tail_is_cut_and_nothing_else() {
    let mut dice = Dice::new(3);
    let (disk, running, mut acknowledged) = filled(&mut dice);
    let before = length(&disk, &newest(&disk));
    let mail = Change::mail(&mut dice, 700);
    let last = (mail.clone(), running.submit(&mail).unwrap());
    let whole = disk.crash(0);
    drop(running);
    let path = newest(&whole);
    let end = length(&whole, &path);
    for cut in before..end {
        let disk = whole.crash(0);
        disk.open(&path).unwrap().set_len(cut).unwrap();
        if cut.is_multiple_of(3) {
            // And a page that never arrived behind it.
            disk.open(&path).unwrap().set_len(cut + 4096).unwrap();
        }
        let running = Running::open(quiet(&disk)).unwrap_or_else(|e| panic!("cut at {cut}: {e}"));
        assert_eq!(running.shard.durable().0, 6, "cut at {cut}");
        if cut.is_multiple_of(50) {
            check(&running, &disk, &acknowledged, &format!("cut at {cut}"));
        }
    }
    acknowledged.push(last);
    check(
        &Running::open(quiet(&whole)).unwrap(),
        &whole,
        &acknowledged,
        "whole",
    );
}

#[test]
fn a_flipped_byte_in_what_was_promised_is_named_and_never_cut() {
    let mut dice = Dice::new(4);
    let (disk, running, acknowledged) = filled(&mut dice);
    let path = newest(&disk);
    let before = length(&disk, &path);
    // An idle journal states within a second or so that its last batch was promised.
    wait::until("the idle mark", Duration::from_secs(10), || {
        length(&disk, &path) > before
    });
    wait::until(
        "the idle mark to be synced",
        Duration::from_secs(10),
        || length(&disk.crash(1), &path) > before,
    );
    let whole = disk.crash(0);
    drop(running);
    let step = 97;
    for at in (0..before).step_by(step).chain([before - 1]) {
        let disk = whole.crash(0);
        let file = disk.open(&path).unwrap();
        let mut byte = [0];
        file.read_at(at, &mut byte).unwrap();
        file.write_at(at, &[byte[0] ^ 0x10]).unwrap();
        file.sync_data().unwrap();
        let damaged = bytes(&disk, &path);
        let error = match Running::open(quiet(&disk)) {
            Err(error) => error,
            Ok(_) => panic!("byte {at} of {before} was flipped unnoticed"),
        };
        assert_ne!(error.kind(), Kind::Unavailable, "byte {at}: {error}");
        assert!(
            error.to_string().contains("00000001-0000000000000001.open"),
            "byte {at}: {error}"
        );
        assert!(
            bytes(&disk, &path) == damaged,
            "byte {at}: the file was changed"
        );
    }
    check(
        &Running::open(quiet(&whole)).unwrap(),
        &whole,
        &acknowledged,
        "whole",
    );
}

#[test]
fn a_journal_that_ends_before_the_hot_tier_stays_down() {
    let mut dice = Dice::new(5);
    let (disk, running, _) = filled(&mut dice);
    let path = newest(&disk);
    let early = length(&disk, &path);
    for _ in 0..3 {
        running.submit(&Change::mail(&mut dice, 700)).unwrap();
    }
    drop(running);
    disk.open(&path).unwrap().set_len(early).unwrap();
    let error = Running::open(quiet(&disk))
        .err()
        .expect("positions would be given twice");
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(
        error
            .to_string()
            .contains("restore the store from its bucket"),
        "{error}"
    );
}

/// redb looks at no checksum on its way: a page may make it refuse, panic or give other rows. It must not cost the shard.
#[test]
fn a_damaged_page_of_the_hot_tier_stops_nobody_and_is_made_anew() {
    let mut dice = Dice::from_env();
    let (disk, running, mut acknowledged) = filled(&mut dice);
    for _ in 0..150 {
        let change = Change::mail(&mut dice, 100);
        acknowledged.push((change.clone(), running.submit(&change).unwrap()));
    }
    drop(running);
    let path = dir().join("hot.redb");
    let pages = length(&disk, &path) / PAGE;
    let mut met = 0;
    for page in 0..pages {
        let context = format!("page {page} of {pages}");
        let image = disk.crash(0);
        let file = image.open(&path).unwrap();
        // Where a page says what it is and how many rows it has.
        file.write_at(page * PAGE, &[0xa5; 64]).unwrap();
        let running = Running::open(quiet(&image)).unwrap_or_else(|e| panic!("{context}: {e}"));
        let read = running.shard.hot.read();
        let read = read.and_then(|state| Ok(of_rows(&state, Columns::All)?));
        // Somebody writes on meanwhile, as well as it goes.
        let more = Change::mail(&mut dice, 100);
        let added = running.submit(&more);
        drop(running);
        let names = image.list(dir()).unwrap();
        let is_noticed = names.contains(&"hot.redb.damaged".to_owned());
        assert!(is_noticed || read.is_ok(), "{context}: {read:?}");
        if is_noticed {
            met += 1;
            let running = Running::open(quiet(&image)).unwrap_or_else(|e| panic!("{context}: {e}"));
            let mut acknowledged = acknowledged.clone();
            acknowledged.extend(added.ok().map(|outcome| (more, outcome)));
            check(&running, &image, &acknowledged, &context);
        }
    }
    println!("{met} of {pages} pages were noticed");
    assert!(met > 0);
}

/// The newest segment is never evicted: a start without any has lost entries, and would give their positions and UIDs again.
#[test]
fn a_journal_whose_last_file_is_gone_stays_down() {
    let mut dice = Dice::from_env();
    let (disk, running, acknowledged) = filled(&mut dice);
    drop(running);
    let path = newest(&disk);
    let whole = bytes(&disk, &path);
    disk.remove(&path).unwrap();
    let refused = Running::open(quiet(&disk)).map(drop).unwrap_err();
    assert_eq!(refused.kind(), Kind::Corrupt);
    assert!(
        refused.to_string().contains("entries are missing"),
        "{refused}"
    );
    disk.create(&path).unwrap().write_at(0, &whole).unwrap();
    let running = Running::open(quiet(&disk)).unwrap();
    check(&running, &disk, &acknowledged, "put back");
}
