//! A measurement: work done, time on the clock, our own processor time; how long each of many took; and what several of them say.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// One measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    /// Operations done.
    operations: usize,
    /// On the clock.
    elapsed: Duration,
    /// Of this process, all threads.
    client: Duration,
}

impl Sample {
    /// Runs `work`, which does `operations` of something.
    pub(crate) fn take(operations: usize, work: impl FnOnce()) -> Sample {
        let (start, before) = (Instant::now(), processor_time());
        work();
        Sample {
            operations,
            elapsed: start.elapsed(),
            client: processor_time().saturating_sub(before),
        }
    }

    /// Operations a second.
    pub(crate) fn rate(&self) -> f64 {
        // Counts of messages are far below 2^52.
        self.operations as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// The share of one processor that the client itself used, 0 to 1 and more with threads.
    pub(crate) fn client_share(&self) -> f64 {
        self.client.as_secs_f64() / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// The middle one; of an even number the mean of the two in the middle. 0 for none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

/// How long each of many took, shortest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Took(Vec<Duration>);

impl From<Vec<Duration>> for Took {
    fn from(mut took: Vec<Duration>) -> Took {
        took.sort_unstable();
        Took(took)
    }
}

impl Took {
    /// How many there were.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The 50th percentile, in milliseconds.
    pub(crate) fn p50(&self) -> f64 {
        self.at(50)
    }

    /// The 99th percentile, in milliseconds.
    pub(crate) fn p99(&self) -> f64 {
        self.at(99)
    }

    /// The longest, in milliseconds.
    pub(crate) fn longest(&self) -> f64 {
        self.at(100)
    }

    /// 0 for none.
    fn at(&self, hundredths: usize) -> f64 {
        let at = self.0.len().saturating_sub(1) * hundredths / 100;
        self.0.get(at).map_or(0.0, |took| took.as_secs_f64() * 1e3)
    }
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_nanos(nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_is_not_hidden_by_a_percentile() {
        let mut took = vec![Duration::from_millis(2); 199];
        took.push(Duration::from_secs(1));
        took.rotate_right(7);
        let took = Took::from(took);
        assert_eq!(
            (took.p50(), took.p99(), took.longest()),
            (2.0, 2.0, 1_000.0)
        );
        assert_eq!((took.count(), Took::default().p99()), (200, 0.0));
    }

    #[test]
    fn the_median_does_not_follow_one_bad_run() {
        assert_eq!(median([3.0, 1.0, 100.0]), 3.0);
        assert_eq!(median([1.0, 2.0]), 1.5);
        assert_eq!(median([]), 0.0);
    }
}
