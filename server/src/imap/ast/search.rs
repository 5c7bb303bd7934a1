//! What a search asks: SEARCH and its kin (RFC 3501, 6.4.4; RFC 4731; RFC 5182; RFC 9394).

use std::fmt;

use coldpost_engine::ids::ModSeq;
use coldpost_engine::order::{Algorithm, SortBy};

use super::{Numbers, SequenceSet};

/// SEARCH (RFC 3501, 6.4.4; RFC 4731).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    /// What the answer's numbers are.
    pub numbers: Numbers,
    /// RETURN options; `None`: an untagged SEARCH answers. `RETURN ()` is `ALL`.
    pub returns: Option<SearchReturn>,
    /// CHARSET as it came.
    pub charset: Option<String>,
    /// The keys, all of which must hold; at least one.
    pub keys: Vec<SearchKey>,
}

/// SORT (RFC 5256).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sort {
    /// By what, each key once; at least one.
    pub by: Vec<SortBy>,
    /// What is sorted.
    pub search: Search,
}

/// THREAD (RFC 5256).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thread {
    /// How.
    pub algorithm: Algorithm,
    /// What is threaded.
    pub search: Search,
}

/// ESEARCH (RFC 7377).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Multisearch {
    /// Where; `None`: the selected mailbox.
    pub sources: Option<Vec<Source>>,
    /// What; its numbers are UIDs.
    pub search: Search,
}

/// `filter-mailboxes` (RFC 5465, 6, but for selected-delayed; RFC 7377, 2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// selected
    Selected,
    /// inboxes: those to which mail is delivered.
    Inboxes,
    /// personal: all of the account.
    Personal,
    /// subscribed
    Subscribed,
    /// subtree: these and all below them.
    Subtree(Vec<String>),
    /// subtree-one: these and those directly below them.
    SubtreeOne(Vec<String>),
    /// mailboxes: these.
    Mailboxes(Vec<String>),
}

/// RETURN options of SEARCH and SORT (RFC 4731, RFC 5182, RFC 5267, RFC 9394).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SearchReturn {
    /// MIN
    pub min: bool,
    /// MAX
    pub max: bool,
    /// ALL; never with PARTIAL.
    pub all: bool,
    /// COUNT
    pub count: bool,
    /// SAVE
    pub save: bool,
    /// PARTIAL
    pub partial: Option<Page>,
    /// RELEVANCY (RFC 6203)
    pub relevancy: bool,
}

impl SearchReturn {
    /// Whether nothing is to be told, only kept (RFC 5182, 2.1).
    pub fn only_saves(self) -> bool {
        let saves = SearchReturn {
            save: true,
            ..SearchReturn::default()
        };
        self == saves
    }
}

/// `partial-range` (RFC 9394): places among results, from the first or from the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// One end, at least 1, as it was asked.
    pub first: u32,
    /// The other one; it may be the lower.
    pub last: u32,
    /// Both are counted from the last result (`-1:-100`).
    pub from_end: bool,
}

impl Page {
    /// The places, from 0, that it means among `count` results; none where all of it is beyond them.
    pub fn places(self, count: u32) -> Option<(u32, u32)> {
        let (low, high) = (self.first.min(self.last), self.first.max(self.last));
        let high = high.min(count);
        if low > high {
            return None;
        }
        Some(if self.from_end {
            (count - high, count - low)
        } else {
            (low - 1, high - 1)
        })
    }
}

impl fmt::Display for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.from_end { "-" } else { "" };
        write!(f, "{sign}{}:{sign}{}", self.first, self.last)
    }
}

/// A search key. Texts are as they came, in the charset of the command; days are days since 1970-01-01.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SearchKey {
    /// ALL
    All,
    /// ANSWERED DELETED DRAFT FLAGGED SEEN
    Flag(coldpost_engine::flags::SystemFlags),
    /// UNANSWERED UNDELETED UNDRAFT UNFLAGGED UNSEEN
    NotFlag(coldpost_engine::flags::SystemFlags),
    /// KEYWORD
    Keyword(String),
    /// UNKEYWORD
    NotKeyword(String),
    /// RECENT
    Recent,
    /// NEW: RECENT UNSEEN
    New,
    /// OLD: NOT RECENT
    Old,
    /// BEFORE, SENTBEFORE, SAVEDBEFORE
    Before(coldpost_engine::query::DateField, i32),
    /// ON, SENTON, SAVEDON
    On(coldpost_engine::query::DateField, i32),
    /// SINCE, SENTSINCE, SAVEDSINCE
    Since(coldpost_engine::query::DateField, i32),
    /// SAVEDATESUPPORTED (RFC 8514)
    SaveDateSupported,
    /// BCC CC FROM SUBJECT TO and HEADER: name of the field, text.
    Header(String, Vec<u8>),
    /// BODY
    Body(Vec<u8>),
    /// TEXT
    Text(Vec<u8>),
    /// OLDER, seconds (RFC 5032)
    Older(u32),
    /// YOUNGER, seconds (RFC 5032)
    Younger(u32),
    /// LARGER, octets
    Larger(u64),
    /// SMALLER, octets
    Smaller(u64),
    /// UID
    Uid(SequenceSet),
    /// A sequence set.
    Sequence(SequenceSet),
    /// MODSEQ (RFC 7162, 3.1.5), with or without the name of an entry, which changes nothing here.
    ModSeq(ModSeq),
    /// EMAILID (RFC 8474)
    EmailId(String),
    /// THREADID (RFC 8474)
    ThreadId(String),
    /// NOT
    Not(Box<SearchKey>),
    /// FUZZY (RFC 6203)
    Fuzzy(Box<SearchKey>),
    /// OR, and ORs in it: one of them must hold.
    Or(Vec<SearchKey>),
    /// Keys in parentheses, all of which must hold.
    And(Vec<SearchKey>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_means_the_results_that_are_there() {
        let places = |first, last, from_end, count| {
            let page = Page {
                first,
                last,
                from_end,
            };
            page.places(count)
        };
        assert_eq!(places(1, 2, false, 5), Some((0, 1)));
        assert_eq!(places(2, 1, false, 5), Some((0, 1)), "in either direction");
        assert_eq!(places(4, 9, false, 5), Some((3, 4)));
        assert_eq!(places(6, 9, false, 5), None);
        assert_eq!(places(1, 2, true, 5), Some((3, 4)));
        assert_eq!(places(4, 9, true, 5), Some((0, 1)));
        assert_eq!(places(6, 9, true, 5), None);
        assert_eq!(places(1, u32::MAX, true, 0), None);
    }
}
