//! `coldpost search --ranked` and `coldpost index`, beside a running daemon and on what it left.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use coldpost_testkit::{Daemon, Must, Options, wait};
use serde_json::Value;

use crate::{ANN, BEN, BINARY};

/// Subjects and bodies, from UID 1 on.
const MAIL: [(&str, &str); 4] = [
    ("Invoice", "Please pay the invoice."),
    (
        "Minutes",
        "The invoice was discussed; so was the weather, at length, by all of us.",
    ),
    ("Lunch", "Noodles again?"),
    ("Re: Lunch", "No noodles. Soup."),
];

fn filled() -> Daemon {
    let daemon = Daemon::start(Options::new(BINARY));
    let mut imap = daemon.imap(ANN);
    for (subject, body) in MAIL {
        let mail = format!("From: bob@example.net\r\nSubject: {subject}\r\n\r\n{body}\r\n");
        imap.append("INBOX", "", mail.as_bytes());
    }
    daemon.imap(BEN).append(
        "INBOX",
        "",
        b"Subject: invoices\r\n\r\nInvoices of Ben.\r\n",
    );
    daemon
}

/// UIDs in their order, and what ends the answer.
fn ranked(daemon: &Daemon, query: &[&str]) -> (Vec<u64>, Vec<Value>) {
    let words = [&["search", "--account", ANN, "--ranked", "--json"], query].concat();
    let done = daemon.run(&words);
    let text = String::from_utf8(done.stdout).must("text");
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).must("JSON"));
    let (hits, rest): (Vec<Value>, Vec<Value>) =
        lines.partition(|line: &Value| line["kind"] == "hit");
    let relevancy: Vec<u64> = hits
        .iter()
        .filter_map(|hit| hit["relevancy"].as_u64())
        .collect();
    assert_eq!(relevancy.len(), hits.len(), "{hits:?}");
    assert!(relevancy.is_sorted_by(|a, b| a >= b), "{relevancy:?}");
    assert!(relevancy.first().is_none_or(|best| *best == 100));
    (
        hits.iter().filter_map(|hit| hit["uid"].as_u64()).collect(),
        rest,
    )
}

#[test]
fn the_best_come_first_however_they_are_spelled_and_what_is_nowhere_is_answered_with_what_may_be_meant()
 {
    let mut daemon = filled();
    let asked = |daemon: &Daemon| {
        assert_eq!(ranked(daemon, &["text", "invoice"]).0, [1, 2]);
        assert_eq!(ranked(daemon, &["body", "\"wether invioce\""]).0, [2]);
        assert_eq!(
            ranked(daemon, &["subject", "lunch", "not", "body", "soup"]).0,
            [3]
        );
        assert_eq!(ranked(daemon, &["text", "xylophone"]).0, [0; 0]);
    };
    asked(&daemon);
    // The files of a store that is stopped are whole, and words are taken out of them within seconds after the start.
    daemon.stop();
    asked(&daemon);
    daemon.ok(&["index", "rebuild"]);
    daemon.restart();
    asked(&daemon);
    let suggested = || {
        let words = ["search", "--account", ANN, "--json", "body", "noodels"];
        let done = daemon.run(&words);
        let text = String::from_utf8(done.stdout).must("text");
        text.contains(r#"{"kind":"suggestion","word":"noodels","instead":["noodles"]}"#)
    };
    wait::until("a suggestion", Duration::from_secs(60), suggested);
    let plan = daemon.ok(&["search", "--ranked", "--explain", "text", "invoice"]);
    assert!(plan.contains("words    fuzzy text \"invoice\""), "{plan}");
}

/// Text of everything is taken: a stop writes what waits.
fn followed(daemon: &Daemon) {
    wait::until("all text is taken", Duration::from_secs(60), || {
        let standing = daemon.json(&["index", "status"]);
        let figures = standing["figures"].as_array().must("figures");
        let behind = "text of shard 1: entries behind the journal";
        figures
            .iter()
            .any(|figure| figure[0] == behind && figure[1] == "0")
    });
}

/// The files of text, and those of words.
fn files(daemon: &Daemon, dir: &str) -> Vec<PathBuf> {
    let dir = daemon.data_dir().join("shards/0001").join(dir);
    let files = fs::read_dir(dir).must("the directory");
    let mut files: Vec<PathBuf> = files.map(|file| file.must("a file").path()).collect();
    files.sort();
    files
}

#[test]
fn a_check_of_the_index_finds_damage_and_it_is_made_again() {
    let mut daemon = filled();
    let check = |daemon: &Daemon| {
        let done = daemon.run(&["index", "check", "--json"]);
        let text = String::from_utf8(done.stdout).must("text");
        let value: Value = serde_json::from_str(text.trim()).must("JSON");
        (done.status.code(), value)
    };
    let rebuilt = daemon.json(&["index", "rebuild"]);
    assert_eq!(
        (&rebuilt["event"], &rebuilt["left"]),
        (&"rebuilt".into(), &0.into())
    );
    followed(&daemon);
    daemon.stop();
    daemon.ok(&["index", "rebuild"]);
    let (code, said) = check(&daemon);
    assert_eq!((code, &said["messages"]), (Some(0), &5.into()), "{said}");
    for dir in ["text", "words"] {
        daemon.restart();
        let damaged = files(&daemon, dir);
        let largest = damaged
            .iter()
            .max_by_key(|file| fs::metadata(file).map_or(0, |m| m.len()));
        let largest = largest.must("a file");
        let mut bytes = fs::read(largest).must("its bytes");
        let place = bytes.len() / 4;
        bytes[place] ^= 1;
        fs::write(largest, bytes).must("a flipped bit");
        let (code, said) = check(&daemon);
        assert_eq!(code, Some(3), "{dir}: {said}");
        assert_eq!(said["damage"].as_array().map(Vec::len), Some(1), "{said}");
        let again = daemon.json(&["index", "rebuild"]);
        assert_eq!(again["left"], 0);
        assert_eq!(check(&daemon).0, Some(0), "{dir}");
        daemon.stop();
        daemon.ok(&["index", "rebuild"]);
        let standing = daemon.ok(&["index", "status"]);
        assert!(
            standing.contains("words of shard 1: messages"),
            "{standing}"
        );
    }
}
