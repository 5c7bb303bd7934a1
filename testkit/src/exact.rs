//! Compares what IMAP gives back with what was sent, byte for byte: whole, header, fields, parts, ranges.
//!
//! Promises: knows the sent bytes and IMAP's rules only; a part is compared with the slice of the whole that it must be.
//! Never: parses MIME. Where a part lies is taken from BODYSTRUCTURE and proved by the bytes around it.

mod bytes;
mod parts;
mod sections;

use std::collections::BTreeMap;

use crate::dice::Dice;
use crate::imap::{Fetch, Imap, Reply};
use crate::must::Must;
use crate::sexp::Value;

pub use bytes::first_difference;
use bytes::{item, same_number};
use parts::Part;
use sections::Range;

/// Messages that are asked for at once.
const ASKED_AT_ONCE: usize = 32;
/// Differences that are told before the rest is only counted.
const TOLD_MAX: usize = 20;

/// A message that must be there.
#[derive(Clone, Debug)]
pub struct Expected {
    /// What it is called in the corpus.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// A Return-Path and a Received line stand before it.
    pub trace_lines: bool,
}

/// Compares the messages of a mailbox with `expected`, in order of their UIDs; gives the number of FETCH commands.
///
/// # Panics
/// With the differences.
#[track_caller]
pub fn check(imap: &mut Imap, mailbox: &str, expected: &[Expected]) -> usize {
    let selected = imap.command(&format!("EXAMINE {mailbox}")).ok();
    let count = expected.len() as u64;
    assert_eq!(
        selected.number("EXISTS"),
        Some(count),
        "messages in {mailbox}"
    );
    let mut differences = Vec::new();
    let mut seq = 1;
    for messages in expected.chunks(ASKED_AT_ONCE) {
        for (at, difference) in check_some(imap, seq, messages) {
            let name = &messages[at].name;
            differences.push(format!("{mailbox} {} ({name}): {difference}", seq + at));
        }
        seq += messages.len();
    }
    let told = &differences[..differences.len().min(TOLD_MAX)];
    assert!(
        differences.is_empty(),
        "{} of {count} messages differ:\n{}",
        differences.len(),
        told.join("\n")
    );
    expected.len() * 2
}

/// What is known of a message after the first question, and what is asked with the second.
struct Looked {
    whole: Vec<u8>,
    parts: Vec<Part>,
    ranges: Vec<Range>,
    cuts: Vec<Range>,
}

/// Asks for messages from `first` on, all at once, and then for their parts; gives what differs, by its place in `messages`.
fn check_some(imap: &mut Imap, first: usize, messages: &[Expected]) -> Vec<(usize, String)> {
    let whole = "RFC822.SIZE BODYSTRUCTURE BODY.PEEK[]".to_owned();
    let questions = (0..messages.len()).map(|at| (first + at, whole.clone()));
    let mut different = Vec::new();
    let mut looked = Vec::new();
    for (at, answer) in ask(imap, questions).into_iter().enumerate() {
        match answer.and_then(|fetch| look(&fetch, first + at, &messages[at])) {
            Ok(found) => looked.push((at, found)),
            Err(difference) => different.push((at, difference)),
        }
    }
    let questions = looked
        .iter()
        .map(|(at, found)| (first + at, found.question()));
    for ((at, found), answer) in looked.iter().zip(ask(imap, questions)) {
        if let Err(difference) = answer.and_then(|fetch| found.check_second(&fetch)) {
            different.push((*at, difference));
        }
    }
    different.sort();
    different
}

/// A FETCH for each sequence number with its items, all sent at once; the answers in their order. Servers may answer several such
/// commands before they end the first one (Dovecot does), so an answer counts whatever command it came with.
fn ask(
    imap: &mut Imap,
    questions: impl Iterator<Item = (usize, String)>,
) -> Vec<Result<Fetch, String>> {
    let (seqs, commands): (Vec<usize>, Vec<String>) = questions
        .map(|(seq, items)| (seq, format!("FETCH {seq} ({items})")))
        .unzip();
    let replies = imap.pipeline(&commands).must("sending FETCH commands");
    let mut fetches: BTreeMap<usize, Fetch> = replies
        .iter()
        .flat_map(Reply::fetches)
        .map(|fetch| (fetch.seq as usize, fetch))
        .collect();
    seqs.iter()
        .zip(&replies)
        .map(|(seq, reply)| {
            let fetch = fetches.remove(seq).filter(|_| reply.is_ok());
            fetch.ok_or_else(|| format!("FETCH gave {} {}", reply.status, reply.text))
        })
        .collect()
}

fn look(fetch: &Fetch, seq: usize, expected: &Expected) -> Result<Looked, String> {
    let whole = item(fetch, "BODY[]")?;
    check_whole(&whole, &expected.bytes, expected.trace_lines)?;
    let size = fetch.get("RFC822.SIZE").and_then(Value::number);
    same_number("RFC822.SIZE", size, whole.len())?;
    let structure = fetch.get("BODYSTRUCTURE").ok_or("no BODYSTRUCTURE")?;
    let parts = Part::all(structure);
    let mut dice = Dice::new(seq as u64);
    let ranges = (0..3)
        .map(|_| Range::draw(&mut dice, whole.len()))
        .collect();
    let cuts = parts::cuts(&parts, &mut dice);
    Ok(Looked {
        whole,
        parts,
        ranges,
        cuts,
    })
}

impl Looked {
    fn question(&self) -> String {
        let sections = sections::question(&self.whole, &self.ranges);
        format!("{sections}{}", parts::question(&self.parts, &self.cuts))
    }

    fn check_second(&self, fetch: &Fetch) -> Result<(), String> {
        sections::check(fetch, &self.whole)?;
        sections::check_ranges(fetch, &self.whole, &self.ranges)?;
        parts::check(fetch, &self.whole, &self.parts)?;
        parts::check_cuts(fetch, &self.cuts)
    }
}

/// Compares a whole message as IMAP gives it with what was sent; before it stand exactly a Return-Path and a Received line
/// (`trace_lines`) or nothing.
///
/// # Errors
/// What is different.
pub fn check_whole(whole: &[u8], sent: &[u8], trace_lines: bool) -> Result<(), String> {
    // IMAP has no way to send NUL.
    let sent: Vec<u8> = sent
        .iter()
        .map(|byte| if *byte == 0 { 0x80 } else { *byte })
        .collect();
    let Some(added) = whole.strip_suffix(sent.as_slice()) else {
        let end = &whole[whole.len().saturating_sub(sent.len())..];
        return Err(first_difference("the message", end, &sent));
    };
    if !trace_lines && !added.is_empty() {
        return Err(format!("{} bytes stand before it", added.len()));
    }
    let fields = bytes::fields(added);
    let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    let length: usize = fields.iter().map(|(_, lines)| lines.len()).sum();
    let expected: &[&str] = if trace_lines {
        &["return-path", "received"]
    } else {
        &[]
    };
    if names == expected && length == added.len() {
        return Ok(());
    }
    let added = String::from_utf8_lossy(added);
    Err(format!("added lines are {added:?}"))
}
