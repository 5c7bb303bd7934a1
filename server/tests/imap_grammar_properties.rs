//! What holds for the grammar whatever the bytes are, and its bounds.

use coldpost_server::imap::ast::{Command, CommandBody};
use coldpost_server::imap::grammar;
use coldpost_server::imap::reply::{FetchLine, Status};
use expect_test::expect;
use proptest::prelude::*;

/// Words of which commands are made, right and wrong, in any order.
fn words() -> impl Strategy<Value = Vec<u8>> {
    let words: &[&[u8]] = &[
        b"a ",
        b"SEARCH",
        b"FETCH",
        b"UID ",
        b"STORE",
        b"APPEND",
        b"LIST",
        b"SELECT",
        b"STATUS",
        b"ID",
        b"LOGIN",
        b"CREATE",
        b" ",
        b" ",
        b" ",
        b"(",
        b")",
        b"\"",
        b"\\",
        b"{3}\r\n",
        b"{3+}\r\nabc",
        b"{99999999999999999999}\r\n",
        b"{",
        b"}",
        b"1",
        b"1:*",
        b",",
        b"*",
        b"%",
        b"$",
        b"NOT ",
        b"OR ",
        b"BODY[",
        b"]",
        b"<0.1>",
        b"HEADER.FIELDS ",
        b"FLAGS",
        b"+FLAGS",
        b"\\Seen",
        b"INBOX",
        b"&AOk-",
        b"&",
        b"\xc3\xa9",
        b"\xff",
        b"\0",
        b"\r\n",
        b"1-Jan-2000",
        b"RETURN ",
        b"MODSEQ ",
        b"QRESYNC ",
        b"18446744073709551616",
        b"\"17-Jul-1996 02:44:25 -0700\"",
        b"NIL",
        b"CHARSET UTF-8 ",
    ];
    proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..40)
        .prop_map(|words| words.concat())
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

proptest! {
    #[test]
    fn a_date_time_that_is_taken_comes_back_as_it_was(
        date in (1..=31u8, 0..12usize, prop_oneof![0..=9999u16, Just(0), Just(9999)]),
        time in (0..24u8, 0..60u8, 0..60u8),
        zone in (any::<bool>(), 0..24u8, 0..60u8),
    ) {
        let ((day, month, year), (hour, minute, second)) = (date, time);
        let sign = if zone.0 || (zone.1, zone.2) == (0, 0) { '+' } else { '-' };
        let text = format!(
            "\"{day:02}-{}-{year:04} {hour:02}:{minute:02}:{second:02} {sign}{:02}{:02}\"",
            MONTHS[month], zone.1, zone.2
        );
        match grammar::parse(format!("a APPEND x {text} {{1}}").as_bytes()) {
            Ok(Command { body: CommandBody::Append(append), .. }) => {
                let date = append.messages[0].internal_date.expect("it was given");
                let mut out = Vec::new();
                let mut line = FetchLine::begin(&mut out, 1);
                line.internal_date(&mut out, date);
                line.end(&mut out);
                let wanted = format!("* 1 FETCH (INTERNALDATE {text})\r\n");
                prop_assert_eq!(String::from_utf8_lossy(&out), wanted);
            }
            Ok(other) => panic!("{other:?} is no APPEND"),
            Err(refusal) => prop_assert!(day > 28 && refusal.text == "there is no such day", "{text}: {refusal:?}"),
        }
    }
}

fn holds(bytes: &[u8]) -> Result<(), TestCaseError> {
    if let Err(refusal) = grammar::parse(bytes) {
        prop_assert!(matches!(refusal.status, Status::Bad | Status::No));
        let mut out = Vec::new();
        refusal.write(&mut out);
        let line = out.strip_suffix(b"\r\n").expect("a line");
        prop_assert!(
            line.iter().all(|b| (b' '..=b'~').contains(b)),
            "one line of plain text"
        );
    }
    let _ = grammar::parse_append_message(bytes);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_command_or_a_refusal_in_one_line(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        holds(&bytes)?;
    }

    #[test]
    fn any_words_are_a_command_or_a_refusal_in_one_line(bytes in words()) {
        holds(&bytes)?;
    }
}

