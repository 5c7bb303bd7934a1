//! A query as it was written: spans of time are still spans, mailboxes still names.
//!
//! Promises: whoever has an [`Expression`] has one within the bounds of `limits.rs` that is printed as it is read.
//! Never: knows what time it is, or which mailboxes there are.

use super::ast::{DateField, Query, SizeBound, WordsIn};
use crate::flags::SystemFlags;
use crate::ids::ModSeq;
use crate::pattern::Pattern;
use crate::uidset::UidSet;

/// A query in its text form, read by [`str::parse`] and printed by `Display`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression(pub(super) Node);

/// Its tree. [`Node::all`], [`Node::any`] and [`Node::not`] keep it flat: no list of one, no AND in an AND, no NOT of a NOT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    All,
    /// At least two.
    And(Vec<Node>),
    /// At least two.
    Or(Vec<Node>),
    Not(Box<Node>),
    /// A pattern of names.
    Mailbox(String),
    /// Not empty; `5:*` ends at the largest UID that can be.
    Uids(UidSet),
    Flag(Flag),
    Keyword(String),
    Recent,
    New,
    Date(DateField, Side),
    /// At least so many seconds old.
    Older(u32),
    /// At most so many seconds old.
    Younger(u32),
    Size(SizeBound, u64),
    /// A field in small letters, and a text.
    Header(String, String),
    Body(String),
    Text(String),
    Fuzzy(WordsIn, String),
    ModSeq(ModSeq),
    EmailId(String),
    ThreadId(String),
}

/// A system flag by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    Answered,
    Deleted,
    Draft,
    Flagged,
    Seen,
}

/// Where a date must lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Before(Moment),
    /// Days since 1970-01-01.
    On(i32),
    Since(Moment),
}

/// A day, or a span before the moment at which the query is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Days since 1970-01-01.
    Day(i32),
    /// Seconds.
    Ago(u32),
}

impl Expression {
    /// What it asks of messages in the mailbox of this name at `now`, in seconds since 1970. It may come to [`Query::NOTHING`] once it
    /// is planned: then the mailbox need not be opened.
    pub fn at(&self, now: i64, mailbox: &str) -> Query {
        self.0.at(&Scope { now, mailbox })
    }

    /// The same with words looked for instead of texts, so that what is found has a rank.
    pub fn ranked(self) -> Expression {
        Expression(self.0.fuzzy())
    }
}

/// What a query is resolved against.
pub(super) struct Scope<'a> {
    pub(super) now: i64,
    pub(super) mailbox: &'a str,
}

impl Scope<'_> {
    fn ago(&self, seconds: u32) -> i64 {
        self.now.saturating_sub(i64::from(seconds))
    }
}

impl Node {
    /// All of `list`, which has at least one.
    pub(super) fn all(list: Vec<Node>) -> Node {
        Node::list(list, Node::And, |node| match node {
            Node::And(inner) => Ok(inner),
            other => Err(other),
        })
    }

    /// One of `list`, which has at least one.
    pub(super) fn any(list: Vec<Node>) -> Node {
        Node::list(list, Node::Or, |node| match node {
            Node::Or(inner) => Ok(inner),
            other => Err(other),
        })
    }

    fn list(
        list: Vec<Node>,
        join: fn(Vec<Node>) -> Node,
        inner: fn(Node) -> Result<Vec<Node>, Node>,
    ) -> Node {
        let mut flat = Vec::with_capacity(list.len());
        for node in list {
            match inner(node) {
                Ok(nodes) => flat.extend(nodes),
                Err(node) => flat.push(node),
            }
        }
        match (flat.pop(), flat.is_empty()) {
            (Some(only), true) => only,
            (last, _) => {
                flat.extend(last);
                join(flat)
            }
        }
    }

    pub(super) fn not(self) -> Node {
        match self {
            Node::Not(inner) => *inner,
            other => Node::Not(Box::new(other)),
        }
    }

