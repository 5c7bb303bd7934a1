//! The uploader against a store that is away, a fence, and files that cannot be uploaded.

use std::fs;

use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::sleep;

use super::*;
use crate::address::Position;
use crate::cold::ColdSettings;
use crate::cold::faults::{Fault, Faults, Operation};

struct Bench {
    scratch: TempDir,
    store: ColdStore,
    faults: Faults,
    uploader: Uploader,
    events: UnboundedReceiver<UploadEvent>,
}

impl Bench {
    fn new() -> Bench {
        Bench::of(&["cold"])
    }

    /// Of a store, or of two that are a mirror.
    fn of(names: &[&str]) -> Bench {
        let scratch = TempDir::new().unwrap();
        let faults = Faults::new();
        let stores = names.iter().rev().map(|name| {
            fs::create_dir(scratch.path().join(name)).unwrap();
            format!("file://{}/{name}", scratch.path().display())
        });
        let with_mirror = |mirror: Option<ColdSettings>, url| {
            Some(ColdSettings {
                url,
                mirror: mirror.map(Box::new),
                ..ColdSettings::default()
            })
        };
        let settings = stores.fold(None, with_mirror).unwrap();
        let store = ColdStore::open_with_faults(&settings, &faults).unwrap();
        let (told, events) = mpsc::unbounded_channel();
        let uploader = Uploader::start(store.clone(), told);
        Bench {
            scratch,
            store,
            faults,
            uploader,
            events,
        }
    }

    fn upload(&self, first: u64) -> Upload {
        let path = self.scratch.path().join(format!("{first}.seg"));
        let bytes = first.to_le_bytes();
        fs::write(&path, bytes).unwrap();
        Upload {
            shard: ShardNo(1),
            epoch: Epoch(1),
            object: ObjectId::segment(Epoch(1), Position(first)),
            path,
            digest: blake3::hash(&bytes).into(),
            size: 8,
        }
    }

    /// Asks for an upload that does not succeed, until it is given up.
    async fn taken_back(&self, first: u64) -> TakenBack {
        let upload = self.upload(first);
        let (shard, object) = (upload.shard, upload.object);
        self.uploader.push(upload).unwrap();
        loop {
            sleep(Duration::from_secs(1)).await;
            if let Some(taken) = self.uploader.take_back(shard, object, 2) {
                return taken;
            }
        }
    }

    async fn stored(&mut self) -> Upload {
        match self.events.recv().await.unwrap() {
            UploadEvent::Stored(upload) => upload,
            other => panic!("{other:?}"),
        }
    }

