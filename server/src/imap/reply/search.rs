//! Answers to SEARCH, SORT and ESEARCH (RFC 3501, 7.2.5; RFC 4731; RFC 5256; RFC 7377; RFC 9394).

use coldpost_engine::ids::ModSeq;

use super::string::{decimal, mailbox_name, quoted};
use crate::imap::ast::{Numbers, Page};

/// `* SEARCH 1 2 3` or `* SORT 3 1 2`, with the highest modseq of the found when the client asked by MODSEQ.
pub fn found(
    out: &mut Vec<u8>,
    name: &str,
    numbers: impl Iterator<Item = u32>,
    modseq: Option<ModSeq>,
) {
    out.extend_from_slice(b"* ");
    out.extend_from_slice(name.as_bytes());
    let before = out.len();
    for number in numbers {
        out.push(b' ');
        decimal(out, number.into());
    }
    if let Some(modseq) = modseq.filter(|_| out.len() > before) {
        out.extend_from_slice(format!(" (MODSEQ {modseq})").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// What an ESEARCH answer says; what is `None` is not said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Esearch<'a> {
    /// The tag of the command that asked.
    pub tag: &'a str,
    /// Name and UIDVALIDITY of the mailbox, where several were searched (RFC 7377).
    pub mailbox: Option<(&'a str, u32)>,
    /// What the numbers are.
    pub numbers: Numbers,
    /// MIN
    pub min: Option<u32>,
    /// MAX
    pub max: Option<u32>,
    /// ALL as it is written; an empty text is not said.
    pub all: Option<String>,
    /// PARTIAL as it was asked, and what it has; an empty text is NIL.
    pub partial: Option<(Page, String)>,
    /// COUNT
    pub count: Option<u32>,
    /// MODSEQ (RFC 4731, 3.2)
    pub modseq: Option<ModSeq>,
    /// RELEVANCY (RFC 6203, 4), of the messages told in their order; none is not said.
    pub relevancy: Vec<u8>,
}

/// `* ESEARCH (TAG "…") …`
pub fn esearch(out: &mut Vec<u8>, answer: Esearch<'_>) {
    out.extend_from_slice(b"* ESEARCH (TAG ");
    quoted(out, answer.tag.as_bytes());
    if let Some((name, uid_validity)) = answer.mailbox {
        out.extend_from_slice(b" MAILBOX ");
        mailbox_name(out, name);
        out.extend_from_slice(format!(" UIDVALIDITY {uid_validity}").as_bytes());
    }
    out.push(b')');
    if answer.numbers == Numbers::Uid {
        out.extend_from_slice(b" UID");
    }
    let partial = answer.partial.map(|(page, text)| {
        let text = if text.is_empty() { "NIL" } else { &text };
        format!("({page} {text})")
    });
    let said = [
        ("MIN", answer.min.map(|n| n.to_string())),
        ("MAX", answer.max.map(|n| n.to_string())),
        ("ALL", answer.all.filter(|text| !text.is_empty())),
        ("PARTIAL", partial),
        ("COUNT", answer.count.map(|n| n.to_string())),
        ("MODSEQ", answer.modseq.map(|n| n.to_string())),
        ("RELEVANCY", scores(&answer.relevancy)),
    ];
    for (name, value) in said {
        if let Some(value) = value {
            out.extend_from_slice(format!(" {name} {value}").as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn scores(relevancy: &[u8]) -> Option<String> {
    let scores: Vec<String> = relevancy.iter().map(u8::to_string).collect();
    (!scores.is_empty()).then(|| format!("({})", scores.join(" ")))
}

/// `* THREAD`, before the first thread.
pub fn thread_begins(out: &mut Vec<u8>, is_empty: bool) {
    out.extend_from_slice(if is_empty { b"* THREAD" } else { b"* THREAD " });
}

/// A thread, or a branch of one behind a message, begins.
pub fn branch_begins(out: &mut Vec<u8>, follows_message: bool) {
    out.extend_from_slice(if follows_message { b" (" } else { b"(" });
}

/// A message of a thread.
pub fn thread_member(out: &mut Vec<u8>, number: u32, follows_message: bool) {
    if follows_message {
        out.push(b' ');
    }
    decimal(out, number.into());
}

/// A thread or a branch ends.
pub fn branch_ends(out: &mut Vec<u8>) {
    out.push(b')');
}

/// The answer ends.
pub fn thread_ends(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}
