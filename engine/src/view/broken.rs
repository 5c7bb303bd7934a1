//! Bodies that broke off while they were sent.
//!
//! Promises: bounded; who asks for those bytes again gets them only when all from there on were read, so that a client that asks for
//! everything comes past it. A restart forgets them.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::ids::{AccountId, MessageId};
use crate::limits::BROKEN_BODIES_MAX;

type Body = (AccountId, MessageId);

/// See the module: each with the first byte that did not come.
#[derive(Default)]
pub(crate) struct BrokenBodies(Mutex<VecDeque<(Body, u64)>>);

impl BrokenBodies {
    fn of(&self) -> MutexGuard<'_, VecDeque<(Body, u64)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note(&self, body: Body, at: u64) {
        let mut broken = self.of();
        match broken.iter_mut().find(|(known, _)| *known == body) {
            Some((_, known)) => *known = at.min(*known),
            None => {
                broken.truncate(BROKEN_BODIES_MAX - 1);
                broken.push_front((body, at));
            }
        }
    }

    pub(super) fn at(&self, body: Body) -> Option<u64> {
        let broken = self.of();
        let found = broken.iter().find(|(known, _)| *known == body);
        found.map(|(_, at)| *at)
    }

    pub(super) fn forget(&self, body: Body) {
        self.of().retain(|(known, _)| *known != body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Epoch, Position};

    #[test]
    fn so_many_are_remembered_and_the_one_that_broke_off_longest_ago_is_forgotten() {
        let broken = BrokenBodies::default();
        let body = |number: usize| {
            let message = MessageId {
                epoch: Epoch(1),
                position: Position(1),
                number: u16::try_from(number).unwrap(),
            };
            (AccountId(1), message)
        };
        for number in 0..=BROKEN_BODIES_MAX {
            broken.note(body(number), 7);
            broken.note(body(number), 9);
        }
        assert_eq!(broken.of().len(), BROKEN_BODIES_MAX);
        assert_eq!((broken.at(body(0)), broken.at(body(1))), (None, Some(7)));
        broken.forget(body(1));
        assert_eq!(broken.at(body(1)), None);
    }
}