    async fn failed(&mut self) -> Kind {
        match self.events.recv().await.unwrap() {
            UploadEvent::Failed { error, .. } => error.kind().clone(),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_an_hour_is_asked_about_once_a_minute_and_then_gets_everything() {
    let mut bench = Bench::new();
    bench.faults.set_away(true);
    for first in 1..=3 {
        bench.uploader.push(bench.upload(first)).unwrap();
    }
    sleep(Duration::from_secs(3600)).await;
    assert!(bench.events.try_recv().is_err());
    let asked = bench.faults.take_calls().len();
    // (All three as one: what comes while a probe runs is not asked.)
    assert!((60..3 * 140).contains(&asked), "{asked} attempts");
    bench.faults.set_away(false);
    let mut done = [
        bench.stored().await,
        bench.stored().await,
        bench.stored().await,
    ];
    done.sort_by_key(|upload| upload.object);
    assert_eq!(done, [bench.upload(1), bench.upload(2), bench.upload(3)]);
    assert_eq!(bench.uploader.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_one_upload() {
    let mut bench = Bench::new();
    bench.faults.order(Operation::Put, Fault::LoseAnswer, 1);
    bench.uploader.push(bench.upload(1)).unwrap();
    assert_eq!(bench.stored().await, bench.upload(1));
    assert!(bench.events.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn asking_twice_uploads_once() {
    let mut bench = Bench::new();
    bench.faults.set_away(true);
    for _ in 0..5 {
        bench.uploader.push(bench.upload(1)).unwrap();
    }
    assert_eq!(bench.uploader.waiting(), 1);
    bench.faults.set_away(false);
    bench.stored().await;
    assert_eq!(bench.uploader.waiting(), 0);
    bench.uploader.push(bench.upload(1)).unwrap();
    assert_eq!(
        bench.stored().await,
        bench.upload(1),
        "an equal object is success"
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_uploaded_is_given_up_by_name_and_holds_nobody_up() {
    let mut bench = Bench::new();
    let damaged = bench.upload(1);
    fs::write(&damaged.path, b"12345678").unwrap();
    bench.uploader.push(damaged).unwrap();
    assert!(matches!(bench.failed().await, Kind::Corrupt { .. }));

    let missing = bench.upload(2);
    fs::remove_file(&missing.path).unwrap();
    bench.uploader.push(missing).unwrap();
    assert_eq!(bench.failed().await, Kind::NotFound);

    let taken = bench.upload(3);
    let key = Key::of(ShardNo(1), &taken.object);
    bench
        .store
        .put_new(
            &key,
            bytes::Bytes::from_static(b"COLDPOST other"),
            Caller::Verify,
        )
        .await
        .unwrap();
    bench.uploader.push(taken).unwrap();
    assert_eq!(bench.failed().await, Kind::Conflict);

    bench.uploader.push(bench.upload(4)).unwrap();
    assert_eq!(bench.stored().await, bench.upload(4));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_put_when_the_epochs_cannot_be_asked_for() {
    let mut bench = Bench::new();
    bench.faults.order(Operation::Head, Fault::Fail, 8);
    bench.uploader.push(bench.upload(1)).unwrap();
    bench.stored().await;
    let calls = bench.faults.take_calls();
    let put = calls
        .iter()
        .position(|call| call.operation == Operation::Put)
        .unwrap();
    assert_eq!(
        put, 9,
        "eight heads that failed and one that was answered: {calls:?}"
    );
}

fn claim(key: &Key) -> bytes::Bytes {
    let object = ObjectId {
        kind: crate::address::ObjectKind::EpochClaim,
        id: [0; 16],
    };
    let store = crate::address::StoreId([7; 16]);
    let header =
        crate::object::ObjectHeader::other(store, ShardNo(1), Epoch(2), object, key.to_string());
    header.encode().into()
}

#[tokio::test(start_paused = true)]
async fn what_stands_where_a_claim_would_and_is_none_stops_nothing() {
    let mut bench = Bench::new();
    let next = Key::Epoch {
        shard: ShardNo(1),
        epoch: Epoch(2),
    };
    let junk = bytes::Bytes::from_static(b"<html>yes</html>");
    bench
        .store
        .put_new(&next, junk, Caller::Epoch)
        .await
        .unwrap();
    bench.uploader.push(bench.upload(1)).unwrap();
    sleep(Duration::from_secs(600)).await;
    assert!(
        bench.events.try_recv().is_err(),
        "neither stored nor fenced"
    );
    assert_eq!(bench.uploader.waiting(), 1);
    bench.uploader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_fence_drops_what_waits_and_is_told_once() {
    let mut bench = Bench::new();
    bench.faults.set_away(true);
    for first in 1..=20 {
        bench.uploader.push(bench.upload(first)).unwrap();
    }
    sleep(Duration::from_secs(100)).await;
    bench.faults.set_away(false);
    let next = Key::Epoch {
        shard: ShardNo(1),
        epoch: Epoch(2),
    };
    bench
        .store
        .put_new(&next, claim(&next), Caller::Epoch)
        .await
        .unwrap();
    let event = bench.events.recv().await.unwrap();
    assert!(
        matches!(
            event,
            UploadEvent::Fenced {
                shard: ShardNo(1),
                epoch: Epoch(2)
            }
        ),
        "{event:?}"
    );
    sleep(Duration::from_secs(600)).await;
    assert!(bench.events.try_recv().is_err());
    assert_eq!(bench.uploader.waiting(), 0);
    assert_eq!(
        *bench.uploader.push(bench.upload(1)).unwrap_err().kind(),
        Kind::Conflict
    );
    bench.uploader.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_store_fails_at_while_it_answers_is_told_from_a_store_that_is_away() {
    let mut bench = Bench::new();
    bench.faults.set_away(true);
    let taken = bench.taken_back(1).await;
    assert!(!taken.is_its_own, "{taken:?}");
    bench.faults.set_away(false);
    bench.faults.order(Operation::Put, Fault::Fail, 1000);
    let taken = bench.taken_back(1).await;
    assert!(taken.is_its_own, "{taken:?}");
    assert_eq!(bench.uploader.waiting(), 0);
    assert!(bench.events.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn what_the_second_store_of_a_mirror_fails_at_is_told_from_one_that_is_away() {
    let bench = Bench::of(&["first", "second"]);
    fs::write(bench.scratch.path().join("second/segments"), "in the way").unwrap();
    let taken = bench.taken_back(1).await;
    assert!(taken.is_its_own, "{taken:?}");
    assert!(taken.why.contains("second"), "{taken:?}");
}
