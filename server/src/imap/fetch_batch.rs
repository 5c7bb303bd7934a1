//! The messages of a FETCH, a batch at a time; the bodies of the next batch are read while this one is sent.
//!
//! Promises: what is wrong with a batch is said when its turn comes, and with a message costs no other one.

use coldpost_engine::uidset::UidSet;
use coldpost_engine::view::{Entry, Message, Patience, Reach};
use tokio::task::JoinHandle;

use crate::imap::ast::Fetch;
use crate::imap::completion::Outcome;
use crate::imap::fetch_plan::FetchPlan;
use crate::imap::selected::pieces;
use crate::imap::session::Session;
use crate::limits::{IMAP_ENTRIES_BATCH, IMAP_ROWS_BATCH};

/// Entries and the rows that belong to them.
pub(crate) struct Batch {
    pub(crate) entries: Vec<Entry>,
    /// Of those entries that have one that can be read, in their order; none when the plan needs none.
    pub(crate) rows: Vec<Message>,
}

/// Rows whose bodies are on their way.
enum Rows {
    Here(Vec<Message>),
    Coming(JoinHandle<Vec<Message>>),
}

/// Gives batch after batch.
pub(crate) struct Batches<'f, I> {
    plan: &'f FetchPlan,
    changed_since: Option<u64>,
    pieces: I,
    /// Whether there are several messages: one alone is read when its turn comes.
    reads_ahead: bool,
    /// Entries whose rows did not fit into the batch of those before them.
    left: Vec<Entry>,
    next: Option<Outcome<(Vec<Entry>, Rows)>>,
}

impl<'f> Batches<'f, ()> {
    /// The batches of `uids`.
    pub(crate) fn of(
        fetch: &Fetch,
        plan: &'f FetchPlan,
        uids: &'f UidSet,
    ) -> Batches<'f, impl Iterator<Item = UidSet> + use<'f>> {
        let size = if plan.rows {
            IMAP_ROWS_BATCH
        } else {
            IMAP_ENTRIES_BATCH
        };
        Batches {
            plan,
            changed_since: fetch.changed_since,
            pieces: pieces(uids, size),
            reads_ahead: (plan.reach > Reach::Nothing || plan.previews == Some(Patience::Waits))
                && uids.len() > 1,
            left: Vec::new(),
            next: None,
        }
    }
}

impl<I: Iterator<Item = UidSet>> Batches<'_, I> {
    /// The next batch that is not empty.
    pub(crate) async fn next(&mut self, session: &Session) -> Outcome<Option<Batch>> {
        let this = match self.next.take() {
            Some(this) => Some(this?),
            None => self.begin(session)?,
        };
        let Some((entries, rows)) = this else {
            return Ok(None);
        };
        if self.reads_ahead {
            self.next = self.begin(session).transpose();
        }
        let rows = match rows {
            Rows::Here(rows) => rows,
            Rows::Coming(rows) => match rows.await {
                Ok(rows) => rows,
                // Without what was to be read ahead.
                Err(_) => {
                    let engine = &session.ctx.engine;
                    readable(engine.messages(session.account()?, &entries)?, &entries)
                }
            },
        };
        Ok(Some(Batch { entries, rows }))
    }

    fn begin(&mut self, session: &Session) -> Outcome<Option<(Vec<Entry>, Rows)>> {
        let engine = &session.ctx.engine;
        loop {
            let mut entries = std::mem::take(&mut self.left);
            if entries.is_empty() {
                let Some(piece) = self.pieces.next() else {
                    return Ok(None);
                };
                entries = session.selected()?.entries(&piece)?;
                if let Some(since) = self.changed_since {
                    entries.retain(|entry| entry.modseq > since);
                }
            }
            if entries.is_empty() {
                continue;
            }
            if !self.plan.rows {
                return Ok(Some((entries, Rows::Here(Vec::new()))));
            }
            let read = engine.messages(session.account()?, &entries)?;
            self.left = entries.split_off(read.len());
            let rows = readable(read, &entries);
            let rows = if self.reads_ahead {
                let (engine, reach) = (engine.clone(), self.plan.reach);
                Rows::Coming(tokio::spawn(async move {
                    match reach {
                        Reach::Nothing => engine.read_ahead_for_previews(rows).await,
                        reach => engine.read_ahead(rows, reach).await,
                    }
                }))
            } else {
                Rows::Here(rows)
            };
            return Ok(Some((entries, rows)));
        }
    }
}

/// Those that can be read; whoever misses one of the others says so to the client.
fn readable(read: Vec<coldpost_engine::Result<Message>>, entries: &[Entry]) -> Vec<Message> {
    let of_entry = |(row, entry): (coldpost_engine::Result<Message>, &Entry)| {
        row.inspect_err(|error| {
            tracing::error!(
                uid = entry.uid,
                message = ?entry.message,
                error = error as &dyn std::error::Error,
                "a message is left out"
            );
        })
        .ok()
    };
    read.into_iter().zip(entries).filter_map(of_entry).collect()
}
