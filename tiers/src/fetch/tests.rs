//! The read ladder: which rung answers, how many reads it takes, and what is never given.

use std::fs;
use std::time::Duration;

use tempfile::TempDir;
use tokio::time::timeout;

use super::*;
use crate::address::{Epoch, Position};
use crate::cold::faults::{Fault, Faults, Operation};
use crate::cold::{Caller, ColdSettings, Key};
use crate::limits::FETCH_GAP_MAX;

mod ahead;
mod kept;

const SHARD: ShardNo = ShardNo(1);
const HEADER: u64 = 100;
const FRAMES: usize = 8;

/// Local files as a test places them; those asked for are handed out in order, the last one for ever.
#[derive(Default)]
struct Files(
    Mutex<HashMap<(ShardNo, ObjectId), Vec<PathBuf>>>,
    Mutex<HashMap<ObjectId, u64>>,
);

impl LocalFiles for Files {
    fn path(&self, shard: ShardNo, object: &ObjectId) -> Option<PathBuf> {
        let mut files = self.0.lock().unwrap();
        let paths = files.get_mut(&(shard, *object))?;
        if paths.len() > 1 {
            Some(paths.remove(0))
        } else {
            paths.first().cloned()
        }
    }

    fn stored_bytes(&self, _: ShardNo, object: &ObjectId) -> Option<u64> {
        self.1.lock().unwrap().get(object).copied()
    }
}

/// An object with `FRAMES` frames behind a header.
struct Object {
    id: ObjectId,
    bytes: Vec<u8>,
    frames: Vec<FrameRef>,
    raw: Vec<Vec<u8>>,
}

impl Object {
    fn new(first: u64, text: &str) -> Object {
        let raw = |number| format!("{text}, frame {number}\r\n").repeat(number * 100 + 1);
        Object::of(first, (0..FRAMES).map(|number| raw(number).into_bytes()))
    }

    fn of(first: u64, raws: impl Iterator<Item = Vec<u8>>) -> Object {
        let mut bytes = vec![0xEE; usize::try_from(HEADER).unwrap()];
        let (mut frames, mut all) = (Vec::new(), Vec::new());
        for raw in raws {
            let stored = zstd::bulk::compress(&raw, 3).unwrap();
            let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
            frames.push(FrameRef {
                stored: size(&stored),
                raw: size(&raw),
                crc: crc32c::crc32c(&stored),
            });
            bytes.extend_from_slice(&stored);
            all.push(raw);
        }
        Object {
            id: ObjectId::segment(Epoch(1), Position(first)),
            bytes,
            frames,
            raw: all,
        }
    }

    /// Where frame `number` begins.
    fn offset(&self, number: usize) -> u64 {
        HEADER
            + self.frames[..number]
                .iter()
                .map(|f| u64::from(f.stored))
                .sum::<u64>()
    }

    fn key(&self) -> Key {
        Key::of(SHARD, &self.id)
    }
}

struct Bench {
    scratch: TempDir,
    store: ColdStore,
    faults: Faults,
    files: Arc<Files>,
    fetcher: Fetcher,
}

impl Bench {
    fn new() -> Bench {
        let scratch = TempDir::new().unwrap();
        std::fs::create_dir(scratch.path().join("cold")).unwrap();
        let faults = Faults::new();
        let settings = ColdSettings {
            url: format!("file://{}/cold", scratch.path().display()),
            ..ColdSettings::default()
        };
        let store = ColdStore::open_with_faults(&settings, &faults).unwrap();
        let files = Arc::new(Files::default());
        let fetcher = Fetcher::new(10_000_000, files.clone(), store.clone());
        Bench {
            scratch,
            store,
            faults,
            files,
            fetcher,
        }
    }

    async fn put(&self, object: &Object) {
        let bytes = Bytes::from(object.bytes.clone());
        let length = u64::try_from(bytes.len()).unwrap();
        self.files.1.lock().unwrap().insert(object.id, length);
        self.store
            .put_new(&object.key(), bytes, Caller::Upload)
            .await
            .unwrap();
        self.faults.take_calls();
    }

    fn place(&self, object: &Object, bytes: &[u8]) -> PathBuf {
        let path = self.scratch.path().join("local.seg");
        fs::write(&path, bytes).unwrap();
        self.files
            .0
            .lock()
            .unwrap()
            .insert((SHARD, object.id), vec![path.clone()]);
        path
    }

    /// A fetcher that remembers nothing.
    fn forget(&mut self) {
        self.fetcher = Fetcher::new(10_000_000, self.files.clone(), self.store.clone());
    }

    async fn read(&self, object: &Object, want: Range<usize>) -> Result<Vec<Bytes>> {
        self.fetcher
            .frames(SHARD, object.id, HEADER, &object.frames, want)
            .await
    }

    /// Reads, and compares.
    async fn reads(&self, object: &Object, want: Range<usize>) {
        assert_eq!(
            self.read(object, want.clone()).await.unwrap(),
            object.raw[want]
        );
    }

