//! Status answers and their response codes (RFC 3501, 7.1; RFC 5530).

use std::borrow::Cow;

use coldpost_engine::flags::Flags;
use coldpost_engine::ids::{ModSeq, Uid};
use coldpost_engine::uidset::UidSet;

use super::mailbox::permanent_flag_list;

/// The word of a status answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It was done.
    Ok,
    /// It was understood and could not be done.
    No,
    /// It was not understood, or may not be said now.
    Bad,
    /// The connection ends. Untagged only.
    Bye,
    /// The connection starts logged in. Untagged only.
    PreAuth,
}

/// A response code, the machine-readable reason in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Code {
    /// ALERT: the text must be shown to the user.
    Alert,
    /// ALREADYEXISTS
    AlreadyExists,
    /// APPENDUID (RFC 4315)
    AppendUid {
        /// UIDVALIDITY of the mailbox.
        uid_validity: u32,
        /// The UIDs given; not empty.
        uids: UidSet,
    },
    /// AUTHENTICATIONFAILED
    AuthenticationFailed,
    /// AUTHORIZATIONFAILED
    AuthorizationFailed,
    /// BADCHARSET with the charsets that work.
    BadCharset,
    /// CANNOT: will never work.
    Cannot,
    /// CAPABILITY with the names.
    Capability(Vec<Cow<'static, str>>),
    /// CLIENTBUG
    ClientBug,
    /// CLOSED (RFC 7162): what follows is about the next mailbox.
    Closed,
    /// CONTACTADMIN
    ContactAdmin,
    /// COPYUID (RFC 4315)
    CopyUid {
        /// UIDVALIDITY of the mailbox copied to.
        uid_validity: u32,
        /// The UIDs copied, in the order of `to`; not empty.
        from: UidSet,
        /// The UIDs given.
        to: UidSet,
    },
    /// CORRUPTION
    Corruption,
    /// EXPIRED
    Expired,
    /// EXPUNGEISSUED
    ExpungeIssued,
    /// HASCHILDREN
    HasChildren,
    /// HIGHESTMODSEQ (RFC 7162)
    HighestModSeq(ModSeq),
    /// INUSE
    InUse,
    /// LIMIT
    Limit,
    /// MAILBOXID (RFC 8474)
    MailboxId(String),
    /// MODIFIED (RFC 7162): numbers of the kind that the command used.
    Modified(UidSet),
    /// NOMODSEQ (RFC 7162)
    NoModSeq,
    /// NONEXISTENT
    NonExistent,
    /// NOPERM
    NoPerm,
    /// OVERQUOTA
    OverQuota,
    /// PARSE: headers of the message could not be read.
    Parse,
    /// PERMANENTFLAGS
    PermanentFlags {
        /// Flags that can be changed for good.
        flags: Flags,
        /// `\*`: new keywords can be made.
        new_keywords: bool,
    },
    /// PRIVACYREQUIRED
    PrivacyRequired,
    /// READ-ONLY
    ReadOnly,
    /// READ-WRITE
    ReadWrite,
    /// SERVERBUG
    ServerBug,
    /// TOOBIG (RFC 7889)
    TooBig,
    /// TRYCREATE
    TryCreate,
    /// UIDNEXT
    UidNext(Uid),
    /// UIDVALIDITY
    UidValidity(u32),
    /// UNAVAILABLE
    Unavailable,
    /// UNKNOWN-CTE (RFC 3516)
    UnknownCte,
    /// UNSEEN: the sequence number of the first message without \Seen.
    Unseen(u32),
    /// USEATTR (RFC 6154)
    UseAttr,
}

impl Code {
    fn write(&self, out: &mut Vec<u8>) {
        let text = match self {
            Code::AppendUid { uid_validity, uids } => {
                format!("APPENDUID {uid_validity} {}", uids.text())
            }
            Code::Capability(names) => format!("CAPABILITY {}", names.join(" ")),
            Code::CopyUid {
                uid_validity,
                from,
                to,
            } => format!("COPYUID {uid_validity} {} {}", from.text(), to.text()),
            Code::HighestModSeq(modseq) => format!("HIGHESTMODSEQ {modseq}"),
            Code::MailboxId(id) => format!("MAILBOXID ({id})"),
            Code::Modified(set) => format!("MODIFIED {}", set.text()),
            Code::PermanentFlags {
                flags,
                new_keywords,
            } => {
                out.extend_from_slice(b"PERMANENTFLAGS ");
                return permanent_flag_list(out, flags, *new_keywords);
            }
            Code::UidNext(uid) => format!("UIDNEXT {uid}"),
            Code::UidValidity(value) => format!("UIDVALIDITY {value}"),
            Code::Unseen(number) => format!("UNSEEN {number}"),
            plain => plain.name().to_owned(),
        };
        out.extend_from_slice(text.as_bytes());
    }

