//! SEARCH on a view: rows decide what they can, bodies are read for the rest. Exact, or an error: never a silent subset.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use coldpost_search::fold::{contains, fold_collapsed};

use crate::error::{Error, Kind, Result};
use crate::limits::SEARCH_SECONDS_MAX;
use crate::mail::text::{Scope, texts};
use crate::mail::{SearchField, decode, main_field};
use crate::open::Engine;
use crate::query::{Candidate, Query, Verdict, decide, plan};
use crate::uidset::UidSet;
use crate::view::{MailboxView, Message};

/// Entries looked at between two looks at the clock.
const STRIDE: usize = 256;

impl Engine {
    /// UIDs of the view that match, exactly.
    ///
    /// # Errors
    /// `Unavailable` when a body it needs is away, `Limit` beyond its bound of time: never a silent subset.
    pub async fn search(&self, view: &MailboxView, query: &Query) -> Result<UidSet> {
        let deadline = Instant::now() + Duration::from_secs(SEARCH_SECONDS_MAX);
        let query = plan(query);
        let mut found = UidSet::new();
        let mut rest = UidSet::from_ranges([(1, u32::MAX)]);
        loop {
            let entries = view.entries(&rest, STRIDE)?;
            let Some(last) = entries.last().map(|e| e.uid) else {
                return Ok(found);
            };
            for entry in &entries {
                let recent = view.recent().contains(entry.uid);
                let mut candidate = Candidate {
                    entry,
                    keywords: view.keywords(),
                    recent,
                    message: None,
                };
                let mut verdict = decide(&query, &candidate);
                let message;
                if verdict == Verdict::NeedsRow {
                    message = self.row_of(view, entry)?;
                    candidate.message = Some(&message);
                    verdict = decide(&query, &candidate);
                    if verdict == Verdict::NeedsText {
                        let hit = self.ask_text(&query, &candidate, &message).await?;
                        verdict = if hit { Verdict::Yes } else { Verdict::No };
                    }
                }
                if verdict == Verdict::Yes {
                    found.push(entry.uid);
                }
                if Instant::now() > deadline {
                    let text = format!(
                        "the search took longer than {SEARCH_SECONDS_MAX} s; ask for less at a time"
                    );
                    return Err(Error::new(Kind::Limit, text));
                }
            }
            let Some(next) = last.checked_add(1) else {
                return Ok(found);
            };
            rest = UidSet::from_ranges([(next, u32::MAX)]);
            tokio::task::yield_now().await;
        }
    }

    fn row_of(&self, view: &MailboxView, entry: &crate::view::Entry) -> Result<Message> {
        let mut rows = self.messages(view.account(), std::slice::from_ref(entry))?;
        rows.pop()
            .ok_or_else(|| Error::new(Kind::Internal, "a message without a row"))
    }

    /// Reads the message and settles what rows could not.
    async fn ask_text(
        &self,
        query: &Query,
        candidate: &Candidate<'_>,
        message: &Message,
    ) -> Result<bool> {
        let bytes = u32::try_from(message.size).unwrap_or(u32::MAX);
        let most = u32::try_from(crate::limits::SEARCH_MEMORY).unwrap_or(u32::MAX);
        let closed = |_| Error::new(Kind::Closed, "the store is shutting down");
        let _share = self
            .inner
            .search_memory
            .acquire_many(bytes.min(most))
            .await
            .map_err(closed)?;
        let raw = self.bytes(message, 0..message.size).await?;
        let hit = |query: &Query| match query {
            Query::Header(name, needle) => header_contains(message, &raw, name, needle),
            Query::Body(needle) => text_contains(message, &raw, Scope::Body, needle),
            Query::Text(needle) => text_contains(message, &raw, Scope::Text, needle),
            _ => false,
        };
        Ok(tokio::task::block_in_place(|| {
            crate::query::settle(query, candidate, &hit)
        }))
    }
}

fn header_contains(message: &Message, raw: &[u8], name: &str, needle: &str) -> bool {
    let end = message
        .description
        .parts
        .first()
        .map_or(0, |p| usize::try_from(p.body).unwrap_or(usize::MAX));
    let header = raw.get(..end.min(raw.len())).unwrap_or_default();
    let needle = fold_collapsed(needle);
    decode::header_text(header, name)
        .iter()
        .any(|value| contains(&fold_collapsed(value), &needle))
}

fn text_contains(message: &Message, raw: &[u8], scope: Scope, needle: &str) -> bool {
    let needle = fold_collapsed(needle);
    let mut each = |text: &str| {
        if contains(&fold_collapsed(text), &needle) {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    texts(raw, &message.description.parts, scope, &mut each).is_break()
}

/// Whether the main fields of a message decide about a header search, and how.
pub(crate) fn header_in_row(message: &Message, name: &str, needle: &str) -> Option<bool> {
    let d = &message.description;
    if !d.main_fields_complete || !main_field::is_main(name) {
        return None;
    }
    let values = match SearchField::named(name) {
        Some(field) => d.search_texts(field),
        None => decode::header_text(&d.main_fields, name),
    };
    let needle = fold_collapsed(needle);
    Some(
        values
            .iter()
            .any(|value| contains(&fold_collapsed(value), &needle)),
    )
}
