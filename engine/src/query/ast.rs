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

/// Where words are looked for (FUZZY, RFC 6203).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WordsIn {
    /// Bodies and the fields below.
    Text,
    /// Bodies.
    Body,
    /// From.
    From,
    /// To.
    To,
    /// Cc.
    Cc,
    /// Bcc.
    Bcc,
    /// Subject.
    Subject,
}

impl WordsIn {
    const FIELDS: [(&str, WordsIn); 5] = [
        ("from", WordsIn::From),
        ("to", WordsIn::To),
        ("cc", WordsIn::Cc),
        ("bcc", WordsIn::Bcc),
        ("subject", WordsIn::Subject),
    ];

    /// A field whose words are known.
    pub fn field(name: &str) -> Option<WordsIn> {
        let mut fields = WordsIn::FIELDS.into_iter();
        let found = fields.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, words)| words)
    }

    /// The key that asks for it.
    pub fn key(self) -> &'static str {
        let mut fields = WordsIn::FIELDS.into_iter();
        match self {
            WordsIn::Text => "text",
            WordsIn::Body => "body",
            field => fields
                .find(|(_, of)| *of == field)
                .map_or("text", |(key, _)| key),
        }
    }
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
    /// FUZZY: has all words of the text there, or ones spelled nearly so.
    Fuzzy(WordsIn, String),
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

    /// Looked for by words, where a key can be (RFC 6203, 4: whatever else it stands before means what it means without it).
    pub fn fuzzy(self) -> Query {
        let all = |list: Vec<Query>| list.into_iter().map(Query::fuzzy).collect();
        match self {
            Query::And(list) => Query::And(all(list)),
            Query::Or(list) => Query::Or(all(list)),
            Query::Not(inner) => Query::Not(Box::new(inner.fuzzy())),
            Query::Body(text) => Query::Fuzzy(WordsIn::Body, text),
            Query::Text(text) => Query::Fuzzy(WordsIn::Text, text),
            Query::Header(name, text) if !text.is_empty() => match WordsIn::field(&name) {
                Some(field) => Query::Fuzzy(field, text),
                None => Query::Header(name, text),
            },
            other => other,
        }
    }

    /// Whether some key asks for words.
    pub fn asks_words(&self) -> bool {
        match self {
            Query::And(list) | Query::Or(list) => list.iter().any(Query::asks_words),
            Query::Not(inner) => inner.asks_words(),
            Query::Fuzzy(..) => true,
            _ => false,
        }
    }
}
