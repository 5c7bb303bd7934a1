//! Untagged answers about the server and about mailboxes (RFC 3501, 7.2 to 7.4.1).

use std::borrow::Cow;

use coldpost_engine::flags::{Flags, SystemFlags};
use coldpost_engine::uidset::UidSet;
use coldpost_engine::view::SpecialUse;

use super::string::{mailbox_name, nstring};
use crate::imap::ast::StatusItem;

/// Names of the system flags in the order in which they are written.
const SYSTEM_FLAGS: [(SystemFlags, &str); 5] = [
    (SystemFlags::ANSWERED, "\\Answered"),
    (SystemFlags::FLAGGED, "\\Flagged"),
    (SystemFlags::DELETED, "\\Deleted"),
    (SystemFlags::SEEN, "\\Seen"),
    (SystemFlags::DRAFT, "\\Draft"),
];

/// `* CAPABILITY …`
pub fn capability(out: &mut Vec<u8>, names: &[Cow<'static, str>]) {
    line(out, &format!("CAPABILITY {}", names.join(" ")));
}

/// `* ENABLED …` (RFC 5161); without names when nothing new was enabled.
pub fn enabled(out: &mut Vec<u8>, names: &[&str]) {
    let names: String = names.iter().map(|name| format!(" {name}")).collect();
    line(out, &format!("ENABLED{names}"));
}

/// `* ID (…)` (RFC 2971); NIL without pairs.
pub fn id(out: &mut Vec<u8>, pairs: &[(&str, &str)]) {
    out.extend_from_slice(b"* ID ");
    if pairs.is_empty() {
        out.extend_from_slice(b"NIL");
    } else {
        for (i, (name, value)) in pairs.iter().enumerate() {
            out.push(if i == 0 { b'(' } else { b' ' });
            nstring(out, Some(name.as_bytes()));
            out.push(b' ');
            nstring(out, Some(value.as_bytes()));
        }
        out.push(b')');
    }
    out.extend_from_slice(b"\r\n");
}

/// `* NAMESPACE …` (RFC 2342): one personal namespace without a prefix, separator `/`, and nobody else's.
pub fn namespace(out: &mut Vec<u8>) {
    line(out, "NAMESPACE ((\"\" \"/\")) NIL NIL");
}

/// A mailbox in LIST and LSUB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListName<'a> {
    /// Its name in UTF-8; empty for the answer to `LIST "" ""`.
    pub name: &'a str,
    /// Attributes as they are written, such as `\HasNoChildren`.
    pub attributes: &'a [&'a str],
    /// Its special use, written after the attributes.
    pub special_use: Option<SpecialUse>,
    /// CHILDINFO ("SUBSCRIBED") (RFC 5258): a child matched that is not listed itself.
    pub child_subscribed: bool,
}

/// `* LIST (…) "/" name`
pub fn list(out: &mut Vec<u8>, name: &ListName<'_>) {
    list_line(out, "LIST", name);
}

/// `* LSUB (…) "/" name`
pub fn lsub(out: &mut Vec<u8>, name: &ListName<'_>) {
    list_line(out, "LSUB", name);
}

fn list_line(out: &mut Vec<u8>, word: &str, name: &ListName<'_>) {
    let special_use = name.special_use.map(special_use_attribute);
    let attributes: Vec<&str> = name.attributes.iter().copied().chain(special_use).collect();
    out.extend_from_slice(format!("* {word} ({}) \"/\" ", attributes.join(" ")).as_bytes());
    mailbox_name(out, name.name);
    if name.child_subscribed {
        out.extend_from_slice(b" (\"CHILDINFO\" (\"SUBSCRIBED\"))");
    }
    out.extend_from_slice(b"\r\n");
}

/// The attribute of a special use (RFC 6154).
fn special_use_attribute(special_use: SpecialUse) -> &'static str {
    match special_use {
        SpecialUse::All => "\\All",
        SpecialUse::Archive => "\\Archive",
        SpecialUse::Drafts => "\\Drafts",
        SpecialUse::Flagged => "\\Flagged",
        SpecialUse::Junk => "\\Junk",
        SpecialUse::Sent => "\\Sent",
        SpecialUse::Trash => "\\Trash",
    }
}

