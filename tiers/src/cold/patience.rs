//! How long a request may take and how often it is tried: pure numbers and dice.

use std::time::Duration;

use super::request::Caller;

/// To connect.
pub(crate) const CONNECT: Duration = Duration::from_secs(3);
/// An attempt, whatever it carries.
pub(crate) const ATTEMPT_MAX: Duration = Duration::from_secs(300);
/// What an attempt is given more for each MiB that it carries.
const PER_MIB: Duration = Duration::from_secs(1);
/// The first wait between two attempts, doubled each time.
const WAIT_FIRST: Duration = Duration::from_millis(100);
/// The longest wait between two attempts.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// What a caller waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Patience {
    /// How often it is tried.
    pub(crate) attempts: u32,
    /// How long for each, before what its bytes need.
    pub(crate) attempt: Duration,
    /// How long in all, before what its bytes need.
    pub(crate) total: Duration,
}

impl Patience {
    /// People wait for reads: they are short, and shorter while the store is known to be away. The others have time.
    pub(crate) fn of(caller: Caller, away: bool) -> Patience {
        let secs = Duration::from_secs;
        match caller {
            Caller::Read if away => Patience {
                attempts: 1,
                attempt: secs(3),
                total: secs(3),
            },
            Caller::Read => Patience {
                attempts: 4,
                attempt: secs(10),
                total: secs(20),
            },
            Caller::Start | Caller::Epoch => Patience {
                attempts: 4,
                attempt: secs(10),
                total: secs(30),
            },
            Caller::Upload | Caller::Snapshot | Caller::Verify | Caller::Recover => Patience {
                attempts: 4,
                attempt: secs(30),
                total: secs(60),
            },
        }
    }

    /// The same for a request that carries `bytes`.
    pub(crate) fn carrying(self, bytes: u64) -> Patience {
        let mib = u32::try_from(bytes >> 20).unwrap_or(u32::MAX);
        let more = PER_MIB.saturating_mul(mib).min(ATTEMPT_MAX);
        Patience {
            attempt: (self.attempt + more).min(ATTEMPT_MAX),
            total: self.total + more,
            ..self
        }
    }
}

/// The wait before attempt `number` (the first retry is 1).
pub(crate) fn between_attempts(number: u32) -> Duration {
    back_off(number, WAIT_FIRST, WAIT_MAX)
}

/// Doubles from `first` on to `max`; half of it is random, so that those who failed together do not come back together.
pub(crate) fn back_off(number: u32, first: Duration, max: Duration) -> Duration {
    let full = first
        .saturating_mul(
            1_u32
                .checked_shl(number.saturating_sub(1))
                .unwrap_or(u32::MAX),
        )
        .min(max);
    // Without randomness there is no spread, which is no reason to stop.
    let dice = getrandom::u32().unwrap_or(u32::MAX);
    full / 2 + (full / 2).mul_f64(f64::from(dice) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_never_vanish() {
        for number in 1..100 {
            let wait = between_attempts(number);
            assert!(
                wait <= WAIT_MAX && wait >= WAIT_FIRST / 2,
                "{number}: {wait:?}"
            );
        }
        assert!(between_attempts(99) >= WAIT_MAX / 2);
    }

    #[test]
    fn large_bodies_have_more_time_but_not_for_ever() {
        let patience = Patience::of(Caller::Upload, false);
        assert_eq!(
            patience.carrying(8 << 20).attempt,
            patience.attempt + Duration::from_secs(8)
        );
        assert_eq!(patience.carrying(u64::MAX).attempt, ATTEMPT_MAX);
    }
}
