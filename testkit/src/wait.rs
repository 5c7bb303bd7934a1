//! Waits for a condition of another process; there is no other signal to wait on.
//!
//! Promises: asks again every few milliseconds, gives up loudly at the deadline.

use std::thread;
use std::time::{Duration, Instant};

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits until `condition` holds; panics with `what` after `at_most`.
#[track_caller]
pub fn until(what: &str, at_most: Duration, mut condition: impl FnMut() -> bool) {
    if !try_until(at_most, &mut condition) {
        panic!("waited {} s in vain for: {what}", at_most.as_secs_f64());
    }
}

/// Waits until `condition` gives something; panics with `what` after `at_most`.
#[track_caller]
pub fn until_some<T>(what: &str, at_most: Duration, mut condition: impl FnMut() -> Option<T>) -> T {
    let mut found = None;
    until(what, at_most, || {
        found = condition();
        found.is_some()
    });
    match found {
        Some(value) => value,
        None => panic!("waited in vain for: {what}"),
    }
}

/// Whether `condition` came to hold within `at_most`.
pub fn try_until(at_most: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() > at_most {
            return false;
        }
        pause(LOOK_EVERY);
    }
}

/// Lets time pass. For pacing a load or a poll, never instead of waiting for a condition.
pub fn pause(span: Duration) {
    let start = Instant::now();
    while let Some(left) = span.checked_sub(start.elapsed()) {
        if left.is_zero() {
            break;
        }
        thread::park_timeout(left);
    }
}
