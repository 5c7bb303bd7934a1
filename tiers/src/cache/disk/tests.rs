//! The disk cache on a disk: what a kill leaves, what is wrong, what cannot be written.

use std::time::Duration;

use coldpost_testkit::wait;
use tempfile::TempDir;

use super::*;
use crate::address::{Epoch, ObjectKind};

const SHARD: ShardNo = ShardNo(1);
const BUDGET: u64 = 4 << 20;

fn object(number: u64) -> ObjectId {
    ObjectId::numbered(ObjectKind::Block, Epoch(1), number)
}

fn always() -> HasRoom {
    Arc::new(|_| true)
}

fn open(dir: &TempDir) -> Arc<DiskCache> {
    DiskCache::open(dir.path().join("cache"), BUDGET, always())
}

fn keep(cache: &Arc<DiskCache>, number: u64, bytes: &[u8]) {
    cache.keep(Class::Wanted, (SHARD, object(number)), 100, bytes);
}

fn names(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path().join("cache")).unwrap();
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = entries.map(name).collect();
    names.sort();
    names
}

#[test]
fn what_was_kept_is_there_after_a_restart_and_half_a_file_is_not() {
    let dir = TempDir::new().unwrap();
    let cache = open(&dir);
    keep(&cache, 1, b"whole");
    keep(&cache, 2, b"torn by a power cut");
    // A kill -9 in the middle of writing: nothing is dropped.
    let part = cache.begin(Class::Passing, 1_000_000).unwrap();
    assert!(part.write(0, b"half of it"));
    std::mem::forget(part);
    let torn = StretchFile {
        shard: SHARD,
        object: object(2),
        class: Class::Wanted,
        offset: 100,
        length: 19,
    };
    let short = OpenOptions::new().write(true).open(cache.path(&torn));
    short.unwrap().set_len(7).unwrap();
    fs::write(dir.path().join("cache/what is this"), b"?").unwrap();
    assert_eq!(names(&dir).len(), 4);
    drop(cache);
    let again = open(&dir);
    let within = Duration::from_secs(20);
    wait::until("only what is whole is left", within, || {
        names(&dir).len() == 1
    });
    let span = 100..105;
    let find = || again.find(SHARD, &object(1), &span);
    wait::until("it is found", within, || find().is_some());
    assert_eq!(again.read(&find().unwrap(), &span).unwrap(), b"whole");
    assert_eq!(again.find(SHARD, &object(2), &(100..101)), None);
    assert_eq!(again.bytes(), 4096);
}

#[test]
fn an_object_that_is_gone_leaves_no_file() {
    let dir = TempDir::new().unwrap();
    let cache = open(&dir);
    keep(&cache, 1, b"erased");
    keep(&cache, 2, b"stays");
    assert_eq!(cache.objects(), [1, 2].map(|n| (SHARD, object(n))));
    cache.forget(SHARD, &object(1));
    assert_eq!(cache.objects(), [(SHARD, object(2))]);
    assert_eq!(names(&dir).len(), 1);
    cache.shrink(1);
    assert_eq!((cache.bytes(), names(&dir).len()), (0, 0));
}

#[test]
fn a_cache_that_is_switched_off_leaves_nothing_of_ours() {
    let dir = TempDir::new().unwrap();
    let cache = open(&dir);
    keep(&cache, 1, b"erased");
    // What looks through the directory after the start removes what it does not know.
    let is_through = || Arc::strong_count(&cache) == 1;
    wait::until("a look at all of it", Duration::from_secs(60), is_through);
    fs::write(dir.path().join("cache/not ours"), b"?").unwrap();
    DiskCache::clear(&dir.path().join("cache"));
    assert_eq!(names(&dir), ["not ours"]);
    DiskCache::clear(&dir.path().join("never made"));
}

#[test]
fn the_files_are_never_more_than_the_budget_though_most_are_half_written() {
    let dir = TempDir::new().unwrap();
    let cache = open(&dir);
    let mut parts = Vec::new();
    for number in 0..200 {
        keep(&cache, number, &[7; 40_000]);
        parts.extend(cache.begin(Class::Passing, 100_000));
        assert!(cache.bytes() <= BUDGET);
    }
    assert_eq!(
        parts.len(),
        10,
        "a quarter of it, and those stay as they are written"
    );
    let on_disk = fs::read_dir(dir.path().join("cache")).unwrap();
    let on_disk: u64 = on_disk.map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(on_disk <= BUDGET && on_disk > BUDGET / 2, "{on_disk}");
    drop(parts);
    assert!(cache.bytes() <= BUDGET * 3 / 4);
}

#[test]
fn a_disk_that_is_short_or_refuses_keeps_nothing_and_says_nothing_but_no() {
    let dir = TempDir::new().unwrap();
    let short = DiskCache::open(dir.path().join("cache"), BUDGET, Arc::new(|_| false));
    keep(&short, 1, b"no room");
    assert_eq!((short.bytes(), names(&dir).len()), (0, 0));
    let blocked = dir.path().join("a file");
    fs::write(&blocked, b"in the way").unwrap();
    let refused = DiskCache::open(blocked.join("cache"), BUDGET, always());
    keep(&refused, 1, b"no directory");
    assert_eq!(refused.bytes(), 0);
    // Somebody emptied it while it ran.
    let cache = open(&dir);
    keep(&cache, 1, b"first");
    fs::remove_dir_all(dir.path().join("cache")).unwrap();
    let span = 100..105;
    let lost = cache.find(SHARD, &object(1), &span).unwrap();
    let error = cache.read(&lost, &span).unwrap_err();
    cache.drop_wrong(&lost, "it", &error);
    assert_eq!(cache.bytes(), 0);
    keep(&cache, 1, b"again");
    let found = cache.find(SHARD, &object(1), &span).unwrap();
    assert_eq!(cache.read(&found, &span).unwrap(), b"again");
}
