//! A hot tier that is made anew while the shard is at work: what of it outlives a power cut.

use std::sync::Arc;
use std::time::Duration;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::wait;
use coldpost_tiers::disk::{Disk, FaultyDisk};

use super::kit::{Change, Running, Setup, check, dir, hot_position};
use super::troubled::{FailsOnce, quiet};
use crate::ids::Position;
use crate::limits::{DURABLE_EVERY_BYTES, DURABLE_EVERY_ROW_BYTES};

/// It kept the position of the one before: segments that only a replay could give again were evicted.
#[test]
fn of_a_hot_tier_that_was_made_anew_while_running_nothing_counts_as_durable_yet() {
    let (disk, hot) = (FaultyDisk::new(), FaultyDisk::new());
    let mut dice = Dice::new(6);
    let setup = || Setup {
        hot: Arc::new(FailsOnce(hot.clone())),
        ..quiet(&disk)
    };
    let survives = || hot_position(&hot).map_or(0, |position| position.0);
    let running = Running::open(setup()).unwrap();
    let first = Change::open_account(&mut dice);
    let mut acknowledged = vec![(first.clone(), running.submit(&first).unwrap())];
    drop(running);
    let running = Running::open(setup()).unwrap();
    assert_eq!((running.shard.hot_durable().0, survives()), (1, 1));

    // Its file is lost, and the next durable commit fails: a new one is begun.
    hot.remove(&dir().join("hot.redb")).unwrap();
    hot.sync_dir(dir()).unwrap();
    let whole = running.shard.hot.get().unwrap();
    hot.fail_sync(0);
    let mut bytes = 0;
    while bytes < DURABLE_EVERY_BYTES {
        let mail = Change::mail(&mut dice, 400_000);
        bytes += u64::try_from(mail.body.len()).unwrap();
        acknowledged.push((mail.clone(), running.submit(&mail).unwrap()));
    }
    let is_another = || {
        running
            .shard
            .hot
            .get()
            .is_ok_and(|now| !Arc::ptr_eq(&now, &whole))
    };
    wait::until("another hot tier", Duration::from_secs(60), is_another);
    let told = running.shard.hot_durable().0;
    assert!(
        told <= survives(),
        "{told} were told, {} survive",
        survives()
    );
    drop(whole);
    drop(running);
    let running = Running::open(setup()).unwrap();
    assert_eq!(running.shard.hot_durable(), running.shard.durable());
    check(&running, &disk, &acknowledged, "after it was made anew");
}

/// With nothing durable nothing is evicted, and eviction is what makes room for the next durable commit.
#[test]
fn on_a_full_disk_a_hot_tier_that_is_made_anew_stops_no_eviction() {
    let mut dice = Dice::new(7);
    let disk = FaultyDisk::new();
    let setup = || Setup {
        journal: Arc::new(FailsOnce(disk.clone())),
        ..quiet(&disk)
    };
    let running = Running::open(setup()).unwrap();
    running.submit(&Change::open_account(&mut dice)).unwrap();
    drop(running);
    let running = Running::open(setup()).unwrap();
    let before = running.shard.hot_durable();
    assert_eq!(before, running.shard.durable());
    disk.set_room(Some(0));
    running.shard.hot_reopened(Position(0));
    assert_eq!(running.shard.hot_durable(), before);
    disk.set_room(None);
    running.shard.hot_reopened(Position(0));
    assert_eq!(running.shard.hot_durable(), Position(0));
}

/// All rows of two seconds of EXPUNGE took a durable commit of 115 ms, for which deliveries waited.
#[test]
fn a_durable_commit_comes_after_so_many_bytes_of_changed_rows() {
    let mut dice = Dice::new(8);
    let disk = FaultyDisk::new();
    let running = Running::open(quiet(&disk)).unwrap();
    running.submit(&Change::open_account(&mut dice)).unwrap();
    let before = running.shard.hot_durable();
    let (mut journal, mut rows) = (0, 0);
    while running.shard.hot_durable() == before {
        let unwritten = running.shard.hot.get().unwrap().unwritten_bytes();
        rows = unwritten.max(rows);
        let mail = Change::mail(&mut dice, 100);
        journal += u64::try_from(mail.body.len()).unwrap();
        running.submit(&mail).unwrap();
        assert!(journal < DURABLE_EVERY_BYTES / 2, "{rows} bytes of rows");
    }
    let most = DURABLE_EVERY_ROW_BYTES;
    assert!((most / 2..2 * most).contains(&rows), "{rows}");
    assert!(running.shard.hot.get().unwrap().unwritten_bytes() < most);
}
