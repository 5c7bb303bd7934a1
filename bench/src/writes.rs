//! Write amplification of delivery: bytes that reach the disk for each byte received, before any compaction.
//!
//! Promises: everything that a delivery brings about is counted: journal, blobs, the hot tier's commits, the upload to a store on
//! the same disk. Counting ends when the daemon has written nothing for a while.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use coldpost_testkit::lmtp::Lmtp;
use coldpost_testkit::tool::{NPM, TAR};
use coldpost_testkit::usage::{self, Written};
use coldpost_testkit::{Daemon, Options, have, wait};

use crate::measure::median;
use crate::page::{machine, mib, number, whole};
use crate::{Writes, binary, mails, page};

/// Connections that deliver.
const CONNECTIONS: [usize; 2] = [1, 8];
/// Without a write for so long, all that deliveries bring about is done: the journal's idle mark and a durable commit come after a second.
const STILL: Duration = Duration::from_secs(3);

/// What one run wrote.
struct Run {
    received: u64,
    written: Written,
    /// Segments and blobs.
    mail: u64,
    commits: f64,
}

/// Measures and prints the table.
///
/// # Panics
/// When a tool is missing or the daemon fails.
pub(crate) fn run(arguments: &Writes) {
    if !have(&[NPM, TAR]) {
        return;
    }
    let binary = binary::find(arguments.everywhere.binary.as_deref());
    let mails = mails::first(arguments.messages);
    let mut rows: Vec<(usize, Vec<Run>)> = CONNECTIONS.map(|count| (count, vec![])).into();
    for run in 0..arguments.runs {
        for (connections, runs) in &mut rows {
            eprintln!(
                "run {} of {}: {connections} connections",
                run + 1,
                arguments.runs
            );
            let daemon = Daemon::start(Options::new(&binary));
            runs.push(measure(&daemon, &mails, *connections));
        }
    }
    let table = table(&rows, mails.len(), arguments.runs);
    page::give(arguments.everywhere.write.as_deref(), "writes", &table);
}

fn measure(daemon: &Daemon, mails: &[Vec<u8>], connections: usize) -> Run {
    let commits = || {
        daemon
            .metric("coldpost_hot_durable_seconds_count")
            .unwrap_or(0.0)
    };
    // The account is made before: one delivery to it.
    Lmtp::connect(daemon.lmtp_addr()).deliver(
        "sender@example.org",
        "reader@example.org",
        b"Subject: first\r\n\r\nfirst\r\n",
    );
    settled(daemon.pid());
    let (before, files, begun) = (usage::written(daemon.pid()), mail_files(daemon), commits());
    std::thread::scope(|scope| {
        for part in mails.chunks(mails.len().div_ceil(connections)) {
            scope.spawn(move || {
                let mut lmtp = Lmtp::connect(daemon.lmtp_addr());
                for mail in part {
                    lmtp.deliver("sender@example.org", "reader@example.org", mail);
                }
            });
        }
    });
    settled(daemon.pid());
    Run {
        received: mails.iter().map(|mail| mail.len() as u64).sum(),
        written: usage::written(daemon.pid()).since(before),
        mail: mail_files(daemon).saturating_sub(files),
        commits: commits() - begun,
    }
}

/// Waits until the daemon has written nothing for [`STILL`].
fn settled(pid: u32) {
    let mut last = (usage::written(pid), Instant::now());
    while last.1.elapsed() < STILL {
        wait::pause(Duration::from_millis(100));
        let now = usage::written(pid);
        if now != last.0 {
            last = (now, Instant::now());
        }
    }
}

/// Bytes of segments and blobs, those that became objects of the store counted once.
pub(crate) fn mail_files(daemon: &Daemon) -> u64 {
    let all = usage::files(daemon.data_dir());
    let hot = |shard: &str| {
        let path = daemon
            .data_dir()
            .join("shards")
            .join(shard)
            .join("hot.redb");
        path.metadata().map_or(0, |about| about.len())
    };
    all.saturating_sub(hot("0000") + hot("0001"))
}

fn table(rows: &[(usize, Vec<Run>)], messages: usize, runs: usize) -> String {
    let received = rows
        .iter()
        .flat_map(|(_, runs)| runs)
        .map(|run| run.received)
        .max();
    let mut text = format!(
        "{}; {} messages of {:.1} MiB together, object store on the same disk, {runs} runs each, medians.\n\n\
        | | to the disk, for each byte received (lowest to highest) | handed to write calls | of these journal and blobs | the rest: hot tier | its durable commits |\n\
        | --- | --- | --- | --- | --- | --- |\n",
        machine(),
        whole(number(messages as u64)),
        mib(received.unwrap_or(0)),
    );
    for (connections, runs) in rows {
        let of = |value: fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<f64>>();
        let disk = of(|run| number(run.written.disk) / number(run.received));
        let _ = writeln!(
            text,
            "| LMTP, {connections} connection{} | {:.2} ({:.2} to {:.2}) | {:.2} | {:.2} | {:.2} | {:.0} |",
            if *connections == 1 { "" } else { "s" },
            median(disk.iter().copied()),
            disk.iter().copied().fold(f64::INFINITY, f64::min),
            disk.iter().copied().fold(0.0, f64::max),
            median(of(|run| number(run.written.calls) / number(run.received))),
            median(of(|run| number(run.mail) / number(run.received))),
            median(of(
                |run| number(run.written.calls.saturating_sub(run.mail)) / number(run.received)
            )),
            median(of(|run| run.commits)),
        );
    }
    text
}
