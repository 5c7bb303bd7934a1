//! Compaction of everything by a daemon that has nothing else to do: how fast, and for how much of a processor.

use std::time::{Duration, Instant};

use coldpost_testkit::{Daemon, usage, wait};

use super::{Base, Beside};
use crate::measure::median;
use crate::operator::Requests;
use crate::page::{mib, number};

/// Longest wait for compaction that nobody asked for.
const WITHIN: Duration = Duration::from_secs(1_800);
const GIB: f64 = (1_u64 << 30) as f64;

/// What it took.
pub(super) struct Alone {
    elapsed: Duration,
    processor: Duration,
    /// Bytes of blocks, packs and blobs.
    made: f64,
    /// Bytes that reached the disk.
    written: u64,
    requests: Requests,
    peak: u64,
}

/// Compacts all `messages` that there are.
pub(super) fn measure(daemon: &Daemon, beside: Beside, messages: usize) -> Alone {
    let (begun, pid) = (Instant::now(), daemon.pid());
    let asked = Requests::of(daemon);
    let (processor, written) = (usage::processor(pid), usage::written(pid));
    let metric = |name| daemon.metric(name).unwrap_or(0.0);
    let compacted = || metric("coldpost_compacted_messages_total");
    if beside == Beside::Asked {
        daemon.ok(&["compact"]);
    }
    wait::until("all messages are compacted", WITHIN, || {
        wait::pause(Duration::from_millis(100));
        compacted() >= number(messages as u64)
    });
    Alone {
        elapsed: begun.elapsed(),
        processor: usage::processor(pid).saturating_sub(processor),
        made: metric("coldpost_compacted_bytes_total"),
        written: usage::written(pid).since(written).disk,
        requests: Requests::of(daemon).since(&asked),
        peak: usage::memory(pid).peak,
    }
}

/// As Markdown.
pub(super) fn table(alone: &[(Beside, Alone)], base: &Base) -> String {
    let mut text = String::from(
        "| compaction of all of it, nothing beside | seconds | MiB/s of mail as it came | MiB/s of segments | CPU seconds for each GiB of mail as it came | \
        blocks and packs, to the segments | written to the disk | requests to the store | daemon's largest memory (VmHWM) |\n\
        | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for beside in [Beside::ByItself, Beside::Asked] {
        let of: Vec<&Alone> = alone
            .iter()
            .filter(|(other, _)| *other == beside)
            .map(|(_, alone)| alone)
            .collect();
        let value = |of_one: &dyn Fn(&Alone) -> f64| median(of.iter().map(|alone| of_one(alone)));
        let seconds = value(&|alone| alone.elapsed.as_secs_f64());
        let processor = value(&|alone| alone.processor.as_secs_f64());
        let made = value(&|alone| alone.made);
        let name = match beside {
            Beside::Asked => "`coldpost compact`",
            _ => "by itself",
        };
        text.push_str(&format!(
            "| {name} | {seconds:.1} | {:.1} | {:.1} | {:.0} | {:.0} MiB, {:.2} | {:.0} MiB | {} | {:.0} MiB |\n",
            mib(base.raw) / seconds,
            mib(base.stored) / seconds,
            processor / (number(base.raw) / GIB),
            made / f64::from(1 << 20),
            made / number(base.stored),
            value(&|alone| mib(alone.written)),
            of.first().map(|alone| alone.requests.words()).unwrap_or_default(),
            of.iter().map(|alone| mib(alone.peak)).fold(0.0, f64::max),
        ));
    }
    text
}
