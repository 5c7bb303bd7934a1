//! Two sequences in the order of their keys, side by side: the rows of a folder, fetched some at a time, and what a listing shows of it.
//!
//! Promises: each row is given once, either as one that the listing lacks or as that of the key that is listed. Never: has more than a
//! batch of rows in memory.

use std::collections::VecDeque;

use crate::error::Result;

/// What objects of a folder are ordered by, in rows as in names.
pub(super) type Id = [u8; 16];

/// See the module.
pub(super) struct Merge<R> {
    rows: VecDeque<(Id, R)>,
    /// Where the next batch begins: behind this one.
    after: Option<Id>,
    is_at_end: bool,
}

impl<R> Default for Merge<R> {
    fn default() -> Merge<R> {
        Merge {
            rows: VecDeque::new(),
            after: None,
            is_at_end: false,
        }
    }
}

impl<R> Merge<R> {
    /// The next row before `id` (or of all that are left), which the listing lacks: asked until there is none, with ids that ascend.
    /// `more` gives some of the rows behind an id in order, with all of the last one; none at their end.
    pub(super) fn before(
        &mut self,
        id: Option<&Id>,
        more: impl FnMut(Option<&Id>) -> Result<Vec<(Id, R)>>,
    ) -> Result<Option<R>> {
        self.take(more, |of| id.is_none_or(|id| of < id))
    }

    /// The next row of just this id.
    pub(super) fn at(
        &mut self,
        id: &Id,
        more: impl FnMut(Option<&Id>) -> Result<Vec<(Id, R)>>,
    ) -> Result<Option<R>> {
        self.take(more, |of| of == id)
    }

    fn take(
        &mut self,
        mut more: impl FnMut(Option<&Id>) -> Result<Vec<(Id, R)>>,
        wanted: impl Fn(&Id) -> bool,
    ) -> Result<Option<R>> {
        if self.rows.is_empty() && !self.is_at_end {
            let batch = more(self.after.as_ref())?;
            self.is_at_end = batch.is_empty();
            self.after = batch.last().map(|(id, _)| *id).or(self.after);
            self.rows = batch.into();
        }
        let next = self.rows.pop_front_if(|(id, _)| wanted(id));
        Ok(next.map(|(_, row)| row))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn id(number: u16) -> Id {
        u128::from(number).to_be_bytes()
    }

    proptest! {
        /// Against sets.
        #[test]
        fn what_one_side_lacks_is_found_whatever_the_batches(
            rows in prop::collection::btree_map(0_u16..200, 1_usize..3, 0..80),
            listed in prop::collection::btree_set(0_u16..200, 0..80),
            batch in 1_usize..9,
        ) {
            let more = |after: Option<&Id>| {
                let behind = rows.iter().filter(|(n, _)| after.is_none_or(|after| id(**n) > *after));
                let some = behind.take(batch);
                let same = |(n, times): (&u16, &usize)| std::iter::repeat_n((id(*n), *n), *times);
                Ok(some.flat_map(same).collect())
            };
            let mut merge = Merge::default();
            let (mut lacking, mut both, mut unknown) = (Vec::new(), Vec::new(), BTreeSet::new());
            for name in &listed {
                while let Some(row) = merge.before(Some(&id(*name)), more).unwrap() {
                    lacking.push(row);
                }
                let had = both.len();
                while let Some(row) = merge.at(&id(*name), more).unwrap() {
                    both.push(row);
                }
                if both.len() == had {
                    unknown.insert(*name);
                }
            }
            while let Some(row) = merge.before(None, more).unwrap() {
                lacking.push(row);
            }
            let expected = |is_listed: bool| -> Vec<u16> {
                let those = rows.iter().filter(|(n, _)| listed.contains(n) == is_listed);
                those.flat_map(|(n, times)| std::iter::repeat_n(*n, *times)).collect()
            };
            prop_assert_eq!(lacking, expected(false));
            prop_assert_eq!(both, expected(true));
            let known: BTreeMap<u16, usize> = rows.clone();
            let missing: BTreeSet<u16> = listed.iter().filter(|n| !known.contains_key(n)).copied().collect();
            prop_assert_eq!(unknown, missing);
        }
    }
}
