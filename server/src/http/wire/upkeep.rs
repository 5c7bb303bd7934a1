//! What is said of compaction and of deletion.

use coldpost_engine::compaction::Report;
use coldpost_engine::{DeadObject, Deleted, DeletedInPart, Verdict};
use serde::{Deserialize, Serialize};

use super::{in_full, second};

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
    /// `dead`: can be condemned now. `kept`: dead, and something needs it still. `condemned`: waits for its grace to pass. `due`: can be
    /// deleted now.
    #[serde(default)]
    pub state: String,
    /// When a condemned one can be deleted (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
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
    /// Why not all that was due went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl From<Vec<DeadObject>> for Garbage {
    fn from(findings: Vec<DeadObject>) -> Garbage {
        let object = |finding: DeadObject| {
            let (state, due) = state(&finding.verdict);
            Object {
                state: state.to_owned(),
                due: due.map(second),
                next: finding.words(),
                goes: finding.goes(),
                key: finding.key,
                bytes: finding.bytes,
            }
        };
        Garbage {
            objects: findings.into_iter().map(object).collect(),
        }
    }
}

/// In a word, and until when it waits: seconds since 1970.
fn state(verdict: &Verdict) -> (&'static str, Option<i64>) {
    match verdict {
        Verdict::Condemn(_) => ("dead", None),
        Verdict::Kept(_) => ("kept", None),
        Verdict::Wait(due) => ("condemned", Some(*due)),
        Verdict::Delete => ("due", None),
    }
}

impl From<Result<Deleted, DeletedInPart>> for Collected {
    fn from(ended: Result<Deleted, DeletedInPart>) -> Collected {
        let (done, error) = match ended {
            Ok(done) => (done, None),
            Err(in_part) => (in_part.done, Some(in_full(&in_part.error))),
        };
        Collected {
            condemned: done.condemned,
            deleted: done.deleted,
            bytes: done.bytes,
            waiting: done.waiting,
            error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_its_grace_is_told_with_its_date_for_programs() {
        let of = |verdict: Verdict| DeadObject {
            key: "blocks/0001/a".to_owned(),
            bytes: 3,
            verdict,
        };
        let found = vec![of(Verdict::Wait(880_127_706)), of(Verdict::Delete)];
        let told = serde_json::to_string(&Garbage::from(found)).expect("JSON");
        let waits = r#""state":"condemned","due":"1997-11-21T15:55:06+00:00","#;
        let due = r#""state":"due","next":"#;
        assert!(told.contains(waits) && told.contains(due), "{told}");
    }
}
