//! The store under faults on order: lost answers, short ones, late ones, none.

use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt, ready};
use futures::{StreamExt, TryStreamExt};
use tempfile::TempDir;
use tokio::time::Instant;

use super::backend::{Backend, Body, Failure, Page};
use super::faults::{Fault, Faults, Operation};
use super::{Caller, ColdSettings, ColdStore, Key, Put, key};
use crate::address::{Epoch, ObjectId, ObjectKind, Position, ShardNo, StoreId};
use crate::error::Kind;
use crate::object::ObjectHeader;

const KEY: Key = Key::Segment {
    shard: ShardNo(1),
    epoch: Epoch(1),
    first: Position(1),
};
const MAIL: Bytes = Bytes::from_static(b"a sealed COLDPOST");

fn store(scratch: &TempDir) -> (ColdStore, Faults) {
    std::fs::create_dir(scratch.path().join("cold")).unwrap();
    let faults = Faults::new();
    let settings = ColdSettings {
        url: format!("file://{}/cold", scratch.path().display()),
        ..ColdSettings::default()
    };
    (
        ColdStore::open_with_faults(&settings, &faults).unwrap(),
        faults,
    )
}

fn file(scratch: &TempDir, bytes: &[u8]) -> (std::path::PathBuf, [u8; 32]) {
    let path = scratch.path().join("1.seg");
    fs::write(&path, bytes).unwrap();
    (path, blake3::hash(bytes).into())
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_to_a_put_is_found_out_by_comparing() {
    let scratch = TempDir::new().unwrap();
    let (store, faults) = store(&scratch);
    faults.order(Operation::Put, Fault::LoseAnswer, 1);
    let put = store.put_new(&KEY, MAIL, Caller::Upload).await;
    assert_eq!(put.unwrap(), Put::AlreadyThere);
    store.delete(&KEY, Caller::Verify).await.unwrap();
    faults.order(Operation::Put, Fault::LoseAnswer, 1);
    let (path, digest) = file(&scratch, &MAIL);
    let put = store.put_file(&KEY, &path, digest, Caller::Upload).await;
    assert_eq!(put.unwrap(), Put::AlreadyThere);
}

#[tokio::test(start_paused = true)]
async fn a_retried_put_never_overwrites() {
    let scratch = TempDir::new().unwrap();
    let (store, faults) = store(&scratch);
    store.put_new(&KEY, MAIL, Caller::Upload).await.unwrap();
    faults.order(Operation::Put, Fault::Fail, 2);
    let other = Bytes::from_static(b"another segment!");
    let put = store.put_new(&KEY, other, Caller::Upload).await;
    assert_eq!(*put.unwrap_err().kind(), Kind::Conflict);
    assert_eq!(store.get(&KEY, Caller::Read).await.unwrap(), MAIL);
}

#[tokio::test(start_paused = true)]
async fn a_reader_waits_twenty_seconds_at_most_and_not_at_all_once_it_is_known() {
    let scratch = TempDir::new().unwrap();
    let (store, faults) = store(&scratch);
    store.put_new(&KEY, MAIL, Caller::Upload).await.unwrap();
    faults.take_calls();
    faults.order(Operation::Get, Fault::Delay(Duration::from_secs(3600)), 9);
    // The second comes at once, the third when a probe is due.
    for (calls, seconds, pause) in [(2, 20, 0), (0, 0, 0), (1, 3, 1)] {
        tokio::time::advance(Duration::from_secs(pause)).await;
        let begun = Instant::now();
        let error = store.get_range(&KEY, 0..4, Caller::Read).await.unwrap_err();
        assert_eq!(*error.kind(), Kind::Unavailable);
        assert!(
            begun.elapsed() <= Duration::from_secs(seconds),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(faults.take_calls().len(), calls);
        assert!(!store.answers());
    }
    assert!(store.head(&KEY, Caller::Start).await.unwrap().is_some());
    assert!(store.answers());
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_and_a_refusal_is_not() {
    let scratch = TempDir::new().unwrap();
    let (store, faults) = store(&scratch);
    store.put_new(&KEY, MAIL, Caller::Upload).await.unwrap();
    faults.take_calls();
    faults.order(Operation::Get, Fault::Fail, 3);
    assert_eq!(
        store.get_range(&KEY, 2..8, Caller::Read).await.unwrap(),
        "sealed"
    );
    assert_eq!(faults.take_calls().len(), 4);
    faults.order(Operation::Get, Fault::Refuse, 1);
    let error = store.get_range(&KEY, 2..8, Caller::Read).await.unwrap_err();
    assert_eq!(*error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains("permissions"), "{error}");
    assert_eq!(faults.take_calls().len(), 1);
    assert!(store.answers());
}

#[tokio::test(start_paused = true)]
async fn a_put_that_was_accepted_and_lost_is_put_again_or_said() {
    let scratch = TempDir::new().unwrap();
    let (store, faults) = store(&scratch);
    faults.order(Operation::Put, Fault::Discard, 1);
    let put = store.put_new(&KEY, MAIL, Caller::Upload).await;
    assert_eq!(put.unwrap(), Put::Created);
    assert_eq!(store.get(&KEY, Caller::Read).await.unwrap(), MAIL);
    store.delete(&KEY, Caller::Collect).await.unwrap();
    faults.order(Operation::Put, Fault::Discard, 3);
    let error = store.put_new(&KEY, MAIL, Caller::Upload).await.unwrap_err();
    assert_eq!(*error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains("loses what it takes"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_says_that_it_is_another_is_no_other_writers() {
    let scratch = TempDir::new().unwrap();
    let (store, _) = store(&scratch);
    let other = Key::Epoch {
        shard: ShardNo(1),
        epoch: Epoch(9),
    };
    let object = crate::address::ObjectId {
        kind: crate::address::ObjectKind::EpochClaim,
        id: [0; 16],
    };
    let of = crate::address::StoreId([7; 16]);
    let header =
        crate::object::ObjectHeader::other(of, ShardNo(1), Epoch(9), object, other.to_string());
    let swapped = Bytes::from(header.encode());
    store.put_new(&KEY, swapped, Caller::Upload).await.unwrap();
    let error = store.put_new(&KEY, MAIL, Caller::Upload).await.unwrap_err();
    assert_eq!(*error.kind(), Kind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_short_answer_is_asked_for_again_and_then_said() {
    let scratch = TempDir::new().unwrap();
    let (store, faults) = store(&scratch);
    store.put_new(&KEY, MAIL, Caller::Upload).await.unwrap();
    faults.order(Operation::Get, Fault::Truncate(3), 1);
    assert_eq!(
        store.get_range(&KEY, 2..8, Caller::Read).await.unwrap(),
        "sealed"
    );
    faults.order(Operation::Get, Fault::Truncate(3), 4);
    let error = store.get_range(&KEY, 2..8, Caller::Read).await.unwrap_err();
    assert_eq!(*error.kind(), Kind::Unavailable);
    assert!(
        error.to_string().contains("truncated: 3 bytes came of 6"),
        "{error}"
    );
    faults.order(Operation::Get, Fault::Truncate(3), 4);
    let error = store.digest(&KEY, Caller::Verify).await.unwrap_err();
    assert_eq!(*error.kind(), Kind::Unavailable);
}

/// One body that was cut short made the store count as away, for all who read something else.
#[tokio::test(start_paused = true)]
async fn an_object_that_was_cut_short_is_asked_for_again_and_does_not_make_the_store_away() {
    let scratch = TempDir::new().unwrap();
    let (store, faults) = store(&scratch);
    store.put_new(&KEY, MAIL, Caller::Upload).await.unwrap();
    let object = scratch.path().join("cold").join(KEY.to_string());
    fs::write(object, &MAIL[..5]).unwrap();
    faults.take_calls();
    for range in [2..8, 8..14] {
        for _ in 0..3 {
            let error = store.get_range(&KEY, range.clone(), Caller::Read).await;
            assert_eq!(*error.unwrap_err().kind(), Kind::Unavailable);
            assert!(faults.take_calls().len() > 1, "it is tried again");
            assert_eq!(store.away(), Vec::<String>::new(), "{range:?}");
        }
    }
    for _ in 0..5 {
        let mut pieces = store.stream(&KEY, 2..8, Caller::Read).await.unwrap();
        assert_eq!(pieces.next().await.unwrap().unwrap(), "sea");
        let error = pieces.next().await.unwrap_err();
        assert!(error.to_string().contains("3 of 6"), "{error}");
        assert_eq!(store.away(), Vec::<String>::new());
    }
    // One that breaks off says nothing about what the store has.
    faults.order(Operation::Get, Fault::Truncate(1), 4);
    let error = store.get_range(&KEY, 2..5, Caller::Read).await;
    assert_eq!(*error.unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(store.away().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_is_not_there_is_no_missing_object() {
    let scratch = TempDir::new().unwrap();
    let (store, faults) = store(&scratch);
    faults.order(Operation::Put, Fault::NotFound, 1);
    let error = store.put_new(&KEY, MAIL, Caller::Upload).await.unwrap_err();
    assert_eq!(*error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains("no such bucket"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_broken_listing_says_so_and_the_next_is_whole() {
    let scratch = TempDir::new().unwrap();
    let (store, faults) = store(&scratch);
    store.put_new(&KEY, MAIL, Caller::Upload).await.unwrap();
    faults.order(Operation::List, Fault::Fail, 4);
    let list = async || {
        let listing = store.list(&key::segments(ShardNo(1)), Caller::Start);
        listing.try_collect::<Vec<_>>().await
    };
    assert_eq!(*list().await.unwrap_err().kind(), Kind::Unavailable);
    assert_eq!(list().await.unwrap()[0].key, Some(KEY));
}

#[tokio::test]
async fn on_one_file_system_a_segment_is_moved_and_on_two_it_is_copied_without_memory() {
    let scratch = TempDir::new().unwrap();
    let (store, _) = store(&scratch);
    let (path, digest) = file(&scratch, &MAIL);
    store
        .put_file(&KEY, &path, digest, Caller::Upload)
        .await
        .unwrap();
    let object = scratch.path().join("cold").join(KEY.to_string());
    assert_eq!(
        fs::metadata(&path).unwrap().ino(),
        fs::metadata(&object).unwrap().ino()
    );

    let shm = TempDir::new_in("/dev/shm").unwrap();
    let (path, digest) = file(&shm, b"from elsewhere");
    // What goes through memory asks for some of it, and would panic here.
    store.inner.memory.close();
    let other = Key::Block {
        shard: ShardNo(1),
        id: [7; 16],
    };
    let put = store.put_file(&other, &path, digest, Caller::Upload).await;
    assert_eq!(put.unwrap(), Put::Created);
    assert_eq!(
        store.get(&other, Caller::Read).await.unwrap(),
        "from elsewhere"
    );
}

pub(super) const CLAIM: Key = Key::Epoch {
    shard: ShardNo(1),
    epoch: Epoch(1),
};
const BLOCK: Key = Key::Block {
    shard: ShardNo(1),
    id: [7; 16],
};
pub(super) const OURS: StoreId = StoreId([1; 16]);

pub(super) fn claim_of(store: StoreId) -> Bytes {
    let object = ObjectId {
        kind: ObjectKind::EpochClaim,
        id: [0; 16],
    };
    let name = CLAIM.to_string();
    Bytes::from(ObjectHeader::other(store, ShardNo(1), Epoch(1), object, name).encode())
}

/// The claim had been looked at, and what was put went into the directory below.
#[tokio::test(start_paused = true)]
async fn what_is_put_where_the_store_was_unmounted_a_moment_ago_is_not_stored() {
    let scratch = TempDir::new().unwrap();
    let (store, _) = store(&scratch);
    let at = |name: &str| scratch.path().join(name);
    let (path, digest) = file(&scratch, &MAIL);
    let store = &store;
    // Away for a moment, after what was put before.
    let later = || tokio::time::sleep(Duration::from_secs(2));
    let put = async || {
        later().await;
        let linked = store.put_file(&KEY, &path, digest, Caller::Upload).await;
        later().await;
        let written = store.put_new(&BLOCK, MAIL, Caller::Compact).await;
        [linked, written].map(|put| put.map_err(|e| e.kind().clone()))
    };
    let others = StoreId([2; 16]);
    let away = || Err(Kind::Unavailable);
    let look = async || {
        later().await;
        store.claimant(ShardNo(1), Epoch(1), Caller::Upload).await
    };
    store.belongs_to(OURS);
    let claim = claim_of(OURS);
    store.put_new(&CLAIM, claim, Caller::Epoch).await.unwrap();
    fs::rename(at("cold"), at("elsewhere")).unwrap();
    fs::create_dir(at("cold")).unwrap();
    // The second time they meet what the first ones left.
    for _ in 0..2 {
        assert_eq!(put().await, [away(), away()]);
        assert!(at("cold").join(KEY.to_string()).exists());
        assert_eq!(look().await.unwrap(), None);
    }
    fs::rename(at("cold"), at("below")).unwrap();
    fs::rename(at("elsewhere"), at("cold")).unwrap();
    assert_eq!(put().await, [Ok(Put::Created), Ok(Put::Created)]);

    // A directory that is emptied is the same, and no store.
    let place = at("cold").join(CLAIM.to_string());
    fs::remove_file(&place).unwrap();
    assert_eq!(put().await, [away(), away()]);
    fs::write(&place, claim_of(others)).unwrap();
    assert_eq!(look().await.unwrap(), Some(others));
    assert_eq!(put().await, [away(), away()]);
    // A copy is the store as well.
    fs::rename(at("cold"), at("elsewhere")).unwrap();
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, claim_of(OURS)).unwrap();
    assert_eq!(put().await, [Ok(Put::Created), Ok(Put::Created)]);
}

#[tokio::test]
async fn after_a_start_the_first_put_counts_where_the_claim_was_read_or_where_there_never_was_one()
{
    let scratch = TempDir::new().unwrap();
    let cold = scratch.path().join("cold");
    let place = cold.join(CLAIM.to_string());
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    fs::write(&place, claim_of(OURS)).unwrap();
    let settings = ColdSettings {
        url: format!("file://{}", cold.display()),
        ..ColdSettings::default()
    };
    let store = ColdStore::open(&settings).unwrap();
    store.belongs_to(OURS);
    let claimant = store.claimant(ShardNo(1), Epoch(1), Caller::Upload).await;
    assert_eq!(claimant.unwrap(), Some(OURS));
    fs::remove_dir_all(&cold).unwrap();
    fs::create_dir(&cold).unwrap();
    let put = store.put_new(&BLOCK, MAIL, Caller::Compact).await;
    assert_eq!(*put.unwrap_err().kind(), Kind::Unavailable);
    // A mirror that was added has none yet.
    let store = ColdStore::open(&settings).unwrap();
    store.belongs_to(OURS);
    let put = store.put_new(&BLOCK, MAIL, Caller::Compact).await;
    assert_eq!(put.unwrap(), Put::AlreadyThere);
}

/// A store that takes every put, whatever is there.
#[derive(Debug)]
struct Overwriter;

impl Backend for Overwriter {
    fn put_new<'a>(&'a self, _: &'a str, _: Bytes) -> BoxFuture<'a, Result<(), Failure>> {
        ready(Ok(())).boxed()
    }

    fn put_over<'a>(&'a self, name: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), Failure>> {
        self.put_new(name, bytes)
    }

    fn read<'a>(
        &'a self,
        _: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Body, Failure>> {
        let last = Bytes::from_static(b"COLDPOST probe 2");
        let bytes = match range {
            Some(_) => last.slice(9..14),
            None => last,
        };
        let answer_bytes = u64::try_from(bytes.len()).unwrap();
        let pieces = futures::stream::iter([Ok(bytes)]).boxed();
        ready(Ok(Body {
            object_bytes: 16,
            answer_bytes,
            pieces,
        }))
        .boxed()
    }

    fn size<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<u64, Failure>> {
        ready(Ok(16)).boxed()
    }

    fn list_page<'a>(
        &'a self,
        _: &'a str,
        _: Option<&'a str>,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, Failure>> {
        ready(Ok(Page::default())).boxed()
    }

    fn delete<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        ready(Ok(())).boxed()
    }
}

#[tokio::test]
async fn a_store_that_overwrites_is_refused_with_the_way_out() {
    let store = ColdStore::over(Arc::new(Overwriter), "s3://old/store".to_owned());
    let error = store.check(|| 0).await.unwrap_err();
    assert_eq!(*error.kind(), Kind::Invalid);
    assert!(
        error
            .to_string()
            .contains("Use a store with conditional puts"),
        "{error}"
    );
}
