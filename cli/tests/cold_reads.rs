//! Reading mail that is in the bucket alone: how few requests it takes, and that the disk cache is never believed.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use coldpost_testkit::dice::Dice;
use coldpost_testkit::fault_proxy::{FaultProxy, Mode};
use coldpost_testkit::imap::{Fetch, Imap};
use coldpost_testkit::made_mail::{attachment, dense, drawn, with_parts};
use coldpost_testkit::place::files;
use coldpost_testkit::seaweedfs::SeaweedFs;
use coldpost_testkit::tool::WEED;
use coldpost_testkit::{Daemon, Must, Options, have, http, place, wait};

const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
const ANN: &str = "ann@example.org";
const BOB: &str = "bob@example.org";
/// The GETs of readers.
const GETS: &str = "coldpost_cold_requests_total{caller=\"read\",kind=\"get\"}";

/// Everything leaves local disk as soon as it may, and memory keeps next to nothing.
fn options(weed: &SeaweedFs) -> Options {
    weed.cold(Options::new(BINARY), weed.s3_addr(), "reads")
        .text("hot", "local_bodies", "0")
        .text("hot", "frames", "1MiB")
        .text("mail", "attachment_threshold", "16KiB")
}

/// A part that nobody else has.
fn part(seed: u64, kib: u64) -> String {
    attachment(&drawn(&mut Dice::new(seed), kib << 10), 76)
}

/// Text of about `kib` KiB, of which half is left when it is compressed.
fn text(number: u64, kib: u64) -> String {
    let pieces = (0..kib.div_ceil(35)).map(|piece| dense(number * 1_000 + piece));
    pieces
        .map(|piece| String::from_utf8(piece).must("ASCII"))
        .collect()
}

fn mail(number: u64, text: &str, parts: &[String]) -> Vec<u8> {
    with_parts(&number.to_string(), text, parts)
}

/// The message of a download with this number: 70 KB of it stored, half of that in a pack.
fn of_many(number: u64) -> Vec<u8> {
    mail(number, &text(number, 70), &[part(number, 32)])
}

fn deliver(daemon: &Daemon, to: &str, mails: impl Iterator<Item = Vec<u8>>) {
    let mut lmtp = daemon.lmtp();
    for mail in mails {
        lmtp.deliver("a@example.org", to, &mail);
    }
}

/// Compacts, and waits until the bucket alone has it.
fn compact(daemon: &Daemon) {
    daemon.ok(&["compact"]);
    daemon.wait_until_evicted();
}

fn metric(daemon: &Daemon, name: &str) -> u64 {
    let reply = http::get(daemon.http_addr(), "/metrics", None).must("asking for /metrics");
    let value = http::metric(&reply.text(), name).unwrap_or(0.0);
    format!("{value:.0}").parse().must("a count")
}

fn cache(daemon: &Daemon) -> Vec<PathBuf> {
    files(&daemon.data_dir().join("cache"))
}

/// A process that remembers nothing, on a disk cache that has nothing.
fn forget(daemon: &mut Daemon) {
    daemon.stop();
    for file in cache(daemon) {
        fs::remove_file(file).must("removing a file of the cache");
    }
    daemon.restart();
}

fn select(daemon: &Daemon, user: &str) -> Imap {
    let mut imap = daemon.imap(user);
    imap.command("EXAMINE INBOX").ok();
    imap
}

/// Reads a message, and compares.
fn read(imap: &mut Imap, uid: u64, expected: &[u8]) {
    let fetched = imap.fetch(&format!("UID FETCH {uid} (BODY.PEEK[])"));
    let bytes = fetched.first().must("the message").bytes("BODY[]");
    assert!(bytes.ends_with(expected), "UID {uid}");
}

/// Reads messages 1 to `many` with one command, and compares.
fn read_all(daemon: &Daemon, user: &str, many: u64) {
    let fetched = select(daemon, user).fetch("UID FETCH 1:* (BODY.PEEK[])");
    assert_eq!(u64::try_from(fetched.len()), Ok(many));
    for (number, fetch) in (0..many).zip(&fetched) {
        assert!(
            fetch.bytes("BODY[]").ends_with(&of_many(number)),
            "{number}"
        );
    }
}

