//! Honest clients beside many that send one byte a second: what deliveries and fetches take with and without them.

use std::time::{Duration, Instant};

use coldpost_testkit::dice::Dice;
use coldpost_testkit::sluggards::{Sluggards, Target};
use coldpost_testkit::tool::{NPM, TAR};
use coldpost_testkit::{Daemon, Must, Options, have};

use crate::measure::{Took, median};
use crate::page::{machine, number, whole};
use crate::{Slow, binary, mails, page};

/// Honest connections of each protocol.
const HONEST: usize = 8;
/// Honest deliveries, and as many FETCHes, of a run.
const HONEST_WORK: usize = 2_000;
/// Whose mail it is.
const USER: &str = "reader@example.org";

/// What was measured: deliveries and FETCHes, each without and with the slow ones.
#[derive(Default)]
struct Found {
    rows: [[Vec<Took>; 2]; 2],
}

/// Measures and prints the table.
///
/// # Panics
/// When a tool is missing or the daemon fails.
pub(crate) fn run(arguments: &Slow) {
    if !have(&[NPM, TAR]) {
        return;
    }
    let binary = binary::find(arguments.everywhere.binary.as_deref());
    let mut found = Found::default();
    let mut again = 0;
    for run in 0..arguments.runs {
        eprintln!("run {} of {}", run + 1, arguments.runs);
        let daemon = Daemon::start(Options::new(&binary));
        // What is measured first finds a colder server than what comes after it: both orders, in turns, and one round before them.
        honest(&daemon);
        let mut order = [false, true];
        order.rotate_left(run % 2);
        for slow in order {
            let target = Target {
                lmtp: daemon.lmtp_addr(),
                imap: daemon.imap_addr(),
                user: "slow@example.org".to_owned(),
                password: daemon.password(),
            };
            let sluggards = slow.then(|| Sluggards::begin(&target, arguments.connections));
            let [deliveries, fetches] = honest(&daemon);
            again += sluggards.map_or(0, |sluggards| sluggards.made_again());
            found.rows[0][usize::from(slow)].push(deliveries);
            found.rows[1][usize::from(slow)].push(fetches);
        }
    }
    let text = table(&found, arguments, again);
    page::give(arguments.everywhere.write.as_deref(), "slow", &text);
}

/// Deliveries, then fetches, by [`HONEST`] connections.
fn honest(daemon: &Daemon) -> [Took; 2] {
    let mails = mails::first(HONEST_WORK);
    let part = mails.len().div_ceil(HONEST);
    let deliveries = at_once(|number| {
        let mut lmtp = daemon.lmtp();
        let mails = mails.chunks(part).nth(number).unwrap_or_default();
        let deliver = |mail: &Vec<u8>| timed(|| lmtp.deliver("sender@example.org", USER, mail));
        mails.iter().map(deliver).collect()
    });
    let fetches = at_once(|number| {
        let mut imap = daemon.imap(USER);
        let count = imap.command("SELECT INBOX").ok().number(" EXISTS");
        let count = usize::try_from(count.must("EXISTS")).must("a count");
        let mut dice = Dice::new(number as u64);
        let mut fetch = |_| {
            let command = format!("FETCH {} BODY.PEEK[]", dice.index(count) + 1);
            timed(|| {
                imap.count(&command).must("FETCH");
            })
        };
        (0..part).map(&mut fetch).collect()
    });
    [deliveries, fetches]
}

fn timed(work: impl FnOnce()) -> Duration {
    let begun = Instant::now();
    work();
    begun.elapsed()
}

fn at_once(work: impl Fn(usize) -> Vec<Duration> + Sync) -> Took {
    let mut took: Vec<Duration> = Vec::new();
    std::thread::scope(|scope| {
        let begin = |number| {
            let work = &work;
            scope.spawn(move || work(number))
        };
        let threads: Vec<_> = (0..HONEST).map(begin).collect();
        for thread in threads {
            match thread.join() {
                Ok(more) => took.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    Took::from(took)
}

fn table(found: &Found, arguments: &Slow, again: usize) -> String {
    let mut text = format!(
        "{}; {} connections that send one byte a second, half of them LMTP (in commands and in messages), half IMAP (before login, in commands, in \
        literals; those that the server ended were made again: {again}); {} honest deliveries and FETCHes of whole messages by {HONEST} connections; {} runs, medians.\n\n\
        | | p99 without | p99 with them | ratio | p50 without | p50 with them |\n| --- | --- | --- | --- | --- | --- |\n",
        machine(),
        whole(number(arguments.connections as u64)),
        whole(number(HONEST_WORK as u64)),
        arguments.runs
    );
    for (name, row) in ["LMTP", "FETCH"].iter().zip(&found.rows) {
        let p99 = row
            .each_ref()
            .map(|runs| median(runs.iter().map(|took| took.p99())));
        let p50 = row
            .each_ref()
            .map(|runs| median(runs.iter().map(|took| took.p50())));
        text.push_str(&format!(
            "| {name} | {:.2} ms | {:.2} ms | {:.2} | {:.2} ms | {:.2} ms |\n",
            p99[0],
            p99[1],
            p99[1] / p99[0].max(1e-9),
            p50[0],
            p50[1]
        ));
    }
    text
}
