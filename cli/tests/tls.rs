//! TLS of the real binary: sessions of IMAP and LMTP, foreign clients, certificates that change, the end.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use coldpost_testkit::certificate::{Certificate, KeyKind};
use coldpost_testkit::line::{Line, Version};
use coldpost_testkit::{Daemon, Must, Options, http, place, tool, wait};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
const USER: &str = "anna@example.org";
const PASSWORD: &str = "backend-password";

/// A daemon with TLS on both protocols, and the directory of its certificate.
fn start(certificate: &Certificate) -> (Daemon, TempDir) {
    let dir = place::scratch("tls");
    let [cert, key] = certificate.write(dir.path());
    let mut options = Options::new(BINARY)
        .text("auth", "backend_password", PASSWORD)
        .text("auth", "accounts", "create");
    for section in ["imap", "lmtp"] {
        options = options
            .text(section, "tls_listen", "127.0.0.1:0")
            .text(section, "tls_cert", &cert.display().to_string())
            .text(section, "tls_key", &key.display().to_string());
    }
    (Daemon::start(options), dir)
}

/// An IMAP session by STARTTLS, logged in.
fn imap(daemon: &Daemon, certificate: &Certificate, version: Version) -> Line {
    let mut line = Line::connect(daemon.imap_addr());
    line.until("* OK");
    line.ask("s STARTTLS", "s OK");
    line.begin_tls(certificate, version).must("a handshake");
    line.ask(&format!("l LOGIN {USER} {PASSWORD}"), "l OK");
    line
}

/// An LMTP transaction up to the answer of each step.
fn deliver(line: &mut Line, subject: &str) {
    line.ask("LHLO mx.example.net", "250 ");
    line.ask("MAIL FROM:<b@example.net>", "250 ");
    line.ask(&format!("RCPT TO:<{USER}>"), "250 ");
    line.ask("DATA", "354 ");
    line.ask(&format!("Subject: {subject}\r\n\r\nHello\r\n."), "250 ");
}

#[test]
fn mail_goes_in_and_out_in_tls_by_starttls_and_from_the_first_byte() {
    let certificate = Certificate::make(KeyKind::Rsa);
    let (daemon, _dir) = start(&certificate);
    let mut reader = imap(&daemon, &certificate, Version::Tls12);
    reader.ask("a SELECT INBOX", "a OK");
    reader.ask("b IDLE", "+");
    let mut lmtp = Line::connect(daemon.lmtp_addr());
    lmtp.until("220 ");
    let offered = lmtp.ask("LHLO mx.example.net", "250 ");
    assert!(offered.contains(&"250-STARTTLS".to_owned()), "{offered:?}");
    // What is injected behind STARTTLS is never carried out: not in clear, and not in TLS.
    lmtp.ask(
        "STARTTLS\r\nMAIL FROM:<evil@example.net>\r\nRCPT TO:<anna@example.org>",
        "220 ",
    );
    lmtp.begin_tls(&certificate, Version::Tls13)
        .must("a handshake");
    let first = lmtp.ask("DATA", "5");
    assert_eq!(first, ["503 5.5.1 Say MAIL first"]);
    deliver(&mut lmtp, "one");
    let again = lmtp.ask("LHLO mx.example.net", "250 ");
    assert!(!again.contains(&"250-STARTTLS".to_owned()), "{again:?}");
    lmtp.ask("QUIT", "221 ");
    lmtp.rest().must("closed in order");
    let mut lmtp = Line::connect_tls(daemon.lmtp_tls_addr(), &certificate, Version::Tls12);
    lmtp.until("220 ");
    deliver(&mut lmtp, "two");
    reader.until("* 2 EXISTS");
    reader.ask("DONE", "b OK");
    let mut second = Line::connect_tls(daemon.imap_tls_addr(), &certificate, Version::Tls13);
    let greeting = second.until("* OK").join("");
    assert!(!greeting.contains("STARTTLS"), "{greeting}");
    second.ask(&format!("l LOGIN {USER} {PASSWORD}"), "l OK");
    second.ask("a SELECT INBOX", "a OK");
    let mails = second.ask("b FETCH 1:2 BODY[HEADER]", "b OK").join("\n");
    assert!(mails.contains("Subject: one") && mails.contains("Subject: two"));
    assert_eq!(mails.matches("with LMTPS id").count(), 2, "{mails}");
    second.ask("c LOGOUT", "c OK");
    assert_eq!(second.rest().must("closed in order"), "");
}

#[test]
fn curl_reads_by_starttls_and_from_the_first_byte_and_trusts_nobody_else() {
    if !tool::have(&[tool::CURL]) {
        return;
    }
    let certificate = Certificate::make(KeyKind::Ec);
    let (daemon, dir) = start(&certificate);
    let mut lmtp = Line::connect(daemon.lmtp_addr());
    lmtp.until("220 ");
    deliver(&mut lmtp, "for curl");
    let curl = |url: &str, trusted: &Path| {
        let mut command = Command::new(tool::CURL.program);
        command
            .args(["--silent", "--show-error", "--ssl-reqd", "--cacert"])
            .arg(trusted)
            .args(["--user", &format!("{USER}:{PASSWORD}"), url]);
        command.output().must("running curl")
    };
    let clear = format!("imap://localhost:{}", daemon.imap_addr().port());
    let tls = format!("imaps://localhost:{}", daemon.imap_tls_addr().port());
    let trusted = dir.path().join("cert.pem");
    for server in [&clear, &tls] {
        let output = curl(&format!("{server}/INBOX;MAILINDEX=1"), &trusted);
        let mail = String::from_utf8_lossy(&output.stdout);
        assert!(mail.contains("Subject: for curl"), "{server}: {output:?}");
    }
    let other = place::scratch("tls-other");
    let [alien, _] = Certificate::make(KeyKind::Ec).write(other.path());
    assert!(!curl(&format!("{tls}/INBOX"), &alien).status.success());
}