#[test]
fn a_full_download_is_at_most_one_request_for_four_mebibytes_and_washes_nothing_out() {
    if !have(&[WEED]) {
        return;
    }
    let weed = SeaweedFs::start();
    let mut daemon = Daemon::start(options(&weed));
    let many = 600;
    deliver(&daemon, ANN, (0..many).map(of_many));
    let bobs: Vec<_> = (0..20)
        .map(|n| mail(n, &text(5_000 + n, 35), &[]))
        .collect();
    deliver(&daemon, BOB, bobs.iter().cloned());
    compact(&daemon);
    let stored = metric(&daemon, "coldpost_compacted_bytes_total");
    assert!(stored > 36 << 20, "{stored} bytes");
    let allowed = stored.div_ceil(4 << 20);
    // By one command; what somebody else reads meanwhile and again is hot.
    forget(&mut daemon);
    let mut imap = select(&daemon, BOB);
    for uid in [1, 7, 13] {
        read(
            &mut imap,
            uid,
            &bobs[usize::try_from(uid - 1).must("small")],
        );
    }
    let before = metric(&daemon, GETS);
    read_all(&daemon, ANN, many);
    let gets = metric(&daemon, GETS) - before;
    assert!(
        gets > 0 && gets <= allowed,
        "{gets} GETs for {stored} bytes"
    );
    daemon.restart();
    let mut imap = select(&daemon, BOB);
    for uid in [1, 7, 13] {
        read(
            &mut imap,
            uid,
            &bobs[usize::try_from(uid - 1).must("small")],
        );
    }
    assert_eq!(metric(&daemon, GETS), 0, "what was hot is hot");
    assert!(metric(&daemon, "coldpost_frames_total{rung=\"disk\"}") > 0);
    // By a command for each message.
    forget(&mut daemon);
    let mut imap = select(&daemon, ANN);
    for number in 0..many {
        read(&mut imap, number + 1, &of_many(number));
    }
    let gets = metric(&daemon, GETS);
    assert!(
        gets > 0 && gets <= allowed,
        "{gets} GETs for {stored} bytes"
    );
}

#[test]
fn a_cold_body_is_one_request_and_one_for_each_of_its_blobs_however_long_and_however_many_want_it()
{
    if !have(&[WEED]) {
        return;
    }
    let weed = SeaweedFs::start();
    let proxy = FaultProxy::start(weed.s3_addr());
    let options = weed.cold(options(&weed), proxy.addr(), "reads");
    let mut daemon = Daemon::start(options);
    let short = mail(1, &text(1, 35), &[]);
    let two = mail(2, &text(2, 35), &[part(1, 32), part(2, 200)]);
    let long = mail(3, &text(3, 12 << 10), &[part(3, 10 << 10)]);
    // Others lie between them.
    let other = |n| mail(n, &text(100 + n, 700), &[part(100 + n, 2 << 10)]);
    let mails = [short, other(4), two, other(5), long];
    deliver(&daemon, ANN, mails.iter().cloned());
    compact(&daemon);
    for (uid, gets) in [(1, 1), (3, 3), (5, 2)] {
        forget(&mut daemon);
        read(
            &mut select(&daemon, ANN),
            uid,
            &mails[usize::try_from(uid - 1).must("small")],
        );
        assert_eq!(metric(&daemon, GETS), gets, "UID {uid}");
        daemon.restart();
        read(
            &mut select(&daemon, ANN),
            uid,
            &mails[usize::try_from(uid - 1).must("small")],
        );
        assert_eq!(metric(&daemon, GETS), 0, "UID {uid}, again");
    }
    // All of them ask while the first answer is on its way.
    forget(&mut daemon);
    proxy.set_for("GET", Mode::Delay(Duration::from_secs(1)));
    thread::scope(|scope| {
        for _ in 0..30 {
            scope.spawn(|| read(&mut select(&daemon, ANN), 3, &mails[2]));
        }
    });
    assert_eq!(metric(&daemon, GETS), 3);
}

#[test]
fn killed_in_a_download_and_every_file_of_the_cache_wrong_it_gives_the_right_bytes() {
    if !have(&[WEED]) {
        return;
    }
    let weed = SeaweedFs::start();
    let mut daemon = Daemon::start(options(&weed));
    let many = 200;
    deliver(&daemon, ANN, (0..many).map(of_many));
    compact(&daemon);
    forget(&mut daemon);
    let mut imap = select(&daemon, ANN);
    // Who does not read what is sent keeps it from coming to an end.
    let fetch = b"x UID FETCH 1:* (BODY.PEEK[])\r\n";
    imap.send(fetch).must("asking");
    wait::until("some of it has landed", Duration::from_secs(60), || {
        let bytes = |file: &PathBuf| fs::metadata(file).map_or(0, |meta| meta.len());
        cache(&daemon).iter().map(bytes).sum::<u64>() > 1 << 20
    });
    daemon.kill();
    drop(imap);
    assert!(!cache(&daemon).is_empty());
    daemon.restart();
    read_all(&daemon, ANN, many);
    let mut spoilt = 0;
    daemon.stop();
    for (number, file) in cache(&daemon).iter().enumerate() {
        let mut bytes = fs::read(file).must("a file of the cache");
        // Everywhere, so that whoever reads some of it meets it; of some the end is missing too.
        (0..bytes.len())
            .step_by(9_000)
            .for_each(|at| bytes[at] ^= 1 << (number % 8));
        if number % 3 == 0 {
            bytes.truncate(bytes.len() / 2);
        }
        fs::write(file, bytes).must("writing it");
        spoilt += 1;
    }
    assert!(spoilt > 0);
    daemon.restart();
    read_all(&daemon, ANN, many);
    assert!(metric(&daemon, "coldpost_cache_dropped_total") > 0);
}

