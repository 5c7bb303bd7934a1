//! What is said of compaction and of deletion.

use coldpost_engine::compaction::Report;
use coldpost_engine::{DeadObject, Deleted};
use serde::{Deserialize, Serialize};

use super::in_full;

/// A line of the answer to `POST /admin/compact`.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum CompactLine {
    /// Messages looked at, of those that are known to be taken.
    Progress {
        /// So many.
        done: u64,
        /// Of so many.
        total: u64,
    },
    /// The end.
    Summary {
        /// Objects whose mail was taken.
        objects: u64,
        /// Messages looked at.
        messages: u64,
        /// Messages that stand elsewhere now.
        moved: u64,
        /// Messages that could not be read, or did not come out as they went in.
        left: u64,
        /// Attachments taken out.
        attachments: u64,
        /// Of these, how many were there already.
        merged: u64,
        /// Bytes that were written.
        bytes: u64,
    },
    /// It did not come to its end.
    Failed {
        /// Why.
        error: String,
    },
}

impl CompactLine {
    /// How far it is.
    pub fn of(report: &Report) -> CompactLine {
        CompactLine::Progress {
            done: report.messages,
            total: report.total,
        }
    }
}

impl From<coldpost_engine::Result<Report>> for CompactLine {
    fn from(end: coldpost_engine::Result<Report>) -> CompactLine {
        match end {
            Ok(report) => CompactLine::Summary {
                objects: report.objects,
                messages: report.messages,
                moved: report.moved,
                left: report.left,
                attachments: report.blobs,
                merged: report.merged,
                bytes: report.bytes_out,
            },
            Err(error) => CompactLine::Failed {
                error: in_full(&error),
            },
        }
    }
}

/// `GET /admin/gc`: what could be deleted, and what not yet.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Garbage {
    /// The objects.
    pub objects: Vec<Object>,
}

/// An object that nobody needs, or not for long.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Object {
    /// Its key in the bucket.
    pub key: String,
    /// Its bytes.
    pub bytes: u64,
    /// What is next, and why.
    pub next: String,
    /// Whether `--apply` would do something about it now.
    pub goes: bool,
}

/// `POST /admin/gc`: what was done.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Collected {
    /// Objects that were condemned.
    pub condemned: u64,
    /// Objects that were deleted.
    pub deleted: u64,
    /// Bytes of these.
    pub bytes: u64,
    /// Objects that wait for their grace to pass.
    pub waiting: u64,
}

impl From<Vec<DeadObject>> for Garbage {
    fn from(findings: Vec<DeadObject>) -> Garbage {
        let object = |finding: DeadObject| Object {
            next: finding.words(),
            goes: finding.goes(),
            key: finding.key,
            bytes: finding.bytes,
        };
        Garbage {
            objects: findings.into_iter().map(object).collect(),
        }
    }
}

impl From<Deleted> for Collected {
    fn from(done: Deleted) -> Collected {
        Collected {
            condemned: done.condemned,
            deleted: done.deleted,
            bytes: done.bytes,
            waiting: done.waiting,
        }
    }
}
