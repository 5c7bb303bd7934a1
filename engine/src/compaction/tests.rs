//! What stands together in blocks, and what is kept once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::made_mail::{attached, dense, drawn};
use coldpost_testkit::place;
use coldpost_tiers::address::{AccountId, Extent, ObjectId};
use coldpost_tiers::hot::row::Place;
use coldpost_tiers::hot::{TableName, key};

use crate::Engine;
use crate::blocking;
use crate::flags::Flags;
use crate::ids::{AccountRef, ShardNo};
use crate::settings::Dedup;
use crate::tests::{append_of, name, settings};

async fn engine(dir: &Path, dedup: Dedup) -> (Engine, [AccountRef; 3]) {
    blocking::never_starves();
    let mut settings = settings(dir);
    settings.dedup = dedup;
    let engine = Engine::open(settings).await.unwrap();
    let mut accounts = Vec::new();
    for account in ["ann@example.org", "bob@example.org", "cay@example.org"] {
        accounts.push(engine.open_account(&name(account)).await.unwrap());
    }
    // In the order of runs.
    accounts.sort_unstable_by_key(|account| account.number);
    (engine, accounts.try_into().unwrap())
}

async fn append(engine: &Engine, account: AccountRef, message: Vec<u8>) {
    let message = append_of(message, Flags::default());
    let appended = engine.append(account, "INBOX", vec![message]).await;
    appended.unwrap();
}

/// The addresses of all messages of each account.
fn extents(engine: &Engine) -> BTreeMap<AccountId, Vec<(ObjectId, Vec<Extent>)>> {
    let mut found: BTreeMap<AccountId, Vec<_>> = BTreeMap::new();
    let shard = engine.shard(ShardNo(1)).unwrap();
    let state = shard.hot.read().unwrap();
    let walked = state.walk(TableName::Places, &[], &[], |k, value| {
        let (account, _) = key::read_message(k).unwrap();
        let address = Place::decode(k, value)?.address;
        let extents = address.extents.to_vec();
        found
            .entry(account)
            .or_default()
            .push((address.object, extents));
        Ok(true)
    });
    walked.unwrap();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn small_accounts_share_a_block_and_no_frame_and_a_large_one_has_blocks_of_its_own() {
    let dir = place::scratch("frames");
    let (engine, [ann, bob, cay]) = engine(dir.path(), Dedup::Shard).await;
    for number in 0..10 {
        append(&engine, ann, dense(number)).await;
        append(&engine, bob, dense(100 + number)).await;
    }
    // 10 MiB stored.
    for number in 0..600 {
        append(&engine, cay, dense(1_000 + number)).await;
    }
    engine.compact_now(&mut |_| {}).await.unwrap();
    let of = extents(&engine);
    let objects = |account: AccountRef| -> BTreeSet<ObjectId> {
        of[&account.number]
            .iter()
            .map(|(object, _)| *object)
            .collect()
    };
    assert_eq!(objects(ann), objects(bob), "one block for both");
    assert!(objects(ann).is_disjoint(&objects(cay)));
    let frames = |account: AccountRef| -> BTreeSet<u32> {
        let extents = of[&account.number].iter().flat_map(|(_, extents)| extents);
        let frame = |extent: &Extent| match extent {
            Extent::Slice { frame, .. } => Some(*frame),
            Extent::Frame(_) | Extent::Blob { .. } => None,
        };
        extents.filter_map(frame).collect()
    };
    assert!(!frames(ann).is_empty() && frames(ann).is_disjoint(&frames(bob)));
    engine.close().await;
}

/// How many blobs the same attachment is, in messages of two accounts and twice in one.
async fn blobs(dedup: Dedup) -> usize {
    let dir = place::scratch("dedup");
    let (engine, [ann, bob, _]) = engine(dir.path(), dedup).await;
    let part = drawn(&mut Dice::new(3), 100_000);
    for (account, subject) in [(ann, "one"), (ann, "two"), (bob, "three")] {
        append(&engine, account, attached(subject, &part)).await;
    }
    engine.compact_now(&mut |_| {}).await.unwrap();
    let of = extents(&engine);
    let all = of.values().flatten().flat_map(|(_, extents)| extents);
    let blob = |extent: &Extent| match extent {
        Extent::Blob { blob, .. } => Some(*blob),
        Extent::Slice { .. } | Extent::Frame(_) => None,
    };
    let blobs: BTreeSet<_> = all.filter_map(blob).collect();
    engine.close().await;
    blobs.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attachment_is_kept_once_in_a_shard_and_once_for_each_account_where_they_are_kept_apart()
{
    assert_eq!(blobs(Dedup::Shard).await, 1);
    assert_eq!(blobs(Dedup::Account).await, 2);
}
