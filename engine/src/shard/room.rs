//! Room on the disk: mail is refused while the hot tier can still write, so that a full disk stops neither reading nor what was promised.
//!
//! Promises: the hot tier is not written to when less than its reserve is free; what is durable then waits to be applied.
//! Never: decides by what an operator wants kept free; that is `[hot] min_free`, asked before a message is taken.

use std::io;
use std::sync::Arc;

use super::Shard;
use crate::error::{Error, Kind, NotTaken, Result};
use crate::limits::{HOT_RESERVE, MAIL_RESERVE};
use crate::op::Op;

impl Shard {
    /// Whether the hot tier may write. A disk that cannot say how full it is does not stop it.
    pub(super) fn has_room(&self) -> bool {
        self.is_free(HOT_RESERVE, 32)
    }

    /// Whether an entry of this op may go into the journal.
    ///
    /// # Errors
    /// `Unavailable`, with the system's word for a full disk below it.
    pub(super) fn room_for(&self, op: &Op) -> Result<()> {
        let free = match op {
            Op::Add(_) => self.is_free(MAIL_RESERVE, 16),
            _ => self.has_room(),
        };
        if free {
            return Ok(());
        }
        let text = format!(
            "the disk of {} is full: make room, everything goes on by itself then",
            self.dir.display()
        );
        let full = io::Error::from(io::ErrorKind::StorageFull);
        let full = Error::with_source(Kind::Unavailable, text.clone(), full);
        Err(Error::with_source(
            Kind::Unavailable,
            text,
            NotTaken(Arc::new(full)),
        ))
    }

    fn is_free(&self, most: u64, share: u64) -> bool {
        let (Ok(free), Ok(total)) = (
            self.disk.free_bytes(&self.dir),
            self.disk.total_bytes(&self.dir),
        ) else {
            return true;
        };
        free >= most.min(total / share)
    }
}
