//! What a pass leaves on local disk, and what it says when something refuses.

use std::fs;
use std::path::PathBuf;

use coldpost_testkit::place;
use coldpost_tiers::disk::FaultyDisk;

use super::*;
use crate::flags::Flags;
use crate::settings::Settings;
use crate::tests::{append, name, settings};

/// Eviction removed the file without a sync, and deletion, that saw none, did not sync either: after `gone` and a power cut it was back.
#[test]
fn a_file_that_was_evicted_before_its_object_is_deleted_is_not_back_after_a_power_cut() {
    let disk = FaultyDisk::new();
    let dir = Path::new("journal");
    let path = dir.join("00000001-0000000000000001.seg");
    disk.create_dir(dir).unwrap();
    disk.create(&path).unwrap();
    disk.sync_dir(dir).unwrap();
    disk.remove(&path).unwrap();
    let is_back = |disk: &FaultyDisk| (0..64).any(|seed| disk.crash(seed).open(&path).is_ok());
    assert!(is_back(&disk), "a removal that nobody synced may be undone");
    remove(&disk, &path).unwrap();
    assert!(!is_back(&disk));
}

#[test]
fn where_there_is_no_file_and_no_directory_nothing_is_to_be_removed() {
    let dir = place::scratch("nothing");
    let disk = coldpost_tiers::disk::RealDisk;
    remove(&disk, &dir.path().join("blocks/0")).unwrap();
}

/// A store with dead segments, one behind the other, and a snapshot behind them.
async fn with_dead_segments(dir: &Path) -> Engine {
    let engine = Engine::open(Settings {
        retention: Duration::ZERO,
        grace: Duration::ZERO,
        ..settings(dir)
    });
    let engine = engine.await.unwrap();
    let ann = engine.open_account(&name("ann@example.org")).await.unwrap();
    for number in 0..3 {
        let message = append(&number.to_string(), Flags::default());
        engine.append(ann, "INBOX", vec![message]).await.unwrap();
        engine.compact_now(&mut |_| {}).await.unwrap();
    }
    for _ in 0..2 {
        engine.snapshot_now(&mut |_| {}).await.unwrap();
    }
    engine
}

/// The passes ended with the first object that refused, and nobody heard of what went before.
#[tokio::test(flavor = "multi_thread")]
async fn what_goes_beside_an_object_that_refuses_is_told_and_frees_what_it_frees_at_once() {
    let dir = place::scratch("refused");
    let engine = with_dead_segments(dir.path()).await;
    let of_shard = |kind: &str| dir.path().join("cold").join(kind).join("0001");
    let stuck: PathBuf = place::files(&of_shard("segments")).remove(0);
    let aside = dir.path().join("aside");
    fs::rename(&stuck, &aside).unwrap();
    // No file is removed that is none.
    fs::create_dir_all(stuck.join("stuck")).unwrap();
    let snapshots = place::files(&of_shard("snapshots")).len();
    let in_part = engine.delete_now().await.unwrap_err();
    assert!(in_part.done.condemned > 2, "{in_part:?}");
    assert!(in_part.done.deleted > 2, "{in_part:?}");
    assert!(in_part.done.bytes > 0, "{in_part:?}");
    // The manifest of the older snapshot goes first, what it named in a later pass.
    let left: Vec<_> = engine.garbage().await.unwrap();
    let left: Vec<_> = left.iter().filter(|object| object.goes()).collect();
    assert!(
        left.iter()
            .all(|object| object.key.starts_with("segments/")),
        "{left:?}"
    );
    assert!(place::files(&of_shard("snapshots")).len() < snapshots);
    let problems = engine.health().problems;
    assert!(
        problems.iter().any(|p| p.contains("deletion")),
        "{problems:?}"
    );
    fs::remove_dir_all(&stuck).unwrap();
    fs::rename(&aside, &stuck).unwrap();
    assert!(engine.delete_now().await.unwrap().deleted > 0);
    assert!(!stuck.exists());
    engine.close().await;
}
