//! What only texts can tell: from the text store, and from messages themselves of which it does not speak.
//!
//! Promises: a message is looked for in one of the two, as each says the same. Never: leaves one out.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use coldpost_search::text::TextId;

use super::needles::StoreHits;
use super::reading::gone;
use super::{FoldedFields, Found, WordsFound, Work, candidate, take_turn, too_long};
use crate::blocking;
use crate::error::{Error, Kind, Result};
use crate::ids::AccountRef;
use crate::limits::{SEARCH_UNINDEXED_BYTES, SEARCH_UNINDEXED_WAIT_SECONDS};
use crate::open::Engine;
use crate::query::{Candidate, Query, Verdict, evaluate, settle};
use crate::text::{NotFound, TextStore, TextView, text_id};
use crate::view::{Entry, MailboxView, Message, Reach, message};
use crate::words::{WordView, of_words};

/// Messages that are read together.
const TOGETHER: usize = 64;

/// Open entries, by who tells about them.
struct Parted {
    texts: Arc<TextView>,
    /// Where words are asked for.
    words: Option<Arc<WordView>>,
    indexed: Vec<Entry>,
    others: Vec<Entry>,
    /// Of the others.
    bytes: u64,
}

impl Parted {
    fn new(texts: TextView, words: Option<Arc<WordView>>, open: &[Entry]) -> Parted {
        let open = open.iter().cloned();
        let (indexed, others) = open.partition(|entry| {
            let id = text_id(entry.message);
            texts.has(id) && words.as_ref().is_none_or(|words| words.has(id))
        });
        Parted {
            texts: Arc::new(texts),
            words,
            indexed,
            others,
            bytes: 0,
        }
    }
}

impl Engine {
    /// Adds those of the open entries that match.
    pub(super) async fn by_texts(
        &self,
        view: &MailboxView,
        work: &Work,
        found: &mut Found,
        turn: &mut Instant,
    ) -> Result<()> {
        let store = Arc::clone(&self.shard(view.account().shard)?.text);
        let open = std::mem::take(&mut found.open);
        // Each time that something turns out to be damaged, less is indexed.
        let (parted, hits) = loop {
            let parted = self.parted(view, work, &store, &open, found).await?;
            let asked = (view.account(), &store, found.words.take());
            if let Some(hits) = self.look(work, asked, &parted).await? {
                break (parted, hits);
            }
        };
        // What follows is ranked by the same counts.
        found.words = parted.words.clone().zip(hits.words());
        let hit = |query: &Query, entry: &Entry| hits.answer(query, text_id(entry.message));
        let mut left = Vec::new();
        for some in parted.indexed.chunks(super::STRIDE) {
            let fields = FoldedFields::default();
            for entry in some {
                let candidate = candidate(view, entry, &fields);
                match evaluate(&work.query, &candidate, &|query| hit(query, entry)) {
                    Verdict::Yes => found.add(entry, hits.score(text_id(entry.message))),
                    Verdict::No => {}
                    _ => left.push(entry.clone()),
                }
            }
            take_turn(work, turn).await?;
        }
        for batch in left.chunks(super::ROWS) {
            let before = found.uids.len();
            self.by_rows(view, work, batch, &hit, found, turn).await?;
            if !work.needles.words.is_empty() {
                let new = found.uids.split_off(before);
                for entry in batch.iter().filter(|entry| new.contains(&entry.uid)) {
                    found.add(entry, hits.score(text_id(entry.message)));
                }
            }
        }
        found.unindexed = found.unindexed.saturating_add(parted.bytes);
        // What a damaged row leaves open is met, and said, by who reads the message.
        let mut others = parted.others;
        others.append(&mut found.open);
        let mut left = others.as_slice();
        while !left.is_empty() {
            let some = left.get(..TOGETHER).unwrap_or(left);
            let read = self.messages(view.account(), some)?;
            let read: Vec<Message> = read.into_iter().collect::<Result<_>>()?;
            let read = self.read_ahead(read, Reach::Whole).await;
            let (now, later) = left.split_at_checked(read.len().max(1)).ok_or_else(gone)?;
            for (entry, message) in now.iter().zip(&read) {
                let fields = FoldedFields::default();
                let candidate = Candidate {
                    row: Some(&message.row),
                    message: Some(message),
                    ..candidate(view, entry, &fields)
                };
                if let Some(score) = self.ask_text(work, &candidate, message).await? {
                    found.add(entry, score);
                }
                take_turn(work, turn).await?;
            }
            left = later;
        }
        Ok(())
    }

