//! Real programs on our sockets: Dovecot in front, mbsync, imaplib, curl, swaks.

#[path = "peers/classes.rs"]
mod classes;
#[path = "peers/decided.rs"]
mod decided;
#[path = "peers/messages.rs"]
mod messages;
#[path = "peers/ordered.rs"]
mod ordered;
#[path = "peers/searched.rs"]
mod searched;
#[path = "peers/servers.rs"]
mod servers;
#[path = "peers/synchronised.rs"]
mod synchronised;
#[path = "peers/transcript.rs"]
mod transcript;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use coldpost_testkit::dovecot::{Dovecot, Kind, PASSWORD};
use coldpost_testkit::mbsync::Mbsync;
use coldpost_testkit::tool::{CURL, DOVECOT, MBSYNC, NPM, PYTHON, ROOT, SWAKS, TAR, Tool};
use coldpost_testkit::{Daemon, Must, Options, have, place, process, swaks};

use servers::{OnMaildir, Ours, with_a_front};

const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
const USER: &str = "u@example.org";
/// A second is the bound for our own IDLE. Dovecot in front adds time of its own: 0.5 s in the median as measured; five
/// times that is allowed.
const FRONT_WAKES_WITHIN: Duration = Duration::from_millis(2_500);

/// Commands whose answers differ, with both answers.
fn differences(ours: &[String], theirs: &[String]) -> String {
    let pairs = ours
        .iter()
        .zip(theirs)
        .filter(|(ours, theirs)| ours != theirs);
    pairs
        .map(|(ours, theirs)| {
            format!("--- behind Dovecot\n{ours}\n--- Dovecot on a Maildir\n{theirs}\n\n")
        })
        .collect()
}

#[test]
fn the_script_runs_the_same_behind_dovecot_as_on_a_maildir() {
    if !have(&[DOVECOT, ROOT]) {
        return;
    }
    assert!(transcript::commands() >= 150, "the script has shrunk");
    let theirs = transcript::run(&mut OnMaildir::start());
    let ours = transcript::run(&mut Ours::start(BINARY));
    let different = differences(&ours, &theirs);
    assert!(different.is_empty(), "{different}");
}

#[test]
fn the_script_is_one_that_dovecot_in_front_of_dovecot_passes() {
    if !have(&[DOVECOT, ROOT]) {
        return;
    }
    let theirs = transcript::run(&mut OnMaildir::start());
    let ours = transcript::run(&mut OnMaildir::behind_dovecot());
    let different = differences(&ours, &theirs);
    assert!(different.is_empty(), "{different}");
}

#[test]
fn a_delivery_wakes_an_idle_within_a_second() {
    let daemon = Daemon::start(Options::new(BINARY));
    let mut lmtp = daemon.lmtp();
    lmtp.deliver("a@example.org", USER, b"Subject: 0\r\n\r\nx\r\n");
    let mut idle = daemon.imap(USER);
    idle.command("SELECT INBOX").ok();
    for number in 2..6_u32 {
        let tag = idle.idle().must("IDLE");
        lmtp.deliver(
            "a@example.org",
            USER,
            format!("Subject: {number}\r\n\r\nx\r\n").as_bytes(),
        );
        let delivered = Instant::now();
        while idle.response().must("an answer while idle")
            != format!("* {number} EXISTS\r\n").as_bytes()
        {}
        assert!(
            delivered.elapsed() < Duration::from_secs(1),
            "woken after {:?}",
            delivered.elapsed()
        );
        idle.done(&tag).must("DONE").ok();
    }
}

#[test]
fn a_delivery_wakes_an_idle_behind_dovecot() {
    if !have(&[DOVECOT, ROOT]) {
        return;
    }
    let (_daemon, front) = with_a_front(Options::new(BINARY));
    let mut lmtp = front.lmtp();
    lmtp.deliver("a@example.org", USER, b"Subject: 0\r\n\r\nx\r\n");
    let mut idle = front.imap(USER);
    idle.command("SELECT INBOX").ok();
    let mut took = Vec::new();
    for number in 2..7_u32 {
        let tag = idle.idle().must("IDLE");
        let mail = format!("Subject: {number}\r\n\r\nx\r\n");
        lmtp.deliver("a@example.org", USER, mail.as_bytes());
        let delivered = Instant::now();
        let told = format!("* {number} EXISTS\r\n");
        while idle.response().must("an answer while idle") != told.as_bytes() {}
        took.push(delivered.elapsed());
        idle.done(&tag).must("DONE").ok();
    }
    took.sort();
    println!("woken after {took:?}");
    assert!(
        took.iter().all(|took| *took < FRONT_WAKES_WITHIN),
        "woken after {took:?}"
    );
}

#[test]
fn mbsync_keeps_a_thousand_messages_the_same_on_both_sides() {
    if !have(&[MBSYNC, NPM, TAR]) {
        return;
    }
    let daemon = Daemon::start(Options::new(BINARY));
    let mbsync = Mbsync::new(daemon.imap_addr(), USER, &daemon.password());
    synchronised::both_ways(&mut daemon.imap(USER), &mbsync);
}

#[test]
fn the_mbsync_comparison_accepts_dovecot() {
    if !have(&[MBSYNC, NPM, TAR, DOVECOT, ROOT]) {
        return;
    }
    let dovecot = Dovecot::start(&Kind::Maildir);
    let mbsync = Mbsync::new(dovecot.imap_addr(), USER, PASSWORD);
    synchronised::both_ways(&mut dovecot.imap(USER), &mbsync);
}

