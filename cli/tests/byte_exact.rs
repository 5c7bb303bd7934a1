//! What was sent comes back, byte for byte: by LMTP, APPEND and Postfix, from memory, local disk, a directory and S3.

#[path = "byte_exact/broken.rs"]
mod broken;
#[path = "byte_exact/lanes.rs"]
mod lanes;

use std::path::Path;
use std::time::Duration;

use coldpost_testkit::corpus;
use coldpost_testkit::dovecot::{Dovecot, Kind};
use coldpost_testkit::exact::{self, Expected};
use coldpost_testkit::fault_proxy::{FaultProxy, Mode};
use coldpost_testkit::postfix::{self, Postfix};
use coldpost_testkit::recorder::Recorder;
use coldpost_testkit::seaweedfs::SeaweedFs;
use coldpost_testkit::tool::{self, DOVECOT, NPM, POSTFIX, ROOT, TAR, WEED};
use coldpost_testkit::{Daemon, Must, Options, have, http, place, wait};

use lanes::{APPENDED, Lane};

const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
const USER: &str = "corpus@example.org";
/// Until everything sealed is in the store and gone from local disk.
const EVICTED_WITHIN: Duration = Duration::from_secs(120);

/// The whole corpus and the torture files.
fn send_all(daemon: &Daemon) -> Vec<Lane> {
    let mails = corpus::spam_assassin().iter().chain(corpus::torture());
    lanes::send(daemon, mails)
}

/// Frames given to readers so far, by where they were found.
#[derive(Debug)]
struct Frames {
    memory: f64,
    local: f64,
    bucket: f64,
}

impl Frames {
    fn of(daemon: &Daemon) -> Frames {
        let text = http::get(daemon.http_addr(), "/metrics", None).must("asking for /metrics");
        let text = text.text();
        let rung = |rung: &str| {
            http::metric(&text, &format!("coldpost_frames_total{{rung=\"{rung}\"}}")).unwrap_or(0.0)
        };
        Frames {
            memory: rung("memory"),
            local: rung("local"),
            bucket: rung("bucket"),
        }
    }

    /// Those of one comparison of everything.
    fn of_a_check(daemon: &Daemon, sent: &[Lane]) -> Frames {
        let before = Frames::of(daemon);
        lanes::check(daemon, sent);
        let after = Frames::of(daemon);
        Frames {
            memory: after.memory - before.memory,
            local: after.local - before.local,
            bucket: after.bucket - before.bucket,
        }
    }
}

/// Files in a directory of the shard that are whole and could be in the store alone: sealed segments, blobs.
fn local_files(daemon: &Daemon, dir: &str) -> usize {
    let dir = daemon.data_dir().join("shards/0001").join(dir);
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    let names = entries.map(|entry| entry.must("an entry").file_name());
    names
        .filter(|name| !name.to_string_lossy().ends_with(".open"))
        .count()
}

/// Settings under which every sealed segment leaves the local disk as soon as the store has it.
fn evicting(options: Options) -> Options {
    options
        .text("hot", "local_bodies", "0")
        .text("cold", "cache", "0")
        .text("journal", "segment_size", "1MiB")
}

/// Starts again (nothing is in memory then), and waits until no sealed segment and no blob is on local disk; proves it with the
/// first messages, which cannot be read while the store is away.
fn wait_until_evicted(daemon: &mut Daemon, sent: &[Lane], away: impl Fn(bool)) {
    daemon.restart();
    wait::until("uploads and eviction", EVICTED_WITHIN, || {
        local_files(daemon, "journal") == 0
            && local_files(daemon, "blobs") == 0
            && daemon.metric("coldpost_uploads_waiting").unwrap_or(0.0) == 0.0
    });
    away(true);
    for (lane, mailbox) in sent.iter().flat_map(|l| [(l, "INBOX"), (l, APPENDED)]) {
        let mut imap = daemon.imap(&lane.user);
        imap.command(&format!("EXAMINE {mailbox}")).ok();
        let reply = imap.command("FETCH 1:9 (UID BODY.PEEK[])");
        assert!(
            reply.status == "NO" && reply.text.starts_with("[UNAVAILABLE]"),
            "{} {mailbox}: {reply:?}",
            lane.user
        );
        assert!(reply.fetches().iter().all(|f| f.get("BODY[]").is_none()));
        // Listing does not need the store.
        imap.command("FETCH 1:* (FLAGS RFC822.SIZE ENVELOPE)").ok();
    }
    away(false);
}

