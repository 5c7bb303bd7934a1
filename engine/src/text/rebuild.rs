//! Makes text again that was lost: out of the messages where they lie, object by object.
//!
//! Promises: a stretch of accounts at a time, which counts as soon as it is written. A message that cannot be read stays lost, and is tried again later.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use coldpost_search::text::{Key, Rect};
use coldpost_tiers::address::{AccountId, ObjectId};
use coldpost_tiers::hot::row::Place;
use coldpost_tiers::hot::{Snapshot, TableName, key};

use super::extract::{Extractor, Keep};
use super::follow::alone;
use super::waiting::MessageText;
use super::write::put_all;
use super::{Rebuilding, TextStore, key_of, message_id};
use crate::error::{Error, Kind, Result};
use crate::ids::{AccountRef, MessageId};
use crate::limits::{
    GATHER_ROWS_MAX, TEXT_AGAIN_SECONDS, TEXT_AWAY_MAX, TEXT_REBUILD_BYTES, TEXT_REBUILD_MESSAGES,
};
use crate::open::Engine;
use crate::shard::Shard;
use crate::view::{Message, Reach, message};

/// Messages that are read ahead together.
const TOGETHER: usize = 32;

/// A message whose text is wanted, and where it lies.
#[derive(Clone, Copy)]
struct Item {
    key: Key,
    object: ObjectId,
    offset: u64,
}

/// Messages of one stretch of keys.
struct Gathered {
    items: Vec<Item>,
    /// The first key behind them.
    high: Option<Key>,
    /// Of the state that was read last.
    position: u64,
}

/// Makes lost text again.
pub(crate) struct Rebuilder {
    engine: Engine,
    shard: Arc<Shard>,
    handle: tokio::runtime::Handle,
    extractor: Extractor,
    /// Messages that could not be read, and when that was tried.
    tried: HashMap<Key, Instant>,
    /// When so much was away that a stretch was given up.
    gave_up: Option<Instant>,
}

impl Rebuilder {
    /// Of a shard. Needs a runtime.
    pub(crate) fn new(engine: &Engine, shard: &Arc<Shard>) -> Rebuilder {
        Rebuilder {
            engine: engine.clone(),
            shard: Arc::clone(shard),
            handle: tokio::runtime::Handle::current(),
            extractor: Extractor::new(shard.text.dir()),
            tried: HashMap::new(),
            gave_up: None,
        }
    }

