//! Failed logins by address: each one makes the next refusal slower. Bounded in memory, forgets by itself.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{ATTEMPT_DELAY_MAX, ATTEMPT_DELAY_STEP, ATTEMPT_FORGET, ATTEMPT_SOURCES_MAX};

/// How often each address failed lately.
#[derive(Debug, Default)]
pub struct Attempts {
    failures: Mutex<HashMap<IpAddr, Failures>>,
}

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Attempts {
    /// Notes a failure at `now` and says how long to wait before it is answered.
    pub fn failed(&self, source: IpAddr, now: Instant) -> Duration {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= ATTEMPT_SOURCES_MAX && !failures.contains_key(&source) {
            make_room(&mut failures, now);
        }
        let entry = failures.entry(source).or_insert(Failures {
            count: 0,
            last: now,
        });
        let forgotten = now.duration_since(entry.last) >= ATTEMPT_FORGET;
        entry.count = if forgotten {
            1
        } else {
            entry.count.saturating_add(1)
        };
        entry.last = now;
        ATTEMPT_DELAY_STEP
            .saturating_mul(entry.count)
            .min(ATTEMPT_DELAY_MAX)
    }

    /// A success: the address starts anew.
    pub fn succeeded(&self, source: IpAddr) {
        self.failures
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&source);
    }
}

/// Drops what is forgotten anyway, else the address that was quiet longest.
fn make_room(failures: &mut HashMap<IpAddr, Failures>, now: Instant) {
    failures.retain(|_, f| now.duration_since(f.last) < ATTEMPT_FORGET);
    if failures.len() >= ATTEMPT_SOURCES_MAX {
        let oldest = failures
            .iter()
            .min_by_key(|(_, f)| f.last)
            .map(|(source, _)| *source);
        if let Some(oldest) = oldest {
            failures.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(n: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(n))
    }

    #[test]
    fn each_failure_is_slower_up_to_a_bound_and_a_success_forgets() {
        let attempts = Attempts::default();
        let now = Instant::now();
        let delays: Vec<u64> = (0..10)
            .map(|_| attempts.failed(address(1), now).as_secs())
            .collect();
        assert_eq!(delays, [2, 4, 6, 8, 10, 12, 14, 16, 16, 16]);
        assert_eq!(
            attempts.failed(address(2), now).as_secs(),
            2,
            "another address is not slowed"
        );
        attempts.succeeded(address(1));
        assert_eq!(attempts.failed(address(1), now).as_secs(), 2);
        assert_eq!(
            attempts.failed(address(1), now + ATTEMPT_FORGET).as_secs(),
            2
        );
    }

    #[test]
    fn the_table_of_failures_is_bounded() {
        let attempts = Attempts::default();
        let sources = u32::try_from(ATTEMPT_SOURCES_MAX).expect("a small number");
        let start = Instant::now();
        for n in 0..sources + 100 {
            attempts.failed(address(n), start + Duration::from_millis(n.into()));
        }
        assert_eq!(
            attempts.failures.lock().expect("no panic").len(),
            ATTEMPT_SOURCES_MAX
        );
        assert_eq!(
            attempts.failed(address(sources + 99), start).as_secs(),
            4,
            "the youngest are kept"
        );
    }
}
