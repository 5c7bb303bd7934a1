//! What the collection of garbage looks at before it deletes: whose the store is, and whether a kill could still need it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coldpost_testkit::fault_proxy::{FaultProxy, Mode};
use coldpost_testkit::place::files;
use coldpost_testkit::seaweedfs::SeaweedFs;
use coldpost_testkit::tool::WEED;
use coldpost_testkit::{Daemon, Must, Options, have, place, wait};
use serde_json::Value;

const USER: &str = "ann@example.org";

fn options() -> Options {
    let options = Options::new(env!("CARGO_BIN_EXE_coldpost"));
    let now = |options: Options, key| options.text("cold", key, "0s");
    ["segment_age", "retention", "grace"]
        .into_iter()
        .fold(options, now)
}

fn deliver(daemon: &Daemon, numbers: std::ops::Range<u64>) {
    let mut lmtp = daemon.lmtp();
    for number in numbers {
        let mail = format!("Subject: {number}\r\n\r\nText.\r\n");
        lmtp.deliver("a@example.org", USER, mail.as_bytes());
    }
}

fn read_all(daemon: &Daemon) -> usize {
    let mut imap = daemon.imap(USER);
    imap.command("EXAMINE INBOX").ok();
    imap.fetch("FETCH 1:* BODY.PEEK[]").len()
}

fn segments(cold: &Path) -> Vec<PathBuf> {
    files(&cold.join("segments/0001"))
}

/// A store whose first segments nobody needs any more.
fn with_garbage(options: Options) -> Daemon {
    let daemon = Daemon::start(options);
    deliver(&daemon, 0..20);
    daemon.ok(&["compact"]);
    daemon.ok(&["snapshot", "now"]);
    daemon
}

#[test]
fn nothing_is_deleted_while_the_store_is_away_or_is_another_one() {
    let other = with_garbage(options());
    let daemon = with_garbage(options());
    let cold = daemon.data_dir().join("cold");
    let aside = daemon.data_dir().join("cold.aside");
    let first = segments(&cold);
    assert!(!first.is_empty());
    fs::rename(&cold, &aside).must("moving the store away");
    let copied = |from: &Path| {
        let mut cp = std::process::Command::new("cp");
        let status = cp.arg("-R").arg(from).arg(&cold).status();
        assert!(status.must("copying a store").success());
    };
    let others = other.data_dir().join("cold");
    for (what, says) in [
        ("absent", "does not hold this store"),
        ("empty", "does not hold this store"),
        ("another", "holds another store"),
    ] {
        match what {
            "empty" => fs::create_dir(&cold).must("an empty store"),
            "another" => copied(&others),
            _ => {}
        }
        let before = files(&cold);
        let refused = daemon.run(&["gc", "--apply"]);
        let words = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(
            !refused.status.success() && words.contains(says),
            "{what}: {words}"
        );
        assert_eq!(files(&cold), before, "{what}");
        if cold.exists() {
            fs::remove_dir_all(&cold).must("removing it");
        }
    }
    fs::rename(&aside, &cold).must("putting the store back");
    daemon.ok(&["gc", "--apply"]);
    assert!(!segments(&cold).contains(&first[0]), "{first:?}");
    assert_eq!(read_all(&daemon), 20);
}

/// A store that is opened for a question is not tidied by the way.
#[test]
fn who_only_asks_a_stopped_store_changes_nothing_in_it() {
    let mut daemon = with_garbage(options());
    daemon.stop();
    let cold = daemon.data_dir().join("cold");
    // A probe of the store may come and go.
    let objects = || {
        let mut objects = files(&cold);
        objects.retain(|path| !path.starts_with(cold.join("probes")));
        objects
    };
    let before = objects();
    for asked in [&["gc"][..], &["status"], &["snapshot", "list"], &["gc"]] {
        daemon.ok(asked);
        assert_eq!(objects(), before, "{asked:?}");
    }
    daemon.ok(&["gc", "--apply"]);
    assert!(objects().len() < before.len());
}

