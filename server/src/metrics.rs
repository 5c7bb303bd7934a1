//! Counters of the server, in the default registry of the process like every crate's.
//!
//! Promises: every label value comes from a table of ours, so their number is bounded.
//! Never: names an account, an address or a host.

use std::sync::LazyLock;
use std::time::Duration;

use coldpost_engine::write::Delivered;
use prometheus::{
    Encoder, Histogram, IntCounter, IntCounterVec, IntGaugeVec, TextEncoder, register_histogram,
    register_int_counter, register_int_counter_vec, register_int_gauge_vec,
};

const ONCE: &str = "each name is registered once, here";

/// Seconds that bound the classes of the delivery histogram.
const DELIVERY_BUCKETS: [f64; 13] = [
    0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0, 30.0,
];

static DELIVERY_SECONDS: LazyLock<Histogram> = LazyLock::new(|| {
    let help = "Time from the end of DATA to its replies, in seconds";
    register_histogram!("coldpost_delivery_seconds", help, DELIVERY_BUCKETS.to_vec()).expect(ONCE)
});
static RECIPIENTS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Recipients of messages that came in, by what became of them";
    register_int_counter_vec!("coldpost_deliveries_total", help, &["outcome"]).expect(ONCE)
});
static BYTES: LazyLock<IntCounter> = LazyLock::new(|| {
    let help = "Bytes of messages that came in by LMTP and were stored, trace lines included";
    register_int_counter!("coldpost_delivered_bytes_total", help).expect(ONCE)
});
static LMTP_COMMANDS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "LMTP commands that were right where they stood and were carried out, by name";
    register_int_counter_vec!("coldpost_lmtp_commands_total", help, &["command"]).expect(ONCE)
});
static REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Recipients, messages and clients refused before a delivery, by reason";
    register_int_counter_vec!("coldpost_refused_total", help, &["reason"]).expect(ONCE)
});
static SESSIONS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let help = "Open connections";
    register_int_gauge_vec!("coldpost_connections", help, &["protocol"]).expect(ONCE)
});
static SESSIONS_TOTAL: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Connections since the start";
    register_int_counter_vec!("coldpost_connections_total", help, &["protocol"]).expect(ONCE)
});
static CONNECTIONS_REFUSED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Connections and logins over a limit: of all, of an address, of an account";
    let labels = &["protocol", "limit"];
    register_int_counter_vec!("coldpost_connections_refused_total", help, labels).expect(ONCE)
});
static HANDSHAKES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "TLS handshakes, by how they ended";
    let labels = &["protocol", "outcome"];
    register_int_counter_vec!("coldpost_tls_handshakes_total", help, labels).expect(ONCE)
});
static CERTIFICATE_READS: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Certificates read again because their files had changed";
    let labels = &["protocol", "outcome"];
    register_int_counter_vec!("coldpost_tls_certificate_reads_total", help, labels).expect(ONCE)
});
static CERTIFICATE_EXPIRES: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let help = "When the certificate that is served expires, seconds since 1970";
    let name = "coldpost_tls_certificate_expires_timestamp_seconds";
    register_int_gauge_vec!(name, help, &["protocol"]).expect(ONCE)
});
static BUDGETS: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let help = "Memory budgets in bytes: what is used and what may be";
    register_int_gauge_vec!("coldpost_budget_bytes", help, &["budget", "kind"]).expect(ONCE)
});
static ACCEPT_FAILED: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Errors of accept";
    register_int_counter_vec!("coldpost_accept_errors_total", help, &["protocol"]).expect(ONCE)
});

static LOG_LINES_LOST: LazyLock<IntCounter> = LazyLock::new(|| {
    let help = "Lines of the log that standard error did not take";
    register_int_counter!("coldpost_log_lines_lost_total", help).expect(ONCE)
});

/// Why something was refused before a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No such account.
    UnknownRecipient,
    /// Accounts could not be read.
    LookupFailed,
    /// A message over the limit.
    TooLarge,
    /// A client outside `allow`.
    NotAllowed,
}

