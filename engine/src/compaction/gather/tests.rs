//! How much of one object a run takes.

use coldpost_testkit::place;

use super::*;
use crate::flags::Flags;
use crate::ids::ShardNo;
use crate::tests::{append, name, settings};

const MESSAGES: usize = 5;

/// With messages of the same size in one sealed segment.
async fn with_mail(dir: &std::path::Path) -> (Engine, ObjectId) {
    let engine = Engine::open(settings(dir)).await.unwrap();
    let account = engine.open_account(&name("ann@example.org")).await.unwrap();
    let append = |number: usize| append(&number.to_string(), Flags::default());
    let appends = (0..MESSAGES).map(append).collect();
    engine.append(account, "INBOX", appends).await.unwrap();
    engine
        .snapshot_shard(ShardNo(1), &mut |_| {})
        .await
        .unwrap();
    let shard = engine.shard(ShardNo(1)).unwrap();
    let chosen = choose_now(&engine, &shard, true, &HashSet::new()).unwrap();
    let state = shard.hot.read().unwrap();
    let has_mail = |object: &ObjectId| {
        let row = object_row(&state, *object).unwrap();
        row.is_some_and(|row| row.count == Counted::Live(u64::try_from(MESSAGES).unwrap()))
    };
    let object = chosen.into_iter().find(has_mail).unwrap();
    drop(state);
    (engine, object)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_with_more_than_a_run_may_take_is_taken_in_part_and_the_run_says_so() {
    let dir = place::scratch("gather");
    let (engine, object) = with_mail(dir.path()).await;
    let shard = engine.shard(ShardNo(1)).unwrap();
    let take = |messages, raw| {
        let gathered = messages_of(&shard, object, Bounds { messages, raw });
        assert_eq!(gathered.taken, 1);
        (gathered.items, gathered.are_all)
    };
    let (all, are_all) = take(MESSAGES, u64::MAX);
    assert_eq!((all.len(), are_all), (MESSAGES, true));
    let size = all[0].size;
    for (messages, raw, expected) in [
        (2, u64::MAX, 2),
        (MESSAGES, 3 * size, 3),
        (2, 3 * size, 2),
        // One that is larger than all that a run may take goes alone.
        (MESSAGES, 1, 1),
    ] {
        let (items, are_all) = take(messages, raw);
        assert_eq!(
            (items.len(), are_all),
            (expected, false),
            "{messages}, {raw}"
        );
        assert_eq!(items, all[..expected]);
    }
    engine.close().await;
}

fn messages_of(shard: &Shard, object: ObjectId, bounds: Bounds) -> Gathered {
    messages(shard, &[object], bounds).unwrap()
}
