//! What compaction could not move, and what that does to the dates of deletion.
//!
//! Promises: mail that was moved since, or deleted, is not counted.

use crate::objects::object_row;
use crate::open::Engine;

impl Engine {
    /// Why mail that was deleted or erased may stay past its date, and what to do; nothing where there is no reason.
    pub fn left_behind(&self) -> Option<String> {
        let objects = self.objects_left();
        (objects > 0).then(|| {
            format!(
                "compaction could not move all mail out of objects: {objects} of them stay, and what was deleted or erased beside that mail \
                 stays in them past the stated date, until it can be read again and moved. coldpost verify says which mail it is (the log \
                 names what was left), coldpost verify --bucket --repair mends it from a mirror or from local files, and coldpost \
                 compact moves it then"
            )
        })
    }

    /// Objects in which the last run of upkeep left mail, and that are there for it still: it may have been moved or deleted since.
    pub(crate) fn objects_left(&self) -> usize {
        let left: Vec<_> = self.uncompacted().keys().copied().collect();
        let is_there = |shard, object| {
            let state = self.shard(shard).ok()?.hot.read().ok()?;
            let row = object_row(&state, object).ok()?;
            Some(row.is_some_and(|row| row.count.is_live()))
        };
        let there = left
            .into_iter()
            // Of a hot tier that cannot be read nobody knows that all is well.
            .filter(|(shard, object)| is_there(*shard, *object).unwrap_or(true));
        there.count()
    }
}
