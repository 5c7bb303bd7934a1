//! What is remembered of a run behind its end, and what stays on local disk.

use coldpost_testkit::{place, wait};
use coldpost_tiers::hot::row::ObjectState;
use coldpost_tiers::hot::{CommitKind, HotTier, TableName};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

use super::super::pace::Pace;
use super::*;
use crate::Engine;
use crate::blocking;
use crate::blocking::behind;
use crate::clock::steps;
use crate::error::Kind;
use crate::flags::Flags;
use crate::ids::{AccountId, ShardNo};
use crate::objects::object_row;
use crate::settings::MinFree;
use crate::shard::Shard;
use crate::tests::{append, name, settings};
use coldpost_tiers::address::ObjectKind;

const SHARD: ShardNo = ShardNo(1);

/// With mail in two sealed segments, both in the bucket.
async fn with_segments(dir: &Path) -> (Engine, Arc<Shard>, [ObjectId; 2]) {
    blocking::never_starves();
    let mut settings = settings(dir);
    settings.local_bodies = 1 << 30;
    let engine = Engine::open(settings).await.unwrap();
    let account = engine.open_account(&name("ann@example.org")).await.unwrap();
    for number in 0..2 {
        let append = append(&number.to_string(), Flags::default());
        engine.append(account, "INBOX", vec![append]).await.unwrap();
        engine.snapshot_shard(SHARD, &mut |_| {}).await.unwrap();
    }
    let shard = engine.shard(SHARD).unwrap();
    let mut chosen = gather::choose_now(&engine, &shard, true, &HashSet::new()).unwrap();
    let state = shard.hot.read().unwrap();
    chosen.retain(|object| {
        let row = object_row(&state, *object).unwrap().unwrap();
        row.state == ObjectState::Stored && row.count.is_live()
    });
    drop(state);
    let first = [chosen[0], chosen[1]];
    (engine, shard, first)
}

/// What a run comes to that does this, on its own thread.
async fn running<T: Send + 'static>(
    engine: &Engine,
    shard: &Arc<Shard>,
    work: impl FnOnce(Run<'_>) -> crate::Result<T> + Send + 'static,
) -> crate::Result<T> {
    let (handle, engine, shard) = (Handle::current(), engine.clone(), Arc::clone(shard));
    let ran = behind("compact", move |standing| {
        work(Run::new(
            &engine,
            &shard,
            &handle,
            Pace::new(false, standing),
        )?)
    });
    ran?.end("compaction").await
}

fn ended(taken: &[ObjectId], left_in: &[ObjectId], failed: Option<Kind>) -> Ran {
    Ran {
        taken: taken.to_vec(),
        done: taken.to_vec(),
        is_whole: true,
        left_in: left_in.iter().copied().collect(),
        report: Report::default(),
        failed: failed.map(|kind| Error::new(kind, "of a test")),
    }
}

