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

#[test]
fn words_of_removed_messages_are_in_no_file_after_the_purge() {
    let (files, index, mut writer) = fresh();
    for position in 0..40 {
        add(
            &mut writer,
            position % 3,
            position,
            &format!("SECRETBODY{position} shared"),
            &format!("SECRETSUBJECT{position}"),
        );
        if position % 5 == 4 {
            writer.commit(b"").unwrap();
        }
    }
    for position in (0..40).filter(|position| position % 3 == 1 && position % 2 == 0) {
        writer.remove(1, id(position)).unwrap();
    }
    writer.remove_account(2).unwrap();
    add(&mut writer, 0, 3, "replaced", "");
    writer.commit(b"done").unwrap();
    let is_gone = |position: u64| {
        position == 3 || position % 3 == 2 || position % 3 == 1 && position.is_multiple_of(2)
    };
    let ask = Ask::new("shared", Fields::ALL, Fuzziness::Exact);
    let before: Vec<_> = (0..3)
        .map(|account| found(&writer.reader(), account, &ask))
        .collect();
    assert!(before[2].is_empty());
    let suggested = writer
        .reader()
        .complete(1, "SECRET", Fields::ALL, 64, &mut never())
        .unwrap();
    assert!(
        suggested
            .iter()
            .all(|word| !word.word.ends_with("Y4") && !word.word.ends_with("T4"))
    );
    let mut calls = 0;
    while writer.purge_deleted().unwrap() {
        calls += 1;
    }
    assert!(calls < 40);
    assert!(!writer.purge_deleted().unwrap());
    let after: Vec<_> = (0..3)
        .map(|account| found(&writer.reader(), account, &ask))
        .collect();
    assert_eq!(before, after);
    assert_eq!(index.payload().unwrap().as_deref(), Some(&b"done"[..]));

    let known = terms(&index);
    for position in 0..40 {
        for word in [
            format!("SECRETBODY{position}"),
            format!("SECRETSUBJECT{position}"),
        ] {
            let is_there = known.iter().any(|term| term.ends_with(&word));
            assert_eq!(is_there, !is_gone(position), "{word}");
        }
    }
    // Only files that count are left, so what tantivy lists is all there is.
    let segments = writer.reader().segments();
    drop((writer, index));
    assert!(
        files.names().len() <= 1 + segments * 6,
        "{:?}",
        files.names()
    );
    for name in files.names() {
        let bytes = files.bytes(&name);
        for position in (0..40).filter(|position| is_gone(*position)) {
            let word = format!("SECRETBODY{position}\0");
            let word = word.trim_end_matches('\0').as_bytes();
            let hits = bytes
                .windows(word.len() + 1)
                .filter(|window| window.starts_with(word));
            assert_eq!(
                hits.filter(|window| !window[word.len()].is_ascii_digit())
                    .count(),
                0,
                "{name}"
            );
        }
    }
}
