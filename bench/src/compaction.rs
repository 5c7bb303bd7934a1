//! Deliveries and reading beside compaction and deletion, against the same without; and what compaction costs on a daemon that does nothing else.
//!
//! Promises: every round begins with a copy of the same store, which nobody compacted, and is served by a daemon that was just started; rounds
//! take turns in another order each run. Load is at a fixed rate, far below what the daemon can.

mod alone;
mod load;

use std::path::Path;
use std::process::Command;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use coldpost_testkit::place::{files, scratch};
use coldpost_testkit::tool::{NPM, TAR};
use coldpost_testkit::{Daemon, Must, Options, have, process, usage, wait};

use self::load::Load;
use crate::measure::{Took, median};
use crate::page::{machine, mib, number, whole};
use crate::{Compaction, binary, mails, operator, paced, page};

/// Accounts among whom the mail is spread, one message after the other, so that none has one of the corpus twice.
const ACCOUNTS: usize = 60;
/// Runs of compaction with nothing beside it, at most.
const ALONE: usize = 2;
/// Load before that which counts.
const WARM: Duration = Duration::from_secs(2);
/// What an operator has done over and over so that there is garbage and it goes.
const GARBAGE: [&[&str]; 2] = [&["snapshot", "now"], &["gc", "--apply"]];

/// What goes on beside the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Beside {
    /// No compaction, no deletion.
    Nothing,
    /// Compaction as the daemon begins it by itself, and deletion.
    ByItself,
    /// Compaction as `coldpost compact` asks for it, and deletion.
    Asked,
    /// Nothing, once all was compacted.
    Afterwards,
}

const ALL: [Beside; 4] = [
    Beside::Nothing,
    Beside::ByItself,
    Beside::Asked,
    Beside::Afterwards,
];

impl Beside {
    fn title(self) -> &'static str {
        match self {
            Beside::Nothing => "without",
            Beside::ByItself => "compaction by itself, gc",
            Beside::Asked => "`coldpost compact`, gc",
            Beside::Afterwards => "nothing, all compacted before",
        }
    }

    /// Every segment is old enough, or none.
    fn options(self, binary: &Path, data: &Path) -> Options {
        let segment_age = match self {
            Beside::ByItself => "0s",
            Beside::Nothing | Beside::Asked | Beside::Afterwards => "30d",
        };
        Options::new(binary)
            .data(data)
            .text("cold", "retention", "0s")
            .text("cold", "grace", "0s")
            .text("cold", "segment_age", segment_age)
            .text("hot", "local_bodies", "16GiB")
    }
}

/// A stopped store full of mail that nobody compacted.
struct Base {
    dir: tempfile::TempDir,
    messages: usize,
    /// Bytes of mail as it came.
    raw: u64,
    /// Bytes of segments.
    stored: u64,
}

impl Base {
    fn make(binary: &Path, mails: &[Vec<u8>], messages: usize) -> Base {
        let dir = scratch("compaction");
        let data = dir.path().join("data");
        let mut daemon = Daemon::start(Beside::Nothing.options(binary, &data));
        let raw = load::deliver(&daemon, mails, messages);
        // Ends the open segment, and waits until the store has all.
        daemon.ok(&["snapshot", "now"]);
        daemon.stop();
        let segments = files(&data.join("shards/0001/journal"));
        let bytes = |path: &std::path::PathBuf| path.metadata().must("a segment").len();
        Base {
            dir,
            messages,
            raw,
            stored: segments.iter().map(bytes).sum(),
        }
    }

    /// A daemon on a copy of its own, which lies in the directory that is given back and outlives it.
    fn start(&self, binary: &Path, beside: Beside) -> (tempfile::TempDir, Daemon) {
        let copy = scratch("compaction");
        let data = copy.path().join("data");
        // With hard links as they are: objects of the store and local files are the same.
        let mut cp = Command::new("cp");
        process::run(cp.arg("-a").arg(self.dir.path().join("data")).arg(&data));
        (copy, Daemon::start(beside.options(binary, &data)))
    }
}