/// After eviction: every message from the store, but for those in the segment that is still open.
fn check_from_the_store(daemon: &Daemon, sent: &[Lane]) {
    let frames = Frames::of_a_check(daemon, sent);
    println!("from the store: {frames:?}");
    assert!(
        frames.bucket > lanes::count(sent) as f64 * 0.9 && frames.local < frames.bucket / 10.0,
        "{frames:?} for {} messages",
        lanes::count(sent)
    );
    assert_eq!(local_files(daemon, "journal"), 0, "reading fills no disk");
}

#[test]
fn mail_comes_back_from_memory_and_after_eviction_from_a_directory_and_after_compaction_from_blocks()
 {
    if !have(&[NPM, TAR]) {
        return;
    }
    let store = place::scratch("store");
    let (cold, aside) = (store.path().join("cold"), store.path().join("aside"));
    let options = evicting(Options::new(BINARY))
        .text("hot", "frames", "512MiB")
        .text("cold", "url", &format!("file://{}", cold.display()));
    let mut daemon = Daemon::start(options);
    let sent = send_all(&daemon);
    lanes::read(&daemon, &sent);
    let frames = Frames::of_a_check(&daemon, &sent);
    assert!(
        frames.memory >= lanes::count(&sent) as f64 && frames.local + frames.bucket == 0.0,
        "what was read just now is read from memory: {frames:?}"
    );
    wait_until_evicted(&mut daemon, &sent, |away| {
        let (from, to) = if away {
            (&cold, &aside)
        } else {
            (&aside, &cold)
        };
        std::fs::rename(from, to).must("moving the store");
    });
    check_from_the_store(&daemon, &sent);
    let done = daemon.json(&["compact"]);
    assert_eq!(done["left"], 0, "{done}");
    daemon.wait_until_shipped();
    daemon.stop();
    daemon.remove_local_mail();
    daemon.restart();
    let frames = Frames::of_a_check(&daemon, &sent);
    assert!(
        frames.bucket > 0.0 && frames.local < frames.bucket / 10.0,
        "out of blocks and packs: {frames:?}"
    );
}

#[test]
fn mail_comes_back_from_local_segments() {
    if !have(&[NPM, TAR]) {
        return;
    }
    let options = Options::new(BINARY)
        .text("journal", "segment_size", "1MiB")
        .text("hot", "frames", "0");
    let mut daemon = Daemon::start(options);
    let sent = send_all(&daemon);
    daemon.kill();
    daemon.restart();
    let sealed = local_files(&daemon, "journal");
    assert!(sealed >= 10, "only {sealed} segments are sealed");
    let frames = Frames::of_a_check(&daemon, &sent);
    assert!(
        frames.local >= lanes::count(&sent) as f64 && frames.bucket == 0.0,
        "everything is on local disk and nothing in memory: {frames:?}"
    );
    assert!(
        local_files(&daemon, "journal") >= sealed,
        "nothing was evicted meanwhile"
    );
}

#[test]
fn mail_comes_back_from_seaweedfs() {
    if !have(&[NPM, TAR, WEED]) {
        return;
    }
    let weed = SeaweedFs::start();
    let proxy = FaultProxy::start(weed.s3_addr());
    let mut daemon =
        Daemon::start(weed.cold(evicting(Options::new(BINARY)), proxy.addr(), "exact"));
    let sent = send_all(&daemon);
    wait_until_evicted(&mut daemon, &sent, |away| {
        proxy.set(if away { Mode::Status(404) } else { Mode::Pass })
    });
    proxy.forget_requests();
    check_from_the_store(&daemon, &sent);
    let reads = proxy
        .requests()
        .iter()
        .filter(|line| line.starts_with("GET") && line.contains("segments/"))
        .count();
    assert!(
        reads > lanes::count(&sent) / 100,
        "only {reads} reads went to the store"
    );
}

