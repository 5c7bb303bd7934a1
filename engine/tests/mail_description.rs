//! What a description says, as text.

use std::ops::ControlFlow;

use coldpost_engine::limits::TEXT_PIECE_MAX;
use coldpost_engine::mail::decode::header_text;
use coldpost_engine::mail::text::{Scope, texts};
use coldpost_engine::mail::{SearchField, describe};
use expect_test::{Expect, expect};

const LETTER: &str = "Received: from a by b; Thu, 1 Jan 1970 00:00:00 +0000\r\n\
    From: =?iso-8859-1?Q?J=FCrgen?= <jb@b=FCcher.example>, \"B, \\\"C\\\"\" <b.c@example.org>\r\n\
    To: friends: anna@example.org, <@relay.example:max@[192.0.2.1]>;,\r\n postmaster (the\r\n\tmaster)\r\n\
    Subject: Re: [list] =?utf-8?B?R3LDvMOfZQ==?=\r\n\
    Date: Fri, 31 Dec 1999 23:30:00 -0100\r\n\
    Message-ID: <1@example.org>\r\n\
    References: <0@example.org>\r\n <\"0\"@example.org>\r\n\
    X-Trace: kept cold\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=\"=b\"\r\n\r\n\
    --=b\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nGr=FC=DFe aus=\r\n dem Norden\r\n\
    --=b\r\nContent-Type: message/rfc822\r\nContent-Description: a letter\r\n\r\nSubject: =?utf-8?Q?=C3=A4u=C3=9Fere?=\r\n\r\ninner text\r\n\
    --=b\r\nContent-Type: image/png; name*0*=utf-8''%C3%A4; name*1=.png\r\nContent-Disposition: attachment;\r\n filename=\"ä.png\"\r\n\
    Content-Transfer-Encoding: base64\r\nContent-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\nContent-Language: de, en\r\nContent-Location: http://x/\r\n\r\niVBORw0K\r\n\
    --=b--\r\n";

fn check(item: &[u8], expected: Expect) {
    expected.assert_eq(&item.escape_ascii().to_string().replace("\\\"", "\""));
}

#[test]
fn envelopes_have_raw_strings_groups_routes_and_defaults() {
    check(
        &describe(LETTER.as_bytes()).envelope,
        expect![[
            r#"("Fri, 31 Dec 1999 23:30:00 -0100" "Re: [list] =?utf-8?B?R3LDvMOfZQ==?=" (("=?iso-8859-1?Q?J=FCrgen?=" NIL "jb" "b=FCcher.example")({6}\r\nB, "C" NIL "b.c" "example.org")) (("=?iso-8859-1?Q?J=FCrgen?=" NIL "jb" "b=FCcher.example")({6}\r\nB, "C" NIL "b.c" "example.org")) (("=?iso-8859-1?Q?J=FCrgen?=" NIL "jb" "b=FCcher.example")({6}\r\nB, "C" NIL "b.c" "example.org")) ((NIL NIL "friends" NIL)(NIL NIL "anna" "example.org")(NIL "@relay.example" "max" "[192.0.2.1]")(NIL NIL NIL NIL)({10}\r\nthe master NIL "postmaster" "MISSING_DOMAIN")) NIL NIL NIL "<1@example.org>")"#
        ]],
    );
}

#[test]
fn structures_have_extension_data_and_body_has_none() {
    let description = describe(LETTER.as_bytes());
    check(
        &description.bodystructure,
        expect![[
            r#"(("text" "plain" ("charset" "iso-8859-1") NIL NIL "quoted-printable" 27 1 NIL NIL NIL NIL)("message" "rfc822" NIL NIL "a letter" "7bit" 51 (NIL "=?utf-8?Q?=C3=A4u=C3=9Fere?=" NIL NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 10 0 NIL NIL NIL NIL) 2 NIL NIL NIL NIL)("image" "png" ("name*" "utf-8\'\'%C3%A4.png") NIL NIL "base64" 8 "Q2hlY2sgSW50ZWdyaXR5IQ==" ("attachment" ("filename" {6}\r\n\xc3\xa4.png)) ("de" "en") "http://x/") "mixed" ("boundary" "=b") NIL NIL NIL)"#
        ]],
    );
    check(
        &description.body,
        expect![[
            r#"(("text" "plain" ("charset" "iso-8859-1") NIL NIL "quoted-printable" 27 1)("message" "rfc822" NIL NIL "a letter" "7bit" 51 (NIL "=?utf-8?Q?=C3=A4u=C3=9Fere?=" NIL NIL NIL NIL NIL NIL NIL NIL) ("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" 10 0) 2)("image" "png" ("name*" "utf-8\'\'%C3%A4.png") NIL NIL "base64" 8) "mixed")"#
        ]],
    );
}

#[test]
fn missing_and_broken_addresses_are_named_as_such() {
    let header = b"From: <>\r\nSender: nobody\r\nReply-To: A B C\r\nTo: <a@b\r\nCc: a..b@c, .@d, \"x\"@\r\nBcc: <@a,b:c@d>, e@[1.2.3.4] (E)\r\n\r\n";
    check(
        &describe(header).envelope,
        expect![[
            r#"(NIL NIL ((NIL NIL "MISSING_MAILBOX" "MISSING_DOMAIN")) ((NIL NIL "nobody" "MISSING_DOMAIN")) (("A B C" NIL "MISSING_MAILBOX" "MISSING_DOMAIN")) ((NIL NIL "a" "SYNTAX_ERROR")) ((NIL NIL "a..b" "c")(NIL NIL "." "d")(NIL NIL "x" "MISSING_DOMAIN")) ((NIL "INVALID_ROUTE" "b" "SYNTAX_ERROR")) NIL NIL)"#
        ]],
    );
}

