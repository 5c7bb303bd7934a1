//! Two directories as one store, with faults before the first, and things taken out of either.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::address::{Epoch, Position, ShardNo};
use crate::cold::faults::{Fault, Faults, Operation};
use crate::cold::mirror::FAILOVER;
use crate::cold::{Caller, ColdSettings, ColdStore, Key, Put, Severity, key};
use crate::error::Kind;

const MAIL: Bytes = Bytes::from_static(b"a sealed COLDPOST");

fn segment(first: u64) -> Key {
    Key::Segment {
        shard: ShardNo(1),
        epoch: Epoch(1),
        first: Position(first),
    }
}

struct Bench {
    scratch: TempDir,
    store: ColdStore,
    faults: Faults,
}

impl Bench {
    async fn new() -> Bench {
        let scratch = TempDir::new().unwrap();
        let directory = |name: &str| ColdSettings {
            url: format!("file://{}/{name}", scratch.path().display()),
            ..ColdSettings::default()
        };
        let settings = ColdSettings {
            mirror: Some(Box::new(directory("second"))),
            ..directory("first")
        };
        let faults = Faults::new();
        let store = ColdStore::open_with_faults(&settings, &faults).unwrap();
        let found = store.check(|| 0).await.unwrap();
        assert!(found.iter().all(|f| f.severity == Severity::Fine));
        assert_eq!(found.len(), 15, "both are checked, and that they are two");
        Bench {
            scratch,
            store,
            faults,
        }
    }

    fn path(&self, side: &str, first: u64) -> PathBuf {
        let side = self.scratch.path().join(side);
        side.join(segment(first).to_string())
    }

    async fn put(&self, first: u64) -> crate::Result<Put> {
        self.store
            .put_new(&segment(first), MAIL, Caller::Upload)
            .await
    }

    async fn read(&self, first: u64) -> crate::Result<Bytes> {
        let range = 0..u64::try_from(MAIL.len()).unwrap();
        self.store
            .get_range(&segment(first), range, Caller::Read)
            .await
    }

