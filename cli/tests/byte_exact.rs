//! What was sent comes back, byte for byte: by LMTP, APPEND and Postfix, from memory, local disk, a directory and S3.

use std::path::Path;
use std::time::Duration;

use coldpost_testkit::corpus::{self, Mail};
use coldpost_testkit::dovecot::{Dovecot, Kind};
use coldpost_testkit::exact::{self, Expected};
use coldpost_testkit::fault_proxy::{FaultProxy, Mode};
use coldpost_testkit::imap::Imap;
use coldpost_testkit::lmtp::Lmtp;
use coldpost_testkit::postfix::{self, Postfix};
use coldpost_testkit::recorder::{Recorded, Recorder};
use coldpost_testkit::seaweedfs::SeaweedFs;
use coldpost_testkit::tool::{self, DOVECOT, NPM, POSTFIX, ROOT, TAR, WEED};
use coldpost_testkit::{Daemon, Must, Options, have, place, wait};

const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
const USER: &str = "corpus@example.org";
/// Of the corpus, the suite takes every fourth message.
const STEP: usize = 4;
/// Until everything sealed is in the store and gone from local disk.
const EVICTED_WITHIN: Duration = Duration::from_secs(120);

/// What the two mailboxes must hold.
struct Sent {
    delivered: Vec<Expected>,
    appended: Vec<Expected>,
}

/// Sends the selection by LMTP into INBOX and by APPEND into `Appended`.
fn send(lmtp: &mut Lmtp, imap: &mut Imap, mails: &[&Mail]) -> Sent {
    let mut sent = Sent {
        delivered: vec![],
        appended: vec![],
    };
    imap.command("CREATE Appended").ok();
    for (name, mail) in mails {
        let bytes = corpus::crlf(mail);
        lmtp.deliver("sender@example.org", USER, &bytes);
        sent.delivered.push(Expected {
            name: name.clone(),
            bytes,
            trace_lines: true,
        });
        if mail.is_empty() {
            continue;
        }
        let reply = imap.try_append("Appended", "", mail).must("APPEND");
        let refused = mail.contains(&0);
        assert_eq!(
            reply.is_ok(),
            !refused,
            "{name}: {reply:?} (only mail with NUL is refused)"
        );
        if !refused {
            sent.appended.push(Expected {
                name: name.clone(),
                bytes: mail.clone(),
                trace_lines: false,
            });
        }
    }
    sent
}

fn check(daemon: &Daemon, sent: &Sent) {
    let mut imap = daemon.imap(USER);
    exact::check(&mut imap, "INBOX", &sent.delivered);
    exact::check(&mut imap, "Appended", &sent.appended);
}

fn send_selection(daemon: &Daemon) -> Sent {
    send(
        &mut daemon.lmtp(),
        &mut daemon.imap(USER),
        &corpus::selection(STEP),
    )
}

/// Settings under which every sealed segment leaves the local disk as soon as the store has it.
fn evicting(options: Options) -> Options {
    options
        .text("hot", "local_bodies", "0")
        .text("journal", "segment_size", "1MiB")
}

/// Waits until the first message cannot be read while the store is away: then it lies in the store alone.
fn wait_until_evicted(daemon: &mut Daemon, away: impl Fn(bool)) {
    wait::until("all uploads", EVICTED_WITHIN, || {
        daemon.metric("coldpost_uploads_waiting").unwrap_or(0.0) == 0.0
    });
    wait::until("the eviction of the first message", EVICTED_WITHIN, || {
        daemon.restart();
        let mut imap = daemon.imap(USER);
        imap.command("EXAMINE INBOX").ok();
        away(true);
        let reply = imap.command("FETCH 1 (UID BODY.PEEK[])");
        let listed = imap.command("FETCH 1:* (FLAGS RFC822.SIZE ENVELOPE)");
        away(false);
        assert!(
            listed.is_ok(),
            "listing does not need the store: {} {}",
            listed.status,
            listed.text
        );
        reply.status == "NO"
            && reply.text.starts_with("[UNAVAILABLE]")
            && reply.fetches().iter().all(|f| f.get("BODY[]").is_none())
    });
}

#[test]
fn mail_comes_back_from_memory_after_a_restart_and_from_a_directory() {
    if !have(&[NPM, TAR]) {
        return;
    }
    let store = place::scratch("store");
    let (cold, aside) = (store.path().join("cold"), store.path().join("aside"));
    let options =
        evicting(Options::new(BINARY)).text("cold", "url", &format!("file://{}", cold.display()));
    let mut daemon = Daemon::start(options);
    let sent = send_selection(&daemon);
    check(&daemon, &sent);
    daemon.restart();
    check(&daemon, &sent);
    wait_until_evicted(&mut daemon, |away| {
        let (from, to) = if away {
            (&cold, &aside)
        } else {
            (&aside, &cold)
        };
        std::fs::rename(from, to).must("moving the store");
    });
    check(&daemon, &sent);
}