    /// Who tells about which entry; waits for the index where too much would have to be read.
    async fn parted(
        &self,
        view: &MailboxView,
        work: &Work,
        store: &TextStore,
        open: &[Entry],
        found: &mut Found,
    ) -> Result<Parted> {
        let wait = Duration::from_secs(SEARCH_UNINDEXED_WAIT_SECONDS);
        let end = work.deadline.min(Instant::now() + wait);
        loop {
            let advanced = store.advanced.notified();
            let texts = store.view(view.account().number);
            let words = match (work.needles.words.is_empty(), &found.words) {
                (true, _) => None,
                (false, Some((known, _))) => Some(Arc::clone(known)),
                (false, None) => {
                    let words = self.words(view.account())?;
                    Some(Arc::new(words.view(view.account().number, texts.line)))
                }
            };
            let parted = Parted::new(texts, words, open);
            let bytes = self.bytes_of(view, &parted.others)?;
            if found.unindexed.saturating_add(bytes) <= SEARCH_UNINDEXED_BYTES {
                return Ok(Parted { bytes, ..parted });
            }
            found.words = None;
            if tokio::time::timeout_at(end.into(), advanced).await.is_err() {
                let text = format!(
                    "the text of {} of these messages is not indexed yet{}: try again, or ask for fewer",
                    parted.others.len(),
                    store.progress()
                );
                return Err(Error::new(Kind::Unavailable, text));
            }
        }
    }

    /// Bytes of these messages.
    fn bytes_of(&self, view: &MailboxView, entries: &[Entry]) -> Result<u64> {
        let state = self.shard(view.account().shard)?.hot.read()?;
        let ids: Vec<_> = entries.iter().map(|entry| entry.message).collect();
        let given = message::read_given(&state, view.account(), &ids)?;
        Ok(given
            .iter()
            .map(|given| given.size)
            .fold(0, u64::saturating_add))
    }

    /// What the store says; `None` when that changed meanwhile.
    async fn look(
        &self,
        work: &Work,
        (account, store, known): (AccountRef, &Arc<TextStore>, WordsFound),
        parted: &Parted,
    ) -> Result<Option<StoreHits>> {
        let known = known.map(|(_, hits)| hits);
        let asks = work.needles.asks();
        let mut wanted: Vec<TextId> = parted.indexed.iter().map(|e| text_id(e.message)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let words = parted.words.clone();
        if wanted.is_empty() || asks.is_empty() && words.is_none() {
            return Ok(Some(work.needles.hits(Vec::new(), known)));
        }
        let closed = |_| Error::new(Kind::Closed, "the store is shutting down");
        let _scan = self
            .inner
            .search_memory
            .scans
            .acquire()
            .await
            .map_err(closed)?;
        let (store, texts, deadline) =
            (Arc::clone(store), Arc::clone(&parted.texts), work.deadline);
        let needles = work.needles.words.clone();
        let looking = move || {
            let mut is_late = || Instant::now() > deadline;
            let sets = store.find(&texts, &asks, &wanted, &mut is_late);
            let words = match (words, known) {
                (Some(words), None) => words,
                (_, known) => return Ok(sets.map(|sets| (sets, known))),
            };
            let asked = needles.asks().iter();
            let scores = asked.map(|ask| words.scores(ask, &mut is_late));
            let scores: std::result::Result<Vec<_>, _> = scores.collect();
            let found = sets.and_then(|sets| match scores {
                Ok(scores) => Ok((sets, Some(Arc::new(needles.hits(scores))))),
                Err(e) => Err(NotFound::Words(e)),
            });
            Ok(found)
        };
        match blocking::run("looking through texts", looking).await? {
            Ok((sets, words)) => Ok(Some(work.needles.hits(sets, words))),
            Err(NotFound::Words(e)) if e.is_corrupt() => {
                if let Some(words) = &parted.words {
                    self.words(account)?.set_aside(words.generation(), &e);
                }
                Ok(None)
            }
            Err(NotFound::Words(e)) => Err(of_words(e)),
            Err(NotFound::SetAside) => Ok(None),
            Err(NotFound::Late) => Err(too_long()),
            Err(NotFound::Failed(e)) => Err(e),
        }
    }

    /// Reads the message and settles what rows could not; tells how well it has the words that are asked for, where it matches.
    async fn ask_text(
        &self,
        work: &Work,
        candidate: &Candidate<'_>,
        message: &Message,
    ) -> Result<Option<f32>> {
        let _share = self.inner.search_memory.message(message.size).await?;
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
                Ok(answer.then(|| hits.score()))
            }
        })
    }
}
