//! Recovery beside a store that was put back from an older copy, replaced by an empty one, or lost its snapshots.

use std::fs;
use std::path::Path;
use std::process::Command;

use coldpost_testkit::place::{files, scratch};
use coldpost_testkit::{Daemon, Must, Options};

use super::copies::{STORES, lost, mirrored, remove_manifests};
use super::store::{
    BINARY, deliver, newest, picture, refusal, remove_hot_tiers, remove_segments, remove_up_to,
    shard_dir, snapshot,
};
use super::with_history;

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.must("cp").success());
}

fn put_in_place(new: &Path, place: &Path, aside: &Path) {
    fs::rename(place, aside).must("taking what was there away");
    fs::rename(new, place).must("putting another there");
}

/// The hot tier that was loaded took its place before it was known whether anything could follow it, and no later start looked at another.
#[test]
fn a_snapshot_that_cannot_be_followed_leaves_nothing_and_the_newest_is_taken_when_the_store_is_mended()
 {
    let outside = scratch("older");
    let bucket = outside.path().join("cold");
    let options = Options::new(BINARY)
        .text("journal", "segment_size", "1MiB")
        .text("cold", "url", &format!("file://{}", bucket.display()));
    let mut daemon = Daemon::start(options);
    with_history(&daemon);
    snapshot(&daemon, "now");
    let older = outside.path().join("older");
    copy(&bucket, &older);
    deliver(&daemon, 21..26);
    snapshot(&daemon, "now");
    let position = newest(&daemon, 1);
    deliver(&daemon, 26..31);
    let before = picture(&daemon);
    daemon.stop();
    // As the newest snapshot lets them be deleted.
    remove_segments(&daemon, 1, position, false);
    remove_up_to(&files(&bucket.join("segments/0001")), position);
    remove_hot_tiers(&daemon);
    let newer = outside.path().join("newer");
    put_in_place(&older, &bucket, &newer);
    for _ in 0..2 {
        let said = refusal(&daemon);
        assert!(
            said.contains("is the newest snapshot that can be used")
                && said.contains("put the damaged or missing object back")
                && said.contains("nothing was changed"),
            "{said}"
        );
        let loaded = shard_dir(&daemon, 1).join("hot.redb.new");
        assert!(!loaded.exists(), "what was loaded is gone");
    }
    put_in_place(&newer, &bucket, &older);
    daemon.restart();
    assert_eq!(picture(&daemon), before);
    assert!(daemon.log().contains("is made anew from snapshots/"));
}

/// It said that there was no snapshot in either of them.
#[test]
fn beside_a_first_store_that_is_empty_or_lost_its_snapshots_the_second_gives_them() {
    for is_empty in [true, false] {
        let outside = scratch("emptied");
        let (mut daemon, before, [first, _]) = lost(outside.path());
        if is_empty {
            let new = outside.path().join("new");
            fs::create_dir(&new).must("an empty directory");
            put_in_place(&new, &first, &outside.path().join("gone"));
        } else {
            remove_manifests(&first);
        }
        daemon.restart();
        assert_eq!(picture(&daemon), before, "empty: {is_empty}");
        let log = daemon.log();
        assert!(log.contains("is made anew from snapshots/"), "{log}");
    }
}

#[test]
fn beside_a_store_without_snapshots_one_that_is_away_is_waited_for() {
    let outside = scratch("away");
    let (mut daemon, before, [first, second]) = lost(outside.path());
    remove_manifests(&first);
    let away = outside.path().join("away");
    fs::rename(&second, &away).must("taking the second away");
    let said = refusal(&daemon);
    let url = format!("file://{}", second.display());
    assert!(
        said.contains("does not answer") && said.contains(&url),
        "{said}"
    );
    assert!(!said.contains("there is no snapshot"), "{said}");
    fs::rename(&away, &second).must("giving it back");
    daemon.restart();
    assert_eq!(picture(&daemon), before);
}

/// The first store had nothing behind its end any more, and was the only one that was asked.
#[test]
fn an_older_copy_of_a_data_directory_is_refused_for_what_the_second_store_alone_has() {
    let outside = scratch("older");
    let mut daemon = mirrored(outside.path());
    deliver(&daemon, 1..4);
    daemon.stop();
    let older = outside.path().join("older");
    copy(daemon.data_dir(), &older);
    daemon.restart();
    deliver(&daemon, 4..7);
    snapshot(&daemon, "now");
    daemon.stop();
    for folder in ["segments", "snapshots"] {
        fs::remove_dir_all(outside.path().join("first").join(folder)).must("losing them");
    }
    put_in_place(&older, daemon.data_dir(), &outside.path().join("newer"));
    let said = refusal(&daemon);
    let second = format!(
        "file://{} has a later one",
        outside.path().join("second").display()
    );
    assert!(
        said.contains("is an older copy or lost files") && said.contains(&second),
        "{said}"
    );
}

/// Either of the two may be the one that is left: whoever deletes beside a snapshot needs it in both.
#[test]
fn nothing_is_deleted_until_the_newest_snapshot_is_in_both_stores() {
    let outside = scratch("guarded");
    let [first, second] = STORES.map(|name| outside.path().join(name));
    let url = |store: &Path| format!("file://{}", store.display());
    let options = Options::new(BINARY)
        .text("journal", "segment_size", "1MiB")
        .text("cold", "url", &url(&first))
        .text("cold", "mirror", &url(&second))
        .text("cold", "grace", "0s")
        .text("cold", "retention", "0s");
    let daemon = Daemon::start(options);
    with_history(&daemon);
    snapshot(&daemon, "now");
    deliver(&daemon, 21..26);
    snapshot(&daemon, "now");
    let kept = files(&first.join("snapshots/0001"));
    for manifest in files(&second.join("snapshots")) {
        fs::remove_file(manifest).must("losing a manifest");
    }
    let collect = |is_done: bool| {
        let said = daemon.command("gc").arg("--apply").output().must("gc");
        let text = format!(
            "{}{}",
            String::from_utf8_lossy(&said.stdout),
            String::from_utf8_lossy(&said.stderr)
        );
        assert_eq!(said.status.success(), is_done, "{text}");
        text
    };
    let said = collect(false);
    let which = format!("is not in {} as it was put there", url(&second));
    assert!(
        said.contains(&which) && said.contains("coldpost verify --bucket --repair"),
        "{said}"
    );
    assert_eq!(files(&first.join("snapshots/0001")), kept);
    daemon.ok(&["verify", "--bucket", "--repair"]);
    collect(true);
    let left = files(&second.join("snapshots/0001"));
    assert!(left.len() < kept.len() && !left.is_empty(), "{left:?}");
}
