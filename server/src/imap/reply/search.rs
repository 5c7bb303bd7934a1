//! Answers to SEARCH (RFC 3501, 7.2.5; RFC 4731).

use coldpost_engine::ids::ModSeq;
use coldpost_engine::uidset::UidSet;

use super::string::quoted;
use crate::imap::ast::Numbers;

/// `* SEARCH 1 2 3`, with the highest modseq of the found when the client asked by MODSEQ.
pub fn search(out: &mut Vec<u8>, found: &UidSet, modseq: Option<ModSeq>) {
    out.extend_from_slice(b"* SEARCH");
    for number in found.iter() {
        out.extend_from_slice(format!(" {number}").as_bytes());
    }
    if let Some(modseq) = modseq.filter(|_| !found.is_empty()) {
        out.extend_from_slice(format!(" (MODSEQ {modseq})").as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// What an ESEARCH answer says; what is `None` is not said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Esearch<'a> {
    /// The tag of the command that asked.
    pub tag: &'a str,
    /// What the numbers are.
    pub numbers: Numbers,
    /// MIN
    pub min: Option<u32>,
    /// MAX
    pub max: Option<u32>,
    /// ALL; an empty set is not said.
    pub all: Option<&'a UidSet>,
    /// COUNT
    pub count: Option<u32>,
    /// MODSEQ (RFC 4731, 3.2)
    pub modseq: Option<ModSeq>,
}

/// `* ESEARCH (TAG "…") …`
pub fn esearch(out: &mut Vec<u8>, answer: &Esearch<'_>) {
    out.extend_from_slice(b"* ESEARCH (TAG ");
    quoted(out, answer.tag.as_bytes());
    out.push(b')');
    if answer.numbers == Numbers::Uid {
        out.extend_from_slice(b" UID");
    }
    let all = answer.all.filter(|set| !set.is_empty());
    let said = [
        ("MIN", answer.min.map(|n| n.to_string())),
        ("MAX", answer.max.map(|n| n.to_string())),
        ("ALL", all.map(UidSet::text)),
        ("COUNT", answer.count.map(|n| n.to_string())),
        ("MODSEQ", answer.modseq.map(|n| n.to_string())),
    ];
    for (name, value) in said {
        if let Some(value) = value {
            out.extend_from_slice(format!(" {name} {value}").as_bytes());
        }
    }
    out.extend_from_slice(b"\r\n");
}
