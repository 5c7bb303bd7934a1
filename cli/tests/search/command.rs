//! `coldpost search`, beside a running daemon and on what it left.

use coldpost_testkit::{Daemon, Must, Options};
use expect_test::{Expect, expect};
use serde_json::Value;

use crate::{ANN, BEN, BINARY};

/// A store whose answers are always the same: whose, mailbox, minute of arrival, message.
const MAIL: &[(&str, &str, u32, &str)] = &[
    (
        ANN,
        "INBOX",
        1,
        "From: Bob <bob@example.net>\r\nSubject: Offer\r\nX-Trace: tr1\r\n\r\nDear Ann,\r\nthe Rechnung 17 is here.\r\n",
    ),
    (
        ANN,
        "INBOX",
        2,
        "From: Cyd <cyd@example.net>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/html; charset=utf-8\r\n\r\n<p>Eine <b>Rech</b>nung&nbsp;17</p><p>mit <i>Gr&uuml;&szlig;en</i></p>\r\n",
    ),
    (
        ANN,
        "INBOX",
        3,
        "From: Dan <dan@example.net>\r\nSubject: Packed\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Transfer-Encoding: base64\r\n\r\nREFTIElTVCBFSU5FIFJFQ0hOVU5HIDE3Lg==\r\n",
    ),
    (
        ANN,
        "Lists/weekly",
        4,
        "From: Eve <eve@example.net>\r\nSubject: Rechnung 17 in the subject alone\r\n\r\nNothing else.\r\n",
    ),
    (
        ANN,
        "Lists/weekly",
        5,
        "From: Eve <eve@example.net>\r\nSubject: Both\r\n\r\nFirst rechnung 17, second rechnung  17.\r\n",
    ),
    (
        BEN,
        "INBOX",
        6,
        "From: Fay <fay@example.net>\r\nSubject: For Ben\r\n\r\nBen has a Rechnung 17 of his own.\r\n",
    ),
];

fn filled() -> Daemon {
    let daemon = Daemon::start(Options::new(BINARY));
    for user in [ANN, BEN] {
        let mut imap = daemon.imap(user);
        if user == ANN {
            imap.command("CREATE Lists/weekly").ok();
        }
        for (_, mailbox, minute, mail) in MAIL.iter().filter(|mail| mail.0 == user) {
            let date = format!("\"01-Jan-2003 10:{minute:02}:00 +0000\"");
            imap.append(mailbox, &date, mail.as_bytes());
        }
    }
    daemon
}

/// What a command says: its exit code, and its output without the times that searches took.
fn said(daemon: &Daemon, words: &[&str]) -> String {
    let done = daemon.run(&[&["search"], words].concat());
    let text = [done.stdout, done.stderr].concat();
    let mut said = format!("exit {}\n", done.status.code().must("an exit code"));
    for line in String::from_utf8(text).must("text").lines() {
        said += &format!("{}\n", timeless(line));
    }
    said
}

/// Without the number before ` ms`.
fn timeless(line: &str) -> String {
    match line
        .strip_suffix(" ms")
        .and_then(|left| left.rsplit_once(' '))
    {
        Some((left, _)) => format!("{left} … ms"),
        None => line.to_owned(),
    }
}

/// The lines of `--json`, without times; and its exit code.
fn lines(daemon: &Daemon, words: &[&str]) -> (Vec<Value>, i32) {
    let done = daemon.run(&[&["search"], words, &["--json"]].concat());
    let text = String::from_utf8(done.stdout).must("text");
    let lines = text.lines().map(|line| {
        let mut value: Value = serde_json::from_str(line).must("a JSON object a line");
        let members = value.as_object_mut().must("an object");
        members.remove("microseconds");
        value
    });
    let code = done.status.code().must("an exit code");
    (lines.collect(), code)
}

/// The same beside the daemon and once it has stopped.
fn both(daemon: &mut Daemon, words: &[&[&str]], expected: Expect) {
    let all = |daemon: &Daemon| -> String {
        let one =
            |words: &&[&str]| format!("search {}\n{}\n", words.join(" "), said(daemon, words));
        words.iter().map(one).collect()
    };
    let beside = all(daemon);
    expected.assert_eq(&beside);
    assert!(daemon.stop().must("its end").success());
    assert_eq!(all(daemon), beside, "on stopped data");
    daemon.restart();
}

