//! The journal on a disk that forgets and fails.

use crate::kit::*;
use coldpost_tiers::Kind;
use coldpost_tiers::disk::{Disk, FaultyDisk};
use coldpost_tiers::segment::{OpenSegment, SealedSegment, finish_seal};

/// A sequence that only the seed decides.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % bound).unwrap()
    }
}

/// Appends some batches and syncs now and then; `durable` is how many mails were synced at the end.
fn work(open: &mut OpenSegment, mails: &mut Vec<Mail>, durable: &mut usize, dice: &mut Dice) {
    for _ in 0..1 + dice.below(6) {
        let batch: Vec<Mail> = (0..1 + dice.below(4))
            .map(|_| {
                let number = u8::try_from(mails.len() % 250).unwrap();
                let bytes = if dice.below(5) == 0 {
                    30_000
                } else {
                    dice.below(600)
                };
                let mail = Mail::new(number, bytes);
                mails.push(mail.clone());
                mail
            })
            .collect();
        append(open, &batch);
        if dice.below(3) > 0 {
            open.sync().unwrap();
            *durable = mails.len();
        }
        if dice.below(5) == 0 {
            open.idle_mark(7).unwrap();
            *durable = mails.len();
        }
    }
}

#[test]
fn everything_synced_survives_two_hundred_power_cuts() {
    for seed in 0..200 {
        let mut dice = Dice(seed);
        let mut disk = FaultyDisk::new();
        let mut open = create(&disk);
        let (mut mails, mut durable) = (Vec::new(), 0);
        for round in 0..3 {
            work(&mut open, &mut mails, &mut durable, &mut dice);
            let hint = if dice.below(2) == 0 {
                open.durable().offset
            } else {
                0
            };
            disk = disk.crash(seed * 3 + round);
            let recovered = recover(&disk, hint).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            open = recovered
                .unwrap_or_else(|| panic!("seed {seed}: the file is gone"))
                .open;
            let found = contents(&disk, &open_path());
            assert!(
                found.len() >= durable,
                "seed {seed}: {} of {durable} synced records are left",
                found.len()
            );
            assert_eq!(found, expected(&mails[..found.len()]), "seed {seed}");
            mails.truncate(found.len());
            durable = found.len();
            assert_eq!(
                contents(&disk.crash(seed), &open_path()).len(),
                durable,
                "seed {seed}: what is kept is synced"
            );
        }
    }
}

#[test]
fn a_power_cut_while_sealing_leaves_one_name_and_everything_synced() {
    for (seed, failing) in (0..40).flat_map(|seed| [(seed, 0), (seed, 1), (seed, 9)]) {
        let disk = FaultyDisk::new();
        let mut open = create(&disk);
        let mails = [Mail::new(1, 5000), Mail::new(2, 9000)];
        let placed = append(&mut open, &mails);
        open.sync().unwrap();
        disk.fail_sync(failing);
        let index: Vec<_> = mails.iter().zip(&placed).map(|(m, p)| m.entry(p)).collect();
        assert_eq!(open.seal(&index).is_ok(), failing == 9, "seed {seed}");
        let after = disk.crash(seed);
        if after.open(&sealed_path()).is_ok() {
            assert!(after.open(&open_path()).is_err(), "seed {seed}");
            let sealed = SealedSegment::open(&after, &sealed_path())
                .unwrap_or_else(|e| panic!("seed {seed}: {e}"));
            assert_eq!(sealed.verify().unwrap().messages, 2, "seed {seed}");
        } else {
            assert_ne!(
                failing, 9,
                "seed {seed}: a seal that came back good keeps its name"
            );
            recover(&after, 0).unwrap().unwrap();
            assert_eq!(
                contents(&after, &open_path()),
                expected(&mails),
                "seed {seed}"
            );
        }
    }
}

