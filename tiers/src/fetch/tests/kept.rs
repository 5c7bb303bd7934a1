//! The disk cache under the ladder: how few requests a download takes, and that nothing on this disk is believed.

use std::sync::atomic::{AtomicBool, Ordering};

use coldpost_testkit::dice::Dice;

use super::*;
use crate::cache::disk::DiskCache;
use crate::limits::{CACHE_WINDOW, CACHE_WINDOWS_MAX, SEQUENCE_READS};

const BUDGET: u64 = 256 << 20;
/// Frames of a large object: 24 MiB of them.
const MANY: usize = 96;

/// Frames that are as long stored as they are raw.
fn large(first: u64) -> Object {
    let mut dice = Dice::new(first);
    let raw = move |_| {
        (0..32_760)
            .flat_map(|_| dice.draw().to_le_bytes())
            .collect()
    };
    Object::of(first, (0..MANY).map(raw))
}

struct Kept {
    bench: Bench,
    disk: Arc<DiskCache>,
    has_room: Arc<AtomicBool>,
}

impl Kept {
    fn new(budget: u64) -> Kept {
        let bench = Bench::new();
        let has_room = Arc::new(AtomicBool::new(true));
        let asked = Arc::clone(&has_room);
        let room = Arc::new(move |_| asked.load(Ordering::Relaxed));
        let disk = DiskCache::open(bench.scratch.path().join("cache"), budget, room);
        let mut kept = Kept {
            bench,
            disk,
            has_room,
        };
        kept.forget();
        kept
    }

    /// A fetcher that remembers nothing but what the disk has.
    fn forget(&mut self) {
        self.forget_but(0);
    }

    fn forget_but(&mut self, frames_cache: u64) {
        let Bench { files, store, .. } = &self.bench;
        let disk = Some(Arc::clone(&self.disk));
        let fetcher = Fetcher::with_disk(frames_cache, files.clone(), store.clone(), disk);
        self.bench.fetcher = fetcher;
    }

    fn files(&self) -> Vec<PathBuf> {
        coldpost_testkit::place::files(&self.bench.scratch.path().join("cache"))
    }

    /// Reads frame after frame.
    async fn download(&self, object: &Object) {
        for number in 0..object.frames.len() {
            self.bench.reads(object, number..number + 1).await;
        }
    }

    /// Until nothing is on its way any more.
    async fn landed(&self, object: &Object) {
        let windows = &self.bench.fetcher.inner.windows;
        for number in 0..object.frames.len() {
            let span = object.offset(number)..object.offset(number + 1);
            if let Some(window) = windows.find(SHARD, &object.id, &span) {
                window.over().await;
            }
        }
    }
}

#[tokio::test]
async fn what_was_read_once_is_read_from_the_disk_after_a_restart() {
    let mut kept = Kept::new(BUDGET);
    let object = Object::new(1, "kept");
    kept.bench.put(&object).await;
    kept.bench.reads(&object, 2..5).await;
    assert_eq!(kept.bench.gets().len(), 1);
    let disk = counted("disk");
    kept.forget();
    for want in [2..5, 3..4, 2..3] {
        kept.bench.reads(&object, want).await;
    }
    assert_eq!(kept.bench.gets(), []);
    assert!(counted("disk") >= disk + 5);
    kept.bench.reads(&object, 1..6).await;
    let around = (object.offset(1), object.offset(6));
    assert_eq!(kept.bench.gets(), [around], "what is missing lies together");
    kept.bench.fetcher.disk().unwrap().forget(SHARD, &object.id);
    assert!(kept.files().is_empty());
}

