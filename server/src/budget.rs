//! The one budget of message bytes in flight, for all sessions together (`[mail] memory`).
//!
//! Promises: what is given out never adds up to more than the budget; who waits is served in order.
//! Never: gives a part to one who waits for the whole, so two that wait cannot block each other.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that one permit stands for.
const UNIT: u64 = 1024;

/// The budget; clones share it.
#[derive(Clone, Debug)]
pub struct Budget {
    permits: Arc<Semaphore>,
    total_kib: u32,
}

/// A part of the budget; dropping it gives it back.
#[derive(Debug)]
pub struct Share {
    permit: OwnedSemaphorePermit,
}

impl Budget {
    /// A budget of `bytes`, counted in KiB.
    pub fn new(bytes: u64) -> Budget {
        let total_kib = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX);
        let permits = usize::try_from(total_kib)
            .unwrap_or(usize::MAX)
            .min(Semaphore::MAX_PERMITS);
        Budget {
            permits: Arc::new(Semaphore::new(permits)),
            total_kib,
        }
    }

    /// The permits themselves, one a KiB.
    pub fn semaphore(&self) -> Arc<Semaphore> {
        Arc::clone(&self.permits)
    }

    /// Bytes that it began with.
    pub fn total(&self) -> u64 {
        u64::from(self.total_kib) * UNIT
    }

    /// Bytes that are given out now.
    pub fn used(&self) -> u64 {
        let free = u64::try_from(self.permits.available_permits()).unwrap_or(u64::MAX);
        self.total().saturating_sub(free.saturating_mul(UNIT))
    }

    /// KiB that it began with.
    pub fn total_kib(&self) -> u32 {
        self.total_kib
    }

    /// A share of `bytes`, if it is there now.
    pub fn try_take(&self, bytes: usize) -> Option<Share> {
        let permit = Arc::clone(&self.permits)
            .try_acquire_many_owned(units(bytes)?)
            .ok()?;
        Some(Share { permit })
    }

    /// A share of `bytes`, waiting for it up to `wait`. `None` when it does not come.
    pub async fn take(&self, bytes: usize, wait: Duration) -> Option<Share> {
        let permits = Arc::clone(&self.permits).acquire_many_owned(units(bytes)?);
        let permit = tokio::time::timeout(wait, permits).await.ok()?.ok()?;
        Some(Share { permit })
    }

    /// Bytes that are free now.
    pub fn free(&self) -> u64 {
        u64::try_from(self.permits.available_permits())
            .unwrap_or(u64::MAX)
            .saturating_mul(UNIT)
    }
}

impl Share {
    /// Takes `other`, of the same budget, into this share.
    pub fn join(&mut self, other: Share) {
        self.permit.merge(other.permit);
    }
}

fn units(bytes: usize) -> Option<u32> {
    u32::try_from(u64::try_from(bytes).ok()?.div_ceil(UNIT)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_share_is_given_back_when_it_is_dropped() {
        let budget = Budget::new(10 * 1024);
        let mut share = budget.try_take(4_000).expect("free");
        share.join(budget.try_take(6 * 1024).expect("free"));
        assert_eq!(budget.free(), 0);
        assert!(budget.try_take(1).is_none());
        assert!(budget.take(1, Duration::from_secs(1)).await.is_none());
        drop(share);
        assert_eq!(budget.free(), 10 * 1024);
    }
}
