//! Turns the keys of SEARCH into a query of the engine.
//!
//! Promises: sets are resolved against the picture that the session has, texts are checked against the charset; what was bounded by
//! the grammar stays as large as it was. Never: looks at a message.

use coldpost_engine::flags::SystemFlags;
use coldpost_engine::query::{DateField, Query, SizeBound};
use coldpost_engine::uidset::UidSet;

use crate::imap::ast::{Search, SearchKey};
use crate::imap::reply::{Code, Refusal};

/// The query that all keys of `search` make together; `uids` are the UIDs of the picture, in which sequence numbers are ranks;
/// `saved` is what `$` stands for, `now` the time in seconds since 1970.
///
/// # Errors
/// `NO [BADCHARSET]` for a charset other than US-ASCII and UTF-8; BAD for text that is not in the charset. Without a tag.
/// Sequence numbers of no message are no error here: they find nothing, as with Dovecot.
pub fn query(search: &Search, uids: &UidSet, saved: &UidSet, now: i64) -> Result<Query, Refusal> {
    let context = Context {
        charset: Charset::named(search.charset.as_deref())?,
        uids,
        saved,
        now,
    };
    context.all(&search.keys)
}

/// Whether a key asks for modseqs: the answer tells the highest one then (RFC 7162, 3.1.5).
pub fn asks_modseq(keys: &[SearchKey]) -> bool {
    keys.iter().any(|key| match key {
        SearchKey::ModSeq(_) => true,
        SearchKey::Not(key) | SearchKey::Fuzzy(key) => asks_modseq(std::slice::from_ref(key)),
        SearchKey::And(keys) | SearchKey::Or(keys) => asks_modseq(keys),
        _ => false,
    })
}

/// Whether a key is FUZZY.
pub(crate) fn asks_fuzzy(keys: &[SearchKey]) -> bool {
    keys.iter().any(|key| match key {
        SearchKey::Fuzzy(_) => true,
        SearchKey::Not(key) => asks_fuzzy(std::slice::from_ref(key)),
        SearchKey::And(keys) | SearchKey::Or(keys) => asks_fuzzy(keys),
        _ => false,
    })
}

/// Whether a key has sequence numbers: they must not move while it is answered.
pub(crate) fn asks_numbers(keys: &[SearchKey]) -> bool {
    keys.iter().any(|key| match key {
        SearchKey::Sequence(set) => set.has_numbers(),
        SearchKey::Not(key) | SearchKey::Fuzzy(key) => asks_numbers(std::slice::from_ref(key)),
        SearchKey::And(keys) | SearchKey::Or(keys) => asks_numbers(keys),
        _ => false,
    })
}

