//! Damage in local files and in the store, beside the daemon and without it: `verify` names who cannot be read, each once, and nobody else.

#[path = "verify/past.rs"]
mod past;
#[path = "verify/store.rs"]
mod store;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use coldpost_testkit::place::files;
use coldpost_testkit::{Daemon, Must, Options};
use serde_json::Value;

use store::*;

/// `verify` beside the daemon and without it says who cannot be read, as IMAP finds it, and names `damaged` and nothing else.
fn assert_named(daemon: &mut Daemon, damaged: &[&Path], context: &str) -> Victims {
    // What was read is in memory: a new process has to read it again.
    daemon.restart();
    let expected = unreadable(daemon);
    let data = daemon.data_dir().to_owned();
    let store = data.join("cold");
    let mut expected_objects = BTreeSet::new();
    for path in damaged {
        let name = path.strip_prefix(&store).or(path.strip_prefix(&data));
        expected_objects.insert(name.must("a path of ours").display().to_string());
    }
    for how in ["running", "stopped"] {
        let (objects, victims) = said(daemon);
        assert_eq!(victims, expected, "{context}, {how}");
        assert_eq!(objects, expected_objects, "{context}, {how}");
        let text = verify(daemon, &[]).stdout;
        let text = String::from_utf8(text).must("text");
        for (account, mailbox, uid, date) in &expected {
            let line = format!("{account} {mailbox:?} UID {uid} of {date}");
            let times = text.lines().filter(|l| l.trim() == line).count();
            assert_eq!(times, 1, "{context}, {how}: {line} in {text}");
        }
        let places = text.matches(" at byte ").count();
        let ranges = text.lines().filter(|l| l.contains("Affected")).count();
        assert_eq!(places, ranges, "{context}, {how}: {text}");
        daemon.stop();
    }
    daemon.restart();
    expected
}

#[test]
fn every_message_that_cannot_be_read_is_named_once_and_no_other() {
    let mut daemon = with_mail_in_both_places();
    let none = Victims::new();
    assert_eq!(assert_named(&mut daemon, &[], "whole"), none);
    let local = segments(&daemon);
    let stored: Vec<PathBuf> = local
        .iter()
        .map(|path| object_of(&daemon, path).must("its object"))
        .collect();
    let middle = fs::metadata(&local[0]).must("its length").len() / 2;

    // One whole copy is enough to read it; the damage is told all the same.
    flip(&local[0], middle);
    let victims = assert_named(&mut daemon, &[&local[0]], "a local byte");
    assert_eq!(victims, none);
    flip(&stored[1], middle);
    let victims = assert_named(&mut daemon, &[&local[0], &stored[1]], "one of each");
    assert_eq!(victims, none);

    // Both copies, in the same message and in others.
    flip(&stored[0], middle);
    let both = [&*local[0], &*stored[0], &*stored[1]];
    let victims = assert_named(&mut daemon, &both, "both copies");
    assert_eq!(victims.len(), 2, "a message and its copy: {victims:?}");
    flip(&stored[0], middle / 2);
    assert_eq!(assert_named(&mut daemon, &both, "another"), victims);

    // The object is gone: what is damaged locally is lost, what is only in the store is lost.
    let away = daemon.data_dir().join("away");
    fs::rename(&stored[0], &away).must("moving an object away");
    assert_eq!(assert_named(&mut daemon, &both, "object gone"), victims);
    fs::remove_file(&local[0]).must("evicting a segment");
    let gone = assert_named(&mut daemon, &both[1..], "all gone");
    assert!(gone.is_superset(&victims) && gone.len() > 10, "{gone:?}");

    // Put back as it was before it was damaged, it is readable again.
    fs::rename(&away, &stored[0]).must("putting it back");
    flip(&stored[0], middle);
    flip(&stored[0], middle / 2);
    flip(&stored[1], middle);
    assert_eq!(assert_named(&mut daemon, &[], "put back"), none);
}

