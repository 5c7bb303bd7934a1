//! What a search found, in the order in which it is told, and which part of it a client asked for.

use coldpost_engine::ids::Uid;
use coldpost_engine::uidset::UidSet;

use crate::imap::ast::{Numbers, Page, SearchReturn};
use crate::imap::selected::Selected;

/// UIDs, or the numbers of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Results {
    /// Of SEARCH.
    Ascending(UidSet),
    /// Of SORT, first to last.
    Sorted(Vec<u32>),
}

impl Results {
    /// How many.
    pub(crate) fn len(&self) -> u32 {
        match self {
            Results::Ascending(set) => set.len(),
            Results::Sorted(list) => u32::try_from(list.len()).unwrap_or(u32::MAX),
        }
    }

    /// The one at a place, from 0.
    fn at(&self, place: u32) -> Option<u32> {
        match self {
            Results::Ascending(set) => set.at(place),
            Results::Sorted(list) => list.get(usize::try_from(place).ok()?).copied(),
        }
    }

    /// What MIN tells: of SORT the first (RFC 5267, 3).
    pub(crate) fn first(&self) -> Option<u32> {
        self.at(0)
    }

    /// What MAX tells: of SORT the last.
    pub(crate) fn last(&self) -> Option<u32> {
        self.at(self.len().checked_sub(1)?)
    }

    /// Those that a page has; none: it lies beyond them all.
    pub(crate) fn page(&self, page: Page) -> Option<Results> {
        let (first, last) = page.places(self.len())?;
        Some(match self {
            Results::Ascending(set) => Results::Ascending(between(set, first, last)),
            Results::Sorted(list) => {
                let index = |place: u32| usize::try_from(place).unwrap_or(usize::MAX);
                let page = list.get(index(first)..=index(last)).unwrap_or_default();
                Results::Sorted(page.to_vec())
            }
        })
    }

    /// All of them, whatever their order.
    pub(crate) fn set(&self) -> UidSet {
        match self {
            Results::Ascending(set) => set.clone(),
            Results::Sorted(list) => list.iter().copied().collect(),
        }
    }

    /// UIDs as the numbers of a command.
    pub(crate) fn numbers(&self, selected: &Selected, numbers: Numbers) -> Results {
        match (self, numbers) {
            (Results::Ascending(set), _) => Results::Ascending(selected.numbers(set, numbers)),
            (Results::Sorted(list), Numbers::Uid) => Results::Sorted(list.clone()),
            (Results::Sorted(list), Numbers::Sequence) => {
                let number = |uid: &Uid| selected.sequence(*uid);
                Results::Sorted(list.iter().filter_map(number).collect())
            }
        }
    }

    /// The messages that an answer with these return options is about: what SAVE keeps (RFC 5182, 2.4; RFC 9394, 3.2), and those whose
    /// highest modseq is told (RFC 4731, 3.2). All, unless only MIN, MAX and PARTIAL are asked for.
    pub(crate) fn meant_by(&self, returns: SearchReturn) -> UidSet {
        let SearchReturn {
            min, max, partial, ..
        } = returns;
        if returns.all || returns.count || !(min || max || partial.is_some()) {
            return self.set();
        }
        let ends = [self.first().filter(|_| min), self.last().filter(|_| max)];
        let ends = ends.into_iter().flatten().collect::<UidSet>();
        match partial.and_then(|page| self.page(page)) {
            Some(page) => page.set().union(&ends),
            None => ends,
        }
    }

    /// As a set is written (`2,7:9`), in their order: a range stands where they ascend one by one. Of none an empty text.
    pub(crate) fn text(&self) -> String {
        match self {
            Results::Ascending(set) => set.text(),
            Results::Sorted(list) => sorted_text(list),
        }
    }
}

/// The members from one place to another.
pub(crate) fn between(set: &UidSet, first: u32, last: u32) -> UidSet {
    let (Some(from), Some(upto)) = (set.at(first), set.at(last)) else {
        return UidSet::new();
    };
    set.intersection(&UidSet::from_ranges([(from, upto)]))
}

fn sorted_text(list: &[u32]) -> String {
    let mut text = String::with_capacity(list.len() * 5);
    let mut itoa = itoa::Buffer::new();
    for run in list.chunk_by(|a, b| a.checked_add(1) == Some(*b)) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            continue;
        };
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(itoa.format(*first));
        if last != first {
            text.push(':');
            text.push_str(itoa.format(*last));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn returns(names: &str) -> SearchReturn {
        SearchReturn {
            min: names.contains("MIN"),
            max: names.contains("MAX"),
            all: names.contains("ALL"),
            count: names.contains("COUNT"),
            save: names.contains("SAVE"),
            partial: names.contains("PARTIAL").then_some(Page {
                first: 2,
                last: 3,
                from_end: false,
            }),
            relevancy: false,
        }
    }

    /// The tables of RFC 5182, 2.4 and RFC 9394, 3.2.
    #[test]
    fn what_is_saved_and_told_of_is_what_was_asked_for() {
        let found = Results::Ascending([2, 5, 9, 11].into_iter().collect());
        for (names, wanted) in [
            ("SAVE", "2,5,9,11"),
            ("SAVE MIN", "2"),
            ("SAVE MAX", "11"),
            ("SAVE MIN MAX", "2,11"),
            ("SAVE MIN COUNT", "2,5,9,11"),
            ("SAVE MAX ALL", "2,5,9,11"),
            ("SAVE PARTIAL", "5,9"),
            ("SAVE PARTIAL MIN", "2,5,9"),
            ("SAVE PARTIAL MAX", "5,9,11"),
            ("SAVE PARTIAL MIN MAX", "2,5,9,11"),
            ("SAVE PARTIAL COUNT", "2,5,9,11"),
        ] {
            let meant = found.meant_by(returns(names));
            assert_eq!(meant.text(), wanted, "{names}");
        }
        let none = Results::Ascending(UidSet::new());
        assert!(none.meant_by(returns("SAVE MIN MAX PARTIAL")).is_empty());
    }

    #[test]
    fn sorted_results_keep_their_order() {
        let sorted = Results::Sorted(vec![9, 2, 3, 4, 1, 8, 7]);
        assert_eq!(sorted.text(), "9,2:4,1,8,7");
        assert_eq!((sorted.first(), sorted.last()), (Some(9), Some(7)));
        let page = |first, last, from_end| {
            let page = Page {
                first,
                last,
                from_end,
            };
            sorted.page(page).map(|page| page.text())
        };
        assert_eq!(page(2, 3, false).as_deref(), Some("2:3"));
        assert_eq!(page(1, 2, true).as_deref(), Some("8,7"));
        assert_eq!(page(8, 9, false), None);
        assert_eq!(sorted.meant_by(returns("MIN MAX")).text(), "7,9");
    }
}
