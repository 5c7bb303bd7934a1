//! Mail that was erased is in no object any more once its time has come; what others have of the same attachment stays.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::made_mail::{attached, dense};
use coldpost_testkit::place::files;
use coldpost_testkit::tool::{NPM, TAR};
use coldpost_testkit::{Daemon, Must, Options, corpus, have, wait};
use coldpost_tiers::codec::Reader;
use coldpost_tiers::frame::decompress_row;

/// What a zstd frame begins with.
const FRAME: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Bytes that a frame gives at most.
const UNPACKED_MAX: usize = 1 << 20;

/// Time for a few rounds of all that.
const GONE: Duration = Duration::from_secs(120);

/// Stands in the mail that is erased, and nowhere else.
const SECRET: &str = "Schnabeltierfarm am Rande der Stadt";

fn options() -> Options {
    let options = Options::new(env!("CARGO_BIN_EXE_coldpost"));
    ["segment_age", "retention", "grace"]
        .into_iter()
        .fold(options, |options, key| options.text("cold", key, "0s"))
}

/// Compaction, a snapshot behind it, deletion; again, for what the first round freed.
fn collect(daemon: &Daemon) {
    for _ in 0..2 {
        daemon.ok(&["compact"]);
        daemon.ok(&["snapshot", "now"]);
        daemon.ok(&["gc", "--apply"]);
    }
}

fn message(to: &str, text: &str, bytes: &[u8]) -> Vec<u8> {
    let head = format!("From: a@example.org\r\nTo: {to}\r\n").into_bytes();
    [head, attached(text, bytes)].concat()
}

/// Whether an object holds something: as it is, in a frame at any place in it, or, of a range of a snapshot, in a packed row.
fn holds(object: &[u8], what: &[u8]) -> bool {
    let is_in = |bytes: &[u8]| memchr::memmem::find(bytes, what).is_some();
    let mut stream = Vec::new();
    for at in memchr::memmem::find_iter(object, &FRAME) {
        let frame = unpacked(&object[at..]);
        if is_in(&frame) {
            return true;
        }
        stream.extend(frame);
    }
    is_in(object) || rows(&stream).iter().any(|row| is_in(row))
}

/// What the frame at the beginning of bytes gives; nothing where there is none.
fn unpacked(bytes: &[u8]) -> Vec<u8> {
    let Ok(size) = zstd::zstd_safe::find_frame_compressed_size(bytes) else {
        return Vec::new();
    };
    let frame = bytes.get(..size).unwrap_or_default();
    zstd::bulk::decompress(frame, UNPACKED_MAX).unwrap_or_default()
}

/// The rows in a stream of rows, unpacked, as far as it is one.
fn rows(stream: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = Reader::new(stream);
    let mut rows = Vec::new();
    while let Ok(what) = reader.u8() {
        let value = match what {
            0 => reader.text().map(|_| &[][..]),
            1 => reader.bytes().and_then(|_| reader.bytes()),
            _ => break,
        };
        let Ok(value) = value else {
            break;
        };
        rows.extend(decompress_row(value).ok());
    }
    rows
}

/// Objects that hold it.
fn found(daemon: &Daemon, what: &[u8]) -> Vec<PathBuf> {
    let mut objects = files(&daemon.data_dir().join("cold"));
    objects.retain(|path| holds(&std::fs::read(path).must("an object"), what));
    objects
}

#[test]
fn erased_mail_is_in_no_object_and_a_shared_attachment_stays_for_the_others() {
    if !have(&[NPM, TAR]) {
        return;
    }
    let daemon = Daemon::start(options());
    let mut dice = Dice::new(7);
    let mut drawn =
        |length: usize| -> Vec<u8> { (0..length).map(|_| dice.draw().to_le_bytes()[0]).collect() };
    let (shared, own) = (drawn(150_000), drawn(150_000));
    let mut lmtp = daemon.lmtp();
    for (_, mail) in corpus::selection(100) {
        lmtp.deliver("a@example.org", "bob@example.org", &corpus::crlf(mail));
    }
    let bobs = message("bob", "plans", &shared);
    lmtp.deliver(
        "a@example.org",
        "ann@example.org",
        &message("ann", SECRET, &shared),
    );
    lmtp.deliver("a@example.org", "bob@example.org", &bobs);
    lmtp.deliver(
        "a@example.org",
        "ann@example.org",
        &message("ann", "more", &own),
    );
    collect(&daemon);
    let (of_shared, of_own) = (&shared[1_000..1_200], &own[1_000..1_200]);
    for (what, objects) in [(SECRET.as_bytes(), 2), (of_shared, 1), (of_own, 1)] {
        let found = found(&daemon, what);
        assert_eq!(
            found.len(),
            objects,
            "a block and a snapshot, or a pack: {found:?}"
        );
    }
    let said = daemon.ok(&["account", "delete", "ann@example.org", "--apply", "--erase"]);
    assert!(said.contains("in no object any more by"), "{said}");
    // Upkeep purges it meanwhile.
    let is_gone = || {
        collect(&daemon);
        let all = [SECRET.as_bytes(), of_own];
        all.iter().all(|what| found(&daemon, what).is_empty())
    };
    wait::until("nothing of it is left", GONE, is_gone);
    assert_eq!(found(&daemon, of_shared).len(), 1, "bob has it still");
    let mut imap = daemon.imap("bob@example.org");
    imap.command("EXAMINE INBOX").ok();
    let all = imap.fetch("FETCH 1:* (BODY.PEEK[])");
    assert!(
        all.iter()
            .any(|fetch| fetch.bytes("BODY[]").ends_with(&bobs))
    );
    let verified = daemon.command("verify").output().must("coldpost verify");
    assert!(verified.status.success(), "{verified:?}");
}