/// The same, or what was saved of them: what only the selected mailbox has.
pub(crate) fn asks_numbers_or_saved(keys: &[SearchKey]) -> bool {
    keys.iter().any(|key| match key {
        SearchKey::Sequence(_) => true,
        SearchKey::Uid(set) => set.has_saved(),
        SearchKey::Not(key) | SearchKey::Fuzzy(key) => {
            asks_numbers_or_saved(std::slice::from_ref(key))
        }
        SearchKey::And(keys) | SearchKey::Or(keys) => asks_numbers_or_saved(keys),
        _ => false,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Charset {
    UsAscii,
    Utf8,
}

impl Charset {
    /// Without a name UTF-8 is read: US-ASCII is part of it, and RFC 9051 makes it the default.
    fn named(name: Option<&str>) -> Result<Charset, Refusal> {
        match name.map(str::to_ascii_uppercase).as_deref() {
            None | Some("UTF-8" | "UTF8") => Ok(Charset::Utf8),
            Some("US-ASCII" | "ASCII") => Ok(Charset::UsAscii),
            Some(_) => Err(Refusal::no(
                Code::BadCharset,
                "search texts are read in US-ASCII and UTF-8 only",
            )),
        }
    }

    fn text(self, bytes: &[u8]) -> Result<String, Refusal> {
        match std::str::from_utf8(bytes) {
            Ok(text) if self == Charset::Utf8 || text.is_ascii() => Ok(text.to_owned()),
            _ => Err(Refusal::bad("a search text is not in the charset named")),
        }
    }
}

struct Context<'a> {
    charset: Charset,
    uids: &'a UidSet,
    saved: &'a UidSet,
    now: i64,
}

impl Context<'_> {
    /// All of them; one alone stands for itself. Recursion is bounded by `IMAP_DEPTH_MAX`, which the grammar keeps.
    fn all(&self, keys: &[SearchKey]) -> Result<Query, Refusal> {
        match keys {
            [key] => self.query(key),
            keys => {
                let all: Result<_, _> = keys.iter().map(|key| self.query(key)).collect();
                Ok(Query::And(all?))
            }
        }
    }

    /// The moment so many seconds ago. A message of that very second is as old as OLDER and as young as YOUNGER asks (RFC 5032, 2).
    fn ago(&self, seconds: u32) -> i64 {
        self.now.saturating_sub(i64::from(seconds))
    }

    fn query(&self, key: &SearchKey) -> Result<Query, Refusal> {
        Ok(match key {
            // SAVEDATE is kept for every message, so it is supported wherever this is asked.
            SearchKey::All | SearchKey::SaveDateSupported => Query::All,
            SearchKey::Flag(flag) => Query::Flags(*flag),
            SearchKey::NotFlag(flag) => not(Query::Flags(*flag)),
            SearchKey::Keyword(name) => Query::Keyword(name.clone()),
            SearchKey::NotKeyword(name) => not(Query::Keyword(name.clone())),
            SearchKey::Recent => Query::Recent,
            SearchKey::New => Query::And(vec![Query::Recent, not(Query::Flags(SystemFlags::SEEN))]),
            SearchKey::Old => not(Query::Recent),
            SearchKey::Before(field, day) => days(*field, None, Some(*day)),
            SearchKey::On(field, day) => days(*field, Some(*day), Some(day.saturating_add(1))),
            SearchKey::Since(field, day) => days(*field, Some(*day), None),
            SearchKey::Header(name, text) => Query::Header(name.clone(), self.charset.text(text)?),
            SearchKey::Body(text) => Query::Body(self.charset.text(text)?),
            SearchKey::Text(text) => Query::Text(self.charset.text(text)?),
            SearchKey::Older(seconds) => not(Query::DatedAfter(self.ago(*seconds))),
            SearchKey::Younger(seconds) => Query::DatedAfter(self.ago(*seconds).saturating_sub(1)),
            SearchKey::Larger(octets) => Query::Size(SizeBound::Larger, *octets),
            SearchKey::Smaller(octets) => Query::Size(SizeBound::Smaller, *octets),
            SearchKey::Uid(set) => Query::Uids(set.among_uids(self.uids, self.saved)),
            SearchKey::Sequence(set) => Query::Uids(set.sequence_among_uids(self.uids, self.saved)),
            SearchKey::ModSeq(modseq) => Query::ModSeq(*modseq),
            SearchKey::EmailId(id) => Query::EmailId(id.clone()),
            SearchKey::ThreadId(id) => Query::ThreadId(id.clone()),
            SearchKey::Not(key) => not(self.query(key)?),
            SearchKey::Fuzzy(key) => self.query(key)?.fuzzy(),
            SearchKey::Or(keys) => {
                let any: Result<_, _> = keys.iter().map(|key| self.query(key)).collect();
                Query::Or(any?)
            }
            SearchKey::And(keys) => self.all(keys)?,
        })
    }
}

fn not(query: Query) -> Query {
    Query::Not(Box::new(query))
}

fn days(field: DateField, from: Option<i32>, until: Option<i32>) -> Query {
    Query::Days { field, from, until }
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;
    use crate::imap::ast::CommandBody;
    use crate::imap::grammar;

    /// The query of these keys in a mailbox with the UIDs 10, 20, 21 and 30.
    fn check(keys: &str, expected: &Expect) {
        let uids: UidSet = [10, 20, 21, 30].into_iter().collect();
        let command = grammar::parse(format!("a SEARCH {keys}").as_bytes()).unwrap();
        let CommandBody::Search(search) = command.body else {
            panic!("SEARCH is a search");
        };
        let saved = [20, 25].into_iter().collect();
        let text = match query(&search, &uids, &saved, 1_000_000) {
            Ok(query) => format!("{query:?}"),
            Err(refusal) => format!("{:?} {:?} {}", refusal.status, refusal.code, refusal.text),
        };
        // The ranks that a set keeps for itself say nothing here.
        let text = text
            .split("UidSet { ranges: ")
            .map(|part| match part.split_once(", ranks: ") {
                Some((ranges, rest)) => {
                    ranges.to_owned() + rest.split_once(" }").map_or("", |(_, rest)| rest)
                }
                None => part.to_owned(),
            });
        expected.assert_eq(&text.collect::<String>());
    }

    #[test]
    fn sets_mean_messages_of_the_picture() {
        check("2:3", &expect!["Uids([(20, 21)])"]);
        check("*", &expect!["Uids([(30, 30)])"]);
        check("4,1:*", &expect!["Uids([(10, 10), (20, 21), (30, 30)])"]);
        check("4:9,1", &expect!["Uids([(10, 10), (30, 30)])"]);
        check("NOT 5", &expect!["Not(Uids([]))"]);
        check("$", &expect!["Uids([(20, 20)])"]);
        check("UID 30,$", &expect!["Uids([(20, 20), (30, 30)])"]);
        check("UID 15:*", &expect!["Uids([(20, 21), (30, 30)])"]);
        check("NOT UID 31:*", &expect!["Not(Uids([(30, 30)]))"]);
    }

    #[test]
    fn keys_are_predicates() {
        check("ALL", &expect!["All"]);
        check("SAVEDATESUPPORTED", &expect!["All"]);
        check(
            "UNSEEN NEW OLD",
            &expect![
                "And([Not(Flags(SystemFlags(1))), And([Recent, Not(Flags(SystemFlags(1)))]), Not(Recent)])"
            ],
        );
        check(
            "OR KEYWORD a (UNKEYWORD b DELETED)",
            &expect![[r#"Or([Keyword("a"), And([Not(Keyword("b")), Flags(SystemFlags(8))])])"#]],
        );
        check(
            "ON 1-Jan-1970",
            &expect!["Days { field: Internal, from: Some(0), until: Some(1) }"],
        );
        check(
            "SENTBEFORE 1-Jan-1970",
            &expect!["Days { field: Sent, from: None, until: Some(0) }"],
        );
        check(
            "SAVEDSINCE 3-Jan-1970",
            &expect!["Days { field: Saved, from: Some(2), until: None }"],
        );
        check("LARGER 5", &expect!["Size(Larger, 5)"]);
        check("SMALLER 5", &expect!["Size(Smaller, 5)"]);
        check(
            "FROM a HEADER X-Y {0}\r\n BODY b TEXT c",
            &expect![[r#"And([Header("FROM", "a"), Header("X-Y", ""), Body("b"), Text("c")])"#]],
        );
        check(
            "MODSEQ 5 EMAILID M1 THREADID T1",
            &expect![[r#"And([ModSeq(5), EmailId("M1"), ThreadId("T1")])"#]],
        );
    }

    #[test]
    fn a_message_of_just_that_age_is_older_and_younger() {
        check("OLDER 5", &expect!["Not(DatedAfter(999995))"]);
        check("YOUNGER 5", &expect!["DatedAfter(999994)"]);
    }

    #[test]
    fn texts_are_read_in_the_charset_named() {
        check("TEXT \"é\"", &expect![[r#"Text("é")"#]]);
        check("CHARSET utf-8 TEXT \"é\"", &expect![[r#"Text("é")"#]]);
        check("CHARSET US-ASCII TEXT a", &expect![[r#"Text("a")"#]]);
        check(
            "CHARSET US-ASCII TEXT \"é\"",
            &expect!["Bad None a search text is not in the charset named"],
        );
        check(
            "CHARSET ISO-8859-1 TEXT a",
            &expect!["No Some(BadCharset) search texts are read in US-ASCII and UTF-8 only"],
        );
    }

    #[test]
    fn the_highest_modseq_is_told_when_any_key_asks_by_modseq() {
        let asks = |keys: &str| {
            let command = grammar::parse(format!("a SEARCH {keys}").as_bytes()).unwrap();
            matches!(command.body, CommandBody::Search(search) if asks_modseq(&search.keys))
        };
        assert!(asks("MODSEQ 1") && asks("OR SEEN NOT (ALL MODSEQ 1)"));
        assert!(!asks("ALL NOT (SEEN OR NEW OLD)"));
    }
}
