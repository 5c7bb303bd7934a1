//! Whoever searches learns nothing about the mail of others: the same bytes, whatever they get.

use std::path::Path;
use std::time::Duration;

use coldpost_testkit::imap::Imap;
use coldpost_testkit::{Daemon, Must, Options, place, wait};

use crate::{ANN, BEN, BINARY};

/// Messages of Ann.
const ANNS: u32 = 60;
/// Stretches of Ben's mail, each of which becomes a file: enough that files are merged.
const STRETCHES: u32 = 12;
/// Messages of each.
const BENS: u32 = 40;
const MERGED_WITHIN: Duration = Duration::from_secs(60);

/// What both have; what only Ann has; what only Ben has; what nobody has.
const WORDS: [&str; 7] = [
    "meeting",
    "Grüße",
    "ann-only",
    "ben-only",
    "nowhere",
    "e",
    "meeting at",
];

/// A message of somebody; words and fields come in different numbers of them.
fn message(own: &str, number: u32) -> Vec<u8> {
    let shared = ["meeting at noon", "Grüße", "the end", "nothing"];
    let shared = shared.iter().enumerate();
    let shared =
        shared.filter(|(at, _)| number.is_multiple_of(u32::try_from(*at).unwrap_or(0) + 2));
    let words: Vec<&str> = shared.map(|(_, word)| *word).collect();
    let words = words.join(", ");
    let who = if number.is_multiple_of(3) {
        own
    } else {
        "somebody"
    };
    let filler = format!("line {number} of the filler\r\n").repeat(20);
    format!(
        "From: {who} <{who}@example.net>\r\nSubject: =?utf-8?q?{}?= {}\r\nDate: Wed, {} Jan 2003 10:00:00 +0000\r\n\
         X-Trace: {words} by {own}\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{words} {who} {number}\r\n{filler}",
        if number.is_multiple_of(2) { "meeting" } else { "Gr=C3=BC=C3=9Fe" },
        number % 9,
        1 + number % 28,
    )
    .into_bytes()
}

/// All that Ann can ask, with the answers as they came.
fn answers(daemon: &Daemon, imap: &mut Imap) -> String {
    let mut text = String::new();
    let mut ask = |text: &mut String, command: &str| {
        *text += &format!("{command}: {:?}\n", imap.command(command).ok());
    };
    for word in WORDS {
        let word = format!("\"{word}\"");
        for key in ["BODY", "TEXT", "SUBJECT", "FROM", "HEADER X-Trace"] {
            ask(&mut text, &format!("UID SEARCH CHARSET UTF-8 {key} {word}"));
            ask(
                &mut text,
                &format!(
                    "SEARCH RETURN (COUNT MIN MAX PARTIAL 1:3) CHARSET UTF-8 NOT {key} {word}"
                ),
            );
        }
        ask(
            &mut text,
            &format!("UID SORT (REVERSE SUBJECT DATE) UTF-8 TEXT {word}"),
        );
        ask(
            &mut text,
            &format!("SORT RETURN (COUNT PARTIAL -1:-5) (FROM) UTF-8 BODY {word}"),
        );
        ask(&mut text, &format!("UID THREAD REFS UTF-8 TEXT {word}"));
        ask(
            &mut text,
            &format!("ESEARCH IN (personal) RETURN (COUNT ALL) CHARSET UTF-8 TEXT {word}"),
        );
        for account in [
            ["--account", ANN].as_slice(),
            &["--no-excerpts", "--account", ANN],
        ] {
            let query = format!("text {word} or header x-trace {word}");
            let done = daemon.run(&[&["search", "--json"], account, &[&query]].concat());
            text += &format!(
                "{query}: {:?} {}\n",
                done.status.code(),
                timeless(&done.stdout)
            );
        }
    }
    text
}

/// Without how long it took.
fn timeless(json: &[u8]) -> String {
    let lines = std::str::from_utf8(json).must("text").lines();
    let lines = lines.map(|line| line.split(",\"microseconds\":").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

/// Files of text, by name.
fn runs(data: &Path) -> Vec<String> {
    let files = place::files(&data.join("shards/0001/text"));
    let names = files.iter().filter_map(|path| path.file_name());
    let names = names.map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name != "manifest").collect()
}

#[test]
fn answers_to_one_account_are_the_same_bytes_whatever_mail_another_gets() {
    let mut daemon = Daemon::start(Options::new(BINARY));
    let deliver = |daemon: &Daemon, to: &str, own: &str, numbers: std::ops::Range<u32>| {
        let mut lmtp = daemon.lmtp();
        for number in numbers {
            lmtp.deliver("a@example.org", to, &message(own, number));
        }
    };
    deliver(&daemon, ANN, "ann-only", 0..ANNS);
    let selected = |daemon: &Daemon| {
        let mut imap = daemon.imap(ANN);
        imap.command("SELECT INBOX").ok();
        imap
    };
    let alone = answers(&daemon, &mut selected(&daemon));
    assert!(alone.contains("ann-only"), "{alone}");
    let mut seen = Vec::new();
    let mut merged = 0;
    for stretch in 0..STRETCHES {
        let mut imap = selected(&daemon);
        deliver(
            &daemon,
            BEN,
            "ben-only",
            stretch * BENS..(stretch + 1) * BENS,
        );
        assert_eq!(
            answers(&daemon, &mut imap),
            alone,
            "while the texts of {stretch} wait"
        );
        // A clean stop writes what waits.
        assert!(daemon.stop().must("its end").success());
        let written = runs(daemon.data_dir());
        merged += seen.iter().filter(|name| !written.contains(name)).count();
        seen = written;
        daemon.restart();
        assert_eq!(
            answers(&daemon, &mut selected(&daemon)),
            alone,
            "after {stretch}"
        );
    }
    let data = daemon.data_dir().to_owned();
    wait::until("files to be merged", MERGED_WITHIN, || {
        merged > 0 || runs(&data).len() < seen.len()
    });
    assert_eq!(
        answers(&daemon, &mut selected(&daemon)),
        alone,
        "after merges"
    );

    // And Ben's mail was there to be found.
    let mut ben = daemon.imap(BEN);
    ben.command("SELECT INBOX").ok();
    let count = |imap: &mut Imap, word: &str| {
        let found = imap.command(&format!("SEARCH TEXT {word}")).ok().search();
        found.len()
    };
    let all = usize::try_from(STRETCHES * BENS).must("a count");
    assert_eq!(
        (count(&mut ben, "ben-only"), count(&mut ben, "ann-only")),
        (all, 0)
    );
}