/// Writes other bytes over every copy of a block, here and in the store.
fn overwrite(daemon: &Daemon, before: &[u8], after: &[u8]) {
    for dir in ["cold/blocks", "shards/0001/blocks"] {
        for path in files(&daemon.data_dir().join(dir)) {
            if std::fs::read(&path).must("a block") == before {
                let file = File::options().write(true).open(path);
                let written = file.must("opening a block").write_all_at(after, 0);
                written.must("writing a block");
            }
        }
    }
}

/// What `status` says of mail that compaction could not move.
fn problem(daemon: &Daemon) -> Option<String> {
    let status = daemon.json(&["status"]);
    let problems = status["problems"].as_array().must("problems");
    let mut problems = problems.iter().filter_map(|problem| problem.as_str());
    let found = problems.find(|problem| problem.starts_with("compaction could not move"));
    found.map(str::to_owned)
}

/// A rotten frame of bob's kept what ann had in the same block, past the date that was stated for hers, and no problem was told.
#[test]
fn erased_mail_that_stays_beside_mail_that_cannot_be_read_is_told_until_that_is_mended() {
    let mut daemon = Daemon::start(options());
    let mut lmtp = daemon.lmtp();
    for number in 0..10 {
        lmtp.deliver("a@example.org", "bob@example.org", &dense(number));
    }
    let secret = format!("Subject: ann\r\n\r\n{SECRET}\r\n");
    lmtp.deliver("a@example.org", "ann@example.org", secret.as_bytes());
    drop(lmtp);
    daemon.ok(&["compact"]);
    daemon.wait_until_shipped();
    daemon.stop();
    let blocks = files(&daemon.data_dir().join("cold/blocks"));
    assert_eq!(blocks.len(), 1, "both are in one block: {blocks:?}");
    let whole = std::fs::read(&blocks[0]).must("the block");
    assert!(holds(&whole, SECRET.as_bytes()));
    // Bob's bodies are nearly all of it.
    let mut rotten = whole.clone();
    rotten[whole.len() / 3] ^= 0x10;
    overwrite(&daemon, &whole, &rotten);
    daemon.restart();
    assert_eq!(problem(&daemon), None);

    daemon.ok(&["account", "delete", "ann@example.org", "--apply", "--erase"]);
    let told = wait::until_some("upkeep leaves the block", GONE, || problem(&daemon));
    for what in [
        "erased",
        "coldpost verify ",
        "coldpost verify --bucket --repair",
    ] {
        assert!(told.contains(what), "{what}: {told}");
    }
    let status = daemon.ok(&["status"]);
    assert!(status.contains(&format!("! {told}")), "{status}");
    let dates: Vec<_> = status
        .lines()
        .filter(|line| line.contains("gone from every object by"))
        .collect();
    assert_eq!(dates.len(), 2, "{status}");
    for line in dates {
        assert!(
            line.contains("mail that compaction could not move"),
            "{line}"
        );
    }
    let looked = daemon.ok(&["account", "delete", "bob@example.org"]);
    assert!(looked.contains("There is an exception: "), "{looked}");
    assert!(holds(
        &std::fs::read(&blocks[0]).must("it stays"),
        SECRET.as_bytes()
    ));

    overwrite(&daemon, &rotten, &whole);
    wait::until("nothing of it is left", GONE, || {
        collect(&daemon);
        found(&daemon, SECRET.as_bytes()).is_empty()
    });
    assert_eq!(problem(&daemon), None);
    let verified = daemon.command("verify").output().must("coldpost verify");
    assert!(verified.status.success(), "{verified:?}");
}