#[test]
fn a_failed_sync_is_final_and_what_was_durable_is_rescued_to_a_new_file() {
    let disk = FaultyDisk::new();
    let mut open = create(&disk);
    let safe = [Mail::new(1, 300), Mail::new(2, 30_000)];
    append(&mut open, &safe);
    open.sync().unwrap();
    let durable = *open.durable();
    append(&mut open, &[Mail::new(3, 300)]);
    disk.fail_sync(0);
    assert!(matches!(open.sync().unwrap_err().kind(), Kind::Unavailable));
    let syncs = disk.syncs();
    let again = open.sync().unwrap_err();
    assert!(
        again
            .to_string()
            .contains("only what was durable before can be rescued"),
        "{again}"
    );
    assert!(
        open.append_batch(&[Mail::new(4, 3).parts()], 0).is_err() && open.idle_mark(0).is_err()
    );
    assert_eq!(disk.syncs(), syncs, "it is not tried again");
    disk.mend();
    let mut rescued = open.rescue().unwrap();
    assert_eq!(*rescued.durable(), durable);
    append(&mut rescued, &[Mail::new(5, 20)]);
    rescued.sync().unwrap();
    let all = [&safe[..], &[Mail::new(5, 20)]].concat();
    for seed in 0..20 {
        let after = disk.crash(seed);
        assert_eq!(
            contents(&after, &open_path()),
            expected(&all),
            "seed {seed}"
        );
        assert_eq!(
            after.list(dir()).unwrap().len(),
            1,
            "seed {seed}: no file is left over"
        );
    }
}

#[test]
fn bytes_that_a_failed_sync_left_in_the_page_cache_are_written_anew_before_they_count() {
    let disk = FaultyDisk::new();
    let mut open = create(&disk);
    let mails = [Mail::new(1, 300), Mail::new(2, 9000)];
    append(&mut open, &mails[..1]);
    open.sync().unwrap();
    append(&mut open, &mails[1..]);
    disk.fail_sync(0);
    assert!(open.sync().is_err());
    drop(open);
    disk.mend();
    // The process starts again on the same machine: everything can be read, but not everything is on the disk.
    let recovered = recover(&disk, 0).unwrap().unwrap();
    assert_eq!(recovered.open.durable().records, 2);
    for seed in 0..20 {
        assert_eq!(
            contents(&disk.crash(seed), &open_path()),
            expected(&mails),
            "seed {seed}"
        );
    }
}

#[test]
fn a_power_cut_while_what_is_kept_is_copied_loses_nothing_that_was_synced() {
    for (seed, failing) in (0..20).flat_map(|seed| (0..3).map(move |failing| (seed, failing))) {
        let disk = FaultyDisk::new();
        let mut open = create(&disk);
        let mails = [Mail::new(1, 300), Mail::new(2, 9000)];
        append(&mut open, &mails);
        open.sync().unwrap();
        disk.fail_sync(failing);
        assert_eq!(
            recover(&disk, 0).is_ok(),
            failing == 2,
            "a copy takes two syncs"
        );
        let after = disk.crash(seed);
        recover(&after, 0).unwrap().unwrap();
        assert_eq!(
            contents(&after, &open_path()),
            expected(&mails),
            "seed {seed}, sync {failing}"
        );
        assert_eq!(after.list(dir()).unwrap().len(), 1, "no copy is left over");
    }
}

#[test]
fn a_rescue_on_a_disk_that_syncs_nothing_any_more_is_refused() {
    let disk = FaultyDisk::new();
    let mut open = create(&disk);
    append(&mut open, &[Mail::new(1, 10)]);
    disk.fail_sync(0);
    assert!(open.sync().is_err());
    assert!(matches!(
        open.rescue().unwrap_err().kind(),
        Kind::Unavailable
    ));
}

#[test]
fn a_full_disk_puts_a_seal_off_and_no_more() {
    let disk = FaultyDisk::new();
    let mut open = create(&disk);
    let mail = Mail::new(1, 500);
    let placed = append(&mut open, std::slice::from_ref(&mail));
    let index = [mail.entry(&placed[0])];
    disk.set_room(Some(20));
    assert!(open.try_seal(&index).is_err() && !open.is_broken());
    disk.set_room(None);
    assert_eq!(open.try_seal(&index).unwrap().verify().unwrap().messages, 1);
    let after = open.append_batch(&[mail.parts()], 0).unwrap_err();
    assert!(after.to_string().contains("final name"), "{after}");
    assert!(open.rescue().is_err());
    assert_eq!(disk.list(dir()).unwrap().len(), 1);
}

