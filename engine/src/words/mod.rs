//! The words of a shard's messages, so that a search can rank, and find what is spelled nearly so (`docs/search.md`).
//!
//! The way of a word: `keep` reads the text store, which follows the journal, and writes the index of `coldpost_search::words`; `covers` says in
//! each commit which messages it has.
//! Promises: exact search neither needs nor notices it; what is damaged is set aside and made again. Of a message that it does not have, a search
//! reads the message. A crash leaves: the commit before or the one after.
//! Losing all of it costs time.

mod covers;
mod files;
mod keep;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use coldpost_search::text::{Key, TextId};
use coldpost_search::words::{Ask, Fields, Reader, Suggested, WordIndex, Writer};
use coldpost_tiers::disk::{Disk, failed};
use coldpost_tiers::segment::Lineage;

use crate::error::{Error, Kind, Result};
use crate::ids::AccountId;
use crate::text::RULES;
use covers::Covers;
use files::WordFiles;
pub(crate) use keep::{WordKeeper, fields_of};

/// The word index of one shard.
pub(crate) struct WordStore {
    dir: PathBuf,
    files: Arc<WordFiles>,
    lineage: Lineage,
    state: RwLock<State>,
    /// While something is written.
    writer: Mutex<Option<Writer>>,
}

#[derive(Default)]
struct State {
    /// None until the first message is indexed, and after damage.
    index: Option<(WordIndex, Reader)>,
    covers: Covers,
    /// Another one each time that it is made anew or set aside.
    generation: u64,
}

/// The index as it was at a moment.
pub(crate) struct WordView {
    account: u64,
    generation: u64,
    reader: Option<Reader>,
    covers: Covers,
}

/// Figures for people.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) followed: u64,
    pub(crate) lost: usize,
    pub(crate) messages: u64,
    pub(crate) segments: usize,
    pub(crate) bytes: u64,
}

impl WordStore {
    /// Opens what is there; what cannot be used will be made again.
    ///
    /// # Errors
    /// `Unavailable` when the disk refuses.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        shard_dir: &Path,
        lineage: Lineage,
    ) -> Result<WordStore> {
        let dir = shard_dir.join("words");
        disk.create_dir(&dir).map_err(|e| failed("make", &dir, e))?;
        let store = WordStore {
            files: Arc::new(WordFiles::new(disk, dir.clone())),
            dir,
            lineage,
            state: RwLock::default(),
            writer: Mutex::new(None),
        };
        match store.read() {
            Ok(Some(state)) => *store.change() = state,
            Ok(None) => {}
            Err(e) => tracing::warn!(
                shard = lineage.shard.0,
                "{}: {e}; words are taken out of texts again",
                store.dir.display()
            ),
        }
        Ok(store)
    }

    fn read(&self) -> std::result::Result<Option<State>, coldpost_search::Error> {
        if !WordIndex::is_there(&*self.files)? {
            return Ok(None);
        }
        let index = WordIndex::open(Arc::clone(&self.files) as _, RULES)?;
        let payload = index.payload()?.unwrap_or_default();
        // One of another history says nothing.
        let Ok(covers) = Covers::decode(&payload, self.lineage) else {
            return Ok(None);
        };
        let reader = index.reader()?;
        let index = Some((index, reader));
        Ok(Some(State {
            index,
            covers,
            generation: 1,
        }))
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn writing(&self) -> std::sync::MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is of an account now, made of a text store of this line.
    pub(crate) fn view(&self, account: AccountId, line: u64) -> WordView {
        let state = self.state();
        let index = state.index.as_ref();
        let index = index.filter(|_| state.covers.line == line);
        WordView {
            account: account.0,
            generation: state.generation,
            covers: match index {
                Some(_) => state.covers.clone(),
                None => Covers::default(),
            },
            reader: index.map(|(_, reader)| reader.clone()),
        }
    }

    /// Figures for people.
    pub(crate) fn standing(&self) -> Standing {
        let state = self.state();
        let index = state.index.as_ref();
        Standing {
            followed: state.covers.followed,
            lost: state.covers.lost.len(),
            messages: index.map_or(0, |(_, reader)| reader.messages()),
            segments: index.map_or(0, |(_, reader)| reader.segments()),
            bytes: self.files.bytes(),
        }
    }

    /// Reads and compares everything; what is damaged is set aside, and told.
    pub(crate) fn check(&self) -> Option<String> {
        let (index, generation) = {
            let state = self.state();
            let index = state.index.as_ref().map(|(index, _)| index.clone());
            (index?, state.generation)
        };
        let e = index.check().err()?;
        self.set_aside(generation, &e);
        Some(format!("{}: {e}", self.dir.display()))
    }

    /// An index that cannot be read does not count any more, unless it is another one by now.
    pub(crate) fn set_aside(&self, generation: u64, why: &coldpost_search::Error) {
        let mut state = self.change();
        if state.generation != generation || state.index.is_none() {
            return;
        }
        tracing::error!(
            shard = self.lineage.shard.0,
            "{}: {why}; words are taken out of texts again",
            self.dir.display()
        );
        crate::metrics::words_set_aside();
        *state = State {
            generation: generation + 1,
            ..State::default()
        };
    }
}

impl WordView {
    /// Of which index it is.
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether it has a message.
    pub(crate) fn has(&self, id: TextId) -> bool {
        let account = self.account;
        self.reader.is_some() && self.covers.has(Key { account, id })
    }

    /// All messages that have the words, and how well; damage is told.
    pub(crate) fn scores(
        &self,
        ask: &Ask,
        is_late: &mut dyn FnMut() -> bool,
    ) -> std::result::Result<BTreeMap<TextId, f32>, coldpost_search::Error> {
        let Some(reader) = &self.reader else {
            return Ok(BTreeMap::new());
        };
        let scores = reader.scores(self.account, ask, is_late)?;
        Ok(scores.into_iter().collect())
    }

    /// Words of the account spelled nearly so, that messages have.
    pub(crate) fn suggest(
        &self,
        word: &str,
        most: usize,
        is_late: &mut dyn FnMut() -> bool,
    ) -> std::result::Result<Vec<Suggested>, coldpost_search::Error> {
        match &self.reader {
            Some(reader) => reader.suggest(self.account, word, Fields::ALL, most, is_late),
            None => Ok(Vec::new()),
        }
    }
}

/// An error of the word index as one of ours.
pub(crate) fn of_words(error: coldpost_search::Error) -> Error {
    let kind = match error {
        coldpost_search::Error::Corrupt { .. } => Kind::Corrupt,
        coldpost_search::Error::Late => Kind::Limit,
        coldpost_search::Error::Io { .. } => Kind::Unavailable,
    };
    Error::with_source(kind, format!("the word index: {error}"), error)
}

#[cfg(test)]
mod tests;
