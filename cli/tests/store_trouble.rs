//! The object store hangs, is slow, fails, or lies while mail comes and goes: only bodies that are away suffer, and only meanwhile.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use coldpost_testkit::dice::Dice;
use coldpost_testkit::fault_proxy::{FaultProxy, Mode};
use coldpost_testkit::imap::Reply;
use coldpost_testkit::seaweedfs::SeaweedFs;
use coldpost_testkit::tool::WEED;
use coldpost_testkit::{Daemon, Must, Options, have, wait};

const USER: &str = "ann@example.org";
/// Messages whose bodies are evicted before the trouble begins; those behind them may be in the open segment.
const EVICTED: u64 = 80;
const DELIVERED: u64 = 120;
/// How long anything may take that does not need the store.
const PROMPT: Duration = Duration::from_secs(5);
/// Longer than any read waits.
const SLOW: Duration = Duration::from_secs(60);

fn mail(number: u64) -> Vec<u8> {
    let mut dice = Dice::new(number);
    let mut text = format!(
        "From: b@example.org\r\nSubject: {number}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n"
    );
    for _ in 0..700 {
        let line = [dice.draw(), dice.draw(), dice.draw()].map(|n| format!("{n:016x}"));
        text.push_str(&format!("{}\r\n", line.concat()));
    }
    text.into_bytes()
}

/// A daemon with the proxy before its store, and the first bodies in the store alone.
fn with_evicted_mail(weed: &SeaweedFs, proxy: &FaultProxy) -> Daemon {
    let options = weed
        .cold(
            Options::new(env!("CARGO_BIN_EXE_coldpost")),
            proxy.addr(),
            "trouble",
        )
        .text("hot", "local_bodies", "0")
        .text("cold", "cache", "0")
        .text("journal", "segment_size", "1MiB");
    let mut daemon = Daemon::start(options);
    {
        let mut lmtp = daemon.lmtp();
        for number in 0..DELIVERED {
            lmtp.deliver("b@example.org", USER, &mail(number));
        }
    }
    daemon.restart();
    let journal = daemon.data_dir().join("shards/0001/journal");
    wait::until("uploads and eviction", Duration::from_secs(90), || {
        let entries = fs::read_dir(&journal).must("listing the journal");
        let mut paths = entries.map(|entry| entry.must("an entry").path());
        paths.all(|path| path.extension().is_none_or(|e| e != "seg"))
    });
    daemon
}

fn prompt<T>(what: &str, mode: Mode, act: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = act();
    let took = start.elapsed();
    assert!(took < PROMPT, "{what} took {took:?} under {mode:?}");
    done
}

/// Mail comes in, lists and flags are read and changed, as if the store were well.
fn live(daemon: &Daemon, mode: Mode, expected: &mut u64) {
    prompt("a delivery", mode, || {
        daemon
            .lmtp()
            .deliver("b@example.org", USER, &mail(*expected));
    });
    *expected += 1;
    let mut imap = prompt("a login", mode, || daemon.imap(USER));
    let selected = prompt("SELECT", mode, || imap.command("SELECT INBOX").ok());
    assert_eq!(selected.number("EXISTS"), Some(*expected));
    let listed = prompt("a listing", mode, || {
        imap.fetch("FETCH 1:* (FLAGS ENVELOPE RFC822.SIZE BODYSTRUCTURE)")
    });
    assert_eq!(listed.len() as u64, *expected);
    for item in ["FLAGS", "ENVELOPE", "RFC822.SIZE", "BODYSTRUCTURE"] {
        assert!(listed.iter().all(|fetch| fetch.get(item).is_some()));
    }
    for sign in ['+', '-'] {
        let stored = prompt("STORE", mode, || {
            imap.command(&format!("STORE 1:20 {sign}FLAGS (\\Flagged)"))
                .ok()
        });
        assert_eq!(stored.fetches().len(), 20);
    }
}

/// The answer for a body that cannot be had: no octet of it, no NIL, and a word on why.
fn assert_is_away(reply: &Reply, mode: Mode) {
    let lies = matches!(mode, Mode::Flip | Mode::Truncate);
    let code = reply.code("UNAVAILABLE").is_some() || lies && reply.code("CORRUPTION").is_some();
    assert!(reply.status == "NO" && code, "{mode:?}: {reply:?}");
    let body = |line: &Vec<u8>| line.windows(5).any(|window| window == b"BODY[");
    assert!(!reply.untagged.iter().any(body), "{mode:?}: {reply:?}");
}

