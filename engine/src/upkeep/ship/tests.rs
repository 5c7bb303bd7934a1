//! The order in which objects go, and what keeps none of them.

use coldpost_tiers::address::Epoch;

use super::*;

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
    Queue {
        waiting: waiting.collect(),
        ..Queue::default()
    }
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
    assert!(queue.look_again() <= Instant::now() + Duration::from_secs(UPLOAD_ASIDE_SECONDS));
    queue.end_earliest();
    let (_, item) = queue.next().unwrap();
    queue.forget(shard, &item);
    assert!(queue.next().is_some(), "the other one, at once");
}
