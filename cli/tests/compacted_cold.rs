//! Compaction of what is in the bucket alone: wrong bytes of one store, a store that goes away.

use std::fs;
use std::time::Duration;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::fault_proxy::{FaultProxy, Mode};
use coldpost_testkit::made_mail::{attached, drawn};
use coldpost_testkit::place::{files, scratch};
use coldpost_testkit::seaweedfs::SeaweedFs;
use coldpost_testkit::tool::WEED;
use coldpost_testkit::{Daemon, Must, Options, have, wait};

const ANN: &str = "ann@example.org";
/// Time for all to be purged and moved.
const PATIENCE: Duration = Duration::from_secs(120);

fn options() -> Options {
    Options::new(env!("CARGO_BIN_EXE_coldpost"))
        .text("hot", "local_bodies", "0")
        .text("hot", "frames", "1MiB")
        .text("cold", "cache", "0")
}

/// With an attachment that goes into a pack.
fn mail(number: u64) -> Vec<u8> {
    attached(&number.to_string(), &drawn(&mut Dice::new(number), 600_000))
}

fn deliver(daemon: &Daemon, many: u64) {
    let mut lmtp = daemon.lmtp();
    for number in 0..many {
        lmtp.deliver("a@example.org", ANN, &mail(number));
    }
}

/// What compaction has moved since the start.
fn moved(daemon: &Daemon) -> f64 {
    daemon
        .metric("coldpost_compacted_messages_total")
        .unwrap_or(0.0)
}

fn check(daemon: &Daemon, numbers: impl Iterator<Item = u64>) {
    let mut imap = daemon.imap(ANN);
    imap.command("EXAMINE INBOX").ok();
    let fetched = imap.fetch("FETCH 1:* (BODY.PEEK[])");
    let mails: Vec<_> = numbers.map(mail).collect();
    assert_eq!(fetched.len(), mails.len());
    for (fetch, mail) in fetched.iter().zip(&mails) {
        assert!(fetch.bytes("BODY[]").ends_with(mail));
    }
}

/// The attachments stayed where they were, and what was erased beside them, though the mirror had them whole.
#[test]
fn attachments_whose_bytes_are_wrong_in_one_store_of_a_mirror_are_moved_from_the_other() {
    let outside = scratch("mirrored");
    let stores = ["first", "second"].map(|name| outside.path().join(name));
    let [first, second] = [&stores[0], &stores[1]].map(|dir| format!("file://{}", dir.display()));
    let options = options()
        .text("cold", "url", &first)
        .text("cold", "mirror", &second);
    let daemon = Daemon::start(options);
    let many = 10;
    deliver(&daemon, many);
    daemon.ok(&["compact"]);
    daemon.wait_until_evicted();
    let packs = files(&stores[0].join("blobs"));
    assert!(!packs.is_empty());
    for pack in &packs {
        let mut bytes = fs::read(pack).must("a pack");
        (1_000..bytes.len())
            .step_by(50_000)
            .for_each(|at| bytes[at] ^= 1);
        fs::write(pack, bytes).must("writing it");
    }
    daemon.imap(ANN).expunge("INBOX", (1..=many).step_by(2));
    // Messages and attachments that stay, when it is purged what does not; by whoever comes first.
    let before = moved(&daemon);
    wait::until("all to be moved", PATIENCE, || {
        let done = daemon.json(&["compact"]);
        assert_eq!(done["left"], 0, "{done}");
        moved(&daemon) - before >= many as f64
    });
    let status = daemon.json(&["status"]).to_string();
    assert!(!status.contains("could not move all"), "{status}");
    check(&daemon, (1..many).step_by(2));
}

/// Each message was said to be one that cannot be moved, and the dates of deletion not to hold.
#[test]
fn a_store_that_is_away_ends_a_run_and_says_nothing_of_the_mail_in_it() {
    if !have(&[WEED]) {
        return;
    }
    let weed = SeaweedFs::start();
    let proxy = FaultProxy::start(weed.s3_addr());
    let options = weed.cold(options(), proxy.addr(), "away");
    let daemon = Daemon::start(options);
    let many = 10;
    deliver(&daemon, many);
    daemon.ok(&["snapshot", "now"]);
    daemon.wait_until_evicted();
    proxy.set(Mode::Refuse);
    let failed = daemon.run(&["compact"]);
    assert!(!failed.status.success(), "{failed:?}");
    let status = daemon.json(&["status"]).to_string();
    assert!(!status.contains("could not move all"), "{status}");
    proxy.set(Mode::Pass);
    wait::until("all to be moved", PATIENCE, || {
        daemon.run(&["compact"]);
        moved(&daemon) >= many as f64
    });
    check(&daemon, 0..many);
}