#[tokio::test]
async fn torn_flipped_and_swapped_files_are_dropped_and_the_store_is_asked() {
    let mut kept = Kept::new(BUDGET);
    let objects = [Object::new(1, "one"), Object::new(2, "two")];
    for object in &objects {
        kept.bench.put(object).await;
    }
    let spoil: [fn(&[PathBuf]); 4] = [
        |files| {
            for file in files {
                let mut bytes = fs::read(file).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                fs::write(file, bytes).unwrap();
            }
        },
        |files| {
            for file in files {
                let half = fs::metadata(file).unwrap().len() / 2;
                fs::File::options()
                    .write(true)
                    .open(file)
                    .unwrap()
                    .set_len(half)
                    .unwrap();
            }
        },
        |files| {
            let bytes: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
            fs::write(&files[0], &bytes[1]).unwrap();
            fs::write(&files[1], &bytes[0]).unwrap();
        },
        |files| files.iter().for_each(|file| fs::write(file, b"").unwrap()),
    ];
    for spoil in spoil {
        for object in &objects {
            kept.bench.reads(object, 0..FRAMES).await;
        }
        assert_eq!(kept.files().len(), 2);
        spoil(&kept.files());
        kept.bench.gets();
        let dropped = metrics::CACHE_DROPPED.get();
        kept.forget();
        for object in &objects {
            kept.bench.reads(object, 0..FRAMES).await;
        }
        assert_eq!(kept.bench.gets().len(), 2);
        assert!(metrics::CACHE_DROPPED.get() >= dropped + 2);
        kept.forget();
        for object in &objects {
            kept.bench.reads(object, 0..FRAMES).await;
        }
        assert_eq!(kept.bench.gets(), [], "what was read is kept again");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_of_several_objects_asks_once_in_four_mebibytes_and_not_again_soon_after() {
    let mut kept = Kept::new(BUDGET);
    let objects = [large(1), large(2), large(3)];
    for object in &objects {
        kept.bench.put(object).await;
    }
    for object in &objects {
        kept.download(object).await;
    }
    let gets = kept.bench.gets();
    let asked: u64 = gets.iter().map(|(start, end)| end - start).sum();
    let bytes: u64 = objects
        .iter()
        .map(|o| u64::try_from(o.bytes.len()).unwrap())
        .sum();
    // A frame in which a long read ends is asked for again.
    let again = gets.len() * crate::limits::FRAME_STORED_MAX;
    assert!(asked <= bytes + u64::try_from(again).unwrap(), "{gets:?}");
    let allowed = usize::try_from(bytes.div_ceil(4 << 20)).unwrap();
    assert!(
        gets.len() <= allowed,
        "{} of {allowed}: {gets:?}",
        gets.len()
    );
    // Again, soon.
    kept.forget();
    kept.download(&objects[2]).await;
    assert!(
        kept.bench.gets().len() <= 1,
        "but for what was read to see how it goes on"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_in_another_order_than_that_of_the_bytes_is_few_requests_too() {
    let kept = Kept::new(BUDGET);
    let object = large(1);
    kept.bench.put(&object).await;
    let mut order: Vec<usize> = (0..MANY).collect();
    let mut dice = Dice::new(7);
    for at in (1..MANY).rev() {
        let other = usize::try_from(dice.draw() % (u64::try_from(at).unwrap() + 1)).unwrap();
        order.swap(at, other);
    }
    for number in order {
        kept.bench.reads(&object, number..number + 1).await;
    }
    let gets = kept.bench.gets();
    let windows = object
        .bytes
        .len()
        .div_ceil(usize::try_from(CACHE_WINDOW).unwrap());
    let first = usize::try_from(SEQUENCE_READS).unwrap();
    // Those that were read singly cut the long reads into parts.
    assert!(gets.len() <= first + 3 * windows, "{gets:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_is_given_what_has_landed_while_the_store_holds_the_rest() {
    let kept = Kept::new(BUDGET);
    let object = large(1);
    kept.bench.put(&object).await;
    kept.bench.reads(&object, 0..1).await;
    let hold = Fault::Hold(usize::try_from(object.offset(4) - object.offset(1)).unwrap());
    kept.bench.faults.order(Operation::Get, hold, 1);
    for number in 1..4 {
        kept.bench.reads(&object, number..number + 1).await;
    }
    assert_eq!(kept.bench.gets().len(), 2);
    // Fifty wait for what comes later; some leave.
    let want = |n: usize| 4 + n % 20..5 + n % 20;
    let impatient = timeout(Duration::from_millis(1), kept.bench.read(&object, want(0))).await;
    assert!(impatient.is_err());
    let readers = (0..50).map(|n| kept.bench.read(&object, want(n)));
    let go_on = async { kept.bench.faults.go_on() };
    let (read, ()) = futures::future::join(futures::future::join_all(readers), go_on).await;
    for (n, read) in read.into_iter().enumerate() {
        assert_eq!(read.unwrap(), object.raw[want(n)]);
    }
    assert_eq!(kept.bench.gets(), [], "all of them had one read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_long_read_that_breaks_off_what_landed_is_kept_and_the_rest_is_asked_for_again() {
    let mut kept = Kept::new(BUDGET);
    let object = large(1);
    kept.bench.put(&object).await;
    kept.bench.reads(&object, 0..1).await;
    let landed = usize::try_from(object.offset(11) - object.offset(1)).unwrap() + 50;
    kept.bench
        .faults
        .order(Operation::Get, Fault::Truncate(landed), 1);
    kept.download(&object).await;
    let gets = kept.bench.gets();
    assert_eq!(gets[2].0, object.offset(11), "{gets:?}");
    kept.landed(&object).await;
    kept.forget();
    kept.download(&object).await;
    assert_eq!(kept.bench.gets(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_bytes_of_a_long_read_are_given_to_nobody_and_not_kept() {
    let mut kept = Kept::new(BUDGET);
    let object = large(1);
    kept.bench.put(&object).await;
    kept.bench.reads(&object, 0..1).await;
    let wrong = usize::try_from(object.offset(5) - object.offset(1)).unwrap() + 50;
    kept.bench
        .faults
        .order(Operation::Get, Fault::Flip(wrong), 1);
    let dropped = metrics::CACHE_DROPPED.get();
    kept.download(&object).await;
    assert!(metrics::CACHE_DROPPED.get() > dropped);
    kept.landed(&object).await;
    kept.forget();
    kept.download(&object).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_body_is_one_request_and_is_handed_on_as_it_lands() {
    let mut kept = Kept::new(BUDGET);
    let object = large(1);
    kept.bench.put(&object).await;
    let hold = usize::try_from(object.offset(4) - object.offset(0)).unwrap();
    kept.bench
        .faults
        .order(Operation::Get, Fault::Hold(hold), 1);
    let mut read = Vec::new();
    while read.len() < MANY {
        let want = read.len()..MANY.min(read.len() + 32);
        let Object { id, frames, .. } = &object;
        let fetcher = &kept.bench.fetcher;
        let next = fetcher.frames_toward(SHARD, *id, HEADER, frames, want, MANY);
        let next = next.await.unwrap();
        assert!(!next.is_empty() && next.len() <= 4 || read.len() + 32 >= MANY);
        read.extend(next);
        if read.len() == 4 {
            kept.bench.faults.go_on();
        }
    }
    assert_eq!(read, object.raw);
    let all = (HEADER, u64::try_from(object.bytes.len()).unwrap());
    assert_eq!(kept.bench.gets(), [all]);
    kept.landed(&object).await;
    kept.forget();
    kept.download(&object).await;
    assert_eq!(kept.bench.gets(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_leaves_what_is_hot_where_it_is_and_the_budget_holds() {
    let budget = 24 << 20;
    let mut kept = Kept::new(budget);
    let hot = Object::new(9, "hot");
    let objects = [large(1), large(2)];
    for object in objects.iter().chain([&hot]) {
        kept.bench.put(object).await;
    }
    kept.bench.reads(&hot, 0..FRAMES).await;
    for object in &objects {
        kept.download(object).await;
        assert!(kept.disk.bytes() <= budget);
        let on_disk = kept
            .files()
            .into_iter()
            .filter_map(|f| fs::metadata(f).ok());
        assert!(on_disk.map(|meta| meta.len()).sum::<u64>() <= budget);
    }
    kept.bench.gets();
    kept.forget();
    kept.bench.reads(&hot, 0..FRAMES).await;
    assert_eq!(kept.bench.gets(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_room_reads_are_exact_and_nothing_is_kept() {
    let mut kept = Kept::new(BUDGET);
    let object = large(1);
    kept.bench.put(&object).await;
    kept.has_room.store(false, Ordering::Relaxed);
    for number in 0..6 {
        kept.bench.reads(&object, number..number + 1).await;
    }
    assert_eq!(kept.bench.gets().len(), 6);
    assert!(kept.files().is_empty());
    kept.has_room.store(true, Ordering::Relaxed);
    kept.download(&object).await;
    kept.landed(&object).await;
    kept.bench.gets();
    kept.forget();
    kept.bench.reads(&object, 20..21).await;
    assert_eq!(kept.bench.gets(), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_so_many_long_reads_at_a_time_reads_are_exact() {
    let kept = Kept::new(BUDGET);
    let many = u64::try_from(CACHE_WINDOWS_MAX).unwrap() + 1;
    let objects: Vec<Object> = (1..=many).map(large).collect();
    for object in &objects {
        kept.bench.put(object).await;
        kept.bench.reads(object, 0..1).await;
    }
    kept.bench.gets();
    let frame = usize::try_from(objects[0].offset(2) - objects[0].offset(1)).unwrap();
    let windows = CACHE_WINDOWS_MAX;
    kept.bench
        .faults
        .order(Operation::Get, Fault::Hold(frame), windows);
    for object in &objects {
        kept.bench.reads(object, 1..2).await;
    }
    let gets = kept.bench.gets();
    let long = gets.iter().filter(|(start, end)| end - start > 1 << 20);
    assert_eq!((gets.len(), long.count()), (windows + 1, windows));
    for object in &objects[..windows] {
        kept.bench.faults.go_on();
        let span = object.offset(1)..object.offset(2);
        let running = &kept.bench.fetcher.inner.windows;
        if let Some(window) = running.find(SHARD, &object.id, &span) {
            window.over().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_read_of_what_the_store_does_not_give_is_unavailable() {
    let kept = Kept::new(BUDGET);
    let object = large(1);
    kept.bench.put(&object).await;
    kept.bench.reads(&object, 0..1).await;
    for fault in [Fault::NotFound, Fault::Refuse] {
        kept.bench.faults.order(Operation::Get, fault, 1);
        let error = kept.bench.read(&object, 1..2).await.unwrap_err();
        assert_eq!(*error.kind(), Kind::Unavailable, "{error}");
    }
    kept.download(&object).await;
}
