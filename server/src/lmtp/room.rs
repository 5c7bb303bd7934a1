//! What all spool files together may hold: as much as is still free on their disk above `[hot] min_free`, so that messages which are not
//! promised yet leave as much for those that are delivered meanwhile.
//!
//! Promises: what a message holds is given back when it is dropped. Never: refuses a message that stays in memory.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::limits::SPOOL_STEP;

/// Counts what is held; clones count together.
#[derive(Clone)]
pub struct Room {
    held: Arc<AtomicU64>,
    free: Arc<dyn Fn() -> u64 + Send + Sync>,
}

/// What one message holds.
#[derive(Debug)]
pub(crate) struct Held {
    room: Room,
    bytes: u64,
}

impl Room {
    /// Room of a disk that has `free` bytes for mail each time it is asked.
    pub fn new(free: impl Fn() -> u64 + Send + Sync + 'static) -> Room {
        Room {
            held: Arc::default(),
            free: Arc::new(free),
        }
    }

    /// For a message that holds nothing yet.
    pub(crate) fn none(&self) -> Held {
        Held {
            room: self.clone(),
            bytes: 0,
        }
    }
}

impl Held {
    /// Whether its message may grow to `len` bytes; asks for more in steps.
    pub(crate) fn grow(&mut self, len: usize) -> bool {
        let len = u64::try_from(len).unwrap_or(u64::MAX);
        let wanted = len.checked_next_multiple_of(SPOOL_STEP).unwrap_or(len);
        let Some(more) = wanted.checked_sub(self.bytes).filter(|more| *more > 0) else {
            return true;
        };
        let held = self.room.held.fetch_add(more, Ordering::Relaxed);
        self.bytes = wanted;
        held.saturating_add(more) <= (self.room.free)()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.room.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Room")
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_together_hold_no_more_than_is_free() {
        let step = usize::try_from(SPOOL_STEP).expect("small");
        let room = Room::new(|| 3 * SPOOL_STEP);
        let (mut a, mut b) = (room.none(), room.none());
        assert!(a.grow(1) && a.grow(step) && b.grow(2 * step));
        assert!(!a.grow(step + 1));
        drop(a);
        assert!(b.grow(3 * step));
        drop(b);
        assert_eq!(room.held.load(Ordering::Relaxed), 0);
    }
}