#[test]
fn a_certificate_that_changes_is_served_without_a_restart_and_a_bad_one_is_not() {
    let (old, new) = (
        Certificate::make(KeyKind::Ec),
        Certificate::make(KeyKind::Ec),
    );
    let (daemon, dir) = start(&old);
    let mut session = imap(&daemon, &old, Version::Tls13);
    let status = || {
        let output = daemon.command("status").arg("--json").output();
        String::from_utf8_lossy(&output.must("running status").stdout).into_owned()
    };
    let value: serde_json::Value = serde_json::from_str(&status()).must("status as JSON");
    let doors = value["listeners"].as_array().must("listeners");
    let kinds: Vec<String> = doors
        .iter()
        .map(|door| format!("{} {}", door["protocol"], door["tls"]).replace('"', ""))
        .collect();
    let expected = [
        "lmtp starttls",
        "lmtp implicit",
        "imap starttls",
        "imap implicit",
        "http no",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(doors[3]["certificate_expires"], "2090-01-01T00:00:00Z");
    assert_eq!(
        (&doors[2]["connections"], &doors[0]["connections"]),
        (&1.into(), &0.into())
    );
    assert!(value["open_files_max"].as_u64() >= Some(64), "{value}");

    std::fs::write(dir.path().join("cert.pem"), "half a certif").must("writing");
    wait::until("the bad file is seen", Duration::from_secs(60), || {
        status().contains("The certificate before is served on")
    });
    Line::connect_tls(daemon.imap_tls_addr(), &old, Version::Tls13).until("* OK");
    new.write(dir.path());
    wait::until("the new one is served", Duration::from_secs(60), || {
        let mut line = Line::connect(daemon.imap_addr());
        line.until("* OK");
        line.ask("s STARTTLS", "s OK");
        line.begin_tls(&new, Version::Tls12).is_ok()
    });
    session.ask("z NOOP", "z OK");
    let metrics = http::get(daemon.http_addr(), "/metrics", None).must("asking");
    let metrics = metrics.text();
    for counted in [
        "coldpost_tls_certificate_expires_timestamp_seconds{protocol=\"imap\"} 3786912000",
        "coldpost_tls_certificate_reads_total{outcome=\"served\",protocol=\"imap\"}",
        "coldpost_tls_certificate_reads_total{outcome=\"refused\",protocol=\"imap\"}",
    ] {
        assert!(metrics.contains(counted), "{counted}");
    }
}

#[test]
fn a_start_with_a_bad_certificate_says_what_to_do() {
    let (one, other) = (
        Certificate::make(KeyKind::Ec),
        Certificate::make(KeyKind::Ec),
    );
    let dir = place::scratch("tls-bad");
    let [cert, key] = one.write(dir.path());
    std::fs::write(&key, other.key_pem()).must("writing");
    let config = dir.path().join("coldpost.toml");
    let text = format!("[imap]\ntls_cert = {cert:?}\ntls_key = {key:?}\n");
    std::fs::write(&config, text).must("writing");
    let mut serve = Command::new(BINARY);
    // The environment of the suite is no setting.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("COLDPOST_") {
            serve.env_remove(name);
        }
    }
    let output = serve
        .args(["serve", "--config"])
        .arg(&config)
        .arg("--data")
        .arg(dir.path().join("data"))
        .output()
        .must("running it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("imap.tls_key") && said.contains("made together"),
        "{said}"
    );
    assert!(!dir.path().join("data").exists(), "nothing was begun");
}

#[test]
fn who_does_not_finish_a_handshake_holds_up_neither_others_nor_the_end() {
    let certificate = Certificate::make(KeyKind::Ec);
    let (mut daemon, _dir) = start(&certificate);
    let port = daemon.imap_tls_addr();
    let silent: Vec<TcpStream> = (0..50)
        .map(|_| TcpStream::connect(port).must("connecting"))
        .collect();
    let mut half = Line::connect(port);
    half.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc");
    let mut starting = Line::connect(daemon.lmtp_addr());
    starting.until("220 ");
    starting.ask("STARTTLS", "220 ");
    let mut alien = Line::connect(port);
    alien.send("GET / HTTP/1.1\r\n\r\n");
    // An alert in TLS, and the end.
    let _ = alien.rest();
    wait::until(
        "the failed handshake to be counted",
        Duration::from_secs(30),
        || daemon.metric("coldpost_tls_handshakes_total") >= Some(1.0),
    );
    let mut session = imap(&daemon, &certificate, Version::Tls13);
    session.ask("a SELECT INBOX", "a OK");
    session.ask("b IDLE", "+");
    let begun = Instant::now();
    let ended = daemon.stop().must("it ends by itself");
    assert!(ended.success(), "{ended}");
    // Sessions that do not end are cut off after 10 s.
    assert!(
        begun.elapsed() < Duration::from_secs(9),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(
        session.until("* BYE"),
        ["* BYE [UNAVAILABLE] The server stops"]
    );
    assert_eq!(session.rest().must("closed in order"), "");
    drop(silent);
}
