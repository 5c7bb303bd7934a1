//! Eviction beside compaction.

use coldpost_testkit::place;
use coldpost_tiers::address::ObjectKind;

use super::*;
use crate::ids::Epoch;
use crate::tests::settings;
use crate::turns::Pinned;

const SHARD: ShardNo = ShardNo(1);

/// Eviction listed all files, a run pinned one of them and saw that it was there, and it was removed: its mail came message by message.
#[tokio::test(flavor = "multi_thread")]
async fn what_compaction_pins_while_files_are_listed_is_not_evicted() {
    let dir = place::scratch("pinned");
    let engine = Engine::open(settings(dir.path())).await.unwrap();
    let object = ObjectId::numbered(ObjectKind::Pack, Epoch(1), 77);
    let path = engine.inner.local.sealed_path(SHARD, &object).unwrap();
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "a pack that was listed").unwrap();
    let turn = engine.inner.turns.compacting.take().await;
    let pinned = Pinned::new(&engine, SHARD, &[object]);
    let_go(&engine, SHARD, &object);
    assert!(path.exists());
    drop((pinned, turn));
    let_go(&engine, SHARD, &object);
    assert!(!path.exists());
    engine.close().await;
}
