//! A store as version 1 of the formats wrote it once its mail was compacted: blocks, a blob, a pack and a snapshot, without the segments that its
//! mail came in. Every later version opens it.
//!
//! `COLDPOST_BLESS=v1-cold cargo nextest run --test format_v1_cold` makes it anew, which is right only before a release.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use coldpost_testkit::imap::Imap;
use coldpost_testkit::made_mail::base64_lines;
use coldpost_testkit::place::files;
use coldpost_testkit::{Daemon, Must, Options, place, wait};

const NAME: &str = "v1-cold";
/// Bytes of the kept store, at most.
const FIXTURE_MAX: u64 = 1 << 20;
/// Time in which a few segments go.
const GONE: Duration = Duration::from_secs(60);

fn kept() -> PathBuf {
    place::workspace().join("cli/tests/fixtures").join(NAME)
}

fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-R").arg(from).arg(to).status();
    assert!(copied.must("copying a store").success());
}

fn options(dir: &Path) -> Options {
    let cold = dir.join("cold");
    let url = format!("file://{}", cold.display());
    Options::new(env!("CARGO_BIN_EXE_coldpost"))
        .text("cold", "url", &url)
        .data(&dir.join("data"))
}

/// An attachment that is large as it is read and small as it is stored.
fn pattern(number: u64, bytes: u64) -> Vec<u8> {
    let word = |at: u64| (number * 1_000_003 + at / 512).to_le_bytes();
    (0..bytes / 8).flat_map(word).collect()
}

/// A message with an attachment of its number, in lines of 76 or of 60.
fn attached(number: u64, bytes: u64) -> Vec<u8> {
    let characters = if number.is_multiple_of(2) { 76 } else { 60 };
    let encoded = base64_lines(&pattern(number, bytes), characters);
    format!(
        "Subject: attached {number}\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nSee there.\r\n--b\r\nContent-Type: image/tiff\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n--b--\r\n"
    )
    .into_bytes()
}

fn plain(number: u64) -> Vec<u8> {
    format!("Subject: plain {number}\r\n\r\nText of {number}.\r\n").into_bytes()
}

/// What ann's INBOX has: before the snapshot, but for the last, which stands in the journal behind it.
fn inbox() -> Vec<Vec<u8>> {
    vec![
        plain(1),
        plain(2),
        attached(10, 70 << 10),
        attached(11, 90 << 10),
        attached(12, 5 << 20),
        plain(4),
        plain(5),
    ]
}

/// Makes the store in `dir`.
fn make(dir: &Path) {
    let now = |options: Options, key| options.text("cold", key, "0s");
    let options = ["retention", "grace"].into_iter().fold(options(dir), now);
    let mut daemon = Daemon::start(options);
    let mut lmtp = daemon.lmtp();
    let mut mails = inbox();
    let last = mails.pop().must("a last one");
    mails.insert(2, plain(3));
    for mail in &mails {
        lmtp.deliver("a@example.org", "ann@example.org", mail);
    }
    lmtp.deliver("a@example.org", "ben@example.org", &attached(10, 70 << 10));
    let mut imap = daemon.imap("ann@example.org");
    imap.command("CREATE Kept").ok();
    imap.command("SELECT INBOX").ok();
    imap.command("UID STORE 2 +FLAGS (\\Seen later)").ok();
    imap.command("UID COPY 1,4 Kept").ok();
    imap.command("UID STORE 3 +FLAGS (\\Deleted)").ok();
    imap.command("EXPUNGE").ok();
    imap.command("LOGOUT").ok();
    let is_small = || {
        for words in [&["compact"][..], &["snapshot", "now"], &["gc", "--apply"]] {
            daemon.ok(words);
        }
        files(&dir.join("cold/segments/0001/00000001"))
            .iter()
            .all(|path| !path.ends_with("0000000000000001"))
    };
    wait::until("the first segment is gone", GONE, is_small);
    lmtp.deliver("a@example.org", "ann@example.org", &last);
    drop(lmtp);
    daemon.stop();
    for secret in ["dev-password", "http-token"] {
        fs::remove_file(dir.join("data").join(secret)).must("removing what a start makes");
    }
    let shard = dir.join("data/shards/0001");
    for kind in ["blocks", "packs", "blobs"] {
        for copy in files(&shard.join(kind)) {
            fs::remove_file(copy).must("removing a local copy");
        }
    }
}

/// All of a mailbox, with what IMAP says of each message.
fn shown(imap: &mut Imap, mailbox: &str) -> Vec<(String, Vec<u8>)> {
    imap.command(&format!("EXAMINE {mailbox}")).ok();
    let fetched = imap.fetch("FETCH 1:* (UID FLAGS BODY.PEEK[])");
    let of = |fetch: &coldpost_testkit::imap::Fetch| {
        let says = format!("{} [{}]", fetch.uid(), fetch.flags().join(" "));
        (says, fetch.bytes("BODY[]"))
    };
    fetched.iter().map(of).collect()
}

