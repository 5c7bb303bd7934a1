//! Messages that match, as people want to see them: over all mailboxes of an account, with the words around the hit.
//!
//! Promises: what is told matches; bodies are read for excerpts of what is told, and of nothing else. Never: marks anything \Seen.

use std::cmp::Reverse;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use coldpost_search::excerpt::{Excerpt, excerpt};

use super::Ranked;
use super::spelled::texts_of;
use crate::error::{Kind, Result};
use crate::ids::{AccountRef, Uid};
use crate::limits::{EXCERPT_BYTES_MAX, EXCERPT_WIDTH};
use crate::mail::SearchField;
use crate::mail::text::{Scope, texts};
use crate::open::Engine;
use crate::query::{Expression, Query, plan};
use crate::uidset::UidSet;
use crate::view::{MailboxInfo, MailboxView, Message};

/// Messages whose rows are read together.
const TOGETHER: usize = 32;

/// A message that matches.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Where.
    pub mailbox: String,
    /// Its UID there.
    pub uid: Uid,
    /// INTERNALDATE: seconds since 1970, and minutes east.
    pub date: (i64, i16),
    /// Octets.
    pub size: u64,
    /// From, decoded.
    pub from: String,
    /// Subject, decoded.
    pub subject: String,
    /// How well it has the words, from 1 to 100; of those that were looked for by words.
    pub relevancy: Option<u8>,
    /// The words around the first hit in its texts; none where no text was asked for, or its body is away.
    pub excerpt: Option<Excerpt>,
}

/// What a search of one mailbox came to.
#[derive(Clone, Debug)]
pub struct InMailbox {
    /// Its name.
    pub mailbox: String,
    /// Messages that match.
    pub found: u32,
    /// Messages in it.
    pub of: u32,
    /// What finding them took.
    pub took: Duration,
}

/// How many are wanted.
#[derive(Clone, Copy, Debug)]
pub struct HitsWanted {
    /// Of each mailbox at most so many are told, the newest first.
    pub hits: usize,
    /// Whether with the words around the hit.
    pub excerpts: bool,
    /// Whether words are looked for instead of texts, and the best are told first, of all mailboxes together.
    pub ranked: bool,
}

/// Who is told, in the order of mailboxes.
pub trait Told {
    /// A message.
    fn hit(&mut self, hit: Hit);
    /// A mailbox whose messages were told.
    fn mailbox(&mut self, mailbox: InMailbox);
}

impl Engine {
    /// Tells which messages of an account match, at this moment.
    ///
    /// # Errors
    /// As [`Engine::search`].
    pub async fn tell_hits(
        &self,
        account: AccountRef,
        asked: &Expression,
        wanted: HitsWanted,
        told: &mut (dyn Told + Send),
    ) -> Result<()> {
        if wanted.ranked {
            let asked = asked.clone().ranked();
            return self.tell_ranked(account, &asked, wanted, told).await;
        }
        let now = self.now();
        for info in self.mailboxes(account)? {
            let Some((view, query)) = self.asked_of(account, &info, asked, now)? else {
                continue;
            };
            let begun = Instant::now();
            let found = self.search_ranked(&view, &query).await?;
            let took = begun.elapsed();
            let needles = self.needles_of(account, &query, wanted).await?;
            let count = usize::try_from(found.uids.len()).unwrap_or(usize::MAX);
            let newest = found.uids.iter().skip(count.saturating_sub(wanted.hits));
            let newest: Vec<Uid> = newest.collect();
            for uids in newest.rchunks(TOGETHER) {
                let mut hits = self
                    .hits_of(&view, &info.name, (uids, &found), &needles)
                    .await?;
                hits.sort_by_key(|hit| Reverse(hit.uid));
                hits.into_iter().for_each(|hit| told.hit(hit));
            }
            told.mailbox(InMailbox {
                mailbox: info.name,
                found: found.uids.len(),
                of: view.uids().len(),
                took,
            });
        }
        Ok(())
    }

