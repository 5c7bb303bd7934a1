//! What a search reads of the messages of a batch, some rows at a time.
//!
//! Promises: holds no more rows than [`crate::limits::ROWS_BYTES_MAX`] lets in, whatever the batch.

use std::collections::VecDeque;

use crate::error::{Error, Kind, Result};
use crate::mail::Stored;
use crate::open::Engine;
use crate::query::{Candidate, Verdict};
use crate::view::{Entry, MailboxView, Message, message};

/// What was read of a message.
pub(super) enum Known {
    Row(Stored),
    Message(Box<Message>),
}

impl Known {
    /// What is known of a message, this included.
    pub(super) fn beside<'k>(&'k self, candidate: &Candidate<'k>) -> Candidate<'k> {
        let (row, message) = match self {
            Known::Row(row) => (row, None),
            Known::Message(message) => (&message.row, Some(&**message)),
        };
        Candidate {
            row: Some(row),
            message,
            ..*candidate
        }
    }
}

/// Entries of which something is wanted, and what was read of the next ones.
struct Queue<T> {
    left: VecDeque<Entry>,
    here: VecDeque<T>,
}

/// Gives rows and messages in the order of their entries.
pub(super) struct Reading {
    rows: Queue<Stored>,
    /// Of which more than the row is needed.
    messages: Queue<Message>,
}

impl Reading {
    /// Of the entries of `batch` about which their own data says too little.
    pub(super) fn of(batch: &[Entry], verdicts: &[Verdict]) -> Reading {
        Reading {
            rows: Queue::of(batch, verdicts, &[Verdict::NeedsRow]),
            messages: Queue::of(batch, verdicts, &[Verdict::NeedsPlace]),
        }
    }

    /// The row of the next entry that wants it.
    ///
    /// # Errors
    /// `Corrupt`; `Unavailable` after an I/O error.
    pub(super) fn row(&mut self, engine: &Engine, view: &MailboxView) -> Result<Known> {
        if self.rows.here.is_empty() {
            let account = view.account();
            let state = engine.shard(account.shard)?.hot.read()?;
            let left = self.rows.left.make_contiguous();
            let ids: Vec<_> = left.iter().map(|entry| entry.message).collect();
            self.rows.take(message::read_rows(&state, account, &ids)?);
        }
        self.rows.here.pop_front().map(Known::Row).ok_or_else(gone)
    }

    /// The next message of which more than the row is wanted.
    ///
    /// # Errors
    /// As [`Reading::row`].
    pub(super) fn message(&mut self, engine: &Engine, view: &MailboxView) -> Result<Known> {
        if self.messages.here.is_empty() {
            let left = self.messages.left.make_contiguous();
            let read = engine.messages(view.account(), left)?.into_iter();
            self.messages.take(read.collect::<Result<_>>()?);
        }
        let next = self.messages.here.pop_front();
        next.map(Box::new).map(Known::Message).ok_or_else(gone)
    }
}

impl<T> Queue<T> {
    fn of(batch: &[Entry], verdicts: &[Verdict], wanted: &[Verdict]) -> Queue<T> {
        let both = batch.iter().zip(verdicts);
        let left = both.filter(|(_, verdict)| wanted.contains(verdict));
        Queue {
            left: left.map(|(entry, _)| entry.clone()).collect(),
            here: VecDeque::new(),
        }
    }

    fn take(&mut self, read: Vec<T>) {
        self.left.drain(..read.len());
        self.here = read.into();
    }
}

pub(super) fn gone() -> Error {
    Error::new(Kind::Internal, "a message without a row")
}
