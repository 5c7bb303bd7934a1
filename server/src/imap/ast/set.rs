//! Sets of numbers as a client writes them, and what they mean in a mailbox.

use coldpost_engine::uidset::UidSet;

/// A number of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeqNo {
    /// A number, never 0.
    Number(u32),
    /// `*`: the largest number in use.
    Star,
    /// `$`, at both ends of its range: what a search saved last (RFC 5182).
    Saved,
}

/// A set of numbers as the client wrote it: pairs in any order and direction, overlapping or not; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceSet(pub Vec<(SeqNo, SeqNo)>);

impl SequenceSet {
    /// Whether it names numbers, not only what was saved.
    pub fn has_numbers(&self) -> bool {
        self.0.iter().any(|range| range.0 != SeqNo::Saved)
    }

    /// Whether `$` is in it.
    pub fn has_saved(&self) -> bool {
        self.0.iter().any(|range| range.0 == SeqNo::Saved)
    }

    /// The numbers of the set with `*` standing for `max`, the largest number in use. With `max` 0 (an empty mailbox) what names `*` is
    /// nothing.
    pub fn resolve(&self, max: u32) -> UidSet {
        let number = |no: SeqNo| match no {
            SeqNo::Number(n) => Some(n),
            SeqNo::Star => (max > 0).then_some(max),
            SeqNo::Saved => None,
        };
        UidSet::from_ranges(
            self.0
                .iter()
                .filter_map(|&(a, b)| Some((number(a)?, number(b)?))),
        )
    }

    /// The UIDs among `uids` that a set of UIDs means; `*` is the last of them, `$` those of `saved`. Numbers that are not there are no
    /// error.
    pub fn among_uids(&self, uids: &UidSet, saved: &UidSet) -> UidSet {
        let found = self.resolve(uids.last().unwrap_or(0)).intersection(uids);
        self.with_saved(found, uids, saved)
    }

    /// The UIDs that a set of sequence numbers means in the picture `uids`; `None` when it names a message that is not there
    /// (an empty mailbox has none, so every number does): BAD (RFC 3501, 9: seq-number). `$` are those of `saved`, all of them or none.
    pub fn sequence_to_uids(&self, uids: &UidSet, saved: &UidSet) -> Option<UidSet> {
        let exists = uids.len();
        let numbers = self.resolve(exists);
        let is_there = exists > 0 && numbers.last().is_none_or(|last| last <= exists);
        (is_there || self.has_saved() && !self.has_numbers())
            .then(|| self.with_saved(members_at(&numbers, uids), uids, saved))
    }

    /// The same with numbers of no message left out: what SEARCH finds by them, as with Dovecot.
    pub fn sequence_among_uids(&self, uids: &UidSet, saved: &UidSet) -> UidSet {
        let all = UidSet::from_ranges((!uids.is_empty()).then_some((1, uids.len())));
        let found = members_at(&self.resolve(uids.len()).intersection(&all), uids);
        self.with_saved(found, uids, saved)
    }

    fn with_saved(&self, found: UidSet, uids: &UidSet, saved: &UidSet) -> UidSet {
        if self.has_saved() {
            found.union(&saved.intersection(uids))
        } else {
            found
        }
    }
}

/// The members of `uids` at the 1-based places `numbers`, all of which are there. Walks both sets once.
fn members_at(numbers: &UidSet, uids: &UidSet) -> UidSet {
    let mut out = UidSet::new();
    let mut below = 0;
    let mut held = uids.ranges().iter();
    let mut range = held.next();
    for &(first, last) in numbers.ranges() {
        let mut next = first;
        while let (true, Some(&(start, end))) = (next <= last, range) {
            let here = end - start + 1;
            if next > below + here {
                below += here;
                range = held.next();
                continue;
            }
            let upto = last.min(below + here);
            out.push_range(start + (next - below - 1), start + (upto - below - 1));
            next = upto + 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seq_no() -> impl Strategy<Value = SeqNo> {
        prop_oneof![4 => (1u32..40).prop_map(SeqNo::Number), 1 => Just(SeqNo::Star)]
    }

    fn none() -> UidSet {
        UidSet::new()
    }

    #[test]
    fn in_an_empty_mailbox_star_is_nothing() {
        let set = SequenceSet(vec![(SeqNo::Number(1), SeqNo::Star)]);
        assert_eq!(set.resolve(0), none());
        assert_eq!(set.sequence_to_uids(&none(), &none()), None);
        assert_eq!(set.sequence_among_uids(&none(), &none()), none());
    }

    #[test]
    fn a_range_from_beyond_the_last_uid_to_star_is_the_last_one() {
        let uids: UidSet = [3, 7].into_iter().collect();
        let set = SequenceSet(vec![(SeqNo::Number(559), SeqNo::Star)]);
        assert_eq!(set.among_uids(&uids, &none()).text(), "7");
    }

    #[test]
    fn what_was_saved_is_what_is_left_of_it_and_may_be_nothing() {
        let uids: UidSet = [3, 7, 9].into_iter().collect();
        let saved: UidSet = [5, 7].into_iter().collect();
        let only = SequenceSet(vec![(SeqNo::Saved, SeqNo::Saved)]);
        let with_first = SequenceSet(vec![
            (SeqNo::Number(1), SeqNo::Number(1)),
            (SeqNo::Saved, SeqNo::Saved),
        ]);
        assert_eq!(only.among_uids(&uids, &saved).text(), "7");
        assert_eq!(only.sequence_among_uids(&uids, &saved).text(), "7");
        let found = with_first.sequence_to_uids(&uids, &saved);
        assert_eq!(found.map(|set| set.text()), Some("3,7".to_owned()));
        assert_eq!(only.sequence_to_uids(&none(), &saved), Some(none()));
        assert_eq!(with_first.sequence_to_uids(&none(), &saved), None);
    }

    proptest! {
        #[test]
        fn sequence_numbers_are_ranks_of_the_picture(
            members in proptest::collection::btree_set(1u32..100, 0..30),
            ranges in proptest::collection::vec((seq_no(), seq_no()), 1..6),
        ) {
            let uids: UidSet = members.iter().copied().collect();
            let numbers = SequenceSet(ranges).resolve(uids.len());
            let set = SequenceSet(numbers.ranges().iter().map(|&(a, b)| (SeqNo::Number(a), SeqNo::Number(b))).collect());
            let found: Vec<u32> = numbers.iter().filter_map(|n| uids.at(n - 1)).collect();
            let among: Vec<u32> = set.sequence_among_uids(&uids, &none()).iter().collect();
            prop_assert_eq!(&among, &found);
            let all = set.sequence_to_uids(&uids, &none()).map(|set| set.iter().collect::<Vec<_>>());
            let there = !uids.is_empty() && numbers.iter().all(|n| n <= uids.len());
            prop_assert_eq!(all, there.then_some(found));
        }
    }
}
