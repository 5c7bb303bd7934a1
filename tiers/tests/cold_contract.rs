//! What every cold tier must do, over a directory and over S3 (SeaweedFS): the same promises, the same tests.
#![expect(clippy::unwrap_used, reason = "a test says by a panic what went wrong")]

use std::fs;
use std::path::Path;

use bytes::Bytes;
use coldpost_testkit::fault_proxy::{FaultProxy, Mode};
use coldpost_testkit::have;
use coldpost_testkit::seaweedfs::{ACCESS_KEY, BUCKET, SECRET_KEY, SeaweedFs};
use coldpost_testkit::tool::WEED;
use coldpost_tiers::Kind;
use coldpost_tiers::address::{Epoch, ObjectId, ObjectKind, Position, ShardNo, StoreId};
use coldpost_tiers::cold::{
    Caller, ColdSettings, ColdStore, Key, Put, Upload, UploadEvent, Uploader, key,
};
use coldpost_tiers::object::ObjectHeader;
use futures::TryStreamExt;
use tempfile::TempDir;
use tokio::sync::mpsc;

const SHARD: ShardNo = ShardNo(1);

fn now_s() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

fn segment(first: u64) -> (ObjectId, Key) {
    let object = ObjectId::segment(Epoch(1), Position(first));
    (object, Key::of(SHARD, &object))
}

fn directory(at: &Path) -> ColdSettings {
    fs::create_dir_all(at.join("cold")).unwrap();
    ColdSettings {
        url: format!("file://{}", at.join("cold").display()),
        ..ColdSettings::default()
    }
}

fn s3(weed: &SeaweedFs, prefix: &str) -> ColdSettings {
    ColdSettings {
        url: format!("s3://{BUCKET}/{prefix}"),
        endpoint: Some(format!("http://{}", weed.s3_addr())),
        region: Some("us-east-1".to_owned()),
        access_key_id: Some(ACCESS_KEY.to_owned()),
        secret_access_key: Some(SECRET_KEY.to_owned()),
        allow_http: true,
        ..ColdSettings::default()
    }
}

