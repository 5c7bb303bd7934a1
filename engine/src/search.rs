//! SEARCH on a view: rows decide what they can, texts the rest. Exact, or an error: never a silent subset.

mod by_texts;
mod by_words;
mod fields;
mod hits;
mod needles;
mod reading;
mod spelled;

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{Error, Kind, Result};
use crate::ids::AccountRef;
use crate::limits::{
    SEARCH_LARGE, SEARCH_MEMORY, SEARCH_SCANS_MAX, SEARCH_SECONDS_MAX, SEARCH_WINDOWS_MAX,
};
use crate::mail::{SearchField, Stored, decode, main_field};
use crate::open::Engine;
use crate::query::{Candidate, Query, Verdict, evaluate, plan};
use crate::uidset::UidSet;
use crate::view::{Entry, MailboxView, Message};
use crate::words::{WordStore, WordView};
use by_words::WordHits;
use fields::Columns;
pub use hits::{Hit, HitsWanted, InMailbox, Told};
pub(crate) use needles::FoldedFields;
use needles::Needles;
use reading::{Known, Reading, gone};

/// Entries of a mailbox that are looked at together.
const WINDOW: usize = if cfg!(test) { 64 } else { 8_192 };
/// Of a mailbox with so few, nobody waits for a place.
const SMALL: u32 = 256;
/// Of these, after how many others may run.
const STRIDE: usize = 1_024;
/// Rows read at a time.
const ROWS: usize = 64;
/// Longest work between two moments at which others may run.
const TURN: Duration = Duration::from_millis(10);

/// Memory of all searches that read bodies.
pub(crate) struct SearchMemory {
    bytes: tokio::sync::Semaphore,
    /// One large message at a time, so that nobody's small ones wait behind two.
    large: tokio::sync::Semaphore,
    /// Searches that look through texts at the same time.
    scans: tokio::sync::Semaphore,
    /// Windows of mailboxes that are looked at, at the same time.
    windows: tokio::sync::Semaphore,
}

impl Default for SearchMemory {
    fn default() -> SearchMemory {
        SearchMemory {
            bytes: tokio::sync::Semaphore::new(SEARCH_MEMORY),
            large: tokio::sync::Semaphore::new(1),
            scans: tokio::sync::Semaphore::new(SEARCH_SCANS_MAX),
            windows: tokio::sync::Semaphore::new(SEARCH_WINDOWS_MAX),
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

    /// The place of a message of so many bytes, once there is one.
    ///
    /// # Errors
    /// `Closed`
    pub(crate) async fn message(&self, size: u64) -> Result<impl Sized + use<'_>> {
        let closed = |_| Error::new(Kind::Closed, "the store is shutting down");
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let alone = if size > SEARCH_LARGE {
            Some(self.large.acquire().await.map_err(closed)?)
        } else {
            None
        };
        Ok((alone, self.share(size).await?))
    }
}

/// What all messages of a search share.
struct Work {
    query: Query,
    needles: Needles,
    deadline: Instant,
}

/// The word index at a moment, and what it said.
type WordsFound = Option<(Arc<WordView>, Arc<WordHits>)>;

/// What is known of messages so far.
#[derive(Default)]
struct Found {
    /// UIDs of those that match.
    uids: Vec<u32>,
    /// How well those of them match that were found by words.
    scores: Vec<(u32, f32)>,
    /// What the word index said, of the whole account: it is asked once for all windows.
    words: WordsFound,
    /// Those of which only texts can tell.
    open: Vec<Entry>,
    /// Bytes of messages that were read themselves.
    unindexed: u64,
}

impl Found {
    /// Adds a message; the score of one that was not found by words is 0.
    fn add(&mut self, entry: &Entry, score: f32) {
        self.uids.push(entry.uid);
        if score > 0.0 {
            self.scores.push((entry.uid, score));
        }
    }
}

/// What was found, and how well.
#[derive(Clone, Debug, Default)]
pub struct Ranked {
    /// All that match.
    pub uids: UidSet,
    /// Of those that were found by words, in the order of their UIDs, how well: more is better, of this search alone.
    pub scores: Vec<(u32, f32)>,
}

impl Ranked {
    /// How well each of these matches, in their order.
    pub fn scores_of(&self, uids: &[u32]) -> Vec<f32> {
        let score = |uid: &u32| {
            let at = self.scores.binary_search_by_key(uid, |(known, _)| *known);
            at.ok().and_then(|at| self.scores.get(at))
        };
        let scores = uids.iter().map(score);
        scores
            .map(|known| known.map_or(0.0, |(_, score)| *score))
            .collect()
    }

