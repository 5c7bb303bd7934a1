//! What is left of files on their way to local disk: after a kill, and when their object goes meanwhile.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coldpost_testkit::place;
use coldpost_tiers::address::{ObjectId, ObjectKind};
use coldpost_tiers::hot::row::{ObjectRow, ObjectState, Row};
use coldpost_tiers::hot::{TableName, key};
use tokio::runtime::Handle;

use super::super::pace::Pace;
use super::super::step::Run;
use crate::Engine;
use crate::blocking::behind;
use crate::flags::Flags;
use crate::ids::{Epoch, Position, ShardNo};
use crate::shard::Shard;
use crate::tests::{append, name, settings};

const SHARD: ShardNo = ShardNo(1);

/// With a mail whose segment is in the bucket, and here as well.
async fn with_stored_mail(dir: &Path) -> Engine {
    let mut settings = settings(dir);
    settings.local_bodies = 1 << 30;
    let engine = Engine::open(settings).await.unwrap();
    let account = engine.open_account(&name("ann@example.org")).await.unwrap();
    let append = append("a", Flags::default());
    engine.append(account, "INBOX", vec![append]).await.unwrap();
    engine.snapshot_shard(SHARD, &mut |_| {}).await.unwrap();
    engine
}

fn stored_segment(shard: &Arc<Shard>) -> ObjectId {
    let mut found = None;
    let state = shard.hot.read().unwrap();
    let walked = state.walk(TableName::Objects, &[], &[], |object_key, value| {
        let object = key::read_object(object_key).unwrap();
        let row = ObjectRow::decode("objects", value)?;
        if object.kind == ObjectKind::Segment && row.state == ObjectState::Stored {
            found = Some(object);
        }
        Ok(true)
    });
    walked.unwrap();
    found.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_object_went_while_it_came_does_not_stay_and_every_other_does() {
    let dir = place::scratch("bring");
    let engine = with_stored_mail(dir.path()).await;
    let shard = engine.shard(SHARD).unwrap();
    let path = |object: &ObjectId| engine.inner.local.sealed_path(SHARD, object).unwrap();
    let stored = stored_segment(&shard);
    let whole = fs::read(path(&stored)).unwrap();
    fs::remove_file(path(&stored)).unwrap();
    let gone = ObjectId::segment(Epoch(1), Position(9_000));
    fs::write(path(&gone), &whole).unwrap();
    let (handle, of) = (Handle::current(), engine.clone());
    let (file, shard) = (path(&gone), Arc::clone(&shard));
    let bringing = behind("compact", move |standing| {
        let mut run = Run::new(&of, &shard, &handle, Pace::new(false, standing))?;
        run.bring(&[stored]);
        run.keep(&gone, &file)?;
        run.keep(&gone, &file)
    });
    bringing.unwrap().end("bringing").await.unwrap();
    assert_eq!(fs::read(path(&stored)).unwrap(), whole);
    assert!(!path(&gone).exists());
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_removes_what_a_kill_left_of_files_that_were_coming_and_nothing_of_others() {
    let dir = place::scratch("parts");
    Engine::open(settings(dir.path()))
        .await
        .unwrap()
        .close()
        .await;
    let shard = dir.path().join("data/shards/0001");
    let segment = "00000001-0000000000002328.part";
    let object = "0123456789abcdef0123456789abcdef.part";
    let mut ours: Vec<PathBuf> = vec![shard.join("journal").join(segment)];
    let mut others = vec![shard.join("journal").join(object)];
    for folder in ["blocks", "packs", "blobs"] {
        fs::create_dir_all(shard.join(folder)).unwrap();
        ours.push(shard.join(folder).join(object));
        for name in [
            segment,
            "notes.part",
            "+123456789abcdef0123456789abcdef.part",
        ] {
            others.push(shard.join(folder).join(name));
        }
    }
    for path in ours.iter().chain(&others) {
        fs::write(path, "half").unwrap();
    }
    Engine::open(settings(dir.path()))
        .await
        .unwrap()
        .close()
        .await;
    let there = |paths: &[PathBuf]| paths.iter().filter(|path| path.exists()).count();
    assert_eq!((there(&ours), there(&others)), (0, others.len()));
}