    /// The best of all mailboxes first.
    async fn tell_ranked(
        &self,
        account: AccountRef,
        asked: &Expression,
        wanted: HitsWanted,
        told: &mut (dyn Told + Send),
    ) -> Result<()> {
        let now = self.now();
        let mut best: Vec<(f32, Uid, String)> = Vec::new();
        let mut looked = Vec::new();
        let best_first = |a: &(f32, Uid, String), b: &(f32, Uid, String)| {
            let by_score = b.0.total_cmp(&a.0);
            by_score.then(a.2.cmp(&b.2)).then(b.1.cmp(&a.1))
        };
        let mut needles = Vec::new();
        for info in self.mailboxes(account)? {
            let Some((view, query)) = self.asked_of(account, &info, asked, now)? else {
                continue;
            };
            if needles.is_empty() {
                needles = self.needles_of(account, &query, wanted).await?;
            }
            let begun = Instant::now();
            let found = self.search_ranked(&view, &query).await?;
            looked.push(InMailbox {
                mailbox: info.name.clone(),
                found: found.uids.len(),
                of: view.uids().len(),
                took: begun.elapsed(),
            });
            let uids: Vec<Uid> = found.uids.iter().collect();
            for some in uids.chunks(wanted.hits.max(TOGETHER)) {
                let scores = found.scores_of(some).into_iter();
                let scored = scores
                    .zip(some)
                    .map(|(score, uid)| (score, *uid, info.name.clone()));
                best.extend(scored);
                best.sort_by(best_first);
                best.truncate(wanted.hits);
            }
        }
        let scores = (0..).zip(&best).map(|(place, (score, ..))| (place, *score));
        let all = Ranked {
            scores: scores.collect(),
            ..Ranked::default()
        };
        let places: Vec<u32> = all.scores.iter().map(|(place, _)| *place).collect();
        for ((_, uid, mailbox), relevancy) in best.iter().zip(all.relevancy_of(&places)) {
            let view = match self.select(account, mailbox, false) {
                Ok(view) => view,
                // It was deleted meanwhile.
                Err(e) if e.kind() == Kind::NotFound => continue,
                Err(e) => return Err(e),
            };
            let one = (std::slice::from_ref(uid), &Ranked::default());
            for mut hit in self.hits_of(&view, mailbox, one, &needles).await? {
                hit.relevancy = Some(relevancy);
                told.hit(hit);
            }
        }
        looked.into_iter().for_each(|mailbox| told.mailbox(mailbox));
        Ok(())
    }

    /// A mailbox and what is asked of it, where that is anything.
    fn asked_of(
        &self,
        account: AccountRef,
        info: &MailboxInfo,
        asked: &Expression,
        now: i64,
    ) -> Result<Option<(MailboxView, Query)>> {
        let query = asked.at(now, &info.name);
        if info.id.is_none() || plan(&query) == Query::NOTHING {
            return Ok(None);
        }
        match self.select(account, &info.name, false) {
            Ok(view) => Ok(Some((view, query))),
            // It was deleted meanwhile.
            Err(e) if e.kind() == Kind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Folded texts by which people see why something was found.
    async fn needles_of(
        &self,
        account: AccountRef,
        query: &Query,
        wanted: HitsWanted,
    ) -> Result<Vec<String>> {
        let (mut texts, mut words) = (Vec::new(), Vec::new());
        if wanted.excerpts {
            texts_of(query, &mut texts, &mut words);
        }
        texts.extend(words.iter().cloned());
        for (word, spelled) in self.spelled_nearly(account, words).await? {
            texts.extend(spelled.into_iter().filter(|near| *near != word));
        }
        Ok(texts)
    }

    /// Messages of a mailbox, in the order of their UIDs.
    async fn hits_of(
        &self,
        view: &MailboxView,
        mailbox: &str,
        (uids, found): (&[Uid], &Ranked),
        needles: &[String],
    ) -> Result<Vec<Hit>> {
        let set: UidSet = uids.iter().copied().collect();
        let entries = view.entries(&set, uids.len())?;
        let mut hits = Vec::with_capacity(entries.len());
        let mut left = entries.as_slice();
        while !left.is_empty() {
            let messages = self.messages(view.account(), left)?;
            let count = messages.len().clamp(1, left.len());
            for (entry, message) in left.iter().zip(messages) {
                let message = message?;
                let relevancy = match found.scores.is_empty() {
                    true => None,
                    false => found.relevancy_of(&[entry.uid]).pop(),
                };
                hits.push(Hit {
                    mailbox: mailbox.to_owned(),
                    uid: entry.uid,
                    date: message.internal_date,
                    size: message.size,
                    from: shown(&message, SearchField::From),
                    subject: shown(&message, SearchField::Subject),
                    relevancy,
                    excerpt: self.excerpt_of(&message, needles).await?,
                });
            }
            left = left.get(count..).unwrap_or_default();
        }
        Ok(hits)
    }

    /// The words around the first needle, in the body before the header.
    async fn excerpt_of(&self, message: &Message, needles: &[String]) -> Result<Option<Excerpt>> {
        if needles.is_empty() {
            return Ok(None);
        }
        let _share = self.inner.search_memory.message(message.size).await?;
        let raw = match self.bytes(message, 0..message.size).await {
            Ok(raw) => raw,
            // It was found; that its words cannot be shown now is no reason to say nothing of it.
            Err(e) if e.kind() == Kind::Unavailable => return Ok(None),
            Err(e) => return Err(e),
        };
        let parts = message.row.whole_parts()?;
        let needles: Vec<&str> = needles.iter().map(String::as_str).collect();
        let mut found = None;
        let mut left = EXCERPT_BYTES_MAX;
        for scope in [Scope::Body, Scope::Header] {
            let ended = texts(&raw, &parts, scope, &mut |piece| {
                found = excerpt(piece.text, &needles, EXCERPT_WIDTH);
                left = left.saturating_sub(piece.text.len());
                match found.is_some() || left == 0 {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            });
            if ended.is_break() {
                break;
            }
        }
        Ok(found)
    }
}

fn shown(message: &Message, field: SearchField) -> String {
    let texts = message.row.search_texts(field).unwrap_or_default();
    texts.into_iter().next().unwrap_or_default()
}