#[test]
fn sort_and_thread_are_those_of_dovecot() {
    if !have(&[NPM, TAR, DOVECOT, ROOT]) {
        return;
    }
    let daemon = Daemon::start(Options::new(BINARY));
    let dovecot = Dovecot::start(&Kind::Maildir);
    let (mut ours, mut theirs) = (daemon.imap(USER), dovecot.imap(USER));
    let here = ordered::asked(&mut ours);
    let there = ordered::asked(&mut theirs);
    let mut wrong = String::new();
    for ((key, mine), (_, other)) in here.sorted.iter().zip(&there.sorted) {
        let moved = ordered::moved(mine, other);
        if moved.len() * 100 > mine.len() || !ordered::may_differ(key) && !moved.is_empty() {
            let shown = moved.iter().take(10);
            let shown = shown.map(|number| ordered::shown(&mut theirs, *number));
            wrong += &format!("SORT {key}: {moved:?}\n{}\n", shown.collect::<String>());
        }
    }
    for ((name, mine), (_, other)) in here.threads.iter().zip(&there.threads) {
        let (mine, other) = (ordered::single(mine), ordered::single(other));
        let only: Vec<_> = mine
            .iter()
            .filter(|thread| !other.contains(thread))
            .collect();
        let moved = ordered::moved(&mine, &other);
        // Those that are not there count as moved, too.
        if moved.len() * 100 > mine.len() {
            wrong += &format!("THREAD {name}: {only:?} are not there, {moved:?} elsewhere\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn searches_find_what_dovecot_finds_but_for_what_is_decided() {
    if !have(&[NPM, TAR, DOVECOT, ROOT]) {
        return;
    }
    let daemon = Daemon::start(Options::new(BINARY));
    let dovecot = Dovecot::start(&Kind::Maildir);
    let compared = searched::compared(&mut daemon.imap(USER), &mut dovecot.imap(USER));
    let (real, torture) = (&compared.real, &compared.torture);
    println!("real mail: {real}\ntorture: {torture}");
    let unexplained = compared.unexplained.join("\n");
    assert!(unexplained.is_empty(), "{unexplained}");
    assert!(real.is_within_bounds(), "{real}");
}

#[test]
fn what_dovecot_finds_otherwise_is_found_as_it_is_decided() {
    let daemon = Daemon::start(Options::new(BINARY));
    let wrong = decided::wrong(&mut daemon.imap(USER), decided::Side::Here);
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn what_is_said_of_dovecot_is_what_dovecot_finds() {
    if !have(&[DOVECOT, ROOT]) {
        return;
    }
    let dovecot = Dovecot::start(&Kind::Maildir);
    let wrong = decided::wrong(&mut dovecot.imap(USER), decided::Side::There);
    assert!(wrong.is_empty(), "{wrong}");
}

fn imaplib(addr: std::net::SocketAddr, password: &str) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/imaplib_session.py");
    let mut python = Command::new(PYTHON.path());
    python.arg(script).args([
        &addr.ip().to_string(),
        &addr.port().to_string(),
        USER,
        password,
    ]);
    assert_eq!(process::run(&mut python), b"done\n");
}

#[test]
fn imaplib_finds_what_it_expects() {
    if !have(&[PYTHON]) {
        return;
    }
    let daemon = Daemon::start(Options::new(BINARY));
    imaplib(daemon.imap_addr(), &daemon.password());
}

#[test]
fn the_imaplib_session_is_one_that_dovecot_passes() {
    if !have(&[PYTHON, DOVECOT, ROOT]) {
        return;
    }
    let dovecot = Dovecot::start(&Kind::Maildir);
    imaplib(dovecot.imap_addr(), PASSWORD);
}

#[test]
fn curl_appends_and_reads() {
    const NEEDED: &[Tool] = &[CURL, SWAKS];
    if !have(NEEDED) {
        return;
    }
    let daemon = Daemon::start(Options::new(BINARY));
    let url = format!("imap://{}", daemon.imap_addr());
    let login = format!("{USER}:{}", daemon.password());
    let scratch = place::scratch("curl");
    let file = scratch.path().join("mail");
    let mail = messages::message("mixed");
    fs::write(&file, &mail).must("writing the message for curl");
    let curl = |arguments: &[&str]| {
        process::run(
            Command::new(CURL.path())
                .args(["-sS", "-u", &login])
                .args(arguments),
        )
    };
    curl(&["-T", &file.display().to_string(), &format!("{url}/INBOX")]);
    assert_eq!(curl(&[&format!("{url}/INBOX;MAILINDEX=1")]), mail);
    assert_eq!(
        curl(&[&format!("{url}/INBOX;MAILINDEX=1;SECTION=2")]),
        b"AAECAwQF\r\n".strip_suffix(b"\r\n").must("a part")
    );
    let listed = curl(&[&format!("{url}/"), "-X", "LIST \"\" *"]);
    assert!(String::from_utf8_lossy(&listed).contains("INBOX"));
    let dialogue = swaks::lmtp(
        daemon.lmtp_addr(),
        "a@example.org",
        USER,
        &messages::message("plain"),
    );
    assert!(dialogue.contains("250 2."), "{dialogue}");
    assert_eq!(
        daemon
            .imap(USER)
            .command("SELECT INBOX")
            .ok()
            .number("EXISTS"),
        Some(2)
    );
}
