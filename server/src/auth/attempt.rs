//! Failed logins by address and by account: each one makes the next refusal slower. Bounded in memory, forgets by itself.
//!
//! Never: slows a right password.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use coldpost_engine::account::AccountName;

use crate::limits::{ATTEMPT_DELAY_MAX, ATTEMPT_DELAY_STEP, ATTEMPT_FORGET, ATTEMPT_SOURCES_MAX};

/// How often each address, and logins to each account, failed lately.
#[derive(Debug, Default)]
pub struct Attempts {
    addresses: Table<IpAddr>,
    accounts: Table<AccountName>,
}

#[derive(Debug)]
struct Table<K>(Mutex<HashMap<K, Failures>>);

#[derive(Clone, Copy, Debug)]
struct Failures {
    count: u32,
    last: Instant,
    /// Nobody logged in since.
    is_latest: bool,
}

impl Attempts {
    /// Notes a failure at `now` and says how long to wait before it is answered.
    pub fn failed(&self, source: IpAddr, account: Option<&AccountName>, now: Instant) -> Duration {
        let of_account = account.map_or(0, |name| self.accounts.failed(name.clone(), now));
        let count = self.addresses.failed(source, now).max(of_account);
        ATTEMPT_DELAY_STEP
            .saturating_mul(count)
            .min(ATTEMPT_DELAY_MAX)
    }

    /// Whether the address failed lately, and nobody has logged in from it since.
    pub fn has_failed(&self, source: IpAddr, now: Instant) -> bool {
        self.addresses.has_failed(&source, now)
    }

    /// A success: the address does not count as one that fails. Its next failure, and that of the account, is as slow as it would have been:
    /// whoever guesses would give himself a new start with each login to an account of his own.
    pub fn succeeded(&self, source: IpAddr) {
        self.addresses.succeeded(&source);
    }
}

impl<K> Default for Table<K> {
    fn default() -> Table<K> {
        Table(Mutex::default())
    }
}

impl<K: Hash + Eq + Clone> Table<K> {
    /// How many failures there were lately, this one included.
    fn failed(&self, source: K, now: Instant) -> u32 {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= ATTEMPT_SOURCES_MAX && !failures.contains_key(&source) {
            make_room(&mut failures, now);
        }
        let entry = failures.entry(source).or_insert(Failures {
            count: 0,
            last: now,
            is_latest: true,
        });
        let forgotten = now.duration_since(entry.last) >= ATTEMPT_FORGET;
        entry.count = if forgotten {
            1
        } else {
            entry.count.saturating_add(1)
        };
        (entry.last, entry.is_latest) = (now, true);
        entry.count
    }

    fn has_failed(&self, source: &K, now: Instant) -> bool {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = failures.get(source);
        found.is_some_and(|f| f.is_latest && now.duration_since(f.last) < ATTEMPT_FORGET)
    }

    fn succeeded(&self, source: &K) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failures) = failures.get_mut(source) {
            failures.is_latest = false;
        }
    }
}

/// Drops what is forgotten anyway, else what was quiet longest.
fn make_room<K: Hash + Eq + Clone>(failures: &mut HashMap<K, Failures>, now: Instant) {
    failures.retain(|_, f| now.duration_since(f.last) < ATTEMPT_FORGET);
    if failures.len() >= ATTEMPT_SOURCES_MAX {
        let oldest = failures
            .iter()
            .min_by_key(|(_, f)| f.last)
            .map(|(source, _)| source.clone());
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
    fn each_failure_is_slower_up_to_a_bound_until_it_is_forgotten() {
        let attempts = Attempts::default();
        let now = Instant::now();
        let failed = |n, now| attempts.failed(address(n), None, now).as_secs();
        let delays: Vec<u64> = (0..10).map(|_| failed(1, now)).collect();
        assert_eq!(delays, [2, 4, 6, 8, 10, 12, 14, 16, 16, 16]);
        assert_eq!(failed(2, now), 2, "another address is not slowed");
        let has_failed = |n, now| attempts.has_failed(address(n), now);
        assert!(has_failed(1, now) && !has_failed(3, now) && !has_failed(1, now + ATTEMPT_FORGET));
        attempts.succeeded(address(1));
        assert!(!has_failed(1, now), "it can do right");
        assert_eq!(failed(1, now), 16, "and gets no new start");
        assert!(has_failed(1, now));
        assert_eq!(failed(1, now + ATTEMPT_FORGET), 2);
    }

    #[test]
    fn an_account_that_many_addresses_try_is_slow_for_each_of_them() {
        let attempts = Attempts::default();
        let now = Instant::now();
        let name = |text| AccountName::normalise(text).expect("a name");
        let (anna, ben) = (name("anna"), name("ben"));
        let failed = |n, who, now| attempts.failed(address(n), Some(who), now).as_secs();
        assert_eq!([1, 2, 3].map(|n| failed(n, &anna, now)), [2, 4, 6]);
        assert_eq!(failed(4, &ben, now), 2, "another account is not slowed");
        attempts.succeeded(address(1));
        assert_eq!(
            failed(1, &anna, now),
            8,
            "its owner's login gives no new start"
        );
        assert_eq!(failed(5, &anna, now + ATTEMPT_FORGET), 2);
    }

    #[test]
    fn the_table_of_failures_is_bounded() {
        let attempts = Attempts::default();
        let sources = u32::try_from(ATTEMPT_SOURCES_MAX).expect("a small number");
        let start = Instant::now();
        for n in 0..sources + 100 {
            attempts.failed(address(n), None, start + Duration::from_millis(n.into()));
        }
        assert_eq!(
            attempts.addresses.0.lock().expect("no panic").len(),
            ATTEMPT_SOURCES_MAX
        );
        assert_eq!(
            attempts
                .failed(address(sources + 99), None, start)
                .as_secs(),
            4,
            "the youngest are kept"
        );
    }
}