#[test]
fn mail_comes_back_from_local_segments() {
    if !have(&[NPM, TAR]) {
        return;
    }
    let mut daemon = Daemon::start(Options::new(BINARY).text("journal", "segment_size", "1MiB"));
    let sent = send_selection(&daemon);
    daemon.kill();
    daemon.restart();
    check(&daemon, &sent);
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
    let sent = send_selection(&daemon);
    wait_until_evicted(&mut daemon, |away| {
        proxy.set(if away { Mode::Status(404) } else { Mode::Pass })
    });
    proxy.forget_requests();
    check(&daemon, &sent);
    let reads = proxy
        .requests()
        .iter()
        .filter(|line| line.starts_with("GET") && line.contains("segments/"))
        .count();
    assert!(
        reads > sent.delivered.len() / 100,
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
    let recorded = recorder.wait_for(count, Duration::from_secs(600));
    let mut imap = daemon.imap("u@ours.example");
    wait::until("all mail from Postfix", Duration::from_secs(600), || {
        imap.command("SELECT INBOX").ok().number("EXISTS") == Some(count as u64)
    });
    for fetch in imap.fetch("FETCH 1:* BODY.PEEK[]") {
        let whole = fetch.bytes("BODY[]");
        let same = recorded
            .iter()
            .find(|message| whole.starts_with(return_path(message).as_bytes()));
        let same = same.must("a message with that Return-Path among the recorded");
        let difference = || {
            exact::first_difference(
                &same.from,
                &whole[whole.len() - same.data.len().min(whole.len())..],
                &same.data,
            )
        };
        assert!(whole.ends_with(&same.data), "{}", difference());
    }
}

fn return_path(message: &Recorded) -> String {
    format!("Return-Path: <{}>\r\n", message.from)
}

/// Mail that breaks the rules, each case with its name.
fn broken_mail() -> Vec<(&'static str, Vec<u8>)> {
    let nested = |levels: usize| -> Vec<u8> {
        let open =
            |n: usize| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
        (0..levels).map(open).collect::<String>().into_bytes()
    };
    let part = "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n";
    let many = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n",
        part.repeat(10_000)
    );
    vec![
        ("a bare CR", b"Subject: a\rb\r\n\r\nbody\rwith\r\n".to_vec()),
        ("bare LFs", b"Subject: a\n\nbody\n.\nno end\r\n".to_vec()),
        ("a NUL", b"Subject: a\0b\r\n\r\nbody\0\r\n".to_vec()),
        (
            "8 bit in the header",
            b"Subject: \xe4\xff\r\nFrom: \xc3\xa4@x\r\n\r\n\xfe\r\n".to_vec(),
        ),
        ("no header", b"\r\nonly a body\r\n".to_vec()),
        ("no body", b"Subject: a\r\n".to_vec()),
        ("an empty line", b"\r\n".to_vec()),
        (
            "a line of 3 MB",
            [
                b"Subject: a\r\n\r\n".to_vec(),
                vec![b'x'; 3_000_000],
                b"\r\n".to_vec(),
            ]
            .concat(),
        ),
        (
            "a header line of 1 MB",
            [
                b"Subject: ".to_vec(),
                vec![b'y'; 1_000_000],
                b"\r\n\r\nb\r\n".to_vec(),
            ]
            .concat(),
        ),
        ("500 levels", nested(500)),
        ("10,000 parts", many.into_bytes()),
        (
            "dots",
            b"Subject: d\r\n\r\n.\r\n..\r\n.x\r\n.\n"
                .iter()
                .chain(b"\r\n")
                .copied()
                .collect(),
        ),
    ]
}

#[test]
fn broken_mail_is_kept_as_it_came() {
    let daemon = Daemon::start(Options::new(BINARY));
    let mut lmtp = daemon.lmtp();
    let mut imap = daemon.imap(USER);
    let mut sent = Sent {
        delivered: vec![],
        appended: vec![],
    };
    imap.command("CREATE Appended").ok();
    for (name, bytes) in broken_mail() {
        lmtp.deliver("", USER, &bytes);
        let appended = Expected {
            name: name.to_owned(),
            bytes,
            trace_lines: false,
        };
        if !appended.bytes.contains(&0) {
            imap.append("Appended", "", &appended.bytes);
            sent.appended.push(appended.clone());
        }
        sent.delivered.push(Expected {
            trace_lines: true,
            ..appended
        });
    }
    check(&daemon, &sent);
}

#[test]
fn the_comparison_accepts_what_dovecot_gives_for_ordinary_mail() {
    if !have(&[NPM, TAR, DOVECOT, ROOT]) {
        return;
    }
    let dovecot = Dovecot::start(&Kind::Maildir);
    let mut imap = dovecot.imap("u");
    let mails = corpus::spam_assassin().iter().step_by(200);
    let expected = mails.map(|(name, mail)| {
        let bytes = corpus::crlf(mail);
        imap.append("INBOX", "", &bytes);
        Expected {
            name: name.clone(),
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
