//! SORT (RFC 5256): messages by the ranks of their keys.

use std::cmp::Reverse;
use std::sync::Arc;

use super::column::{Column, index};
use super::{Kind, SortBy};
use crate::ids::Uid;
use crate::search::Ranked;

/// `found`, all of which are in the columns of `kinds`, by `keys`; equal ones as the mailbox has them.
pub(super) fn sorted(
    found: &Ranked,
    keys: &[SortBy],
    kinds: &[Kind],
    columns: &[Arc<Column>],
) -> Vec<Uid> {
    let uids: Vec<Uid> = found.uids.iter().collect();
    let mut order: Vec<u32> = (0..found.uids.len()).collect();
    // Each pass leaves equal ones in the order of the passes before it.
    for by in keys.iter().rev() {
        let Some(kind) = Kind::of(by.key) else {
            let scores = found.scores_of(&uids);
            let score = |at: &u32| scores.get(index(*at)).copied().unwrap_or(0.0);
            match by.reverse {
                false => order.sort_by(|a, b| score(b).total_cmp(&score(a))),
                true => order.sort_by(|a, b| score(a).total_cmp(&score(b))),
            }
            continue;
        };
        let place = kinds.binary_search(&kind).ok();
        let Some(column) = place.and_then(|at| columns.get(at)) else {
            continue;
        };
        let ranks = column.ranks_of(&found.uids);
        let rank = |at: &u32| ranks.get(index(*at)).copied().unwrap_or(0);
        match by.reverse {
            false => order.sort_by_key(rank),
            true => order.sort_by_key(|at| Reverse(rank(at))),
        }
    }
    let uid = |at| uids.get(index(at)).copied();
    order.into_iter().filter_map(uid).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use coldpost_search::fold::fold;
    use proptest::prelude::*;

    use super::super::SortKey;
    use super::super::column::{Fresh, FreshValues};
    use super::*;
    use crate::uidset::UidSet;

    /// Subject, sender, size.
    type Mail = (String, String, i64);

    fn column(mails: &BTreeMap<Uid, Mail>, kind: Kind) -> Arc<Column> {
        let mails_of = mails.values();
        let values = match kind {
            Kind::Size => FreshValues::Numbers(mails_of.map(|mail| mail.2).collect()),
            Kind::From => FreshValues::Texts(mails_of.map(|mail| fold(&mail.1)).collect()),
            _ => FreshValues::Texts(mails_of.map(|mail| fold(&mail.0)).collect()),
        };
        let fresh = Fresh {
            uids: mails.keys().copied().collect(),
            values,
        };
        Arc::new(Column::merged(None, &UidSet::new(), fresh))
    }

    fn keys() -> impl Strategy<Value = Vec<SortBy>> {
        let key = prop_oneof![
            Just(SortKey::Subject),
            Just(SortKey::From),
            Just(SortKey::Size)
        ];
        let by = (key, any::<bool>()).prop_map(|(key, reverse)| SortBy { key, reverse });
        proptest::collection::vec(by, 1..4)
    }

    proptest! {
        #[test]
        fn messages_are_sorted_as_by_comparing_their_keys_one_by_one(
            mails in proptest::collection::btree_map(1_u32..50, ("[aAbéß]{0,2}", "[xX]{0,2}", 0_i64..3), 0..20),
            some in proptest::collection::btree_set(1_u32..50, 0..50),
            keys in keys(),
        ) {
            let mut kinds: Vec<Kind> = keys.iter().filter_map(|by| Kind::of(by.key)).collect();
            kinds.sort_unstable();
            kinds.dedup();
            let columns: Vec<_> = kinds.iter().map(|kind| column(&mails, *kind)).collect();
            let found: UidSet = mails.keys().copied().filter(|uid| some.contains(uid)).collect();
            let mut wanted: Vec<Uid> = found.iter().collect();
            wanted.sort_by(|a, b| {
                let compared = keys.iter().map(|by| {
                    let order = match by.key {
                        SortKey::Subject => fold(&mails[a].0).cmp(&fold(&mails[b].0)),
                        SortKey::From => fold(&mails[a].1).cmp(&fold(&mails[b].1)),
                        _ => mails[a].2.cmp(&mails[b].2),
                    };
                    if by.reverse { order.reverse() } else { order }
                });
                compared.reduce(std::cmp::Ordering::then).unwrap_or(std::cmp::Ordering::Equal).then(a.cmp(b))
            });
            let ranked = Ranked { uids: found, scores: Vec::new() };
            prop_assert_eq!(sorted(&ranked, &keys, &kinds, &columns), wanted);
        }
    }
}