    /// The same with words looked for, as [`Query::fuzzy`] says.
    pub(super) fn fuzzy(self) -> Node {
        let all = |list: Vec<Node>| list.into_iter().map(Node::fuzzy).collect();
        match self {
            Node::And(list) => Node::And(all(list)),
            Node::Or(list) => Node::Or(all(list)),
            Node::Not(inner) => Node::Not(Box::new(inner.fuzzy())),
            Node::Body(text) => Node::Fuzzy(WordsIn::Body, text),
            Node::Text(text) => Node::Fuzzy(WordsIn::Text, text),
            Node::Header(name, text) if !text.is_empty() => match WordsIn::field(&name) {
                Some(field) => Node::Fuzzy(field, text),
                None => Node::Header(name, text),
            },
            other => other,
        }
    }

    /// Recursion is bounded by [`crate::limits::QUERY_DEPTH_MAX`], which the grammar keeps.
    pub(super) fn at(&self, scope: &Scope<'_>) -> Query {
        let all = |list: &[Node]| list.iter().map(|node| node.at(scope)).collect();
        match self {
            Node::All => Query::All,
            Node::And(list) => Query::And(all(list)),
            Node::Or(list) => Query::Or(all(list)),
            Node::Not(inner) => not(inner.at(scope)),
            Node::Mailbox(pattern) if Pattern::new("", pattern).matches(scope.mailbox) => {
                Query::All
            }
            Node::Mailbox(_) => Query::NOTHING,
            Node::Uids(set) => Query::Uids(set.clone()),
            Node::Flag(flag) => Query::Flags(flag.bits()),
            Node::Keyword(name) => Query::Keyword(name.clone()),
            Node::Recent => Query::Recent,
            Node::New => Query::And(vec![Query::Recent, not(Query::Flags(SystemFlags::SEEN))]),
            Node::Date(field, side) => side.at(*field, scope),
            Node::Older(seconds) => not(Query::DatedAfter(scope.ago(*seconds))),
            Node::Younger(seconds) => Query::DatedAfter(scope.ago(*seconds).saturating_sub(1)),
            Node::Size(bound, octets) => Query::Size(*bound, *octets),
            Node::Header(name, text) => Query::Header(name.clone(), text.clone()),
            Node::Body(text) => Query::Body(text.clone()),
            Node::Text(text) => Query::Text(text.clone()),
            Node::Fuzzy(place, text) => Query::Fuzzy(*place, text.clone()),
            Node::ModSeq(least) => Query::ModSeq(*least),
            Node::EmailId(id) => Query::EmailId(id.clone()),
            Node::ThreadId(id) => Query::ThreadId(id.clone()),
        }
    }
}

impl Side {
    fn at(self, field: DateField, scope: &Scope<'_>) -> Query {
        let days = |from, until| Query::Days { field, from, until };
        match self {
            Side::Before(moment) => match moment.at(field, scope) {
                Resolved::Day(day) => days(None, Some(day)),
                Resolved::Second(after) => not(after),
            },
            Side::On(day) => days(Some(day), Some(day.saturating_add(1))),
            Side::Since(moment) => match moment.at(field, scope) {
                Resolved::Day(day) => days(Some(day), None),
                Resolved::Second(after) => after,
            },
        }
    }
}

/// A moment, as its field can be compared with it.
enum Resolved {
    Day(i32),
    /// What asks whether the field is at this second or later.
    Second(Query),
}

impl Moment {
    /// A Date field has only a day, and a message may have none: that is neither before nor since.
    fn at(self, field: DateField, scope: &Scope<'_>) -> Resolved {
        let span = match self {
            Moment::Day(day) => return Resolved::Day(day),
            Moment::Ago(span) => span,
        };
        let before = scope.ago(span).saturating_sub(1);
        match field {
            DateField::Internal => Resolved::Second(Query::DatedAfter(before)),
            DateField::Saved => Resolved::Second(Query::SavedAfter(before)),
            DateField::Sent => {
                let day = scope.ago(span).div_euclid(86_400);
                Resolved::Day(i32::try_from(day).unwrap_or(i32::MAX))
            }
        }
    }
}

impl Flag {
    fn bits(self) -> SystemFlags {
        match self {
            Flag::Answered => SystemFlags::ANSWERED,
            Flag::Deleted => SystemFlags::DELETED,
            Flag::Draft => SystemFlags::DRAFT,
            Flag::Flagged => SystemFlags::FLAGGED,
            Flag::Seen => SystemFlags::SEEN,
        }
    }
}

fn not(query: Query) -> Query {
    Query::Not(Box::new(query))
}