impl Refusal {
    const ALL: [Refusal; 4] = [
        Refusal::UnknownRecipient,
        Refusal::LookupFailed,
        Refusal::TooLarge,
        Refusal::NotAllowed,
    ];

    fn label(self) -> &'static str {
        match self {
            Refusal::UnknownRecipient => "unknown_recipient",
            Refusal::LookupFailed => "lookup_failed",
            Refusal::TooLarge => "too_large",
            Refusal::NotAllowed => "not_allowed",
        }
    }
}

/// Counts a command of LMTP that was carried out; `verb` comes from a table of ours.
pub(crate) fn lmtp_command(verb: &'static str) {
    LMTP_COMMANDS.with_label_values(&[verb]).inc();
}

/// Counts a refusal.
pub(crate) fn refused(reason: Refusal) {
    REFUSED.with_label_values(&[reason.label()]).inc();
}

/// Counts what became of a message's recipients, and how long it took.
pub(crate) fn delivered(outcomes: &[Delivered], bytes: usize, took: Duration) {
    DELIVERY_SECONDS.observe(took.as_secs_f64());
    BYTES.inc_by(stored_bytes(outcomes, bytes));
    for outcome in outcomes {
        let outcome = match outcome {
            Delivered::Stored { .. } => "stored",
            Delivered::AccountGone => "account_gone",
            Delivered::NotNow { .. } => "not_now",
        };
        RECIPIENTS.with_label_values(&[outcome]).inc();
    }
}

/// The bytes of a message that somebody has now.
fn stored_bytes(outcomes: &[Delivered], bytes: usize) -> u64 {
    let is_stored = |outcome: &Delivered| matches!(outcome, Delivered::Stored { .. });
    match outcomes.iter().any(is_stored) {
        true => u64::try_from(bytes).unwrap_or(u64::MAX),
        false => 0,
    }
}

/// Counts the recipients of a message that could not be stored.
pub(crate) fn delivery_failed(recipients: usize, took: Duration) {
    DELIVERY_SECONDS.observe(took.as_secs_f64());
    let recipients = u64::try_from(recipients).unwrap_or(u64::MAX);
    RECIPIENTS.with_label_values(&["failed"]).inc_by(recipients);
}

/// Which bound a connection or login met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Crowded {
    /// All connections of the protocol.
    All,
    /// Those of an address.
    Address,
    /// The sessions of an account.
    Account,
}

impl Crowded {
    const ALL: [Crowded; 3] = [Crowded::All, Crowded::Address, Crowded::Account];

    fn label(self) -> &'static str {
        match self {
            Crowded::All => "all",
            Crowded::Address => "address",
            Crowded::Account => "account",
        }
    }
}

/// Counts a connection or login over a limit.
pub(crate) fn connection_refused(protocol: &str, limit: Crowded) {
    CONNECTIONS_REFUSED
        .with_label_values(&[protocol, limit.label()])
        .inc();
}

/// How a TLS handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// The session is encrypted.
    Done,
    /// The two did not agree, or what came was no TLS.
    Failed,
    /// Its time was over.
    TooSlow,
}

impl Handshake {
    const ALL: [Handshake; 3] = [Handshake::Done, Handshake::Failed, Handshake::TooSlow];

    fn label(self) -> &'static str {
        match self {
            Handshake::Done => "done",
            Handshake::Failed => "failed",
            Handshake::TooSlow => "too_slow",
        }
    }
}

/// Counts a TLS handshake.
pub(crate) fn handshake(protocol: &str, outcome: Handshake) {
    HANDSHAKES
        .with_label_values(&[protocol, outcome.label()])
        .inc();
}

/// Counts a certificate that was read again, usable or not.
pub(crate) fn certificate_read(protocol: &str, is_good: bool) {
    let outcome = if is_good { "served" } else { "refused" };
    CERTIFICATE_READS
        .with_label_values(&[protocol, outcome])
        .inc();
}