#[tokio::test]
async fn a_directory_keeps_the_contract() {
    let scratch = TempDir::new().unwrap();
    let settings = directory(scratch.path());
    contract(&settings, scratch.path()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_s3_store_keeps_the_contract() {
    if !have(&[WEED]) {
        return;
    }
    let weed = SeaweedFs::start();
    let scratch = TempDir::new().unwrap();
    contract(&s3(&weed, "some/prefix"), scratch.path()).await;
    wrong_credentials_are_named(&weed).await;
    faults_on_the_wire_are_called_by_their_names(&weed).await;
}

async fn contract(settings: &ColdSettings, scratch: &Path) {
    let store = ColdStore::open(settings).unwrap();
    store.check(now_s).await.unwrap();
    a_put_makes_an_object_once(&store).await;
    a_range_is_exactly_as_long_as_asked_for(&store).await;
    what_is_not_there_is_not_found(&store).await;
    a_file_becomes_an_object_once(&store, scratch).await;
    a_listing_shows_sizes_and_keys(&store).await;
    only_a_copy_that_is_mended_is_overwritten(&store).await;
    of_many_writers_one_wins(&store).await;
    the_uploader_stops_at_the_next_epoch(&store, scratch).await;
}

async fn a_put_makes_an_object_once(store: &ColdStore) {
    let (_, key) = segment(1);
    let put = |bytes| store.put_new(&key, Bytes::from_static(bytes), Caller::Upload);
    assert_eq!(put(b"0123456789").await.unwrap(), Put::Created);
    assert_eq!(put(b"0123456789").await.unwrap(), Put::AlreadyThere);
    // It is there, and nobody of us wrote it: that is no other writer.
    assert_eq!(
        *put(b"9876543210").await.unwrap_err().kind(),
        Kind::Unavailable
    );
    assert_eq!(store.get(&key, Caller::Read).await.unwrap(), "0123456789");
    let digest = *blake3::hash(b"0123456789").as_bytes();
    assert_eq!(
        store.digest(&key, Caller::Verify).await.unwrap(),
        (digest, 10)
    );
}

async fn a_range_is_exactly_as_long_as_asked_for(store: &ColdStore) {
    let (_, key) = segment(1);
    let range = |range| store.get_range(&key, range, Caller::Read);
    assert_eq!(range(3..7).await.unwrap(), "3456");
    assert_eq!(range(0..10).await.unwrap(), "0123456789");
    for _ in 0..2 {
        assert_eq!(*range(8..12).await.unwrap_err().kind(), Kind::Unavailable);
        assert_eq!(*range(10..12).await.unwrap_err().kind(), Kind::Unavailable);
    }
    // It answered each time.
    assert_eq!(store.away(), Vec::<String>::new());
    assert_eq!(*range(4..4).await.unwrap_err().kind(), Kind::Limit);
}

async fn what_is_not_there_is_not_found(store: &ColdStore) {
    let (_, key) = segment(999);
    assert_eq!(store.head(&key, Caller::Start).await.unwrap(), None);
    let missing = store.get_range(&key, 0..1, Caller::Read).await;
    assert_eq!(*missing.unwrap_err().kind(), Kind::NotFound);
    store.delete(&key, Caller::Verify).await.unwrap();
    let put = store.put_new(&key, Bytes::from_static(b"x"), Caller::Upload);
    assert_eq!(put.await.unwrap(), Put::Created);
    assert_eq!(
        store.head(&key, Caller::Start).await.unwrap().unwrap().size,
        1
    );
    store.delete(&key, Caller::Verify).await.unwrap();
    assert_eq!(store.head(&key, Caller::Start).await.unwrap(), None);
}

async fn a_file_becomes_an_object_once(store: &ColdStore, scratch: &Path) {
    let (_, key) = segment(2);
    let file = scratch.join("2.seg");
    let bytes = [b"COLDPOST".as_slice(), &vec![7; 2_999_992]].concat();
    fs::write(&file, &bytes).unwrap();
    let digest = *blake3::hash(&bytes).as_bytes();
    let wrong = store.put_file(&key, &file, [0; 32], Caller::Upload).await;
    assert!(matches!(wrong.unwrap_err().kind(), Kind::Corrupt { .. }));
    assert_eq!(store.head(&key, Caller::Start).await.unwrap(), None);
    for expected in [Put::Created, Put::AlreadyThere] {
        let put = store.put_file(&key, &file, digest, Caller::Upload).await;
        assert_eq!(put.unwrap(), expected);
    }
    assert_eq!(store.get(&key, Caller::Read).await.unwrap(), bytes);
    fs::write(scratch.join("other.seg"), b"other").unwrap();
    let other = *blake3::hash(b"other").as_bytes();
    let path = scratch.join("other.seg");
    let put = store.put_file(&key, &path, other, Caller::Upload).await;
    assert_eq!(*put.unwrap_err().kind(), Kind::Conflict);
    let path = scratch.join("gone");
    let gone = store.put_file(&key, &path, other, Caller::Upload).await;
    assert_eq!(*gone.unwrap_err().kind(), Kind::NotFound);
    // Deleting the local file leaves the object.
    fs::remove_file(&file).unwrap();
    assert_eq!(store.digest(&key, Caller::Verify).await.unwrap().0, digest);
}

async fn a_listing_shows_sizes_and_keys(store: &ColdStore) {
    let other = Key::Epoch {
        shard: ShardNo(2),
        epoch: Epoch(1),
    };
    let claim = Bytes::from_static(b"claim");
    store.put_new(&other, claim, Caller::Epoch).await.unwrap();
    let listed = async |folder: &str| {
        let listing = store.list(folder, Caller::Verify);
        let mut all: Vec<_> = listing
            .map_ok(|l| (l.key, l.size))
            .try_collect()
            .await
            .unwrap();
        all.sort();
        all
    };
    let segments = [(Some(segment(1).1), 10), (Some(segment(2).1), 3_000_000)];
    assert_eq!(listed(&key::segments(SHARD)).await, segments);
    let after = store.list_after(&key::segments(SHARD), &segment(1).1, Caller::Start);
    let after: Vec<_> = after
        .map_ok(|l| (l.key, l.size))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(after, segments[1..], "what comes behind the first");
    assert_eq!(listed(&key::epochs(ShardNo(2))).await, [(Some(other), 5)]);
    assert_eq!(listed(&key::epochs(ShardNo(3))).await, []);
    assert_eq!(listed("").await.len(), 3, "the probe of the check is gone");
}

async fn only_a_copy_that_is_mended_is_overwritten(store: &ColdStore) {
    let (bytes, key) = (signed(9), segment(9).1);
    let before = now_s();
    for again in 0..2 {
        let put = store.put_again(&key, bytes.clone(), Caller::Verify).await;
        put.unwrap_or_else(|e| panic!("{again}: {e}"));
        let size = u64::try_from(bytes.len()).unwrap();
        let got = store.get_whole(&key, size, Caller::Verify).await;
        assert_eq!(got.unwrap(), bytes);
        let wrong = store.get_whole(&key, size + 1, Caller::Verify).await;
        assert_eq!(*wrong.unwrap_err().kind(), Kind::Unavailable);
    }
    let listing = store.list(&key::segments(SHARD), Caller::Verify);
    let listed: Vec<_> = listing.try_collect().await.unwrap();
    let written = listed.iter().find(|l| l.key == Some(key)).unwrap().modified;
    // The store's clock is another one, and tells whole seconds.
    assert!((written - before).abs() < 120, "{written} and {before}");
    let names: Vec<_> = listed.into_iter().map(|l| l.name).collect();
    assert!(names.is_sorted(), "{names:?}");
    let conflict = store.put_new(&key, signed(8), Caller::Upload).await;
    assert_eq!(*conflict.unwrap_err().kind(), Kind::Conflict);
    store.delete(&key, Caller::Collect).await.unwrap();
}

async fn of_many_writers_one_wins(store: &ColdStore) {
    let (_, key) = segment(3);
    let write = |n: u8| {
        let store = store.clone();
        tokio::spawn(async move { store.put_new(&key, signed(n), Caller::Upload).await })
    };
    let mut created = Vec::new();
    for (n, writer) in (0..8).map(|n| (n, write(n))).collect::<Vec<_>>() {
        match writer.await.unwrap() {
            Ok(Put::Created) => created.push(n),
            Ok(Put::AlreadyThere) => panic!("writer {n} found other bytes equal"),
            Err(e) => assert_eq!(*e.kind(), Kind::Conflict, "{e}"),
        }
    }
    assert_eq!(created.len(), 1);
    let stored = store.get(&key, Caller::Read).await.unwrap();
    assert_eq!(stored, signed(created[0]));
}

/// What begins as an object does.
fn signed(n: u8) -> Bytes {
    [b"COLDPOST".as_slice(), &[n; 1000]].concat().into()
}

async fn the_uploader_stops_at_the_next_epoch(store: &ColdStore, scratch: &Path) {
    let (told, mut events) = mpsc::unbounded_channel();
    let uploader = Uploader::start(store.clone(), told);
    let upload = |first: u64| {
        let path = scratch.join(format!("{first}.seg"));
        let bytes = first.to_le_bytes().repeat(100);
        fs::write(&path, &bytes).unwrap();
        Upload {
            shard: SHARD,
            epoch: Epoch(1),
            object: segment(first).0,
            path,
            digest: blake3::hash(&bytes).into(),
            size: 800,
        }
    };
    uploader.push(upload(10)).unwrap();
    match events.recv().await.unwrap() {
        UploadEvent::Stored(done) => assert_eq!(done, upload(10)),
        other => panic!("{other:?}"),
    }
    let next = Key::Epoch {
        shard: SHARD,
        epoch: Epoch(2),
    };
    let object = ObjectId {
        kind: ObjectKind::EpochClaim,
        id: [0; 16],
    };
    let claim = ObjectHeader::other(StoreId([9; 16]), SHARD, Epoch(2), object, next.to_string());
    let claim = Bytes::from(claim.encode());
    store.put_new(&next, claim, Caller::Epoch).await.unwrap();
    uploader.push(upload(11)).unwrap();
    match events.recv().await.unwrap() {
        UploadEvent::Fenced { shard, epoch } => assert_eq!((shard, epoch), (SHARD, Epoch(2))),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        *uploader.push(upload(12)).unwrap_err().kind(),
        Kind::Conflict
    );
    assert_eq!(
        store.head(&segment(11).1, Caller::Verify).await.unwrap(),
        None
    );
    assert_eq!(uploader.waiting(), 0);
    uploader.stop().await;
}

async fn wrong_credentials_are_named(weed: &SeaweedFs) {
    let mut settings = s3(weed, "x");
    settings.secret_access_key = Some("not-the-secret".to_owned());
    let store = ColdStore::open(&settings).unwrap();
    let error = store.check(now_s).await.unwrap_err().to_string();
    assert!(error.contains("allow s3:PutObject"), "{error}");
    assert!(!error.contains("not-the-secret"), "{error}");
}

async fn faults_on_the_wire_are_called_by_their_names(weed: &SeaweedFs) {
    let proxy = FaultProxy::start(weed.s3_addr());
    let mut settings = s3(weed, "some/prefix");
    settings.endpoint = Some(format!("http://{}", proxy.addr()));
    let store = ColdStore::open(&settings).unwrap();
    let (_, key) = segment(1);
    let read = || store.get_range(&key, 3..7, Caller::Read);
    // (Hang comes when the store is known to be away: three seconds instead of twenty.)
    let modes = [
        (Mode::Status(404), Kind::NotFound, true),
        (Mode::Status(403), Kind::Unavailable, true),
        (Mode::Truncate, Kind::Unavailable, false),
        (Mode::Refuse, Kind::Unavailable, false),
        (Mode::Hang, Kind::Unavailable, false),
        (Mode::Status(503), Kind::Unavailable, false),
    ];
    for (mode, kind, answers) in modes {
        proxy.set(mode);
        let error = read().await.unwrap_err();
        assert_eq!(*error.kind(), kind, "{mode:?}: {error}");
        assert_eq!(store.answers(), answers, "{mode:?}");
    }
    proxy.set(Mode::Pass);
    is_back(&store).await;
    assert_eq!(read().await.unwrap(), "3456");
    assert!(store.answers());

    for mode in [Mode::Status(409), Mode::Status(412), Mode::Page] {
        proxy.set(mode);
        let put = store.put_new(&key, signed(1), Caller::Upload).await;
        assert_eq!(*put.unwrap_err().kind(), Kind::Unavailable, "{mode:?}");
        if mode == Mode::Page {
            // What a page says can only be told by who knows what should stand there.
            continue;
        }
        let found = store.head(&key, Caller::Read).await;
        assert_eq!(*found.unwrap_err().kind(), Kind::Unavailable, "{mode:?}");
        let got = store.get(&key, Caller::Upload).await;
        assert_eq!(*got.unwrap_err().kind(), Kind::Unavailable, "{mode:?}");
    }

    let (_, key) = segment(50);
    let put = || store.put_new(&key, Bytes::from_static(b"answer lost"), Caller::Upload);
    proxy.set(Mode::Pass);
    is_back(&store).await;
    proxy.set(Mode::LoseAnswer);
    assert_eq!(*put().await.unwrap_err().kind(), Kind::Unavailable);
    proxy.set(Mode::Pass);
    is_back(&store).await;
    assert_eq!(put().await.unwrap(), Put::AlreadyThere);
}

/// What does not yield to the breaker finds out that the store answers.
async fn is_back(store: &ColdStore) {
    store.head(&segment(1).1, Caller::Start).await.unwrap();
    assert!(store.answers());
}

#[test]
fn an_address_that_is_none_is_refused_in_words() {
    for url in [
        "",
        "/tmp/x",
        "file://x",
        "s3:///x",
        "http://x",
        "s3://b/a//b",
    ] {
        let settings = ColdSettings {
            url: url.to_owned(),
            ..ColdSettings::default()
        };
        let error = ColdStore::open(&settings).map(|_| ()).unwrap_err();
        assert_eq!(*error.kind(), Kind::Invalid, "{url}: {error}");
    }
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_empty_and_is_made_by_the_check_alone() {
    let scratch = TempDir::new().unwrap();
    let root = scratch.path().join("a b/c%20d #1");
    fs::create_dir(scratch.path().join("x")).unwrap();
    let settings = ColdSettings {
        url: format!("file://{}/x/../a b/c%20d #1", scratch.path().display()),
        ..ColdSettings::default()
    };
    let store = ColdStore::open(&settings).unwrap();
    let key = segment(1).1;
    let got = store.get(&key, Caller::Start).await;
    assert_eq!(*got.unwrap_err().kind(), Kind::NotFound);
    let listed = async || store.list("", Caller::Start).try_collect::<Vec<_>>().await;
    assert!(listed().await.unwrap().is_empty());
    let put = async || {
        store
            .put_new(&key, Bytes::from_static(b"x"), Caller::Start)
            .await
    };
    assert_eq!(*put().await.unwrap_err().kind(), Kind::Unavailable);
    assert!(!root.exists());
    store.check(now_s).await.unwrap();
    assert_eq!(put().await.unwrap(), Put::Created);
    assert_eq!(listed().await.unwrap()[0].key, Some(key));
    assert!(root.is_dir());
}
