//! Work that blocks or computes, off the threads that serve.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    set_thread_priority_and_policy, thread_native_id,
};
use tokio::sync::oneshot;

use crate::error::{Error, Kind, Result};
use crate::limits::{STARVED_MS, STARVED_SECONDS, STARVED_SHARE};

/// Messages that are worked on at once, without a word to the others on this thread.
const AT_ONCE: u32 = 10_000;
/// Threads that work for one session.
const PARTS_MAX: usize = 4;

/// How far a thread stands back that stands beside the others.
const NICE: i32 = 10;

/// Does `work`, which is called `what` where it dies; it goes on to its end when who asked for it goes away.
///
/// # Errors
/// Those of `work`; `Internal` when it panicked.
pub(crate) async fn run<T: Send + 'static>(
    what: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let died = |e| Error::with_source(Kind::Internal, format!("{what} failed"), e);
    tokio::task::spawn_blocking(work).await.map_err(died)?
}

/// Does work on so many messages; what takes long is no longer on a thread that serves others.
pub(crate) fn beside_others<T>(messages: u32, work: impl FnOnce() -> T) -> T {
    match messages > AT_ONCE {
        true => tokio::task::block_in_place(work),
        false => work(),
    }
}

/// Does `work` on parts of `items`, of at least `fewest` each, on several threads; gives what came of them in their order.
///
/// # Errors
/// Those of `work`; `Internal` when it panicked.
pub(crate) async fn in_parts<I: Clone + Send + 'static, T: Send + 'static>(
    what: &'static str,
    items: &[I],
    fewest: usize,
    work: impl Fn(&[I]) -> Result<T> + Clone + Send + 'static,
) -> Result<Vec<T>> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let size = items.len().div_ceil(threads.min(PARTS_MAX));
    let parts = items.chunks(size.max(fewest).max(1)).map(|part| {
        let (work, part) = (work.clone(), part.to_vec());
        run(what, move || work(&part))
    });
    // All are under way from the first look on.
    futures::future::try_join_all(parts.collect::<Vec<_>>()).await
}

/// The end of work on a thread of its own.
pub(crate) struct Behind<T>(oneshot::Receiver<Result<T>>);

/// Begins `work` on a thread called `name` that others go before ([`Standing`]); it goes on to its end when nobody waits for it.
///
/// # Errors
/// `Unavailable` when there can be no more threads.
pub(crate) fn behind<T: Send + 'static>(
    name: &'static str,
    work: impl FnOnce(Standing) -> Result<T> + Send + 'static,
) -> Result<Behind<T>> {
    let (over, end) = oneshot::channel();
    let work = move || {
        // Who waited for it may have gone away: what was done stays done.
        drop(over.send(work(Standing::new())));
    };
    let failed = |e| Error::with_source(Kind::Unavailable, "no thread can be started", e);
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(work).map_err(failed)?;
    Ok(Behind(end))
}

impl<T> Behind<T> {
    /// Waits for it.
    ///
    /// # Errors
    /// Those of the work; `Internal` when it panicked.
    pub(crate) async fn end(self, what: &'static str) -> Result<T> {
        let died = |_| {
            Error::new(
                Kind::Internal,
                format!("{what} died of a bug (the log has it)"),
            )
        };
        self.0.await.map_err(died)?
    }
}

/// Where this thread stands among the others: behind them, so that it has a processor only while nobody else wants it; or beside them with a small share,
/// where some other had next to nothing lately.
///
/// One that is merely nice keeps who is woken beside it waiting until its slice is over (some milliseconds since Linux 6.6). Who stands behind cannot
/// stand beside again (that is root's): it ends its work, or begins anew on another thread.
#[derive(Debug)]
pub(crate) struct Standing {
    is_behind: bool,
    since: Instant,
    last: Spent,
}

/// Time of a thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// That passed.
    pub(crate) elapsed: Duration,
    /// On a processor.
    pub(crate) processor: Duration,
    /// In which it could have gone on, and others had the processor.
    pub(crate) waiting: Duration,
}

/// When a thread last had next to nothing of a processor.
static STARVED: Mutex<Option<Instant>> = Mutex::new(None);

impl Standing {
    fn new() -> Standing {
        let starved = *STARVED.lock().unwrap_or_else(PoisonError::into_inner);
        let lately = |at: Instant| at.elapsed() < Duration::from_secs(STARVED_SECONDS);
        let is_behind = !starved.is_some_and(lately);
        stand(is_behind);
        Standing {
            is_behind,
            since: Instant::now(),
            last: spent(),
        }
    }

    /// What this thread had since it looked last.
    pub(crate) fn look(&mut self) -> Spent {
        let now = spent();
        let had = self.had_until(now);
        (self.since, self.last) = (Instant::now(), now);
        had
    }

