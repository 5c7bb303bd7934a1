//! Resynchronisation (RFC 7162, 3.2.5 and 3.2.6): what a client that was away has to learn of a mailbox.
//!
//! Promises: memory is bounded, whatever the client says that it knows: its sets are never spelled out, answers go out in pieces.

use coldpost_engine::ids::{ModSeq, Uid};
use coldpost_engine::uidset::UidSet;

use crate::imap::ast::QResync;
use crate::imap::completion::Outcome;
use crate::imap::out::Out;
use crate::imap::reply;
use crate::imap::selected::{Selected, Unasked, pieces};
use crate::limits::{IMAP_ENTRIES_BATCH, IMAP_VANISHED_RANGES};

/// What SELECT with the QRESYNC parameter tells: nothing to a client that knows another mailbox of that name.
///
/// # Errors
/// `Engine` after an I/O error, and those of the connection.
pub(crate) async fn tell(selected: &Selected, asked: &QResync, out: &mut Out<'_>) -> Outcome<()> {
    let status = selected.view.status();
    if asked.uid_validity != status.uid_validity || asked.modseq >= status.highest_modseq {
        return Ok(());
    }
    let all = UidSet::from_ranges((status.uid_next > 1).then(|| (1, status.uid_next - 1)));
    let known = asked.known_uids.as_ref().unwrap_or(&all);
    let uids = selected.view.uids();
    let agreed = match &asked.match_data {
        Some((numbers, known)) => last_agreed(uids, numbers, known),
        None => 0,
    };
    tell_vanished(selected, known, asked.modseq, agreed.saturating_add(1), out).await?;
    let unasked = Unasked {
        modseq: true,
        uid: true,
        vanished: true,
    };
    for piece in pieces(&known.intersection(uids), IMAP_ENTRIES_BATCH) {
        for entry in selected.entries(&piece)? {
            if entry.modseq > asked.modseq {
                selected.tell_flags(&entry, unasked, out).await?;
            }
        }
    }
    Ok(())
}

/// VANISHED (EARLIER) for those of `known` from `from` on that are gone, for a client that knows the mailbox as of `since`.
///
/// # Errors
/// As [`tell`].
pub(crate) async fn tell_vanished(
    selected: &Selected,
    known: &UidSet,
    since: ModSeq,
    from: Uid,
    out: &mut Out<'_>,
) -> Outcome<()> {
    let mut next = Some(from);
    while let Some(from) = next {
        let piece = selected
            .view
            .vanished(known, since, from, IMAP_VANISHED_RANGES)?;
        reply::vanished(out.buffer(), &piece.uids, true);
        out.relieve().await?;
        next = piece.next;
    }
    Ok(())
}

/// The last of the client's pairs of sequence number and UID that still holds, 0 without one: as many messages are there up to it as the
/// client had, so none of those vanished.
fn last_agreed(uids: &UidSet, numbers: &UidSet, known: &UidSet) -> Uid {
    let there = uids.ranges();
    for (number, uid, more) in in_step(numbers, known).into_iter().rev() {
        let begin = there.partition_point(|range| range.1 < uid);
        let end = there.partition_point(|range| range.0 <= uid + more);
        for &(first, last) in there.get(begin..end).unwrap_or_default().iter().rev() {
            let last = last.min(uid + more);
            let at = first.max(uid);
            // Within a range of both, numbers and UIDs go up together: all of the pairs hold, or none.
            if uids.rank(at).map(|rank| rank + 1) == Some(number + (at - uid)) {
                return last;
            }
        }
    }
    0
}

/// Two sets of equally many members read in step: pieces of first number, first UID, and how many follow both.
fn in_step(numbers: &UidSet, known: &UidSet) -> Vec<(u32, Uid, u32)> {
    let mut pieces = Vec::new();
    let (mut left, mut right) = (numbers.ranges().iter(), known.ranges().iter());
    let (mut a, mut b) = (left.next().copied(), right.next().copied());
    while let (Some((number, last_number)), Some((uid, last_uid))) = (a, b) {
        let more = (last_number - number).min(last_uid - uid);
        pieces.push((number, uid, more));
        let rest = |first: u32, last: u32| (last - first > more).then(|| (first + more + 1, last));
        a = rest(number, last_number).or_else(|| left.next().copied());
        b = rest(uid, last_uid).or_else(|| right.next().copied());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn set(members: &BTreeSet<u32>) -> UidSet {
        members.iter().copied().collect()
    }

    proptest! {
        #[test]
        fn the_last_pair_that_holds_is_found(
            there in proptest::collection::btree_set(1u32..60, 0..40),
            numbers in proptest::collection::btree_set(1u32..40, 0..30),
            known in proptest::collection::btree_set(1u32..60, 0..30),
        ) {
            let many = numbers.len().min(known.len());
            let numbers: BTreeSet<u32> = numbers.into_iter().take(many).collect();
            let known: BTreeSet<u32> = known.into_iter().take(many).collect();
            let uids = set(&there);
            let holds = |(number, uid): &(&u32, &u32)| uids.at(**number - 1) == Some(**uid);
            let wanted = numbers.iter().zip(&known).rfind(holds).map_or(0, |(_, uid)| *uid);
            prop_assert_eq!(last_agreed(&uids, &set(&numbers), &set(&known)), wanted);
        }
    }

    #[test]
    fn pairs_of_all_numbers_are_looked_at_as_ranges() {
        let all = UidSet::from_ranges([(1, u32::MAX)]);
        let there = UidSet::from_ranges([(1, 700), (702, 900)]);
        assert_eq!(last_agreed(&there, &all, &all), 700);
        assert_eq!(last_agreed(&UidSet::new(), &all, &all), 0);
    }
}
