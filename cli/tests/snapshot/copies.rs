//! Recovery beside objects that are damaged in one place and whole in another.

use std::fs;
use std::path::{Path, PathBuf};

use coldpost_testkit::made_mail::dense;
use coldpost_testkit::place::{files, scratch};
use coldpost_testkit::{Daemon, Must, Options};

use super::store::{
    BINARY, USER, deliver, flip, newest, picture, refusal, remove_hot_tiers, remove_segments,
    remove_up_to, shard_dir, snapshot,
};
use super::{with_history, with_two_snapshots};

/// The stores of [`mirrored`].
pub(crate) const STORES: [&str; 2] = ["first", "second"];

/// With its store and the mirror in directories beside it.
pub(crate) fn mirrored(outside: &Path) -> Daemon {
    let [first, second] = STORES.map(|name| format!("file://{}", outside.join(name).display()));
    let options = Options::new(BINARY)
        .text("journal", "segment_size", "1MiB")
        .text("cold", "url", &first)
        .text("cold", "mirror", &second);
    Daemon::start(options)
}

fn flip_middle(path: &Path) {
    let bytes = fs::metadata(path).must("its length").len();
    flip(path, usize::try_from(bytes / 2).must("a length"));
}

/// The segments of shard 1 in a store, the first of them first.
fn segments(store: &Path) -> Vec<PathBuf> {
    files(&store.join("segments/0001"))
}

/// A mirrored store without its hot tiers, whose old segments are gone as its snapshot lets them: what it showed, and its stores.
pub(crate) fn lost(outside: &Path) -> (Daemon, Vec<String>, [PathBuf; 2]) {
    let mut daemon = mirrored(outside);
    with_history(&daemon);
    snapshot(&daemon, "now");
    let position = newest(&daemon, 1);
    deliver(&daemon, 21..26);
    let before = picture(&daemon);
    daemon.stop();
    let stores = STORES.map(|name| outside.join(name));
    for store in &stores {
        remove_up_to(&segments(store), position);
    }
    remove_segments(&daemon, 1, position, false);
    remove_hot_tiers(&daemon);
    (daemon, before, stores)
}

pub(crate) fn remove_manifests(store: &Path) {
    let manifests = files(&store.join("snapshots/0001"));
    assert!(!manifests.is_empty(), "there is a snapshot");
    for manifest in manifests {
        fs::remove_file(manifest).must("removing a manifest");
    }
}

#[test]
fn a_snapshot_that_is_damaged_in_one_store_of_a_mirror_is_loaded_from_the_other() {
    let outside = scratch("mirrored");
    let (mut daemon, before, [first, _]) = lost(outside.path());
    let ranges = files(&first.join("ranges/0001"));
    assert!(!ranges.is_empty(), "the snapshot has ranges");
    for range in &ranges {
        flip(range, 40);
    }
    daemon.restart();
    assert_eq!(picture(&daemon), before);
    let log = daemon.log();
    assert!(log.contains("it is read from file://"), "{log}");
    assert!(!log.contains("is passed over"), "{log}");
}

#[test]
fn a_segment_that_is_damaged_in_one_store_of_a_mirror_is_replayed_from_the_other() {
    let outside = scratch("mirrored");
    let mut daemon = mirrored(outside.path());
    let mut lmtp = daemon.lmtp();
    for number in 1..11 {
        lmtp.deliver("b@example.org", USER, &dense(number));
    }
    drop(lmtp);
    daemon.imap(USER).command("CREATE Kept").ok();
    // It ends the segment; with the manifest gone only the journal is left.
    snapshot(&daemon, "now");
    let position = newest(&daemon, 1);
    deliver(&daemon, 21..26);
    let before = picture(&daemon);
    daemon.stop();
    let stores = STORES.map(|name| outside.path().join(name));
    stores.iter().for_each(|store| remove_manifests(store));
    remove_segments(&daemon, 1, position, false);
    let damaged = stores.each_ref().map(|store| segments(store).remove(0));
    flip_middle(&damaged[0]);
    remove_hot_tiers(&daemon);
    daemon.restart();
    assert_eq!(picture(&daemon), before);
    daemon.stop();
    flip_middle(&damaged[1]);
    remove_hot_tiers(&daemon);
    let said = refusal(&daemon);
    for (store, segment) in stores.iter().zip(&damaged) {
        let key = segment.strip_prefix(store).must("its key").display();
        let named = format!("{key} in file://{}", store.display());
        assert!(said.contains(&named), "{named}: {said}");
    }
    assert!(said.contains("back from a copy"), "{said}");
    assert!(!said.contains("fetched.seg"), "{said}");
    fs::write(&damaged[0], fs::read(&damaged[1]).must("a segment")).must("writing it");
    flip_middle(&damaged[0]);
    daemon.restart();
    assert_eq!(picture(&daemon), before);
}

#[test]
fn a_snapshot_that_is_cut_short_is_passed_over_for_the_one_before() {
    let (mut daemon, first, new_range) = with_two_snapshots();
    let before = picture(&daemon);
    daemon.stop();
    let whole = fs::read(&new_range).must("a range");
    let half = &whole[..whole.len() / 2];
    fs::remove_file(&new_range).must("removing it");
    fs::write(&new_range, half).must("writing its first half");
    remove_segments(&daemon, 1, first, true);
    remove_hot_tiers(&daemon);
    daemon.restart();
    assert_eq!(picture(&daemon), before);
    let log = daemon.log();
    let why = format!("has {} of {} bytes, in file://", half.len(), whole.len());
    assert!(
        log.contains("is passed over") && log.contains(&why),
        "{log}"
    );
    let here = shard_dir(&daemon, 1).join("hot.redb.new");
    assert!(!here.exists(), "the one that was given up is gone");
}