/// Reads message `number` (counted from 0) whole.
fn body(daemon: &Daemon, number: u64) -> Reply {
    let mut imap = daemon.imap(USER);
    imap.command("EXAMINE INBOX").ok();
    imap.command(&format!("FETCH {} (UID BODY.PEEK[])", number + 1))
}

/// At the latest when a store that was away is asked again.
fn assert_is_back(daemon: &Daemon, number: u64, mode: Mode) {
    let exact = |reply: &Reply| reply.fetches()[0].bytes("BODY[]").ends_with(&mail(number));
    wait::until(&format!("the body after {mode:?}"), PROMPT, || {
        let reply = body(daemon, number);
        reply.is_ok() && {
            assert!(exact(&reply), "after {mode:?}: {reply:?}");
            true
        }
    });
}

#[test]
fn a_store_in_trouble_costs_only_the_bodies_that_are_away_and_only_meanwhile() {
    if !have(&[WEED]) {
        return;
    }
    let weed = SeaweedFs::start();
    let proxy = FaultProxy::start(weed.s3_addr());
    let mut daemon = with_evicted_mail(&weed, &proxy);
    let mut expected = DELIVERED;
    let modes = [
        Mode::Status(500),
        Mode::Truncate,
        Mode::Flip,
        Mode::Hang,
        Mode::Delay(SLOW),
    ];
    // Each takes messages of its own: what was read once is in memory.
    for (mode, number) in modes.into_iter().zip((0..EVICTED).step_by(15)) {
        proxy.set(mode);
        thread::scope(|scope| {
            let away = scope.spawn(|| body(&daemon, number));
            live(&daemon, mode, &mut expected);
            assert_is_away(&away.join().unwrap(), mode);
        });
        live(&daemon, mode, &mut expected);
        proxy.set(Mode::Pass);
        assert_is_back(&daemon, number, mode);
        assert_is_back(&daemon, number + 1, mode);
    }

    proxy.set(Mode::Hang);
    daemon.restart();
    let took = daemon.started_in();
    assert!(took < Duration::from_secs(3), "ready after {took:?}");
    live(&daemon, Mode::Hang, &mut expected);
    proxy.set(Mode::Pass);
    assert_is_back(&daemon, EVICTED - 1, Mode::Hang);
}

/// Only that shard can be taken over, or be another store's: no other one waits for it.
#[test]
fn a_shard_whose_claim_is_not_in_the_store_keeps_no_other_from_its_uploads() {
    let options = Options::new(env!("CARGO_BIN_EXE_coldpost"))
        .text("hot", "local_bodies", "0")
        .text("journal", "segment_size", "1MiB");
    let daemon = Daemon::start(options);
    daemon.lmtp().deliver("b@example.org", USER, &mail(0));
    let claim = daemon.data_dir().join("cold/epochs/0000/00000001");
    let aside = daemon.data_dir().join("claim");
    fs::rename(&claim, &aside).must("taking the claim away");
    // Seals a segment of each shard, and is given up.
    let snapshot = daemon.run(&["snapshot", "now"]);
    assert!(!snapshot.status.success());
    for number in 1..DELIVERED {
        daemon.lmtp().deliver("b@example.org", USER, &mail(number));
    }
    let sealed = |shard: &str| {
        let journal = daemon.data_dir().join(format!("shards/{shard}/journal"));
        let entries = fs::read_dir(journal).must("listing the journal");
        let mut paths = entries.map(|entry| entry.must("an entry").path());
        paths.any(|path| path.extension().is_some_and(|e| e == "seg"))
    };
    wait::until("the other shard's uploads", SLOW, || !sealed("0001"));
    assert!(sealed("0000"));
    let status = daemon.json(&["status"])["problems"].to_string();
    assert!(
        status.contains("the upload of mail of shard 0 waits"),
        "{status}"
    );
    fs::rename(&aside, &claim).must("putting the claim back");
    wait::until("the rest", SLOW, || !sealed("0000"));
}
