//! LMTP as a mail server meets it: over TCP and a unix socket, with the store behind it.

use coldpost_testkit::imap::Imap;
use coldpost_testkit::lmtp::Lmtp;
use coldpost_testkit::{Daemon, Must, Options, http, place};

const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
const MAIL: &[u8] = b"From: Bob <bob@example.net>\r\nSubject: Hello\r\n\r\n.Hello\n.\nAnna!\r\n";

fn exists(daemon: &Daemon, user: &str) -> Option<u64> {
    daemon
        .imap(user)
        .command("EXAMINE INBOX")
        .ok()
        .number("EXISTS")
}

#[test]
fn an_account_named_twice_has_two_replies_and_one_copy() {
    let daemon = Daemon::start(Options::new(BINARY));
    let to = [
        "anna@example.org",
        "bob@example.org",
        "ANNA+detail@Example.org",
    ];
    let replies = daemon
        .lmtp()
        .try_deliver("bob@example.net", &to, MAIL)
        .must("delivering");
    assert_eq!(
        replies.iter().map(|reply| reply.code).collect::<Vec<_>>(),
        [250, 250, 250],
        "{replies:?}"
    );
    assert!(
        replies[2].text.contains("<ANNA+detail@Example.org>"),
        "{replies:?}"
    );
    assert_eq!(exists(&daemon, "anna@example.org"), Some(1));
    assert_eq!(exists(&daemon, "bob@example.org"), Some(1));
}

#[test]
fn below_the_trace_lines_the_message_is_what_was_sent() {
    let daemon = Daemon::start(Options::new(BINARY).text("lmtp", "recipient_delimiter", "-"));
    daemon
        .lmtp()
        .deliver("bob@example.net", "anna-list@example.org", MAIL);
    let mut imap = daemon.imap("anna@example.org");
    imap.command("SELECT INBOX").ok();
    let message = imap.command("FETCH 1 BODY.PEEK[]").ok().fetches()[0].bytes("BODY[]");
    assert!(
        message.ends_with(MAIL),
        "{}",
        String::from_utf8_lossy(&message)
    );
    let trace = String::from_utf8_lossy(&message[..message.len() - MAIL.len()]).into_owned();
    let lines: Vec<&str> = trace.split("\r\n").collect();
    assert_eq!(lines[0], "Return-Path: <bob@example.net>");
    assert!(
        lines[1].starts_with("Received: from ") && lines[1].contains("([127.0.0.1])"),
        "{trace}"
    );
    assert!(
        trace.contains("\tfor <anna-list@example.org>;\r\n"),
        "{trace}"
    );
}

#[test]
fn with_listed_accounts_others_are_unknown_until_they_are_added() {
    let daemon = Daemon::start(Options::new(BINARY).text("auth", "accounts", "listed"));
    let mut lmtp = daemon.lmtp();
    let refused = lmtp
        .try_deliver("bob@example.net", &["anna@example.org"], MAIL)
        .must("asking");
    assert_eq!(refused[0].code, 550, "{refused:?}");
    assert!(
        refused[0].text.contains("5.1.1") || refused[0].text.contains("No such account"),
        "{refused:?}"
    );
    let added = daemon
        .command("account")
        .args(["add", "anna@example.org"])
        .status()
        .must("running");
    assert!(added.success());
    lmtp.command("RSET").must("resetting");
    lmtp.deliver("bob@example.net", "anna@example.org", MAIL);
}