/// They took the place of what is needed for as long as the grace is, and stood in `status` as mail that is not in the store yet.
#[test]
fn local_files_of_what_was_condemned_go_at_once() {
    let daemon = with_garbage(options().text("cold", "grace", "1d"));
    let sealed = || {
        let mut sealed = files(&daemon.data_dir().join("shards/0001/journal"));
        sealed.retain(|path| path.extension().is_some_and(|e| e == "seg"));
        sealed
    };
    let before = sealed();
    assert!(!before.is_empty());
    let condemned = daemon.json(&["gc", "--apply"])["condemned"].as_u64();
    assert!(condemned > Some(0));
    wait::until("their files to go", Duration::from_secs(60), || {
        sealed().len() < before.len()
    });
    assert_eq!(read_all(&daemon), 20);
}

#[test]
fn nothing_is_deleted_while_the_mirror_is_away() {
    let mirror = place::scratch("mirror");
    let (second, aside) = (mirror.path().join("second"), mirror.path().join("aside"));
    let url = format!("file://{}", second.display());
    let daemon = with_garbage(options().text("cold", "mirror", &url));
    let stores = [daemon.data_dir().join("cold"), second.clone()];
    let first = stores.clone().map(|store| segments(&store)[0].clone());
    fs::rename(&second, &aside).must("moving the mirror away");
    let refused = daemon.run(&["gc", "--apply"]);
    assert!(!refused.status.success(), "{refused:?}");
    assert!(first[0].exists(), "{refused:?}");
    fs::rename(&aside, &second).must("putting the mirror back");
    daemon.ok(&["gc", "--apply"]);
    assert!(first.iter().all(|segment| !segment.exists()), "{first:?}");
    assert_eq!(read_all(&daemon), 20);
}

/// What answers 500 for one object for ever is taken for a store that is away, and the pass is over.
#[test]
fn an_object_at_which_the_store_fails_keeps_nothing_else_for_longer_than_a_pass() {
    if !have(&[WEED]) {
        return;
    }
    let weed = SeaweedFs::start();
    let proxy = FaultProxy::start(weed.s3_addr());
    let daemon = Daemon::start(weed.cold(options(), proxy.addr(), "stuck"));
    for round in 0..5 {
        deliver(&daemon, round * 4..round * 4 + 4);
        daemon.ok(&["compact"]);
    }
    daemon.ok(&["snapshot", "now"]);
    let first = "DELETE /mail/stuck/segments/0001/00000001/0000000000000001";
    proxy.set_for(first, Mode::Status(500));
    proxy.forget_requests();
    let deleted = || {
        let requests = proxy.requests().into_iter();
        let mut deleted: Vec<_> = requests.filter(|r| r.starts_with("DELETE")).collect();
        deleted.dedup();
        deleted
    };
    assert!(!daemon.run(&["gc", "--apply"]).status.success());
    assert!(
        deleted().iter().all(|r| r.starts_with(first)),
        "{:?}",
        deleted()
    );
    proxy.forget_requests();
    wait::until("the others to go", Duration::from_secs(30), || {
        daemon.run(&["gc", "--apply"]);
        deleted().len() > 3
    });
    assert!(!deleted()[0].starts_with(first), "{:?}", deleted());
    proxy.set(Mode::Pass);
    wait::until("all of it to go", Duration::from_secs(30), || {
        daemon.run(&["gc", "--apply"]).status.success()
    });
    assert_eq!(read_all(&daemon), 20);
}

/// The command said what had failed, and nothing of what it had condemned and deleted.
#[test]
fn what_went_beside_an_object_that_refuses_is_said_together_with_the_failure() {
    let mut daemon = with_garbage(options());
    daemon.ok(&["snapshot", "now"]);
    let stuck = segments(&daemon.data_dir().join("cold")).remove(0);
    fs::remove_file(&stuck).must("removing an object");
    fs::create_dir_all(stuck.join("stuck")).must("a directory in its place");
    let refused = daemon.run(&["gc", "--apply", "--json"]);
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    let said: Value = serde_json::from_slice(&refused.stdout).must("one answer");
    for what in ["condemned", "deleted", "bytes"] {
        assert!(said[what].as_u64() > Some(0), "{what}: {said}");
    }
    assert!(said["error"].is_string(), "{said}");
    for is_stopped in [false, true] {
        if is_stopped {
            daemon.stop();
        }
        let refused = daemon.run(&["gc", "--apply"]);
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let said = String::from_utf8_lossy(&refused.stdout);
        assert!(said.contains("0 deleted (0 bytes)"), "{refused:?}");
        let why = String::from_utf8_lossy(&refused.stderr);
        assert!(why.contains("coldpost: "), "{refused:?}");
    }
    fs::remove_dir_all(&stuck).must("removing the directory");
    let said = daemon.json(&["gc", "--apply"]);
    assert!(said["deleted"].as_u64() > Some(0), "{said}");
    assert!(said["error"].is_null(), "{said}");
}

