//! The bucket at its worst, from a seed: mail is taken, what is read is right or not given, and everything is uploaded when it is over.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use coldpost_testkit::dice::Dice;
use coldpost_testkit::fault_proxy::{FaultProxy, Mode};
use coldpost_testkit::imap::Imap;
use coldpost_testkit::made_mail::dense as mail;
use coldpost_testkit::s3_faults::S3Fault;
use coldpost_testkit::seaweedfs::SeaweedFs;
use coldpost_testkit::tool::{self, WEED};
use coldpost_testkit::{Daemon, Must, Options, have, wait};

const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
const USER: &str = "ann@example.org";
/// Of a thousand requests so many meet a fault.
const FAULTS_PER_MILLE: u64 = 300;
/// Enough for a segment to be sealed, uploaded and evicted.
const FIRST: u64 = 60;

fn start(weed: &SeaweedFs, proxy: &FaultProxy, prefix: &str) -> Daemon {
    let options = weed.cold(Options::new(BINARY), proxy.addr(), prefix);
    Daemon::start(quick(options))
}

/// Everything leaves local disk as soon as it may, and what is read does not come there.
fn quick(options: Options) -> Options {
    options
        .text("hot", "local_bodies", "0")
        .text("hot", "frames", "1MiB")
        .text("cold", "cache", "0")
        .text("journal", "segment_size", "1MiB")
}

fn deliver(daemon: &Daemon, numbers: std::ops::Range<u64>) {
    let mut lmtp = daemon.lmtp();
    for number in numbers {
        lmtp.deliver("b@example.org", USER, &mail(number));
    }
}

