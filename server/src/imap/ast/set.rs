//! Sets of numbers as a client writes them, and what they mean in a mailbox.

use coldpost_engine::uidset::UidSet;

/// A number of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeqNo {
    /// A number, never 0.
    Number(u32),
    /// `*`: the largest number in use.
    Star,
}

/// A set of numbers as the client wrote it: pairs in any order and direction, overlapping or not; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SequenceSet(pub Vec<(SeqNo, SeqNo)>);

impl SequenceSet {
    /// The set with `*` standing for `max`, the largest number in use. With `max` 0 (an empty mailbox) what names `*` is nothing.
    pub fn resolve(&self, max: u32) -> UidSet {
        let number = |no: SeqNo| match no {
            SeqNo::Number(n) => Some(n),
            SeqNo::Star => (max > 0).then_some(max),
        };
        UidSet::from_ranges(
            self.0
                .iter()
                .filter_map(|&(a, b)| Some((number(a)?, number(b)?))),
        )
    }

    /// The UIDs among `uids` that a set of UIDs means; `*` is the last of them. Numbers that are not there are no error.
    pub fn among_uids(&self, uids: &UidSet) -> UidSet {
        self.resolve(uids.last().unwrap_or(0)).intersection(uids)
    }

    /// The UIDs that a set of sequence numbers means in the picture `uids`; `None` when it names a message that is not there
    /// (an empty mailbox has none, so every set does): BAD (RFC 3501, 9: seq-number).
    pub fn sequence_to_uids(&self, uids: &UidSet) -> Option<UidSet> {
        let exists = uids.len();
        let numbers = self.resolve(exists);
        let there = exists > 0 && numbers.last().is_none_or(|last| last <= exists);
        there.then(|| members_at(&numbers, uids))
    }

    /// The same with numbers of no message left out: what SEARCH finds by them, as with Dovecot.
    pub fn sequence_among_uids(&self, uids: &UidSet) -> UidSet {
        let all = UidSet::from_ranges((!uids.is_empty()).then_some((1, uids.len())));
        members_at(&self.resolve(uids.len()).intersection(&all), uids)
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

    #[test]
    fn in_an_empty_mailbox_star_is_nothing() {
        let set = SequenceSet(vec![(SeqNo::Number(1), SeqNo::Star)]);
        assert_eq!(set.resolve(0), UidSet::new());
        assert_eq!(set.sequence_to_uids(&UidSet::new()), None);
        assert_eq!(set.sequence_among_uids(&UidSet::new()), UidSet::new());
    }

    #[test]
    fn a_range_from_beyond_the_last_uid_to_star_is_the_last_one() {
        let uids: UidSet = [3, 7].into_iter().collect();
        let set = SequenceSet(vec![(SeqNo::Number(559), SeqNo::Star)]);
        assert_eq!(set.among_uids(&uids).text(), "7");
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
            let among: Vec<u32> = set.sequence_among_uids(&uids).iter().collect();
            prop_assert_eq!(&among, &found);
            let all = set.sequence_to_uids(&uids).map(|set| set.iter().collect::<Vec<_>>());
            let there = !uids.is_empty() && numbers.iter().all(|n| n <= uids.len());
            prop_assert_eq!(all, there.then_some(found));
        }
    }
}
