//! SEARCH on a view: rows decide what they can, bodies are read for the rest. Exact, or an error: never a silent subset.

mod needles;
mod reading;

use std::cell::Cell;
use std::time::{Duration, Instant};

use coldpost_tiers::cache::texts::TextKey;

use crate::error::{Error, Kind, Result};
use crate::limits::{SEARCH_LARGE, SEARCH_MEMORY, SEARCH_SECONDS_MAX};
use crate::mail::{SearchField, Stored, decode, main_field};
use crate::open::Engine;
use crate::query::{Candidate, Query, Verdict, decide, plan, settle};
use crate::uidset::UidSet;
use crate::view::{Entry, MailboxView, Message};
pub(crate) use needles::FoldedFields;
use needles::Needles;
use reading::{Known, Reading, gone};

/// Entries read at a time.
const STRIDE: usize = 256;
/// Rows read at a time.
const ROWS: usize = 64;
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

impl SearchMemory {
    /// Waits for so many bytes of it, at most for all of it.
    ///
    /// # Errors
    /// `Closed`
    pub(crate) async fn share(&self, bytes: usize) -> Result<tokio::sync::SemaphorePermit<'_>> {
        let share = u32::try_from(bytes.min(SEARCH_MEMORY)).unwrap_or(u32::MAX);
        let closed = |_| Error::new(Kind::Closed, "the store is shutting down");
        self.bytes.acquire_many(share).await.map_err(closed)
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
            for batch in entries.chunks(ROWS) {
                self.search_batch(view, &work, batch, &mut found, &mut turn)
                    .await?;
            }
            let Some(next) = last.checked_add(1) else {
                return Ok(found);
            };
            rest = UidSet::from_ranges([(next, u32::MAX)]);
        }
    }

    /// Adds the UIDs of those entries that match.
    async fn search_batch(
        &self,
        view: &MailboxView,
        work: &Work,
        batch: &[Entry],
        found: &mut UidSet,
        turn: &mut Instant,
    ) -> Result<()> {
        let fields: Vec<FoldedFields<'_>> = batch
            .iter()
            .map(|entry| {
                let key = TextKey {
                    shard: view.account().shard,
                    account: view.account().number,
                    message: entry.message,
                    field: 0,
                };
                FoldedFields::cached(&self.inner.header_texts, key)
            })
            .collect();
        let candidate = |(entry, fields)| Candidate {
            entry,
            keywords: view.keywords(),
            recent: view.recent().contains(entry.uid),
            row: None,
            message: None,
            fields,
        };
        let both = || batch.iter().zip(&fields);
        let verdicts: Vec<Verdict> = both()
            .map(|both| decide(&work.query, &candidate(both)))
            .collect();
        let mut reading = Reading::of(batch, &verdicts);
        for ((entry, fields), verdict) in both().zip(verdicts) {
            let known = match verdict {
                Verdict::NeedsRow => Some(reading.row(self, view)?),
                Verdict::NeedsPlace | Verdict::NeedsText => {
                    Some(reading.message(self, view).await?)
                }
                _ => None,
            };
            let yes = match known {
                None => verdict == Verdict::Yes,
                Some(known) => {
                    let candidate = candidate((entry, fields));
                    self.matches(view, work, candidate, known).await?
                }
            };
            if yes {
                found.push(entry.uid);
            }
            let now = Instant::now();
            if now > work.deadline {
                return Err(too_long());
            }
            if now.duration_since(*turn) > TURN {
                tokio::task::yield_now().await;
                *turn = Instant::now();
            }
        }
        Ok(())
    }

    async fn matches(
        &self,
        view: &MailboxView,
        work: &Work,
        candidate: Candidate<'_>,
        mut known: Known,
    ) -> Result<bool> {
        loop {
            let (row, message) = match &known {
                Known::Row(row) => (row, None),
                Known::Message(message) => (&message.row, Some(&**message)),
            };
            let candidate = Candidate {
                row: Some(row),
                message,
                ..candidate
            };
            let verdict = decide(&work.query, &candidate);
            match (verdict, message) {
                (Verdict::Yes | Verdict::No, _) => return Ok(verdict == Verdict::Yes),
                (_, Some(message)) => return self.ask_text(work, &candidate, message).await,
                (_, None) => known = Known::Message(self.message_of(view, candidate.entry)?),
            }
        }
    }

    fn message_of(&self, view: &MailboxView, entry: &Entry) -> Result<Box<Message>> {
        let mut messages = self.messages(view.account(), std::slice::from_ref(entry))?;
        messages
            .pop()
            .map_or_else(|| Err(gone()), |m| m.map(Box::new))
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
        let _share = memory.share(size).await?;
        let raw = self.bytes(message, 0..message.size).await?;
        // Whatever is wrong with its row is said here, and no answer is guessed from what is left of it.
        let parts = &message.row.whole_parts()?;
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

pub(crate) fn too_long() -> Error {
    let text =
        format!("the search took longer than {SEARCH_SECONDS_MAX} s; ask for less at a time");
    Error::new(Kind::Limit, text)
}

/// Whether the main fields of a message decide about a header search, and how. The needle is folded. A damaged row decides nothing.
pub(crate) fn header_in_row(
    row: &Stored,
    fields: &FoldedFields<'_>,
    name: &str,
    needle: &str,
) -> Option<bool> {
    if !row.main_fields_complete() || !main_field::is_main(name) {
        return None;
    }
    let has = match SearchField::named(name) {
        Some(field) => fields.has_search_field(field, needle, || row.search_texts(field)),
        None => fields.has(name, needle, || {
            Ok(decode::header_text(row.main_fields(), name))
        }),
    };
    has.ok()
}
