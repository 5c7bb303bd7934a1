//! Broken and hostile mail: a best effort within the bounds, no panic, work linear in the bytes.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use coldpost_engine::limits::{
    DESCRIPTION_MAX, ENVELOPE_ADDRESSES_MAX, LEVELS_MAX, MAIN_FIELDS_MAX, PARTS_MAX, STRUCTURE_MAX,
};
use coldpost_engine::mail::text::{Scope, texts};
use coldpost_engine::mail::{Description, PartKind, codec, describe};
use coldpost_testkit::corpus;
use coldpost_testkit::dice::Dice;
use coldpost_testkit::have;
use coldpost_testkit::must::Must;
use coldpost_testkit::tool::{NPM, TAR};
use proptest::prelude::*;

/// Describes, searches and encodes a message and checks what must hold for every one.
fn check(message: &[u8]) -> Description {
    let description = describe(message);
    let size = u64::try_from(message.len()).must("a length of 64 bits");
    let parts = &description.parts;
    assert_eq!(
        (parts[0].header, parts[0].end, parts[0].parent),
        (0, size, 0)
    );
    assert!(parts.len() <= PARTS_MAX);
    for (index, part) in parts.iter().enumerate() {
        let parent = &parts[usize::try_from(part.parent).must("an index")];
        assert!(part.header <= part.body && part.body <= part.end && part.end <= size);
        assert!(
            index == 0 || (part.header >= parent.body && part.end <= parent.end),
            "part {index} lies in its parent"
        );
        assert!(
            index == 0 || parent.kind != PartKind::Leaf,
            "a leaf has no parts"
        );
    }
    let encoded = codec::encode(&description);
    assert!(encoded.len() <= DESCRIPTION_MAX, "{} bytes", encoded.len());
    assert_eq!(codec::decode(&encoded).must("decoding"), description);
    assert!(
        !description.envelope.contains(&0) && !description.bodystructure.contains(&0),
        "NUL is never sent"
    );
    assert!(
        is_balanced(&description.envelope)
            && is_balanced(&description.bodystructure)
            && is_balanced(&description.body)
    );
    for scope in [Scope::Body, Scope::Header] {
        let _ = texts(message, parts, scope, &mut |_| ControlFlow::Continue(()));
    }
    description
}

/// Whether strings, literals and parentheses close.
fn is_balanced(item: &[u8]) -> bool {
    let (mut at, mut level) = (0, 0i64);
    while let Some(byte) = item.get(at) {
        at += 1;
        match byte {
            b'(' => level += 1,
            b')' => level -= 1,
            b'"' => {
                while item.get(at) != Some(&b'"') {
                    at += if item.get(at) == Some(&b'\\') { 2 } else { 1 };
                    if at >= item.len() {
                        return false;
                    }
                }
                at += 1;
            }
            b'{' => {
                let digits = item[at..].iter().take_while(|b| b.is_ascii_digit()).count();
                let length: usize = std::str::from_utf8(&item[at..at + digits])
                    .must("digits")
                    .parse()
                    .must("a length");
                at += digits + "}\r\n".len() + length;
            }
            _ => {}
        }
    }
    level == 0 && at == item.len()
}

#[test]
fn ten_thousand_parts_become_one_thousand() {
    let mut message = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n".to_vec();
    for number in 0..10_000 {
        message.extend_from_slice(format!("--b\r\n\r\n{number}\r\n").as_bytes());
    }
    message.extend_from_slice(b"--b--\r\n");
    let description = check(&message);
    assert_eq!(description.parts.len(), PARTS_MAX);
    assert_eq!(
        description.parts.last().unwrap().end,
        description.parts[0].end,
        "the last part holds the rest"
    );
}

#[test]
fn five_hundred_levels_become_one_hundred() {
    let mut multiparts = String::new();
    for level in 0..500 {
        multiparts.push_str(&format!(
            "Content-Type: multipart/mixed; boundary=b{level}e\r\n\r\n--b{level}e\r\n"
        ));
    }
    let messages = "Content-Type: message/rfc822\r\n\r\n".repeat(500);
    for message in [multiparts, messages] {
        let description = check(message.as_bytes());
        assert_eq!(description.parts.len(), LEVELS_MAX);
        assert!(
            String::from_utf8_lossy(&description.bodystructure)
                .contains("\"application\" \"octet-stream\"")
        );
    }
}