fn check(daemon: &Daemon) {
    let mut ann = daemon.imap("ann@example.org");
    let found = shown(&mut ann, "INBOX");
    let says: Vec<&str> = found.iter().map(|(says, _)| says.as_str()).collect();
    let expected = [
        "1 []",
        "2 [\\Seen later]",
        "4 []",
        "5 []",
        "6 []",
        "7 []",
        "8 []",
    ];
    let sorted = |says: &str| {
        let mut words: Vec<String> = says.split([' ', '[', ']']).map(str::to_owned).collect();
        words.sort();
        words
    };
    assert!(
        says.iter()
            .map(|s| sorted(s))
            .eq(expected.iter().map(|s| sorted(s))),
        "{says:?}"
    );
    for ((says, bytes), mail) in found.iter().zip(inbox()) {
        assert!(bytes.ends_with(&mail), "{says}");
    }
    let copies = shown(&mut ann, "Kept");
    let mails: Vec<_> = copies.iter().map(|(_, bytes)| bytes).collect();
    assert_eq!(mails, [&found[0].1, &found[2].1]);
    let range = ann.fetch("FETCH 1 BODY.PEEK[1]<0.4>");
    assert_eq!(range.len(), 1);
    ann.command("EXAMINE INBOX").ok();
    let part = ann.fetch("UID FETCH 6 BODY.PEEK[2]<5000000.100>");
    let whole = base64_lines(&pattern(12, 5 << 20), 76);
    let bytes = part.first().must("the part").bytes("BODY[2]<5000000>");
    assert_eq!(bytes, &whole.as_bytes()[5_000_000..5_000_100]);
    let bens = shown(&mut daemon.imap("ben@example.org"), "INBOX");
    assert!(bens[0].1.ends_with(&attached(10, 70 << 10)) && bens.len() == 1);
}

/// A copy of the kept store.
fn store() -> (tempfile::TempDir, PathBuf) {
    let scratch = place::scratch(NAME);
    copy(&kept(), scratch.path());
    let dir = scratch.path().join(NAME);
    (scratch, dir)
}

#[test]
fn a_store_with_blocks_a_blob_a_pack_and_a_snapshot_is_made() {
    let scratch = place::scratch(NAME);
    let dir = scratch.path().join(NAME);
    fs::create_dir(&dir).must("a directory");
    make(&dir);
    for folder in ["blocks", "blobs", "snapshots", "ranges", "epochs"] {
        let there = files(&dir.join("cold").join(folder));
        assert!(!there.is_empty(), "{folder}");
    }
    assert_eq!(files(&dir.join("cold/blobs")).len(), 2, "a blob and a pack");
    let bytes = files(&dir)
        .into_iter()
        .map(|path| fs::metadata(path).must("a file").len());
    let bytes: u64 = bytes.sum();
    assert!(bytes < FIXTURE_MAX, "{bytes} bytes");
    if std::env::var("COLDPOST_BLESS").is_ok_and(|what| what == NAME) {
        let _ = fs::remove_dir_all(kept());
        copy(&dir, &kept());
    }
    check(&Daemon::start(options(&dir)));
}

#[test]
fn a_compacted_store_of_version_1_opens_with_all_that_is_in_it() {
    let (_scratch, dir) = store();
    let mut daemon = Daemon::start(options(&dir));
    check(&daemon);
    // It is worked on, and opens again.
    let mut lmtp = daemon.lmtp();
    lmtp.deliver("a@example.org", "ben@example.org", &attached(13, 70 << 10));
    drop(lmtp);
    daemon.ok(&["compact"]);
    daemon.kill();
    daemon.restart();
    let bens = shown(&mut daemon.imap("ben@example.org"), "INBOX");
    assert_eq!(bens.len(), 2);
    assert!(bens[1].1.ends_with(&attached(13, 70 << 10)));
    daemon.stop();
    daemon.ok(&["verify"]);
}

#[test]
fn the_rows_of_a_compacted_store_of_version_1_come_again_from_its_snapshot() {
    let (_scratch, dir) = store();
    assert!(
        !dir.join("cold/segments/0001/00000001/0000000000000001")
            .exists()
    );
    for shard in ["0000", "0001"] {
        let hot = dir.join("data/shards").join(shard).join("hot.redb");
        fs::remove_file(hot).must("removing hot.redb");
    }
    check(&Daemon::start(options(&dir)));
}
