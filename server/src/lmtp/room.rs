//! What all spool files together may hold: what is free on their disk above `[hot] min_free`, but for a part that is left to messages
//! which are delivered meanwhile: a quarter, at most [`SPOOL_LEAVES`].
//!
//! Promises: what a message holds is given back when it is dropped. Never: refuses a message that stays in memory.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::limits::{SPOOL_LEAVES, SPOOL_STEP};

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
        // What is held is on the disk already, so what is free is without it.
        let free = (self.room.free)();
        let held = self.room.held.fetch_add(more, Ordering::Relaxed);
        let left = SPOOL_LEAVES.min(free.saturating_add(held) / 4);
        let has_room = more.saturating_add(left) <= free;
        if has_room {
            self.bytes = wanted;
        } else {
            self.room.held.fetch_sub(more, Ordering::Relaxed);
        }
        has_room
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
impl Room {
    /// On a disk of `bytes`, on which what is held is written.
    pub(crate) fn on_disk_of(bytes: u64) -> Room {
        let held: Arc<AtomicU64> = Arc::default();
        let written = Arc::clone(&held);
        let free = move || bytes.saturating_sub(written.load(Ordering::Relaxed));
        Room {
            held,
            free: Arc::new(free),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_message_may_hold_three_quarters_of_what_is_free_and_all_together_no_more() {
        let step = usize::try_from(SPOOL_STEP).expect("small");
        let room = Room::on_disk_of(100 * SPOOL_STEP);
        let mut alone = room.none();
        for steps in 1..=75 {
            assert!(alone.grow(steps * step), "{steps}");
        }
        assert!(!alone.grow(76 * step));
        let mut other = room.none();
        assert!(!other.grow(2 * step));
        drop(alone);
        assert!(other.grow(70 * step));
        drop(other);
        assert_eq!(room.held.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_large_disk_leaves_a_fixed_part() {
        let room = Room::on_disk_of(100 * SPOOL_LEAVES);
        let most = usize::try_from(99 * SPOOL_LEAVES).expect("64 bits");
        let mut message = room.none();
        assert!(message.grow(most) && !message.grow(most + 1));
    }
}
