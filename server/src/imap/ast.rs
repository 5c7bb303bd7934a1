//! The tree of a command: what a client asked, with everything of the wire taken off.
//!
//! Promises: mailbox names are UTF-8 (decoded from modified UTF-7) and INBOX is written `INBOX`; sets keep `*` unresolved, because
//! what it stands for is the session's knowledge. Never: a trace of quoting, letter case or literals.

mod search;
mod set;

use std::fmt;

use coldpost_engine::flags::{FlagAction, Flags};
use coldpost_engine::ids::ModSeq;
use coldpost_engine::mail::Section;
use coldpost_engine::uidset::UidSet;
use coldpost_engine::view::SpecialUse;

pub use search::{Multisearch, Page, Search, SearchKey, SearchReturn, Sort, Source, Thread};
pub use set::{SeqNo, SequenceSet};

/// A command line: its tag and what it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The tag, to be repeated in the tagged answer.
    pub tag: String,
    /// What is asked.
    pub body: CommandBody,
}

/// What is asked, one variant a command of RFC 3501, 6 and of the extensions in `docs/imap.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandBody {
    /// CAPABILITY
    Capability,
    /// NOOP
    Noop,
    /// LOGOUT
    Logout,
    /// STARTTLS
    StartTls,
    /// AUTHENTICATE
    Authenticate(Authenticate),
    /// LOGIN
    Login(Login),
    /// SELECT and EXAMINE
    Select(Select),
    /// CREATE, with the special uses of RFC 6154.
    Create {
        /// The new name; a trailing `/` is kept.
        mailbox: String,
        /// USE attributes; usually none.
        special_use: Vec<SpecialUse>,
    },
    /// DELETE
    Delete(String),
    /// RENAME
    Rename {
        /// The old name.
        from: String,
        /// The new name.
        to: String,
    },
    /// SUBSCRIBE
    Subscribe(String),
    /// UNSUBSCRIBE
    Unsubscribe(String),
    /// LIST, basic and extended.
    List(List),
    /// LSUB
    Lsub {
        /// The reference name, decoded.
        reference: String,
        /// The pattern, decoded.
        pattern: String,
    },
    /// STATUS
    Status {
        /// Of which mailbox.
        mailbox: String,
        /// What; at least one, in the client's order.
        items: Vec<StatusItem>,
    },
    /// APPEND: all that stands before the first message's octets. Those never reach the tree.
    Append(Append),
    /// CHECK
    Check,
    /// CLOSE
    Close,
    /// UNSELECT (RFC 3691)
    Unselect,
    /// EXPUNGE, and UID EXPUNGE with its set.
    Expunge(Option<SequenceSet>),
    /// SEARCH and UID SEARCH
    Search(Search),
    /// SORT and UID SORT (RFC 5256)
    Sort(Sort),
    /// THREAD and UID THREAD (RFC 5256)
    Thread(Thread),
    /// ESEARCH (RFC 7377)
    Multisearch(Multisearch),
    /// FETCH and UID FETCH
    Fetch(Fetch),
    /// STORE and UID STORE
    Store(Store),
    /// COPY and UID COPY
    Copy(Transfer),
    /// MOVE and UID MOVE (RFC 6851)
    Move(Transfer),
    /// IDLE (RFC 2177); DONE comes as a line, not as a command.
    Idle,
    /// ID (RFC 2971): pairs of name and value, `None` for NIL; empty for `ID NIL`.
    Id(Vec<(String, Option<String>)>),
    /// ENABLE (RFC 5161), names in upper case.
    Enable(Vec<String>),
    /// NAMESPACE (RFC 2342)
    Namespace,
}

/// Bytes that must not reach a log: `Debug` shows only that they are there.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub Vec<u8>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// AUTHENTICATE (RFC 3501, 6.2.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authenticate {
    /// The mechanism in upper case.
    pub mechanism: String,
    /// The initial response (RFC 4959), decoded from base64; `=` is an empty one.
    pub initial_response: Option<Secret>,
}

/// LOGIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user name as it came.
    pub user: Vec<u8>,
    /// The password as it came.
    pub password: Secret,
}

/// Which of SELECT and EXAMINE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelectMode {
    /// SELECT
    ReadWrite,
    /// EXAMINE
    ReadOnly,
}

/// SELECT and EXAMINE with their parameters (RFC 4466, RFC 7162).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Select {
    /// SELECT or EXAMINE.
    pub mode: SelectMode,
    /// Which mailbox.
    pub mailbox: String,
    /// The CONDSTORE parameter was given.
    pub condstore: bool,
    /// The QRESYNC parameter.
    pub qresync: Option<QResync>,
}

/// What the client knows of a mailbox (RFC 7162, 3.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QResync {
    /// The last known UIDVALIDITY.
    pub uid_validity: u32,
    /// The last known modseq.
    pub modseq: ModSeq,
    /// The known UIDs; without `*`.
    pub known_uids: Option<UidSet>,
    /// Sequence numbers and the UIDs that belonged to them, both ascending and equally many.
    pub match_data: Option<(UidSet, UidSet)>,
}

/// LIST (RFC 3501, 6.3.8; RFC 5258).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct List {
    /// The reference name, decoded.
    pub reference: String,
    /// Patterns, decoded; `*` and `%` are wild cards. More than one only in an extended LIST.
    pub patterns: Vec<String>,
    /// Selection options.
    pub select: ListSelect,
    /// Return options.
    pub returns: ListReturn,
    /// An extended LIST: selection options (even an empty list), several patterns or return options were given.
    pub extended: bool,
}

