//! What an operator can watch: every metric that is promised, and logs in which no password and no mail stands.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use coldpost_testkit::imap::Imap;
use coldpost_testkit::place::files;
use coldpost_testkit::seaweedfs::{SECRET_KEY, SeaweedFs};
use coldpost_testkit::tool::WEED;
use coldpost_testkit::{Daemon, Must, Options, have, http, wait};

const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
const USER: &str = "ann@example.org";
/// Nothing in it may stand in a log.
const MAIL: &[u8] = b"From: Bob <bob@example.net>\r\nSubject: a-secret-subject\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=secret-boundary\r\n\r\n\
    a-secret-preamble\r\n--secret-boundary\r\n\r\na-secret-first-line\r\na-secret-second-line\r\n--secret-boundary\r\nContent-Type: text/plain; name=a-secret-name\r\n\r\na-secret-attachment\r\n--secret-boundary--\r\n";

/// What must have counted something after some traffic: the name with its labels, or all of them together.
const COUNTED: &[&str] = &[
    // Deliveries and sessions.
    "coldpost_deliveries_total{outcome=\"stored\"}",
    "coldpost_delivered_bytes_total",
    "coldpost_messages_added_total",
    "coldpost_connections_total{protocol=\"lmtp\"}",
    "coldpost_connections_total{protocol=\"imap\"}",
    "coldpost_connections_total{protocol=\"http\"}",
    "coldpost_connections{protocol=\"imap\"}",
    "coldpost_imap_sessions",
    "coldpost_imap_sessions_total",
    "coldpost_imap_logins_failed_total",
    "coldpost_imap_commands_total",
    "coldpost_lmtp_commands_total",
    // Latencies.
    "coldpost_delivery_seconds_bucket",
    "coldpost_delivery_seconds_count",
    "coldpost_imap_command_seconds_bucket",
    "coldpost_imap_command_seconds_count",
    "coldpost_cold_request_seconds_bucket",
    "coldpost_cold_request_seconds_count",
    // Fsyncs and batch sizes: a batch is one write and one fsync.
    "coldpost_journal_batch_seconds_bucket",
    "coldpost_journal_batch_seconds_count",
    "coldpost_journal_batch_entries_bucket",
    "coldpost_journal_batch_entries_sum",
    "coldpost_apply_seconds_count",
    "coldpost_applied_entries_total",
    // The object store, by kind of request.
    "coldpost_cold_bytes_total",
    // The read ladder, by rung.
    "coldpost_frames_total{rung=\"memory\"}",
    "coldpost_frames_total{rung=\"local\"}",
    "coldpost_frames_total{rung=\"bucket\"}",
    // Positions and budgets.
    "coldpost_position",
    "coldpost_budget_bytes",
];

/// What must be there, though it may be 0.
const SHOWN: &[&str] = &[
    "coldpost_deliveries_total{outcome=\"failed\"}",
    "coldpost_connections_refused_total",
    "coldpost_accept_errors_total",
    "coldpost_refused_total",
    "coldpost_log_lines_lost_total",
    "coldpost_local_bytes",
    "coldpost_cache_bytes",
    "coldpost_cache_dropped_total",
    "coldpost_deliveries_total{outcome=\"not_now\"}",
    "coldpost_cold_away{store=\"main\"}",
    "coldpost_compacted_messages_total",
    "coldpost_compacted_bytes_total",
    "coldpost_deleted_objects_total",
    "coldpost_deleted_bytes_total",
];

/// Deliveries, uploads, reading from all rungs, a failed login.
fn make_traffic(daemon: &Daemon) {
    let large: String = (0..30_000_u32)
        .map(|n| format!("{:08x}\r\n", n.wrapping_mul(2_654_435_761)))
        .collect();
    let large = format!("Subject: large\r\n\r\n{large}");
    let mut lmtp = daemon.lmtp();
    for _ in 0..12 {
        lmtp.deliver("b@example.org", USER, large.as_bytes());
    }
    let sent = daemon.data_dir().join("cold/segments/0001");
    let journal = daemon.data_dir().join("shards/0001/journal");
    wait::until("upload and eviction", Duration::from_secs(60), || {
        let sealed = |path: &PathBuf| path.extension().is_some_and(|e| e == "seg");
        !files(&sent).is_empty() && !files(&journal).iter().any(sealed)
    });
    lmtp.deliver("b@example.org", USER, MAIL);
    // From the bucket, from memory, from the open segment.
    for seq in ["1", "1", "*"] {
        read(daemon, seq);
    }
    let mut wrong = Imap::connect(daemon.imap_addr());
    assert_eq!(wrong.command(&format!("LOGIN {USER} wrong")).status, "NO");
}