#[test]
fn what_keeps_a_store_from_starting_whole_is_damage_and_verify_changes_nothing() {
    let mut daemon = with_mail_in_both_places();
    daemon.kill();
    let none = BTreeSet::new();
    assert_eq!(damaged(&daemon), none, "after a kill");
    daemon.restart();
    daemon.stop();
    assert_eq!(damaged(&daemon), none, "after a stop");
    let data = daemon.data_dir().to_owned();
    let epoch = data.join("cold/epochs/0001/00000001");
    for name in ["shards/0001/epoch", "shards/0000/epoch", "store"] {
        let whole = fs::read(data.join(name)).must("a file");
        flip(&data.join(name), 12);
        let output = verify(&daemon, &[]);
        assert!(!output.status.success(), "{name}: {output:?}");
        let said = [output.stdout, output.stderr].concat();
        let file = name.rsplit('/').next().must("a name");
        assert!(
            String::from_utf8_lossy(&said).contains(file),
            "{name}: {said:?}"
        );
        fs::write(data.join(name), whole).must("putting it back");
    }
    let whole = fs::read(&epoch).must("the epoch's object");
    for how in ["flipped", "gone"] {
        match how {
            "flipped" => flip(&epoch, 12),
            _ => fs::remove_file(&epoch).must("removing it"),
        }
        let name = BTreeSet::from(["epochs/0001/00000001".to_owned()]);
        assert_eq!(damaged(&daemon), name, "{how}");
    }
    fs::write(&epoch, whole).must("putting it back");

    // The hot tier: gone, empty, or with a letter of a name changed, as only its checksums tell.
    let hot = data.join("shards/0000/hot.redb");
    let name = BTreeSet::from(["shards/0000/hot.redb".to_owned()]);
    let whole = fs::read(&hot).must("the hot tier");
    let mut renamed = whole.clone();
    for at in 0..renamed.len() - 15 {
        if renamed[at..].starts_with(b"ann@example.org") {
            renamed[at] = b'b';
        }
    }
    for bytes in [None, Some(&[][..]), Some(&renamed)] {
        match bytes {
            None => fs::remove_file(&hot).must("removing it"),
            Some(bytes) => fs::write(&hot, bytes).must("writing it"),
        }
        assert_eq!(damaged(&daemon), name, "{:?} bytes", bytes.map(<[u8]>::len));
        let told = String::from_utf8_lossy(&verify(&daemon, &[]).stdout).into_owned();
        // The start makes anew what does not open; of a page it compares nothing.
        let is_seen = bytes.is_none_or(<[u8]>::is_empty);
        assert_eq!(
            told.contains("the next start makes it anew"),
            is_seen,
            "{told}"
        );
        assert_eq!(told.contains("move this file away"), !is_seen, "{told}");
    }
    fs::write(&hot, &whole).must("putting it back");
    assert_eq!(damaged(&daemon), none, "put back");
}

