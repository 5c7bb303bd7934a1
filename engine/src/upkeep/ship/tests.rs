//! The order in which objects go, and what keeps none of them.

use std::path::PathBuf;

use coldpost_testkit::place;
use coldpost_tiers::address::Epoch;

use super::queue::ASIDE;
use super::*;
use crate::tests::{name, settings};

fn segment(first: u64) -> Item {
    Item {
        is_segment: true,
        object: ObjectId::segment(Epoch(1), Position(first)),
        path: PathBuf::new(),
    }
}

fn blob(number: u8) -> Item {
    Item {
        is_segment: false,
        object: ObjectId::blob(BlobId([number; 16])),
        path: PathBuf::new(),
    }
}

fn queue(items: &[(u16, &[Item])]) -> Queue {
    let waiting = items.iter();
    let waiting = waiting.map(|(shard, items)| (ShardNo(*shard), items.to_vec()));
    let mut queue = Queue::of(items.iter().map(|(shard, _)| ShardNo(*shard)));
    queue.unlisted.clear();
    queue.waiting = waiting.collect();
    queue
}

#[test]
fn one_object_that_cannot_be_read_keeps_no_other_from_its_upload_but_those_that_name_it() {
    let mut queue = queue(&[
        (1, &[segment(1), segment(9)]),
        (2, &[blob(3), blob(4), segment(5)]),
    ]);
    queue.set_aside(ShardNo(1), Some(segment(1).object));
    assert_eq!(queue.next(), Some((ShardNo(1), segment(9))));
    queue.forget(ShardNo(1), &segment(9));
    queue.set_aside(ShardNo(2), Some(blob(3).object));
    assert_eq!(queue.next(), Some((ShardNo(2), blob(4))));
    queue.forget(ShardNo(2), &blob(4));
    assert_eq!(
        queue.next(),
        None,
        "no segment before a blob that it may name"
    );
    queue.aside.clear();
    assert_eq!(queue.next(), Some((ShardNo(1), segment(1))));
}

#[test]
fn a_shard_that_is_down_keeps_no_other_from_its_uploads() {
    let mut queue = queue(&[(0, &[segment(1)]), (1, &[segment(1)])]);
    queue.set_aside(ShardNo(0), None);
    assert_eq!(queue.next(), Some((ShardNo(1), segment(1))));
}

#[tokio::test(start_paused = true)]
async fn what_the_store_did_not_take_is_tried_at_once_when_it_takes_one_again() {
    let mut queue = queue(&[(1, &[segment(1), segment(9)])]);
    let shard = ShardNo(1);
    for _ in 0..3 {
        queue.set_aside_for_longer(shard, segment(1).object);
        queue.set_aside_for_longer(shard, segment(9).object);
    }
    assert_eq!(queue.next(), None);
    // With nothing else to do each has its turn after a minute, however long it was put aside.
    assert!(queue.look_again() <= Instant::now() + ASIDE);
    queue.end_earliest();
    let (_, item) = queue.next().unwrap();
    queue.forget(shard, &item);
    assert!(queue.next().is_some(), "the other one, at once");
}

#[test]
fn nothing_of_a_shard_goes_before_it_is_known_which_blobs_wait_there() {
    let shard = ShardNo(1);
    let mut queue = Queue::of([shard].into_iter());
    queue.add(shard, vec![segment(5)]);
    assert_eq!(queue.next(), None);
    // What was heard of before is listed as well.
    queue.add(shard, vec![segment(5), blob(3)]);
    queue.unlisted.clear();
    assert_eq!(queue.len(), 2);
    assert_eq!(queue.next(), Some((shard, blob(3))));
}

/// Where the store was away at the start each was listed and heard of, and stood in the queue again when its file was gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_notice_of_what_is_stored_already_is_no_upload_and_no_trouble() {
    let dir = place::scratch("notice");
    let engine = Engine::open(settings(dir.path())).await.unwrap();
    engine.open_account(&name("ann@example.org")).await.unwrap();
    let shard = ShardNo(1);
    engine.snapshot_shard(shard, &mut |_| {}).await.unwrap();
    let of = engine.shard(shard).unwrap();
    let journal = of.dir.join("journal");
    let mut late = segment(1);
    late.object = ObjectId::segment(of.epoch, Position(1));
    late.path = journal.join("is-gone.seg");
    assert!(is_needless(&engine, shard, &late).unwrap());
    let deleted = blob(1);
    assert!(is_needless(&engine, shard, &deleted).unwrap());
    // One that no row names is missed: it is not known to be anywhere.
    let unknown = segment(99);
    assert!(!is_needless(&engine, shard, &unknown).unwrap());
    engine.close().await;
}

#[tokio::test(start_paused = true)]
async fn a_shard_whose_claim_hangs_gives_the_others_as_long_as_it_took() {
    let mut queue = queue(&[(0, &[segment(1)]), (1, &[segment(1)])]);
    let took = Duration::from_secs(60);
    queue.let_others_go(ShardNo(0), took);
    assert_eq!(queue.next(), Some((ShardNo(1), segment(1))));
    let until = queue.aside[&(ShardNo(0), None)];
    assert!(until >= Instant::now() + took);
    queue.let_others_go(ShardNo(0), Duration::ZERO);
    assert!(queue.aside[&(ShardNo(0), None)] < until);
}

/// The status said so until the next upload, which may be days away.
#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_listed_is_said_until_it_is_listed() {
    let dir = place::scratch("unlisted");
    let engine = Engine::open(settings(dir.path())).await.unwrap();
    engine.open_account(&name("ann@example.org")).await.unwrap();
    let shard = ShardNo(1);
    engine.snapshot_shard(shard, &mut |_| {}).await.unwrap();
    let journal = engine.shard(shard).unwrap().dir.join("journal");
    let aside = dir.path().join("aside");
    let progress = engine.progress().unwrap();
    let mut left = Queue::of([shard].into_iter());
    std::fs::rename(&journal, &aside).unwrap();
    list(&engine, &progress, &mut left).await;
    std::fs::rename(&aside, &journal).unwrap();
    let waits = || progress.waits().contains_key(&Wait::UploadsOf(shard));
    assert!(waits() && left.unlisted.contains(&shard));
    left.aside.clear();
    list(&engine, &progress, &mut left).await;
    assert!(!waits() && left.unlisted.is_empty());
    engine.close().await;
}
