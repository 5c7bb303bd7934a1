//! The codec of descriptions: both ways for any description, and no panic for any bytes.

use coldpost_engine::mail::codec::{decode, encode};
use coldpost_engine::mail::describe::PARSER_VERSION;
use coldpost_engine::mail::{Description, Part, PartKind, SearchField, SortKeys, Stored, describe};
use coldpost_testkit::tool::{NPM, TAR};
use coldpost_testkit::{corpus, have};
use proptest::collection::vec;
use proptest::prelude::*;

fn part() -> impl Strategy<Value = Part> {
    let kind = prop_oneof![
        Just(PartKind::Leaf),
        Just(PartKind::Multipart),
        Just(PartKind::Message)
    ];
    (
        any::<u32>(),
        kind,
        any::<u64>(),
        any::<u64>(),
        any::<u64>(),
        any::<bool>(),
    )
        .prop_map(|(parent, kind, header, body, end, encoded)| Part {
            parent,
            kind,
            header,
            body,
            end,
            encoded,
        })
}

fn sort_keys() -> impl Strategy<Value = SortKeys> {
    let dates = (any::<Option<i64>>(), any::<Option<i32>>(), any::<bool>());
    let keys = any::<[String; 6]>();
    let ids = (any::<u64>(), vec(any::<u64>(), 0..32));
    (dates, keys, ids).prop_map(
        |((date, sent_day, is_reply), keys, (message_id, references))| {
            let [subject, from, to, cc, display_from, display_to] = keys;
            SortKeys {
                date,
                sent_day,
                subject,
                is_reply,
                from,
                to,
                cc,
                display_from,
                display_to,
                message_id,
                references,
            }
        },
    )
}