/// When the certificate that is served expires, seconds since 1970; 0 where that is not known.
pub(crate) fn certificate_expires(protocol: &str, at: Option<i64>) {
    CERTIFICATE_EXPIRES
        .with_label_values(&[protocol])
        .set(at.unwrap_or(0));
}

/// Connections of a protocol that are open.
pub(crate) fn open_connections(protocol: &str) -> usize {
    let open = SESSIONS.with_label_values(&[protocol]).get();
    usize::try_from(open).unwrap_or(0)
}

/// Counts an error of accept.
pub(crate) fn accept_failed(protocol: &str) {
    ACCEPT_FAILED.with_label_values(&[protocol]).inc();
}

/// Counts a line of the log that could not be written. By who writes the log; it is said nowhere else, as there is nowhere to say it.
pub fn log_line_lost() {
    LOG_LINES_LOST.inc();
}

/// Counts a connection as open until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection(&'static str);

impl OpenConnection {
    /// Counts one more.
    pub(crate) fn new(protocol: &'static str) -> OpenConnection {
        SESSIONS.with_label_values(&[protocol]).inc();
        SESSIONS_TOTAL.with_label_values(&[protocol]).inc();
        OpenConnection(protocol)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        SESSIONS.with_label_values(&[self.0]).dec();
    }
}

/// Makes all counters, so that a scrape before the first mail shows them at 0.
pub(crate) fn register() {
    LazyLock::force(&DELIVERY_SECONDS);
    LazyLock::force(&BYTES);
    LazyLock::force(&LOG_LINES_LOST);
    for outcome in ["stored", "account_gone", "not_now", "failed"] {
        RECIPIENTS.with_label_values(&[outcome]);
    }
    for reason in Refusal::ALL {
        REFUSED.with_label_values(&[reason.label()]);
    }
    for protocol in ["lmtp", "imap", "http"] {
        SESSIONS.with_label_values(&[protocol]);
        SESSIONS_TOTAL.with_label_values(&[protocol]);
        for limit in Crowded::ALL {
            CONNECTIONS_REFUSED.with_label_values(&[protocol, limit.label()]);
        }
        ACCEPT_FAILED.with_label_values(&[protocol]);
    }
    for protocol in ["lmtp", "imap"] {
        for outcome in Handshake::ALL {
            HANDSHAKES.with_label_values(&[protocol, outcome.label()]);
        }
    }
}

/// How much of a memory budget is used, and how much there is, in bytes.
pub(crate) fn budget(name: &str, used: u64, limit: u64) {
    for (kind, bytes) in [("used", used), ("limit", limit)] {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        BUDGETS.with_label_values(&[name, kind]).set(bytes);
    }
}

/// All counters of the process in Prometheus' text format.
///
/// # Errors
/// When two families contradict each other, which would be a bug.
pub(crate) fn text() -> prometheus::Result<Vec<u8>> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&prometheus::gather(), &mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_stored_counts_as_delivered_bytes() {
        let stored = Delivered::Stored {
            mailbox: coldpost_engine::ids::MailboxId(1),
            uid_validity: 1,
            uid: 1,
        };
        assert_eq!(stored_bytes(&[Delivered::AccountGone], 10), 0);
        assert_eq!(stored_bytes(&[Delivered::AccountGone, stored], 10), 10);
    }

    #[test]
    fn a_scrape_before_the_first_mail_shows_every_counter() {
        register();
        let text = String::from_utf8(text().expect("consistent")).expect("text");
        for name in [
            "deliveries_total{outcome=\"failed\"}",
            "deliveries_total{outcome=\"not_now\"}",
            "refused_total{reason=\"too_large\"}",
            "delivery_seconds_bucket",
            "log_lines_lost_total",
            "accept_errors_total{protocol=\"imap\"}",
        ] {
            assert!(
                text.contains(&format!("coldpost_{name}")),
                "{name} is missing in:\n{text}"
            );
        }
    }
}
