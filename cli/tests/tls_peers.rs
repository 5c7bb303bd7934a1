//! Foreign programs that speak TLS with the real binary: mbsync as a client, Postfix and Dovecot in front.

use std::time::Duration;

use coldpost_testkit::certificate::{Certificate, KeyKind};
use coldpost_testkit::dovecot::{self, Dovecot, Kind};
use coldpost_testkit::imap::Imap;
use coldpost_testkit::line::{Line, Version};
use coldpost_testkit::mbsync::Mbsync;
use coldpost_testkit::postfix::Postfix;
use coldpost_testkit::{Daemon, Must, Options, http, place, tool, wait};
use tempfile::TempDir;

const USER: &str = "anna@example.org";
const PASSWORD: &str = "backend-password";

/// A daemon with TLS on both protocols, its certificate and where that lies.
fn start() -> (Daemon, Certificate, TempDir) {
    let certificate = Certificate::make(KeyKind::Ec);
    let dir = place::scratch("tls-peers");
    let [cert, key] = certificate
        .write(dir.path())
        .map(|path| path.display().to_string());
    let mut options = Options::new(env!("CARGO_BIN_EXE_coldpost"))
        .text("auth", "backend_password", PASSWORD)
        .text("auth", "accounts", "create");
    for section in ["imap", "lmtp"] {
        options = options
            .text(section, "tls_listen", "127.0.0.1:0")
            .text(section, "tls_cert", &cert)
            .text(section, "tls_key", &key);
    }
    (Daemon::start(options), certificate, dir)
}

/// Handshakes of a protocol that came to their end.
fn handshakes(daemon: &Daemon, protocol: &str) -> f64 {
    let reply = http::get(daemon.http_addr(), "/metrics", None).must("asking for /metrics");
    let name =
        format!("coldpost_tls_handshakes_total{{outcome=\"done\",protocol=\"{protocol}\"}} ");
    let text = reply.text();
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    line.and_then(|count| count.parse().ok()).must(&name)
}

/// Reads the subjects of the INBOX in TLS.
fn subjects(daemon: &Daemon, certificate: &Certificate) -> String {
    let mut line = Line::connect_tls(daemon.imap_tls_addr(), certificate, Version::Tls13);
    line.until("* OK");
    line.ask(&format!("a LOGIN {USER} {PASSWORD}"), "a OK");
    line.ask("b SELECT INBOX", "b OK");
    let wanted = "c UID FETCH 1:* BODY.PEEK[HEADER.FIELDS (SUBJECT)]";
    line.ask(wanted, "c OK").join("\n")
}

#[test]
fn mbsync_synchronises_by_starttls_and_from_the_first_byte() {
    if !tool::have(&[tool::MBSYNC]) {
        return;
    }
    let (daemon, _, dir) = start();
    daemon
        .lmtp()
        .deliver("b@example.net", USER, b"Subject: one\r\n\r\nx\r\n");
    let trusted = dir.path().join("cert.pem");
    let ports = [
        ("STARTTLS", daemon.imap_addr().port()),
        ("IMAPS", daemon.imap_tls_addr().port()),
    ];
    for (how, port) in ports {
        let before = handshakes(&daemon, "imap");
        let mbsync = Mbsync::in_tls(how, port, USER, PASSWORD, &trusted);
        mbsync.run();
        assert_eq!(mbsync.messages("INBOX").len(), 1, "{how}");
        assert!(handshakes(&daemon, "imap") > before, "{how}");
    }
}

#[test]
fn postfix_delivers_by_starttls_and_checks_whom_it_talks_to() {
    if !tool::have(&[tool::POSTFIX, tool::ROOT]) {
        return;
    }
    let (daemon, certificate, dir) = start();
    let trusted = dir.path().join("cert.pem");
    let settings = format!(
        "lmtp_host_lookup = native\nlmtp_tls_security_level = verify\nlmtp_tls_CAfile = {}\nlmtp_tls_verify_cert_match = hostname\nlmtp_tls_loglevel = 1\n",
        trusted.display()
    );
    let to = format!("inet:[localhost]:{}", daemon.lmtp_addr().port());
    let postfix = Postfix::start_with(&[("example.org", &to)], &settings);
    let sent = postfix.smtp().send(
        "b@example.net",
        &[USER],
        b"Subject: by postfix\r\n\r\nx\r\n",
    );
    assert!(sent.must("handing over").is_ok());
    wait::until("the delivery", Duration::from_secs(60), || {
        postfix.log().contains("status=sent")
    });
    assert!(
        postfix
            .log()
            .contains("Verified TLS connection established"),
        "{}",
        postfix.log()
    );
    assert!(subjects(&daemon, &certificate).contains("Subject: by postfix"));
    assert!(handshakes(&daemon, "lmtp") >= 1.0);
}

#[test]
fn dovecot_in_front_reads_by_starttls_and_from_the_first_byte() {
    if !tool::have(&[tool::DOVECOT, tool::ROOT]) {
        return;
    }
    let (daemon, _, dir) = start();
    daemon
        .lmtp()
        .deliver("b@example.net", USER, b"Subject: for dovecot\r\n\r\nx\r\n");
    for (how, imap) in [
        ("starttls", daemon.imap_addr()),
        ("imaps", daemon.imap_tls_addr()),
    ] {
        let before = handshakes(&daemon, "imap");
        let settings = format!(
            "imapc_host = localhost\nimapc_ssl = {how}\nssl_client_ca_file = {}\n",
            dir.path().join("cert.pem").display()
        );
        let kind = Kind::Imapc {
            imap,
            lmtp: daemon.lmtp_addr(),
            password: PASSWORD.to_owned(),
        };
        let front = Dovecot::start_with(&kind, &settings);
        let mut client = Imap::login(front.imap_addr(), USER, dovecot::PASSWORD);
        client.command("SELECT INBOX").ok();
        let mail = client.command("FETCH 1 BODY.PEEK[]").ok();
        assert!(
            format!("{mail:?}").contains("Subject: for dovecot"),
            "{how}"
        );
        assert!(handshakes(&daemon, "imap") > before, "{how}");
    }
}
