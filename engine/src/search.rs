//! SEARCH on a view: rows decide what they can, bodies are read for the rest. Exact, or an error: never a silent subset.

mod needles;

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::limits::{SEARCH_LARGE, SEARCH_MEMORY, SEARCH_SECONDS_MAX};
use crate::mail::{SearchField, decode, main_field};
use crate::open::Engine;
use crate::query::{Candidate, Query, Verdict, decide, plan, settle};
use crate::uidset::UidSet;
use crate::view::{Entry, MailboxView, Message};
pub(crate) use needles::FoldedFields;
use needles::Needles;

/// Entries read at a time.
const STRIDE: usize = 256;
/// Longest work between two moments at which others may run.
const TURN: Duration = Duration::from_millis(10);

/// Memory of all searches that read bodies.
pub(crate) struct SearchMemory {
    bytes: tokio::sync::Semaphore,
    /// One large message at a time, so that nobody's small ones wait behind two.
    large: tokio::sync::Semaphore,
}

impl Default for SearchMemory {
    fn default() -> SearchMemory {
        SearchMemory {
            bytes: tokio::sync::Semaphore::new(SEARCH_MEMORY),
            large: tokio::sync::Semaphore::new(1),
        }
    }
}

/// What all messages of a search share.
struct Work {
    query: Query,
    needles: Needles,
    deadline: Instant,
}

impl Engine {
    /// UIDs of the view that match, exactly.
    ///
    /// # Errors
    /// `Unavailable` when a body it needs is away, `Limit` beyond its bounds of texts and time: never a silent subset.
    pub async fn search(&self, view: &MailboxView, query: &Query) -> Result<UidSet> {
        let query = plan(query);
        let work = Work {
            needles: Needles::of(&query)?,
            query,
            deadline: Instant::now() + Duration::from_secs(SEARCH_SECONDS_MAX),
        };
        let mut found = UidSet::new();
        let mut rest = UidSet::from_ranges([(1, u32::MAX)]);
        let mut turn = Instant::now();
        loop {
            let entries = view.entries(&rest, STRIDE)?;
            let Some(last) = entries.last().map(|e| e.uid) else {
                return Ok(found);
            };
            for entry in &entries {
                if self.matches(view, &work, entry).await? {
                    found.push(entry.uid);
                }
                if Instant::now() > work.deadline {
                    return Err(too_long());
                }
                if turn.elapsed() > TURN {
                    tokio::task::yield_now().await;
                    turn = Instant::now();
                }
            }
            let Some(next) = last.checked_add(1) else {
                return Ok(found);
            };
            rest = UidSet::from_ranges([(next, u32::MAX)]);
        }
    }

    async fn matches(&self, view: &MailboxView, work: &Work, entry: &Entry) -> Result<bool> {
        let fields = FoldedFields::default();
        let mut candidate = Candidate {
            entry,
            keywords: view.keywords(),
            recent: view.recent().contains(entry.uid),
            message: None,
            fields: &fields,
        };
        let mut verdict = decide(&work.query, &candidate);
        let message;
        if verdict == Verdict::NeedsRow {
            message = self.row_of(view, entry)?;
            candidate.message = Some(&message);
            verdict = decide(&work.query, &candidate);
            if verdict == Verdict::NeedsText {
                return self.ask_text(work, &candidate, &message).await;
            }
        }
        Ok(verdict == Verdict::Yes)
    }

    fn row_of(&self, view: &MailboxView, entry: &Entry) -> Result<Message> {
        let mut rows = self.messages(view.account(), std::slice::from_ref(entry))?;
        rows.pop()
            .ok_or_else(|| Error::new(Kind::Internal, "a message without a row"))
    }

    /// Reads the message and settles what rows could not.
    async fn ask_text(
        &self,
        work: &Work,
        candidate: &Candidate<'_>,
        message: &Message,
    ) -> Result<bool> {
        let memory = &self.inner.search_memory;
        let closed = |_| Error::new(Kind::Closed, "the store is shutting down");
        let size = usize::try_from(message.size).unwrap_or(usize::MAX);
        let _alone = if size > SEARCH_LARGE {
            Some(memory.large.acquire().await.map_err(closed)?)
        } else {
            None
        };
        let share = u32::try_from(size.min(SEARCH_MEMORY)).unwrap_or(u32::MAX);
        let _share = memory.bytes.acquire_many(share).await.map_err(closed)?;
        let raw = self.bytes(message, 0..message.size).await?;
        let parts = &message.description.parts;
        tokio::task::block_in_place(|| {
            let hits = work.needles.find(&raw, parts, work.deadline)?;
            let end = parts.first().map_or(0, |root| root.body);
            let end = usize::try_from(end).unwrap_or(usize::MAX).min(raw.len());
            let header = raw.get(..end).unwrap_or_default();
            let of_header = FoldedFields::default();
            let late = Cell::new(false);
            let answer = settle(&work.query, candidate, &|query| match query {
                Query::Header(name, needle) => {
                    late.set(late.get() || Instant::now() > work.deadline);
                    !late.get() && of_header.has_in(header, name, needle)
                }
                other => hits.answer(other),
            });
            if late.get() {
                Err(too_long())
            } else {
                Ok(answer)
            }
        })
    }
}

fn too_long() -> Error {
    let text =
        format!("the search took longer than {SEARCH_SECONDS_MAX} s; ask for less at a time");
    Error::new(Kind::Limit, text)
}

/// Whether the main fields of a message decide about a header search, and how. The needle is folded.
pub(crate) fn header_in_row(
    message: &Message,
    fields: &FoldedFields,
    name: &str,
    needle: &str,
) -> Option<bool> {
    let d = &message.description;
    if !d.main_fields_complete || !main_field::is_main(name) {
        return None;
    }
    Some(fields.has(name, needle, || match SearchField::named(name) {
        Some(field) => d.search_texts(field),
        None => decode::header_text(&d.main_fields, name),
    }))
}
