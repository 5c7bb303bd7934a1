//! What SORT and THREAD ask of the messages of a mailbox, one key of all of them together: folded, and ranked once for all.
//!
//! Promises: a UID means the same message for as long as UIDVALIDITY holds, so what is here is never stale, only incomplete; what is added
//! later is merged into the order that is there. Ranks compare as the values do: octets of folded texts (RFC 5051), numbers as numbers.

use std::cmp::Ordering;
use std::collections::HashMap;

use crate::ids::Uid;
use crate::uidset::UidSet;

/// No message id.
pub(super) const NONE: u32 = u32::MAX;

/// Message ids of a mailbox's messages: each id is a small number.
#[derive(Clone, Debug, Default)]
pub(super) struct Ids {
    /// The hash of each id.
    hashes: Vec<u64>,
    /// Own id of each message; [`NONE`] where it has none.
    own: Vec<u32>,
    /// Where the references of each message end.
    ends: Vec<u32>,
    references: Vec<u32>,
}

/// The values of a key, those of a message at the place of its UID.
#[derive(Clone, Debug)]
pub(super) enum Values {
    /// Times and sizes.
    Numbers(Vec<i64>),
    /// Folded texts, one behind the other, and where each ends.
    Texts(Vec<u32>, String),
    /// Whether a subject is of a reply or a forwarded message.
    Marks(Vec<bool>),
    /// Message-ID and references.
    Ids(Ids),
}

/// One key of a mailbox's messages.
#[derive(Clone, Debug)]
pub(super) struct Column {
    uids: UidSet,
    values: Values,
    /// Equal for equal values, from 0 without a gap; none of ids and marks.
    ranks: Vec<u32>,
}

/// Values that were just read, in the order of their UIDs.
#[derive(Debug)]
pub(super) struct Fresh {
    pub(super) uids: UidSet,
    pub(super) values: FreshValues,
}

/// See [`Values`]; ids are hashes still, 0 is none.
#[derive(Clone, Debug)]
pub(super) enum FreshValues {
    Numbers(Vec<i64>),
    Texts(Vec<String>),
    Marks(Vec<bool>),
    Ids(Vec<(u64, Vec<u64>)>),
}

impl Column {
    /// A column without messages, of the kind of `fresh`.
    fn empty(fresh: &FreshValues) -> Column {
        Column {
            uids: UidSet::new(),
            values: match fresh {
                FreshValues::Numbers(_) => Values::Numbers(Vec::new()),
                FreshValues::Texts(_) => Values::Texts(Vec::new(), String::new()),
                FreshValues::Marks(_) => Values::Marks(Vec::new()),
                FreshValues::Ids(_) => Values::Ids(Ids::default()),
            },
            ranks: Vec::new(),
        }
    }

    /// Those of `old` that are in `kept`, and the fresh ones.
    pub(super) fn merged(old: Option<&Column>, kept: &UidSet, fresh: Fresh) -> Column {
        let empty = Column::empty(&fresh.values);
        let old = old.unwrap_or(&empty);
        let kept = old.uids.intersection(kept).difference(&fresh.uids);
        let uids = kept.union(&fresh.uids);
        // Where each message of the new column comes from: a place in the old one, or among the fresh.
        let origin = |uid: Uid| match old.uids.rank(uid).filter(|_| kept.contains(uid)) {
            Some(place) => Origin::Old(index(place)),
            None => Origin::Fresh(fresh.uids.rank(uid).map_or(0, index)),
        };
        let origins: Vec<Origin> = uids.iter().map(origin).collect();
        let values = old.values.merged(&origins, &fresh.values);
        let ranks = values.ranks(&merge_order(old, &origins));
        Column {
            uids,
            values,
            ranks,
        }
    }

    /// Those of `uids` that it does not have.
    pub(super) fn missing(&self, uids: &UidSet) -> UidSet {
        uids.difference(&self.uids)
    }

    /// Places of `uids`, all of which it has.
    pub(super) fn places(&self, uids: &UidSet) -> Vec<u32> {
        let mut places = Vec::with_capacity(index(uids.len()));
        for &(first, last) in uids.intersection(&self.uids).ranges() {
            let from = self.uids.rank(first).unwrap_or(0);
            places.extend(from..=from + (last - first));
        }
        places
    }

    /// Ranks of `uids`, all of which it has.
    pub(super) fn ranks_of(&self, uids: &UidSet) -> Vec<u32> {
        let places = self.places(uids).into_iter();
        let rank = |place| self.ranks.get(index(place)).copied().unwrap_or(0);
        places.map(rank).collect()
    }

    /// The rank of the empty text, if it is there: no text is before it.
    pub(super) fn empty_rank(&self) -> Option<u32> {
        let first = self.ranks.iter().position(|rank| *rank == 0)?;
        match &self.values {
            Values::Texts(..) => self.values.text(first).is_empty().then_some(0),
            _ => None,
        }
    }

