//! Which sealed segments and blobs stay on local disk as well: a pure decision.
//!
//! Promises: what is not confirmed in the object store never goes; of the rest, the longest unused goes first, and no more than needed.

use crate::address::{ObjectId, ShardNo};

/// A sealed segment or blob on local disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalFile {
    /// Whose.
    pub shard: ShardNo,
    /// Which.
    pub object: ObjectId,
    /// Bytes on disk.
    pub bytes: u64,
    /// When it was last read or made, ms since 1970.
    pub last_used: u64,
    /// The object store has it, byte for byte, and the journal says so.
    pub confirmed: bool,
}

/// What to delete locally so that `budget` bytes hold, in the order of deleting. Unconfirmed files count and stay, so the
/// budget may be exceeded by them.
pub fn evict(files: &[LocalFile], budget: u64) -> Vec<(ShardNo, ObjectId)> {
    let total = files
        .iter()
        .fold(0_u64, |sum, file| sum.saturating_add(file.bytes));
    let mut over = total.saturating_sub(budget);
    let mut confirmed: Vec<&LocalFile> = files.iter().filter(|file| may_go(file)).collect();
    confirmed.sort_by_key(|file| (file.last_used, file.shard, file.object));
    let goes = |file: &&LocalFile| {
        let needed = over > 0;
        over = over.saturating_sub(file.bytes);
        needed
    };
    confirmed
        .into_iter()
        .take_while(goes)
        .map(|file| (file.shard, file.object))
        .collect()
}

fn may_go(file: &LocalFile) -> bool {
    #[cfg(any(test, feature = "faults"))]
    if crate::planted::is_planted(crate::planted::Bug::EvictsUnconfirmed) {
        return true;
    }
    file.confirmed
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::address::{Epoch, Position};

    fn files() -> impl Strategy<Value = Vec<LocalFile>> {
        prop::collection::vec((0..1_000_u64, 0..5_u64, any::<bool>()), 0..20).prop_map(|list| {
            let file = |(at, (bytes, last_used, confirmed)): (u64, (u64, u64, bool))| LocalFile {
                shard: ShardNo(1),
                object: ObjectId::segment(Epoch(1), Position(at)),
                bytes,
                last_used,
                confirmed,
            };
            (0..).zip(list).map(file).collect()
        })
    }

    proptest! {
        #[test]
        fn unconfirmed_files_stay_and_the_oldest_go_until_the_budget_holds(files in files(), budget in 0..8_000_u64) {
            let gone: Vec<_> = evict(&files, budget);
            let set: BTreeSet<_> = gone.iter().copied().collect();
            prop_assert_eq!(set.len(), gone.len());
            let is_gone = |f: &&LocalFile| set.contains(&(f.shard, f.object));
            prop_assert!(files.iter().filter(is_gone).all(|f| f.confirmed));
            let left: u64 = files.iter().filter(|f| !is_gone(f)).map(|f| f.bytes).sum();
            prop_assert!(left <= budget || files.iter().filter(|f| !is_gone(f)).all(|f| !f.confirmed));
            let newest_gone = files.iter().filter(is_gone).map(|f| f.last_used).max();
            let oldest_kept = files.iter().filter(|f| f.confirmed && !is_gone(f)).map(|f| f.last_used).min();
            if let (Some(gone), Some(kept)) = (newest_gone, oldest_kept) {
                prop_assert!(gone <= kept);
            }
            if let Some(last) = gone.last() {
                let bytes = files.iter().find(|f| (f.shard, f.object) == *last).map_or(0, |f| f.bytes);
                prop_assert!(left + bytes > budget, "one less would have done");
            }
        }
    }
}
