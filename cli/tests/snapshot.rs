//! Snapshots through the real binary: a lost hot tier comes back from them, though the journal's beginning is gone.

#[path = "snapshot/copies.rs"]
mod copies;
#[path = "snapshot/older.rs"]
mod older;
#[path = "snapshot/store.rs"]
mod store;

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::place::files;
use coldpost_testkit::{Daemon, Must, Options, place, tool, wait};

use store::{
    BINARY, SHARDS, USER, body, cold, deliver, flip, mail, newest, picture, refusal,
    remove_hot_tiers, remove_segments, shard_dir, snapshot, store,
};

/// Mail with some history: flags, copies, what was expunged.
fn with_history(daemon: &Daemon) {
    deliver(daemon, 1..21);
    let mut imap = daemon.imap(USER);
    imap.command("CREATE Kept").ok();
    imap.command("SELECT INBOX").ok();
    imap.command("UID STORE 2:5 +FLAGS (\\Seen $later)").ok();
    imap.command("UID COPY 4:9 Kept").ok();
    imap.command("UID STORE 7,8,20 +FLAGS (\\Deleted)").ok();
    imap.command("EXPUNGE").ok();
}

#[test]
fn a_lost_hot_tier_comes_back_from_a_snapshot_though_the_journal_before_it_is_gone() {
    let mut daemon = store();
    with_history(&daemon);
    let taken = snapshot(&daemon, "now");
    let of_shards: Vec<_> = taken.iter().map(|line| line["shard"].as_u64()).collect();
    assert_eq!(of_shards, SHARDS.map(Some), "{taken:?}");
    assert!(taken.iter().all(|line| line["event"] == "taken"));
    let listed = snapshot(&daemon, "list");
    assert!(
        listed.len() == 2 && listed.iter().all(|line| line["state"] == "stored"),
        "{listed:?}"
    );
    deliver(&daemon, 21..31);
    let mut imap = daemon.imap(USER);
    imap.command("SELECT INBOX").ok();
    imap.command("UID STORE 3 -FLAGS (\\Seen)").ok();
    drop(imap);
    let before = picture(&daemon);
    let positions = SHARDS.map(|shard| newest(&daemon, shard));
    daemon.stop();
    remove_hot_tiers(&daemon);
    for (shard, position) in SHARDS.into_iter().zip(positions) {
        remove_segments(&daemon, shard, position, true);
    }
    daemon.restart();
    assert_eq!(picture(&daemon), before);
    assert_eq!(body(&daemon, 25), Ok(mail(25)));
    let refused = body(&daemon, 3).expect_err("its segment is gone");
    assert!(refused.contains("UNAVAILABLE"), "{refused}");
    deliver(&daemon, 31..32);
    assert_eq!(body(&daemon, 31), Ok(mail(31)), "UIDs go on");
    assert_eq!(snapshot(&daemon, "list"), listed);
    for shard in SHARDS {
        let left = files(&shard_dir(&daemon, shard).join("snapshot"));
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn a_snapshot_of_a_stopped_store_is_one_that_its_daemon_knows() {
    let mut daemon = store();
    deliver(&daemon, 1..6);
    daemon.stop();
    snapshot(&daemon, "now");
    let listed = snapshot(&daemon, "list");
    assert_eq!(listed.len(), 2, "{listed:?}");
    daemon.restart();
    assert_eq!(snapshot(&daemon, "list"), listed);
    let verified = daemon.command("verify").output().must("verify");
    let said = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(verified.status.success(), "{said}");
}

#[test]
fn a_kill_while_a_snapshot_is_taken_leaves_a_store_that_is_well() {
    let mut dice = Dice::from_env();
    let mut daemon = store();
    with_history(&daemon);
    let rounds = if tool::long() { 60 } else { 8 };
    for round in 0..rounds {
        let mut command = daemon.command("snapshot");
        command
            .arg("now")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut taking = command.spawn().must("taking a snapshot");
        wait::pause(Duration::from_millis(dice.below(900)));
        daemon.kill();
        taking.wait().must("its end");
        daemon.restart();
        for shard in SHARDS {
            let left = files(&shard_dir(&daemon, shard).join("snapshot"));
            assert!(left.is_empty(), "{left:?}");
        }
        let number = 21 + round;
        deliver(&daemon, number..number + 1);
        let uid = u32::try_from(number).must("a UID");
        assert_eq!(body(&daemon, uid), Ok(mail(number)));
    }
    let known = snapshot(&daemon, "list").len();
    snapshot(&daemon, "now");
    assert_eq!(snapshot(&daemon, "list").len(), known + 2);
    let before = picture(&daemon);
    daemon.stop();
    remove_hot_tiers(&daemon);
    daemon.restart();
    assert_eq!(picture(&daemon), before);
    assert!(daemon.log().contains("is made anew from snapshots/"));
}

/// A store with two snapshots and mail behind them; where the first ends, and a range of the second.
fn with_two_snapshots() -> (Daemon, u64, PathBuf) {
    let daemon = store();
    with_history(&daemon);
    snapshot(&daemon, "now");
    let first = newest(&daemon, 1);
    let ranges = || files(&cold(&daemon).join("ranges/0001"));
    let old_ranges = ranges();
    deliver(&daemon, 21..26);
    snapshot(&daemon, "now");
    let new_range = ranges().into_iter().find(|path| !old_ranges.contains(path));
    deliver(&daemon, 26..31);
    let new_range = new_range.must("a range of the newest snapshot");
    (daemon, first, new_range)
}

#[test]
fn a_damaged_snapshot_is_passed_over_for_the_one_before_and_without_any_the_start_is_refused() {
    let (mut daemon, first, new_range) = with_two_snapshots();
    let before = picture(&daemon);
    daemon.stop();
    flip(&new_range, 40);
    remove_segments(&daemon, 1, first, true);
    remove_hot_tiers(&daemon);
    daemon.restart();
    assert!(daemon.log().contains("is passed over"), "{}", daemon.log());
    assert_eq!(picture(&daemon), before);
    daemon.stop();
    for manifest in files(&cold(&daemon).join("snapshots/0001")) {
        flip(&manifest, 1);
    }
    fs::remove_file(shard_dir(&daemon, 1).join("hot.redb")).must("removing a hot tier");
    for _ in 0..2 {
        let said = refusal(&daemon);
        assert!(
            said.contains("no snapshot can be used")
                && said.contains("first entries of the journal"),
            "{said}"
        );
    }
}

#[test]
fn a_store_that_is_away_is_waited_for_only_where_the_journal_is_not_whole() {
    let mut daemon = store();
    with_history(&daemon);
    snapshot(&daemon, "now");
    deliver(&daemon, 21..23);
    let (before, position) = (picture(&daemon), newest(&daemon, 1));
    daemon.stop();
    let (there, away) = (cold(&daemon), daemon.data_dir().join("away"));
    fs::rename(&there, &away).must("taking the store away");
    remove_hot_tiers(&daemon);
    daemon.restart();
    assert_eq!(picture(&daemon), before, "made of the journal alone");
    daemon.stop();
    remove_hot_tiers(&daemon);
    remove_segments(&daemon, 1, position, false);
    let said = refusal(&daemon);
    assert!(said.contains("does not answer"), "{said}");
    fs::rename(&away, &there).must("giving it back");
    daemon.restart();
    assert_eq!(picture(&daemon), before);
}

/// The later segments may be deleted from the bucket, once there is a snapshot behind them.
#[test]
fn an_older_copy_of_a_data_directory_is_refused_for_the_snapshots_in_the_bucket() {
    let outside = place::scratch("store");
    let bucket = outside.path().join("cold");
    let url = format!("file://{}", bucket.display());
    let options = Options::new(BINARY).text("cold", "url", &url);
    let mut daemon = Daemon::start(options);
    deliver(&daemon, 1..4);
    daemon.stop();
    let copy = outside.path().join("copy");
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .args([daemon.data_dir(), &copy])
        .status();
    assert!(copied.must("cp").success());
    daemon.restart();
    deliver(&daemon, 4..7);
    snapshot(&daemon, "now");
    daemon.stop();
    for path in files(&bucket.join("segments")) {
        fs::remove_file(path).must("removing a segment");
    }
    fs::remove_dir_all(daemon.data_dir()).must("removing the newer directory");
    fs::rename(&copy, daemon.data_dir()).must("putting the older copy there");
    let said = refusal(&daemon);
    assert!(said.contains("is an older copy or lost files"), "{said}");
}

/// It printed nothing at all.
#[test]
fn a_list_without_snapshots_says_that_there_is_none_and_what_takes_one() {
    let mut daemon = store();
    let look = |daemon: &Daemon| {
        let said = daemon.ok(&["snapshot", "list"]);
        assert!(
            said.contains("there is no snapshot yet") && said.contains("coldpost snapshot now"),
            "{said}"
        );
        assert_eq!(daemon.ok(&["snapshot", "list", "--json"]), "");
    };
    look(&daemon);
    daemon.stop();
    look(&daemon);
}
