//! Bodies that are in the bucket alone: Coldpost, compacted and without local copies, against one object for each mail, on the same SeaweedFS in the same run.
//!
//! Promises: the same mail, read in the same order; no cache of the reader's has anything at the beginning of a row.
//! Of Coldpost all is seen through IMAP; the other way is the bare requests, with no mail server around them.

mod objects;

use std::time::{Duration, Instant};

use coldpost_testkit::dice::Dice;
use coldpost_testkit::fault_proxy::{FaultProxy, Mode};
use coldpost_testkit::imap::Imap;
use coldpost_testkit::place::files;
use coldpost_testkit::seaweedfs::SeaweedFs;
use coldpost_testkit::tool::{NPM, TAR, WEED};
use coldpost_testkit::{Daemon, Must, Options, have};

use self::objects::{Moved, Objects};
use crate::measure::{Took, median};
use crate::operator::Requests;
use crate::page::{machine, number, whole};
use crate::{Cold, binary, mails, page};

/// Whose mail it is.
const USER: &str = "reader@example.org";
/// Bodies fetched one at a time.
const RANDOM_BODIES: usize = 500;
/// Requests at once where a client of objects is not content with one.
const AT_ONCE: usize = 8;
/// Below which Coldpost's objects lie.
const PREFIX: &str = "coldpost";

/// What one way of one row took.
struct Figures {
    row: &'static str,
    way: &'static str,
    requests: f64,
    /// Bytes of bodies of requests, whichever way they went.
    bytes: f64,
    elapsed: Duration,
    /// Of each mail, where they were asked for one by one.
    took: Took,
}

const OURS: &str = "Coldpost, over IMAP";
const THEIRS: &str = "one object for each mail";
const THEIRS_AT_ONCE: &str = "one object for each mail, 8 requests at once";
const STORED: &str = "stored: all requests until nothing is left to do";
const RANDOM: &str = "random bodies, one at a time";
const ALL: &str = "all bodies in order, one session";

/// Measures and prints the table.
///
/// # Panics
/// When a tool is missing or a server fails.
pub(crate) fn run(arguments: &Cold) {
    if !have(&[NPM, TAR, WEED]) {
        return;
    }
    let binary = binary::find(arguments.everywhere.binary.as_deref());
    let mails = mails::first(arguments.messages);
    let mut figures = Vec::new();
    for run in 0..arguments.runs {
        eprintln!("run {} of {}", run + 1, arguments.runs);
        let weed = SeaweedFs::start();
        let proxy = (arguments.delay > 0).then(|| FaultProxy::start(weed.s3_addr()));
        let endpoint = proxy.as_ref().map_or(weed.s3_addr(), FaultProxy::addr);
        let options = weed.cold(Options::new(&binary), endpoint, PREFIX);
        let mut dice = Dice::new(run as u64);
        let random: Vec<usize> = (0..RANDOM_BODIES)
            .map(|_| dice.index(mails.len()))
            .collect();
        let mut daemon = Daemon::start(options);
        figures.push(store(&daemon, &mails));
        let objects = Objects::open(endpoint);
        figures.push(put(&objects, &mails));
        if let Some(proxy) = &proxy {
            proxy.set(Mode::Delay(Duration::from_millis(arguments.delay)));
        }
        let ours =
            |daemon: &mut Daemon| [ours_random(daemon, &random), ours_all(daemon, mails.len())];
        // Whoever comes second finds a store that is busy with nothing else either; in turns all the same.
        match run % 2 {
            0 => {
                figures.extend(ours(&mut daemon));
                figures.extend(theirs(&objects, &mails, &random));
            }
            _ => {
                figures.extend(theirs(&objects, &mails, &random));
                figures.extend(ours(&mut daemon));
            }
        }
    }
    let text = table(&figures, &mails, arguments);
    let command = match arguments.delay {
        0 => "cold".to_owned(),
        delay => format!("cold --delay {delay}"),
    };
    page::give(arguments.everywhere.write.as_deref(), &command, &text);
}

/// Delivers all and compacts it.
fn store(daemon: &Daemon, mails: &[Vec<u8>]) -> Figures {
    let begun = Instant::now();
    // One connection, so that messages stand in the mailbox in the order of their numbers.
    let mut lmtp = daemon.lmtp();
    for mail in mails {
        lmtp.deliver("sender@example.org", USER, mail);
    }
    daemon.ok(&["compact"]);
    figures(OURS, STORED, begun.elapsed(), &Requests::of(daemon), vec![])
}

fn put(objects: &Objects, mails: &[Vec<u8>]) -> Figures {
    let begun = Instant::now();
    let put = objects.put(mails, AT_ONCE);
    bare(THEIRS, STORED, begun.elapsed(), put)
}

/// A daemon that was just started and has nothing of the mail on its disk.
fn cold(daemon: &mut Daemon) -> (Imap, Requests) {
    daemon.stop();
    daemon.remove_local_mail();
    for file in files(&daemon.data_dir().join("cache")) {
        std::fs::remove_file(&file).must("emptying the disk cache");
    }
    daemon.restart();
    let mut imap = daemon.imap(USER);
    imap.command("SELECT INBOX").ok();
    let before = Requests::of(daemon);
    (imap, before)
}