/// What a run had chosen and never come to was said to hold mail that could not be moved; and after an hour nothing was said of what did.
#[tokio::test(flavor = "multi_thread")]
async fn mail_is_said_to_be_left_where_a_run_took_it_and_until_a_run_moves_it() {
    let dir = place::scratch("noted");
    let (engine, shard, [first, second]) = with_segments(dir.path()).await;
    for kind in [Kind::Unavailable, Kind::Closed] {
        let passing = ended(&[first, second], &[], Some(kind));
        engine.note(&shard, &passing).unwrap();
        assert_eq!(engine.objects_left(), 0, "{kind:?}");
    }
    let corrupt = ended(&[first], &[], Some(Kind::Corrupt));
    engine.note(&shard, &corrupt).unwrap();
    assert_eq!(engine.objects_left(), 1);
    assert_eq!(engine.avoided(SHARD), HashSet::from([first]));
    // The hour passes.
    engine.inner.turns.aside().clear();
    assert!(engine.left_behind().is_some());
    let left = ended(&[first, second], &[second], None);
    engine.note(&shard, &left).unwrap();
    assert_eq!(*engine.inner.turns.left(), HashSet::from([(SHARD, second)]));
    let mut broken_off = ended(&[second], &[], None);
    broken_off.is_whole = false;
    engine.note(&shard, &broken_off).unwrap();
    assert_eq!(engine.objects_left(), 1);
    engine.note(&shard, &ended(&[second], &[], None)).unwrap();
    assert!(engine.left_behind().is_none());
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_for_which_the_disk_is_too_short_brings_nothing_and_says_so() {
    let dir = place::scratch("short");
    let (engine, shard, [first, second]) = with_segments(dir.path()).await;
    let path = engine.inner.local.sealed_path(SHARD, &first).unwrap();
    drop(shard);
    engine.close().await;
    std::fs::remove_file(&path).unwrap();
    let mut settings = settings(dir.path());
    settings.local_bodies = 1 << 30;
    settings.min_free = MinFree::Bytes(u64::MAX / 2);
    let engine = Engine::open(settings).await.unwrap();
    let shard = engine.shard(SHARD).unwrap();
    let ran = running(&engine, &shard, move |run| {
        run.all(vec![first, second], &|_| {})
    })
    .await;
    let ran = ran.unwrap();
    let failed = ran.failed.unwrap();
    assert!(failed.is_disk_full(), "{failed}");
    assert_eq!((failed.kind(), ran.done), (Kind::Unavailable, Vec::new()));
    assert!(!path.exists());
    engine.close().await;
}

/// They stood there until eviction came to them, and kept the room from mail and from the next run.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_brought_goes_when_all_of_it_was_moved() {
    let dir = place::scratch("brought");
    let (engine, shard, [first, second]) = with_segments(dir.path()).await;
    let paths = [first, second].map(|object| engine.inner.local.sealed_path(SHARD, &object));
    let [brought, local] = paths.map(Option::unwrap);
    std::fs::remove_file(&brought).unwrap();
    let mut moved = 0;
    // Where others want the processor a run ends early, and another one goes on.
    while moved < 2 {
        let ran = running(&engine, &shard, move |run| {
            run.all(vec![first, second], &|_| {})
        })
        .await;
        let ran = ran.unwrap();
        assert!(ran.failed.is_none());
        moved += ran.report.moved;
    }
    assert_eq!((brought.exists(), local.exists()), (false, true));
    engine.close().await;
}

/// What died, or ended before it took anything, was chosen again and again, each time with the files of one more step, and all else waited.
#[tokio::test(flavor = "multi_thread")]
async fn what_ends_a_run_keeps_others_from_their_turn_once_and_leaves_no_file() {
    let dir = place::scratch("died");
    let (engine, shard, _) = with_segments(dir.path()).await;
    let (made, path) = std::sync::mpsc::channel();
    let ran = running(&engine, &shard, move |mut run| -> crate::Result<()> {
        let pack = run.open_pack()?;
        made.send(pack.0.path.clone()).unwrap();
        run.put_back(pack);
        panic!("of a test");
    });
    let died = ran.await.unwrap_err();
    assert_eq!(died.kind(), Kind::Internal);
    assert!(!path.recv().unwrap().exists());
    let (place, no) = (shard.dir.join("hot.redb"), shard.no);
    drop(shard);
    engine.close().await;
    drop(engine);
    spoil_a_place(&place);
    let mut settings = settings(dir.path());
    settings.local_bodies = 1 << 30;
    let engine = Engine::open(settings).await.unwrap();
    let shard = engine.shard(no).unwrap();
    let seen = HashSet::new();
    let asked = super::super::Asked::ByHand(&seen);
    let ran = super::super::run(&engine, &shard, asked, &mut |_| {}).await;
    assert_eq!(ran.unwrap_err().kind(), Kind::Corrupt);
    let avoided = engine.avoided(no);
    assert!(!avoided.is_empty());
    let left = gather::choose_now(&engine, &shard, true, &avoided).unwrap();
    assert_eq!(left, Vec::new());
    engine.close().await;
}

/// No run can make sense of the first row of a message's place any more.
fn spoil_a_place(hot: &Path) {
    let hot = HotTier::open(hot, 1 << 20).unwrap();
    let mut first = None;
    let state = hot.read().unwrap();
    let walked = state.walk(TableName::Places, &[], &[], |key, _| {
        first = Some(key.to_vec());
        Ok(false)
    });
    walked.unwrap();
    drop(state);
    let spoilt = hot.write(CommitKind::Durable, |batch| {
        batch.put(TableName::Places, &first.unwrap(), b"no place")
    });
    spoilt.unwrap();
}

