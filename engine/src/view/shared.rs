//! What changed in a mailbox, worked out once for all sessions that show the same picture of it: new mail wakes all that wait in IDLE.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::kinds::Changes;
use crate::ids::{AccountId, MailboxId, ModSeq};
use crate::limits::{SHARED_CHANGES_MAX, SHARED_CHANGES_PIECES};
use crate::uidset::UidSet;

type Place = (AccountId, MailboxId);

/// The last changes of some mailboxes.
#[derive(Default)]
pub(crate) struct SharedChanges {
    of: Mutex<HashMap<Place, Known>>,
}

struct Known {
    /// The modseq of the picture that they change. It says what the picture shows, where nothing that is gone is kept in it.
    from: ModSeq,
    /// How often the account's watchers had been woken when the state was read, or less.
    woken: u64,
    /// Without the UIDs.
    changes: Changes,
    /// All UIDs, while a session has them.
    uids: Weak<UidSet>,
}

impl SharedChanges {
    fn of(&self) -> MutexGuard<'_, HashMap<Place, Known>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What changed since `from`, if somebody worked it out since the watchers were woken for the time `woken`. Nobody can ask who
    /// began to watch after all others had left: a view that is opened begins behind all changes that were worked out.
    pub(crate) fn known(&self, place: Place, from: ModSeq, woken: u64) -> Option<Changes> {
        let of = self.of();
        let known = of.get(&place)?;
        if (known.from, known.woken) != (from, woken) {
            return None;
        }
        let uids = known.uids.upgrade()?;
        let changes = known.changes.clone();
        Some(Changes { uids, ..changes })
    }

    /// Keeps them for the next session.
    pub(crate) fn keep(&self, place: Place, from: ModSeq, woken: u64, changes: &Changes) {
        let sets = [&changes.expunged, &changes.arrived];
        let is_small = changes.flagged.len() <= SHARED_CHANGES_PIECES
            && sets
                .iter()
                .all(|set| set.ranges().len() <= SHARED_CHANGES_PIECES);
        let mut of = self.of();
        if !is_small {
            of.remove(&place);
            return;
        }
        if of.len() >= SHARED_CHANGES_MAX && !of.contains_key(&place) {
            of.clear();
        }
        let uids = Arc::downgrade(&changes.uids);
        let changes = Changes {
            uids: Arc::default(),
            ..changes.clone()
        };
        of.insert(
            place,
            Known {
                from,
                woken,
                changes,
                uids,
            },
        );
    }
}