/// What one round gave.
struct Round {
    beside: Beside,
    took: Vec<(&'static str, Took)>,
    /// Messages that compaction moved, and objects that were deleted, while it was measured.
    compacted: f64,
    deleted: f64,
    /// Bytes.
    peak: u64,
}

/// Measures and prints the tables.
///
/// # Panics
/// When a tool is missing or the daemon fails.
pub(crate) fn run(arguments: &Compaction) {
    if !have(&[NPM, TAR]) {
        return;
    }
    let binary = binary::find(arguments.everywhere.binary.as_deref());
    let mails = mails::first(usize::MAX);
    let base = Base::make(&binary, &mails, arguments.messages);
    let mut rounds = Vec::new();
    let mut alone = Vec::new();
    for run in 0..arguments.runs {
        let mut order = ALL;
        order.rotate_left(run % ALL.len());
        for beside in order {
            eprintln!("run {} of {}: {}", run + 1, arguments.runs, beside.title());
            let (_copy, daemon) = base.start(&binary, beside);
            rounds.push(round(&daemon, beside, &mails, arguments));
        }
    }
    for beside in [Beside::ByItself, Beside::Asked].repeat(arguments.runs.min(ALONE)) {
        eprintln!("alone: {}", beside.title());
        let (_copy, daemon) = base.start(&binary, beside);
        alone.push((beside, alone::measure(&daemon, beside, base.messages)));
    }
    for beside in [Beside::ByItself, Beside::Asked] {
        let of = rounds.iter().filter(|round| round.beside == beside);
        // A round may end before what was begun in it is relocated.
        assert!(
            of.map(|round| round.compacted).sum::<f64>() > 0.0,
            "nothing was compacted: {}",
            beside.title()
        );
    }
    let text = format!(
        "{}\n{}",
        table(&rounds, &base, arguments),
        alone::table(&alone, &base)
    );
    page::give(arguments.everywhere.write.as_deref(), "compaction", &text);
}

fn round(daemon: &Daemon, beside: Beside, mails: &[Vec<u8>], arguments: &Compaction) -> Round {
    if beside == Beside::Afterwards {
        daemon.ok(&["compact"]);
    }
    let mut load = Load::open(daemon, mails);
    let mut measured = || {
        // What the copy left for the disk to do is done before.
        rustix::fs::sync();
        paced::meanwhile(load.streams(), || wait::pause(WARM));
        let metric = |name| daemon.metric(name).unwrap_or(0.0);
        let figures = || {
            [
                metric("coldpost_compacted_messages_total"),
                metric("coldpost_deleted_objects_total"),
            ]
        };
        let before = figures();
        let seconds = Duration::from_secs(arguments.seconds);
        let ((), took) = paced::meanwhile(load.streams(), || wait::pause(seconds));
        let after = figures();
        eprintln!("{}", operator::slow_ones(daemon));
        for (name, took) in &took {
            eprintln!("{name}: p50 {:.2} ms, p99 {:.2} ms", took.p50(), took.p99());
        }
        eprintln!("{} messages were compacted", after[0] - before[0]);
        Round {
            beside,
            took,
            compacted: after[0] - before[0],
            deleted: after[1] - before[1],
            peak: usage::memory(daemon.pid()).peak,
        }
    };
    if matches!(beside, Beside::Nothing | Beside::Afterwards) {
        let round = measured();
        assert_eq!(
            round.compacted, 0.0,
            "messages compacted without compaction"
        );
        return round;
    }
    let operators = |stop: &AtomicBool| {
        std::thread::scope(|scope| {
            scope.spawn(|| operator::again_and_again(daemon, &GARBAGE, stop));
            if beside == Beside::Asked {
                operator::again_and_again(daemon, &[&["compact"]], stop);
            }
        });
    };
    let (round, ()) = paced::beside(operators, measured);
    round
}

/// Latencies of each kind of round, and how they compare with those without.
fn table(rounds: &[Round], base: &Base, arguments: &Compaction) -> String {
    let mut text = format!(
        "{}; {} messages ({:.0} MiB as they came, {:.0} MiB of segments) of {ACCOUNTS} accounts, object store on the same disk; {}, for {} s; {} runs, \
        medians (slowest: of all runs; \"to without\": of the same run). \"Compaction by itself\": every sealed segment is old enough (`segment_age` 0) and is rewritten as the daemon does it beside the \
        serving; \"`coldpost compact`\": somebody asked and waits. gc: `snapshot now` and `gc --apply` over and over, with `retention` and `grace` 0. Promised is a p99 \
        of at most twice that without.\n\n\
        | | beside it | p50 | p99 | p99 of the runs | slowest | p99 to without | messages compacted meanwhile | objects deleted | daemon's largest memory (VmHWM) |\n\
        | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        machine(),
        whole(number(base.messages as u64)),
        mib(base.raw),
        mib(base.stored),
        load::words(),
        arguments.seconds,
        arguments.runs,
    );
    let names = rounds.first().map(|round| round.took.len()).unwrap_or(0);
    for at in 0..names {
        // Each against the one without of its own run: what else the machine has to do changes from one minute to the next.
        let to_without = |beside: Beside| {
            let ratios = rounds.chunks(ALL.len()).filter_map(|run| {
                let p99 = |wanted: Beside| {
                    let round = run.iter().find(|round| round.beside == wanted)?;
                    Some(round.took[at].1.p99())
                };
                Some(p99(beside)? / p99(Beside::Nothing)?.max(1e-9))
            });
            median(ratios)
        };
        for beside in ALL {
            let of: Vec<&Round> = rounds.iter().filter(|r| r.beside == beside).collect();
            let took = |value: fn(&Took) -> f64| median(of.iter().map(|r| value(&r.took[at].1)));
            let name = of.first().map_or("", |round| round.took[at].0);
            let slowest = of.iter().map(|r| r.took[at].1.longest());
            let p99 = took(Took::p99);
            let p99s = of.iter().map(|r| r.took[at].1.p99());
            let (best, worst) = p99s.fold((f64::MAX, 0.0_f64), |(least, most), p99| {
                (least.min(p99), most.max(p99))
            });
            text.push_str(&format!(
                "| {name} | {} | {:.2} ms | {p99:.2} ms | {best:.2} to {worst:.2} ms | {:.1} ms | {:.2} | {} | {} | {:.0} MiB |\n",
                beside.title(),
                took(Took::p50),
                slowest.fold(0.0, f64::max),
                to_without(beside),
                whole(median(of.iter().map(|round| round.compacted))),
                whole(median(of.iter().map(|round| round.deleted))),
                of.iter().map(|round| mib(round.peak)).fold(0.0, f64::max),
            ));
        }
    }
    text
}
