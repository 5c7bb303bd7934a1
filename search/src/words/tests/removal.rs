//! What is removed is gone, also from the files.

use super::*;

/// All terms of all dictionaries, as tantivy unpacks them.
fn terms(index: &WordIndex) -> Vec<String> {
    let mut terms = Vec::new();
    for segment in index.index.searchable_segments().unwrap() {
        let reader = tantivy::SegmentReader::open(&segment).unwrap();
        for field in [index.fields.keys, index.fields.bodies, index.fields.headers] {
            let words = reader.inverted_index(field).unwrap();
            let mut stream = words.terms().stream().unwrap();
            while let Some((term, _)) = stream.next() {
                terms.push(String::from_utf8(term.to_vec()).unwrap());
            }
        }
    }
    terms
}

const ACCOUNTS: u64 = 3;

fn account(position: u64) -> u64 {
    position % ACCOUNTS
}

/// Account 2 is removed, every second message of account 1, and message 3 is replaced.
fn is_gone(position: u64) -> bool {
    let is_removed = account(position) == 1 && position.is_multiple_of(2);
    position == 3 || account(position) == 2 || is_removed
}

fn removed() -> (MemoryFiles, WordIndex, Writer) {
    let (files, index, mut writer) = fresh();
    for position in 0..40 {
        let body = format!("SECRETBODY{position} shared");
        let subject = format!("SECRETSUBJECT{position}");
        add(&mut writer, account(position), position, &body, &subject);
        if position % 5 == 4 {
            writer.commit(b"").unwrap();
        }
    }
    let one = |position: &u64| account(*position) == 1 && position.is_multiple_of(2);
    for position in (0..40).filter(one) {
        writer.remove(1, id(position)).unwrap();
    }
    writer.remove_account(2).unwrap();
    add(&mut writer, 0, 3, "replaced", "");
    writer.commit(b"done").unwrap();
    (files, index, writer)
}

fn answers(writer: &Writer) -> Vec<Vec<u64>> {
    let ask = Ask::new("shared", Fields::ALL, Fuzziness::Exact);
    let accounts = 0..ACCOUNTS;
    accounts
        .map(|account| found(&writer.reader(), account, &ask))
        .collect()
}

#[test]
fn words_of_removed_messages_are_not_suggested_before_the_purge() {
    let (_, _, writer) = removed();
    for account in 0..ACCOUNTS {
        let words = writer
            .reader()
            .complete(account, "SECRETBODY", Fields::ALL, 64, &mut never())
            .unwrap();
        let mut left: Vec<String> = words.into_iter().map(|word| word.word).collect();
        left.sort();
        let there = (0..40).filter(|position| self::account(*position) == account);
        let there = there.filter(|position| !is_gone(*position));
        let mut there: Vec<String> = there
            .map(|position| format!("SECRETBODY{position}"))
            .collect();
        there.sort();
        assert_eq!(left, there);
    }
}

#[test]
fn words_of_removed_messages_are_in_no_file_after_the_purge() {
    let (files, index, mut writer) = removed();
    let before = answers(&writer);
    assert!(before[2].is_empty());
    let mut calls = 0;
    while writer.purge_deleted().unwrap() {
        calls += 1;
    }
    assert!(calls < 40);
    assert!(!writer.purge_deleted().unwrap());
    assert_eq!(before, answers(&writer));
    assert_eq!(index.payload().unwrap().as_deref(), Some(&b"done"[..]));
    let known = terms(&index);
    for position in 0..40 {
        for kind in ["BODY", "SUBJECT"] {
            let word = format!("SECRET{kind}{position}");
            let is_there = known.iter().any(|term| term.ends_with(&word));
            assert_eq!(is_there, !is_gone(position), "{word}");
        }
    }
    // All files are those of segments that count, whose terms were looked at.
    let names = files.names();
    let of_segments = writer.reader().segments() * 6;
    assert_eq!(names.len(), 1 + of_segments, "{names:?}");
}
