//! What is refused, where, and in which words.

use std::fmt::Write;

use expect_test::{Expect, expect};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::error::{Error, Kind};
use crate::limits::{QUERY_DEPTH_MAX, QUERY_KEYS_MAX, QUERY_LENGTH_MAX, QUERY_SPAN_MAX};
use crate::query::{Expression, SyntaxError};

fn wrong(text: &str) -> SyntaxError {
    let read: Result<Expression, _> = text.parse();
    read.expect_err(text)
}

/// What is said of each line.
fn check(texts: &str, expected: &Expect) {
    let mut said = String::new();
    for text in texts.trim_matches('\n').lines() {
        let _ = writeln!(said, "{}", wrong(text));
    }
    expected.assert_eq(&said);
}

#[test]
fn an_error_shows_the_place_and_what_may_have_been_meant() {
    check(
        r#"
mailbox Junk flaged
unread from bob
invoice
\Seen
from:bob
size=5M
"Rechnung 17"
1:5
$
"#,
        &expect![[r#""#]],
    );
}

#[test]
fn what_is_missing_is_named_where_it_would_stand() {
    check(
        r#"

seen or
seen and
or seen flagged
seen and or draft
not
(seen
seen)
()
from
subject or draft
header x-spam
from (bob)
"#,
        &expect![[r#""#]],
    );
}

#[test]
fn values_say_how_they_are_written() {
    check(
        r#"
before yesterday
before 2026-02-30
before 7
since 3M
on 7d
savedon never
older "7d"
older 40000d
larger big
larger 100 KB
larger 1.5M
larger 99999999999T
uid 0
uid *
uid 1,,2
uid 5:4294967296
modseq many
keyword a%b
header a:b c
mailbox ""
emailid a.b
"#,
        &expect![[r#""#]],
    );
}

#[test]
fn quotes_and_escapes_are_explained() {
    check(
        r#"
from "bob
from "a\x"
from "\u{d800}"
from "\u{1234567}"
from "a"b
from a"b
from a\b
"#,
        &expect![[r#""#]],
    );
}

#[test]
fn the_line_is_shown_that_has_the_place_and_not_all_of_a_long_one() {
    let several = wrong("mailbox Junk\n  and\tsent 7d\nseen");
    expect![[r#""#]].assert_eq(&several.to_string());
    assert_eq!(
        (several.line(), several.column(), several.place()),
        (2, 7, 19..23)
    );
    let long = format!("{}größer{}", "seen ".repeat(100), " flagged".repeat(100));
    expect![[r#""#]].assert_eq(&wrong(&long).to_string());
}

#[test]
fn what_is_too_much_is_a_limit_with_its_number() {
    let kind = |text: &str| Error::from(wrong(text)).kind();
    let fits = |text: &str| text.parse::<Expression>().is_ok();
    let nested = |depth| format!("{}seen{}", "(".repeat(depth), ")".repeat(depth));
    assert!(fits(&nested(QUERY_DEPTH_MAX)));
    assert_eq!(kind(&nested(QUERY_DEPTH_MAX + 1)), Kind::Limit);
    assert!(fits(&"all ".repeat(QUERY_KEYS_MAX)));
    assert_eq!(kind(&"all ".repeat(QUERY_KEYS_MAX + 1)), Kind::Limit);
    let text = |length| format!("body \"{}\"", "é".repeat((length - 7) / 2));
    assert!(fits(&text(QUERY_LENGTH_MAX)));
    assert_eq!(kind(&text(QUERY_LENGTH_MAX + 2)), Kind::Limit);
    // As it is printed it would be too long to be read again.
    let controls = format!("body \"{}\"", "\0".repeat(QUERY_LENGTH_MAX / 4));
    assert_eq!(kind(&controls), Kind::Limit);
    let days = QUERY_SPAN_MAX / 86_400;
    assert!(fits(&format!("older {days}d")));
    assert_eq!(kind(&format!("older {}d", days + 1)), Kind::Invalid);
    assert_eq!(kind("sen"), Kind::Invalid);
}

#[test]
fn many_negations_are_no_depth() {
    let text = "not ".repeat(QUERY_LENGTH_MAX / 4 - 1) + "seen";
    let printed = text.parse::<Expression>().unwrap().to_string();
    assert_eq!(printed, "not seen");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused_at_a_place_in_it(pieces in vec(piece(), 0..30)) {
        let text = pieces.concat();
        match text.parse::<Expression>() {
            Ok(expression) => prop_assert_eq!(expression.to_string().parse(), Ok(expression)),
            Err(wrong) => {
                prop_assert!(text.get(wrong.place()).is_some(), "{:?} of {:?}", wrong.place(), text);
                let shown = wrong.to_string();
                let lines: Vec<&str> = shown.lines().collect();
                prop_assert_eq!(lines.len(), 3, "{}", shown);
                prop_assert!(lines[2].trim_start().chars().all(|c| c == '^') && lines[2].contains('^'));
            }
        }
    }
}

fn piece() -> impl Strategy<Value = String> {
    let known = [
        "seen ",
        "from ",
        "or ",
        "and ",
        "not ",
        "(",
        ")",
        "\"",
        "\\",
        "\\u{",
        "}",
        " ",
        "\n",
        "uid ",
        "1:",
        "*",
        "before ",
        "7d ",
        "2026-11-27 ",
        "larger ",
        "5M ",
        "header ",
        "$x ",
        "mailbox ",
        "a ",
        "é",
    ];
    prop_oneof![
        9 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}
