//! Feeds a target its share.
//!
//! Promises: prints seed, bytes and time; the first input that fails ends the run and says how it is repeated.

use std::time::{Duration, Instant};

use crate::Target;
use crate::memory::resident_bytes;
use crate::mutate::Mutator;
use crate::watch::Watch;

/// What a run is to do.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    /// Decides every input.
    pub seed: u64,
    /// Bytes that the target must have taken at the end.
    pub bytes: u64,
    /// Only this input, after those of its group before it.
    pub only: Option<u64>,
}

impl Order {
    /// `share` bytes (ten times as many with `COLDPOST_LONG`), with the seed of `COLDPOST_FUZZ_SEED` (1 without) and only the input
    /// of `COLDPOST_FUZZ_ONLY`.
    pub fn from_env(share: u64) -> Order {
        let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
        let times = if coldpost_testkit::tool::long() {
            10
        } else {
            1
        };
        Order {
            seed: number("COLDPOST_FUZZ_SEED").unwrap_or(1),
            bytes: share * times,
            only: number("COLDPOST_FUZZ_ONLY"),
        }
    }
}

/// What a run did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Inputs.
    pub inputs: u64,
    /// Bytes of them that the target took.
    pub bytes: u64,
    /// How long it took.
    pub took: Duration,
    /// How long the slowest input took.
    pub slowest: Duration,
    /// Resident bytes after each tenth.
    pub resident: Vec<u64>,
    /// What `live` said at the same times.
    pub live: Vec<u64>,
}

/// Feeds `target` what `order` says; `live` tells the bytes that the process has allocated.
///
/// # Panics
/// When an input panics, in whatever thread. The message names the file that has it.
pub fn run(target: &Target, order: Order, live: fn() -> u64) -> Report {
    let mutator = Mutator::new(target);
    let watch = Watch::begin();
    let Order { seed, bytes, only } = order;
    println!(
        "{}: seed {seed} (COLDPOST_FUZZ_SEED={seed} repeats it)",
        target.name
    );
    let mut report = Report::default();
    let started = Instant::now();
    let mut tenth = 1;
    let first = only.map_or(0, |only| only - only % target.group);
    for number in first.. {
        let input = mutator.input(seed, number);
        let begun = Instant::now();
        let name = format!("{}-{seed}-{number}", target.name);
        let taken = watch
            .feed(&name, &input, target.feed)
            .unwrap_or_else(|problem| {
                panic!(
                    "{problem}\nCOLDPOST_FUZZ_SEED={seed} COLDPOST_FUZZ_ONLY={number} repeats it"
                )
            });
        report.slowest = report.slowest.max(begun.elapsed());
        report.inputs += 1;
        report.bytes += u64::try_from(taken).unwrap_or(0);
        if report.bytes >= bytes / 10 * tenth {
            report.resident.push(resident_bytes().unwrap_or(0));
            report.live.push(live());
            tenth = report.bytes * 10 / bytes.max(1) + 1;
        }
        if only.map_or(report.bytes >= bytes, |only| only == number) {
            break;
        }
    }
    report.took = started.elapsed();
    println!("{}: {report}", target.name);
    report
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mib = |bytes: &[u64]| -> Vec<u64> { bytes.iter().map(|bytes| bytes >> 20).collect() };
        write!(
            f,
            "{} inputs, {} bytes in {:.1?}, the slowest {:.1?}; MiB after each tenth: {:?} resident, {:?} allocated",
            self.inputs,
            self.bytes,
            self.took,
            self.slowest,
            mib(&self.resident),
            mib(&self.live)
        )
    }
}