    /// From where to where the store was asked since the last time.
    fn gets(&self) -> Vec<(u64, u64)> {
        let ranges = self.faults.take_calls().into_iter();
        ranges
            .filter_map(|call| call.range.map(|range| (range.start, range.end)))
            .collect()
    }
}

fn counted(rung: &str) -> u64 {
    metrics::FRAMES.with_label_values(&[rung]).get()
}

#[tokio::test]
async fn each_rung_answers_when_those_above_cannot() {
    let mut bench = Bench::new();
    let object = Object::new(1, "ladder");
    let path = bench.place(&object, &object.bytes);
    bench.reads(&object, 0..FRAMES).await;
    bench.put(&object).await;
    fs::remove_file(path).unwrap();
    let memory = counted("memory");
    bench.reads(&object, 2..5).await;
    assert_eq!(bench.gets(), [], "what was read from the file is in memory");
    assert!(counted("memory") >= memory + 3);
    bench.forget();
    bench.reads(&object, 0..FRAMES).await;
    assert_eq!(
        bench.gets(),
        [(HEADER, u64::try_from(object.bytes.len()).unwrap())]
    );
    bench.reads(&object, 0..FRAMES).await;
    assert_eq!(bench.gets(), []);
    assert!(bench.fetcher.cached_bytes() > 0);
}

#[tokio::test]
async fn every_range_of_frames_is_right_and_costs_one_get() {
    let mut bench = Bench::new();
    let object = Object::new(1, "ranges");
    bench.put(&object).await;
    for start in 0..FRAMES {
        for end in start..=FRAMES {
            bench.forget();
            bench.reads(&object, start..end).await;
            let expected = if start == end {
                vec![]
            } else {
                vec![(object.offset(start), object.offset(end))]
            };
            assert_eq!(bench.gets(), expected);
        }
    }
}

#[tokio::test]
async fn neighbours_of_what_is_there_are_read_at_once() {
    let bench = Bench::new();
    let object = Object::new(1, "neighbours");
    bench.put(&object).await;
    bench.reads(&object, 3..4).await;
    bench.reads(&object, 1..6).await;
    let expected = [
        (object.offset(3), object.offset(4)),
        (object.offset(1), object.offset(6)),
    ];
    assert_eq!(bench.gets(), expected);
}

#[test]
fn what_lies_far_apart_is_read_apart() {
    let frame = FrameRef {
        stored: 200_000,
        raw: 200_000,
        crc: 0,
    };
    let object = ObjectId::segment(Epoch(1), Position(1));
    let mut all = wanted(SHARD, object, 0, &[frame; 8], 0..8).unwrap();
    all.remove(6);
    all.drain(1..4);
    let spans: Vec<_> = runs(&all).into_iter().map(|run| run.span).collect();
    assert_eq!(spans, [0..200_000, 800_000..1_600_000]);
}

