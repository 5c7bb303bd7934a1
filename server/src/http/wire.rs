//! What HTTP and `--json` say, as types that both sides share.
//!
//! Promises: field names stay; numbers of more than 53 bits are hexadecimal text.

mod account;
mod bucket;
mod snapshot;
mod upkeep;

use coldpost_engine::{Health, verify};
use jiff::tz::{Offset, TimeZone};
use serde::{Deserialize, Serialize};

pub use account::{
    Account, Accounts, AddAccount, Added, Answer, Answers, Batch, Delete, Deleted, Done, Rename,
    SetPassword,
};
pub use bucket::{Bucket, Requests};
pub use snapshot::{Snapshot, SnapshotLine, Snapshots};
pub use upkeep::{Collected, CompactLine, Garbage, Object};

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

/// A line of `POST /admin/verify` and `coldpost verify --json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum VerifyLine {
    /// How far it is, bytes.
    Progress {
        /// Verified.
        done: u64,
        /// To verify, as far as known.
        total: u64,
    },
    /// A damaged range.
    Damage {
        /// Key of the object or path of the file.
        object: String,
        /// Where in it, bytes.
        offset: u64,
        /// What is wrong.
        what: String,
        /// The messages that cannot be read because of it.
        victims: Vec<Victim>,
    },
    /// Something that could not be looked at.
    Unchecked {
        /// Key of the object or path of the file: the first of them.
        object: String,
        /// Why.
        what: String,
        /// Objects and files.
        objects: u64,
        /// Messages that are in nothing else.
        messages: u64,
        /// Entries of the journal.
        entries: u64,
    },
    /// The end: everything that can be looked at was.
    Summary {
        /// Objects and files read.
        objects: u64,
        /// Bytes read.
        bytes: u64,
        /// Messages compared.
        messages: u64,
        /// Damaged ranges.
        damaged: u64,
        /// Messages that cannot be read.
        victims: u64,
        /// Objects and files that could not be looked at.
        unchecked: u64,
        /// Messages that are in nothing else.
        unchecked_messages: u64,
        /// Entries of the journal that could not be looked at.
        unchecked_entries: u64,
    },
    /// The end: it could not go on.
    Failed {
        /// What happened and what to do.
        error: String,
    },
}

/// A message that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Victim {
    /// Name of the account.
    pub account: String,
    /// Name of the mailbox.
    pub mailbox: String,
    /// Its UID there.
    pub uid: u32,
    /// INTERNALDATE (RFC 3339).
    pub internal_date: String,
}

impl From<verify::Event> for VerifyLine {
    fn from(event: verify::Event) -> VerifyLine {
        match event {
            verify::Event::Progress { done, total } => VerifyLine::Progress { done, total },
            verify::Event::Damage(verify::Damage {
                object,
                offset,
                what,
                victims,
            }) => {
                let victims = victims.into_iter().map(Victim::from).collect();
                VerifyLine::Damage {
                    object,
                    offset,
                    what,
                    victims,
                }
            }
            verify::Event::Unchecked(verify::Unchecked {
                object,
                what,
                objects,
                messages,
                entries,
            }) => VerifyLine::Unchecked {
                object,
                what,
                objects,
                messages,
                entries,
            },
        }
    }
}

impl From<coldpost_engine::Result<verify::Summary>> for VerifyLine {
    fn from(end: coldpost_engine::Result<verify::Summary>) -> VerifyLine {
        match end {
            Ok(verify::Summary {
                objects,
                bytes,
                messages,
                damaged,
                victims,
                unchecked,
            }) => VerifyLine::Summary {
                objects,
                bytes,
                messages,
                damaged,
                victims,
                unchecked: unchecked.objects,
                unchecked_messages: unchecked.messages,
                unchecked_entries: unchecked.entries,
            },
            Err(error) => VerifyLine::Failed {
                error: in_full(&error),
            },
        }
    }
}

impl From<verify::Victim> for Victim {
    fn from(victim: verify::Victim) -> Victim {
        let verify::Victim {
            account,
            mailbox,
            uid,
            internal_date,
        } = victim;
        Victim {
            account,
            mailbox,
            uid,
            internal_date: date(internal_date),
        }
    }
}

/// An error with its causes, in one line.
pub fn in_full(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

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

    #[test]
    fn a_verification_is_one_json_object_a_line() {
        let line = VerifyLine::from(verify::Event::Progress { done: 1, total: 2 });
        assert_eq!(
            serde_json::to_string(&line).expect("plain"),
            r#"{"event":"progress","done":1,"total":2}"#
        );
    }
}