#[test]
fn main_fields_come_as_they_were_and_trace_fields_stay_away() {
    let description = describe(b"Received: x\r\nsubject: a\r\n b\r\nX-Foo: y\nDate: z\n\nbody");
    assert!(description.main_fields_complete);
    check(
        &description.main_fields,
        expect![[r#"subject: a\r\n b\r\nDate: z\n"#]],
    );
}

#[test]
fn sort_and_thread_keys_are_read_from_the_header() {
    let sort = describe(LETTER.as_bytes()).sort;
    assert_eq!(
        (sort.date, sort.sent_day),
        (Some(946_686_600), Some(10_956))
    );
    assert_eq!(sort.references.len(), 2);
    assert_eq!(sort.references[0], sort.references[1]);
    assert_ne!(sort.message_id, sort.references[0]);
    let keys = [
        sort.subject,
        sort.from,
        sort.to,
        sort.cc,
        sort.display_from,
        sort.display_to,
    ];
    expect![[r#"["Grüße", "jb", "friends", "", "Jürgen", "friends"], reply: true"#]]
        .assert_eq(&format!("{keys:?}, reply: {}", sort.is_reply));
}

#[test]
fn search_text_is_kept_where_it_is_not_the_raw_text() {
    let description = describe(LETTER.as_bytes());
    let kept: Vec<SearchField> = description.search.iter().map(|(field, _)| *field).collect();
    assert_eq!(kept, [SearchField::From, SearchField::Subject]);
    let shown: Vec<Vec<String>> = SearchField::ALL
        .iter()
        .map(|field| description.search_texts(*field))
        .collect();
    expect![[r#"
        [
            [
                "Jürgen <jb@b=FCcher.example>, \"B, \\\"C\\\"\" <b.c@example.org>",
            ],
            [
                "friends: anna@example.org, <@relay.example:max@[192.0.2.1]>;, postmaster (the master)",
            ],
            [],
            [],
            [],
            [
                "Re: [list] Grüße",
            ],
            [
                "<1@example.org>",
            ],
            [],
        ]"#]].assert_eq(&format!("{shown:#?}"));
    assert_eq!(header_text(LETTER.as_bytes(), "x-trace"), ["kept cold"]);
}

fn found(message: &[u8], scope: Scope) -> Vec<String> {
    let mut pieces = Vec::new();
    let _ = texts(message, &describe(message).parts, scope, &mut |piece| {
        pieces.push(piece.text.to_owned());
        ControlFlow::Continue(())
    });
    pieces
}

#[test]
fn search_sees_decoded_headers_and_texts_of_all_parts() {
    let header = found(LETTER.as_bytes(), Scope::Header);
    let body = found(LETTER.as_bytes(), Scope::Body);
    assert!(header.iter().any(|field| field.starts_with("Subject: ")));
    expect![[r#"
        [
            "Content-Type: text/plain; charset=iso-8859-1",
            "Content-Transfer-Encoding: quoted-printable",
            "Grüße aus dem Norden",
            "Content-Type: message/rfc822",
            "Content-Description: a letter",
            "Subject: äußere",
            "inner text",
            "Content-Type: image/png; name*0*=utf-8''%C3%A4; name*1=.png",
            "Content-Disposition: attachment; filename=\"ä.png\"",
            "Content-Transfer-Encoding: base64",
            "Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==",
            "Content-Language: de, en",
            "Content-Location: http://x/",
            "ä.png",
        ]"#]]
    .assert_eq(&format!("{body:#?}"));
}

#[test]
fn a_long_text_comes_in_pieces_that_go_on_where_the_last_one_ended() {
    let body: String = (0..400_000).map(|n| format!("{n} ä\n")).collect();
    let message = format!("Subject: x\n\n{body}");
    let parts = describe(message.as_bytes()).parts;
    let mut whole = String::new();
    let mut pieces = 0;
    let _ = texts(message.as_bytes(), &parts, Scope::Body, &mut |piece| {
        assert!(piece.text.len() <= TEXT_PIECE_MAX && piece.goes_on == (pieces > 0));
        whole.push_str(piece.text);
        pieces += 1;
        ControlFlow::Continue(())
    });
    assert!(pieces > 3 && whole == body);
}

#[test]
fn a_search_ends_where_its_caller_breaks_off() {
    let mut seen = 0;
    let ended = texts(
        LETTER.as_bytes(),
        &describe(LETTER.as_bytes()).parts,
        Scope::Body,
        &mut |_| {
            seen += 1;
            ControlFlow::Break(())
        },
    );
    assert_eq!((ended, seen), (ControlFlow::Break(()), 1));
}

#[test]
fn html_is_searched_as_its_reader_sees_it_and_then_where_it_leads() {
    let message = "Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n\r\nPGI+w6Q8L2I+cjxwPng8YSBocmVmPSJodHRwOi8veC8iPmhlcmU8L2E+\r\n";
    assert_eq!(
        found(message.as_bytes(), Scope::Body),
        ["är xhere", "http://x/"]
    );
    let links = "<a href=http://example.org/some/where/far/away>x</a>\n".repeat(20_000);
    let message = format!("Content-Type: text/html\r\n\r\n{links}end");
    let texts = found(message.as_bytes(), Scope::Body);
    assert!(texts[0].starts_with("x\nx") && texts[0].ends_with("x\nend"));
    assert_eq!(
        texts.len(),
        20_001,
        "also where they are too many to be kept"
    );
}
