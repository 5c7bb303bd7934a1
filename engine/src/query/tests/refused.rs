//! What is refused, where, and in which words.

use std::fmt::Write;
use std::time::{Duration, Instant};

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
-seen
"Rechnung 17"
1:5
$
"#,
        &expect![[r#"
            byte 14: "flaged" is no key; did you mean flagged?
              mailbox Junk flaged
                           ^^^^^^
            byte 1: "unread" is no key; did you mean unseen?
              unread from bob
              ^^^^^^
            byte 1: "invoice" is no key; to look for a word write text before it
              invoice
              ^^^^^^^
            byte 1: "\\Seen" is no key; did you mean seen?
              \Seen
              ^^^^^
            byte 1: expected a key; write from and what it takes with a blank between
              from:bob
              ^^^^^^^^
            byte 1: expected a key; write larger and what it takes with a blank between
              size=5M
              ^^^^^^^
            byte 1: expected a key; write not seen
              -seen
              ^^^^^
            byte 1: a text alone is no key; write what it is looked for in before it: text, body, subject, from …
              "Rechnung 17"
              ^^^^^^^^^^^^^
            byte 1: expected a key; numbers of messages and $ are for IMAP sessions, UIDs stand behind uid
              1:5
              ^^^
            byte 1: expected a key; numbers of messages and $ are for IMAP sessions, UIDs stand behind uid
              $
              ^
        "#]],
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
        &expect![[r#"
            byte 8: expected a key; all finds every message
              seen or
                     ^
            byte 9: expected a key; all finds every message
              seen and
                      ^
            byte 1: or stands between two keys, as in: seen or flagged
              or seen flagged
              ^^
            byte 10: or stands between two keys, as in: seen or flagged
              seen and or draft
                       ^^
            byte 4: expected a key; all finds every message
              not
                 ^
            byte 1: this parenthesis is not closed
              (seen
              ^
            byte 5: no parenthesis was opened for this one
              seen)
                  ^
            byte 2: expected a key
              ()
               ^
            byte 5: expected a text to look for
              from
                  ^
            byte 9: expected a text to look for; if it is this word, put it in quotes
              subject or draft
                      ^^
            byte 14: expected a text to look for
              header x-spam
                           ^
            byte 6: expected a text to look for; put one with parentheses in quotes
              from (bob)
                   ^
        "#]],
    );
}

#[test]
fn nothing_is_no_query() {
    let said = "byte 1: expected a key; all finds every message\n\n  ^";
    assert_eq!(wrong(" ").to_string(), said);
}

#[test]
fn days_and_spans_say_how_they_are_written() {
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
"#,
        &expect![[r#"
            byte 8: expected a day or a span of time, such as 2026-11-27 or 7d
              before yesterday
                     ^^^^^^^^^
            byte 8: there is no such day
              before 2026-02-30
                     ^^^^^^^^^^
            byte 8: expected a day or a span of time, such as 2026-11-27 or 7d
              before 7
                     ^
            byte 7: units of time are s, m (minutes), h, d, w and y (365 days), in small letters
              since 3M
                    ^^
            byte 4: expected a day, such as 2026-11-27; a span stands behind before and since
              on 7d
                 ^^
            byte 9: expected a day, such as 2026-11-27
              savedon never
                      ^^^^^
            byte 7: expected a span of time, such as 7d or 12h, without quotes
              older "7d"
                    ^^^^
            byte 7: a span is at most 36525 days
              older 40000d
                    ^^^^^^
        "#]],
    );
}

#[test]
fn numbers_and_names_say_how_they_are_written() {
    check(
        r#"
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
        &expect![[r#"
            byte 8: expected a size, such as 4096, 100KB or 1MiB
              larger big
                     ^^^
            byte 12: write the unit directly behind the number, as in 100KB
              larger 100 KB
                         ^^
            byte 8: a size is a whole number with K, M, G, T (powers of 1000), KiB, MiB, GiB, TiB (of 1024) or nothing behind it
              larger 1.5M
                     ^^^^
            byte 8: a size is less than 2^64
              larger 99999999999T
                     ^^^^^^^^^^^^
            byte 5: expected a set of UIDs without blanks, such as 1:5,9 or 100:* (1 to 4294967295)
              uid 0
                  ^
            byte 5: expected a set of UIDs without blanks, such as 1:5,9 or 100:* (1 to 4294967295)
              uid *
                  ^
            byte 5: expected a set of UIDs without blanks, such as 1:5,9 or 100:* (1 to 4294967295)
              uid 1,,2
                  ^^^^
            byte 5: expected a set of UIDs without blanks, such as 1:5,9 or 100:* (1 to 4294967295)
              uid 5:4294967296
                  ^^^^^^^^^^^^
            byte 8: expected a whole number below 2^64
              modseq many
                     ^^^^
            byte 9: a keyword has ASCII letters, digits and signs, but none of ( ) { % * " \ ]
              keyword a%b
                      ^^^
            byte 8: the name of a header field has ASCII letters, digits and signs, but no colon
              header a:b c
                     ^^^
            byte 9: expected the name of a mailbox
              mailbox ""
                      ^^
            byte 9: an object id has 1 to 255 letters, digits, _ and -
              emailid a.b
                      ^^^
        "#]],
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
        &expect![[r#"
            byte 6: this quote is not closed; a quote in a text is written \"
              from "bob
                   ^
            byte 8: expected an escape: \" \\ \n \r \t or \u{hex digits}
              from "a\x"
                     ^^
            byte 7: expected an escape: \" \\ \n \r \t or \u{hex digits}
              from "\u{d800}"
                    ^^^^^^^^
            byte 7: expected an escape: \" \\ \n \r \t or \u{hex digits}
              from "\u{1234567}"
                    ^^
            byte 9: expected a blank behind the quoted text; a quote in a text is written \"
              from "a"b
                      ^
            byte 7: a quote in a word; put the whole text in quotes, or a blank before it
              from a"b
                    ^
            byte 6: expected a text to look for; put one with a backslash or a control character in quotes, where a backslash is written \\
              from a\b
                   ^^^
        "#]],
    );
}

#[test]
fn the_line_is_shown_that_has_the_place_and_not_all_of_a_long_one() {
    let several = wrong("mailbox Junk\n  and\tsent 7d\nseen");
    expect![[r#"
        line 2, byte 7: "sent" is no key; did you mean senton?
            and sent 7d
                ^^^^"#]]
    .assert_eq(&several.to_string());
    assert_eq!(
        (several.line(), several.column(), several.place()),
        (2, 7, 19..23)
    );
    let long = format!("{}größer{}", "seen ".repeat(100), " flagged".repeat(100));
    expect![[r#"
        byte 501: "größer" is no key; to look for a word write text before it
          …seen seen seen seen seen seen seen seen seen seen größer flagged flagged flagged flagged flagged fla…
                                                             ^^^^^^"#]].assert_eq(&wrong(&long).to_string());
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

#[test]
fn work_is_linear_in_the_text_whatever_it_repeats() {
    let shapes = [
        "(",
        "not ",
        "not (",
        "\"",
        "\\",
        "\"\\",
        "\\u{",
        "from \"\\u{0}",
        "(seen or ",
        "uid 1,",
        "1,1,",
        "larger 1 ",
        "from a or ",
        "\"\" ",
        "a:",
        "sen ",
        "é",
        " ",
        "mailbox *%*a ",
        "header a \"\" ",
        ")",
        "all ",
    ];
    let begun = Instant::now();
    for shape in shapes {
        let text = shape.repeat(QUERY_LENGTH_MAX / shape.len());
        for text in [format!("uid {text}"), format!("from \"{text}"), text] {
            let end = text.floor_char_boundary(QUERY_LENGTH_MAX);
            let read: Result<Expression, _> = text[..end].parse();
            let shown = read.map_or_else(|wrong| wrong.to_string(), |read| read.to_string());
            assert!(shown.len() <= QUERY_LENGTH_MAX, "{shape}");
        }
    }
    // Some ten milliseconds; a square of the length would be minutes.
    assert!(begun.elapsed() < Duration::from_secs(10));
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