#[test]
fn a_seal_whose_sync_fails_is_rescued_and_sealed_again() {
    let disk = FaultyDisk::new();
    let mut open = create(&disk);
    let mail = Mail::new(1, 500);
    let placed = append(&mut open, std::slice::from_ref(&mail));
    open.sync().unwrap();
    let index = [mail.entry(&placed[0])];
    disk.fail_sync(0);
    assert!(open.try_seal(&index).is_err() && open.is_broken());
    disk.mend();
    open.rescue().unwrap().seal(&index).unwrap();
    let after = disk.crash(5);
    assert_eq!(after.list(dir()).unwrap().len(), 1);
    assert_eq!(
        SealedSegment::open(&after, &sealed_path())
            .unwrap()
            .verify()
            .unwrap()
            .damage,
        []
    );
}

/// It closed the shard until a restart, for one "too many open files".
#[test]
fn a_seal_whose_directory_is_not_synced_is_finished_later_and_a_power_cut_meanwhile_loses_nothing()
{
    for failures in [1, 2, 5] {
        let disk = FaultyDisk::new();
        let mut open = create(&disk);
        let mails = [Mail::new(1, 500), Mail::new(2, 30_000)];
        let placed = append(&mut open, &mails);
        open.sync().unwrap();
        let index: Vec<_> = mails.iter().zip(&placed).map(|(m, p)| m.entry(p)).collect();
        // Of the segment's own sync, then of the directory.
        disk.fail_sync(1);
        for _ in 0..failures {
            let error = open.try_seal(&index).unwrap_err();
            assert!(matches!(error.kind(), Kind::Unavailable), "{error}");
            assert!(open.is_named() && !open.is_broken());
            let refused = open.append_batch(&[mails[0].parts()], 0).unwrap_err();
            assert!(refused.to_string().contains("not durable yet"), "{refused}");
        }
        for seed in 0..20 {
            let after = disk.crash(seed);
            assert_eq!(after.list(dir()).unwrap().len(), 1, "seed {seed}");
            let sealed = match after.open(&sealed_path()) {
                Ok(_) => SealedSegment::open(&after, &sealed_path()).unwrap(),
                Err(_) => finish_seal(&after, &open_path(), WHOSE, FIRST)
                    .unwrap()
                    .unwrap_or_else(|| panic!("seed {seed}: not whole")),
            };
            assert_eq!(sealed.verify().unwrap().messages, 2, "seed {seed}");
        }
        disk.mend();
        let sealed = open.try_seal(&index).unwrap();
        assert_eq!(sealed.verify().unwrap().messages, 2);
        for seed in 0..20 {
            let after = disk.crash(seed);
            SealedSegment::open(&after, &sealed_path()).unwrap_or_else(|e| panic!("{seed}: {e}"));
        }
        assert!(open.rescue().is_err(), "nothing is left to rescue");
    }
}

#[test]
fn a_full_disk_loses_nothing_and_heals_by_itself() {
    for room in [0, 1, 100, 2000] {
        let disk = FaultyDisk::new();
        let mut open = create(&disk);
        let first = Mail::new(1, 500);
        append(&mut open, std::slice::from_ref(&first));
        open.sync().unwrap();
        disk.set_room(Some(room));
        let error = open
            .append_batch(&[Mail::new(2, 9000).parts()], 0)
            .unwrap_err();
        assert!(
            matches!(error.kind(), Kind::Unavailable) && error.to_string().contains("make room"),
            "{error}"
        );
        assert_eq!(
            contents(&disk, &open_path()),
            expected(std::slice::from_ref(&first)),
            "reading goes on"
        );
        disk.set_room(None);
        let third = Mail::new(3, 50);
        append(&mut open, std::slice::from_ref(&third));
        open.sync().unwrap();
        assert_eq!(
            contents(&disk.crash(room), &open_path()),
            expected(&[first, third])
        );
    }
}
