//! What was asked of the store: every request and byte is entered here once, for the metrics and for the last day.
//!
//! Promises: a fixed size, whatever happens. Never: asks the store, survives the process.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::request::{Caller, Verb};
use crate::metrics;

/// Hours that are kept, the one that runs included.
const HOURS: usize = 24;
const HOUR: Duration = Duration::from_secs(60 * 60);

/// Requests and bytes by hour.
#[derive(Debug)]
pub(super) struct Ledger {
    opened: Instant,
    days: Mutex<Days>,
}

/// What was asked within the last day, or since the store was opened where that is less.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// How far back it goes, seconds.
    pub seconds: u64,
    /// By kind and caller, without those that did not ask.
    pub requests: Vec<Requests>,
    /// Bytes of bodies that came.
    pub bytes_in: u64,
    /// Bytes of bodies that went.
    pub bytes_out: u64,
}

/// Requests of one kind by one caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requests {
    /// As the label of the metrics: `put`, `get`, `head`, `list`, `delete`.
    pub kind: &'static str,
    /// As the label of the metrics.
    pub caller: &'static str,
    /// How many.
    pub count: u64,
}

#[derive(Debug, Default)]
struct Days {
    /// Hours since the opening that were begun.
    hour: u64,
    ring: [Hour; HOURS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Hour {
    requests: [[u64; Caller::ALL.len()]; Verb::ALL.len()],
    bytes_in: u64,
    bytes_out: u64,
}

impl Ledger {
    pub(super) fn new() -> Ledger {
        Ledger {
            opened: Instant::now(),
            days: Mutex::default(),
        }
    }

    /// A request is sent.
    pub(super) fn request(&self, verb: Verb, caller: Caller) {
        metrics::COLD_REQUESTS
            .with_label_values(&[verb.label(), caller.label()])
            .inc();
        let (days, at) = &mut self.now();
        days.ring[*at].requests[verb as usize][caller as usize] += 1;
    }

    /// Bytes of a body came.
    pub(super) fn bytes_in(&self, caller: Caller, bytes: u64) {
        metrics::COLD_BYTES
            .with_label_values(&["in", caller.label()])
            .inc_by(bytes);
        let (days, at) = &mut self.now();
        days.ring[*at].bytes_in += bytes;
    }

    /// Bytes of a body went.
    pub(super) fn bytes_out(&self, caller: Caller, bytes: u64) {
        metrics::COLD_BYTES
            .with_label_values(&["out", caller.label()])
            .inc_by(bytes);
        let (days, at) = &mut self.now();
        days.ring[*at].bytes_out += bytes;
    }

    /// The last day.
    pub(super) fn usage(&self) -> Usage {
        let age = self.opened.elapsed();
        let (days, _) = self.now();
        // The hours before the one that runs are whole.
        let kept = HOUR * u32::try_from(HOURS - 1).expect("a day has few hours");
        let into_hour = age.as_secs() % HOUR.as_secs();
        let mut usage = Usage {
            seconds: age.as_secs().min(kept.as_secs() + into_hour),
            ..Usage::default()
        };
        for hour in &days.ring {
            usage.bytes_in += hour.bytes_in;
            usage.bytes_out += hour.bytes_out;
        }
        for verb in Verb::ALL {
            for caller in Caller::ALL {
                let hours = days.ring.iter();
                let count = hours.map(|hour| hour.requests[verb as usize][caller as usize]);
                let count = count.sum();
                if count > 0 {
                    usage.requests.push(Requests {
                        kind: verb.label(),
                        caller: caller.label(),
                        count,
                    });
                }
            }
        }
        usage
    }

    /// The ring, what is older than a day forgotten, and the hour that runs.
    fn now(&self) -> (MutexGuard<'_, Days>, usize) {
        let hour = self.opened.elapsed().as_secs() / HOUR.as_secs();
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner);
        let hours = u64::try_from(HOURS).expect("a day has few hours");
        let slot = |hour: u64| usize::try_from(hour % hours).expect("less than a day's hours");
        let begun = hour.saturating_sub(days.hour).min(hours);
        for newer in 0..begun {
            days.ring[slot(hour - newer)] = Hour::default();
        }
        days.hour = days.hour.max(hour);
        let at = slot(days.hour);
        (days, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(ledger: &Ledger) -> (u64, u64) {
        let usage = ledger.usage();
        (
            usage.requests.iter().map(|r| r.count).sum(),
            usage.bytes_out,
        )
    }

    #[test]
    fn kinds_and_callers_are_found_by_their_numbers() {
        let callers = Caller::ALL.iter().map(|caller| *caller as usize);
        assert!(callers.eq(0..Caller::ALL.len()));
        let verbs = Verb::ALL.iter().map(|verb| *verb as usize);
        assert!(verbs.eq(0..Verb::ALL.len()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_shown_for_a_day_and_then_forgotten() {
        let ledger = Ledger::new();
        ledger.request(Verb::Put, Caller::Upload);
        ledger.bytes_out(Caller::Upload, 7);
        for hour in 1..24 {
            tokio::time::advance(HOUR).await;
            ledger.request(Verb::Get, Caller::Read);
            assert_eq!(count(&ledger), (hour + 1, 7), "hour {hour}");
            assert_eq!(ledger.usage().seconds, hour * 3600);
        }
        let usage = ledger.usage();
        let expected = [("put", "upload", 1), ("get", "read", 23)];
        let shown = usage.requests.iter().map(|r| (r.kind, r.caller, r.count));
        assert!(shown.eq(expected), "{usage:?}");
        tokio::time::advance(HOUR).await;
        assert_eq!(count(&ledger), (23, 0));
        assert_eq!(ledger.usage().seconds, 23 * 3600);
        tokio::time::advance(HOUR * 100).await;
        assert_eq!(count(&ledger), (0, 0));
        ledger.request(Verb::Head, Caller::Epoch);
        assert_eq!(count(&ledger), (1, 0));
    }
}