#[test]
fn lists_and_lines_without_end_are_cut_at_their_bounds() {
    let addresses = "a@b, ".repeat(ENVELOPE_ADDRESSES_MAX * 2);
    let description = check(
        format!(
            "To: {addresses}\r\nSubject: {}\r\n\r\n",
            "s ".repeat(1 << 20)
        )
        .as_bytes(),
    );
    assert!(!description.main_fields_complete);
    assert!(description.main_fields.len() <= MAIN_FIELDS_MAX);
    assert!(
        description.envelope.starts_with(b"(NIL {")
            || description.envelope.starts_with(b"(NIL \"s s")
    );
    for byte in [
        b"a", b"\xff", b"\0", b"(", b"\"", b"<", b",", b"=", b":", b";", b"\\",
    ] {
        check(&[&b"From: "[..], &byte.repeat(1 << 20), b"\r\n\r\n"].concat());
        check(&byte.repeat(1 << 20));
    }
}

#[test]
fn of_a_structure_too_long_to_keep_the_last_parts_are_written_short() {
    let name = "n".repeat(500);
    let mut message = String::from("Content-Type: multipart/mixed; boundary=b\r\n\r\n");
    for _ in 0..900 {
        message.push_str(&format!("--b\r\nContent-Type: message/rfc822; name={name}\r\nContent-Transfer-Encoding: {name}\r\n\r\nx\r\n"));
    }
    let description = check(message.as_bytes());
    assert!(description.bodystructure.len() <= STRUCTURE_MAX);
    let whole = String::from_utf8_lossy(&description.bodystructure)
        .matches(&name)
        .count();
    // Name and encoding, each part's own 1.1 KB; all are there in short.
    assert!((100..300).contains(&whole), "{whole}");
    let there = String::from_utf8_lossy(&description.bodystructure)
        .matches("\"rfc822\"")
        .count();
    // A message in a part is two of the thousand parts that are parsed.
    assert_eq!(there, 499);
}

#[test]
fn an_envelope_keeps_a_thousand_recipients_and_an_address_whatever_its_name() {
    let to: Vec<String> = (0..2_000)
        .map(|n| format!("\"Firstname Lastname {n}\" <user{n}@department.example.org>"))
        .collect();
    let long = "n".repeat(4_100);
    let message = format!(
        "From: \"{long}\" <real@sender.org>\r\nTo: {}\r\nSubject: {}=?utf-8?q?end?=\r\n\r\nx",
        to.join(",\r\n "),
        "=?utf-8?q?word?=\r\n ".repeat(300)
    );
    let description = check(message.as_bytes());
    let envelope = String::from_utf8_lossy(&description.envelope).into_owned();
    assert_eq!(
        envelope.matches("\"department.example.org\"").count(),
        2_000
    );
    assert_eq!(
        envelope
            .matches("(NIL NIL \"real\" \"sender.org\")")
            .count(),
        3,
        "From and its defaults"
    );
    let (words, whole) = (
        envelope.matches("=?utf-8").count(),
        envelope.matches("?word?=").count(),
    );
    assert!(words == whole && words > 200, "{words} {whole}");
}