    /// The marks of `uids`, all of which it has.
    pub(super) fn marks_of(&self, uids: &UidSet) -> Vec<bool> {
        let Values::Marks(marks) = &self.values else {
            return Vec::new();
        };
        let places = self.places(uids).into_iter();
        let mark = |place| marks.get(index(place)).copied().unwrap_or(false);
        places.map(mark).collect()
    }

    /// The message ids.
    pub(super) fn ids(&self) -> Option<&Ids> {
        match &self.values {
            Values::Ids(ids) => Some(ids),
            _ => None,
        }
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        let values = match &self.values {
            Values::Numbers(numbers) => numbers.capacity() * 8,
            Values::Texts(ends, text) => ends.capacity() * 4 + text.capacity(),
            Values::Marks(marks) => marks.capacity(),
            Values::Ids(ids) => {
                ids.hashes.capacity() * 8
                    + (ids.own.capacity() + ids.ends.capacity() + ids.references.capacity()) * 4
            }
        };
        size_of::<Column>() + values + self.ranks.capacity() * 4 + self.uids.ranges().len() * 16
    }
}

impl FreshValues {
    /// Bytes in memory, about.
    pub(super) fn bytes(&self) -> usize {
        match self {
            FreshValues::Numbers(numbers) => numbers.len() * 8,
            FreshValues::Texts(texts) => {
                let texts = texts
                    .iter()
                    .map(|text| size_of::<String>() + text.capacity());
                texts.sum()
            }
            FreshValues::Marks(marks) => marks.len(),
            FreshValues::Ids(ids) => ids.iter().map(|(_, list)| 40 + list.len() * 8).sum(),
        }
    }
}

impl Ids {
    /// How many ids there are.
    pub(super) fn len(&self) -> u32 {
        narrow(self.hashes.len())
    }

    /// Own id and references of the message at a place.
    pub(super) fn of(&self, place: u32) -> (u32, &[u32]) {
        let at = index(place);
        let begin = at.checked_sub(1).and_then(|before| self.ends.get(before));
        let begin = begin.map_or(0, |end| index(*end));
        let end = self.ends.get(at).map_or(begin, |end| index(*end));
        let own = self.own.get(at).copied().unwrap_or(NONE);
        (own, self.references.get(begin..end).unwrap_or_default())
    }
}

#[derive(Clone, Copy)]
enum Origin {
    Old(usize),
    Fresh(usize),
}

/// Places in the order of their values as far as it is known: those of the old column, then the fresh ones.
fn merge_order(old: &Column, origins: &[Origin]) -> Vec<u32> {
    let mut new_place = vec![NONE; old.ranks.len()];
    let mut fresh = Vec::new();
    for (place, origin) in origins.iter().enumerate() {
        match origin {
            Origin::Old(at) => {
                if let Some(of_old) = new_place.get_mut(*at) {
                    *of_old = narrow(place);
                }
            }
            Origin::Fresh(_) => fresh.push(narrow(place)),
        }
    }
    let mut order: Vec<u32> = (0..narrow(old.ranks.len())).collect();
    order.sort_by_key(|at| old.ranks.get(index(*at)));
    let known = order.into_iter();
    let known = known.filter_map(|at| new_place.get(index(at)).copied().filter(|at| *at != NONE));
    known.chain(fresh).collect()
}

impl Values {
    fn text(&self, at: usize) -> &str {
        let Values::Texts(ends, text) = self else {
            return "";
        };
        let begin = at.checked_sub(1).and_then(|before| ends.get(before));
        let begin = begin.map_or(0, |end| index(*end));
        let end = ends.get(at).map_or(begin, |end| index(*end));
        text.get(begin..end).unwrap_or_default()
    }

    fn merged(&self, origins: &[Origin], fresh: &FreshValues) -> Values {
        match (self, fresh) {
            (Values::Numbers(old), FreshValues::Numbers(fresh)) => {
                Values::Numbers(picked(origins, old, fresh))
            }
            (Values::Marks(old), FreshValues::Marks(fresh)) => {
                Values::Marks(picked(origins, old, fresh))
            }
            (Values::Ids(old), FreshValues::Ids(fresh)) => {
                Values::Ids(Ids::merged(old, origins, fresh))
            }
            (old, FreshValues::Texts(fresh)) => {
                let text = |origin: &Origin| match *origin {
                    Origin::Old(at) => old.text(at),
                    Origin::Fresh(at) => fresh.get(at).map_or("", String::as_str),
                };
                let mut whole = String::with_capacity(origins.iter().map(text).map(str::len).sum());
                let mut ends = Vec::with_capacity(origins.len());
                for origin in origins {
                    whole.push_str(text(origin));
                    ends.push(narrow(whole.len()));
                }
                Values::Texts(ends, whole)
            }
            _ => unreachable!("a column is of one kind"),
        }
    }

