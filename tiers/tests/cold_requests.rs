//! Every request that the store meets is counted, and counted once: what a proxy before it sees is what `usage` says.
#![expect(clippy::unwrap_used, reason = "a test says by a panic what went wrong")]

mod s3;

use bytes::Bytes;
use coldpost_testkit::fault_proxy::{FaultProxy, Mode};
use coldpost_testkit::have;
use coldpost_testkit::seaweedfs::SeaweedFs;
use coldpost_testkit::tool::WEED;
use coldpost_tiers::address::{Epoch, Position, ShardNo};
use coldpost_tiers::cold::{Caller, ColdStore, Key, key};
use futures::{StreamExt, TryStreamExt};

use s3::{now_s, store};

/// One more than S3 puts on a page.
const OBJECTS: u64 = 1001;

fn segment(first: u64) -> Key {
    Key::Segment {
        shard: ShardNo(1),
        epoch: Epoch(1),
        first: Position(first),
    }
}

fn counted(store: &ColdStore, kind: &str, caller: &str) -> u64 {
    let requests = store.usage().requests;
    let mut found = requests.iter();
    found
        .find(|r| r.kind == kind && r.caller == caller)
        .map_or(0, |r| r.count)
}

fn all(store: &ColdStore) -> u64 {
    store.usage().requests.iter().map(|r| r.count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_of_the_store_that_is_not_counted() {
    if !have(&[WEED]) {
        return;
    }
    let weed = SeaweedFs::start();
    let proxy = FaultProxy::start(weed.s3_addr());
    let (behind, store) = (store(weed.s3_addr()), store(proxy.addr()));
    let put = |first| {
        let behind = behind.clone();
        async move {
            let bytes = Bytes::from_static(b"x");
            behind.put_new(&segment(first), bytes, Caller::Upload).await
        }
    };
    let puts = futures::stream::iter(0..OBJECTS)
        .map(put)
        .buffer_unordered(16);
    puts.try_collect::<Vec<_>>().await.unwrap();

    let listing = store.list(&key::segments(ShardNo(1)), Caller::Verify);
    let listed = listing.try_collect::<Vec<_>>().await.unwrap();
    assert_eq!(listed.len() as u64, OBJECTS);
    assert_eq!(counted(&store, "list", "verify"), 2, "a request a page");
    store.check(now_s).await.unwrap();
    store.get(&segment(1), Caller::Read).await.unwrap();
    store.digest(&segment(2), Caller::Verify).await.unwrap();
    // An equal object, another one, and one that has to be asked for again and again.
    let key = segment(3);
    let put = |bytes| store.put_new(&key, Bytes::from_static(bytes), Caller::Compact);
    put(b"x").await.unwrap();
    put(b"y").await.unwrap_err();
    store.delete(&segment(4), Caller::Collect).await.unwrap();
    store
        .is_claimed(ShardNo(1), Epoch(1), Caller::Epoch)
        .await
        .unwrap();
    proxy.set(Mode::Status(500));
    store
        .get_range(&segment(5), 0..1, Caller::Snapshot)
        .await
        .unwrap_err();
    assert_eq!(counted(&store, "get", "snapshot"), 4, "every attempt");
    assert_eq!(counted(&store, "delete", "gc"), 1);
    assert_eq!(all(&store), proxy.requests().len() as u64);
}
