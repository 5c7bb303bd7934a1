//! One mailbox of many messages: what a client waits for after a start, what the hot tier's commits cost, how soon a killed daemon is back.
//!
//! Promises: messages are distinct and have the headers of real mail. "Empty caches" are those of the daemon, which was just started,
//! and of the kernel, which was asked to forget the data directory's files.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, Instant};

use coldpost_testkit::imap::Imap;
use coldpost_testkit::tool::{NPM, TAR};
use coldpost_testkit::{Daemon, Must, Options, have, place, usage, wait};

use crate::measure::median;
use crate::page::{machine, mib, number, whole};
use crate::synthetic;
use crate::writes::mail_files;
use crate::{Large, binary, page};

/// Whose mailbox it is.
const USER: &str = "large@example.org";
/// Envelopes of a client's first screen.
const SCREEN: usize = 50;
/// Durable commits that are measured.
const COMMITS: usize = 10;
/// Messages delivered before each of them.
const DELIVERED: usize = 10;
/// Messages delivered right before a kill.
const BEFORE_KILL: usize = 200;
/// Longest wait for a durable commit.
const COMMIT_WITHIN: Duration = Duration::from_secs(30);

/// All values of one row, and how they are written.
struct Row {
    name: String,
    unit: &'static str,
    values: Vec<f64>,
}

/// The rows so far.
#[derive(Default)]
struct Rows(Vec<Row>);

impl Rows {
    fn push(&mut self, name: &str, unit: &'static str, value: f64) {
        match self.0.iter_mut().find(|row| row.name == name) {
            Some(row) => row.values.push(value),
            None => self.0.push(Row {
                name: name.to_owned(),
                unit,
                values: vec![value],
            }),
        }
    }

    fn time(&mut self, name: &str, took: Duration) {
        self.push(name, "ms", took.as_secs_f64() * 1e3);
    }
}

/// Measures and prints the table.
///
/// # Panics
/// When a tool is missing or the daemon fails.
pub(crate) fn run(arguments: &Large) {
    if !have(&[NPM, TAR]) {
        return;
    }
    let binary = binary::find(arguments.everywhere.binary.as_deref());
    let scratch = place::scratch("large");
    let data = arguments.data.clone();
    let data = data.unwrap_or_else(|| scratch.path().join("data"));
    let mut daemon = Daemon::start(Options::new(&binary).data(&data));
    let mut next = exists(&daemon);
    if next < arguments.messages {
        let begun = Instant::now();
        synthetic::fill(daemon.lmtp_addr(), USER, next, arguments.messages);
        eprintln!(
            "filled from {next} to {} in {:.0} s",
            arguments.messages,
            begun.elapsed().as_secs_f64()
        );
        next = arguments.messages;
    }
    if arguments.fill {
        return;
    }
    let mut rows = Rows::default();
    for run in 0..arguments.runs {
        eprintln!("run {} of {}", run + 1, arguments.runs);
        reading(&mut daemon, &data, &mut rows);
        committing(&daemon, &mut next, &mut rows);
        killed(&mut daemon, &mut next, &mut rows);
    }
    let hot = fs::metadata(data.join("shards/0001/hot.redb")).must("the hot tier's file");
    rows.push("size of the hot tier's file", "MiB", mib(hot.len()));
    let text = table(&rows, arguments);
    let command = format!("large --messages {}", arguments.messages);
    page::give(arguments.everywhere.write.as_deref(), &command, &text);
}

fn exists(daemon: &Daemon) -> usize {
    let selected = daemon.imap(USER).command("SELECT INBOX");
    let count = selected.number(" EXISTS").unwrap_or(0);
    usize::try_from(count).must("a count of messages")
}