/// Anybody who could speak LMTP filled the directory with names, without one message.
#[test]
fn a_recipient_that_gets_no_message_gets_no_account() {
    let daemon = Daemon::start(Options::new(BINARY));
    let accounts = || {
        let mut list = daemon.command("account");
        let output = list.arg("list").output().must("running");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let mut lmtp = daemon.lmtp();
    for line in ["MAIL FROM:<>", "RCPT TO:<ghost@example.org>", "RSET"] {
        assert!(lmtp.command(line).must(line).is_ok(), "{line}");
    }
    assert_eq!(accounts(), "");
    lmtp.deliver("bob@example.net", "anna@example.org", MAIL);
    let made = accounts();
    assert!(made.starts_with("anna@example.org\t1\t"), "{made}");
    assert_eq!(made.lines().count(), 1);
}

/// RCPT took the quotes away, LOGIN and `account add` did not: mail lay in another account than the one that was read.
#[test]
fn a_name_means_one_account_with_quotes_and_without() {
    let daemon = Daemon::start(Options::new(BINARY).text("auth", "dev_password", "sesame"));
    let added = |name: &str| {
        let mut add = daemon.command("account");
        let output = add.args(["add", name]).output().must("running");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(added("\"ANN\"@example.org"), "ann@example.org added\n");
    assert_eq!(
        added("ann@example.org"),
        "ann@example.org is there already\n"
    );
    let mut lmtp = daemon.lmtp();
    lmtp.deliver("bob@example.net", "\"ann\"@example.org", MAIL);
    lmtp.deliver("bob@example.net", "\"ann+x\"@example.org", MAIL);
    let refused = lmtp.try_deliver("bob@example.net", &["\"a@n\"@example.org"], MAIL);
    assert_eq!(refused.must("asking")[0].code, 550);
    for login in [
        "LOGIN \"\\\"ann\\\"@example.org\" sesame",
        // ANN@Example.ORG \0 ann@example.org \0 sesame
        "AUTHENTICATE PLAIN QU5OQEV4YW1wbGUuT1JHAGFubkBleGFtcGxlLm9yZwBzZXNhbWU=",
    ] {
        let mut imap = Imap::connect(daemon.imap_addr());
        imap.command(login).ok();
        let inbox = imap.command("EXAMINE INBOX").ok().number("EXISTS");
        assert_eq!(inbox, Some(2), "{login}");
    }
    // A login makes no account whose mail would go to another one.
    let mut imap = Imap::connect(daemon.imap_addr());
    assert!(!imap.command("LOGIN ann+x@example.org sesame").is_ok());
    let listed = daemon
        .command("account")
        .arg("list")
        .output()
        .must("running");
    let listed = String::from_utf8_lossy(&listed.stdout);
    assert!(listed.starts_with("ann@example.org\t2\t"), "{listed}");
    assert_eq!(listed.lines().count(), 1);
    // bob@example.org \0 ann@example.org \0 sesame
    let mut imap = Imap::connect(daemon.imap_addr());
    let other =
        imap.command("AUTHENTICATE PLAIN Ym9iQGV4YW1wbGUub3JnAGFubkBleGFtcGxlLm9yZwBzZXNhbWU=");
    assert!(other.text.contains("AUTHORIZATIONFAILED"), "{other:?}");
}

#[test]
fn a_message_over_the_limit_is_refused_and_the_session_goes_on() {
    let daemon = Daemon::start(Options::new(BINARY).text("lmtp", "max_message", "64KiB"));
    let mut lmtp = daemon.lmtp();
    assert!(
        lmtp.capabilities.iter().any(|line| line == "SIZE 65536"),
        "{lmtp:?}"
    );
    let large = [MAIL, "0123456789\r\n".repeat(6_000).as_bytes()].concat();
    let to = ["anna@example.org", "bob@example.org"];
    let replies = lmtp
        .try_deliver("bob@example.net", &to, &large)
        .must("sending");
    assert_eq!(
        replies.iter().map(|reply| reply.code).collect::<Vec<_>>(),
        [552, 552],
        "{replies:?}"
    );
    lmtp.deliver("bob@example.net", "anna@example.org", MAIL);
    assert_eq!(exists(&daemon, "anna@example.org"), Some(1));
    // Announced or sent, it counts.
    let announced = lmtp.command("MAIL FROM:<> SIZE=70000").must("asking");
    assert_eq!(announced.code, 552);
    assert_eq!(daemon.metric("coldpost_refused_total"), Some(2.0));
}

#[test]
fn a_message_larger_than_memory_for_one_goes_through_the_spool_unchanged() {
    let daemon = Daemon::start(Options::new(BINARY));
    let large = [
        MAIL,
        "0123456789 abcdefghijklmnopqrstuvwxyz\r\n"
            .repeat(100_000)
            .as_bytes(),
    ]
    .concat();
    daemon
        .lmtp()
        .deliver("bob@example.net", "anna@example.org", &large);
    let mut imap = daemon.imap("anna@example.org");
    imap.command("SELECT INBOX").ok();
    let message = imap.command("FETCH 1 BODY.PEEK[]").ok().fetches()[0].bytes("BODY[]");
    assert!(
        message.ends_with(&large),
        "{} bytes came back of {}",
        message.len(),
        large.len()
    );
    let spool = daemon.data_dir().join("spool");
    assert_eq!(
        std::fs::read_dir(spool).must("reading the spool").count(),
        0
    );
}

#[test]
fn tcp_clients_come_from_allowed_networks_only() {
    let daemon = Daemon::start(Options::new(BINARY).raw("lmtp", "allow", "[\"192.0.2.0/24\"]"));
    let refused = Lmtp::try_connect(daemon.lmtp_addr());
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(daemon.metric("coldpost_refused_total"), Some(1.0));
}

#[test]
fn a_unix_socket_is_there_again_after_a_kill() {
    let scratch = place::scratch("lmtp");
    let path = scratch.path().join("lmtp");
    let listen = format!("unix:{}", path.display());
    let mut daemon = Daemon::start(Options::new(BINARY).text("lmtp", "listen", &listen));
    Lmtp::try_connect_unix(&path).must("connecting").deliver(
        "bob@example.net",
        "anna@example.org",
        MAIL,
    );
    daemon.kill();
    assert!(path.exists(), "a kill leaves the socket file");
    daemon.restart();
    Lmtp::try_connect_unix(&path).must("connecting").deliver(
        "bob@example.net",
        "anna@example.org",
        MAIL,
    );
    assert_eq!(exists(&daemon, "anna@example.org"), Some(2));
    daemon.stop();
    assert!(!path.exists(), "an orderly end removes it");
}

#[test]
fn while_the_disk_is_short_mail_is_refused_for_now_and_reading_goes_on() {
    let mut daemon = Daemon::start(Options::new(BINARY));
    daemon
        .lmtp()
        .deliver("bob@example.net", "anna@example.org", MAIL);
    daemon.reconfigure(|options| options.text("hot", "min_free", "1000TiB"));
    daemon.restart();
    let to = ["anna@example.org"];
    let replies = daemon
        .lmtp()
        .try_deliver("bob@example.net", &to, MAIL)
        .must("asking");
    assert_eq!(replies[0].code, 452, "{replies:?}");
    assert_eq!(exists(&daemon, "anna@example.org"), Some(1));
    // It was called ready.
    let ready = http::get(daemon.http_addr(), "/readyz", None).must("asking");
    assert_eq!(ready.status, 503);
    assert!(
        ready.text().contains("[hot] min_free wants 1048576000 MiB"),
        "{}",
        ready.text()
    );
}