    /// Whether it has next to nothing so far; to be asked often, between two looks.
    pub(crate) fn starves_already(&self) -> bool {
        let is_long = self.since.elapsed() > Duration::from_millis(STARVED_MS);
        is_long && self.starves(self.had_until(spent()))
    }

    fn had_until(&self, now: Spent) -> Spent {
        Spent {
            elapsed: self.since.elapsed(),
            processor: now.processor.saturating_sub(self.last.processor),
            waiting: now.waiting.saturating_sub(self.last.waiting),
        }
    }

    /// Whether it has next to nothing; then those that begin in the next time stand beside the others.
    pub(crate) fn starves(&self, had: Spent) -> bool {
        let starves = self.is_behind && is_too_little(had);
        if starves {
            *STARVED.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        }
        starves
    }
}

/// Threads of this process stand beside the others from here on, and none of them starves: for tests of what one run does.
#[cfg(test)]
pub(crate) fn never_starves() {
    let hence = Instant::now() + Duration::from_secs(86_400);
    *STARVED.lock().unwrap_or_else(PoisonError::into_inner) = Some(hence);
}

fn is_too_little(had: Spent) -> bool {
    had.waiting > Duration::from_millis(STARVED_MS) && had.processor * STARVED_SHARE < had.waiting
}

/// Since this thread began. Where the kernel does not say, it never waited.
fn spent() -> Spent {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let waiting = text.split_ascii_whitespace().nth(1);
    let waiting = waiting.and_then(|nanoseconds| nanoseconds.parse().ok());
    Spent {
        elapsed: Duration::ZERO,
        processor: clock_gettime(ClockId::ThreadCPUTime)
            .try_into()
            .unwrap_or_default(),
        waiting: Duration::from_nanos(waiting.unwrap_or(0)),
    }
}

fn stand(is_behind: bool) {
    // Where it is refused, nothing else changes.
    if !is_behind {
        let _ = rustix::process::nice(NICE);
        return;
    }
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    if let Err(e) = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle) {
        tracing::debug!("a thread stands where it stood: {e}");
    }
}

#[cfg(test)]
mod tests {
    use thread_priority::thread_schedule_policy;

    use super::*;

    const IDLE: ThreadSchedulePolicy =
        ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);

    async fn policy_of_work() -> ThreadSchedulePolicy {
        let policy = |_| Ok(thread_schedule_policy().unwrap());
        behind("work", policy).unwrap().end("work").await.unwrap()
    }

    #[tokio::test]
    async fn work_stands_behind_all_other_work_until_some_of_it_starves() {
        assert_eq!(policy_of_work().await, IDLE);
        let of_servant = thread_schedule_policy().unwrap();
        assert_ne!(of_servant, IDLE);
        let waited = |standing: Standing| {
            let (processor, waiting) = (Duration::from_millis(10), Duration::from_secs(3));
            Ok(standing.starves(Spent {
                elapsed: waiting,
                processor,
                waiting,
            }))
        };
        assert!(behind("work", waited).unwrap().end("work").await.unwrap());
        assert_eq!(policy_of_work().await, of_servant);
        // Beside the others nobody starves.
        assert!(!behind("work", waited).unwrap().end("work").await.unwrap());
    }

    #[tokio::test]
    async fn work_that_dies_says_so() {
        let died = behind::<()>("work", |_| panic!("of a test")).unwrap();
        let died = died.end("work").await.unwrap_err();
        assert_eq!(died.kind(), Kind::Internal);
    }

    #[tokio::test]
    async fn work_goes_on_when_nobody_waits_for_it() {
        let (told, hears) = oneshot::channel();
        let (go_on, waits) = oneshot::channel();
        let work = move |_| {
            waits.blocking_recv().unwrap();
            told.send("done").unwrap();
            Ok(())
        };
        drop(behind("work", work).unwrap());
        go_on.send(()).unwrap();
        assert_eq!(hears.await, Ok("done"));
    }

    #[test]
    fn who_waits_for_others_nearly_all_of_the_time_starves() {
        let had = |processor, waiting| Spent {
            elapsed: Duration::from_secs(60),
            processor: Duration::from_millis(processor),
            waiting: Duration::from_millis(waiting),
        };
        for enough in [had(20, 0), had(0, 0), had(1, 100), had(2_000, 5_000)] {
            assert!(!is_too_little(enough), "{enough:?}");
        }
        assert!(is_too_little(had(10, 3_000)));
    }

    #[test]
    fn the_kernel_says_what_a_thread_had() {
        let begun = spent().processor;
        while spent().processor - begun < Duration::from_millis(20) {}
    }
}