#[test]
fn what_postfix_hands_over_is_what_comes_out() {
    if !have(&[NPM, TAR, POSTFIX, ROOT]) {
        return;
    }
    let dir = place::scratch("sockets");
    let (ours, recorders) = (
        postfix::socket_path(dir.path(), "ours"),
        postfix::socket_path(dir.path(), "recorder"),
    );
    let recorder = Recorder::start(&recorders);
    let unix = |path: &Path| format!("unix:{}", path.display());
    let daemon = Daemon::start(Options::new(BINARY).text("lmtp", "listen", &unix(&ours)));
    place::writable_by_all(&ours);
    let postfix = Postfix::start(&[
        ("ours.example", &unix(&ours)),
        ("recorder.example", &unix(&recorders)),
    ]);
    let count = if tool::long() {
        corpus::SPAM_ASSASSIN_MESSAGES
    } else {
        300
    };
    let step = corpus::SPAM_ASSASSIN_MESSAGES / count;
    let mut smtp = postfix.smtp();
    for (number, (name, mail)) in corpus::spam_assassin()
        .iter()
        .step_by(step)
        .take(count)
        .enumerate()
    {
        let from = format!("m{number}@sender.example");
        let reply = smtp
            .send(
                &from,
                &["u@ours.example", "u@recorder.example"],
                &corpus::crlf(mail),
            )
            .must("SMTP");
        assert!(reply.is_ok(), "{name}: {reply:?}");
    }
    let mut recorded = recorder.wait_for(count, Duration::from_secs(600));
    let mut imap = daemon.imap("u@ours.example");
    wait::until("all mail from Postfix", Duration::from_secs(600), || {
        imap.command("SELECT INBOX").ok().number("EXISTS") == Some(count as u64)
    });
    for fetch in imap.fetch("FETCH 1:* BODY.PEEK[]") {
        let whole = fetch.bytes("BODY[]");
        let same = recorded.iter().position(|message| {
            whole.starts_with(format!("Return-Path: <{}>\r\n", message.from).as_bytes())
        });
        let same = recorded.swap_remove(same.must("a recording with that Return-Path"));
        if let Err(difference) = exact::check_whole(&whole, &same.data, true) {
            panic!("{}: {difference}", same.from);
        }
    }
    let left: Vec<&str> = recorded.iter().map(|m| m.from.as_str()).collect();
    assert!(
        left.is_empty(),
        "recorded and not delivered to us: {left:?}"
    );
}

#[test]
fn broken_mail_is_kept_as_it_came() {
    let daemon = Daemon::start(Options::new(BINARY));
    let mut lmtp = daemon.lmtp();
    let mut imap = daemon.imap(USER);
    let mut sent = Lane::new(USER);
    imap.command(&format!("CREATE {APPENDED}")).ok();
    for (name, bytes) in broken::broken_mail() {
        lmtp.deliver("", USER, &bytes);
        let appended = Expected {
            name: name.to_owned(),
            bytes,
            trace_lines: false,
        };
        // RFC 3502, 6.3.11: a message of no octets cancels the APPEND.
        if !appended.bytes.contains(&0) && !appended.bytes.is_empty() {
            imap.append(APPENDED, "", &appended.bytes);
            sent.appended.push(appended.clone());
        }
        sent.delivered.push(Expected {
            trace_lines: true,
            ..appended
        });
    }
    lanes::check(&daemon, &[sent]);
}

#[test]
fn the_comparison_accepts_what_dovecot_gives_for_ordinary_mail() {
    if !have(&[NPM, TAR, DOVECOT, ROOT]) {
        return;
    }
    let dovecot = Dovecot::start(&Kind::Maildir);
    let mut imap = dovecot.imap("u");
    let mails = corpus::spam_assassin().iter().step_by(200).cloned();
    let short = broken::header_only().map(|(name, mail)| (name.to_owned(), mail.to_vec()));
    let expected = mails.chain(short).map(|(name, mail)| {
        let bytes = corpus::crlf(&mail);
        imap.append("INBOX", "", &bytes);
        Expected {
            name,
            bytes,
            trace_lines: false,
        }
    });
    let mut expected: Vec<Expected> = expected.collect();
    exact::check(&mut imap, "INBOX", &expected);
    expected[3].bytes[40] ^= 1;
    let noticed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        exact::check(&mut imap, "INBOX", &expected)
    }));
    assert!(noticed.is_err(), "one flipped bit goes unnoticed");
}
