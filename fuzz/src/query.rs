//! The grammar of IMAP, and queries: those that its SEARCH becomes, and those in the text form.

use std::sync::atomic::{AtomicU64, Ordering};

use coldpost_engine::query::{Expression, Query, plan};
use coldpost_engine::uidset::UidSet;
use coldpost_server::imap::ast::CommandBody;
use coldpost_server::imap::reply::{Refusal, Status};
use coldpost_server::imap::{grammar, mutf7, search_key};

use crate::{Target, imap, seeds as known};

/// Whole commands, literals inline, and queries as text.
pub const TARGET: Target = Target {
    name: "query",
    seeds,
    words: WORDS,
    opening: b"",
    feed,
    group: 1,
};

/// Words of both.
const WORDS: &[&[u8]] = &[
    b"a SEARCH ",
    b"UID ",
    b"RETURN (MIN) ",
    b"CHARSET UTF-8 ",
    b"{3+}\r\nabc",
    b"LIST \"\" ",
    b"OR ",
    b"NOT ",
    b"(",
    b")",
    b" or ",
    b" and ",
    b"not ",
    b"from ",
    b"mailbox Lists/% ",
    b"header list-id ",
    b"\"",
    b"\\u{1f4e7}",
    b"uid 1:5,9:* ",
    b"before ",
    b"2026-11-27 ",
    b"27-Nov-2026 ",
    b"1y ",
    b"larger ",
    b"64KiB ",
    b"MODSEQ 1 ",
    b"\xc3\xa9",
];

static QUERIES: AtomicU64 = AtomicU64::new(0);
static EXPRESSIONS: AtomicU64 = AtomicU64::new(0);

/// How many inputs were a query in the text form.
pub fn expressions() -> u64 {
    EXPRESSIONS.load(Ordering::Relaxed)
}

/// How many commands became a query of the engine.
pub fn queries() -> u64 {
    QUERIES.load(Ordering::Relaxed)
}

/// Parses a command, of which a SEARCH goes on to its plan; then the same bytes as a query in the text form.
pub fn feed(input: &[u8]) -> usize {
    command(input);
    expression(&String::from_utf8_lossy(input));
    input.len()
}

fn command(input: &[u8]) {
    let _ = grammar::parse_append_message(input);
    for name in input.split(|byte| *byte == b' ') {
        if let Ok(text) = mutf7::decode(name) {
            assert_eq!(mutf7::encode(&text).as_bytes(), name, "a name has one form");
        }
    }
    match grammar::parse(input) {
        Err(refusal) => is_one_line(&refusal),
        Ok(command) => {
            if let CommandBody::Search(search) = command.body {
                let uids = UidSet::from_ranges([(1, 3), (7, 7), (4_000_000_000, u32::MAX)]);
                match search_key::query(&search, &uids, &UidSet::new(), 1_790_000_000) {
                    Ok(query) => {
                        QUERIES.fetch_add(1, Ordering::Relaxed);
                        is_planned_once(&query);
                    }
                    Err(refusal) => is_one_line(&refusal),
                }
            }
        }
    }
}

/// What is read is printed and read again as the same; what is not is refused at a place, with the line.
fn expression(text: &str) {
    match text.parse::<Expression>() {
        Ok(expression) => {
            EXPRESSIONS.fetch_add(1, Ordering::Relaxed);
            let printed = expression.to_string();
            assert_eq!(printed.parse().as_ref(), Ok(&expression), "{printed:?}");
            assert!(!expression.steps().to_string().is_empty(), "{printed:?}");
            for mailbox in ["INBOX", "Lists/a"] {
                is_planned_once(&expression.at(1_790_000_000, mailbox));
            }
        }
        Err(wrong) => {
            assert!(text.get(wrong.place()).is_some(), "a place in the text");
            let shown = wrong.to_string();
            assert_eq!(shown.lines().count(), 3, "{shown:?}");
            assert!(
                shown.ends_with('^') && !wrong.said().is_empty(),
                "{shown:?}"
            );
        }
    }
}

fn is_planned_once(query: &Query) {
    let planned = plan(query);
    assert_eq!(plan(&planned), planned, "a plan is not planned otherwise");
}

fn is_one_line(refusal: &Refusal) {
    assert!(
        matches!(refusal.status, Status::Bad | Status::No),
        "{refusal:?}"
    );
    let mut out = Vec::new();
    refusal.write(&mut out);
    let line = out.strip_suffix(b"\r\n").expect("a line");
    assert!(
        line.iter().all(|byte| (b' '..=b'~').contains(byte)),
        "one line of plain text: {}",
        line.escape_ascii()
    );
}

/// Commands and queries, about as many of each.
fn seeds() -> Vec<Vec<u8>> {
    let commands = commands();
    let queries = known::queries();
    let often = commands.len() / queries.len().max(1) + 1;
    let queries = std::iter::repeat_n(queries, often).flatten();
    commands.iter().cloned().chain(queries).collect()
}

/// The lines of the dialogues and of the RFCs; SEARCH much more often than others.
fn commands() -> Vec<Vec<u8>> {
    let dialogues = known::imap_dialogues().into_iter().chain(imap::examples());
    let lines: Vec<Vec<u8>> = dialogues
        .flat_map(|dialogue| {
            dialogue
                .split(|byte| *byte == b'\n')
                .map(|line| line.trim_ascii_end().to_vec())
                .collect::<Vec<_>>()
        })
        .filter(|line| line.len() > 3)
        .collect();
    let is_search = |line: &&Vec<u8>| line.windows(6).any(|seen| seen == b"SEARCH");
    let searches: Vec<Vec<u8>> = lines.iter().filter(is_search).cloned().collect();
    let more = std::iter::repeat_n(searches, 8).flatten();
    lines.into_iter().chain(more).collect()
}