/// Selection options of LIST (RFC 5258, 3.1; RFC 6154).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListSelect {
    /// SUBSCRIBED
    pub subscribed: bool,
    /// REMOTE
    pub remote: bool,
    /// RECURSIVEMATCH; never without SUBSCRIBED.
    pub recursive_match: bool,
    /// SPECIAL-USE
    pub special_use: bool,
}

/// Return options of LIST (RFC 5258, 3.2; RFC 5819; RFC 6154).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListReturn {
    /// SUBSCRIBED
    pub subscribed: bool,
    /// CHILDREN
    pub children: bool,
    /// SPECIAL-USE
    pub special_use: bool,
    /// STATUS with its items.
    pub status: Option<Vec<StatusItem>>,
}

/// An item of STATUS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StatusItem {
    /// MESSAGES
    Messages,
    /// RECENT
    Recent,
    /// UIDNEXT
    UidNext,
    /// UIDVALIDITY
    UidValidity,
    /// UNSEEN
    Unseen,
    /// DELETED (RFC 9051)
    Deleted,
    /// SIZE (RFC 8438)
    Size,
    /// HIGHESTMODSEQ (RFC 7162)
    HighestModSeq,
    /// MAILBOXID (RFC 8474)
    MailboxId,
    /// APPENDLIMIT (RFC 7889)
    AppendLimit,
}

/// APPEND up to the octets of its (first) message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// Where to.
    pub mailbox: String,
    /// One, or several with MULTIAPPEND; of each what stands before its octets.
    pub messages: Vec<AppendMessage>,
}

/// What stands before the octets of a message in APPEND.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppendMessage {
    /// Flags to set; never \Recent.
    pub flags: Flags,
    /// INTERNALDATE: seconds since 1970 and the zone in minutes east.
    pub internal_date: Option<(i64, i16)>,
    /// Octets of the message, as announced.
    pub size: u64,
    /// It comes as a literal8 (RFC 3516), which may hold NUL.
    pub binary: bool,
}

/// What the numbers of a set, and of SEARCH's answer, are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// Message sequence numbers (plain commands).
    Sequence,
    /// Unique identifiers (UID commands).
    Uid,
}

/// FETCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// What the set's numbers are.
    pub numbers: Numbers,
    /// Of which messages.
    pub set: SequenceSet,
    /// What, in the client's order; macros are spelled out.
    pub items: Vec<FetchItem>,
    /// CHANGEDSINCE (RFC 7162)
    pub changed_since: Option<ModSeq>,
    /// VANISHED (RFC 7162); only in UID FETCH with CHANGEDSINCE.
    pub vanished: bool,
    /// PARTIAL (RFC 9394); only in UID FETCH.
    pub page: Option<Page>,
}

/// An item of FETCH.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FetchItem {
    /// UID
    Uid,
    /// FLAGS
    Flags,
    /// INTERNALDATE
    InternalDate,
    /// ENVELOPE
    Envelope,
    /// BODY without a section.
    Body,
    /// BODYSTRUCTURE
    BodyStructure,
    /// RFC822: `BODY[]` under its old name.
    Rfc822,
    /// RFC822.HEADER: `BODY.PEEK[HEADER]` under its old name.
    Rfc822Header,
    /// RFC822.TEXT: `BODY[TEXT]` under its old name.
    Rfc822Text,
    /// RFC822.SIZE
    Rfc822Size,
    /// `BODY[…]` and `BODY.PEEK[…]`
    Section(FetchSection),
    /// `BINARY[…]` and `BINARY.PEEK[…]` (RFC 3516): a section with part numbers only.
    Binary(FetchSection),
    /// `BINARY.SIZE[…]` (RFC 3516): part numbers, none for the whole message.
    BinarySize(Vec<u32>),
    /// MODSEQ (RFC 7162)
    ModSeq,
    /// EMAILID (RFC 8474)
    EmailId,
    /// THREADID (RFC 8474)
    ThreadId,
    /// SAVEDATE (RFC 8514)
    SaveDate,
    /// PREVIEW (RFC 8970); LAZY: only if it is at hand.
    Preview {
        /// LAZY
        lazy: bool,
    },
}

/// A section that is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchSection {
    /// Which.
    pub section: Section,
    /// BODY.PEEK: \Seen is not set.
    pub peek: bool,
    /// `<origin.count>`
    pub partial: Option<Partial>,
}

/// Part of a section: octets `origin..origin + count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partial {
    /// First octet, from 0.
    pub origin: u64,
    /// How many at most; 0, which the RFC does not have, asks for nothing, as with Dovecot.
    pub count: u64,
}

/// STORE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// What the set's numbers are.
    pub numbers: Numbers,
    /// Of which messages.
    pub set: SequenceSet,
    /// UNCHANGEDSINCE (RFC 7162)
    pub unchanged_since: Option<ModSeq>,
    /// FLAGS, +FLAGS or -FLAGS.
    pub action: FlagAction,
    /// .SILENT
    pub silent: bool,
    /// The flags; never \Recent.
    pub flags: Flags,
}

/// COPY and MOVE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// What the set's numbers are.
    pub numbers: Numbers,
    /// Which messages.
    pub set: SequenceSet,
    /// Where to.
    pub mailbox: String,
}