#[tokio::test(start_paused = true)]
async fn fifty_readers_of_one_mail_cause_one_get() {
    let bench = Bench::new();
    let object = Arc::new(Object::new(1, "popular"));
    bench.put(&object).await;
    bench
        .faults
        .order(Operation::Get, Fault::Delay(Duration::from_secs(1)), 1);
    let readers = (0..50).map(|_| bench.read(&object, 0..FRAMES));
    for frames in futures::future::join_all(readers).await {
        assert_eq!(frames.unwrap(), object.raw);
    }
    assert_eq!(bench.gets().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_reader_who_leaves_takes_nobodys_bytes_along() {
    let bench = Bench::new();
    let object = Object::new(1, "impatient");
    bench.put(&object).await;
    bench
        .faults
        .order(Operation::Get, Fault::Delay(Duration::from_secs(5)), 1);
    let impatient = timeout(Duration::from_secs(1), bench.read(&object, 0..2)).await;
    assert!(impatient.is_err());
    bench.reads(&object, 0..2).await;
    assert_eq!(bench.gets().len(), 1);
    assert!(bench.fetcher.inner.flights().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_bytes_is_seen_and_who_reads_aside_is_not() {
    let bench = Bench::new();
    let object = Object::new(1, "awaited");
    bench.put(&object).await;
    let late = Fault::Delay(Duration::from_secs(5));
    bench.faults.order(Operation::Get, late, 2);
    let aside = bench.fetcher.aside();
    let by_side = aside.frames(SHARD, object.id, HEADER, &object.frames, 0..2);
    assert!(timeout(Duration::from_secs(1), by_side).await.is_err());
    let (is_awaited, ()) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            bench.fetcher.is_awaited()
        },
        bench.reads(&object, 4..6)
    );
    assert!(is_awaited);
    assert!(!bench.fetcher.is_awaited());
    // Whoever leaves waits no more.
    bench.faults.order(Operation::Get, late, 1);
    let left = timeout(Duration::from_secs(1), bench.read(&object, 6..8)).await;
    assert!(left.is_err() && !bench.fetcher.is_awaited());
}

#[tokio::test]
async fn a_damaged_or_short_local_file_is_read_from_the_store() {
    let mut bench = Bench::new();
    let object = Object::new(1, "damaged");
    bench.put(&object).await;
    let mut flipped = object.bytes.clone();
    flipped[usize::try_from(object.offset(3)).unwrap()] ^= 1;
    for bytes in [&flipped[..], &object.bytes[..object.bytes.len() - 1], b""] {
        bench.forget();
        bench.place(&object, bytes);
        let damaged = metrics::LOCAL_DAMAGED.get();
        bench.reads(&object, 0..FRAMES).await;
        assert_eq!(bench.gets().len(), 1);
        assert!(metrics::LOCAL_DAMAGED.get() > damaged);
    }
}

#[tokio::test]
async fn a_damaged_file_that_the_store_has_not_is_named() {
    let bench = Bench::new();
    let object = Object::new(1, "only copy");
    let mut flipped = object.bytes.clone();
    flipped[usize::try_from(object.offset(3)).unwrap()] ^= 1;
    let path = bench.place(&object, &flipped);
    let error = bench.read(&object, 2..4).await.unwrap_err();
    let expected = Kind::Corrupt {
        object: path.display().to_string(),
        offset: object.offset(3),
    };
    assert_eq!(*error.kind(), expected, "{error}");
    bench.reads(&object, 0..3).await;
}

#[tokio::test]
async fn a_segment_that_is_sealed_while_it_is_read_is_found_under_its_new_name() {
    let bench = Bench::new();
    let object = Object::new(1, "renamed");
    let sealed = bench.place(&object, &object.bytes);
    let open = bench.scratch.path().join("gone.open");
    bench
        .files
        .0
        .lock()
        .unwrap()
        .insert((SHARD, object.id), vec![open, sealed]);
    bench.reads(&object, 0..FRAMES).await;
    assert_eq!(bench.gets(), []);
}

#[tokio::test(start_paused = true)]
async fn wrong_bytes_from_the_store_are_never_given_and_name_the_frame() {
    let bench = Bench::new();
    let object = Object::new(1, "swapped");
    bench.put(&object).await;
    // What came wrong once is asked for once more.
    bench.faults.order(Operation::Get, Fault::Flip(0), 1);
    bench.reads(&object, 0..2).await;
    bench.faults.order(Operation::Get, Fault::Flip(0), 2);
    let error = bench.read(&object, 5..7).await.unwrap_err();
    let expected = Kind::Corrupt {
        object: object.key().to_string(),
        offset: object.offset(5),
    };
    assert_eq!(*error.kind(), expected, "{error}");
    bench.reads(&object, 5..7).await;
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_short_or_lost_an_object_is_unavailable_until_it_is_back() {
    let bench = Bench::new();
    let object = Object::new(1, "away");
    bench.put(&object).await;
    for fault in [
        Fault::Fail,
        Fault::Truncate(5),
        Fault::NotFound,
        Fault::Refuse,
    ] {
        bench.faults.order(Operation::Get, fault, 4);
        let error = bench.read(&object, 0..2).await.unwrap_err();
        assert_eq!(*error.kind(), Kind::Unavailable, "{fault:?}: {error}");
        // What is left of the order.
        while bench
            .store
            .get(&object.key(), Caller::Verify)
            .await
            .is_err()
        {}
    }
    bench.reads(&object, 0..2).await;
}

#[tokio::test]
async fn segments_of_two_shards_with_one_id_do_not_mix() {
    let bench = Bench::new();
    let (one, two) = (Object::new(1, "shard one"), Object::new(1, "shard two"));
    bench.put(&one).await;
    let key = Key::of(ShardNo(2), &two.id);
    bench
        .store
        .put_new(&key, two.bytes.clone().into(), Caller::Upload)
        .await
        .unwrap();
    bench.reads(&one, 0..1).await;
    let read = bench
        .fetcher
        .frames(ShardNo(2), two.id, HEADER, &two.frames, 0..1)
        .await;
    assert_eq!(read.unwrap(), two.raw[0..1]);
}

#[tokio::test]
async fn an_address_that_no_object_can_have_is_refused_before_anything_is_read() {
    let bench = Bench::new();
    let object = Object::new(1, "bounds");
    let good = object.frames[0];
    let read = async |offset, frame: FrameRef, n, want: Range<usize>| {
        let frames = vec![frame; n];
        let read = bench
            .fetcher
            .frames(SHARD, object.id, offset, &frames, want)
            .await;
        read.unwrap_err().kind().clone()
    };
    assert_eq!(
        read(0, FrameRef { stored: 0, ..good }, 1, 0..1).await,
        Kind::Invalid
    );
    assert_eq!(
        read(
            0,
            FrameRef {
                stored: u32::MAX,
                ..good
            },
            1,
            0..1
        )
        .await,
        Kind::Invalid
    );
    assert_eq!(
        read(
            0,
            FrameRef {
                raw: u32::MAX,
                ..good
            },
            1,
            0..1
        )
        .await,
        Kind::Invalid
    );
    assert_eq!(read(u64::MAX - 1, good, 2, 0..2).await, Kind::Invalid);
    assert_eq!(read(0, good, 1, 0..2).await, Kind::Invalid);
    assert_eq!(read(0, good, 100, 0..65).await, Kind::Limit);
    assert_eq!(bench.gets(), []);
}
