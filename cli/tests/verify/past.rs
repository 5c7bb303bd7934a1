//! `verify` goes on past what is damaged, missing or away, and says what it could not look at.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::place::files;
use coldpost_testkit::{Daemon, Must, Options, wait};

use crate::store::*;

fn text(daemon: &Daemon) -> String {
    let output = verify(daemon, &[]);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Damages the same byte of a segment and of its object.
fn flip_both(daemon: &Daemon, segment: &Path, at: u64) {
    let object = object_of(daemon, segment).must("its object");
    flip(segment, at);
    flip(&object, at);
}

/// Octets that nothing compresses.
fn noise(number: u64) -> Vec<u8> {
    let mut dice = Dice::new(number);
    let mut mail = format!("Subject: {number}\r\n\r\n").into_bytes();
    for _ in 0..300 {
        for _ in 0..110 {
            let octets = dice.draw().to_le_bytes();
            mail.extend(octets.map(|o| {
                if matches!(o, 0 | b'\r' | b'\n') {
                    b'x'
                } else {
                    o
                }
            }));
        }
        mail.extend_from_slice(b"\r\n");
    }
    mail
}

/// An object that was too large to be looked into: all its mail was called lost.
#[test]
fn one_byte_of_a_large_object_is_one_victim() {
    const LARGE: u64 = 66 << 20;
    let options = Options::new(BINARY).text("journal", "segment_size", "67MiB");
    let mut daemon = Daemon::start(options);
    let mut imap = daemon.imap(USERS[0]);
    let mut number = 0;
    while segments(&daemon).is_empty() {
        imap.append("INBOX", "", &noise(number));
        number += 1;
    }
    drop(imap);
    let segment = segments(&daemon).remove(0);
    wait::until("the segment in the store", Duration::from_secs(60), || {
        daemon.metric("coldpost_uploads_waiting") == Some(0.0)
            && object_of(&daemon, &segment).is_some()
    });
    daemon.restart();
    let object = object_of(&daemon, &segment).must("its object");
    fs::remove_file(&segment).must("evicting it");
    assert!(fs::metadata(&object).must("its length").len() > LARGE);
    flip(&object, LARGE / 2);
    for how in ["running", "stopped"] {
        let told = Told::by(&daemon);
        assert_eq!(told.code, Some(DAMAGED), "{how}: {:#?}", told.lines);
        assert_eq!(told.victims().len(), 1, "{how}: {:#?}", told.lines);
        assert_eq!(told.count("messages"), number, "{how}");
        daemon.stop();
    }
}

/// It stopped at the first damage, named nobody, and called everything else readable.
#[test]
fn without_a_hot_tier_the_same_victims_are_named() {
    let mut daemon = with_mail_in_both_places();
    let local = segments(&daemon);
    daemon.stop();
    let middle = fs::metadata(&local[0]).must("its length").len() / 2;
    flip_both(&daemon, &local[0], middle);
    flip_both(&daemon, &local[1], middle / 2);
    flip_both(&daemon, &local[2], middle);
    let evicted = object_of(&daemon, &local[2]).must("its object");
    fs::remove_file(&local[2]).must("evicting a segment");
    let with = Told::by(&daemon);
    assert_eq!(with.victims().len(), 6, "{:#?}", with.lines);

    let hot = daemon.data_dir().join("shards/0001/hot.redb");
    let whole = fs::read(&hot).must("the hot tier");
    fs::remove_file(&hot).must("removing the hot tier");
    let without = Told::by(&daemon);
    assert_eq!(without.code, Some(DAMAGED));
    assert_eq!(without.victims(), with.victims(), "{:#?}", without.lines);
    let mut objects = with.objects();
    objects.insert("shards/0001/hot.redb".to_owned());
    assert_eq!(without.objects(), objects);
    assert_eq!(
        without.count("unchecked_entries"),
        0,
        "{:#?}",
        without.lines
    );

    // The heads of entries too: they cannot be named, and this is said; what is behind them is.
    let file = fs::File::options()
        .write(true)
        .open(&evicted)
        .must("opening it");
    file.write_all_at(&[0xa5; 60_000], middle / 2 * 3)
        .must("damaging it");
    let told = Told::by(&daemon);
    assert_eq!(told.code, Some(DAMAGED));
    assert!(told.count("unchecked_entries") > 0, "{:#?}", told.lines);
    let named = told.victims();
    let accounts: BTreeSet<_> = with.victims().into_iter().map(|v| v.0).collect();
    assert!(named.iter().all(|v| accounts.contains(&v.0)), "{named:?}");
    assert!(named.len() >= 4, "{named:?}");
    let key = evicted
        .strip_prefix(daemon.data_dir().join("cold"))
        .must("a key");
    assert!(
        told.objects().contains(&key.display().to_string()),
        "{:#?}",
        told.lines
    );
    let text = text(&daemon);
    assert!(
        text.contains("NOT CHECKED") && !text.contains("everything else"),
        "{text}"
    );
    assert!(
        !text.contains("fetched.seg") && !text.contains("verify.redb"),
        "{text}"
    );
    fs::write(&hot, whole).must("putting it back");
    assert_eq!(Told::by(&daemon).count("unchecked_entries"), 0);
}

/// `serve` makes a lost `epoch` file anew and then refuses; `verify` believed the new one.
#[test]
fn an_epoch_that_is_gone_is_damage_and_a_refused_start_makes_none() {
    let mut daemon = with_mail_in_both_places();
    daemon.stop();
    let data = daemon.data_dir();
    let claim = data.join("cold/epochs/0001/00000001");
    let before = fs::read(&claim).must("the claim");
    fs::remove_file(data.join("shards/0001/epoch")).must("removing it");
    let start = daemon.command("serve").output().must("running serve");
    assert!(!start.status.success(), "{start:?}");
    let told = Told::by(&daemon);
    assert_eq!(told.code, Some(DAMAGED), "{:#?}", told.lines);
    assert_eq!(told.objects(), ["shards/0001/epoch".to_owned()].into());
    assert!(!data.join("shards/0001/epoch").exists());
    assert_eq!(fs::read(&claim).must("the claim"), before);
}

/// It ended with exit code 1 where a file of the store was not what it should be, whatever else there was.
#[test]
fn what_is_missing_is_damage_and_the_rest_is_looked_at() {
    let mut daemon = with_mail_in_both_places();
    daemon.stop();
    let local = segments(&daemon);
    let victims = {
        let middle = fs::metadata(&local[0]).must("its length").len() / 2;
        flip_both(&daemon, &local[0], middle);
        Told::by(&daemon).victims()
    };
    assert_eq!(victims.len(), 2, "{victims:?}");
    let data = daemon.data_dir().to_owned();
    let away = data.join("away");
    for (name, everybody) in [
        ("store", true),
        ("shards/0001/hot.redb", true),
        ("shards/0001/epoch", true),
        ("shards/0001/journal", true),
        ("shards/0001", false),
        ("shards", false),
    ] {
        let path = data.join(name);
        for as_directory in [false, true] {
            if as_directory && path.is_dir() {
                continue;
            }
            fs::rename(&path, &away).must("moving it away");
            if as_directory {
                fs::create_dir(&path).must("making a directory");
            }
            let told = Told::by(&daemon);
            assert_eq!(told.code, Some(DAMAGED), "{name}: {:#?}", told.lines);
            let is_told = told.objects().iter().any(|object| object.starts_with(name));
            assert!(is_told, "{name}: {:#?}", told.lines);
            // Nobody knows what was in a file that is nowhere: it must not be called readable.
            let all_read = told.count("unchecked") == 0;
            assert_eq!(all_read, everybody, "{name}: {:#?}", told.lines);
            let found = told.victims();
            let all = found.is_superset(&victims);
            assert!(all || !everybody, "{name}: {:#?}", told.lines);
            if as_directory {
                fs::remove_dir(&path).must("removing it");
            }
            fs::rename(&away, &path).must("putting it back");
        }
    }
    // A lock that cannot be written stops nobody from looking.
    fs::remove_file(data.join("lock")).must("removing it");
    fs::create_dir(data.join("lock")).must("making a directory");
    assert_eq!(Told::by(&daemon).victims(), victims);
}

/// `serve` refused such a journal and sent people to `verify`, which found nothing.
#[test]
fn a_file_under_a_wrong_name_is_told() {
    let mut daemon = with_mail_in_both_places();
    daemon.stop();
    let journal = daemon.data_dir().join("shards/0001/journal");
    let open = files(&journal).pop().must("the open segment");
    let copy = journal.join("00000001-00000000ffffffff.open");
    fs::copy(&open, &copy).must("copying it");
    let start = daemon.command("serve").output().must("running serve");
    assert!(!start.status.success(), "{start:?}");
    let name = "shards/0001/journal/00000001-00000000ffffffff.open";
    assert_eq!(damaged(&daemon), BTreeSet::from([name.to_owned()]));
    assert!(!text(&daemon).contains("ObjectId"));
}

/// A hot tier that is whole and another shard's: every segment was blamed.
#[test]
fn a_hot_tier_of_another_shard_blames_nothing_else() {
    let mut daemon = with_mail_in_both_places();
    daemon.stop();
    let shards = daemon.data_dir().join("shards");
    let (other, hot) = (shards.join("0000/hot.redb"), shards.join("0001/hot.redb"));
    fs::copy(other, &hot).must("copying it");
    let left = shards.join("0001/verify.redb");
    fs::write(&left, "what a kill left").must("writing it");
    let name = "shards/0001/hot.redb".to_owned();
    assert_eq!(damaged(&daemon), BTreeSet::from([name]));
    assert!(!left.exists());
}

/// It counted as damage, and everything else was called readable.
#[test]
fn a_store_that_does_not_answer_is_not_checked_and_not_damaged() {
    let mut daemon = with_mail_in_both_places();
    daemon.stop();
    let cold = daemon.data_dir().join("cold");
    let away = daemon.data_dir().join("away");
    let first = segments(&daemon).remove(0);
    fs::rename(&cold, &away).must("taking the store away");
    fs::write(&cold, "no directory: nothing in it can be asked for").must("writing it");
    let told = Told::by(&daemon);
    assert_eq!(told.code, Some(1), "{:#?}", told.lines);
    assert_eq!(told.count("damaged"), 0, "{:#?}", told.lines);
    assert_eq!(told.count("unchecked_messages"), 0, "{:#?}", told.lines);
    assert!(told.count("unchecked") > 2, "{:#?}", told.lines);

    fs::remove_file(&first).must("evicting a segment");
    let told = Told::by(&daemon);
    assert_eq!((told.code, told.victims()), (Some(1), Victims::new()));
    assert!(told.count("unchecked_messages") > 5, "{:#?}", told.lines);
    let said = text(&daemon);
    assert!(
        said.contains("NOT CHECKED") && !said.contains("readable"),
        "{said}"
    );
    assert!(!said.contains("Affected messages"), "{said}");

    // What is damaged here cannot be read now: it is named.
    let second = segments(&daemon).remove(0);
    flip(&second, fs::metadata(&second).must("its length").len() / 2);
    let told = Told::by(&daemon);
    assert_eq!((told.code, told.victims().len()), (Some(DAMAGED), 2));
    // Without a hot tier too: what is in no file may be in the store.
    let hot = daemon.data_dir().join("shards/0001/hot.redb");
    let whole = fs::read(&hot).must("the hot tier");
    fs::remove_file(&hot).must("removing the hot tier");
    let told = Told::by(&daemon);
    assert!(told.count("unchecked_entries") > 0, "{:#?}", told.lines);
    let here = second
        .strip_prefix(daemon.data_dir())
        .must("a file of ours");
    let damaged = [
        "shards/0001/hot.redb".to_owned(),
        here.display().to_string(),
    ];
    assert_eq!(told.objects(), damaged.into(), "{:#?}", told.lines);
    fs::write(&hot, whole).must("putting it back");
    fs::remove_file(&cold).must("removing it");
    fs::rename(&away, &cold).must("putting it back");
    let told = Told::by(&daemon);
    assert_eq!(
        (told.victims(), told.count("unchecked")),
        (Victims::new(), 0)
    );
}

#[test]
fn a_frame_that_two_accounts_have_is_one_damaged_range() {
    let mut daemon = Daemon::start(Options::new(BINARY).text("journal", "segment_size", "1MiB"));
    let mut lmtp = daemon.lmtp();
    lmtp.try_deliver("b@example.org", &USERS, &noise(0))
        .must("a delivery");
    let mut imap = daemon.imap(USERS[0]);
    for number in 1..6 {
        imap.append("INBOX", "", &noise(number));
    }
    drop((lmtp, imap));
    wait::until("a segment in the store", Duration::from_secs(60), || {
        let local = segments(&daemon);
        !local.is_empty() && local.iter().all(|path| object_of(&daemon, path).is_some())
    });
    daemon.restart();
    daemon.stop();
    let segment = segments(&daemon).remove(0);
    let object = object_of(&daemon, &segment).must("its object");
    fs::remove_file(&segment).must("evicting it");
    flip(&object, 100_000);
    let told = Told::by(&daemon);
    assert_eq!(told.victims().len(), 2, "{:#?}", told.lines);
    assert_eq!(told.count("damaged"), 1, "{:#?}", told.lines);
}

/// What a header says is known without it: who is in a file with a damaged one still has a name.
#[test]
fn behind_a_damaged_header_everybody_has_a_name_without_a_hot_tier() {
    let mut daemon = with_mail_in_both_places();
    daemon.stop();
    let local = segments(&daemon);
    let middle = fs::metadata(&local[0]).must("its length").len() / 2;
    flip_both(&daemon, &local[0], middle);
    let expected = Told::by(&daemon).victims();
    for segment in &local {
        fs::remove_file(object_of(&daemon, segment).must("its object")).must("removing it");
        flip(segment, 20);
    }
    let open = files(&daemon.data_dir().join("shards/0001/journal")).pop();
    flip(&open.must("the open segment"), 20);
    let hot = daemon.data_dir().join("shards/0001/hot.redb");
    fs::remove_file(hot).must("removing the hot tier");
    let told = Told::by(&daemon);
    assert_eq!(told.code, Some(DAMAGED));
    assert_eq!(told.victims(), expected, "{:#?}", told.lines);
    assert_eq!(told.count("unchecked_entries"), 0, "{:#?}", told.lines);
    assert_eq!(told.count("messages"), 2 * MAILS, "{:#?}", told.lines);
}
