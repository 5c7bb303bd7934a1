//! The grammar of IMAP, and the queries that its SEARCH becomes.

use std::sync::atomic::{AtomicU64, Ordering};

use coldpost_engine::query::plan;
use coldpost_engine::uidset::UidSet;
use coldpost_server::imap::ast::CommandBody;
use coldpost_server::imap::reply::{Refusal, Status};
use coldpost_server::imap::{grammar, mutf7, search_key};

use crate::{Target, imap, seeds};

/// Whole commands, literals inline.
pub const TARGET: Target = Target {
    name: "query",
    seeds: commands,
    words: imap::WORDS,
    opening: b"",
    feed,
    group: 1,
};

static QUERIES: AtomicU64 = AtomicU64::new(0);

/// How many inputs became a query of the engine.
pub fn queries() -> u64 {
    QUERIES.load(Ordering::Relaxed)
}

/// Parses a command; a SEARCH goes on to its plan.
pub fn feed(input: &[u8]) -> usize {
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
                        let planned = plan(&query);
                        assert_eq!(plan(&planned), planned, "a plan is not planned otherwise");
                    }
                    Err(refusal) => is_one_line(&refusal),
                }
            }
        }
    }
    input.len()
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

/// The lines of the dialogues and of the RFCs; SEARCH more often than others.
fn commands() -> Vec<Vec<u8>> {
    let dialogues = seeds::imap_dialogues().into_iter().chain(imap::examples());
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
    lines
        .into_iter()
        .chain(searches.iter().cloned())
        .chain(searches.iter().cloned())
        .collect()
}
