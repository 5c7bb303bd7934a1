//! Sets of 32-bit numbers as sorted ranges: UIDs of a mailbox, sequence numbers of a command.

use std::ops::RangeInclusive;

/// A set of numbers as sorted, disjoint, non-adjacent inclusive ranges, with the rank of each range, so that
/// position ↔ member is a binary search. 8 + 8 bytes a range, whatever the members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UidSet {
    ranges: Vec<(u32, u32)>,
    /// Number of members before range i.
    ranks: Vec<u32>,
    len: u32,
}

impl UidSet {
    /// The empty set.
    pub fn new() -> UidSet {
        UidSet::default()
    }

    /// From ranges in any order, overlapping or not. Ranges with start > end are swapped.
    pub fn from_ranges(ranges: impl IntoIterator<Item = (u32, u32)>) -> UidSet {
        let mut sorted: Vec<(u32, u32)> = ranges
            .into_iter()
            .map(|(a, b)| if a <= b { (a, b) } else { (b, a) })
            .collect();
        sorted.sort_unstable();
        let mut set = UidSet::new();
        for (start, end) in sorted {
            set.push_range(start, end);
        }
        set
    }

    /// Adds a member that is not below any member so far.
    pub fn push(&mut self, member: u32) {
        self.push_range(member, member);
    }

    /// Adds a range that does not start below the last range's start.
    pub fn push_range(&mut self, start: u32, end: u32) {
        if let Some(last) = self.ranges.last_mut() {
            assert!(start >= last.0, "ranges are pushed in order");
            if start <= last.1.saturating_add(1) {
                if end > last.1 {
                    self.len += end - last.1;
                    last.1 = end;
                }
                return;
            }
        }
        self.ranks.push(self.len);
        self.ranges.push((start, end));
        self.len = self.len.saturating_add(end - start).saturating_add(1);
    }

    /// How many members.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether it has no member.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether `member` is in it.
    pub fn contains(&self, member: u32) -> bool {
        self.rank(member).is_some()
    }

    /// The 0-based place of `member` among the members.
    pub fn rank(&self, member: u32) -> Option<u32> {
        let i = self.ranges.partition_point(|r| r.1 < member);
        let range = self.ranges.get(i)?;
        (range.0 <= member).then(|| self.ranks[i] + (member - range.0))
    }

    /// The member at 0-based `place`.
    pub fn at(&self, place: u32) -> Option<u32> {
        if place >= self.len {
            return None;
        }
        let i = self.ranks.partition_point(|&r| r <= place) - 1;
        Some(self.ranges[i].0 + (place - self.ranks[i]))
    }

    /// The smallest member.
    pub fn first(&self) -> Option<u32> {
        self.ranges.first().map(|r| r.0)
    }

    /// The largest member.
    pub fn last(&self) -> Option<u32> {
        self.ranges.last().map(|r| r.1)
    }

    /// The ranges, sorted.
    pub fn ranges(&self) -> &[(u32, u32)] {
        &self.ranges
    }

    /// All members, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.ranges
            .iter()
            .flat_map(|&(a, b)| RangeInclusive::new(a, b))
    }

    /// Members of both.
    #[must_use]
    pub fn intersection(&self, other: &UidSet) -> UidSet {
        let (mut i, mut j) = (0, 0);
        let mut out = UidSet::new();
        while let (Some(a), Some(b)) = (self.ranges.get(i), other.ranges.get(j)) {
            let (start, end) = (a.0.max(b.0), a.1.min(b.1));
            if start <= end {
                out.push_range(start, end);
            }
            if a.1 < b.1 { i += 1 } else { j += 1 }
        }
        out
    }

    /// Members of this that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &UidSet) -> UidSet {
        let mut out = UidSet::new();
        let mut j = 0;
        for &(start, end) in &self.ranges {
            let mut next = u64::from(start);
            let end64 = u64::from(end);
            while let Some(hole) = other.ranges.get(j) {
                if u64::from(hole.1) < next {
                    j += 1;
                    continue;
                }
                if hole.0 > end {
                    break;
                }
                if u64::from(hole.0) > next {
                    out.push_range(narrow(next), hole.0 - 1);
                }
                next = u64::from(hole.1) + 1;
                if next > end64 {
                    break;
                }
                j += 1;
            }
            if next <= end64 {
                out.push_range(narrow(next), end);
            }
        }
        out
    }

    /// Members of either.
    #[must_use]
    pub fn union(&self, other: &UidSet) -> UidSet {
        UidSet::from_ranges(self.ranges.iter().chain(&other.ranges).copied())
    }

    /// The set as IMAP writes it (`1:3,7`); empty text for the empty set.
    pub fn text(&self) -> String {
        use std::fmt::Write;
        let mut out = String::new();
        for &(a, b) in &self.ranges {
            if !out.is_empty() {
                out.push(',');
            }
            let _ = if a == b {
                write!(out, "{a}")
            } else {
                write!(out, "{a}:{b}")
            };
        }
        out
    }
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).expect("bounded by a range end, which is 32 bits")
}

impl FromIterator<u32> for UidSet {
    fn from_iter<T: IntoIterator<Item = u32>>(iter: T) -> UidSet {
        UidSet::from_ranges(iter.into_iter().map(|m| (m, m)))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn small() -> impl Strategy<Value = BTreeSet<u32>> {
        proptest::collection::btree_set(
            prop_oneof![0u32..60, Just(u32::MAX), Just(u32::MAX - 1)],
            0..40,
        )
    }

    proptest! {
        #[test]
        fn a_uid_set_is_the_set_of_its_members(a in small(), b in small()) {
            let (x, y): (UidSet, UidSet) = (a.iter().copied().collect(), b.iter().copied().collect());
            prop_assert_eq!(x.iter().collect::<Vec<_>>(), a.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(x.len() as usize, a.len());
            for (place, member) in a.iter().enumerate() {
                prop_assert_eq!(x.rank(*member), Some(u32::try_from(place).unwrap()));
                prop_assert_eq!(x.at(u32::try_from(place).unwrap()), Some(*member));
            }
            let got = |s: UidSet| s.iter().collect::<BTreeSet<_>>();
            prop_assert_eq!(got(x.intersection(&y)), &a & &b);
            prop_assert_eq!(got(x.difference(&y)), &a - &b);
            prop_assert_eq!(got(x.union(&y)), &a | &b);
        }
    }
}