/// Eight that refuse end a pass; always the same ones came first, and nothing behind them was ever deleted.
#[test]
fn what_the_store_does_not_let_go_keeps_nothing_else_for_longer_than_a_pass() {
    let daemon = Daemon::start(options());
    let cold = daemon.data_dir().join("cold");
    let mut delivered = 0;
    // A segment that is empty before its turn to be sent is never in the store, so rounds are not counted.
    while segments(&cold).len() < 10 {
        deliver(&daemon, delivered..delivered + 2);
        delivered += 2;
        assert!(delivered <= 200, "{:?}", segments(&cold));
        daemon.ok(&["compact"]);
    }
    let garbage = segments(&cold);
    daemon.ok(&["snapshot", "now"]);
    let (stuck, others) = garbage.split_at(8);
    assert!(others.len() >= 2, "{garbage:?}");
    let aside = |path: &PathBuf| path.with_extension("aside");
    for path in stuck {
        fs::rename(path, aside(path)).must("moving an object away");
        // No file is removed that is none.
        fs::create_dir_all(path.join("stuck")).must("a directory in its place");
    }
    let pass = || assert!(!daemon.run(&["gc", "--apply"]).status.success());
    let left = || others.iter().filter(|path| path.exists()).count();
    pass();
    assert_eq!(left(), others.len(), "a pass ends with the eighth");
    pass();
    assert_eq!(left(), 0, "the next one begins with the others");
    for path in stuck {
        fs::remove_dir_all(path).must("removing the directory");
        fs::rename(aside(path), path).must("putting the object back");
    }
    daemon.ok(&["gc", "--apply"]);
    assert!(stuck.iter().all(|path| !path.exists()), "{stuck:?}");
    assert_eq!(read_all(&daemon) as u64, delivered);
}

#[test]
fn a_kill_right_after_a_collection_leaves_a_store_that_starts() {
    let mut daemon = Daemon::start(options());
    for round in 0..5 {
        deliver(&daemon, round * 10..round * 10 + 10);
        for words in [&["compact"][..], &["snapshot", "now"], &["gc", "--apply"]] {
            daemon.ok(words);
        }
        daemon.kill();
        daemon.restart();
        let expected = usize::try_from(round * 10 + 10).must("few");
        assert_eq!(read_all(&daemon), expected);
    }
}

#[test]
fn what_stays_is_told_why() {
    let mut daemon = with_garbage(options());
    daemon.stop();
    daemon.reconfigure(|options| options.text("cold", "retention", "14d"));
    daemon.restart();
    // What dies behind the first snapshot waits for it to go, however many come after it.
    deliver(&daemon, 20..30);
    daemon.ok(&["compact"]);
    let said = daemon.ok(&["gc"]);
    assert!(said.contains("no snapshot was taken since"), "{said}");
    daemon.ok(&["snapshot", "now"]);
    let said = daemon.ok(&["gc"]);
    let mut segments = said
        .lines()
        .filter(|line| line.starts_with("segments/0001/"));
    let first = segments.next().must("a dead segment");
    assert!(first.contains("but an older snapshot"), "{said}");
}

/// State and date stood in an English sentence only.
#[test]
fn what_waits_and_until_when_is_told_to_programs() {
    let mut daemon = with_garbage(options());
    let states = |daemon: &Daemon| {
        let garbage = daemon.json(&["gc"]);
        let objects = garbage["objects"].as_array().must("objects").clone();
        assert!(!objects.is_empty(), "{garbage}");
        objects
    };
    let objects = states(&daemon);
    assert!(
        objects
            .iter()
            .any(|o| o["state"] == "dead" && o["goes"] == true && o["due"].is_null()),
        "{objects:?}"
    );
    daemon.stop();
    daemon.reconfigure(|options| options.text("cold", "grace", "3d"));
    daemon.restart();
    daemon.ok(&["gc", "--apply"]);
    let objects = states(&daemon);
    let waits = objects.iter().find(|o| o["state"] == "condemned");
    let waits = waits.must("an object that waits for its grace");
    let due = waits["due"].as_str().must("a date");
    assert!(due.ends_with("+00:00") && waits["goes"] == false, "{waits}");
}
