//! What all readers of bodies hold ahead of themselves, counted in frames.
//!
//! Promises: it is never more than the budget; who takes long to send what was lent to it keeps nobody else from reading ahead for more than
//! [`AHEAD_KEPT_MS`].
//! Never: takes anything back while there is enough for who asks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::{AHEAD_KEPT_MS, READ_AHEAD_HELD};

/// See the module.
pub(crate) struct Budget {
    places: Arc<Semaphore>,
    /// How long what is lent is kept, whoever wants it.
    patience: Duration,
    lent: Mutex<Vec<Weak<dyn GiveBack>>>,
}

/// What was read ahead, until its reader has sent it or others want its place.
#[derive(Debug)]
pub(crate) struct Loan<T> {
    kept: Mutex<Option<(T, OwnedSemaphorePermit)>>,
    since: Instant,
}

trait GiveBack: Send + Sync {
    fn is_overdue(&self, patience: Duration) -> bool;
    fn give_back(&self);
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Budget {
    fn default() -> Budget {
        Budget::new(READ_AHEAD_HELD, Duration::from_millis(AHEAD_KEPT_MS))
    }
}

impl Budget {
    pub(crate) fn new(frames: usize, patience: Duration) -> Budget {
        Budget {
            places: Arc::new(Semaphore::new(frames)),
            patience,
            lent: Mutex::default(),
        }
    }

    /// How many frames may be taken, when `wanted` are: where that is too few, what was lent long ago comes back first.
    pub(crate) fn free(&self, wanted: usize) -> usize {
        if self.places.available_permits() < wanted {
            let lent: Vec<_> = locked(&self.lent)
                .iter()
                .filter_map(Weak::upgrade)
                .collect();
            for loan in lent.iter().filter(|loan| loan.is_overdue(self.patience)) {
                loan.give_back();
            }
        }
        self.places.available_permits()
    }

    /// Takes the place of so many frames, before they are read.
    pub(crate) fn take(&self, frames: usize) -> Option<OwnedSemaphorePermit> {
        let many = u32::try_from(frames).ok()?;
        if self.free(frames) < frames {
            return None;
        }
        Arc::clone(&self.places).try_acquire_many_owned(many).ok()
    }

    /// Lends what was read into a place.
    pub(crate) fn lend<T: Send + 'static>(
        &self,
        what: T,
        place: OwnedSemaphorePermit,
    ) -> Arc<Loan<T>> {
        let loan = Arc::new(Loan {
            kept: Mutex::new(Some((what, place))),
            since: Instant::now(),
        });
        let weak: Weak<Loan<T>> = Arc::downgrade(&loan);
        let mut lent = locked(&self.lent);
        // As many are left as there are places at most, those apart that gave theirs back and are not dropped yet.
        lent.retain(|other| other.strong_count() > 0);
        lent.push(weak);
        loan
    }
}

impl<T> Loan<T> {
    /// Looks at it; `None` once it was given back.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&T) -> R) -> Option<R> {
        locked(&self.kept).as_ref().map(|(what, _)| look(what))
    }
}

impl<T: Send> GiveBack for Loan<T> {
    fn is_overdue(&self, patience: Duration) -> bool {
        self.since.elapsed() >= patience
    }

    fn give_back(&self) {
        let given = locked(&self.kept).take();
        // Not under the lock: it may be much to free.
        drop(given);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lent(budget: &Budget, frames: usize) -> Arc<Loan<usize>> {
        let place = budget.take(frames).expect("there is room");
        budget.lend(frames, place)
    }

    /// Four slow clients held all of it for as long as a client may take; everybody else read a frame at a time.
    #[test]
    fn who_holds_long_what_others_want_gives_it_back() {
        let budget = Budget::new(8, Duration::ZERO);
        let slow = [lent(&budget, 4), lent(&budget, 4)];
        assert!(budget.take(6).is_some());
        assert!(slow.iter().all(|loan| loan.look(|_| ()).is_none()));
        assert_eq!(budget.free(8), 8, "and what was dropped is there again");
    }

    #[test]
    fn nobody_gives_anything_back_early_or_while_there_is_enough() {
        let budget = Budget::new(8, Duration::from_secs(3600));
        let held = [lent(&budget, 4), lent(&budget, 3)];
        assert!(budget.take(2).is_none());
        assert_eq!(
            held.each_ref().map(|loan| loan.look(|n| *n)),
            [Some(4), Some(3)]
        );
        let budget = Budget::new(8, Duration::ZERO);
        let held = [lent(&budget, 4), lent(&budget, 3)];
        assert!(budget.take(1).is_some());
        assert_eq!(
            held.each_ref().map(|loan| loan.look(|n| *n)),
            [Some(4), Some(3)]
        );
    }
}