    /// The names of the codes that are nothing but their name; the others are written by [`Code::write`].
    fn name(&self) -> &'static str {
        match self {
            Code::Alert => "ALERT",
            Code::AlreadyExists => "ALREADYEXISTS",
            Code::AppendUid { .. } => "APPENDUID",
            Code::AuthenticationFailed => "AUTHENTICATIONFAILED",
            Code::AuthorizationFailed => "AUTHORIZATIONFAILED",
            Code::BadCharset => "BADCHARSET (US-ASCII UTF-8)",
            Code::Cannot => "CANNOT",
            Code::Capability(_) => "CAPABILITY",
            Code::ClientBug => "CLIENTBUG",
            Code::Closed => "CLOSED",
            Code::ContactAdmin => "CONTACTADMIN",
            Code::CopyUid { .. } => "COPYUID",
            Code::Corruption => "CORRUPTION",
            Code::Expired => "EXPIRED",
            Code::ExpungeIssued => "EXPUNGEISSUED",
            Code::HasChildren => "HASCHILDREN",
            Code::HighestModSeq(_) => "HIGHESTMODSEQ",
            Code::InUse => "INUSE",
            Code::Limit => "LIMIT",
            Code::MailboxId(_) => "MAILBOXID",
            Code::Modified(_) => "MODIFIED",
            Code::NoModSeq => "NOMODSEQ",
            Code::NonExistent => "NONEXISTENT",
            Code::NoPerm => "NOPERM",
            Code::OverQuota => "OVERQUOTA",
            Code::Parse => "PARSE",
            Code::PermanentFlags { .. } => "PERMANENTFLAGS",
            Code::PrivacyRequired => "PRIVACYREQUIRED",
            Code::ReadOnly => "READ-ONLY",
            Code::ReadWrite => "READ-WRITE",
            Code::ServerBug => "SERVERBUG",
            Code::TooBig => "TOOBIG",
            Code::TryCreate => "TRYCREATE",
            Code::UidNext(_) => "UIDNEXT",
            Code::UidValidity(_) => "UIDVALIDITY",
            Code::Unavailable => "UNAVAILABLE",
            Code::UnknownCte => "UNKNOWN-CTE",
            Code::Unseen(_) => "UNSEEN",
            Code::UseAttr => "USEATTR",
        }
    }
}

/// Why a command is not carried out: its whole answer as a value. What the framing, the grammar and the search keys refuse comes as this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The tag; `None` when the line had none (the answer is untagged then) or when the maker did not know it.
    pub tag: Option<String>,
    /// NO, BAD, or BYE.
    pub status: Status,
    /// The response code.
    pub code: Option<Box<Code>>,
    /// What was wrong, for people.
    pub text: String,
}

impl Refusal {
    /// A BAD without a tag.
    pub fn bad(text: impl Into<String>) -> Refusal {
        Refusal::new(Status::Bad, None, text)
    }

    /// A NO without a tag.
    pub fn no(code: Code, text: impl Into<String>) -> Refusal {
        Refusal::new(Status::No, Some(code), text)
    }

    /// A BYE: the connection ends with it.
    pub fn bye(code: Option<Code>, text: impl Into<String>) -> Refusal {
        Refusal::new(Status::Bye, code, text)
    }

    fn new(status: Status, code: Option<Code>, text: impl Into<String>) -> Refusal {
        Refusal {
            tag: None,
            status,
            code: code.map(Box::new),
            text: text.into(),
        }
    }

    /// The same for the command with this tag.
    #[must_use]
    pub fn tagged(self, tag: &str) -> Refusal {
        Refusal {
            tag: Some(tag.to_owned()),
            ..self
        }
    }

    /// Writes it as a line, tagged when it has a tag.
    pub fn write(&self, out: &mut Vec<u8>) {
        let prefix = self.tag.as_deref().unwrap_or("*");
        line(out, prefix, self.status, self.code.as_deref(), &self.text);
    }
}

/// The tagged answer that ends a command.
pub fn tagged(out: &mut Vec<u8>, tag: &str, status: Status, code: Option<&Code>, text: &str) {
    line(out, tag, status, code, text);
}

/// An untagged status answer.
pub fn untagged(out: &mut Vec<u8>, status: Status, code: Option<&Code>, text: &str) {
    line(out, "*", status, code, text);
}

/// A continuation request; `text` may be empty, or base64 of an AUTHENTICATE challenge.
pub fn continuation(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"+ ");
    plain_text(out, text);
    out.extend_from_slice(b"\r\n");
}

fn line(out: &mut Vec<u8>, prefix: &str, status: Status, code: Option<&Code>, text: &str) {
    plain_text(out, prefix);
    out.extend_from_slice(match status {
        Status::Ok => b" OK ".as_slice(),
        Status::No => b" NO ",
        Status::Bad => b" BAD ",
        Status::Bye => b" BYE ",
        Status::PreAuth => b" PREAUTH ",
    });
    if let Some(code) = code {
        out.push(b'[');
        code.write(out);
        out.extend_from_slice(b"] ");
    }
    plain_text(out, if text.is_empty() { "Done." } else { text });
    out.extend_from_slice(b"\r\n");
}

/// `TEXT-CHAR`s only: whatever else a text of ours or of a client's holds is a question mark.
fn plain_text(out: &mut Vec<u8>, text: &str) {
    out.extend(text.chars().map(|c| match c {
        ' '..='~' => u8::try_from(c).unwrap_or(b'?'),
        _ => b'?',
    }));
}