#[test]
fn victims_have_names_without_a_hot_tier_and_a_journal_that_is_gone_is_told() {
    let mut daemon = with_mail_in_both_places();
    let local = segments(&daemon);
    let stored = object_of(&daemon, &local[0]).must("its object");
    daemon.stop();
    let hot = daemon.data_dir().join("shards/0001/hot.redb");
    let whole = fs::read(&hot).must("the hot tier");
    fs::remove_file(&hot).must("removing it");
    // The last sealed segment is read first by nobody: its mail is known from its own entries.
    let last = local.last().must("a segment");
    let middle = fs::metadata(last).must("its length").len() / 2;
    flip(last, middle);
    let output = verify(&daemon, &["--json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(DAMAGED), "{text}");
    assert!(text.contains("hot.redb") && text.contains(".seg"), "{text}");
    assert!(
        text.contains("\"victims\":0,"),
        "the store has a whole copy: {text}"
    );

    fs::remove_file(&local[0]).must("removing a segment");
    fs::remove_file(&stored).must("removing its object");
    let output = verify(&daemon, &["--json"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(DAMAGED), "{text}");
    assert!(text.contains("entry 1 of shard 1"), "{text}");
    assert!(!hot.exists() && !hot.with_file_name("verify.redb").exists());

    // With the rows that were there, everybody in it has a name.
    fs::write(&hot, whole).must("putting it back");
    let output = verify(&daemon, &[]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        text.contains("ann@example.org \"INBOX\" UID 1 of "),
        "{text}"
    );
}

/// The start refuses what was cut off; `verify` found nothing, as what is not there has no wrong checksum.
#[test]
fn a_journal_that_ends_too_early_or_has_a_gap_is_told() {
    let mut daemon = with_mail_in_both_places();
    daemon.stop();
    let data = daemon.data_dir().to_owned();
    for shard in ["0000", "0001"] {
        let journal = data.join("shards").join(shard).join("journal");
        let mut files = files(&journal);
        let open = files.pop().must("an open segment");
        assert!(open.extension().is_some_and(|e| e == "open"), "{open:?}");
        let whole = fs::read(&open).must("the segment");
        let name = format!("shards/{shard}/journal");
        for length in [whole.len() / 2, whole.len() * 9 / 10, 0] {
            match length {
                0 => fs::remove_file(&open).must("removing it"),
                length => fs::write(&open, &whole[..length]).must("cutting it"),
            }
            let output = verify(&daemon, &["--json"]);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(output.status.code(), Some(DAMAGED), "{length}: {text}");
            assert!(
                text.contains(&format!("\"object\":\"{name}")),
                "{length}: {text}"
            );
            let start = daemon.command("serve").output().must("running serve");
            assert!(!start.status.success(), "{length}: {start:?}");
            assert!(
                String::from_utf8_lossy(&start.stderr).contains("coldpost: "),
                "{start:?}"
            );
        }
        fs::write(&open, &whole).must("putting it back");
    }
    assert_eq!(damaged(&daemon), BTreeSet::new(), "put back");
    let segment = &segments(&daemon)[0];
    let stored = object_of(&daemon, segment).must("its object");
    fs::remove_file(&stored).must("removing an object");
    fs::remove_file(segment).must("removing a segment");
    let output = verify(&daemon, &[]);
    assert_eq!(output.status.code(), Some(DAMAGED), "{output:?}");
}

/// The mailboxes on a page that redb cannot read are refused; `verify` said "damaged 0", or ended before it had looked at the rest.
#[test]
fn a_page_of_the_hot_tier_that_cannot_be_read_is_told_beside_the_daemon() {
    const PAGE: u64 = 4096;
    let mut daemon = Daemon::start(Options::new(BINARY));
    {
        // Enough for trees of several levels: a start reads the root of each.
        let mut imap = daemon.imap(USERS[0]);
        for number in 0..600 {
            let mail = format!("Subject: {number}\r\nFrom: {number}@example.org\r\n\r\nx\r\n");
            imap.append("INBOX", "", mail.as_bytes());
        }
    }
    daemon.stop();
    let hot = daemon.data_dir().join("shards/0001/hot.redb");
    let whole = fs::read(&hot).must("the hot tier");
    let mut met = 0;
    for page in 1..whole.len() as u64 / PAGE {
        let file = fs::File::options().write(true).open(&hot);
        let file = file.must("opening the hot tier");
        file.write_all_at(&[0xa5; 64], page * PAGE)
            .must("overwriting a page");
        daemon.restart();
        let mut imap = daemon.imap(USERS[0]);
        let is_read = imap.command("EXAMINE INBOX").is_ok()
            && imap
                .command("FETCH 1:* (FLAGS ENVELOPE BODY.PEEK[])")
                .is_ok();
        drop(imap);
        let output = verify(&daemon, &["--json"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let last = text.lines().last().map(serde_json::from_str::<Value>);
        let summary = last.must("a line").must("JSON");
        assert_eq!(summary["event"], "summary", "page {page}: {text}");
        if !is_read {
            met += 1;
            assert_eq!(output.status.code(), Some(DAMAGED), "page {page}: {text}");
            assert!(text.contains("shards/0001/hot.redb"), "page {page}: {text}");
            let objects = summary["objects"].as_u64().must("a count");
            assert!(objects >= 2, "the rest was looked at: page {page}: {text}");
        }
        daemon.stop();
        fs::write(&hot, &whole).must("putting it back");
        if met == 3 {
            return;
        }
    }
    assert!(met > 0, "no page was met");
}
