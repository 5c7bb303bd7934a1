//! The rows as they stand after one entry, for whoever asked before it was appended.
//!
//! Promises: what is given has exactly the entries up to that one. Never: waits for whoever asked.

use std::sync::{Mutex, PoisonError};

use coldpost_tiers::hot::Snapshot;
use coldpost_tiers::hot::row::Applied;
use tokio::sync::oneshot;

use super::{Shard, random_id};
use crate::error::{Error, Kind, Result};
use crate::op::{Op, OpId};

/// What a shard was right after an entry.
pub(crate) struct Moment {
    /// Its rows.
    pub(crate) state: Snapshot,
    /// How far apply had come.
    pub(crate) applied: Applied,
}

struct Asked {
    id: OpId,
    to: oneshot::Sender<Result<Moment>>,
}

/// Who waits for the moment after which entry: one at a time.
#[derive(Default)]
pub(crate) struct Moments(Mutex<Option<Asked>>);

impl Moments {
    fn asked(&self) -> std::sync::MutexGuard<'_, Option<Asked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, id: OpId) -> oneshot::Receiver<Result<Moment>> {
        let (to, moment) = oneshot::channel();
        *self.asked() = Some(Asked { id, to });
        moment
    }

    /// How many of these entries there are up to the one that was asked for.
    pub(super) fn ends_in(&self, ids: impl Iterator<Item = OpId>) -> Option<usize> {
        let asked = self.asked();
        let wanted = asked.as_ref()?.id;
        let mut ids = ids;
        ids.position(|id| id == wanted).map(|at| at + 1)
    }

    /// Gives the moment to who asked for it.
    pub(super) fn give(&self, moment: Result<Moment>) {
        if let Some(asked) = self.asked().take() {
            // Whoever left does not want it.
            let _ = asked.to.send(moment);
        }
    }
}

impl Shard {
    /// Ends the segment and gives the rows as they stand after it.
    ///
    /// # Errors
    /// As [`Shard::submit`]; `Unavailable` when the hot tier was reopened meanwhile: try again.
    pub(crate) async fn cut_here(&self) -> Result<Moment> {
        let id = OpId(random_id()?);
        let moment = self.moments.ask(id);
        if let Err(e) = self.submit(id, Op::Cut, bytes::Bytes::new()).await {
            self.moments.asked().take();
            return Err(e);
        }
        let passed = |_| {
            Error::new(
                Kind::Unavailable,
                "the hot tier was reopened meanwhile; try again",
            )
        };
        moment.await.map_err(passed)?
    }
}
