//! Bodies that broke off while they were sent.
//!
//! Promises: bounded; who asks for one of them again gets it only when all of it was read, so that a client that asks for everything comes past
//! it. A restart forgets them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ids::{AccountId, MessageId};
use crate::limits::BROKEN_BODIES_MAX;

type Body = (AccountId, MessageId);

/// See the module.
#[derive(Default)]
pub(crate) struct BrokenBodies(Mutex<VecDeque<Body>>);

impl BrokenBodies {
    fn of(&self) -> MutexGuard<'_, VecDeque<Body>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, account: AccountId, message: MessageId) {
        let mut broken = self.of();
        if !broken.contains(&(account, message)) {
            broken.truncate(BROKEN_BODIES_MAX - 1);
            broken.push_front((account, message));
        }
    }

    pub(super) fn has(&self, account: AccountId, message: MessageId) -> bool {
        self.of().contains(&(account, message))
    }

    pub(super) fn forget(&self, account: AccountId, message: MessageId) {
        self.of().retain(|body| *body != (account, message));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Epoch, Position};

    #[test]
    fn so_many_are_remembered_and_the_one_that_broke_off_longest_ago_is_forgotten() {
        let broken = BrokenBodies::default();
        let account = AccountId(1);
        let message = |number: usize| MessageId {
            epoch: Epoch(1),
            position: Position(1),
            number: u16::try_from(number).unwrap(),
        };
        for number in 0..=BROKEN_BODIES_MAX {
            broken.note(account, message(number));
            broken.note(account, message(number));
        }
        assert_eq!(broken.of().len(), BROKEN_BODIES_MAX);
        assert!(!broken.has(account, message(0)) && broken.has(account, message(1)));
        broken.forget(account, message(1));
        assert!(!broken.has(account, message(1)));
    }
}