fn description() -> impl Strategy<Value = Description> {
    let item = || {
        let real = Just(b"(\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1 NIL NIL NIL NIL)".to_vec());
        prop_oneof![vec(any::<u8>(), 0..64), real]
    };
    let field = prop::sample::select(SearchField::ALL.to_vec());
    let bytes = (any::<Vec<u8>>(), any::<bool>(), item(), item(), item());
    (
        bytes,
        vec(part(), 0..20),
        sort_keys(),
        vec((field, any::<String>()), 0..4),
        1..=PARSER_VERSION,
    )
        .prop_map(
            |(
                (main_fields, main_fields_complete, envelope, body, bodystructure),
                parts,
                sort,
                search,
                parser,
            )| Description {
                parser,
                main_fields,
                main_fields_complete,
                envelope,
                body,
                bodystructure,
                parts,
                sort,
                search,
            },
        )
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded(description in description()) {
        prop_assert_eq!(decode(&encode(&description)).unwrap(), description);
    }

    #[test]
    fn foreign_bytes_give_an_error_or_a_description_but_never_a_panic(mut bytes in any::<Vec<u8>>(), version in 0..=PARSER_VERSION) {
        if let (1.., Some(first)) = (version, bytes.first_mut()) {
            *first = version;
        }
        if let Ok(description) = decode(&bytes) {
            prop_assert_eq!(decode(&encode(&description)).unwrap(), description);
        }
    }

    #[test]
    fn a_damaged_row_never_panics(description in description(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = encode(&description);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = decode(&bytes);
        prop_assert!(decode(&bytes[..at]).is_err());
    }
}

#[test]
fn descriptions_of_real_mail_survive_and_keep_one_of_body_and_bodystructure() {
    if !have(&[NPM, TAR]) {
        return;
    }
    for (name, mail) in corpus::selection(7) {
        let description = describe(&corpus::crlf(mail));
        let bytes = encode(&description);
        assert_eq!(decode(&bytes).unwrap(), description, "{name}");
        let parts = description.main_fields.len()
            + description.envelope.len()
            + description.bodystructure.len();
        let texts = description.search.iter().map(|(_, text)| text.len() + 4);
        let keys = texts.sum::<usize>() + 100 + 20 * description.parts.len();
        assert!(
            bytes.len() < parts + keys,
            "{name}: {} bytes for {parts} of fields and items",
            bytes.len()
        );
    }
}

#[test]
fn an_unknown_version_is_refused_in_words() {
    let error = decode(&[PARSER_VERSION + 1, 0]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("a parser version that this Coldpost knows"),
        "{error}"
    );
}

/// A message with all that a row keeps, and its row as version 1 wrote it.
const LETTER: &[u8] = b"From: a@b\r\nSubject: Re: =?utf-8?Q?=C3=A4?=\r\nDate: Fri, 2 Jan 1970 00:00:00 +0100\r\nMessage-ID: <1@b>\r\n\r\nx\r\n";

/// Rows are on disks: these bytes are read for ever. A change here needs a new parser version.
#[test]
fn the_bytes_of_version_1_stay_as_they_are_and_tell_the_same() {
    let letter = describe(LETTER);
    let first = Description {
        parser: 1,
        ..letter.clone()
    };
    let bytes = encode(&first);
    expect_test::expect![[r#"\x01?eFrom: a@b\r\nSubject: Re: =?utf-8?Q?=C3=A4?=\r\nDate: Fri, 2 Jan 1970 00:00:00 +0100\r\nMessage-ID: <1@b>\r\n\x8f\x01(\"Fri, 2 Jan 1970 00:00:00 +0100\" \"Re: =?utf-8?Q?=C3=A4?=\" ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) NIL NIL NIL NIL \"<1@b>\")J(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 1 NIL NIL NIL NIL)\x01\x00\x00\x00\xce\x01\x06\xe0\x8d\n\x02\x02\xc3\xa4\x01a\x00\x00\x03a@b\x00\xbc\xf35\xa9\x9e\xe3\xbb\xf0\x00\x01\x06\x06Re: \xc3\xa4"#]].assert_eq(&bytes.escape_ascii().to_string());
    let read = decode(&bytes).unwrap();
    assert_eq!(read, first);
    assert_eq!(read.sort, letter.sort);
    let (first, second) = (
        Stored::read(bytes).unwrap(),
        Stored::read(encode(&letter)).unwrap(),
    );
    assert_eq!(first.sent_day().unwrap(), Some(1));
    assert_eq!(second.sent_day().unwrap(), Some(1));
    for field in SearchField::ALL {
        assert_eq!(
            first.search_texts(field).unwrap(),
            second.search_texts(field).unwrap()
        );
    }
    assert_eq!(first.whole_parts().unwrap(), second.whole_parts().unwrap());
}

/// As above.
#[test]
fn the_bytes_of_version_2_stay_as_they_are() {
    let bytes = encode(&describe(LETTER));
    expect_test::expect![[r#"\x02SeFrom: a@b\r\nSubject: Re: =?utf-8?Q?=C3=A4?=\r\nDate: Fri, 2 Jan 1970 00:00:00 +0100\r\nMessage-ID: <1@b>\r\n\x8f\x01(\"Fri, 2 Jan 1970 00:00:00 +0100\" \"Re: =?utf-8?Q?=C3=A4?=\" ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) ((NIL NIL \"a\" \"b\")) NIL NIL NIL NIL \"<1@b>\")J(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 3 1 NIL NIL NIL NIL)\x01\x00\x00\x00\xce\x01\x06\x02\x01\x06\x06Re: \xc3\xa4"#]].assert_eq(&bytes.escape_ascii().to_string());
}

#[test]
fn sort_keys_take_room_only_where_they_do_not_follow_from_the_main_fields() {
    let mut description = describe(LETTER);
    let derived = encode(&description).len();
    description.sort.subject.push('!');
    let kept = encode(&description);
    assert_eq!(decode(&kept).unwrap(), description);
    assert!(kept.len() > derived + 8, "{} after {derived}", kept.len());
}