/// A value of STATUS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusValue {
    /// Most items.
    Number(u64),
    /// MAILBOXID
    Id(String),
    /// APPENDLIMIT of a mailbox without one.
    Nil,
}

/// `* STATUS name (…)`
pub fn status(out: &mut Vec<u8>, mailbox: &str, values: &[(StatusItem, StatusValue)]) {
    out.extend_from_slice(b"* STATUS ");
    mailbox_name(out, mailbox);
    let values: Vec<String> = values
        .iter()
        .map(|(item, value)| {
            let name = status_item(*item);
            match value {
                StatusValue::Number(number) => format!("{name} {number}"),
                StatusValue::Id(id) => format!("{name} ({id})"),
                StatusValue::Nil => format!("{name} NIL"),
            }
        })
        .collect();
    out.extend_from_slice(format!(" ({})\r\n", values.join(" ")).as_bytes());
}

fn status_item(item: StatusItem) -> &'static str {
    match item {
        StatusItem::Messages => "MESSAGES",
        StatusItem::Recent => "RECENT",
        StatusItem::UidNext => "UIDNEXT",
        StatusItem::UidValidity => "UIDVALIDITY",
        StatusItem::Unseen => "UNSEEN",
        StatusItem::Deleted => "DELETED",
        StatusItem::Size => "SIZE",
        StatusItem::HighestModSeq => "HIGHESTMODSEQ",
        StatusItem::MailboxId => "MAILBOXID",
        StatusItem::AppendLimit => "APPENDLIMIT",
    }
}

/// `* FLAGS (…)`
pub fn flags(out: &mut Vec<u8>, flags: &Flags) {
    out.extend_from_slice(b"* FLAGS ");
    flag_list(out, flags);
    out.extend_from_slice(b"\r\n");
}

fn flag_list(out: &mut Vec<u8>, flags: &Flags) {
    let keywords = flags.keywords.iter().map(String::as_str);
    list_of_flags(out, flags.system, keywords, None);
}

/// A list of flags as PERMANENTFLAGS has it, with `\*` when keywords can be made.
pub(super) fn permanent_flag_list(out: &mut Vec<u8>, flags: &Flags, new_keywords: bool) {
    flag_list(out, flags);
    if new_keywords {
        out.pop();
        out.extend_from_slice(if out.ends_with(b"(") {
            b"\\*)"
        } else {
            b" \\*)"
        });
    }
}

/// A list of flags in parentheses, with `recent` behind those of the system: a piece of FETCH and FLAGS.
pub(super) fn list_of_flags<'k>(
    out: &mut Vec<u8>,
    system: SystemFlags,
    keywords: impl Iterator<Item = &'k str>,
    recent: Option<&'k str>,
) {
    let system = SYSTEM_FLAGS
        .iter()
        .filter(|(flag, _)| system.contains(*flag))
        .map(|(_, name)| *name);
    out.push(b'(');
    let mut is_first = true;
    for name in system.chain(recent).chain(keywords) {
        if !std::mem::take(&mut is_first) {
            out.push(b' ');
        }
        out.extend_from_slice(name.as_bytes());
    }
    out.push(b')');
}

/// `* n EXISTS`
pub fn exists(out: &mut Vec<u8>, count: u32) {
    line(out, &format!("{count} EXISTS"));
}

/// `* n RECENT`
pub fn recent(out: &mut Vec<u8>, count: u32) {
    line(out, &format!("{count} RECENT"));
}

/// `* n EXPUNGE`
pub fn expunge(out: &mut Vec<u8>, number: u32) {
    line(out, &format!("{number} EXPUNGE"));
}

/// `* VANISHED uids` (RFC 7162); `earlier` when they vanished before this session saw them. Nothing for no UIDs.
pub fn vanished(out: &mut Vec<u8>, uids: &UidSet, earlier: bool) {
    if !uids.is_empty() {
        let earlier = if earlier { "(EARLIER) " } else { "" };
        line(out, &format!("VANISHED {earlier}{}", uids.text()));
    }
}

fn line(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(b"* ");
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}