#[test]
fn the_empty_message_and_its_neighbours_have_one_text() {
    for message in [
        &b""[..],
        b"\r\n",
        b"\n",
        b"\r",
        b"x",
        b"\0",
        b":",
        b"a:\r\n",
        b"\r\n\r\n",
        b"\xff\xfe",
    ] {
        let description = check(message);
        assert_eq!(description.parts.len(), 1);
        assert!(
            description
                .bodystructure
                .starts_with(b"(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" ")
        );
    }
}

const INSERTS: [&[u8]; 12] = [
    b"\0",
    b"\r",
    b"\n",
    b"\r\n\r\n",
    b"--",
    b"\"",
    b"(",
    b"\xff",
    b"=?",
    b"<",
    b";",
    b"{9}",
];

#[test]
fn torture_files_and_mutated_mail_stay_within_the_bounds() {
    if !have(&[NPM, TAR]) {
        return;
    }
    let mut dice = Dice::from_env();
    for (_, mail) in corpus::selection(23) {
        check(mail);
        let mut mutated = corpus::crlf(mail);
        mutated.truncate(20_000);
        for _ in 0..8 {
            let at = dice.index(mutated.len());
            mutated.splice(at..at, dice.pick(&INSERTS).iter().copied());
            check(&mutated);
        }
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(message in proptest::collection::vec(any::<u8>(), 0..300)) {
        check(&message);
    }

    #[test]
    fn arbitrary_lines_of_mail_never_panic(
        lines in proptest::collection::vec(prop::sample::select(vec![
            "Content-Type: multipart/mixed; boundary=b", "Content-Type: multipart/digest; boundary=\"bb\"", "Content-Type: message/rfc822",
            "Content-Type: text", "MIME-Version: 1.0", "", "--b", "--bb", "--b--", "--bb--", "--", "text", " folded", "From: a@b", "\t", "\r",
            "Content-Transfer-Encoding: base64", "QUJD", "To: x: a, b;", "Subject: =?utf-8?b?w6Q=?=", "boundary=b",
        ]), 0..40),
        ends in prop::sample::select(vec!["\r\n", "\n", "\r\r\n"]),
    ) {
        check(lines.join(ends).as_bytes());
    }
}

const HTML: &[u8] = b"Content-Type: text/html\r\n\r\n";

/// Time grows with the bytes: four times the message takes well under sixteen times as long.
#[test]
fn work_is_linear_in_the_bytes_of_hostile_mail() {
    let nested = |n: usize| -> Vec<u8> {
        let mut message = Vec::new();
        for level in 0..99 {
            message.extend_from_slice(format!("Content-Type: multipart/mixed; boundary=bbbbbbbbbbbbbbbb{level}\r\n\r\n--bbbbbbbbbbbbbbbb{level}\r\n").as_bytes());
        }
        message.extend(b"--bbbbbbbbbbbbbbbbb\r\n".repeat(n / 21));
        message
    };
    type Make<'a> = &'a dyn Fn(usize) -> Vec<u8>;
    let repeat = |head: &'static [u8], unit: &'static [u8]| {
        move |n: usize| [head, &unit.repeat(n / unit.len())].concat()
    };
    let makes: [(&str, Make<'_>); 21] = [
        ("delimiters", &nested),
        ("fields", &repeat(b"", b"a:b\n")),
        ("folded lines", &repeat(b"Subject: ", b"\r\n\t")),
        ("addresses", &repeat(b"To: ", b"<a@b>,")),
        ("open comments", &repeat(b"From: ", b"(")),
        ("open words", &repeat(b"Subject: ", b"=?utf-8?q?")),
        ("words never closed", &repeat(b"Subject: ", b"=?ab?q?x")),
        ("base64 words never closed", &repeat(b"To: ", b"=?ab?b?x ")),
        ("charsets", &repeat(b"Subject: ", b"=?a")),
        (
            "parameters",
            &repeat(b"Content-Type: text/plain", b";a*1=b"),
        ),
        ("ids", &repeat(b"References: ", b"<a@b>")),
        ("blobs", &repeat(b"Subject: ", b"[a]")),
        ("broken groups", &repeat(b"Cc: ", b"a:b,")),
        ("references", &repeat(HTML, b"&amp;&#65;&no")),
        ("references never closed", &repeat(HTML, b"&notin")),
        ("open tags", &repeat(HTML, b"<a b=")),
        ("values", &repeat(HTML, b"<a href=bcdef>")),
        ("open comment", &repeat(HTML, b"<!--<!--")),
        ("open scripts", &repeat(HTML, b"<script><!--<script></scri")),
        (
            "attributes",
            &repeat(b"Content-Type: text/html\r\n\r\n<a ", b"b=c "),
        ),
        (
            "base64",
            &repeat(b"Content-Transfer-Encoding: base64\r\n\r\n", b"QQ=\n"),
        ),
    ];
    for (name, make) in makes {
        let (small, large) = (make(1 << 18), make(1 << 20));
        let time = |message: &[u8]| {
            let once = || {
                let start = Instant::now();
                let description = describe(message);
                for scope in [Scope::Body, Scope::Header] {
                    let _ = texts(message, &description.parts, scope, &mut |_| {
                        ControlFlow::Continue(())
                    });
                }
                start.elapsed()
            };
            (0..3).map(|_| once()).min().unwrap()
        };
        let (small, large) = (time(&small).max(Duration::from_millis(15)), time(&large));
        println!("{name}: {small:?} and {large:?}");
        assert!(
            large < small * 9,
            "{name}: {small:?} for a quarter, {large:?} for the whole"
        );
    }
}
