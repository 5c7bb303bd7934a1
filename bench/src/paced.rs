//! Loads at a fixed rate beside something else, and how long each operation took.
//!
//! Promises: a connection sends its next operation when the one before is answered and its time has come; what a pause delayed is not made up for.
//! The time is from the first octet sent to the last one received, this process's own work included.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use coldpost_testkit::wait;

use crate::measure::Took;

/// One connection with its operation; those of one name are counted together.
pub(crate) struct Stream<'a> {
    name: &'static str,
    every: Duration,
    work: Box<dyn FnMut() + Send + 'a>,
}

impl<'a> Stream<'a> {
    /// Does `work` once in `every`.
    pub(crate) fn new(
        name: &'static str,
        every: Duration,
        work: impl FnMut() + Send + 'a,
    ) -> Stream<'a> {
        Stream {
            name,
            every,
            work: Box::new(work),
        }
    }

    fn run(mut self, stop: &AtomicBool) -> Vec<Duration> {
        let mut took = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            let begun = Instant::now();
            (self.work)();
            let one = begun.elapsed();
            took.push(one);
            wait::pause(self.every.saturating_sub(one));
        }
        took
    }
}

/// Tells all who look at it to stop, also when the work in between panics.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What `work` gives, with `beside` running until then; it is to look at what it is given and to end soon after that is true.
pub(crate) fn beside<T, U: Send>(
    beside: impl FnOnce(&AtomicBool) -> U + Send,
    work: impl FnOnce() -> T,
) -> (T, U) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let running = scope.spawn(|| beside(&stop));
        let done = {
            let _stop = StopAtEnd(&stop);
            work()
        };
        (done, ended(running.join()))
    })
}

/// What `work` gives, and how long the operations of each name took meanwhile, in the order of the names' first streams.
pub(crate) fn meanwhile<T>(
    streams: Vec<Stream<'_>>,
    work: impl FnOnce() -> T,
) -> (T, Vec<(&'static str, Took)>) {
    let run = |stop: &AtomicBool| {
        std::thread::scope(|scope| {
            let mut running = Vec::new();
            for stream in streams {
                running.push((stream.name, scope.spawn(move || stream.run(stop))));
            }
            let mut all: Vec<(&'static str, Vec<Duration>)> = Vec::new();
            for (name, thread) in running {
                let took = ended(thread.join());
                match all.iter_mut().find(|(other, _)| *other == name) {
                    Some((_, more)) => more.extend(took),
                    None => all.push((name, took)),
                }
            }
            all
        })
    };
    let (done, all) = beside(run, work);
    let sorted = all.into_iter().map(|(name, took)| (name, took.into()));
    (done, sorted.collect())
}

fn ended<T>(thread: std::thread::Result<T>) -> T {
    match thread {
        Ok(value) => value,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_the_time_of_one_operation_and_is_not_made_up_for() {
        let pause = Duration::from_millis(200);
        let mut number = 0;
        let stream = Stream::new("one", Duration::from_millis(10), || {
            number += 1;
            if number == 3 {
                wait::pause(pause);
            }
        });
        let ((), took) = meanwhile(vec![stream], || wait::pause(pause * 2));
        let [("one", took)] = took.as_slice() else {
            panic!("{took:?}");
        };
        assert!(took.longest() >= 200.0 && took.p50() < 200.0, "{took:?}");
        assert!((4..=40).contains(&took.count()), "{took:?}");
    }

    #[test]
    fn operations_of_one_name_are_counted_together_and_end_with_the_work() {
        let stream = |name| {
            Stream::new(name, Duration::ZERO, || {
                wait::pause(Duration::from_millis(1))
            })
        };
        let streams = vec![stream("a"), stream("b"), stream("a")];
        let (given, took) = meanwhile(streams, || {
            wait::pause(Duration::from_millis(50));
            7
        });
        let names: Vec<&str> = took.iter().map(|(name, _)| *name).collect();
        assert_eq!((given, names), (7, vec!["a", "b"]));
        assert!(took.iter().all(|(_, took)| took.count() > 0), "{took:?}");
    }
}
