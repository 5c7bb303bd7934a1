//! The tree of a query.

use crate::flags::SystemFlags;
use crate::ids::ModSeq;
use crate::uidset::UidSet;

/// Which date of a message a key compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateField {
    /// INTERNALDATE (BEFORE, ON, SINCE).
    Internal,
    /// The Date field (SENTBEFORE, SENTON, SENTSINCE): the day as written, whatever its zone.
    Sent,
    /// SAVEDATE (RFC 8514).
    Saved,
}

/// Which side of a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SizeBound {
    /// LARGER: strictly more octets.
    Larger,
    /// SMALLER: strictly fewer octets.
    Smaller,
}

/// A predicate on one message. Days are days since 1970-01-01 as written in the key, without a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// ALL
    All,
    /// All must hold; empty is ALL.
    And(Vec<Query>),
    /// One of them must hold; empty matches nothing ([`Query::NOTHING`]).
    Or(Vec<Query>),
    /// NOT
    Not(Box<Query>),
    /// UID set, already resolved (`*` and `$` included).
    Uids(UidSet),
    /// All of these system flags are set.
    Flags(SystemFlags),
    /// The keyword is set (ASCII case does not matter).
    Keyword(String),
    /// \Recent in this session.
    Recent,
    /// On or after `from` and before `until`.
    Days {
        /// Which date.
        field: DateField,
        /// First day that matches; `None` is the beginning of time.
        from: Option<i32>,
        /// First day that matches no longer; `None` is the end of time.
        until: Option<i32>,
    },
    /// INTERNALDATE is later than this, in seconds since 1970.
    DatedAfter(i64),
    /// SAVEDATE is later than this, in seconds since 1970.
    SavedAfter(i64),
    /// RFC822.SIZE against octets.
    Size(SizeBound, u64),
    /// A header field contains the text (HEADER, FROM, SUBJECT …); an empty text asks whether the field is there.
    Header(String, String),
    /// BODY: the decoded text of the message's body contains it.
    Body(String),
    /// TEXT: header or body contains it.
    Text(String),
    /// MODSEQ: at least this.
    ModSeq(ModSeq),
    /// EMAILID (RFC 8474).
    EmailId(String),
    /// THREADID (RFC 8474).
    ThreadId(String),
}

impl Query {
    /// Matches no message.
    pub const NOTHING: Query = Query::Or(Vec::new());
}
