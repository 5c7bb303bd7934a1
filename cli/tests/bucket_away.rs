//! The object store is away at the start: mail is taken and read, nothing is evicted; when it comes back, uploads happen.

use std::fs;
use std::path::Path;
use std::time::Duration;

use coldpost_testkit::made_mail::dense as mail;
use coldpost_testkit::seaweedfs::SeaweedFs;
use coldpost_testkit::tool::WEED;
use coldpost_testkit::{Daemon, Must, Options, have, wait};

const USER: &str = "ann@example.org";

fn sealed(journal: &Path) -> usize {
    let entries = fs::read_dir(journal).must("listing the journal");
    let names = entries.map(|entry| entry.must("an entry").path());
    names
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .count()
}

fn deliver(daemon: &Daemon, numbers: std::ops::Range<u64>) {
    let mut lmtp = daemon.lmtp();
    for number in numbers {
        lmtp.deliver("b@example.org", USER, &mail(number));
    }
}

fn check(daemon: &Daemon, count: u64) {
    let mut imap = daemon.imap(USER);
    assert_eq!(
        imap.command("EXAMINE INBOX").ok().number("EXISTS"),
        Some(count)
    );
    for (number, fetch) in (0..).zip(imap.fetch("FETCH 1:* BODY.PEEK[]")) {
        assert!(
            fetch.bytes("BODY[]").ends_with(&mail(number)),
            "message {number}"
        );
    }
}

#[test]
fn a_start_without_the_store_takes_and_gives_mail_and_uploads_later() {
    if !have(&[WEED]) {
        return;
    }
    let mut weed = SeaweedFs::start();
    let options = weed
        .cold(
            Options::new(env!("CARGO_BIN_EXE_coldpost")),
            weed.s3_addr(),
            "away",
        )
        .text("hot", "local_bodies", "0")
        .text("journal", "segment_size", "1MiB");
    let mut daemon = Daemon::start(options);
    let journal = daemon.data_dir().join("shards/0001/journal");
    deliver(&daemon, 0..5);
    daemon.stop();
    weed.stop();

    daemon.restart();
    assert!(
        daemon.started_in() < Duration::from_secs(3),
        "{:?}",
        daemon.started_in()
    );
    deliver(&daemon, 5..120);
    check(&daemon, 120);
    assert!(
        sealed(&journal) >= 2,
        "segments were sealed and are kept here"
    );
    let kept = sealed(&journal);
    daemon.kill();
    daemon.restart();
    check(&daemon, 120);
    assert_eq!(
        sealed(&journal),
        kept,
        "nothing is evicted that the store does not have"
    );

    weed.restart();
    wait::until("uploads and eviction", Duration::from_secs(90), || {
        sealed(&journal) == 0
    });
    check(&daemon, 120);
}
