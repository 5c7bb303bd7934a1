//! Few requests and few bytes: what deliveries and their compaction ask of the bucket, and how often it holds the same attachment.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::made_mail::{attached, dense, drawn};
use coldpost_testkit::place::files;
use coldpost_testkit::tool::{self, NPM, TAR};
use coldpost_testkit::{Daemon, Must, Options, corpus, have, wait};

/// Sessions that deliver at a time.
const SESSIONS: u64 = 4;
/// Messages of a thousand that carry an attachment.
const ATTACHMENTS: u64 = 25;
/// Accounts that are sent the same attachment.
const ACCOUNTS: u64 = 1_000;

/// Requests of a kind since the start.
fn requests(daemon: &Daemon, kind: &str) -> u64 {
    let status = daemon.json(&["status"]);
    let requests = status["bucket"]["requests"].as_array().must("requests");
    let of_kind = requests.iter().filter(|r| r["kind"] == kind);
    of_kind.map(|r| r["count"].as_u64().must("a count")).sum()
}

/// The message of a number: real mail, or one with an attachment of 100 KiB to 1 MiB.
fn message(number: u64, with_attachments: bool) -> Vec<u8> {
    if with_attachments && number.is_multiple_of(1_000 / ATTACHMENTS) {
        let mut dice = Dice::new(number);
        let bytes = (100 << 10) + dice.draw() % (924 << 10);
        return attached(&number.to_string(), &drawn(&mut dice, bytes));
    }
    let mails = corpus::spam_assassin();
    let at = usize::try_from(number).must("it fits") % mails.len();
    corpus::crlf(&mails[at].1)
}

/// Puts for that many deliveries and their compaction; without those of blobs that are written before their entry.
fn puts_of(messages: u64, with_attachments: bool) -> u64 {
    let daemon = Daemon::start(Options::new(env!("CARGO_BIN_EXE_coldpost")));
    let [begun, listed] = ["put", "list"].map(|kind| requests(&daemon, kind));
    thread::scope(|scope| {
        for session in 0..SESSIONS {
            let daemon = &daemon;
            scope.spawn(move || {
                let mut lmtp = daemon.lmtp();
                for number in (session..messages).step_by(usize::try_from(SESSIONS).must("few")) {
                    let to = format!("u{}@example.org", number % 40);
                    lmtp.deliver("a@example.org", &to, &message(number, with_attachments));
                }
            });
        }
    });
    daemon.wait_until_shipped();
    let before_entries = files(&daemon.data_dir().join("cold/blobs")).len();
    let before_entries = u64::try_from(before_entries).must("few");
    let delivered = requests(&daemon, "put") - begun;
    let done = daemon.json(&["compact"]);
    assert_eq!(
        (&done["moved"], &done["left"]),
        (&messages.into(), &0.into())
    );
    daemon.wait_until_shipped();
    let all = requests(&daemon, "put") - begun;
    assert_eq!(
        requests(&daemon, "list"),
        listed,
        "nothing is listed while mail is served"
    );
    eprintln!(
        "{messages} messages: {all} puts, {delivered} of them before compaction, {before_entries} of these blobs that are written before their entry"
    );
    all - before_entries
}

#[test]
fn deliveries_and_their_compaction_make_few_puts() {
    if !have(&[NPM, TAR]) {
        return;
    }
    let messages = if tool::long() { 10_000 } else { 4_000 };
    for (with_attachments, of_a_thousand) in [(false, 3), (true, 5)] {
        let puts = puts_of(messages, with_attachments);
        assert!(puts <= messages * of_a_thousand / 1_000, "{puts} puts");
    }
}

/// What a run reads is brought here whole, and nothing takes it away before its last message was read.
#[test]
fn compaction_reads_objects_and_not_messages_though_nothing_is_kept_on_local_disk() {
    let messages = 600;
    let options = Options::new(env!("CARGO_BIN_EXE_coldpost"));
    let options = options
        .text("hot", "local_bodies", "0")
        .text("journal", "segment_size", "1MiB");
    let daemon = Daemon::start(options);
    let mut lmtp = daemon.lmtp();
    for number in 0..messages {
        lmtp.deliver("a@example.org", "ann@example.org", &dense(number));
    }
    // Segments, and then the blocks that came of them.
    for _ in 0..2 {
        daemon.wait_until_shipped();
        let journal = daemon.data_dir().join("shards/0001/journal");
        wait::until("eviction", Duration::from_secs(60), || {
            let is_sealed = |path: &PathBuf| path.extension().is_some_and(|e| e == "seg");
            !files(&journal).iter().any(is_sealed)
        });
        let read = requests(&daemon, "get");
        daemon.ok(&["compact"]);
        let read = requests(&daemon, "get") - read;
        assert!(read < messages / 10, "{read} requests");
        let mut imap = daemon.imap("ann@example.org");
        imap.command("SELECT INBOX").ok();
        imap.command("STORE 1:* +FLAGS.SILENT (\\Seen)").ok();
        imap.command("STORE 1:300 +FLAGS.SILENT (\\Deleted)").ok();
        imap.command("EXPUNGE").ok();
    }
}

fn bytes_below(dir: &Path) -> u64 {
    let sizes = files(dir)
        .into_iter()
        .map(|path| fs::metadata(path).must("a file").len());
    sizes.sum()
}

#[test]
fn an_attachment_that_a_thousand_accounts_get_one_by_one_is_kept_once() {
    let daemon = Daemon::start(Options::new(env!("CARGO_BIN_EXE_coldpost")));
    let attachment = drawn(&mut Dice::new(3), 80 << 10);
    let size = u64::try_from(attachment.len()).must("small");
    thread::scope(|scope| {
        for session in 0..SESSIONS {
            let (daemon, attachment) = (&daemon, &attachment);
            scope.spawn(move || {
                let mut lmtp = daemon.lmtp();
                for number in (session..ACCOUNTS).step_by(usize::try_from(SESSIONS).must("few")) {
                    let mail = attached(&format!("for {number}"), attachment);
                    lmtp.deliver("a@example.org", &format!("u{number}@example.org"), &mail);
                }
            });
        }
    });
    let done = daemon.json(&["compact"]);
    assert_eq!(
        (&done["moved"], &done["left"]),
        (&ACCOUNTS.into(), &0.into())
    );
    let cold = daemon.data_dir().join("cold");
    let blobs = bytes_below(&cold.join("blobs"));
    assert!(
        (size..size + size / 10).contains(&blobs),
        "{blobs} bytes of blobs"
    );
    let blocks = bytes_below(&cold.join("blocks"));
    assert!(blocks < ACCOUNTS * 1_500, "{blocks} bytes of blocks");
    for number in [0, 17, 999] {
        let mut imap = daemon.imap(&format!("u{number}@example.org"));
        imap.command("EXAMINE INBOX").ok();
        let fetched = imap.fetch("FETCH 1 BODY.PEEK[]");
        let bytes = fetched.first().must("the message").bytes("BODY[]");
        assert!(bytes.ends_with(&attached(&format!("for {number}"), &attachment)));
    }
}
