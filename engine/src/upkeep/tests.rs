//! Upkeep over time: what it asks of the object store while nothing happens, what it says while something is in its way.

mod dates;

use std::time::Duration;

use bytes::Bytes;
use coldpost_testkit::place;
use coldpost_tiers::cold::Key;
use coldpost_tiers::hot::{CommitKind, HotTier};

use crate::apply::Fold;
use crate::clock;
use crate::error::Kind;
use crate::flags::{Flags, SystemFlags};
use crate::ids::ShardNo;
use crate::op::Op;
use crate::open::Engine;
use crate::snapshot;
use crate::tests::{append, name, settings};
use crate::upkeep::collect;
use crate::write::Append;

const HOUR: Duration = Duration::from_secs(3_600);
const MESSAGES: usize = 30;
const LOOK: Duration = Duration::from_secs(1);
const LOOKS_MAX: usize = 600;

/// Requests by kind and caller, as far as they are known.
fn requests(engine: &Engine) -> Vec<(&'static str, &'static str, u64)> {
    let usage = engine.inner.cold.usage();
    let all = usage.requests.iter();
    all.map(|r| (r.kind, r.caller, r.count)).collect()
}

#[tokio::test]
async fn an_idle_hour_asks_the_object_store_nothing() {
    let dir = place::scratch("idle");
    let mut settings = settings(dir.path());
    settings.cut_age = Duration::from_secs(60);
    settings.segment_age = HOUR * 24;
    let engine = Engine::open(settings).await.unwrap();
    let ann = engine.open_account(&name("ann@example.org")).await.unwrap();
    for number in 0..MESSAGES {
        let text = format!("Subject: {number}\r\n\r\n{}\r\n", "Body. ".repeat(number));
        let flags = Flags {
            system: SystemFlags::DELETED,
            ..Flags::default()
        };
        let message = Append {
            message: Bytes::from(text),
            flags: if number % 2 == 0 {
                Flags::default()
            } else {
                flags
            },
            internal_date: None,
            email_id: None,
        };
        engine.append(ann, "INBOX", vec![message]).await.unwrap();
    }
    let mailbox = engine.select(ann, "INBOX", true).unwrap().mailbox();
    engine.expunge(ann, mailbox, None).await.unwrap();
    tokio::time::pause();
    // The cut, and what follows from it.
    tokio::time::sleep(HOUR).await;
    let after_the_cut = requests(&engine);
    let is_sent = |r: &(&str, &str, u64)| (r.0, r.1) == ("put", "upload") && r.2 > 0;
    assert!(after_the_cut.iter().any(is_sent), "{after_the_cut:?}");
    for hour in 1..=3 {
        tokio::time::sleep(HOUR).await;
        assert_eq!(requests(&engine), after_the_cut, "hour {hour}");
    }
    tokio::time::resume();
    engine.close().await;
}

/// Until a report says so; upkeep looks every few seconds, and time is stepped.
async fn reported(engine: &Engine, is_so: impl Fn(&[String]) -> bool) {
    for _ in 0..LOOKS_MAX {
        if is_so(&engine.health().problems) {
            return;
        }
        tokio::time::sleep(LOOK).await;
    }
    panic!("{:?}", engine.health().problems);
}

/// The directory was moved away while the daemon ran: the status said that all was well, and a snapshot waited for ever.
#[tokio::test]
async fn while_uploads_wait_the_status_says_why_and_a_snapshot_ends_with_that_instead_of_waiting() {
    let dir = place::scratch("trouble");
    let (cold, aside) = (dir.path().join("cold"), dir.path().join("aside"));
    let engine = Engine::open(settings(dir.path())).await.unwrap();
    engine.open_account(&name("ann@example.org")).await.unwrap();
    tokio::time::pause();
    std::fs::rename(&cold, &aside).unwrap();
    let waits = |problems: &[String]| {
        let mut problems = problems.iter();
        problems
            .any(|p| p.starts_with("the upload of mail of shard ") && p.contains("does not hold"))
    };
    for _ in 0..2 {
        let error = engine.snapshot_now(&mut |_| {}).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable);
        assert!(error.to_string().contains("does not hold"), "{error}");
        assert!(waits(&engine.health().problems));
    }
    std::fs::rename(&aside, &cold).unwrap();
    reported(&engine, |problems| problems.is_empty()).await;
    engine.snapshot_now(&mut |_| {}).await.unwrap();
    tokio::time::resume();
    engine.close().await;
}

