//! What is read, and the one form in which it is printed.

use expect_test::{Expect, expect};
use proptest::prelude::*;

use super::expression;
use crate::query::Expression;
use crate::query::key::{KEYS, Takes};

/// Each line as it is printed; what is printed is printed the same.
fn check(texts: &str, expected: &Expect) {
    let printed = texts.trim().lines().map(|text| {
        let expression: Expression = text.parse().unwrap_or_else(|wrong| panic!("{wrong}"));
        let printed = expression.to_string();
        assert_eq!(printed.parse(), Ok(expression), "{printed}");
        printed + "\n"
    });
    expected.assert_eq(&printed.collect::<String>());
}

#[test]
fn side_by_side_is_and_which_binds_closer_than_or_and_not_closer_than_both() {
    check(
        r#"
mailbox Junk savedbefore 7d not flagged
from "@example.org" or body "Rechnung 17"
larger 1M not seen
seen AND flagged Or draft
seen and (flagged or draft)
(seen flagged) or draft
not seen flagged
not (seen flagged)
not(seen or(draft))
((seen) (draft flagged)) or (new or (old))
not not seen not not not draft not unseen
not (not (seen draft)) answered
"#,
        &expect![[r#"
            mailbox Junk savedbefore 7d not flagged
            from "@example.org" or body "Rechnung 17"
            larger 1MB not seen
            seen flagged or draft
            seen (flagged or draft)
            seen flagged or draft
            not seen flagged
            not (seen flagged)
            not (seen or draft)
            seen draft flagged or new or not recent
            seen not draft seen
            seen draft answered
        "#]],
    );
}

#[test]
fn every_key_is_read_in_any_letter_case() {
    check(
        r#"
ALL SaveDateSupported
answered deleted draft flagged seen recent new old
unanswered undeleted undraft unflagged unseen
keyword $Forwarded UNKEYWORD NonJunk $MDNSent
uid 7 uid 1:5,9 uid 9:1,4,3 uid 100:*
Mailbox INBOX mailbox "Lists/*" mailbox Ordner/% mailbox "Zwei Worte" mailbox "not"
From a TO b cc c BCC d subject "e f" body g text h
header X-Spam-Status "" header From a HEADER "list-id" dev
modseq 620162338 emailid M6d99ac3275bb4e threadid T64b478a75b7ea9
"#,
        &expect![[r#"
            all all
            answered deleted draft flagged seen recent new not recent
            not answered not deleted not draft not flagged not seen
            keyword $Forwarded not keyword NonJunk keyword $MDNSent
            uid 7 uid 1:5,9 uid 1:9 uid 100:*
            mailbox INBOX mailbox Lists/* mailbox Ordner/% mailbox "Zwei Worte" mailbox "not"
            from "a" to "b" cc "c" bcc "d" subject "e f" body "g" text "h"
            header x-spam-status "" from "a" header list-id "dev"
            modseq 620162338 emailid M6d99ac3275bb4e threadid T64b478a75b7ea9
        "#]],
    );
}

#[test]
fn days_spans_and_sizes_have_one_printed_form() {
    check(
        r#"
before 2026-11-27 on 27-Nov-2026 since 1-feb-2024
sentbefore 0000-01-01 senton 9999-12-31 sentsince 29-Feb-2024
savedbefore 2w savedon 1970-01-01 savedsince 90m
before 1y since 36525d sentbefore 0s sentsince 25h
older 604800 younger 3600s older 12h younger 61
larger 0 larger 1 larger 1024 larger 1000 larger 1536 larger 1000000
smaller 1M smaller 1MB smaller 1mib smaller 64KiB smaller 100kb smaller 2G smaller 3Ti smaller 5b
"#,
        &expect![[r#"
            before 2026-11-27 on 2026-11-27 since 2024-02-01
            sentbefore 0000-01-01 senton 9999-12-31 sentsince 2024-02-29
            savedbefore 14d savedon 1970-01-01 savedsince 90m
            before 365d since 36525d sentbefore 0s sentsince 25h
            older 7d younger 1h older 12h younger 61s
            larger 0 larger 1 larger 1KiB larger 1KB larger 1536 larger 1MB
            smaller 1MB smaller 1MB smaller 1MiB smaller 64KiB smaller 100KB smaller 2GB smaller 3TiB smaller 5
        "#]],
    );
}

#[test]
fn texts_are_quoted_on_one_line_whatever_is_in_them() {
    check(
        "subject @example.org\n\
         subject größer;*%$'{}[]~:\n\
         subject \"a \\\"quoted\\\" word\\\\\"\n\
         subject \"\\n\\r\\t\\u{0}\\u{1f4e7}\"\n\
         subject \"tab\there\"\n\
         subject \"and\" mailbox \"OR\"\n\
         (subject a)body\u{a0}b\u{3000}text c",
        &expect![[r#"
            subject "@example.org"
            subject "größer;*%$'{}[]~:"
            subject "a \"quoted\" word\\"
            subject "\n\r\t\u{0}📧"
            subject "tab\there"
            subject "and" mailbox "OR"
            subject "a" body "b" text "c"
        "#]],
    );
}

#[test]
fn white_space_sets_apart_and_says_nothing() {
    let text = " \n\tseen\r\n  or(from\n\"a\"  )\n";
    let expression: Expression = text.parse().unwrap();
    assert_eq!(expression.to_string(), "seen or from \"a\"");
}

#[test]
fn the_page_has_every_key() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/search.md");
    let page = std::fs::read_to_string(page).unwrap();
    for (key, takes) in KEYS {
        let begins = match takes {
            Takes::Nothing(_) => format!("`{key}`"),
            _ => format!("`{key} "),
        };
        assert!(page.contains(&begins), "docs/search.md lacks {key}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_printed_is_read_as_the_same(expression in expression()) {
        let printed = expression.to_string();
        prop_assert!(!printed.chars().any(char::is_control), "{}", printed.escape_debug());
        prop_assert_eq!(printed.parse(), Ok(expression), "{}", printed);
    }
}
