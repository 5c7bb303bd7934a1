//! Whether a store is there: after failures in a row it is *away*, and only a probe a second finds out whether it is back.
//!
//! Promises: any answer, of whatever kind, closes it again; opening and closing are told once, with the object and the store.
//! Never: asks by itself, decides about an object.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::backend::Failure;
use crate::metrics;

/// Failures in a row that open it; no answer within the time counts twice.
const OPENS_AFTER: u32 = 4;
/// Between two probes of a store that is away.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// The breaker of one store. Needs no runtime.
#[derive(Debug)]
pub(super) struct Breaker {
    /// For the metric.
    label: &'static str,
    url: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    /// When it opened or was probed last.
    probed: Option<Instant>,
}

/// What a failure weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// An answer that says no, or none at all at once.
    Failed = 1,
    /// Somebody waited for nothing.
    TimedOut = 2,
}

impl Breaker {
    pub(super) fn new(label: &'static str, url: String) -> Breaker {
        // A scrape before the first failure shows it.
        metrics::COLD_AWAY.with_label_values(&[label]).set(0);
        Breaker {
            label,
            url,
            state: Mutex::default(),
        }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Whether the store is away.
    pub(super) fn is_open(&self) -> bool {
        self.state().probed.is_some()
    }

    /// Whether a request may go now; while it is open that is one a second.
    pub(super) fn admits(&self) -> bool {
        let mut state = self.state();
        match state.probed {
            Some(probed) if probed.elapsed() < PROBE_EVERY => false,
            Some(_) => {
                state.probed = Some(Instant::now());
                true
            }
            None => true,
        }
    }

    /// The store said something about `name`.
    pub(super) fn answered(&self, name: &str) {
        let mut state = self.state();
        state.failures = 0;
        if state.probed.take().is_some() {
            metrics::COLD_AWAY.with_label_values(&[self.label]).set(0);
            tracing::info!(store = %self.url, object = name, "the object store answers again");
        }
    }

    /// An attempt gave nothing that can be used: with an answer, or without.
    pub(super) fn heard(&self, weight: Weight, name: &str, failure: &Failure) {
        match failure {
            Failure::Away(_) => self.failed(weight, name, failure),
            _ => self.answered(name),
        }
    }

    /// The store said nothing, or that it cannot now.
    pub(super) fn failed(&self, weight: Weight, name: &str, why: &dyn std::fmt::Display) {
        let mut state = self.state();
        state.failures = state.failures.saturating_add(weight as u32);
        if state.failures >= OPENS_AFTER && state.probed.is_none() {
            state.probed = Some(Instant::now());
            metrics::COLD_AWAY.with_label_values(&[self.label]).set(1);
            tracing::warn!(
                store = %self.url,
                object = name,
                "the object store is away: reads from it fail at once, one request a second asks whether it is back: {why}"
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new("main", "s3://b".to_owned())
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_open_it_and_any_answer_between_begins_anew() {
        let breaker = breaker();
        for _ in 0..3 {
            breaker.failed(Weight::Failed, "a", &"503");
        }
        breaker.answered("b");
        for _ in 0..3 {
            assert!(!breaker.is_open() && breaker.admits());
            breaker.failed(Weight::Failed, "a", &"503");
        }
        breaker.failed(Weight::Failed, "a", &"503");
        assert!(breaker.is_open());
    }

    #[tokio::test(start_paused = true)]
    async fn while_it_is_open_one_request_a_second_goes_through_and_an_answer_closes_it() {
        let breaker = breaker();
        breaker.failed(Weight::TimedOut, "a", &"slow");
        breaker.failed(Weight::TimedOut, "a", &"slow");
        assert!(breaker.is_open() && !breaker.admits());
        for _ in 0..3 {
            tokio::time::advance(PROBE_EVERY).await;
            assert!(breaker.admits());
            assert!(!breaker.admits());
            breaker.failed(Weight::TimedOut, "a", &"slow");
        }
        breaker.answered("a");
        assert!(!breaker.is_open() && breaker.admits() && breaker.admits());
    }
}