    /// The same from 1 to 100, where 100 is the best of all that match (RFC 6203, 4).
    pub fn relevancy_of(&self, uids: &[u32]) -> Vec<u8> {
        let best = self
            .scores
            .iter()
            .fold(0.0, |best: f32, (_, score)| best.max(*score));
        let share = |score: f32| match best > 0.0 {
            true => (score / best * 100.0).round().clamp(1.0, 100.0),
            false => 1.0,
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "1 to 100 by the line before"
        )]
        let whole = |score: f32| share(score) as u8;
        self.scores_of(uids).into_iter().map(whole).collect()
    }
}

/// Says whether a message has the text that a key asks for, where that is known.
type Says<'h> = &'h (dyn Fn(&Query, &Entry) -> Option<bool> + Sync);

impl Engine {
    /// UIDs of the view that match, exactly.
    ///
    /// # Errors
    /// `Unavailable` when a body it needs is away, `Limit` beyond its bounds of texts and time: never a silent subset.
    pub async fn search(&self, view: &MailboxView, query: &Query) -> Result<UidSet> {
        Ok(self.search_ranked(view, query).await?.uids)
    }

    /// The same, with how well each matches.
    ///
    /// # Errors
    /// As [`Engine::search`]; `Unavailable` where there is no word index and one is asked.
    pub async fn search_ranked(&self, view: &MailboxView, query: &Query) -> Result<Ranked> {
        let query = plan(query);
        let work = Work {
            needles: Needles::of(&query)?,
            query,
            deadline: Instant::now() + Duration::from_secs(SEARCH_SECONDS_MAX),
        };
        let mut found = Found::default();
        let mut rest = UidSet::from_ranges([(1, u32::MAX)]);
        let mut turn = Instant::now();
        // What rows tell is looked up for all of them at once.
        let scope = scope(&work.query, view.uids());
        let fields = self
            .fields(view, &work.query, &scope, work.deadline)
            .await?;
        loop {
            let closed = |_| Error::new(Kind::Closed, "the store is shutting down");
            let _window = match view.uids().len() > SMALL {
                true => Some(
                    self.inner
                        .search_memory
                        .windows
                        .acquire()
                        .await
                        .map_err(closed)?,
                ),
                false => None,
            };
            let entries = view.entries(&rest, WINDOW)?;
            let last = entries.last().map(|e| e.uid);
            self.by_entries(view, &work, &fields, entries, &mut found, &mut turn)
                .await?;
            if !found.open.is_empty() {
                self.by_texts(view, &work, &mut found, &mut turn).await?;
            }
            let Some(next) = last.and_then(|last| last.checked_add(1)) else {
                break;
            };
            rest = UidSet::from_ranges([(next, u32::MAX)]);
        }
        found.uids.sort_unstable();
        found.scores.sort_unstable_by_key(|(uid, _)| *uid);
        Ok(Ranked {
            uids: found.uids.into_iter().collect(),
            scores: found.scores,
        })
    }

    /// Whether words are indexed (`[search] words`).
    pub fn has_words(&self) -> bool {
        self.settings().words
    }

    /// The word index of an account's shard.
    fn words(&self, account: AccountRef) -> Result<Arc<WordStore>> {
        let words = self.shard(account.shard)?.words.clone();
        words.ok_or_else(|| {
            let text = "there is no index of words here: [search] words is false";
            Error::new(Kind::Unavailable, text)
        })
    }

    /// Adds those entries that match, by what they say themselves and then by fields of all of them together; those of which only texts can tell stay open.
    async fn by_entries(
        &self,
        view: &MailboxView,
        work: &Work,
        fields: &Columns,
        entries: Vec<Entry>,
        found: &mut Found,
        turn: &mut Instant,
    ) -> Result<()> {
        let hit = |query: &Query, entry: &Entry| fields.answer(query, entry.uid);
        let mut left = Vec::new();
        for some in entries.chunks(STRIDE) {
            // Nothing is read yet, so there is nothing to keep.
            let none = FoldedFields::default();
            for entry in some {
                let candidate = candidate(view, entry, &none);
                match evaluate(&work.query, &candidate, &|query| hit(query, entry)) {
                    Verdict::Yes => found.uids.push(entry.uid),
                    Verdict::No => {}
                    Verdict::NeedsText => found.open.push(entry.clone()),
                    Verdict::NeedsRow | Verdict::NeedsPlace => left.push(entry.clone()),
                }
            }
            take_turn(work, turn).await?;
        }
        drop(entries);
        for batch in left.chunks(ROWS) {
            self.by_rows(view, work, batch, &hit, found, turn).await?;
        }
        Ok(())
    }

