//! What vanished from a mailbox since a modseq: VANISHED (EARLIER) of RFC 7162, from what the hot tier has anyway (`docs/decisions/0002-no-vanished-table.md`).
//!
//! Promises: names every UID asked for that went after that modseq; others that it names are gone too, or never were. Memory is that of
//! one piece, whatever was asked and however much is gone. Never: names a UID that the session's picture has.

use coldpost_tiers::hot::row::{ExpungedRow, Row};
use coldpost_tiers::hot::{Snapshot, TableName, key};

use super::mailbox::{MailboxView, mailbox_row};
use crate::error::Result;
use crate::ids::{ModSeq, Uid};
use crate::uidset::UidSet;

/// A piece of what vanished, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vanished {
    /// UIDs that are gone.
    pub uids: UidSet,
    /// From where to ask for the next piece; `None` at the end.
    pub next: Option<Uid>,
}

impl MailboxView {
    /// UIDs of `known`, from `from` on, that are gone, for a client that knows the mailbox as of `since`: at most `limit` ranges.
    ///
    /// # Errors
    /// `Unavailable` after an I/O error.
    pub fn vanished(
        &self,
        known: &UidSet,
        since: ModSeq,
        from: Uid,
        limit: usize,
    ) -> Result<Vanished> {
        let state = self.shard.hot.read()?;
        let Some(row) = mailbox_row(&state, self.account, self.mailbox)? else {
            return Ok(Vanished::default());
        };
        if row.highest_modseq <= since {
            return Ok(Vanished::default());
        }
        // Each piece is decided by itself: a purge in between makes the rest less exact, never wrong.
        if since < row.forgotten_modseq {
            let next = self.status.uid_next;
            return Ok(missing(known, &self.uids, (from, next), limit));
        }
        self.expunged_since(&state, known, since, from, limit)
    }

    fn expunged_since(
        &self,
        state: &Snapshot,
        known: &UidSet,
        since: ModSeq,
        from: Uid,
        limit: usize,
    ) -> Result<Vanished> {
        let (account, mailbox) = (self.account.number, self.mailbox.0);
        let mut found = Vanished::default();
        let is_asked = |uid| known.contains(uid) && !self.uids.contains(uid);
        state.walk(
            TableName::Expunged,
            &key::mailbox(account, mailbox),
            &key::uid(account, mailbox, from),
            |row_key, value| {
                let uid = key::uid_of(row_key);
                if found.uids.ranges().len() >= limit {
                    found.next = Some(uid);
                    return Ok(false);
                }
                if is_asked(uid) && ExpungedRow::decode("expunged", value)?.modseq > since {
                    found.uids.push(uid);
                }
                Ok(true)
            },
        )?;
        Ok(found)
    }
}

/// What of `known` is not in `there`, from the first UID of `within` on and below its second: at most `limit` ranges.
fn missing(known: &UidSet, there: &UidSet, within: (Uid, Uid), limit: usize) -> Vanished {
    let mut found = Vanished::default();
    let asked = known.ranges();
    let begin = asked.partition_point(|range| range.1 < within.0);
    for &(first, last) in asked.get(begin..).unwrap_or_default() {
        let mut uid = first.max(within.0);
        let last = last.min(within.1.saturating_sub(1));
        let at = there.ranges().partition_point(|range| range.1 < uid);
        let mut held = there.ranges().get(at..).unwrap_or_default().iter();
        while uid <= last {
            if found.uids.ranges().len() >= limit {
                found.next = Some(uid);
                return found;
            }
            match held.next().filter(|range| range.0 <= last) {
                Some(&(start, end)) => {
                    if start > uid {
                        found.uids.push_range(uid, start - 1);
                    }
                    uid = end.saturating_add(1);
                }
                None => {
                    found.uids.push_range(uid, last);
                    break;
                }
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn members() -> impl Strategy<Value = BTreeSet<u32>> {
        proptest::collection::btree_set(1u32..60, 0..40)
    }

    proptest! {
        #[test]
        fn pieces_of_what_is_missing_are_all_that_is_missing(
            known in members(),
            there in members(),
            next in 1u32..70,
            limit in 1usize..5,
        ) {
            let wanted: Vec<u32> = known.difference(&there).copied().filter(|uid| *uid < next).collect();
            let set = |members: &BTreeSet<u32>| members.iter().copied().collect::<UidSet>();
            let mut got = Vec::new();
            let mut from = Some(1);
            while let Some(first) = from {
                let piece = missing(&set(&known), &set(&there), (first, next), limit);
                prop_assert!(piece.uids.ranges().len() <= limit);
                prop_assert!(piece.next.is_none_or(|next| next > first), "it goes on");
                got.extend(piece.uids.iter());
                from = piece.next;
            }
            prop_assert_eq!(got, wanted);
        }
    }

    #[test]
    fn all_numbers_there_are_cost_no_more_than_what_is_there() {
        let known = UidSet::from_ranges([(1, u32::MAX)]);
        let there = UidSet::from_ranges([(1, 5), (9, 9)]);
        let found = missing(&known, &there, (1, u32::MAX), 10);
        assert_eq!(found.uids.text(), format!("6:8,10:{}", u32::MAX - 1));
        assert_eq!(found.next, None);
    }
}