#[test]
fn the_largest_command_of_every_kind_is_read_in_bounded_time_and_depth() {
    let largest = coldpost_server::limits::IMAP_LINE_MAX;
    for unit in [
        "(", "NOT ", "OR ", "(NOT ", "1,", "\"", "\\", "{0}\r\n", "{0}\r\n ", "SEEN ", "BODY[",
        "1.", "()", "* ", "&", "&-",
    ] {
        for name in [
            "SEARCH ",
            "FETCH 1 ",
            "FETCH 1 BODY[",
            "FETCH ",
            "LIST \"\" ",
            "STORE 1 FLAGS ",
            "SELECT ",
            "ID (",
            "STATUS x ",
            "SELECT x (QRESYNC (1 1 ",
        ] {
            let line = format!("a {name}{}", unit.repeat(largest / unit.len()));
            assert!(grammar::parse(line.as_bytes()).is_err() || unit != "(");
        }
    }
}

fn refused(line: &str) -> String {
    let mut out = Vec::new();
    if let Err(refusal) = grammar::parse(line.as_bytes()) {
        refusal.write(&mut out);
    }
    String::from_utf8(out)
        .expect("plain text")
        .replace("\r\n", "")
}

#[test]
fn what_goes_beyond_a_bound_is_refused_in_words() {
    let nested = format!("a SEARCH {}SEEN", "NOT ".repeat(51));
    let parens = format!("a SEARCH {}SEEN{}", "(".repeat(51), ")".repeat(51));
    let keys = format!("a SEARCH{}", " SEEN".repeat(1001));
    let spread = format!("a SEARCH{}", " (SEEN SEEN SEEN)".repeat(251));
    let ranges = format!("a FETCH 1{} UID", ",1".repeat(16 * 1024));
    let items = format!("a FETCH 1 (UID{})", " UID".repeat(1000));
    let flags = format!("a STORE 1 FLAGS (a{})", " a".repeat(133));
    let keyword = format!("a STORE 1 FLAGS {}", "k".repeat(256));
    let name = format!("a DELETE {}", "n".repeat(1025));
    let tag = format!("{} NOOP", "t".repeat(129));
    let id = format!("a ID ({}\"a\" \"b\")", "\"a\" \"b\" ".repeat(30));
    let refused: Vec<String> = [
        nested, parens, keys, spread, ranges, items, flags, keyword, name, tag, id,
    ]
    .iter()
    .map(|line| refused(line) + "\n")
    .collect();
    expect![[r#"
        a BAD search keys are nested more than 50 levels deep
        a BAD search keys are nested more than 50 levels deep
        a BAD a search has at most 1000 keys
        a BAD a search has at most 1000 keys
        a BAD a set has at most 16384 ranges
        a BAD a list here has at most 1000 items
        a BAD a list here has at most 133 items
        a NO [LIMIT] a keyword has at most 255 characters
        a NO [LIMIT] a mailbox name has at most 1024 bytes
        * BAD expected a space and an argument at byte 129
        a BAD a list here has at most 30 items
    "#]]
    .assert_eq(&refused.concat());
    for fits in [
        format!("a SEARCH {}SEEN", "NOT ".repeat(50)),
        format!("a SEARCH{}", " SEEN".repeat(1000)),
        format!("a FETCH 1{} UID", ",1".repeat(16 * 1024 - 1)),
        format!("{} NOOP", "t".repeat(128)),
    ] {
        assert!(grammar::parse(fits.as_bytes()).is_ok(), "{fits}");
    }
}

#[test]
fn passwords_are_not_in_the_debug_form() {
    let command = grammar::parse(b"a LOGIN fred hunter2").unwrap();
    assert!(!format!("{command:?}").contains("hunter2"));
    let command = grammar::parse(b"a AUTHENTICATE PLAIN aHVudGVyMg==").unwrap();
    assert!(!format!("{command:?}").contains("hunter2"));
}