fn sealed(journal: &Path) -> usize {
    let entries = fs::read_dir(journal).must("listing the journal");
    let paths = entries.map(|entry| entry.must("an entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|e| e == "seg"))
        .count()
}

fn wait_for_eviction(daemon: &Daemon) {
    let journal = daemon.data_dir().join("shards/0001/journal");
    wait::until("uploads and eviction", Duration::from_secs(150), || {
        sealed(&journal) == 0
    });
}

/// Message `number` is right, or it is not given, with a reason. Whether it was given.
fn read(imap: &mut Imap, number: u64) -> bool {
    let reply = imap.command(&format!("FETCH {} (UID BODY.PEEK[])", number + 1));
    let body = |line: &Vec<u8>| line.windows(5).any(|window| window == b"BODY[");
    if reply.is_ok() {
        let fetches = reply.fetches();
        assert!(
            fetches[0].bytes("BODY[]").ends_with(&mail(number)),
            "wrong bytes of message {number}"
        );
        return true;
    }
    let said = reply.code("UNAVAILABLE").is_some() || reply.code("CORRUPTION").is_some();
    assert!(reply.status == "NO" && said, "{reply:?}");
    assert!(
        !reply.untagged.iter().any(body),
        "octets of a body that is away: {reply:?}"
    );
    false
}

fn read_all(daemon: &Daemon, count: u64) {
    let mut imap = daemon.imap(USER);
    assert_eq!(
        imap.command("EXAMINE INBOX").ok().number("EXISTS"),
        Some(count)
    );
    for number in 0..count {
        wait::until("a body after the faults", Duration::from_secs(30), || {
            read(&mut imap, number)
        });
    }
}

/// Reads any message that is there until it is over; nothing is ever expunged meanwhile.
fn read_at_random(
    daemon: &Daemon,
    mut dice: Dice,
    delivered: &AtomicU64,
    over: &AtomicBool,
    (given, refused): (&AtomicU64, &AtomicU64),
) {
    let mut imap = daemon.imap(USER);
    imap.command("EXAMINE INBOX").ok();
    let mut seen = 0;
    while !over.load(Ordering::Acquire) {
        let known = delivered.load(Ordering::Acquire);
        if let Some(exists) = imap.command("NOOP").ok().number("EXISTS") {
            assert!(
                exists >= seen,
                "{exists} after {seen}: something was expunged"
            );
            seen = exists;
        }
        let number = dice.draw() % known.min(seen.max(FIRST));
        let is_given = read(&mut imap, number);
        let counter = if is_given { given } else { refused };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Compaction, a snapshot and collection.
const TIDYING: [&[&str]; 3] = [&["compact"], &["snapshot", "now"], &["gc", "--apply"]];

/// All of it, over and over; what the store does to it is its own to bear.
fn tidy_up(daemon: &Daemon, over: &AtomicBool) {
    let mut ended = [0_u64; 2];
    while !over.load(Ordering::Acquire) {
        for command in TIDYING {
            ended[usize::from(daemon.run(command).status.success())] += 1;
        }
    }
    println!("compaction, snapshots and collection: {ended:?} (failed, done)");
}

#[test]
fn under_random_faults_mail_is_taken_no_wrong_byte_is_given_and_everything_is_uploaded_afterwards()
{
    if !have(&[WEED]) {
        return;
    }
    let span = Duration::from_secs(if tool::long() { 3600 } else { 60 });
    let mut dice = Dice::from_env();
    let weed = SeaweedFs::start();
    let proxy = FaultProxy::start_with(weed.s3_addr(), dice.fork());
    let options = weed.cold(Options::new(BINARY), proxy.addr(), "faults");
    let options = quick(options).text("cold", "retention", "0s");
    let mut daemon = Daemon::start(options.text("cold", "grace", "0s"));
    deliver(&daemon, 0..FIRST);
    let pid = daemon.pid();

    proxy.faults(|faults| faults.at_random(FAULTS_PER_MILLE));
    let (delivered, over) = (AtomicU64::new(FIRST), AtomicBool::new(false));
    let (given, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut lmtp = daemon.lmtp();
            let begun = Instant::now();
            while begun.elapsed() < span {
                let number = delivered.load(Ordering::Acquire);
                lmtp.deliver("b@example.org", USER, &mail(number));
                delivered.store(number + 1, Ordering::Release);
                wait::pause(Duration::from_millis(100));
            }
            over.store(true, Ordering::Release);
        });
        scope.spawn(|| tidy_up(&daemon, &over));
        for dice in [dice.fork(), dice.fork()] {
            let (daemon, delivered, over) = (&daemon, &delivered, &over);
            let counted = (&given, &refused);
            scope.spawn(move || read_at_random(daemon, dice, delivered, over, counted));
        }
    });
    proxy.faults(|faults| faults.at_random(0));
    let met = proxy.faults(|faults| faults.take_met());
    println!(
        "{} faults met, {given:?} bodies given, {refused:?} not",
        met.len()
    );
    assert!(
        met.len() > 20 && given.into_inner() > 20,
        "too little happened"
    );

    let count = delivered.into_inner();
    wait_for_eviction(&daemon);
    read_all(&daemon, count);
    for command in TIDYING {
        wait::until("it to be done", Duration::from_secs(60), || {
            daemon.run(command).status.success()
        });
    }
    read_all(&daemon, count);
    assert!(daemon.alive() && daemon.pid() == pid, "no restart");
    assert_eq!(daemon.metric("coldpost_cold_away"), Some(0.0));
}

#[test]
fn a_put_that_the_store_accepts_and_loses_is_noticed_before_anything_is_evicted() {
    if !have(&[WEED]) {
        return;
    }
    let weed = SeaweedFs::start();
    let proxy = FaultProxy::start(weed.s3_addr());
    let daemon = start(&weed, &proxy, "lost");
    let puts = "PUT /mail/lost/segments/0001";
    proxy.faults(|faults| faults.order(puts, S3Fault::Discard, 5));
    deliver(&daemon, 0..FIRST);
    wait_for_eviction(&daemon);
    let met = proxy.faults(|faults| faults.take_met());
    assert_eq!(met.len(), 5, "{met:?}");
    read_all(&daemon, FIRST);
}

/// The first segment is answered with this status for as long as that lasts.
fn others_go_while_one_is_answered_with(status: u16, prefix: &str) {
    if !have(&[WEED]) {
        return;
    }
    let weed = SeaweedFs::start();
    let proxy = FaultProxy::start(weed.s3_addr());
    let daemon = start(&weed, &proxy, prefix);
    let first = format!("PUT /mail/{prefix}/segments/0001/00000001/0000000000000001");
    proxy.set_for(&first, Mode::Status(status));
    deliver(&daemon, 0..3 * FIRST);
    let journal = daemon.data_dir().join("shards/0001/journal");
    wait::until("all others to go", Duration::from_secs(150), || {
        sealed(&journal) == 1
    });
    let status = daemon.json(&["status"]).to_string();
    assert!(status.contains("is uploaded later"), "{status}");
    proxy.set(Mode::Pass);
    wait_for_eviction(&daemon);
    read_all(&daemon, 3 * FIRST);
}

#[test]
fn an_object_that_the_store_does_not_take_keeps_no_other_from_its_upload() {
    others_go_while_one_is_answered_with(403, "stuck");
}

/// Where nothing else is asked, such a store counted as away.
#[test]
fn an_object_at_which_the_store_fails_keeps_no_other_from_its_upload() {
    others_go_while_one_is_answered_with(500, "failing");
}

#[test]
fn a_put_that_took_effect_though_its_answer_says_otherwise_is_found_and_not_made_twice() {
    if !have(&[WEED]) {
        return;
    }
    let weed = SeaweedFs::start();
    let proxy = FaultProxy::start(weed.s3_addr());
    let daemon = start(&weed, &proxy, "effect");
    for fault in [S3Fault::DoneAnd500, S3Fault::DoneAndCut, S3Fault::Race] {
        proxy.faults(|faults| faults.order("PUT /mail/effect/segments/0001", fault, 1));
    }
    deliver(&daemon, 0..3 * FIRST);
    wait_for_eviction(&daemon);
    assert_eq!(proxy.faults(|faults| faults.take_met().len()), 3);
    read_all(&daemon, 3 * FIRST);
}

#[test]
fn a_store_that_is_away_is_asked_once_a_second_and_everything_goes_on_without_a_restart() {
    if !have(&[WEED]) {
        return;
    }
    let weed = SeaweedFs::start();
    let proxy = FaultProxy::start(weed.s3_addr());
    let mut daemon = start(&weed, &proxy, "breaker");
    deliver(&daemon, 0..FIRST);
    wait_for_eviction(&daemon);
    daemon.restart();
    proxy.set(Mode::Refuse);
    let mut imap = daemon.imap(USER);
    imap.command("EXAMINE INBOX").ok();
    wait::until("the breaker to open", Duration::from_secs(20), || {
        read(&mut imap, 0);
        daemon.metric("coldpost_cold_away") == Some(1.0)
    });
    proxy.forget_requests();
    let begun = Instant::now();
    for number in (0..FIRST).cycle().take(200) {
        assert!(!read(&mut imap, number % 10));
    }
    let (asked, took) = (proxy.requests().len() as u64, begun.elapsed());
    // Probes of readers and the checks in the background.
    assert!(
        asked <= 4 * (took.as_secs() + 2),
        "{asked} requests in {took:?}"
    );
    deliver(&daemon, FIRST..FIRST + 40);
    proxy.set(Mode::Pass);
    wait::until("the first answer", Duration::from_secs(20), || {
        read(&mut imap, 0)
    });
    assert_eq!(daemon.metric("coldpost_cold_away"), Some(0.0));
    read_all(&daemon, FIRST + 40);
    let log = daemon.log();
    assert!(
        log.contains("the object store is away") && log.contains("the object store answers again")
    );
}

#[test]
fn with_a_mirror_mail_is_read_while_one_store_is_gone_or_wrong_and_uploads_wait_for_both() {
    if !have(&[WEED]) {
        return;
    }
    let weed = SeaweedFs::start();
    let proxy = FaultProxy::start(weed.s3_addr());
    let scratch = coldpost_testkit::place::scratch("mirror");
    let mirror = format!("file://{}", scratch.path().join("second").display());
    let options = weed.cold(Options::new(BINARY), proxy.addr(), "mirrored");
    let mut daemon = Daemon::start(quick(options.text("cold", "mirror", &mirror)));
    deliver(&daemon, 0..FIRST);
    wait_for_eviction(&daemon);
    for (at, mode) in [Mode::Flip, Mode::Truncate, Mode::Status(404), Mode::Refuse]
        .into_iter()
        .enumerate()
    {
        daemon.restart();
        proxy.set_for("GET /mail/mirrored/segments", mode);
        let mut imap = daemon.imap(USER);
        imap.command("EXAMINE INBOX").ok();
        for number in 0..10 {
            assert!(read(&mut imap, number), "{mode:?} ({at}), message {number}");
        }
        proxy.set(Mode::Pass);
    }
    // The mirror is gone: mail is taken and read, nothing is evicted until it is back.
    let away = scratch.path().join("away");
    fs::rename(scratch.path().join("second"), &away).must("taking the mirror away");
    deliver(&daemon, FIRST..2 * FIRST);
    let journal = daemon.data_dir().join("shards/0001/journal");
    wait::until("an upload that fails", Duration::from_secs(30), || {
        daemon.metric("coldpost_cold_away") == Some(1.0)
    });
    assert!(sealed(&journal) > 0);
    let second = scratch.path().join("second");
    wait::until("the mirror to be back", Duration::from_secs(30), || {
        // What had begun to write when it was taken away (a probe of the check at the start) makes its directory anew.
        drop(fs::remove_dir_all(&second));
        fs::rename(&away, &second).is_ok()
    });
    wait_for_eviction(&daemon);
    read_all(&daemon, 2 * FIRST);
}
