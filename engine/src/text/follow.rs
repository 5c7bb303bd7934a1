//! Follows the journal: takes the texts out of what it delivered.
//!
//! Promises: nothing is taken that was not applied; each message once, for all accounts that have it. What cannot be read is lost for now, and holds up nothing.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use coldpost_search::text::{Key, Rect, TextId};
use coldpost_tiers::address::{AccountId, Extent};
use coldpost_tiers::frame::{decompress, decompress_row};
use coldpost_tiers::hot::{Snapshot, TableName, key};
use coldpost_tiers::segment::SegmentReader;

use super::extract::{Extractor, Keep};
use super::waiting::MessageText;
use super::{TextStore, key_of};
use crate::apply::At;
use crate::error::{Error, Kind, Result};
use crate::ids::{AccountRef, MessageId, Position};
use crate::journal::Record;
use crate::journal::embedded::{LocalSegment, decode_record, local_segments};
use crate::limits::TEXT_WAITING_MAX;
use crate::mail::Stored;
use crate::mail::part::Part;
use crate::op::{Add, NewMessage, Op};
use crate::open::Engine;
use crate::shard::Shard;
use crate::view::message;

/// Where in the journal's files the next entry stands, as far as that is known.
#[derive(Default)]
pub(crate) struct Cursor {
    /// First position of the segment, end of the record before and its checksum.
    behind: Option<(Position, u64, u32)>,
}

/// Who follows, and with what.
pub(crate) struct Follower {
    engine: Engine,
    shard: Arc<Shard>,
    handle: tokio::runtime::Handle,
    cursor: Cursor,
    extractor: Extractor,
}

impl Follower {
    /// Of a shard. Needs a runtime.
    pub(crate) fn new(engine: &Engine, shard: &Arc<Shard>) -> Follower {
        Follower {
            engine: engine.clone(),
            shard: Arc::clone(shard),
            handle: tokio::runtime::Handle::current(),
            cursor: Cursor::default(),
            extractor: Extractor::new(&shard.text.dir),
        }
    }

    /// Takes all that is applied, and writes files as they fill.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub(crate) fn follow(&mut self) -> Result<()> {
        let shard = Arc::clone(&self.shard);
        loop {
            let (next, applied) = (shard.text.covered() + 1, shard.applied().0);
            if next > applied || shard.is_shut() {
                return Ok(());
            }
            match self.read_some(next, applied) {
                Ok(true) => {}
                // It is not here any more, or damaged: the messages are where their rows say.
                Ok(false) => self.give_up(next, applied)?,
                Err(e) if matches!(e.kind(), Kind::Corrupt | Kind::NotFound) => {
                    tracing::info!(
                        shard = shard.no.0,
                        "{e}; text is taken out of the messages themselves"
                    );
                    self.give_up(next, applied)?;
                }
                Err(e) => return Err(e),
            }
            shard.text.advanced.notify_waiters();
            if shard.text.waiting_bytes(&self.extractor) >= TEXT_WAITING_MAX {
                shard.text.write_waiting(&mut self.extractor)?;
            }
        }
    }

    /// Writes what has been waiting for so long.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub(crate) fn write_if_old(&mut self, age: Duration) -> Result<()> {
        match self.shard.text.has_waited(age) {
            true => self.shard.text.write_waiting(&mut self.extractor),
            false => Ok(()),
        }
    }

    /// Reads from the file with the entry `next` until enough waits; whether it has that entry.
    fn read_some(&mut self, next: u64, applied: u64) -> Result<bool> {
        let Some(file) = self.local(next)? else {
            return Ok(false);
        };
        let mut reader = SegmentReader::open(&*self.shard.disk, &file.path)?;
        reader = match self.cursor.behind {
            Some((first, offset, chain)) if first == file.first => {
                reader.resume_at(offset, Position(next), chain)
            }
            _ => reader.read_from(Position(next))?,
        };
        let mut expected = next;
        while expected <= applied && !self.shard.is_shut() {
            let Some(record) = reader.next_record()? else {
                break;
            };
            if record.at.position.0 != expected {
                break;
            }
            let (at, record) = decode_record(reader.header(), record)?;
            self.take(&at, &record)?;
            self.cursor.behind = Some((at.segment_first, at.end_offset, at.chain));
            expected += 1;
            if self.shard.text.waiting_bytes(&self.extractor) >= TEXT_WAITING_MAX {
                break;
            }
        }
        Ok(expected > next || self.shard.is_shut())
    }

    /// The local file that may hold an entry.
    fn local(&self, next: u64) -> Result<Option<LocalSegment>> {
        let dir = self.shard.dir.join("journal");
        let files = local_segments(&*self.shard.disk, &dir)?;
        let file = files.into_iter().rfind(|file| file.first.0 <= next);
        Ok(file)
    }

    /// What the journal has of these entries cannot be read: their messages are looked for in the rows.
    fn give_up(&mut self, next: u64, applied: u64) -> Result<()> {
        let text = &self.shard.text;
        text.write_waiting(&mut self.extractor)?;
        self.cursor = Cursor::default();
        text.lose_behind(Rect::all(next - 1, applied))
    }

    fn take(&mut self, at: &At, record: &Record) -> Result<()> {
        let mut texts = Vec::new();
        let mut lost = Vec::new();
        if let Op::Add(add) = &record.entry.op {
            let state = self.shard.hot.read()?;
            let mut offset = 0_usize;
            for (number, message) in (0_u16..).zip(&add.messages) {
                let stored = usize::try_from(message.stored_bytes()).unwrap_or(usize::MAX);
                let body = record.body.get(offset..offset.saturating_add(stored));
                offset = offset.saturating_add(stored);
                let id = MessageId {
                    epoch: at.epoch,
                    position: at.position,
                    number,
                };
                let keys = having(&state, add, id)?;
                if keys.is_empty() {
                    continue;
                }
                match self.texts_of(message, body.unwrap_or_default(), id, &keys) {
                    Ok(text) => texts.push((keys, text)),
                    Err(e) if e.kind() == Kind::Closed => return Err(e),
                    Err(e) => {
                        tracing::warn!(shard = at.shard.0, "a message is not indexed yet: {e}");
                        lost.extend(keys);
                    }
                }
            }
        }
        self.shard.text.wait(at.position.0, texts, &lost);
        Ok(())
    }

    fn texts_of(
        &mut self,
        message: &NewMessage,
        body: &[u8],
        id: MessageId,
        keys: &[Key],
    ) -> Result<MessageText> {
        let parts = parts_of(&message.row)?;
        let memory = self.engine.inner.search_memory.message(message.size);
        let _share = self.handle.block_on(memory)?;
        let raw = match joined(message, body, id) {
            Some(raw) => raw?,
            None => {
                let account = keys.first().map_or(0, |key| key.account);
                self.read(account, id)?
            }
        };
        let texts = self.extractor.take(&raw, &parts, Keep::InMemory)?;
        Ok(MessageText(texts))
    }

    /// The bytes of a message that has parts elsewhere.
    fn read(&self, account: u64, id: MessageId) -> Result<Vec<u8>> {
        let account = AccountRef {
            shard: self.shard.no,
            number: AccountId(account),
        };
        let mut found = message::read(&self.shard.hot.read()?, account, &[id])?;
        let gone = || Error::new(Kind::NotFound, "a message without a row");
        let found = found.pop().ok_or_else(gone)??;
        self.handle.block_on(self.engine.bytes_aside(&found))
    }
}

