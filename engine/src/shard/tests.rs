//! A shard, journal and redb alike, on a disk that forgets, fails and fills up.

mod accounts;
mod anew;
mod kit;
mod moments;
mod troubled;

use std::sync::mpsc;

use coldpost_testkit::dice::Dice;
use coldpost_tiers::disk::FaultyDisk;

use super::Shard;
use crate::op::Outcome;
use kit::{Change, Running, Setup, check, hot_position, submit};

/// Threads that send changes at the same time.
const WRITERS: usize = 3;

/// Sends changes until the shard takes no more; tells what was acknowledged.
fn write(shard: &Shard, mut dice: Dice, tell: &mpsc::Sender<(Change, Outcome)>) {
    loop {
        let change = Change::random(&mut dice);
        match submit(shard, &change) {
            Ok(outcome) => {
                let told = tell.send((change, outcome));
                if told.is_err() {
                    return;
                }
            }
            Err(_) => return,
        }
    }
}

/// Writes from several threads until so many changes were acknowledged, then cuts the power; the disk after that.
fn cut_under_load(
    running: Running,
    disk: &FaultyDisk,
    acknowledged: &mut Vec<(Change, Outcome)>,
    dice: &mut Dice,
) -> FaultyDisk {
    let (tell, told) = mpsc::channel();
    let most = acknowledged.len() + 1 + dice.index(60);
    let after = std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            let (dice, tell, shard) = (dice.fork(), tell.clone(), &running.shard);
            scope.spawn(move || write(shard, dice, &tell));
        }
        while acknowledged.len() < most {
            acknowledged.push(told.recv().expect("the shard takes changes"));
        }
        let after = disk.crash(dice.draw());
        running.shard.shut();
        drop(told);
        after
    });
    drop(running);
    after
}

#[test]
fn what_was_acknowledged_survives_two_hundred_power_cuts_under_load() {
    let seeds = if coldpost_testkit::tool::long() {
        5_000
    } else {
        200
    };
    let (mut kept, mut replays) = (0, 0);
    for seed in 0..seeds {
        let mut dice = Dice::new(seed);
        let mut disk = FaultyDisk::new();
        let mut acknowledged = Vec::new();
        let first = Change::open_account(&mut dice);
        for round in 0..3 {
            let context = format!("seed {seed}, round {round}");
            let before = hot_position(&disk);
            let running =
                Running::open(Setup::on(&disk)).unwrap_or_else(|e| panic!("{context}: {e}"));
            assert!(
                before <= Some(running.shard.durable()),
                "{context}: the hot tier was ahead of the journal"
            );
            kept += usize::from(before > Some(crate::ids::Position(0)));
            replays += usize::from(before.unwrap_or_default() < running.shard.durable());
            if round == 0 {
                acknowledged.push((first.clone(), running.submit(&first).unwrap()));
            } else {
                check(&running, &disk, &acknowledged, &context);
            }
            disk = cut_under_load(running, &disk, &mut acknowledged, &mut dice);
        }
        let running =
            Running::open(Setup::on(&disk)).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        check(
            &running,
            &disk,
            &acknowledged,
            &format!("seed {seed}, at the end"),
        );
    }
    println!(
        "{kept} starts with a hot tier that had something, {replays} with something to replay"
    );
    assert!(
        kept > 20 && replays > 20,
        "the cuts hit nothing: {kept} {replays}"
    );
}
