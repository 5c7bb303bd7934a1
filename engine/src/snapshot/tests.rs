//! A snapshot that breaks off anywhere leaves nothing in the bucket that nobody knows of.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use coldpost_testkit::dice::Dice;
use coldpost_testkit::place;
use coldpost_tiers::address::ObjectId;
use coldpost_tiers::cold::Key;
use coldpost_tiers::hot::{TableName, key};
use futures::future::{Either, select};
use tokio::sync::oneshot;

use super::{Event, Stage};
use crate::Engine;
use crate::apply::invariants;
use crate::error::Kind;
use crate::flags::Flags;
use crate::ids::{Epoch, Position, ShardNo};
use crate::settings::{ColdSettings, Settings};
use crate::tests::{append, name, settings};
use crate::write::Append;

const SHARD: ShardNo = ShardNo(1);

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

/// The keys of manifests and ranges that the bucket has.
fn in_bucket(dir: &Path) -> BTreeSet<Key> {
    let cold = dir.join("cold");
    let found = ["snapshots", "ranges"].map(|folder| files(&cold.join(folder)));
    let names = found.iter().flatten().map(|path| {
        let name = path.strip_prefix(&cold).unwrap().to_str().unwrap();
        Key::parse(name).unwrap_or_else(|| panic!("{name} is no key"))
    });
    names.collect()
}

/// Those that rows know.
fn known(engine: &Engine) -> BTreeSet<Key> {
    let mut known = BTreeSet::new();
    for shard in &engine.inner.shards {
        let state = shard.hot.read().unwrap();
        let walked = state.walk(TableName::Objects, &[], &[], |object_key, _| {
            let object = key::read_object(object_key).unwrap();
            known.insert(Key::of(shard.no, &object));
            Ok(true)
        });
        walked.unwrap();
        let wrong = invariants::violations(&state).unwrap();
        assert_eq!(wrong, Vec::<String>::new());
    }
    known
}

async fn with_mail(dir: &Path) -> Engine {
    with_mail_in(settings(dir)).await
}

async fn with_mail_in(settings: Settings) -> Engine {
    let engine = Engine::open(settings).await.unwrap();
    let account = engine.open_account(&name("ann@example.org")).await.unwrap();
    for number in 0..3 {
        let message = append(&number.to_string(), Flags::default());
        engine
            .append(account, "INBOX", vec![message])
            .await
            .unwrap();
    }
    engine
}