/// One segment rotted before its upload: no shard had a snapshot any more, and nothing was deleted anywhere.
#[tokio::test]
async fn a_segment_that_rots_before_its_upload_stops_the_snapshots_of_its_shard_alone_and_while_mail_is_in_it()
 {
    let dir = place::scratch("rotten");
    let (cold, aside) = (dir.path().join("cold"), dir.path().join("aside"));
    let engine = Engine::open(settings(dir.path())).await.unwrap();
    let ann = engine.open_account(&name("ann@example.org")).await.unwrap();
    engine.snapshot_now(&mut |_| {}).await.unwrap();
    std::fs::rename(&cold, &aside).unwrap();
    let message = Append {
        message: Bytes::from_static(b"Subject: it rots\r\n\r\nbody\r\n"),
        flags: Flags {
            system: SystemFlags::DELETED,
            ..Flags::default()
        },
        internal_date: None,
        email_id: None,
    };
    engine.append(ann, "INBOX", vec![message]).await.unwrap();
    let shard = engine.shard(ann.shard).unwrap();
    let journal = shard.dir.join("journal");
    let sealed = || {
        let mut files = place::files(&journal);
        files.retain(|path| path.extension().is_some_and(|kind| kind == "seg"));
        files
    };
    let before = sealed();
    shard.change(Op::Cut).await.unwrap();
    let mut new = sealed();
    new.retain(|path| !before.contains(path));
    let [path] = &new[..] else { panic!("{new:?}") };
    engine.close().await;
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
    std::fs::rename(&aside, &cold).unwrap();

    let engine = Engine::open(settings(dir.path())).await.unwrap();
    tokio::time::pause();
    let file = path.file_name().unwrap().to_string_lossy().into_owned();
    reported(&engine, |problems| {
        problems.iter().any(|p| p.contains(&file))
    })
    .await;
    engine
        .snapshot_shard(ShardNo(0), &mut |_| {})
        .await
        .unwrap();
    let refused = engine.snapshot_shard(ann.shard, &mut |_| {}).await;
    assert!(refused.unwrap_err().to_string().contains(&file));
    let inbox = engine.select(ann, "INBOX", true).unwrap().mailbox();
    engine.expunge(ann, inbox, None).await.unwrap();
    let shard = engine.shard(ann.shard).unwrap();
    collect(&engine, &shard).await.unwrap();
    engine.snapshot_shard(ann.shard, &mut |_| {}).await.unwrap();
    tokio::time::resume();
    engine.close().await;
}

/// The bucket lost the newest snapshot; what it makes needless was deleted, the older snapshot too, and nothing was left to begin from.
#[tokio::test]
async fn nothing_is_deleted_while_the_newest_snapshot_is_not_in_the_store() {
    let dir = place::scratch("newest");
    let mut settings = settings(dir.path());
    (settings.retention, settings.grace) = (Duration::ZERO, Duration::ZERO);
    let engine = Engine::open(settings).await.unwrap();
    let ann = engine.open_account(&name("ann@example.org")).await.unwrap();
    for number in 0..2 {
        let message = append(&number.to_string(), Flags::default());
        engine.append(ann, "INBOX", vec![message]).await.unwrap();
        engine.compact_now(&mut |_| {}).await.unwrap();
        engine.snapshot_now(&mut |_| {}).await.unwrap();
    }
    let shard = engine.shard(ann.shard).unwrap();
    let (manifest, bytes) = snapshot::newest(&shard).unwrap().unwrap().pop().unwrap();
    let key = Key::of(shard.no, &manifest).to_string();
    let (lost, aside) = (dir.path().join("cold").join(&key), dir.path().join("aside"));
    assert_eq!(std::fs::metadata(&lost).unwrap().len(), bytes);
    std::fs::rename(&lost, &aside).unwrap();
    let of_shard = lost.parent().unwrap();
    let before = place::files(of_shard).len();
    let refused = engine.delete_now().await.unwrap_err();
    assert!(refused.to_string().contains(&key), "{refused}");
    let problems = engine.health().problems;
    assert!(problems.iter().any(|p| p.contains(&key)), "{problems:?}");
    assert_eq!(place::files(of_shard).len(), before);
    engine.snapshot_now(&mut |_| {}).await.unwrap();
    assert!(engine.delete_now().await.unwrap().deleted > 0);
    assert!(engine.health().problems.is_empty());
    engine.close().await;
}

/// A start with a clock that was a year ahead gave a year to all that was written then. What is stated must not be sooner than what is done.
#[tokio::test]
async fn after_a_clock_that_was_ahead_nothing_is_deleted_and_no_date_is_stated_before_it_is_reached()
 {
    const YEAR: i64 = 365 * 86_400;
    let dir = place::scratch("ahead");
    let engine = Engine::open(settings(dir.path())).await.unwrap();
    engine.open_account(&name("ann@example.org")).await.unwrap();
    let sooner = engine.gone_by(true);
    assert!(sooner < clock::now_s() + YEAR);
    engine.delete_now().await.unwrap();
    engine.close().await;

    let hot = HotTier::open(&dir.path().join("data/shards/0001/hot.redb"), 1 << 20).unwrap();
    let mut fold = Fold::load(&hot.read().unwrap()).unwrap();
    fold.applied.time_ms += u64::try_from(YEAR).unwrap() * 1_000;
    hot.write(CommitKind::Durable, |batch| fold.save(batch))
        .unwrap();
    drop(hot);

    let engine = Engine::open(settings(dir.path())).await.unwrap();
    let stated = engine.gone_by(true);
    assert!(stated >= sooner + YEAR, "{stated}");
    let refused = engine.delete_now().await.unwrap_err();
    assert!(refused.to_string().contains("clock"), "{refused}");
    // What would go is said all the same.
    engine.garbage().await.unwrap();
    engine.close().await;
}
