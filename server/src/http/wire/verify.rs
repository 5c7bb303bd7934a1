//! What `verify` says, a line each.

use std::collections::BTreeMap;

use coldpost_engine::verify;
use coldpost_engine::verify::bucket::{Compared, State};
use serde::{Deserialize, Serialize};

use super::{date, in_full, second};

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
    /// Of `verify --bucket`: its name is one of ours, and nothing refers to it.
    Unknown(Listed),
    /// Of `verify --bucket`: its name is none of ours.
    Foreign(Listed),
    /// Of `verify --bucket`: it is there, and the journal does not say so.
    Unconfirmed(Listed),
    /// Of `verify --bucket --repair`: it was put again, or confirmed.
    Mended(Listed),
    /// Of `verify --bucket`: what a store has of one kind.
    Totals(Totals),
    /// The end of `verify --bucket`.
    Bucket(Bucket),
    /// The end: it could not go on.
    Failed {
        /// What happened and what to do.
        error: String,
    },
}

/// An object of the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The store that has it.
    pub store: String,
    /// Its name there.
    pub object: String,
    /// Its bytes.
    pub bytes: u64,
    /// When it was written (RFC 3339), where the listing says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
    /// What is with it.
    pub what: String,
}

/// What a store has of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// The store.
    pub store: String,
    /// The folder, or `foreign`.
    pub kind: String,
    /// Objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of these, those that are referred to.
    pub referenced: u64,
    /// Their bytes.
    pub referenced_bytes: u64,
    /// Of these, those that nothing refers to.
    pub unknown: u64,
    /// Their bytes.
    pub unknown_bytes: u64,
}

/// How a comparison with the store ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Objects listed, of all stores.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Objects that are missing or damaged, and stayed so.
    pub damaged: u64,
    /// Messages that cannot be read because of it.
    pub victims: u64,
    /// What could not be looked at.
    pub unchecked: u64,
    /// Objects that nothing refers to.
    pub unknown: u64,
    /// Their bytes.
    pub unknown_bytes: u64,
    /// Objects that are not ours.
    pub foreign: u64,
    /// Their bytes.
    pub foreign_bytes: u64,
    /// Objects that are there, and the journal does not say so.
    pub unconfirmed: u64,
    /// Objects that were put again or confirmed.
    pub mended: u64,
    /// Requests by kind.
    pub requests: BTreeMap<String, u64>,
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
            verify::Event::Object(object) => VerifyLine::of(object),
            verify::Event::Totals(totals) => VerifyLine::Totals(totals.into()),
        }
    }
}

impl VerifyLine {
    fn of(object: verify::bucket::Object) -> VerifyLine {
        let verify::bucket::Object {
            store,
            object,
            bytes,
            modified,
            state,
            what,
        } = object;
        let listed = Listed {
            store,
            object,
            bytes,
            modified: (modified != 0).then(|| second(modified)),
            what,
        };
        match state {
            State::Unknown => VerifyLine::Unknown(listed),
            State::Foreign => VerifyLine::Foreign(listed),
            State::Unconfirmed => VerifyLine::Unconfirmed(listed),
            State::Mended => VerifyLine::Mended(listed),
        }
    }
}

impl From<verify::bucket::Totals> for Totals {
    fn from(totals: verify::bucket::Totals) -> Totals {
        Totals {
            store: totals.store,
            kind: totals.kind.to_owned(),
            objects: totals.objects,
            bytes: totals.bytes,
            referenced: totals.referenced,
            referenced_bytes: totals.referenced_bytes,
            unknown: totals.unknown,
            unknown_bytes: totals.unknown_bytes,
        }
    }
}

impl From<coldpost_engine::Result<Compared>> for VerifyLine {
    fn from(end: coldpost_engine::Result<Compared>) -> VerifyLine {
        let compared = match end {
            Ok(compared) => compared,
            Err(error) => {
                return VerifyLine::Failed {
                    error: in_full(&error),
                };
            }
        };
        let summary = compared.summary;
        let requests = compared.requests.into_iter();
        VerifyLine::Bucket(Bucket {
            objects: summary.objects,
            bytes: summary.bytes,
            damaged: summary.damaged,
            victims: summary.victims,
            unchecked: summary.unchecked.objects,
            unknown: compared.unknown.0,
            unknown_bytes: compared.unknown.1,
            foreign: compared.foreign.0,
            foreign_bytes: compared.foreign.1,
            unconfirmed: compared.unconfirmed,
            mended: compared.mended,
            requests: requests.map(|(kind, n)| (kind.to_owned(), n)).collect(),
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verification_is_one_json_object_a_line() {
        let line = VerifyLine::from(verify::Event::Progress { done: 1, total: 2 });
        assert_eq!(
            serde_json::to_string(&line).expect("plain"),
            r#"{"event":"progress","done":1,"total":2}"#
        );
    }
}
