//! How much is remembered of what compaction left.

use coldpost_testkit::place;
use coldpost_tiers::address::ObjectKind;

use super::*;
use crate::ids::Epoch;
use crate::tests::settings;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_remembered_is_bounded_and_forgotten_with_the_objects() {
    let dir = place::scratch("left");
    let engine = Engine::open(settings(dir.path())).await.unwrap();
    let numbers = 0..u64::try_from(2 * COMPACT_LEFT_MAX).unwrap();
    let object = |number| ObjectId::numbered(ObjectKind::Block, Epoch(1), number);
    engine.note_left(ShardNo(1), numbers.map(object));
    assert_eq!(engine.inner.turns.left().len(), COMPACT_LEFT_MAX);
    // None of them is there.
    assert_eq!(engine.objects_left(), 0);
    assert_eq!(engine.inner.turns.left().len(), 0);
    engine.close().await;
}
