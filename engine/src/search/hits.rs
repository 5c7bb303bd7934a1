//! Messages that match, as people want to see them: over all mailboxes of an account, with the words around the hit.
//!
//! Promises: what is told matches; bodies are read for excerpts of what is told, and of nothing else. Never: marks anything \Seen.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use coldpost_search::excerpt::{Excerpt, excerpt};
use coldpost_search::fold::fold_collapsed;

use crate::error::{Kind, Result};
use crate::ids::{AccountRef, Uid};
use crate::limits::{EXCERPT_BYTES_MAX, EXCERPT_WIDTH};
use crate::mail::SearchField;
use crate::mail::text::{Scope, texts};
use crate::open::Engine;
use crate::query::{Expression, Query, plan};
use crate::uidset::UidSet;
use crate::view::{MailboxView, Message};

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
        let now = self.now();
        for info in self.mailboxes(account)? {
            if info.id.is_none() {
                continue;
            }
            let query = asked.at(now, &info.name);
            if plan(&query) == Query::NOTHING {
                continue;
            }
            let view = match self.select(account, &info.name, false) {
                Ok(view) => view,
                // It was deleted meanwhile.
                Err(e) if e.kind() == Kind::NotFound => continue,
                Err(e) => return Err(e),
            };
            let begun = Instant::now();
            let found = self.search(&view, &query).await?;
            let took = begun.elapsed();
            self.tell_of(&view, &info.name, (&query, &found), wanted, told)
                .await?;
            told.mailbox(InMailbox {
                mailbox: info.name,
                found: found.len(),
                of: view.uids().len(),
                took,
            });
        }
        Ok(())
    }

    async fn tell_of(
        &self,
        view: &MailboxView,
        mailbox: &str,
        (query, found): (&Query, &UidSet),
        wanted: HitsWanted,
        told: &mut (dyn Told + Send),
    ) -> Result<()> {
        let mut needles = Vec::new();
        if wanted.excerpts {
            texts_of(query, &mut needles);
        }
        let count = usize::try_from(found.len()).unwrap_or(usize::MAX);
        let newest = found.iter().skip(count.saturating_sub(wanted.hits));
        let newest: Vec<Uid> = newest.collect();
        for uids in newest.rchunks(TOGETHER) {
            let uids: UidSet = uids.iter().copied().collect();
            let mut entries = view.entries(&uids, TOGETHER)?;
            entries.reverse();
            let mut left = entries.as_slice();
            while !left.is_empty() {
                let messages = self.messages(view.account(), left)?;
                let count = messages.len().clamp(1, left.len());
                for (entry, message) in left.iter().zip(messages) {
                    let message = message?;
                    let excerpt = self.excerpt_of(&message, &needles).await?;
                    told.hit(Hit {
                        mailbox: mailbox.to_owned(),
                        uid: entry.uid,
                        date: message.internal_date,
                        size: message.size,
                        from: shown(&message, SearchField::From),
                        subject: shown(&message, SearchField::Subject),
                        excerpt,
                    });
                }
                left = left.get(count..).unwrap_or_default();
            }
        }
        Ok(())
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

/// Folded texts that are looked for and not excluded.
fn texts_of(query: &Query, needles: &mut Vec<String>) {
    match query {
        Query::And(list) | Query::Or(list) => list.iter().for_each(|q| texts_of(q, needles)),
        Query::Body(text) | Query::Text(text) if !text.is_empty() => {
            needles.push(fold_collapsed(text));
        }
        _ => {}
    }
}
