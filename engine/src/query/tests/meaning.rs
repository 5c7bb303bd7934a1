//! What an expression asks at a moment, and what it says about its steps.

use expect_test::{Expect, expect};

use crate::query::{Expression, Query, plan};

/// The planned query of each line on 1970-01-11 at 00:00:05 in the mailbox Junk.
fn check(texts: &str, expected: &Expect) {
    let queries = texts.trim().lines().map(|text| {
        let expression: Expression = text.parse().unwrap();
        format!("{:?}\n", plan(&expression.at(10 * 86_400 + 5, "Junk")))
    });
    expected.assert_eq(&queries.collect::<String>());
}

#[test]
fn spans_are_reckoned_from_the_moment_and_days_stay_as_written() {
    check(
        "
before 1d
since 1d
older 1d
younger 1d
savedbefore 12h
savedsince 12h
sentbefore 1d
sentsince 6s
savedbefore 1970-01-03
sentsince 1970-01-03
on 1970-01-03
older 100d
",
        &expect![[r#"
            Not(DatedAfter(777604))
            DatedAfter(777604)
            Not(DatedAfter(777605))
            DatedAfter(777604)
            Not(SavedAfter(820804))
            SavedAfter(820804)
            Days { field: Sent, from: None, until: Some(9) }
            Days { field: Sent, from: Some(9), until: None }
            Days { field: Saved, from: None, until: Some(2) }
            Days { field: Sent, from: Some(2), until: None }
            Days { field: Internal, from: Some(2), until: Some(3) }
            Not(DatedAfter(-7775995))
        "#]],
    );
}

#[test]
fn the_name_of_the_mailbox_is_settled_before_a_message_is_looked_at() {
    let asks = |text: &str, name: &str| {
        let expression: Expression = text.parse().unwrap();
        plan(&expression.at(0, name))
    };
    assert_eq!(asks("mailbox Junk recent", "Junk"), Query::Recent);
    assert_eq!(asks("mailbox Junk recent", "junk"), Query::NOTHING);
    assert_eq!(asks("not mailbox Junk", "INBOX"), Query::All);
    assert_eq!(asks("mailbox inbox/%", "INBOX/a"), Query::All);
    assert_eq!(
        asks("mailbox Lists/% or recent", "Lists/a/b"),
        Query::Recent
    );
    assert_eq!(asks("mailbox Lists/*", "Lists/a/b"), Query::All);
    assert_eq!(asks("mailbox \"Größe (2)\"", "Größe (2)"), Query::All);
}

#[test]
fn steps_say_what_decides_each_key() {
    let steps = |text: &str| text.parse::<Expression>().unwrap().steps();
    expect![[r#"
        mailbox  mailbox Junk
        entries  flagged
        entries  savedbefore 7d
        rows     from "b"
        rows     header list-id "d"
        rows     sentsince 7d
        places   emailid M1
        places   larger 1MB
        places   on 2026-11-27
        text     body "Rechnung"
        text     header received "c" (trace fields)
        text     text "a" (bodies, headers)
    "#]].assert_eq(
        &steps(
            "body Rechnung larger 1M or not (mailbox Junk savedbefore 7d not flagged) or text a or from b \
             or header received c or header list-id d or sentsince 7d or not flagged or emailid M1 or on 2026-11-27",
        )
        .to_string(),
    );
    assert!(steps("text a").need_text() && steps("header received a").need_text());
    assert!(!steps("mailbox Junk from a larger 5").need_text());
}