/// Takes one until so many things were told; what was told, and whether it came to its end.
async fn broken_off_after(engine: &Engine, most: usize) -> (Vec<Stage>, bool) {
    let mut stages = Vec::new();
    let (end, ended) = oneshot::channel();
    let mut end = Some(end);
    let mut report = |event: Event| {
        if let Event::Progress { stage, .. } = event {
            stages.push(stage);
        }
        if stages.len() >= most
            && let Some(end) = end.take()
        {
            end.send(()).unwrap();
        }
    };
    let taking = Box::pin(engine.snapshot_shard(SHARD, &mut report));
    let is_whole = match select(ended, taking).await {
        Either::Left(_) => false,
        Either::Right((taken, _)) => {
            taken.unwrap();
            true
        }
    };
    (stages, is_whole)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_snapshot_that_broke_off_left_in_the_bucket_is_known_and_the_next_one_is_whole() {
    let dir = place::scratch("snapshot");
    let engine = with_mail(dir.path()).await;
    let mut seen = Vec::new();
    for most in 1..40 {
        let (stages, is_whole) = broken_off_after(&engine, most).await;
        let (bucket, known) = (in_bucket(dir.path()), known(&engine));
        let strange: Vec<_> = bucket.difference(&known).collect();
        assert!(strange.is_empty(), "{stages:?}: {strange:?}");
        seen.extend(stages);
        if is_whole {
            break;
        }
    }
    assert!(
        seen.contains(&Stage::Uploading) && seen.contains(&Stage::Comparing),
        "{seen:?}"
    );
    let taken = engine.snapshot_shard(SHARD, &mut |_| {}).await.unwrap();
    let listed = engine.snapshots().unwrap();
    assert_eq!(listed.last(), Some(&taken));
    assert!(taken.bytes > 0 && taken.ranges > 0);
    engine.close().await;
    let again = Engine::open(settings(dir.path())).await.unwrap();
    assert_eq!(again.snapshots().unwrap(), listed);
    again.close().await;
}

/// The first store alone was read back: a rotten copy in the other one counted as confirmed.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_that_one_store_of_a_mirror_does_not_give_back_is_given_up() {
    let dir = place::scratch("rotten");
    let mut settings = settings(dir.path());
    let mirror = dir.path().join("mirror");
    settings.cold.mirror = Some(Box::new(ColdSettings {
        url: format!("file://{}", mirror.display()),
        ..ColdSettings::default()
    }));
    let engine = with_mail_in(settings).await;
    let mut report = |event: Event| {
        if let Event::Progress { stage, .. } = event
            && stage == Stage::Comparing
        {
            for range in files(&mirror.join("ranges")) {
                let bytes = fs::metadata(&range).unwrap().len();
                fs::write(&range, vec![0; usize::try_from(bytes).unwrap()]).unwrap();
            }
        }
    };
    let error = engine.snapshot_shard(SHARD, &mut report).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt, "{error}");
    let said = error.to_string();
    assert!(said.contains(&mirror.display().to_string()), "{said}");
    assert_eq!(engine.snapshots().unwrap(), vec![]);
    engine.snapshot_shard(SHARD, &mut |_| {}).await.unwrap();
    assert_eq!(engine.snapshots().unwrap().len(), 1);
    engine.close().await;
}

/// It was waited for, for ever.
#[tokio::test]
async fn a_snapshot_ends_where_an_attachment_that_it_refers_to_is_nowhere() {
    let dir = place::scratch("nowhere");
    let engine = with_mail(dir.path()).await;
    let (cold, aside) = (dir.path().join("cold"), dir.path().join("aside"));
    fs::rename(&cold, &aside).unwrap();
    let account = engine.open_account(&name("ann@example.org")).await.unwrap();
    let mut dice = Dice::new(7);
    // Too large for an entry of the journal, however well it is packed.
    let lines = (0..30_000).map(|_| {
        format!(
            "{:016x}{:016x}{:016x}\r\n",
            dice.draw(),
            dice.draw(),
            dice.draw()
        )
    });
    let text = format!("Subject: a\r\n\r\n{}", lines.collect::<String>());
    let append = Append {
        message: Bytes::from(text),
        flags: Flags::default(),
        internal_date: None,
        email_id: None,
    };
    engine.append(account, "INBOX", vec![append]).await.unwrap();
    engine.close().await;
    fs::rename(&aside, &cold).unwrap();
    let blobs = files(&dir.path().join("data/shards/0001/blobs"));
    assert_eq!(blobs.len(), 1);
    fs::remove_file(&blobs[0]).unwrap();
    let engine = Engine::open(settings(dir.path())).await.unwrap();
    tokio::time::pause();
    let error = engine.snapshot_now(&mut |_| {}).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt, "{error}");
    assert!(
        error.to_string().contains("its file is not here"),
        "{error}"
    );
    tokio::time::resume();
    engine.close().await;
}

/// A collection may take an object, its row and its file, between the look at the files and the wait.
#[tokio::test]
async fn a_snapshot_does_not_wait_for_what_has_neither_a_row_nor_a_file() {
    let dir = place::scratch("neither");
    let engine = with_mail(dir.path()).await;
    let shard = engine.shard(SHARD).unwrap();
    tokio::time::pause();
    let gone = vec![ObjectId::segment(Epoch(1), Position(9_000))];
    let mut report = |_: Event| {};
    let waiting = engine.wait_for(&shard, gone, &mut report);
    let waited = tokio::time::timeout(Duration::from_secs(3_600), waiting).await;
    waited.expect("it waits").unwrap();
    tokio::time::resume();
    engine.close().await;
}