/// What a client asks first after a start, and again.
fn reading(daemon: &mut Daemon, data: &Path, rows: &mut Rows) {
    daemon.stop();
    forget(data);
    daemon.restart();
    rows.time("start after a stop, caches empty", daemon.started_in());
    let mut imap = daemon.imap(USER);
    let timed = |imap: &mut Imap, command: &str| {
        let begun = Instant::now();
        let octets = imap.count(command).must(command);
        (begun.elapsed(), octets)
    };
    rows.time(
        "SELECT, the first after a start, the kernel's caches empty too",
        timed(&mut imap, "SELECT INBOX").0,
    );
    rows.time("SELECT again", timed(&mut imap, "SELECT INBOX").0);
    let mut other = daemon.imap(USER);
    let selected = Instant::now();
    let reply = other.command("SELECT INBOX").ok();
    rows.time("SELECT in another session", selected.elapsed());
    let last = reply.number(" EXISTS").must("EXISTS");
    let first = last.saturating_sub(SCREEN as u64 - 1);
    let screen = format!("FETCH {first}:{last} (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)");
    let name = format!("the last {SCREEN} envelopes");
    rows.time(&format!("{name}, first"), timed(&mut imap, &screen).0);
    rows.time(&format!("{name}, again"), timed(&mut imap, &screen).0);
    let before = usage::memory(daemon.pid());
    let (took, octets) = timed(&mut imap, "FETCH 1:* (FLAGS)");
    let after = usage::memory(daemon.pid());
    rows.time("FETCH 1:* (FLAGS)", took);
    rows.push("its answer", "MiB", mib(octets));
    let more = after.peak.saturating_sub(before.peak);
    rows.push(
        "by which it raised the daemon's largest memory (VmHWM)",
        "MiB",
        mib(more),
    );
    rows.push(
        "the daemon's largest memory after all of this (VmHWM)",
        "MiB",
        mib(after.peak),
    );
}

/// What a durable commit of the hot tier takes and writes.
fn committing(daemon: &Daemon, next: &mut usize, rows: &mut Rows) {
    let metric = |name: &str| {
        daemon
            .metric(&format!("coldpost_hot_durable_seconds_{name}"))
            .unwrap_or(0.0)
    };
    let quiet = || {
        let mut last = -1.0;
        wait::until("no durable commit is due", COMMIT_WITHIN, || {
            let now = metric("count");
            let same = now == last;
            last = now;
            wait::pause(Duration::from_millis(1_200));
            same
        });
    };
    quiet();
    let (count, seconds) = (metric("count"), metric("sum"));
    let (written, mail) = (usage::written(daemon.pid()), mail_files(daemon));
    for _ in 0..COMMITS {
        let begun = metric("count");
        synthetic::fill(daemon.lmtp_addr(), USER, *next, *next + DELIVERED);
        *next += DELIVERED;
        wait::until("a durable commit", COMMIT_WITHIN, || {
            metric("count") > begun
        });
    }
    quiet();
    let commits = (metric("count") - count).max(1.0);
    let more = usage::written(daemon.pid()).since(written);
    let mail = mail_files(daemon).saturating_sub(mail);
    rows.push(
        "durable commit of the hot tier",
        "ms",
        (metric("sum") - seconds) / commits * 1e3,
    );
    let bytes = number(more.calls.saturating_sub(mail)) / commits;
    rows.push("bytes it writes", "KiB", bytes / 1024.0);
}

/// kill -9 with mail that the hot tier has not synced.
fn killed(daemon: &mut Daemon, next: &mut usize, rows: &mut Rows) {
    synthetic::fill(daemon.lmtp_addr(), USER, *next, *next + BEFORE_KILL);
    *next += BEFORE_KILL;
    daemon.kill();
    daemon.restart();
    rows.time("start after kill -9", daemon.started_in());
    let mut imap = daemon.imap(USER);
    let begun = Instant::now();
    let selected = imap.command("SELECT INBOX").ok();
    rows.time(
        "SELECT, the first after a start, the daemon's caches empty",
        begun.elapsed(),
    );
    let there = usize::try_from(selected.number(" EXISTS").unwrap_or(0)).unwrap_or(0);
    assert!(
        there >= *next,
        "{there} messages after the kill, {next} were acknowledged"
    );
}

/// Asks the kernel to forget what it has of the files below a directory.
fn forget(dir: &Path) {
    for entry in fs::read_dir(dir).must("reading the data directory") {
        let path = entry.must("reading the data directory").path();
        if path.is_dir() {
            forget(&path);
        } else if let Ok(file) = File::open(&path) {
            let _ = file.sync_all();
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)
                .must("asking the kernel to forget a file");
        }
    }
}

fn table(rows: &Rows, arguments: &Large) -> String {
    let mut text = format!(
        "{}; {} messages in one mailbox, {} runs, medians (lowest to highest).\n\n| | |\n| --- | --- |\n",
        machine(),
        whole(number(arguments.messages as u64)),
        arguments.runs
    );
    for row in &rows.0 {
        let lowest = row.values.iter().copied().fold(f64::INFINITY, f64::min);
        let highest = row.values.iter().copied().fold(0.0, f64::max);
        let middle = median(row.values.iter().copied());
        let spread = if row.values.len() > 1 {
            format!(" ({lowest:.1} to {highest:.1})")
        } else {
            String::new()
        };
        text.push_str(&format!(
            "| {} | {middle:.1} {}{spread} |\n",
            row.name, row.unit
        ));
    }
    text
}