#[test]
fn the_disk_cache_keeps_to_its_budget_and_is_none_where_that_is_nothing() {
    if !have(&[WEED]) {
        return;
    }
    let weed = SeaweedFs::start();
    let options = options(&weed).text("cold", "cache", "12MiB");
    let mut daemon = Daemon::start(options);
    let many = 250;
    deliver(&daemon, ANN, (0..many).map(of_many));
    compact(&daemon);
    let on_disk = |daemon: &Daemon| {
        let bytes = |file: &PathBuf| fs::metadata(file).map_or(0, |meta| meta.len());
        cache(daemon).iter().map(bytes).sum::<u64>()
    };
    let mut imap = select(&daemon, ANN);
    for number in (0..many).rev().chain(0..many) {
        read(&mut imap, number + 1, &of_many(number));
        let bytes = on_disk(&daemon);
        assert!(bytes <= 12 << 20, "{bytes} bytes");
    }
    assert!(on_disk(&daemon) > 2 << 20);
    assert!(metric(&daemon, "coldpost_cache_bytes") <= 12 << 20);
    daemon.reconfigure(|options| options.text("cold", "cache", "0"));
    daemon.restart();
    assert!(cache(&daemon).is_empty());
    read(&mut select(&daemon, ANN), 9, &of_many(8));
    assert!(cache(&daemon).is_empty());
}

#[test]
fn mail_of_an_account_that_is_erased_does_not_stay_in_the_disk_cache() {
    if !have(&[WEED]) {
        return;
    }
    let weed = SeaweedFs::start();
    let mut daemon = Daemon::start(options(&weed));
    deliver(&daemon, ANN, (0..20).map(of_many));
    compact(&daemon);
    deliver(&daemon, BOB, (20..40).map(of_many));
    compact(&daemon);
    forget(&mut daemon);
    read(&mut select(&daemon, BOB), 1, &of_many(20));
    let bobs = cache(&daemon);
    assert!(!bobs.is_empty());
    read_all(&daemon, ANN, 20);
    assert!(cache(&daemon).len() > bobs.len());
    let mut erase = daemon.command("account");
    let erase = erase.args(["delete", ANN, "--erase", "--apply"]).output();
    assert!(erase.must("erasing").status.success());
    // Their objects are the same until they are compacted and deleted, which takes its time.
    wait::until("only what Bob has is left", Duration::from_secs(60), || {
        cache(&daemon) == bobs
    });
}

/// A connection was closed at it each time, and what stood behind it was never given to who asks for everything.
#[test]
fn a_body_that_broke_off_once_is_left_out_the_next_time_and_given_when_it_is_whole_again() {
    let store = place::scratch("store");
    let options = Options::new(BINARY)
        .text("cold", "url", &format!("file://{}", store.path().display()))
        .text("cold", "cache", "0")
        .text("hot", "local_bodies", "0")
        .text("hot", "frames", "1MiB");
    let mut daemon = Daemon::start(options);
    let long = mail(1, "text", &[part(1, 20 << 10)]);
    deliver(
        &daemon,
        ANN,
        [long.clone(), mail(2, "text", &[])].into_iter(),
    );
    compact(&daemon);
    daemon.restart();
    // Beside the one that came, which is encoded.
    let mut blobs = files(&store.path().join("blobs"));
    blobs.sort_by_key(|path| fs::metadata(path).map_or(0, |meta| meta.len()));
    let blob = blobs.first().must("a blob");
    // Its beginning is right.
    let flip = || {
        let mut bytes = fs::read(blob).must("the blob");
        bytes[15 << 20] ^= 1;
        bytes[19 << 20] ^= 1;
        fs::write(blob, bytes).must("writing it");
    };
    flip();
    let all = "UID FETCH 1:* (BODY.PEEK[])";
    let broke = select(&daemon, ANN).try_command(all);
    assert!(broke.is_err(), "it ends in the middle of a literal");
    for _ in 0..2 {
        let reply = select(&daemon, ANN).command(all);
        assert!(reply.status == "NO", "{reply:?}");
        let fetches = reply.fetches();
        let given = fetches.iter().filter(|fetch| fetch.get("BODY[]").is_some());
        assert_eq!(given.map(Fetch::uid).collect::<Vec<_>>(), [2]);
    }
    // Behind the place where it broke off there is another one.
    let end = "UID FETCH 1 (BODY.PEEK[]<23000000.6000000>)";
    assert!(long.len() > 27_000_000, "{}", long.len());
    let reply = select(&daemon, ANN).command(end);
    assert!(reply.status == "NO", "{reply:?}");
    flip();
    read(&mut select(&daemon, ANN), 1, &long);
}
