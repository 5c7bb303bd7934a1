//! SORT and THREAD of real mail, here and by Dovecot.

use coldpost_testkit::imap::Imap;
use coldpost_testkit::{Must, corpus};

/// Every so many messages of the corpus are taken.
const STEP: usize = 12;
const KEYS: &[&str] = &[
    "ARRIVAL",
    "CC",
    "DATE",
    "FROM",
    "SIZE",
    "SUBJECT",
    "TO",
    "DISPLAYFROM",
    "DISPLAYTO",
];
const ALGORITHMS: &[&str] = &["ORDEREDSUBJECT", "REFERENCES", "REFS"];

/// Broken dates and display names may be read otherwise (`docs/imap.md`); all other keys are the same.
pub(crate) fn may_differ(key: &str) -> bool {
    key.ends_with("DATE") || key.contains("DISPLAY")
}

/// What a server makes of the same mail.
pub(crate) struct Ordered {
    /// The numbers of SORT by each key, and by it in reverse.
    pub(crate) sorted: Vec<(String, Vec<u32>)>,
    /// The answers to THREAD.
    pub(crate) threads: Vec<(String, String)>,
}

/// Mail, every so many messages of the corpus: with a date of arrival that is neither ascending nor that of sending.
pub(crate) fn mails(step: usize) -> Vec<(String, Vec<u8>)> {
    let mails = corpus::selection(step).into_iter();
    let mails = mails.filter(|(_, mail)| is_taken(mail));
    let dated = mails.enumerate().map(|(at, (_, mail))| {
        let (day, second) = (1 + at * 7 % 28, at % 60);
        let date = format!("\"{day:02}-Jan-2003 10:00:{second:02} +0000\"");
        (date, corpus::crlf(mail))
    });
    dated.collect()
}

/// How many of them, the first ones, are no torture.
pub(crate) fn real(step: usize) -> usize {
    let torture = corpus::torture().iter();
    mails(step).len() - torture.filter(|(_, mail)| is_taken(mail)).count()
}

fn is_taken(mail: &[u8]) -> bool {
    !mail.is_empty() && !mail.contains(&0)
}

/// Fills INBOX and asks.
pub(crate) fn asked(imap: &mut Imap) -> Ordered {
    for (date, mail) in mails(STEP) {
        imap.append("INBOX", &date, &mail);
    }
    imap.command("SELECT INBOX").ok();
    let mut sorted = Vec::new();
    for key in KEYS {
        for order in [(*key).to_owned(), format!("REVERSE {key}")] {
            let reply = imap.command(&format!("SORT ({order}) UTF-8 ALL")).ok();
            let line = reply.lines("SORT").pop().must("an answer to SORT");
            let numbers = line.split(' ').filter_map(|word| word.parse().ok());
            sorted.push((order, numbers.collect()));
        }
    }
    let threads = ALGORITHMS.iter().map(|algorithm| {
        let reply = imap.command(&format!("THREAD {algorithm} UTF-8 ALL")).ok();
        let line = reply.lines("THREAD").pop().must("an answer to THREAD");
        ((*algorithm).to_owned(), line)
    });
    Ordered {
        threads: threads.collect(),
        sorted,
    }
}

/// The messages that stand elsewhere: those that have to go until both orders are the same.
pub(crate) fn moved<T: Copy + PartialEq>(ours: &[T], theirs: &[T]) -> Vec<T> {
    // The longest common subsequence of two orders of the same numbers is a longest ascending one of their places.
    let place = |number: &T| theirs.iter().position(|other| other == number);
    let places: Vec<Option<usize>> = ours.iter().map(place).collect();
    let mut best: Vec<(usize, Option<usize>)> = Vec::new();
    for (at, here) in places.iter().enumerate() {
        let is_before = |other: &usize| places[*other].is_some() && places[*other] < *here;
        let before = (0..at).filter(is_before);
        let last = before.max_by_key(|other| best[*other].0);
        best.push((last.map_or(0, |last| best[last].0) + 1, last));
    }
    let mut kept = vec![false; ours.len()];
    let mut at = (0..best.len()).max_by_key(|at| best[*at].0);
    while let Some(here) = at {
        kept[here] = true;
        at = best[here].1;
    }
    let moved = ours.iter().zip(kept).filter(|(_, kept)| !kept);
    moved.map(|(number, _)| *number).collect()
}

/// The threads of an answer, each as it is written.
pub(crate) fn single(threads: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0_u32, 0, Vec::new());
    for (at, character) in threads.char_indices() {
        match character {
            '(' if depth == 0 => (start, depth) = (at, 1),
            '(' => depth += 1,
            ')' if depth == 1 => {
                depth = 0;
                found.push(&threads[start..=at]);
            }
            ')' => depth -= 1,
            _ => {}
        }
    }
    found
}

/// A message by what it is ordered by.
pub(crate) fn shown(imap: &mut Imap, number: u32) -> String {
    let fields = "DATE SUBJECT FROM TO CC MESSAGE-ID REFERENCES IN-REPLY-TO";
    let command = format!("FETCH {number} (INTERNALDATE BODY.PEEK[HEADER.FIELDS ({fields})])");
    let reply = imap.command(&command);
    let text = reply
        .untagged
        .iter()
        .map(|line| String::from_utf8_lossy(line));
    text.collect::<String>().chars().take(900).collect()
}
