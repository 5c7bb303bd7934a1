//! A run from its first object to its last: what it takes, how far it came, and what it leaves on local disk.

use std::collections::BTreeSet;
use std::path::Path;

use coldpost_tiers::address::ObjectId;

use super::Report;
use super::gather::{self, Item};
use super::step::Run;
use crate::error::{Error, Kind, Result};
use crate::limits::COMPACT_OWN_BLOCK;

/// How a run ended; what it sent before something failed stays sent.
pub(super) struct Ran {
    /// Objects whose messages it took: of those that were chosen, as many as one run may.
    pub(super) taken: Vec<ObjectId>,
    /// The same, where they have had their turn; none where the run ended before it came to all of their messages.
    pub(super) done: Vec<ObjectId>,
    /// It came to everything in them.
    pub(super) is_whole: bool,
    /// Those of them in which something stays that could not be moved.
    pub(super) left_in: BTreeSet<ObjectId>,
    pub(super) report: Report,
    /// Why it did not come to its end.
    pub(super) failed: Option<Error>,
}

impl Run<'_> {
    /// All of it.
    ///
    /// # Errors
    /// Those that come before any object is taken.
    pub(super) fn all(mut self, objects: Vec<ObjectId>, tell: &dyn Fn(&Report)) -> Result<Ran> {
        let mut objects = self.those_with_room(objects)?;
        let gathered = gather::messages(self.shard, &objects, gather::BOUNDS)?;
        objects.truncate(gathered.taken);
        let ended = self.take(&objects, &gathered.items, tell);
        self.drop_unsent();
        self.let_go();
        let came_to_all = matches!(ended, Ok(true));
        if ended.is_ok() {
            tell(&self.report);
        }
        // Where nothing could be moved the rest would never have its turn.
        let had_their_turn = came_to_all && (gathered.are_all || self.report.moved == 0);
        Ok(Ran {
            done: if had_their_turn {
                objects.clone()
            } else {
                Vec::new()
            },
            taken: objects,
            is_whole: came_to_all && gathered.are_all,
            left_in: std::mem::take(&mut self.left_in),
            report: std::mem::take(&mut self.report),
            failed: ended.err(),
        })
    }

    /// Whether it came to all of them.
    fn take(
        &mut self,
        objects: &[ObjectId],
        items: &[Item],
        tell: &dyn Fn(&Report),
    ) -> Result<bool> {
        self.will_write(objects, items)?;
        // Before anything comes here for nothing.
        self.has_room()?;
        self.bring(objects);
        self.report.objects = length_of(objects);
        self.report.total = length_of(items);
        for of_account in items.chunk_by(|a, b| a.account == b.account) {
            let stored = of_account.iter().map(|item| item.stored).sum::<u64>();
            let has_own = stored >= COMPACT_OWN_BLOCK;
            if has_own {
                self.end_block()?;
            }
            self.account(of_account, tell)?;
            if has_own {
                self.end_block()?;
            }
            if self.pace.starves() {
                tracing::info!(
                    shard = self.shard.no.0,
                    "compaction has next to nothing of a processor; it goes on beside the others"
                );
                self.finish()?;
                return Ok(false);
            }
        }
        let came_to_all = self.move_blobs(objects)?;
        self.finish()?;
        Ok(came_to_all)
    }

    /// # Errors
    /// `Closed`: the store is shutting down.
    pub(super) fn goes_on(&self) -> Result<()> {
        match self.shard.is_shut() {
            true => Err(Error::new(Kind::Closed, "the store is shutting down")),
            false => Ok(()),
        }
    }

    /// Whether something could not be read because nobody answers: that says nothing of it, and the next one would go the same way.
    pub(super) fn is_unanswered(&self, error: &Error) -> bool {
        let is_away = error.kind() == Kind::Unavailable && !error.is_disk_full();
        is_away && !self.engine.inner.cold.answers()
    }

    /// Something stays in an object.
    pub(super) fn left_one(&mut self, object: ObjectId) {
        self.report.left += 1;
        self.left_in.insert(object);
    }

    /// Deletes what was made and did not come to the bucket.
    fn drop_unsent(&mut self) {
        // Open files first.
        (self.block, self.pack) = (None, None);
        for path in std::mem::take(&mut self.unsent) {
            self.drop_file(&path);
        }
    }

    pub(super) fn drop_file(&self, path: &Path) {
        if let Err(e) = self.shard.disk.remove(path) {
            tracing::warn!("{} stays until the next start: {e}", path.display());
        }
    }
}

/// Where the thread dies, too.
impl Drop for Run<'_> {
    fn drop(&mut self) {
        self.drop_unsent();
    }
}

fn length_of<T>(all: &[T]) -> u64 {
    u64::try_from(all.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
