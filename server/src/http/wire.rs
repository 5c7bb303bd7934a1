//! What HTTP and `--json` say, as types that both sides share.
//!
//! Promises: field names stay; numbers of more than 53 bits are hexadecimal text.

mod account;
mod bucket;
mod index;
mod search;
mod snapshot;
mod upkeep;
mod verify;

use coldpost_engine::Health;
use jiff::tz::{Offset, TimeZone};
use serde::{Deserialize, Serialize};

pub use account::{
    Account, Accounts, AddAccount, Added, Answer, Answers, Batch, Delete, Deleted, Done, Rename,
    SetPassword,
};
pub use bucket::{Bucket, Requests};
pub use index::{IndexLine, IndexStanding};
pub use search::{
    Found as SearchFound, PlanStep, SearchLine, Wanted as SearchWanted, Words, plan_steps,
};
pub use snapshot::{Snapshot, SnapshotLine, Snapshots};
pub use upkeep::{Collected, CompactLine, Garbage, Object};
pub use verify::{Bucket as BucketCompared, Listed, Totals, VerifyLine, Victim};

/// `GET /admin/status`, `coldpost status --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program that answers.
    pub version: String,
    /// Whether a daemon answered; otherwise the stopped data did.
    pub running: bool,
    /// Mail can be taken and read.
    pub ready: bool,
    /// What is wrong, worst first.
    pub problems: Vec<String>,
    /// Numbers by name, in a fixed order.
    pub figures: Vec<(String, String)>,
    /// Where the daemon listens; of stopped data none.
    #[serde(default)]
    pub listeners: Vec<Door>,
    /// Files that the daemon may have open, connections included.
    #[serde(default)]
    pub open_files_max: Option<usize>,
    /// What was asked of the object store; of stopped data nothing.
    #[serde(default)]
    pub bucket: Option<Bucket>,
}

/// A listener of the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Door {
    /// `lmtp`, `imap` or `http`.
    pub protocol: String,
    /// Where it is.
    pub address: String,
    /// Connections of the protocol at the moment, whatever listener they came to.
    pub connections: usize,
    /// And how many there may be.
    pub connections_max: usize,
    /// Whether there is TLS.
    pub tls: DoorTls,
    /// When the certificate expires (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_expires: Option<String>,
}

/// TLS of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DoorTls {
    /// There is none.
    No,
    /// It begins after STARTTLS.
    StartTls,
    /// It begins at once.
    Implicit,
}

impl Status {
    /// From the engine's own view.
    pub fn new(health: Health, running: bool) -> Status {
        let Health {
            ready,
            problems,
            figures,
        } = health;
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            running,
            ready,
            problems,
            figures,
            listeners: Vec::new(),
            open_files_max: None,
            bucket: None,
        }
    }
}

/// What is answered when something failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What happened and what to do.
    pub error: String,
}

pub use coldpost_engine::error::in_full;

/// A second in time (RFC 3339).
pub(crate) fn second(seconds: i64) -> String {
    date((seconds, 0))
}

fn date((seconds, zone): (i64, i16)) -> String {
    let zoned = || {
        let offset = Offset::from_seconds(i32::from(zone) * 60).ok()?;
        Some(jiff::ZonedDateTime::new(
            jiff::Timestamp::from_second(seconds).ok()?,
            TimeZone::fixed(offset),
        ))
    };
    match zoned() {
        Some(zoned) => zoned.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        None => format!("{seconds} s after 1970"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_victim_is_named_with_its_date_in_its_own_zone() {
        assert_eq!(date((880_127_706, -480)), "1997-11-21T07:55:06-08:00");
        assert_eq!(date((i64::MAX, 0)), "9223372036854775807 s after 1970");
        assert_eq!(date((0, i16::MAX)), "0 s after 1970");
    }
}