fn read(daemon: &Daemon, seq: &str) {
    let mut imap = daemon.imap(USER);
    imap.command("SELECT INBOX").ok();
    imap.fetch(&format!("FETCH {seq} BODY.PEEK[]"));
}

#[test]
fn every_promised_metric_is_there_after_some_traffic() {
    let options = Options::new(BINARY).text("hot", "local_bodies", "0").text(
        "journal",
        "segment_size",
        "1MiB",
    );
    let daemon = Daemon::start(options);
    make_traffic(&daemon);
    let _open = daemon.imap(USER);
    let reply = http::get(daemon.http_addr(), "/metrics", None).must("asking for /metrics");
    let text = reply.text();
    let missing: Vec<&&str> = COUNTED
        .iter()
        .filter(|name| http::metric(&text, name).unwrap_or(0.0) <= 0.0)
        .chain(
            SHOWN
                .iter()
                .filter(|name| http::metric(&text, name).is_none()),
        )
        .collect();
    assert!(missing.is_empty(), "missing or 0: {missing:?} in\n{text}");
    let labels = |name: &str, label: &str| -> BTreeSet<String> {
        let lines = text
            .lines()
            .filter(|line| line.starts_with(&format!("{name}{{")));
        let value = |line: &str| {
            Some(
                line.split_once(&format!("{label}=\""))?
                    .1
                    .split_once('"')?
                    .0
                    .to_owned(),
            )
        };
        lines.filter_map(value).collect()
    };
    let has = |name: &str, label: &str, wanted: &[&str]| {
        let found = labels(name, label);
        assert!(
            wanted.iter().all(|value| found.contains(*value)),
            "{name} by {label} has {found:?}, not all of {wanted:?}"
        );
    };
    has(
        "coldpost_cold_requests_total",
        "kind",
        &["get", "head", "put"],
    );
    has(
        "coldpost_position",
        "kind",
        &["durable", "applied", "hot_durable"],
    );
    has("coldpost_budget_bytes", "kind", &["used", "limit"]);
    has(
        "coldpost_lmtp_commands_total",
        "command",
        &["LHLO", "MAIL", "RCPT", "DATA"],
    );
    has(
        "coldpost_imap_commands_total",
        "command",
        &["FETCH", "LOGIN", "SELECT"],
    );
}

#[test]
fn a_log_at_level_trace_has_neither_a_password_nor_a_line_of_mail() {
    if !have(&[WEED]) {
        return;
    }
    // With S3, so that the crates that carry mail to it log as well.
    let weed = SeaweedFs::start();
    let options = weed
        .cold(Options::new(BINARY), weed.s3_addr(), "observed")
        .text("log", "level", "trace")
        .text("auth", "backend_password", "a-secret-backend-password")
        .text("auth", "accounts", "create");
    let daemon = Daemon::start(options);
    daemon.lmtp().deliver("bob@example.net", USER, MAIL);
    let mut imap = Imap::connect(daemon.imap_addr());
    imap.command(&format!("LOGIN {USER} a-secret-wrong-password"));
    imap.command(&format!("LOGIN {USER} a-secret-backend-password"))
        .ok();
    imap.append("INBOX", "", MAIL);
    imap.command("SELECT INBOX").ok();
    let fetched = imap
        .fetch("FETCH 1:* (ENVELOPE BODYSTRUCTURE BODY[] BODY[1] BODY[HEADER.FIELDS (SUBJECT)])");
    assert_eq!(fetched.len(), 2);
    for key in ["SUBJECT", "BODY", "TEXT"] {
        imap.command(&format!("SEARCH {key} a-secret-needle")).ok();
    }
    imap.command("a-secret-nonsense");
    let mut plain = Imap::connect(daemon.imap_addr());
    // \0 ann@example.org \0 a-secret-backend-password
    let secret = "AGFubkBleGFtcGxlLm9yZwBhLXNlY3JldC1iYWNrZW5kLXBhc3N3b3Jk";
    plain.command(&format!("AUTHENTICATE PLAIN {secret}")).ok();
    let log = daemon.log();
    assert!(
        log.contains("TRACE") && log.contains("logged in"),
        "the log is at its finest"
    );
    let told: Vec<&str> = log
        .lines()
        .filter(|line| {
            line.contains("a-secret")
                || line.contains("secret-boundary")
                || line.contains(secret)
                || line.contains(SECRET_KEY)
        })
        .collect();
    assert!(told.is_empty(), "the log tells: {told:#?}");
}
