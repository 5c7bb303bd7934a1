//! A change on its way into the journal.

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::Shard;
use crate::error::{Error, Kind, Result};
use crate::limits::{ENTRY_MAX, META_MAX};
use crate::op::{self, Entry, Op, OpId, Outcome};

/// An entry that waits for durability and for its outcome.
pub(crate) struct Submission {
    /// The entry.
    pub entry: Entry,
    /// Its meta bytes.
    pub meta: Bytes,
    /// Its frames.
    pub body: Bytes,
    /// Where the outcome goes.
    pub reply: oneshot::Sender<Result<Outcome>>,
    /// Its place among those that wait.
    #[expect(
        dead_code,
        reason = "held, never read: dropping it lets the next one in"
    )]
    pub place: OwnedSemaphorePermit,
}

/// 128 random bits.
///
/// # Errors
/// `Internal` when the system has no randomness.
pub(crate) fn random_id() -> Result<[u8; 16]> {
    let mut id = [0; 16];
    #[expect(clippy::disallowed_methods, reason = "this is where ids are drawn")]
    getrandom::fill(&mut id).map_err(|e| {
        Error::new(
            Kind::Internal,
            format!("the system gives no random numbers: {e}"),
        )
    })?;
    Ok(id)
}

impl Shard {
    /// Appends one op and waits until it is durable and applied. A retry after a lost answer carries the same id.
    ///
    /// # Errors
    /// `Limit` when the entry is too large; `Unavailable` (nothing was promised) and `Closed`.
    pub(crate) async fn submit(&self, id: OpId, op: Op, body: Bytes) -> Result<Outcome> {
        self.room_for(&op)?;
        let known = (self.epoch, self.applied());
        let entry = Entry {
            time_ms: crate::clock::now_ms(),
            id,
            known,
            op,
        };
        let meta = Bytes::from(op::encode(&entry));
        if meta.len() > META_MAX || meta.len() + body.len() + 64 > ENTRY_MAX {
            let text = format!(
                "an entry of {} + {} bytes is over {ENTRY_MAX}",
                meta.len(),
                body.len()
            );
            return Err(Error::new(Kind::Limit, text));
        }
        let (reply, outcome) = oneshot::channel();
        let closed = || Error::new(Kind::Closed, "the store is shutting down");
        let place = std::sync::Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|_| closed())?;
        let sender = self.sender()?;
        sender
            .send(Submission {
                entry,
                meta,
                body,
                reply,
                place,
            })
            .map_err(|_| closed())?;
        drop(sender);
        outcome.await.map_err(|_| closed())?
    }

    /// One op without a body, drawn a fresh id.
    ///
    /// # Errors
    /// As [`Shard::submit`].
    pub(crate) async fn change(&self, op: Op) -> Result<Outcome> {
        self.submit(OpId(random_id()?), op, Bytes::new()).await
    }
}
