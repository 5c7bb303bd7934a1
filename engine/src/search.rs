//! SEARCH on a view: rows decide what they can, bodies are read for the rest. Exact, or an error: never a silent subset.

mod needles;

use std::cell::Cell;
use std::time::{Duration, Instant};

use coldpost_tiers::cache::texts::TextKey;

use crate::error::{Error, Kind, Result};
use crate::limits::{SEARCH_LARGE, SEARCH_MEMORY, SEARCH_SECONDS_MAX};
use crate::mail::{SearchField, Stored, decode, main_field};
use crate::open::Engine;
use crate::query::{Candidate, Query, Verdict, decide, plan, settle};
use crate::uidset::UidSet;
use crate::view::{Entry, MailboxView, Message, Reach, message};
pub(crate) use needles::FoldedFields;
use needles::Needles;

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
        let mut rows = self.rows(view, &of_verdict(batch, &verdicts, &[Verdict::NeedsRow]))?;
        let mut messages = self.whole_messages(view, batch, &verdicts).await?;
        rows.reverse();
        messages.reverse();
        for ((entry, fields), verdict) in both().zip(verdicts) {
            let gone = || Error::new(Kind::Internal, "a message without a row");
            let yes = match verdict {
                Verdict::NeedsRow => {
                    let row = rows.pop().ok_or_else(gone)?;
                    self.matches(view, work, candidate((entry, fields)), Known::Row(row))
                        .await?
                }
                Verdict::NeedsPlace | Verdict::NeedsText => {
                    let message = Box::new(messages.pop().ok_or_else(gone)?);
                    self.matches(
                        view,
                        work,
                        candidate((entry, fields)),
                        Known::Message(message),
                    )
                    .await?
                }
                verdict => verdict == Verdict::Yes,
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

    /// The messages of which more than the row is needed; their bytes come along where text is.
    async fn whole_messages(
        &self,
        view: &MailboxView,
        batch: &[Entry],
        verdicts: &[Verdict],
    ) -> Result<Vec<Message>> {
        let wanted = [Verdict::NeedsPlace, Verdict::NeedsText];
        let messages = self.messages(view.account(), &of_verdict(batch, verdicts, &wanted))?;
        Ok(if verdicts.contains(&Verdict::NeedsText) {
            self.read_ahead(messages, Reach::Whole).await
        } else {
            messages
        })
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
        let gone = || Error::new(Kind::Internal, "a message without a row");
        messages.pop().map(Box::new).ok_or_else(gone)
    }

    fn rows(&self, view: &MailboxView, entries: &[Entry]) -> Result<Vec<Stored>> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let account = view.account();
        let state = self.shard(account.shard)?.hot.read()?;
        let ids: Vec<_> = entries.iter().map(|entry| entry.message).collect();
        message::read_rows(&state, account, &ids)
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
        // Whatever is wrong with its row is said here, and no answer is guessed from what is left of it.
        let parts = &message.row.description()?.parts;
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

/// What was read of a message.
enum Known {
    Row(Stored),
    Message(Box<Message>),
}

fn of_verdict(batch: &[Entry], verdicts: &[Verdict], wanted: &[Verdict]) -> Vec<Entry> {
    let both = batch.iter().zip(verdicts);
    both.filter(|(_, verdict)| wanted.contains(verdict))
        .map(|(entry, _)| entry.clone())
        .collect()
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
