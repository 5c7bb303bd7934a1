//! Sessions that wait in IDLE: what each costs in memory, and how soon all of them hear of a delivery.
//!
//! Promises: the time is from the first octet of the delivery to the last session's EXISTS, on the same machine.

use std::time::Duration;

use coldpost_testkit::crowd::Crowd;
use coldpost_testkit::{Daemon, Must, Options, usage};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::measure::median;
use crate::page::{machine, number, whole};
use crate::{Idle, binary, page};

/// Longest wait for all of them.
const TOLD_WITHIN: Duration = Duration::from_secs(60);
/// Deliveries before those that are measured.
const WARM: usize = 3;
/// Open files besides a third more than there are sessions: what the daemon leaves to its store and to messages that arrive.
const FILES_REST: u64 = 2_048;

/// What one run gave.
struct Run {
    each: f64,
    told: Vec<f64>,
}

/// Measures and prints the table.
///
/// # Panics
/// When the daemon fails, or not so many files may be open.
pub(crate) fn run(arguments: &Idle) {
    let binary = binary::find(arguments.everywhere.binary.as_deref());
    let sessions = arguments.sessions;
    allow_files(sessions as u64 / 3 * 4 + FILES_REST);
    let variants: [(&str, usize); 2] = [
        ("one account", 1),
        ("100 accounts, all of them get the mail", 100),
    ];
    let mut text = format!(
        "{}; {} sessions in IDLE on INBOX, {} runs, {} deliveries each.\n\n\
        | | memory of a session | until the last session has EXISTS: median | slowest |\n| --- | --- | --- | --- |\n",
        machine(),
        whole(number(sessions as u64)),
        arguments.runs,
        arguments.deliveries,
    );
    for (name, accounts) in variants {
        let runs: Vec<Run> = (0..arguments.runs)
            .map(|_| measure(&binary, sessions, accounts, arguments.deliveries))
            .collect();
        let told = || runs.iter().flat_map(|run| run.told.iter().copied());
        text.push_str(&format!(
            "| {name} | {:.1} KiB | {:.1} ms | {:.1} ms |\n",
            median(runs.iter().map(|run| run.each)) / 1024.0,
            median(told()),
            told().fold(0.0, f64::max)
        ));
    }
    let command = format!("idle --sessions {sessions}");
    page::give(arguments.everywhere.write.as_deref(), &command, &text);
}

fn measure(binary: &std::path::Path, sessions: usize, accounts: usize, deliveries: usize) -> Run {
    let daemon = Daemon::start(Options::new(binary));
    let user = |number: usize| format!("user{}@example.org", number % accounts);
    let users: Vec<String> = (0..accounts).map(user).collect();
    let to: Vec<&str> = users.iter().map(String::as_str).collect();
    // What the first session and delivery of an account bring about is not the crowd's.
    for user in &users {
        drop(daemon.imap(user));
    }
    deliver(&daemon, &to);
    let before = usage::memory(daemon.pid()).resident;
    let mut crowd = Crowd::enter(daemon.imap_addr(), &daemon.password(), sessions, user);
    let after = usage::memory(daemon.pid()).resident;
    let told = (0..WARM + deliveries)
        .map(|_| {
            crowd
                .all_told(TOLD_WITHIN, || deliver(&daemon, &to))
                .as_secs_f64()
                * 1e3
        })
        .skip(WARM)
        .collect();
    Run {
        each: number(after.saturating_sub(before)) / number(crowd.len() as u64),
        told,
    }
}

fn deliver(daemon: &Daemon, to: &[&str]) {
    let mail = b"From: sender@example.org\r\nSubject: to all\r\n\r\nhere it is\r\n";
    let mut lmtp = daemon.lmtp();
    let replies = lmtp.try_deliver("sender@example.org", to, mail);
    let replies = replies.must("delivering");
    assert!(
        replies.iter().all(coldpost_testkit::lmtp::Reply::is_ok),
        "{replies:?}"
    );
}

/// Raises the bound of open files of this process and of those that it starts.
fn allow_files(files: u64) {
    let now = getrlimit(Resource::Nofile);
    let wanted = Rlimit {
        current: Some(now.current.map_or(files, |current| current.max(files))),
        maximum: Some(now.maximum.map_or(files, |maximum| maximum.max(files))),
    };
    if now.current.is_some_and(|current| current < files) {
        setrlimit(Resource::Nofile, wanted).must(&format!(
            "allowing {files} open files (ulimit -n; as root it can be raised)"
        ));
    }
}