#[test]
fn hits_of_every_mailbox_are_shown_with_the_words_around_them() {
    let mut daemon = filled();
    let words: &[&[&str]] = &[
        &["body", "\"Rechnung 17\""],
        &["--account", ANN, "--limit", "1", "text \"rechnung 17\""],
        &["--account", BEN, "--no-excerpts", "body rechnung"],
        &["--account", ANN, "mailbox", "Lists/*", "body", "SECOND"],
    ];
    both(
        &mut daemon,
        words,
        expect![[r#"
        search body "Rechnung 17"
        exit 0
        ann@example.org INBOX 3  2003-01-01T10:03:00+00:00  Dan <dan@example.net>
            Packed
            DAS IST EINE [RECHNUNG 17].
        ann@example.org INBOX 2  2003-01-01T10:02:00+00:00  Cyd <cyd@example.net>
            Grüße
             Eine [Rechnung 17] mit Grüßen 
        ann@example.org INBOX 1  2003-01-01T10:01:00+00:00  Bob <bob@example.net>
            Offer
            Dear Ann, the [Rechnung 17] is here. 
        ann@example.org Lists/weekly 2  2003-01-01T10:05:00+00:00  Eve <eve@example.net>
            Both
            First [rechnung 17], second [rechnung 17]. 
        ben@example.org INBOX 1  2003-01-01T10:06:00+00:00  Fay <fay@example.net>
            For Ben
            Ben has a [Rechnung 17] of his own. 
        5 messages in 11 mailboxes, found in … ms

        search --account ann@example.org --limit 1 text "rechnung 17"
        exit 0
        ann@example.org INBOX 3  2003-01-01T10:03:00+00:00  Dan <dan@example.net>
            Packed
            DAS IST EINE [RECHNUNG 17].
        ann@example.org Lists/weekly 2  2003-01-01T10:05:00+00:00  Eve <eve@example.net>
            Both
            First [rechnung 17], second [rechnung 17]. 
        5 messages in 6 mailboxes, found in … ms

        search --account ben@example.org --no-excerpts body rechnung
        exit 0
        ben@example.org INBOX 1  2003-01-01T10:06:00+00:00  Fay <fay@example.net>
            For Ben
        1 messages in 5 mailboxes, found in … ms

        search --account ann@example.org mailbox Lists/* body SECOND
        exit 0
        ann@example.org Lists/weekly 2  2003-01-01T10:05:00+00:00  Eve <eve@example.net>
            Both
            First rechnung 17, [second] rechnung 17. 
        1 messages in 1 mailboxes, found in … ms

    "#]],
    );
}

#[test]
fn fields_are_found_without_excerpts_and_the_plan_is_explained() {
    let mut daemon = filled();
    let words: &[&[&str]] = &[
        &["--account", ANN, "header x-trace tr1 or subject grü"],
        &["--explain", "text \"Grüßen\" seen or from fay larger 1"],
        &["body \"of nobody\""],
    ];
    both(
        &mut daemon,
        words,
        expect![[r#"
        search --account ann@example.org header x-trace tr1 or subject grü
        exit 0
        ann@example.org INBOX 2  2003-01-01T10:02:00+00:00  Cyd <cyd@example.net>
            Grüße
        ann@example.org INBOX 1  2003-01-01T10:01:00+00:00  Bob <bob@example.net>
            Offer
        2 messages in 6 mailboxes, found in … ms

        search --explain text "Grüßen" seen or from fay larger 1
        exit 0
        text "Grüßen" seen or from "fay" larger 1
        entries  seen
        rows     from "fay"
        places   larger 1
        text     text "Grüßen" (bodies, headers)

        ben@example.org INBOX 1  2003-01-01T10:06:00+00:00  Fay <fay@example.net>
            For Ben
        ben@example.org INBOX: 1 of 1 messages in … ms
        1 messages in 11 mailboxes, found in … ms

        search body "of nobody"
        exit 1
        0 messages in 11 mailboxes, found in … ms

    "#]],
    );
}

#[test]
fn what_is_wrong_is_said_at_its_place_and_nothing_is_shown() {
    let mut daemon = filled();
    let words: &[&[&str]] = &[
        &["mailbox", "Junk", "flaged"],
        &["body \"open"],
        &["from bob or"],
        &["(seen"],
        &["larger", "1.5M"],
        &[""],
        &["flaged", "--json"],
        &["--account", "nobody@example.org", "all"],
        &["--account", "no body", "all"],
    ];
    both(
        &mut daemon,
        words,
        expect![[r#"
        search mailbox Junk flaged
        exit 1
        coldpost: byte 14: "flaged" is no key; did you mean flagged?
          mailbox Junk flaged
                       ^^^^^^

        search body "open
        exit 1
        coldpost: byte 6: this quote is not closed; a quote in a text is written \"
          body "open
               ^

        search from bob or
        exit 1
        coldpost: byte 12: expected a key; all finds every message
          from bob or
                     ^

        search (seen
        exit 1
        coldpost: byte 1: this parenthesis is not closed
          (seen
          ^

        search larger 1.5M
        exit 1
        coldpost: byte 8: a size is a whole number with K, M, G, T (powers of 1000), KiB, MiB, GiB, TiB (of 1024) or nothing behind it
          larger 1.5M
                 ^^^^

        search 
        exit 1
        coldpost: byte 1: expected a key; all finds every message

          ^

        search flaged --json
        exit 1
        {"error":"byte 1: \"flaged\" is no key; did you mean flagged?\n  flaged\n  ^^^^^^"}

        search --account nobody@example.org all
        exit 1
        coldpost: there is no account nobody@example.org: coldpost account list shows them

        search --account no body all
        exit 1
        coldpost: account name: the character ' ' is not allowed; leave it out

    "#]],
    );
}

#[test]
fn json_tells_every_hit_with_marks_on_the_needle_and_counts_those_beyond_the_limit() {
    let mut daemon = filled();
    for is_beside in [true, false] {
        if !is_beside {
            daemon.stop();
        }
        let (found, code) = lines(&daemon, &["body", "rechnung"]);
        let hits: Vec<_> = found.iter().filter(|line| line["kind"] == "hit").collect();
        let shown: Vec<_> = hits
            .iter()
            .map(|hit| format!("{} {} {}", hit["account"], hit["mailbox"], hit["uid"]))
            .collect();
        assert_eq!(code, 0);
        assert_eq!(
            shown.join("\n").replace('"', ""),
            format!(
                "{ANN} INBOX 3\n{ANN} INBOX 2\n{ANN} INBOX 1\n{ANN} Lists/weekly 2\n{BEN} INBOX 1"
            )
        );
        for hit in hits {
            let text = hit["excerpt"]["text"].as_str().must("an excerpt");
            let marks = hit["excerpt"]["marks"].as_array().must("marks");
            assert!(!marks.is_empty(), "{hit}");
            for mark in marks {
                let place = |at: usize| mark[at].as_u64().and_then(|at| usize::try_from(at).ok());
                let marked = place(0).zip(place(1));
                let marked = marked
                    .and_then(|(from, to)| text.get(from..to))
                    .must("a stretch of the excerpt");
                assert_eq!(marked.to_lowercase(), "rechnung", "{hit}");
            }
        }
        let words = [
            "--limit=1",
            "--no-excerpts",
            "--account",
            ANN,
            "body rechnung",
        ];
        let (found, _) = lines(&daemon, &words);
        let shown: Vec<_> = found.iter().map(Value::to_string).collect();
        expect![[r#"
            {"account":"ann@example.org","date":"2003-01-01T10:03:00+00:00","from":"Dan <dan@example.net>","kind":"hit","mailbox":"INBOX","size":181,"subject":"Packed","uid":3}
            {"account":"ann@example.org","found":3,"kind":"mailbox","mailbox":"INBOX","of":3}
            {"account":"ann@example.org","date":"2003-01-01T10:05:00+00:00","from":"Eve <eve@example.net>","kind":"hit","mailbox":"Lists/weekly","size":87,"subject":"Both","uid":2}
            {"account":"ann@example.org","found":1,"kind":"mailbox","mailbox":"Lists/weekly","of":2}
            {"found":4,"kind":"summary","mailboxes":6}"#]]
        .assert_eq(&shown.join("\n"));
        assert_eq!(lines(&daemon, &["body \"of nobody\""]).1, 1);
    }
}

#[test]
fn who_searches_changes_nothing_not_even_seen() {
    let mut daemon = filled();
    let state = |daemon: &Daemon| -> String {
        let mut text = String::new();
        for (user, mailbox) in [(ANN, "INBOX"), (ANN, "Lists/weekly"), (BEN, "INBOX")] {
            let mut imap = daemon.imap(user);
            let status = format!("STATUS {mailbox} (MESSAGES UNSEEN UIDNEXT HIGHESTMODSEQ)");
            text += &format!("{:?}\n", imap.command(&status).ok());
            imap.command(&format!("EXAMINE {mailbox}")).ok();
            for message in imap.fetch("FETCH 1:* (UID FLAGS MODSEQ)") {
                let (uid, modseq) = (message.uid(), message.get("MODSEQ"));
                text += &format!("{uid} {modseq:?} {:?}\n", message.flags());
            }
        }
        text
    };
    let before = state(&daemon);
    assert!(before.contains("UNSEEN 3"), "{before}");
    let words: &[&[&str]] = &[
        &["body rechnung or text grüßen"],
        &["not body rechnung"],
        &["--explain", "header x-trace tr1"],
    ];
    for words in words {
        said(&daemon, words);
    }
    assert_eq!(state(&daemon), before);
    daemon.stop();
    for words in words {
        said(&daemon, words);
    }
    daemon.restart();
    assert_eq!(state(&daemon), before);
}
