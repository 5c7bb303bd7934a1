//! Answers against a plain look through the words.

use std::collections::BTreeMap;

use expect_test::expect;
use proptest::prelude::*;

use super::*;
use crate::fold::fold;

#[test]
fn words_are_found_in_the_fields_that_are_asked_and_better_ones_first() {
    let (_, _, mut writer) = fresh();
    add(
        &mut writer,
        1,
        1,
        "The invoice for November, again an invoice.",
        "Hello",
    );
    add(&mut writer, 1, 2, "Nothing here but an invocie.", "Lunch");
    add(&mut writer, 1, 3, "See attachment.", "Invoice 17");
    add(
        &mut writer,
        1,
        4,
        "Résumé and 東京都の天気, invoices too",
        "Work",
    );
    let texts = [(Field::From, "ANN@EXAMPLE.ORG"), (Field::To, "BOB INVOICE")];
    writer.add(1, id(5), &texts).unwrap();
    add(&mut writer, 2, 6, "invoice of somebody else", "invoice");
    writer.commit(b"").unwrap();
    let reader = writer.reader();
    let asked = |text: &str, fields, fuzziness| {
        let ask = Ask::new(text, fields, fuzziness);
        let hits = reader.ask(1, &ask, 10, &mut never()).unwrap();
        let hits = hits
            .hits
            .iter()
            .map(|(id, score)| format!("{} {score:.2}", id.position));
        format!("{text}: {}\n", hits.collect::<Vec<_>>().join(", "))
    };
    use Fuzziness::{ByLength, Exact};
    let headers = Fields::HEADERS;
    let answers = [
        asked("invoice", Fields::ALL, Exact),
        asked("invoice", Fields::ALL, ByLength),
        asked("invoice", headers, Exact),
        asked("invoice", Fields::of(&[Field::To, Field::From]), Exact),
        asked("resume", Fields::BODIES, Exact),
        asked("京都", Fields::ALL, ByLength),
        asked("invoice again", Fields::ALL, ByLength),
        asked("invoice lunch", Fields::ALL, ByLength),
        asked("ann bob", Fields::ALL, Exact),
        asked("absent", Fields::ALL, ByLength),
        asked("...", Fields::ALL, ByLength),
    ];
    expect![[r#"
        invoice: 5 2.77, 3 2.77, 1 1.66
        invoice: 5 2.77, 3 2.77, 1 0.65, 2 0.26, 4 0.19
        invoice: 5 2.77, 3 2.77
        invoice: 5 2.77
        resume: 4 1.00
        京都: 4 1.00
        invoice again: 1 1.79
        invoice lunch: 2 3.03
        ann bob: 5 5.55
        absent: 
        ...: 
    "#]]
    .assert_eq(&answers.concat());
    let prefix = Ask::new("an inv", Fields::BODIES, Exact).with_prefix();
    let mut positions = found(&reader, 1, &prefix);
    positions.sort_unstable();
    assert_eq!(positions, [1, 2]);
    let hits = reader.ask(1, &prefix, 1, &mut never()).unwrap();
    assert_eq!((hits.total, hits.hits.len()), (2, 1));
}

#[test]
fn words_go_on_and_are_corrected_by_what_the_account_has() {
    let (_, _, mut writer) = fresh();
    for (position, body) in ["invoice inventory", "invoice involve", "invite", "invoices"]
        .iter()
        .enumerate()
    {
        add(&mut writer, 1, position as u64, body, "");
    }
    add(&mut writer, 2, 9, "invention invoicing", "");
    writer.commit(b"").unwrap();
    let reader = writer.reader();
    let shown = |words: Vec<Suggested>| {
        let words = words
            .iter()
            .map(|word| format!("{} {} {}", word.word, word.count, word.edits));
        words.collect::<Vec<_>>().join(", ")
    };
    let complete = reader
        .complete(1, "inv", Fields::ALL, 3, &mut never())
        .unwrap();
    let suggest = reader
        .suggest(1, "invoicse", Fields::ALL, 9, &mut never())
        .unwrap();
    let both = format!("{}\n{}\n", shown(complete), shown(suggest));
    expect![[r#"
        INVOICE 2 0, INVENTORY 1 0, INVITE 1 0
        INVOICE 2 1, INVOICES 1 1
    "#]]
    .assert_eq(&both);
    assert!(
        reader
            .complete(1, "", Fields::ALL, 9, &mut never())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn of_a_message_with_too_many_words_the_first_different_ones_count() {
    let (_, _, mut writer) = fresh();
    let most = crate::limits::WORDS_DISTINCT_MAX;
    let words: Vec<String> = (0..most + 10).map(|number| format!("W{number}")).collect();
    let body = format!("{} W5", words.join(" "));
    writer
        .add(1, id(1), &[(Field::Body, &body), (Field::Subject, "S")])
        .unwrap();
    writer.commit(b"").unwrap();
    let is_found = |word: &str| {
        let ask = Ask::new(word, Fields::ALL, Fuzziness::Exact);
        !found(&writer.reader(), 1, &ask).is_empty()
    };
    assert!(is_found("s") && is_found("w5") && is_found(&words[most - 2]));
    assert!(!is_found(&words[most]) && !is_found(&words[most + 9]));
}

#[test]
fn a_writer_that_has_too_many_changes_says_so_until_it_commits() {
    let (_, _, mut writer) = fresh();
    for position in 0..crate::limits::WORDS_CHANGES_MAX as u64 {
        writer.remove(1, id(position)).unwrap();
    }
    let full = writer.add(1, id(1), &[(Field::Body, "WORD")]);
    assert!(full.is_err_and(|error| !error.is_corrupt()));
    assert!(
        writer
            .commit(&vec![0; crate::limits::WORDS_PAYLOAD_MAX + 1])
            .is_err()
    );
    writer
        .commit(&vec![0; crate::limits::WORDS_PAYLOAD_MAX])
        .unwrap();
    writer.add(1, id(1), &[(Field::Body, "WORD")]).unwrap();
}

#[test]
fn who_is_late_is_told_so() {
    let (_, _, mut writer) = fresh();
    add(&mut writer, 1, 1, "word", "");
    writer.commit(b"").unwrap();
    let reader = writer.reader();
    let ask = Ask::new("word", Fields::ALL, Fuzziness::Exact);
    let late = reader.ask(1, &ask, 1, &mut || true);
    assert!(matches!(late, Err(crate::Error::Late)));
    let late = reader.suggest(1, "word", Fields::ALL, 1, &mut || true);
    assert!(matches!(late, Err(crate::Error::Late)));
}

/// Edits between two words, neighbours that changed places as one.
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, _) => j,
                (_, 0) => i,
                _ => {
                    let same = usize::from(a[i - 1] != b[j - 1]);
                    let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    best = best.min(rows[i - 1][j - 1] + same);
                    if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                        best = best.min(rows[i - 2][j - 2] + 1);
                    }
                    best
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

type Mail = BTreeMap<(u64, u64), [Vec<String>; 2]>;

fn naive(
    mail: &Mail,
    account: u64,
    text: &str,
    fields: Fields,
    fuzzy: bool,
    prefix: bool,
) -> Vec<u64> {
    let words = words_of(&fold(text));
    let matches = |texts: &[Vec<String>; 2]| {
        let all = words.iter().enumerate().all(|(number, word)| {
            let allowed = match (fuzzy, word.chars().count()) {
                (false, _) | (_, ..=3) => 0,
                (_, 4..=7) => 1,
                _ => 2,
            };
            let is_last = prefix && number + 1 == words.len();
            let is_meant = |has: &String| {
                edits(has, word) <= allowed || is_last && has.starts_with(word.as_str())
            };
            let of = |field, number: usize| fields.has(field) && texts[number].iter().any(is_meant);
            of(Field::Body, 0) || of(Field::Subject, 1)
        });
        all && !words.is_empty()
    };
    let of_account = mail
        .iter()
        .filter(|((of, _), texts)| *of == account && matches(texts));
    of_account.map(|((_, position), _)| *position).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn exactly_the_messages_that_have_all_words_are_found(
        steps in prop::collection::vec((0u64..3, 0u64..12, "([abc]{1,5} |äbc東京 ){0,6}", "[abc]{0,9}", 0u8..8), 1..40),
        asks in prop::collection::vec(("[abc]{1,9}( [abcd]{2,9})?", 0u8..3, any::<bool>(), any::<bool>()), 12),
    ) {
        let (_, _, mut writer) = fresh();
        let mut mail = Mail::new();
        for (account, position, body, subject, what) in &steps {
            match what {
                0 => {
                    writer.remove(*account, id(*position)).unwrap();
                    mail.remove(&(*account, *position));
                }
                1 => {
                    writer.remove_account(*account).unwrap();
                    mail.retain(|(of, _), _| of != account);
                }
                2 => writer.commit(b"").unwrap(),
                3 => while writer.purge_deleted().unwrap() {},
                _ => {
                    add(&mut writer, *account, *position, body, subject);
                    let words = [body, subject].map(|text| words_of(&fold(text)));
                    mail.insert((*account, *position), words);
                }
            }
        }
        writer.commit(b"").unwrap();
        let reader = writer.reader();
        for (text, fields, fuzzy, prefix) in &asks {
            let fields = [Fields::ALL, Fields::BODIES, Fields::HEADERS][usize::from(*fields)];
            let fuzziness = if *fuzzy { Fuzziness::ByLength } else { Fuzziness::Exact };
            let mut ask = Ask::new(text, fields, fuzziness);
            if *prefix {
                ask = ask.with_prefix();
            }
            for account in 0..3 {
                let scores = reader.scores(account, &ask, &mut never()).unwrap();
                let positions: Vec<u64> = scores.iter().map(|(id, _)| id.position).collect();
                prop_assert_eq!(&positions, &naive(&mail, account, text, fields, *fuzzy, *prefix));
                prop_assert!(scores.iter().all(|(_, score)| *score > 0.0));
            }
        }
    }
}