    /// Dense ranks; `order` is nearly sorted where much of it is known, and is sorted in linear time then.
    fn ranks(&self, order: &[u32]) -> Vec<u32> {
        let compare: &dyn Fn(&u32, &u32) -> Ordering = match self {
            Values::Numbers(numbers) => &|a, b| numbers.get(index(*a)).cmp(&numbers.get(index(*b))),
            Values::Texts(..) => &|a, b| self.text(index(*a)).cmp(self.text(index(*b))),
            Values::Marks(_) | Values::Ids(_) => return Vec::new(),
        };
        let mut order = order.to_vec();
        order.sort_by(compare);
        let mut ranks = vec![0; order.len()];
        let mut rank = 0;
        let mut last = None;
        for place in &order {
            if last.is_some_and(|last| compare(last, place) != Ordering::Equal) {
                rank += 1;
            }
            last = Some(place);
            if let Some(of_place) = ranks.get_mut(index(*place)) {
                *of_place = rank;
            }
        }
        ranks
    }
}

fn picked<T: Copy + Default>(origins: &[Origin], old: &[T], fresh: &[T]) -> Vec<T> {
    let pick = |origin: &Origin| match *origin {
        Origin::Old(at) => old.get(at),
        Origin::Fresh(at) => fresh.get(at),
    };
    let all = origins.iter().map(|origin| pick(origin).copied());
    all.map(Option::unwrap_or_default).collect()
}

impl Ids {
    /// Those of messages that went are given no more, but their numbers stay until the column is made anew.
    fn merged(old: &Ids, origins: &[Origin], fresh: &[(u64, Vec<u64>)]) -> Ids {
        let mut ids = Ids {
            hashes: old.hashes.clone(),
            ..Ids::default()
        };
        let known = (0..).zip(&ids.hashes);
        let mut numbers: HashMap<u64, u32> = known.map(|(number, hash)| (*hash, number)).collect();
        let mut number = |hash: u64| {
            *numbers.entry(hash).or_insert_with(|| {
                ids.hashes.push(hash);
                narrow(ids.hashes.len() - 1)
            })
        };
        for origin in origins {
            match *origin {
                Origin::Old(at) => {
                    let (own, references) = old.of(narrow(at));
                    ids.own.push(own);
                    ids.references.extend_from_slice(references);
                }
                Origin::Fresh(at) => {
                    let none = (0, Vec::new());
                    let (own, references) = fresh.get(at).unwrap_or(&none);
                    ids.own.push(if *own == 0 { NONE } else { number(*own) });
                    let references = references.iter().map(|hash| number(*hash));
                    ids.references.extend(references);
                }
            }
            ids.ends.push(narrow(ids.references.len()));
        }
        ids
    }
}

/// A place of a list as an index of memory.
pub(super) fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

/// An index of a list that is bounded far below 2^32.
pub(super) fn narrow(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NONE)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn texts(pairs: &BTreeMap<u32, String>) -> Fresh {
        Fresh {
            uids: pairs.keys().copied().collect(),
            values: FreshValues::Texts(pairs.values().cloned().collect()),
        }
    }

    fn some() -> impl Strategy<Value = BTreeMap<u32, String>> {
        proptest::collection::btree_map(1_u32..40, "[ab]{0,2}", 0..20)
    }

    proptest! {
        #[test]
        fn a_column_made_in_steps_is_the_column_made_at_once(first in some(), then in some(), kept in proptest::collection::btree_set(1_u32..40, 0..40)) {
            let kept: UidSet = kept.into_iter().collect();
            let old = Column::merged(None, &UidSet::new(), texts(&first));
            let new = Column::merged(Some(&old), &kept, texts(&then));
            let mut all: BTreeMap<u32, String> = first.into_iter().filter(|(uid, _)| kept.contains(*uid)).collect();
            all.extend(then);
            let whole = Column::merged(None, &UidSet::new(), texts(&all));
            prop_assert_eq!(&new.uids, &whole.uids);
            prop_assert_eq!(&new.ranks, &whole.ranks);
            let uids: UidSet = all.keys().copied().collect();
            let ranks = new.ranks_of(&uids);
            for (a, x) in all.values().zip(&ranks) {
                for (b, y) in all.values().zip(&ranks) {
                    prop_assert_eq!(a.cmp(b), x.cmp(y));
                }
            }
            prop_assert_eq!(new.empty_rank().is_some(), all.values().any(String::is_empty));
        }
    }

    #[test]
    fn message_ids_keep_their_numbers_when_messages_come() {
        let ids = |uid: u32, own: u64, references: &[u64]| Fresh {
            uids: [uid].into_iter().collect(),
            values: FreshValues::Ids(vec![(own, references.to_vec())]),
        };
        let old = Column::merged(None, &UidSet::new(), ids(5, 50, &[10, 20]));
        let all = UidSet::from_ranges([(1, 9)]);
        let new = Column::merged(Some(&old), &all, ids(3, 20, &[10, 7]));
        let ids = new.ids().expect("a column of ids");
        assert_eq!(ids.len(), 4);
        let (first, second) = (ids.of(0), ids.of(1));
        assert_eq!(second, old.ids().expect("so is this").of(0));
        assert_eq!(first.0, second.1[1], "20 is its own id and a reference");
        assert_eq!(first.1[0], second.1[0]);
        assert_eq!(new.missing(&all).text(), "1:2,4,6:9");
    }
}