/// Mail of these accounts in one segment that is in the bucket.
async fn of_accounts(dir: &Path, accounts: &[&str]) -> (Engine, Arc<Shard>, ObjectId) {
    blocking::never_starves();
    let mut settings = settings(dir);
    settings.local_bodies = 1 << 30;
    let engine = Engine::open(settings).await.unwrap();
    for account in accounts {
        let account = engine.open_account(&name(account)).await.unwrap();
        let append = append("platypus", Flags::default());
        engine.append(account, "INBOX", vec![append]).await.unwrap();
    }
    // Most of what they share is of the last one: nothing is rewritten because much of it is dead.
    let last = name(accounts.last().unwrap());
    let last = engine.account(&last).unwrap().unwrap();
    for number in 0..5 {
        let append = append(&number.to_string(), Flags::default());
        engine.append(last, "INBOX", vec![append]).await.unwrap();
    }
    engine.snapshot_shard(SHARD, &mut |_| {}).await.unwrap();
    let shard = engine.shard(SHARD).unwrap();
    let chosen = gather::choose_now(&engine, &shard, true, &HashSet::new()).unwrap();
    let state = shard.hot.read().unwrap();
    let has_mail = |object: &&ObjectId| {
        let row = object_row(&state, **object).unwrap().unwrap();
        row.state == ObjectState::Stored && row.count.is_live()
    };
    let object = *chosen.iter().find(has_mail).unwrap();
    drop(state);
    (engine, shard, object)
}

fn messages_of(shard: &Shard, account: AccountId) -> usize {
    let of_account = coldpost_tiers::hot::key::account(account);
    let mut many = 0;
    let state = shard.hot.read().unwrap();
    let counted = state.walk(TableName::Places, &of_account, &[], |_, _| {
        many += 1;
        Ok(true)
    });
    counted.unwrap();
    many
}

/// Her mail had been read into a block that was not there yet when she was erased: it stayed in it for all of `segment_age`.
#[tokio::test(flavor = "multi_thread")]
async fn mail_that_was_read_before_its_account_was_erased_goes_with_the_rest_of_it() {
    if !steps::is_alone(
        "compaction::run::tests::mail_that_was_read_before_its_account_was_erased_goes_with_the_rest_of_it",
    ) {
        return;
    }
    let dir = place::scratch("between");
    let (engine, shard, object) =
        of_accounts(dir.path(), &["ann@example.org", "bob@example.org"]).await;
    let ann_s_name = name("ann@example.org");
    let ann = engine.account(&ann_s_name).unwrap().unwrap();
    let ran = running(&engine, &shard, move |mut run| {
        let gathered = gather::messages(run.shard, &[object], gather::BOUNDS)?;
        let by_account = gathered.items.chunk_by(|a, b| a.account == b.account);
        for of_account in by_account {
            run.account(of_account, &|_| {})?;
        }
        let erased = run.engine.delete_account(&ann_s_name, true);
        run.handle.block_on(erased)?;
        wait::until("purge", Duration::from_secs(60), || {
            messages_of(run.shard, ann.number) == 0
        });
        steps::pass(Duration::from_secs(60));
        run.finish()
    });
    ran.await.unwrap();
    let chosen = gather::choose_now(&engine, &shard, false, &HashSet::new()).unwrap();
    let blocks = chosen.iter().filter(|o| o.kind == ObjectKind::Block);
    assert_eq!(blocks.count(), 1, "{chosen:?}");
    engine.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_before_a_run_died_is_not_done_again() {
    let dir = place::scratch("resumed");
    let accounts = ["ann@example.org", "bob@example.org"];
    let (engine, shard, object) = of_accounts(dir.path(), &accounts).await;
    let (told, heard) = std::sync::mpsc::channel();
    let ran = running(&engine, &shard, move |mut run| -> crate::Result<()> {
        let gathered = gather::messages(run.shard, &[object], gather::BOUNDS)?;
        let mut by_account = gathered.items.chunk_by(|a, b| a.account == b.account);
        run.account(by_account.next().unwrap(), &|_| {})?;
        run.finish()?;
        let second = by_account.next().unwrap();
        told.send(second[0].account).unwrap();
        run.account(second, &|_| {})?;
        panic!("of a test");
    });
    ran.await.unwrap_err();
    let second = heard.recv().unwrap();
    let left = gather::messages(&shard, &[object], gather::BOUNDS).unwrap();
    let of: std::collections::BTreeSet<_> = left.items.iter().map(|item| item.account).collect();
    assert_eq!(of.into_iter().collect::<Vec<_>>(), [second]);
    engine.close().await;
}
