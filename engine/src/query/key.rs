//! The keys of the text form: their names, what each takes, and what somebody may have meant who wrote another word.

use super::ast::{DateField, SizeBound};
use super::expression::{Flag, Node};

/// What stands behind a key, and what it makes of it.
#[derive(Clone, Copy)]
pub(super) enum Takes {
    Nothing(fn() -> Node),
    /// What is looked for.
    Text(fn(String) -> Node),
    /// A field's name and what is looked for in it.
    Field,
    /// A keyword.
    Keyword(fn(String) -> Node),
    /// A pattern of names.
    Mailbox,
    /// An object id.
    Id(fn(String) -> Node),
    Before(DateField),
    On(DateField),
    Since(DateField),
    Age(fn(u32) -> Node),
    Octets(SizeBound),
    Uids,
    ModSeq,
}

use DateField::{Internal, Saved, Sent};
use Takes::{
    Age, Before, Field, Id, Keyword, Mailbox, ModSeq, Nothing, Octets, On, Since, Text, Uids,
};

/// All of them.
pub(super) const KEYS: &[(&str, Takes)] = &[
    ("all", Nothing(|| Node::All)),
    ("answered", Nothing(|| Node::Flag(Flag::Answered))),
    ("bcc", Text(|text| field("bcc", text))),
    ("before", Before(Internal)),
    ("body", Text(Node::Body)),
    ("cc", Text(|text| field("cc", text))),
    ("deleted", Nothing(|| Node::Flag(Flag::Deleted))),
    ("draft", Nothing(|| Node::Flag(Flag::Draft))),
    ("emailid", Id(Node::EmailId)),
    ("flagged", Nothing(|| Node::Flag(Flag::Flagged))),
    ("from", Text(|text| field("from", text))),
    ("header", Field),
    ("keyword", Keyword(Node::Keyword)),
    ("larger", Octets(SizeBound::Larger)),
    ("mailbox", Mailbox),
    ("modseq", ModSeq),
    ("new", Nothing(|| Node::New)),
    ("old", Nothing(|| Node::Recent.not())),
    ("older", Age(Node::Older)),
    ("on", On(Internal)),
    ("recent", Nothing(|| Node::Recent)),
    // SAVEDATE is kept for every message.
    ("savedatesupported", Nothing(|| Node::All)),
    ("savedbefore", Before(Saved)),
    ("savedon", On(Saved)),
    ("savedsince", Since(Saved)),
    ("seen", Nothing(|| Node::Flag(Flag::Seen))),
    ("sentbefore", Before(Sent)),
    ("senton", On(Sent)),
    ("sentsince", Since(Sent)),
    ("since", Since(Internal)),
    ("smaller", Octets(SizeBound::Smaller)),
    ("subject", Text(|text| field("subject", text))),
    ("text", Text(Node::Text)),
    ("threadid", Id(Node::ThreadId)),
    ("to", Text(|text| field("to", text))),
    ("uid", Uids),
    ("unanswered", Nothing(|| Node::Flag(Flag::Answered).not())),
    ("undeleted", Nothing(|| Node::Flag(Flag::Deleted).not())),
    ("undraft", Nothing(|| Node::Flag(Flag::Draft).not())),
    ("unflagged", Nothing(|| Node::Flag(Flag::Flagged).not())),
    ("unkeyword", Keyword(|name| Node::Keyword(name).not())),
    ("unseen", Nothing(|| Node::Flag(Flag::Seen).not())),
    ("younger", Age(Node::Younger)),
];

/// Fields of a header that have a key of their own.
pub(super) const FIELD_KEYS: [&str; 5] = ["bcc", "cc", "from", "subject", "to"];

/// Words between keys, which no key and no bare text is.
pub(super) const OPERATORS: [&str; 4] = ["and", "or", "not", "fuzzy"];

/// What others call it, and what it is called here.
const OTHER_NAMES: &[(&str, &str)] = &[
    ("after", "since"),
    ("bigger", "larger"),
    ("contains", "text"),
    ("date", "on"),
    ("folder", "mailbox"),
    ("has", "keyword"),
    ("id", "emailid"),
    ("in", "mailbox"),
    ("label", "keyword"),
    ("read", "seen"),
    ("recipient", "to"),
    ("replied", "answered"),
    ("sender", "from"),
    ("size", "larger"),
    ("starred", "flagged"),
    ("tag", "keyword"),
    ("thread", "threadid"),
    ("title", "subject"),
    ("trashed", "deleted"),
    ("unread", "unseen"),
    ("unstarred", "unflagged"),
];

/// How like two words are of which one is meant by the other: less is another word.
const LIKENESS_MIN: f64 = 0.8;
/// Bytes of the longest word for which a likely key is looked for.
const LIKE_A_KEY_MAX: usize = 40;

fn field(name: &str, text: String) -> Node {
    Node::Header(name.to_owned(), text)
}

/// What the key of this name takes, in whatever letter case.
pub(super) fn named(name: &str) -> Option<Takes> {
    let mut keys = KEYS.iter();
    keys.find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, takes)| *takes)
}

/// The key that was probably meant.
pub(super) fn nearest(word: &str) -> Option<&'static str> {
    if word.len() > LIKE_A_KEY_MAX {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let word = word.trim_start_matches('\\');
    if named(word).is_some() {
        return KEYS.iter().map(|(key, _)| *key).find(|key| *key == word);
    }
    let other = OTHER_NAMES.iter().find(|(name, _)| *name == word);
    if let Some((_, key)) = other {
        return Some(key);
    }
    let like = |key: &&str| strsim::jaro_winkler(key, word);
    let keys = KEYS.iter().map(|(key, _)| *key).chain(OPERATORS);
    keys.filter(|key| like(key) >= LIKENESS_MIN)
        .max_by(|a, b| like(a).total_cmp(&like(b)))
}