    /// All that comes of a range, and how it ends.
    async fn stream(&self, first: u64) -> crate::Result<Vec<u8>> {
        let range = 0..u64::try_from(MAIL.len()).unwrap();
        let key = segment(first);
        let begun = self.store.stream(&key, range, Caller::Read);
        let mut pieces = begun.await?;
        let mut all = Vec::new();
        while let Some(piece) = pieces.next().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all)
    }

    /// Takes the second store away, or brings it back.
    fn unmount_second(&self, away: bool) {
        let (there, gone) = ("second", "unmounted");
        let (from, to) = if away { (there, gone) } else { (gone, there) };
        let path = |name| self.scratch.path().join(name);
        fs::rename(path(from), path(to)).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_put_is_in_both_and_what_one_lacks_is_completed() {
    let bench = Bench::new().await;
    assert_eq!(bench.put(1).await.unwrap(), Put::Created);
    for side in ["first", "second"] {
        assert_eq!(fs::read(bench.path(side, 1)).unwrap(), MAIL);
        fs::remove_file(bench.path(side, 1)).unwrap();
        assert_eq!(bench.put(1).await.unwrap(), Put::Created, "{side}");
        assert_eq!(fs::read(bench.path(side, 1)).unwrap(), MAIL);
    }
    assert_eq!(bench.put(1).await.unwrap(), Put::AlreadyThere);
    bench
        .store
        .delete(&segment(1), Caller::Collect)
        .await
        .unwrap();
    assert!(!bench.path("first", 1).exists() && !bench.path("second", 1).exists());
}

#[tokio::test(start_paused = true)]
async fn a_put_is_not_confirmed_while_one_store_lacks_it_and_is_when_it_is_back() {
    let bench = Bench::new().await;
    bench.unmount_second(true);
    let error = bench.put(1).await.unwrap_err();
    assert_eq!(*error.kind(), Kind::Unavailable);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("/second"), "whose fault it is: {cause}");
    assert!(bench.store.answers(), "the first does");
    assert_eq!(bench.store.away().len(), 1);
    assert_eq!(bench.read(1).await.unwrap(), MAIL, "it got as far as that");
    bench.unmount_second(false);
    tokio::time::advance(Duration::from_secs(1)).await;
    bench.put(1).await.unwrap();
    assert_eq!(fs::read(bench.path("second", 1)).unwrap(), MAIL);
    assert!(bench.store.away().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_read_goes_to_the_other_when_one_fails_hangs_breaks_off_or_lacks_it() {
    let bench = Bench::new().await;
    bench.put(1).await.unwrap();
    for fault in [
        Fault::Fail,
        Fault::Delay(Duration::from_secs(3600)),
        Fault::Truncate(3),
        Fault::NotFound,
        Fault::Refuse,
    ] {
        bench.faults.order(Operation::Get, fault, 1);
        let begun = tokio::time::Instant::now();
        assert_eq!(bench.read(1).await.unwrap(), MAIL, "{fault:?}");
        assert!(begun.elapsed() <= Duration::from_secs(4), "{fault:?}");
    }
    // Once it is known to be away it is not waited for.
    bench.faults.set_away(true);
    for _ in 0..8 {
        assert_eq!(bench.read(1).await.unwrap(), MAIL);
    }
    let asked = bench.faults.take_calls().len();
    for _ in 0..8 {
        assert_eq!(bench.read(1).await.unwrap(), MAIL);
    }
    assert!(asked > 4 && bench.faults.take_calls().is_empty());
    assert_eq!(bench.store.away().len(), 1);
    bench.faults.set_away(false);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(bench.read(1).await.unwrap(), MAIL);
    assert!(bench.store.away().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_long_read_begins_with_the_other_when_one_fails_and_says_when_it_breaks_off() {
    let bench = Bench::new().await;
    bench.put(1).await.unwrap();
    assert_eq!(bench.stream(1).await.unwrap(), MAIL);
    for fault in [Fault::Fail, Fault::NotFound] {
        bench.faults.order(Operation::Get, fault, 1);
        assert_eq!(bench.stream(1).await.unwrap(), MAIL, "{fault:?}");
    }
    for fault in [Fault::Truncate(5), Fault::Hold(5)] {
        bench.faults.order(Operation::Get, fault, 1);
        let began = Instant::now();
        let error = bench.stream(1).await.unwrap_err();
        assert_eq!(*error.kind(), Kind::Unavailable, "{fault:?}: {error}");
        assert!(
            began.elapsed() <= FAILOVER + Duration::from_secs(1),
            "{fault:?}"
        );
    }
    assert_eq!(bench.stream(1).await.unwrap(), MAIL);
}

#[tokio::test(start_paused = true)]
async fn an_object_is_missing_when_both_say_so_and_never_while_one_is_away() {
    let bench = Bench::new().await;
    assert_eq!(*bench.read(9).await.unwrap_err().kind(), Kind::NotFound);
    bench.faults.set_away(true);
    for _ in 0..6 {
        assert_eq!(*bench.read(9).await.unwrap_err().kind(), Kind::Unavailable);
        let head = bench.store.head(&segment(9), Caller::Upload).await;
        assert_eq!(*head.unwrap_err().kind(), Kind::Unavailable);
    }
}

#[tokio::test(start_paused = true)]
async fn each_copy_can_be_had_and_other_bytes_in_the_second_confirm_nothing() {
    let bench = Bench::new().await;
    bench.put(1).await.unwrap();
    fs::remove_file(bench.path("second", 1)).unwrap();
    fs::write(bench.path("second", 1), b"COLDPOST is other").unwrap();
    let copy = async |copy| {
        let key = segment(1);
        let read = bench
            .store
            .get_range_of_copy(copy, &key, 0..8, Caller::Read);
        read.await.unwrap()
    };
    assert_eq!(copy(0).await, MAIL[..8]);
    assert_eq!(copy(1).await, "COLDPOST");
    let error = bench.put(1).await.unwrap_err();
    assert_eq!(*error.kind(), Kind::Unavailable);
    assert!(error.to_string().contains("other bytes"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_listing_is_of_the_first_that_answers() {
    let bench = Bench::new().await;
    bench.put(1).await.unwrap();
    bench.faults.order(Operation::List, Fault::Fail, 1);
    let listing = bench.store.list(&key::segments(ShardNo(1)), Caller::Verify);
    let listed: Vec<_> = listing.try_collect().await.unwrap();
    assert_eq!(listed.len(), 1);
    let usage = bench.store.usage().requests;
    let mirrored = usage.iter().filter(|r| r.caller == "mirror");
    assert!(
        mirrored.clone().any(|r| r.kind == "put" && r.count == 1),
        "{usage:?}"
    );
    assert!(
        mirrored.clone().any(|r| r.kind == "list" && r.count == 1),
        "{usage:?}"
    );
}
