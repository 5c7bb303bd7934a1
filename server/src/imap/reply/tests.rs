//! Every reply as the text it is.

use coldpost_engine::flags::{Flags, SystemFlags};
use coldpost_engine::mail::{Section, SectionText};
use coldpost_engine::uidset::UidSet;
use coldpost_engine::view::SpecialUse;
use expect_test::{Expect, expect};

use super::*;
use crate::imap::ast::{FetchItem, FetchSection, Numbers, Page, Partial, StatusItem};
use crate::imap::reply;

fn check(write: impl FnOnce(&mut Vec<u8>), expected: &Expect) {
    let mut out = Vec::new();
    write(&mut out);
    let text = out.iter().map(|&b| match b {
        b'\n' | b' '..=b'~' => char::from(b).to_string(),
        b'\r' => String::new(),
        b => format!("<{b:02x}>"),
    });
    expected.assert_eq(&text.collect::<String>());
}

fn set(text: &[(u32, u32)]) -> UidSet {
    UidSet::from_ranges(text.iter().copied())
}

fn some_flags() -> Flags {
    Flags {
        system: SystemFlags::SEEN.union(SystemFlags::ANSWERED),
        keywords: ["$Forwarded".to_owned(), "work".to_owned()].into(),
    }
}

#[test]
fn a_status_is_one_line_of_plain_text() {
    check(
        |out| {
            tagged(
                out,
                "a1",
                Status::Ok,
                Some(&Code::ReadWrite),
                "SELECT completed",
            );
            tagged(out, "a2", Status::No, None, "");
            untagged(
                out,
                Status::Bye,
                Some(&Code::Unavailable),
                "line\r\nbreak é",
            );
            Refusal::bad("no").write(out);
            Refusal::no(Code::TooBig, "too big").tagged("a3").write(out);
            continuation(out, "OK");
            continuation(out, "");
        },
        &expect![[r#"
            a1 OK [READ-WRITE] SELECT completed
            a2 NO Done.
            * BYE [UNAVAILABLE] line??break ?
            * BAD no
            a3 NO [TOOBIG] too big
            + OK
            + 
        "#]],
    );
}

#[test]
fn response_codes_carry_their_data() {
    check(
        |out| {
            for code in [
                Code::AppendUid {
                    uid_validity: 38_505,
                    uids: set(&[(3955, 3955)]),
                },
                Code::CopyUid {
                    uid_validity: 38_505,
                    from: set(&[(304, 304), (319, 320)]),
                    to: set(&[(3956, 3958)]),
                },
                Code::Capability(vec!["IMAP4rev1".into(), "IDLE".into()]),
                Code::PermanentFlags {
                    flags: some_flags(),
                    new_keywords: true,
                },
                Code::PermanentFlags {
                    flags: Flags::default(),
                    new_keywords: true,
                },
                Code::PermanentFlags {
                    flags: Flags::default(),
                    new_keywords: false,
                },
                Code::Modified(set(&[(7, 7), (9, 9)])),
                Code::HighestModSeq(u64::MAX >> 1),
                Code::MailboxId("F1".to_owned()),
                Code::UidNext(4392),
                Code::UidValidity(1),
                Code::Unseen(12),
                Code::BadCharset,
                Code::TryCreate,
            ] {
                untagged(out, Status::Ok, Some(&code), "x");
            }
        },
        &expect![[r#"
            * OK [APPENDUID 38505 3955] x
            * OK [COPYUID 38505 304,319:320 3956:3958] x
            * OK [CAPABILITY IMAP4rev1 IDLE] x
            * OK [PERMANENTFLAGS (\Answered \Seen $Forwarded work \*)] x
            * OK [PERMANENTFLAGS (\*)] x
            * OK [PERMANENTFLAGS ()] x
            * OK [MODIFIED 7,9] x
            * OK [HIGHESTMODSEQ 9223372036854775807] x
            * OK [MAILBOXID (F1)] x
            * OK [UIDNEXT 4392] x
            * OK [UIDVALIDITY 1] x
            * OK [UNSEEN 12] x
            * OK [BADCHARSET (US-ASCII UTF-8)] x
            * OK [TRYCREATE] x
        "#]],
    );
}

#[test]
fn a_text_takes_the_first_form_that_can_hold_it() {
    check(
        |out| {
            for text in [
                "atom",
                "two words",
                "",
                "NIL",
                "a\\b\"c",
                "]",
                "a*b",
                "é",
                "cr\rlf",
            ] {
                astring(out, text.as_bytes());
                out.push(b'\n');
            }
            string(out, b"atom");
            nstring(out, None);
            string(out, b"nul\0here");
            string(out, "x".repeat(1001).as_bytes());
            out.truncate(out.len() - 1000);
        },
        &expect![[r#"
            atom
            "two words"
            ""
            "NIL"
            "a\\b\"c"
            ]
            "a*b"
            {2}
            <c3><a9>
            {5}
            crlf
            "atom"NIL{8}
            nul<80>here{1001}
            x"#]],
    );
}

#[test]
fn mailboxes_are_listed_by_their_names_on_the_wire() {
    check(
        |out| {
            let plain = ListName {
                name: "INBOX",
                attributes: &["\\HasNoChildren"],
                special_use: None,
                child_subscribed: false,
            };
            list(out, &plain);
            list(
                out,
                &ListName {
                    name: "Entwürfe & mehr",
                    special_use: Some(SpecialUse::Drafts),
                    ..plain.clone()
                },
            );
            lsub(
                out,
                &ListName {
                    name: "",
                    attributes: &["\\Noselect"],
                    child_subscribed: true,
                    ..plain
                },
            );
            status(
                out,
                "a b",
                &[
                    (StatusItem::Messages, StatusValue::Number(3)),
                    (StatusItem::MailboxId, StatusValue::Id("F2".to_owned())),
                    (StatusItem::AppendLimit, StatusValue::Nil),
                ],
            );
            capability(out, &["IMAP4rev1".into(), "LITERAL+".into()]);
            enabled(out, &[]);
            enabled(out, &["CONDSTORE"]);
            id(out, &[("name", "Coldpost"), ("version", "1\"")]);
            id(out, &[]);
            namespace(out);
            flags(out, &some_flags());
            exists(out, 23);
            recent(out, 0);
            expunge(out, 4);
            vanished(out, &set(&[(1, 4), (9, 9)]), true);
            vanished(out, &set(&[(1, 1)]), false);
            vanished(out, &set(&[]), false);
        },
        &expect![[r#"
            * LIST (\HasNoChildren) "/" INBOX
            * LIST (\HasNoChildren \Drafts) "/" "Entw&APw-rfe &- mehr"
            * LSUB (\Noselect) "/" "" ("CHILDINFO" ("SUBSCRIBED"))
            * STATUS "a b" (MESSAGES 3 MAILBOXID (F2) APPENDLIMIT NIL)
            * CAPABILITY IMAP4rev1 LITERAL+
            * ENABLED
            * ENABLED CONDSTORE
            * ID ("name" "Coldpost" "version" "1\"")
            * ID NIL
            * NAMESPACE (("" "/")) NIL NIL
            * FLAGS (\Answered \Seen $Forwarded work)
            * 23 EXISTS
            * 0 RECENT
            * 4 EXPUNGE
            * VANISHED (EARLIER) 1:4,9
            * VANISHED 1
        "#]],
    );
}

#[test]
fn what_a_search_found_is_said_in_both_ways() {
    let found = set(&[(2, 2), (10, 12)]);
    check(
        |out| {
            reply::found(out, "SEARCH", found.iter(), None);
            reply::found(out, "SORT", [12, 2].into_iter(), Some(917_162_500));
            reply::found(out, "SEARCH", std::iter::empty(), Some(5));
            let all = Esearch {
                tag: "A282",
                mailbox: None,
                numbers: Numbers::Uid,
                min: Some(2),
                max: Some(12),
                all: Some(found.text()),
                partial: None,
                count: Some(4),
                modseq: Some(9),
                relevancy: vec![40, 100],
            };
            let page = |first, last, from_end| Page {
                first,
                last,
                from_end,
            };
            let partial = Esearch {
                mailbox: Some(("a b/é", 17)),
                partial: Some((page(1, 2, true), "11:12".to_owned())),
                ..all.clone()
            };
            let empty = Esearch {
                tag: "q\"",
                mailbox: None,
                numbers: Numbers::Sequence,
                min: None,
                max: None,
                all: Some(String::new()),
                partial: Some((page(9, 5, false), String::new())),
                count: Some(0),
                modseq: None,
                relevancy: Vec::new(),
            };
            esearch(out, all);
            esearch(out, partial);
            esearch(out, empty);
        },
        &expect![[r#"
            * SEARCH 2 10 11 12
            * SORT 12 2 (MODSEQ 917162500)
            * SEARCH
            * ESEARCH (TAG "A282") UID MIN 2 MAX 12 ALL 2,10:12 COUNT 4 MODSEQ 9 RELEVANCY (40 100)
            * ESEARCH (TAG "A282" MAILBOX "a b/&AOk-" UIDVALIDITY 17) UID MIN 2 MAX 12 ALL 2,10:12 PARTIAL (-1:-2 11:12) COUNT 4 MODSEQ 9 RELEVANCY (40 100)
            * ESEARCH (TAG "q\"") PARTIAL (9:5 NIL) COUNT 0
        "#]],
    );
}

fn section(path: &[u32], text: SectionText, partial: Option<Partial>) -> FetchItem {
    let section = Section {
        path: path.to_vec(),
        text,
    };
    FetchItem::Section(FetchSection {
        section,
        peek: true,
        partial,
    })
}

#[test]
fn fetch_items_stand_in_one_line() {
    check(
        |out| {
            let mut line = FetchLine::begin(out, 12);
            assert!(line.is_empty());
            line.uid(out, 4827);
            let flags = some_flags();
            let keywords = flags.keywords.iter().map(String::as_str);
            line.flags(out, flags.system, keywords, true);
            line.internal_date(out, (1_044_066_906, 90));
            line.internal_date(out, (i64::MAX, i16::MIN));
            line.internal_date(out, (i64::MIN, i16::MAX));
            line.save_date(out, 0);
            line.size(out, 44_827);
            line.modseq(out, 65_402);
            line.email_id(out, "M1");
            line.thread_id(out, "T1");
            line.envelope(out, b"(NIL)");
            line.body(out, b"(\"TEXT\")");
            line.body_structure(out, b"(\"TEXT\" NIL)");
            line.end(out);
            let mut line = FetchLine::begin(out, 1);
            let fields = SectionText::HeaderFields(vec!["from".to_owned(), "X(y)".to_owned()]);
            let partial = Some(Partial {
                origin: 5,
                count: 3,
            });
            line.literal(out, &section(&[], fields, partial), 3);
            octets(out, b"a\0c");
            line.nil(out, &section(&[4, 2], SectionText::Mime, None));
            line.nil(out, &section(&[1, 2, 3], SectionText::All, None));
            line.nil(
                out,
                &section(
                    &[],
                    SectionText::All,
                    Some(Partial {
                        origin: 0,
                        count: 1,
                    }),
                ),
            );
            line.nil(
                out,
                &section(
                    &[3],
                    SectionText::HeaderFieldsNot(vec!["Cc".to_owned()]),
                    None,
                ),
            );
            line.nil(out, &FetchItem::Rfc822);
            line.nil(out, &FetchItem::Rfc822Header);
            line.nil(out, &FetchItem::Rfc822Text);
            line.end(out);
        },
        &expect![[r#"
            * 12 FETCH (UID 4827 FLAGS (\Answered \Seen \Recent $Forwarded work) INTERNALDATE "01-Feb-2003 04:05:06 +0130" INTERNALDATE "31-Dec-9999 23:59:59 -2359" INTERNALDATE "01-Jan-0000 00:00:00 +2359" SAVEDATE "01-Jan-1970 00:00:00 +0000" RFC822.SIZE 44827 MODSEQ (65402) EMAILID (M1) THREADID (T1) ENVELOPE (NIL) BODY ("TEXT") BODYSTRUCTURE ("TEXT" NIL))
            * 1 FETCH (BODY[HEADER.FIELDS (FROM "X(Y)")]<5> {3}
            a<80>c BODY[4.2.MIME] NIL BODY[1.2.3] NIL BODY[]<0> NIL BODY[3.HEADER.FIELDS.NOT (CC)] NIL RFC822 NIL RFC822.HEADER NIL RFC822.TEXT NIL)
        "#]],
    );
}
