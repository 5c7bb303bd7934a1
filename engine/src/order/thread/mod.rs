//! THREAD (RFC 5256): which messages belong together, and how.
//!
//! Promises: work grows with the messages and their references, not with their depth; nothing recurses. Broken references cost their own
//! link only.

mod by_subject;
mod forest;
mod links;
mod references;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use super::Kind;
use super::column::Column;
use crate::uidset::UidSet;
use forest::Forest;
pub use forest::{Step, Threads};

/// Bytes that threading takes for each message, about.
pub(super) const MESSAGE_BYTES: usize = 112;
/// And for each message id.
pub(super) const ID_BYTES: usize = 24;

/// How threads are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// ORDEREDSUBJECT: one base subject, one thread.
    OrderedSubject,
    /// REFERENCES: by References, then by base subject.
    References,
    /// REFS: by References alone; the thread with the message that was sent last is the last (draft-ietf-morg-inthread).
    Refs,
}

/// The columns that an algorithm looks at, in ascending order.
pub(super) fn kinds(algorithm: Algorithm) -> &'static [Kind] {
    match algorithm {
        Algorithm::OrderedSubject => &[Kind::Date, Kind::Subject],
        Algorithm::References => &[Kind::Date, Kind::Subject, Kind::IsReply, Kind::Ids],
        Algorithm::Refs => &[Kind::Date, Kind::Ids],
    }
}

/// What is asked of the messages, in the order of their UIDs. What an algorithm does not look at is empty.
#[derive(Clone, Debug, Default)]
struct Messages {
    /// Ranks of their sent dates.
    dates: Vec<u32>,
    /// Ranks of their base subjects.
    subjects: Vec<u32>,
    /// The rank of the empty subject.
    empty: Option<u32>,
    replies: Vec<bool>,
}

/// The threads of `found`, all of which are in the columns of `kinds`.
pub(super) fn of(
    found: &UidSet,
    algorithm: Algorithm,
    kinds: &[Kind],
    columns: &[Arc<Column>],
) -> Threads {
    let mut messages = Messages::default();
    for (kind, column) in kinds.iter().zip(columns) {
        match kind {
            Kind::Date => messages.dates = column.ranks_of(found),
            Kind::Subject => {
                messages.subjects = column.ranks_of(found);
                messages.empty = column.empty_rank();
            }
            Kind::IsReply => messages.replies = column.marks_of(found),
            _ => {}
        }
    }
    let ids = kinds.iter().position(|kind| *kind == Kind::Ids);
    let ids = ids.and_then(|at| columns.get(at));
    let places = ids.map(|column| column.places(found)).unwrap_or_default();
    let linked = || match ids.and_then(|column| column.ids()) {
        Some(ids) => links::link(&places, ids),
        None => links::Links::default(),
    };
    let forest: Forest = match algorithm {
        Algorithm::OrderedSubject => by_subject::forest(&messages),
        Algorithm::References => references::forest(&messages, linked()),
        Algorithm::Refs => references::refs(&messages, linked()),
    };
    forest.threads(found)
}