fn ours_random(daemon: &mut Daemon, random: &[usize]) -> Figures {
    let (mut imap, before) = cold(daemon);
    let begun = Instant::now();
    let mut fetch = |number: &usize| {
        let begun = Instant::now();
        let command = format!("FETCH {} BODY.PEEK[]", number + 1);
        imap.count(&command).must("FETCH");
        begun.elapsed()
    };
    let took = random.iter().map(&mut fetch).collect();
    let elapsed = begun.elapsed();
    figures(
        OURS,
        RANDOM,
        elapsed,
        &Requests::of(daemon).since(&before),
        took,
    )
}

fn ours_all(daemon: &mut Daemon, count: usize) -> Figures {
    let (mut imap, before) = cold(daemon);
    let there = imap.command("NOOP").ok();
    assert!(there.is_ok() && count > 0, "{there:?}");
    let begun = Instant::now();
    imap.count("FETCH 1:* BODY.PEEK[]").must("FETCH");
    let elapsed = begun.elapsed();
    figures(
        OURS,
        ALL,
        elapsed,
        &Requests::of(daemon).since(&before),
        vec![],
    )
}

fn theirs(objects: &Objects, mails: &[Vec<u8>], random: &[usize]) -> [Figures; 3] {
    let all: Vec<usize> = (0..mails.len()).collect();
    let get = |way, row, numbers: &[usize], at_once| {
        let begun = Instant::now();
        let got = objects.get(numbers, mails, at_once);
        bare(way, row, begun.elapsed(), got)
    };
    [
        get(THEIRS, RANDOM, random, 1),
        get(THEIRS, ALL, &all, 1),
        get(THEIRS_AT_ONCE, ALL, &all, AT_ONCE),
    ]
}

fn figures(
    way: &'static str,
    row: &'static str,
    elapsed: Duration,
    requests: &Requests,
    took: Vec<Duration>,
) -> Figures {
    eprintln!(
        "{row}, {way}: {} in {:.2} s",
        requests.words(),
        elapsed.as_secs_f64()
    );
    Figures {
        row,
        way,
        requests: requests.count(),
        bytes: requests.received + requests.sent,
        elapsed,
        took: took.into(),
    }
}

fn bare(way: &'static str, row: &'static str, elapsed: Duration, moved: Moved) -> Figures {
    let count = number(moved.took.len() as u64);
    eprintln!("{row}, {way}: {count:.0} in {:.2} s", elapsed.as_secs_f64());
    Figures {
        row,
        way,
        requests: count,
        bytes: number(moved.bytes),
        elapsed,
        took: moved.took.into(),
    }
}

fn table(figures: &[Figures], mails: &[Vec<u8>], arguments: &Cold) -> String {
    let raw: u64 = mails.iter().map(|mail| mail.len() as u64).sum();
    let delay = match arguments.delay {
        0 => String::new(),
        delay => format!(
            ", each of whose answers to a reader is held back for {delay} ms, as one that is not next door takes"
        ),
    };
    let mut text = format!(
        "{}; {} messages of one account ({:.1} MiB as they came), SeaweedFS on the same machine{delay}; {} runs, medians. Coldpost: compacted, no local copies, the disk cache empty, the daemon just \
        started before each row; all bodies by one FETCH, time and percentiles as an IMAP client sees them. One object for each mail: compressed by zstd, level 3; GETs by a bare client, over \
        connections that it keeps, no mail server around them.\n\n\
        | | | requests | bytes of objects, MiB | seconds | p50 of a mail | p99 |\n| --- | --- | --- | --- | --- | --- | --- |\n",
        machine(),
        whole(number(mails.len() as u64)),
        page::mib(raw),
        arguments.runs,
    );
    for row in [STORED, RANDOM, ALL] {
        for way in [OURS, THEIRS, THEIRS_AT_ONCE] {
            let of: Vec<&Figures> = figures
                .iter()
                .filter(|f| (f.row, f.way) == (row, way))
                .collect();
            if of.is_empty() {
                continue;
            }
            let value = |of_one: fn(&Figures) -> f64| median(of.iter().map(|f| of_one(f)));
            let percentile = |of_one: fn(&Took) -> f64| match of.iter().any(|f| f.took.count() == 0)
            {
                true => "-".to_owned(),
                false => format!("{:.2} ms", median(of.iter().map(|f| of_one(&f.took)))),
            };
            text.push_str(&format!(
                "| {row} | {way} | {} | {:.2} | {:.2} | {} | {} |\n",
                whole(value(|f| f.requests)),
                value(|f| f.bytes) / f64::from(1 << 20),
                value(|f| f.elapsed.as_secs_f64()),
                percentile(Took::p50),
                percentile(Took::p99),
            ));
        }
    }
    text
}