    /// Makes the next stretch of what is lost; whether there was one. `go_on` is asked now and then.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub(crate) fn step(&mut self, go_on: &mut dyn FnMut() -> bool) -> Result<bool> {
        let again = Duration::from_secs(TEXT_AGAIN_SECONDS);
        self.tried.retain(|_, since| since.elapsed() < again);
        self.gave_up = self.gave_up.filter(|since| since.elapsed() < again);
        if self.gave_up.is_some() {
            return Ok(false);
        }
        let Some(lost) = self
            .shard
            .text
            .first_lost(|key| self.tried.contains_key(&key))
        else {
            self.shard.text.rebuilt_all();
            return Ok(false);
        };
        self.engine.room()?;
        let Gathered {
            mut items,
            high,
            position,
        } = self.gather(lost)?;
        let rect = Rect { high, ..lost };
        self.shard.text.rebuilding(&self.shard, items.len())?;
        items.sort_by_key(|item| (item.object, item.offset));
        let mut texts = BTreeMap::new();
        let mut unread = Vec::new();
        let mut away = 0;
        for some in items.chunks(TOGETHER) {
            if !go_on() {
                self.extractor.clear()?;
                return Err(Error::new(Kind::Closed, "it is not to go on now"));
            }
            for (item, read) in some.iter().zip(self.read(some)?) {
                match read {
                    Ok(text) => drop(texts.insert(item.key, Arc::new(text))),
                    Err(e) if e.kind() == Kind::Closed => return Err(e),
                    // It was purged meanwhile.
                    Err(e) if e.kind() == Kind::NotFound => {}
                    Err(e) => {
                        away += usize::from(e.kind() == Kind::Unavailable);
                        if away > TEXT_AWAY_MAX {
                            // Each of them would be a stretch of its own.
                            self.extractor.clear()?;
                            self.gave_up = Some(Instant::now());
                            return Err(e);
                        }
                        tracing::warn!(
                            shard = self.shard.no.0,
                            "a message is not indexed yet: {e}"
                        );
                        self.tried.insert(item.key, Instant::now());
                        unread.push(item.key);
                    }
                }
            }
            self.shard.text.rebuilt(some.len());
        }
        let text = &self.shard.text;
        let files = match texts.is_empty() {
            true => Vec::new(),
            false => text.write(rect, position, &mut |writer| {
                put_all(&texts, &self.extractor, writer)
            })?,
        };
        self.extractor.clear()?;
        text.found_again(lost, rect, &unread, files)?;
        Ok(true)
    }

    /// The messages at the beginning of what is lost, as many as one stretch has.
    fn gather(&self, lost: Rect) -> Result<Gathered> {
        let mut items = Vec::new();
        let mut bytes = 0;
        let mut from = lost.low;
        loop {
            let state = self.shard.hot.read()?;
            let position = self.shard.applied().0;
            let (mut rows, mut next, mut high) = (0, None, None);
            let start = key::message(AccountId(from.account), message_id(from.id));
            state.walk(TableName::Places, &[], &start, |k, value| {
                let Some((account, id)) = key::read_message(k) else {
                    return Ok(true);
                };
                let key = key_of(account, id);
                if lost.high.is_some_and(|high| key >= high) {
                    return Ok(false);
                }
                rows += 1;
                if rows > GATHER_ROWS_MAX {
                    next = Some(key);
                    return Ok(false);
                }
                if !lost.has(key) {
                    return Ok(true);
                }
                if items.len() >= TEXT_REBUILD_MESSAGES || bytes >= TEXT_REBUILD_BYTES {
                    high = Some(key);
                    return Ok(false);
                }
                let place = Place::decode(k, value)?;
                bytes += place.size;
                items.push(Item {
                    key,
                    object: place.address.object,
                    offset: place.address.offset,
                });
                Ok(true)
            })?;
            match next {
                // Piece by piece: a state that is read for long keeps pages of the file from being used again.
                Some(key) if high.is_none() => from = key,
                _ => {
                    return Ok(Gathered {
                        items,
                        high: high.or(lost.high),
                        position,
                    });
                }
            }
        }
    }

    /// The texts of some messages, all of them spooled.
    fn read(&mut self, items: &[Item]) -> Result<Vec<Result<MessageText>>> {
        let state = self.shard.hot.read()?;
        let found = items.iter().map(|item| self.message(&state, item));
        let found: Vec<Result<Message>> = found.collect();
        drop(state);
        let here = found.iter().flatten().cloned().collect();
        let ahead = self.engine.read_ahead_aside(here, Reach::Whole);
        let mut here = self.handle.block_on(ahead).into_iter();
        let texts = found.into_iter().map(|found| {
            // In the same order, with what was read ahead.
            let found = found?;
            self.texts(&here.next().unwrap_or(found))
        });
        Ok(texts.collect())
    }

    fn message(&self, state: &Snapshot, item: &Item) -> Result<Message> {
        let account = AccountRef {
            shard: self.shard.no,
            number: AccountId(item.key.account),
        };
        let id: MessageId = message_id(item.key.id);
        let gone = || Error::new(Kind::NotFound, "it has no row any more");
        if state
            .look(TableName::Places, &key::message(account.number, id), |_| ())?
            .is_none()
        {
            return Err(gone());
        }
        let mut read = message::read(state, account, &[id])?;
        read.pop().ok_or_else(gone)?
    }

    fn texts(&mut self, message: &Message) -> Result<MessageText> {
        let parts = message.row.whole_parts()?;
        let memory = self.engine.inner.search_memory.message(message.size);
        let _share = self.handle.block_on(memory)?;
        let raw = self.handle.block_on(self.engine.bytes_aside(message))?;
        Ok(MessageText(self.extractor.take(
            &raw,
            &parts,
            Keep::InSpool,
        )?))
    }
}

impl TextStore {
    /// What is to be made again next; of messages alone, not those for which it is too early.
    fn first_lost(&self, is_early: impl Fn(Key) -> bool) -> Option<Rect> {
        let state = self.state();
        let mut lost = state.lost.iter();
        let is_due = |rect: &&Rect| **rect != alone(rect.low) || !is_early(rect.low);
        lost.find(is_due).copied()
    }

    /// A stretch of so many messages is being made.
    fn rebuilding(&self, shard: &Shard, messages: usize) -> Result<()> {
        let more = u64::try_from(messages).unwrap_or(u64::MAX);
        let rows = shard.hot.read()?.count(TableName::Places)?;
        let mut state = self.change();
        let now = state.rebuilding.get_or_insert_with(Rebuilding::default);
        now.total = rows.max(now.done.saturating_add(more));
        Ok(())
    }

    fn rebuilt(&self, messages: usize) {
        let more = u64::try_from(messages).unwrap_or(u64::MAX);
        if let Some(now) = &mut self.change().rebuilding {
            now.done = now.done.saturating_add(more);
        }
    }

    fn rebuilt_all(&self) {
        let is_on = self.state().rebuilding.is_some();
        if is_on {
            self.change().rebuilding = None;
        }
    }

    /// `rect`, the beginning of what was `lost`, is in these files but for some messages.
    fn found_again(
        &self,
        lost: Rect,
        rect: Rect,
        unread: &[Key],
        files: Vec<Arc<super::file::TextFile>>,
    ) -> Result<()> {
        let mut state = self.change();
        if let Some(at) = state.lost.iter().position(|known| *known == lost) {
            state.lost.remove(at);
            if let Some(high) = rect.high
                && rect.high != lost.high
            {
                state.lost.insert(at, Rect { low: high, ..lost });
            }
            state.lost.extend(unread.iter().map(|key| alone(*key)));
            state.files.extend(files);
        }
        self.save(&state)?;
        drop(state);
        self.advanced.notify_waiters();
        Ok(())
    }
}