    /// Adds those entries that match, by their rows where `hit` does not tell; those of which only texts can tell stay open.
    async fn by_rows(
        &self,
        view: &MailboxView,
        work: &Work,
        batch: &[Entry],
        hit: Says<'_>,
        found: &mut Found,
        turn: &mut Instant,
    ) -> Result<()> {
        let fields: Vec<FoldedFields> = batch.iter().map(|_| FoldedFields::default()).collect();
        let candidates = batch.iter().zip(&fields);
        let candidates = candidates.map(|(entry, fields)| candidate(view, entry, fields));
        let weigh = |candidate: &Candidate<'_>| {
            let hit = |query: &Query| hit(query, candidate.entry);
            evaluate(&work.query, candidate, &hit)
        };
        let candidates: Vec<Candidate<'_>> = candidates.collect();
        let verdicts: Vec<Verdict> = candidates.iter().map(weigh).collect();
        let mut reading = Reading::of(batch, &verdicts);
        for (candidate, verdict) in candidates.iter().zip(verdicts) {
            let mut known = match verdict {
                Verdict::NeedsRow => Some(reading.row(self, view)?),
                Verdict::NeedsPlace => Some(reading.message(self, view)?),
                Verdict::Yes | Verdict::No | Verdict::NeedsText => None,
            };
            let mut verdict = verdict;
            while let Some(read) = known.take() {
                verdict = weigh(&read.beside(candidate));
                let is_row = matches!(read, Known::Row(_));
                if is_row && verdict == Verdict::NeedsPlace {
                    known = Some(Known::Message(self.message_of(view, candidate.entry)?));
                }
            }
            match verdict {
                Verdict::Yes => found.uids.push(candidate.entry.uid),
                Verdict::No => {}
                _ => found.open.push(candidate.entry.clone()),
            }
            take_turn(work, turn).await?;
        }
        Ok(())
    }

    fn message_of(&self, view: &MailboxView, entry: &Entry) -> Result<Box<Message>> {
        let mut messages = self.messages(view.account(), std::slice::from_ref(entry))?;
        messages
            .pop()
            .map_or_else(|| Err(gone()), |m| m.map(Box::new))
    }
}

/// Those of `uids` that a planned query may match, as far as the sets in it say.
fn scope(query: &Query, uids: &UidSet) -> UidSet {
    match query {
        Query::Uids(set) => set.intersection(uids),
        Query::And(list) => list
            .iter()
            .fold(uids.clone(), |uids, query| scope(query, &uids)),
        _ => uids.clone(),
    }
}

fn candidate<'a>(
    view: &'a MailboxView,
    entry: &'a Entry,
    fields: &'a FoldedFields,
) -> Candidate<'a> {
    Candidate {
        entry,
        keywords: view.keywords(),
        recent: view.recent().contains(entry.uid),
        row: None,
        message: None,
        fields,
    }
}

/// Lets others run now and then.
async fn take_turn(work: &Work, turn: &mut Instant) -> Result<()> {
    let now = Instant::now();
    if now > work.deadline {
        return Err(too_long());
    }
    if now.duration_since(*turn) > TURN {
        tokio::task::yield_now().await;
        *turn = Instant::now();
    }
    Ok(())
}

pub(crate) fn too_long() -> Error {
    let text =
        format!("the search took longer than {SEARCH_SECONDS_MAX} s; ask for less at a time");
    Error::new(Kind::Limit, text)
}

/// Whether the main fields of a message decide about a header search, and how. The needle is folded. A damaged row decides nothing.
pub(crate) fn header_in_row(
    row: &Stored,
    fields: &FoldedFields,
    name: &str,
    needle: &str,
) -> Option<bool> {
    if !row.main_fields_complete() || !main_field::is_main(name) {
        return None;
    }
    let has = fields.has(name, needle, || match SearchField::named(name) {
        Some(field) => row.search_texts(field),
        None => Ok(decode::header_text(row.main_fields(), name)),
    });
    has.ok()
}
