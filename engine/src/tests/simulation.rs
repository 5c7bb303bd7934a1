//! Random schedules of everything that touches shared attachments (deliveries, copies, expunges, compaction, deletion, kills, lost disks,
//! a store that fails), on the real fold, the real choice of compaction and the real decision of deletion.
//!
//! Store, disk and time are simulated. What runs the steps of compaction, deletion, uploads and snapshots is written here after the real
//! runners, so that anything can happen between two steps. Of the planted bugs, those of apply (`RelocatesFromAnywhere`, `CondemnsUnseen`,
//! `FreesTwice`), of deletion's decision and apply (`GraceByClock`) and of eviction (`EvictsUnconfirmed`) are in the real code; `UploadsLate`,
//! `CutOfAnother` and `ForgetsIntent` are in the runner of `compaction`.

mod compaction;
mod cut;
mod deletion;
mod ending;
mod journal;
mod mail;
mod rows;
mod schedule;
mod shipping;
mod store;
mod user;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use coldpost_tiers::planted::{Bug, plant};

use rows::Rows;
use schedule::{Kind, Step, steps};
use store::{Away, Fault};
use world::{Fails, Unread, World};

/// Steps of a schedule.
const STEPS: usize = 60;
/// Schedules that may pass before a planted bug is found.
const SEEDS_FOR_A_BUG: u64 = 3_000;

fn schedules() -> u64 {
    if coldpost_testkit::tool::long() {
        20_000
    } else {
        1_000
    }
}

/// What is away is tried again by a later step.
fn unless_away<T>(done: Result<T, Unread>) -> Fails {
    match done {
        Ok(_) | Err(Unread::Away) => Ok(()),
        Err(Unread::Wrong(why)) => Err(why),
    }
}

fn repeat(many: u8, mut step: impl FnMut() -> Result<bool, Away>) {
    for _ in 0..many {
        if !step().unwrap_or(false) {
            break;
        }
    }
}

impl World<'_> {
    fn step(&mut self, step: &Step) -> Fails {
        let [a, b, c, _] = step.picks;
        match step.kind {
            Kind::Deliver => self.deliver(step.picks)?,
            Kind::Copy => self.copy(step.picks, false)?,
            Kind::Move => self.copy(step.picks, true)?,
            Kind::Expunge => self.expunge(step.picks),
            Kind::Purge => self.purge(),
            Kind::DeleteAccount => self.delete_account(step.picks),
            Kind::Seal => self.seal(),
            Kind::Ship => repeat(1 + a % 8, || self.ship()),
            Kind::Evict => self.evict(u64::from(a % 2) * 2_000),
            Kind::Compact => {
                let (which, many) = (usize::from(a % 3 == 0), usize::from(b % 9) + 1);
                unless_away(self.compact(which, c.is_multiple_of(2), many))?;
            }
            Kind::Collect => repeat([1, 1, 1, 2, 4, 9][usize::from(a % 6)], || self.collect()),
            Kind::Snapshot => repeat(if a < 180 { 4 } else { 1 + a % 3 }, || self.snap()),
            Kind::Commit => self.durable = self.rows.dump(),
            Kind::Kill => self.kill()?,
            Kind::LoseDisk => self.lose_disk()?,
            Kind::Trouble => {
                let fault = [Fault::Refuses, Fault::LosesTheAnswer][usize::from(a % 2)];
                self.bucket.trouble = Some((fault, 1 + b % 4));
            }
            Kind::Time => {
                self.now += [3_600, 30 * 3_600, 4 * 86_400, 11 * 86_400][usize::from(a % 4)];
                // Rows never wait for hours.
                self.durable = self.rows.dump();
            }
        }
        self.check()
    }
}

/// A schedule, and what must hold at its end. A panic is a failure like others.
fn run(rows: &mut Rows, steps: &[Step]) -> Fails {
    let ran = catch_unwind(AssertUnwindSafe(|| run_all(rows, steps)));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(text.unwrap_or_else(|| "a panic, told above".to_owned()))
    })
}

fn run_all(rows: &mut Rows, steps: &[Step]) -> Fails {
    let mut world = World::new(rows);
    for (n, step) in steps.iter().enumerate() {
        world
            .step(step)
            .map_err(|why| format!("step {n} {step:?}: {why}"))?;
    }
    world.end().map_err(|why| format!("at the end: {why}"))
}

/// The failure, with as few of the first steps as it needs.
fn shrunk(rows: &mut Rows, seed: u64, why: String) -> String {
    let mut kept = steps(seed, STEPS);
    let mut why = why;
    for many in (0..kept.len()).rev() {
        if let Err(shorter) = run(rows, &kept[..many]) {
            kept.truncate(many);
            why = shorter;
        }
    }
    let lines: Vec<String> = kept
        .iter()
        .enumerate()
        .map(|(n, step)| format!("  {n}: {:?} {:?}", step.kind, step.picks))
        .collect();
    format!("seed {seed}: {why}\n{}", lines.join("\n"))
}

/// The first of the seeds whose schedule fails, on all cores.
fn first_failure(seeds: u64, bug: Option<Bug>) -> Option<(u64, String)> {
    let (next, found) = (AtomicU64::new(0), Mutex::new(None::<(u64, String)>));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                plant(bug);
                let mut rows = Rows::new();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        break;
                    }
                    let steps = steps(seed, STEPS);
                    if let Err(why) = run(&mut rows, &steps) {
                        next.store(seeds, Ordering::Relaxed);
                        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                        if found.as_ref().is_none_or(|(known, _)| seed < *known) {
                            *found = Some((seed, why));
                        }
                    }
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn whatever_the_schedule_nothing_referenced_is_missing_and_nothing_unreferenced_is_left() {
    if let Some((seed, why)) = first_failure(schedules(), None) {
        panic!("{}", shrunk(&mut Rows::new(), seed, why));
    }
}

/// Two messages, and how far a compaction of them comes before one is purged.
fn purged_within_a_run(rows: &mut Rows, steps: usize) -> Fails {
    let mut world = World::new(rows);
    for pick in [3, 1] {
        world.deliver([pick, 1, 7 << 3 | 7, 0])?;
    }
    world.seal();
    while let Ok(true) = world.ship() {}
    unless_away(world.compact(0, true, steps))?;
    for account in 0..3 {
        world.expunge([account, 0, 0, 0]);
    }
    world.purge();
    world.check()?;
    world.end()
}

#[test]
fn a_message_that_is_purged_while_it_is_written_into_a_block_is_not_left_there() {
    let mut rows = Rows::new();
    for steps in 0..40 {
        if let Err(why) = purged_within_a_run(&mut rows, steps) {
            panic!("purged after {steps} steps: {why}");
        }
    }
}

#[test]
fn every_planted_bug_is_found() {
    let mut missed = Vec::new();
    for bug in Bug::ALL {
        match first_failure(SEEDS_FOR_A_BUG, Some(bug)) {
            Some((seed, why)) => println!("{bug:?}: seed {seed}: {why}"),
            None => missed.push(bug),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
