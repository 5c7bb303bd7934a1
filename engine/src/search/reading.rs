//! What a search reads of the messages of a batch, some rows at a time.
//!
//! Promises: holds no more rows than [`crate::limits::ROWS_BYTES_MAX`] lets in, whatever the batch.

use std::collections::VecDeque;

use crate::error::{Error, Kind, Result};
use crate::mail::Stored;
use crate::open::Engine;
use crate::query::Verdict;
use crate::view::{Entry, MailboxView, Message, Reach, message};

/// What was read of a message.
pub(super) enum Known {
    Row(Stored),
    Message(Box<Message>),
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
    /// Whether their bytes come along.
    reach: Reach,
}

impl Reading {
    /// Of the entries of `batch` about which their own data says too little.
    pub(super) fn of(batch: &[Entry], verdicts: &[Verdict]) -> Reading {
        Reading {
            rows: Queue::of(batch, verdicts, &[Verdict::NeedsRow]),
            messages: Queue::of(batch, verdicts, &[Verdict::NeedsPlace, Verdict::NeedsText]),
            reach: match verdicts.contains(&Verdict::NeedsText) {
                true => Reach::Whole,
                false => Reach::Nothing,
            },
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
    pub(super) async fn message(&mut self, engine: &Engine, view: &MailboxView) -> Result<Known> {
        if self.messages.here.is_empty() {
            let left = self.messages.left.make_contiguous();
            let read = engine.messages(view.account(), left)?.into_iter();
            let mut read: Vec<_> = read.collect::<Result<_>>()?;
            if self.reach > Reach::Nothing {
                read = engine.read_ahead(read, self.reach).await;
            }
            self.messages.take(read);
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