/// The parts that a row, as it stands in an entry, says.
fn parts_of(row: &[u8]) -> Result<Vec<Part>> {
    Stored::read(decompress_row(row)?)?.whole_parts()
}

/// The bytes of a message whose frames are all in its entry.
fn joined(message: &NewMessage, body: &[u8], id: MessageId) -> Option<Result<Vec<u8>>> {
    let mut raw = Vec::with_capacity(usize::try_from(message.size).unwrap_or(0));
    let mut at = 0_usize;
    for extent in &message.extents {
        let Extent::Frame(frame) = extent else {
            return None;
        };
        let stored = usize::try_from(frame.stored).unwrap_or(usize::MAX);
        let bytes = body.get(at..at.saturating_add(stored)).unwrap_or_default();
        let name = format!("entry {}", id.position.0);
        match decompress(bytes, frame, &name, 0) {
            Ok(bytes) => raw.extend_from_slice(&bytes),
            Err(e) => return Some(Err(e.into())),
        }
        at = at.saturating_add(stored);
    }
    Some(Ok(raw))
}

/// The accounts of an op that have the message now.
fn having(state: &Snapshot, add: &Add, id: MessageId) -> Result<Vec<Key>> {
    let mut accounts: Vec<AccountId> = add.targets.iter().map(|target| target.account).collect();
    accounts.sort_unstable();
    accounts.dedup();
    let keys = accounts.iter().map(|account| key::message(*account, id));
    let keys: Vec<Vec<u8>> = keys.collect();
    let mut having = Vec::new();
    state.look_all(TableName::Places, &keys, |at, _| {
        having.push(key_of(accounts[at], id));
        Ok(())
    })?;
    having.sort_unstable();
    Ok(having)
}

/// About one message alone.
pub(super) fn alone(key: Key) -> Rect {
    let position = key.id.position;
    let next = match key.id.number.checked_add(1) {
        Some(number) => TextId { number, ..key.id },
        None => TextId {
            position: position + 1,
            number: 0,
            ..key.id
        },
    };
    Rect {
        from: position.saturating_sub(1),
        to: position,
        low: key,
        high: Some(Key { id: next, ..key }),
    }
}

impl TextStore {
    /// Adds what an entry delivered to what waits.
    fn wait(&self, position: u64, texts: Vec<(Vec<Key>, MessageText)>, lost: &[Key]) {
        let mut state = self.change();
        state.waiting.add(position, texts);
        for key in lost {
            state.lose(alone(*key));
        }
    }

    /// Goes on behind entries that cannot be read; nothing waits.
    fn lose_behind(&self, rect: Rect) -> Result<()> {
        let mut state = self.change();
        state.lose(rect);
        state.followed = rect.to;
        state.waiting.begin_at(rect.to);
        self.save(&state)
    }

    /// Bytes that wait, in memory and spooled.
    fn waiting_bytes(&self, extractor: &Extractor) -> usize {
        let spooled = usize::try_from(extractor.spooled()).unwrap_or(usize::MAX);
        self.state().waiting.bytes().saturating_add(spooled)
    }

    /// Whether something has been waiting for so long.
    fn has_waited(&self, age: Duration) -> bool {
        self.state().waiting.age() >= age
    }

    /// Where its files are.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }
}
