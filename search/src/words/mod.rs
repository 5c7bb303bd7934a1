//! The word index: which messages have which words, ranked, with spellings nearby (`docs/search.md`, `docs/format.md`).
//!
//! The way of a text: `token` (words) → `write` (terms of an account, commits, merges) → `read` (the last commit, opened) → `expand` (which
//! words of the account are meant) → `score`; `suggest` completes and corrects. Below: `schema`, `directory`, `block`, `files`.
//! Promises: what is asked of an account is answered from its own messages alone, bit for bit, whoever else is in the index; a kill leaves the
//! commit before or the one after; damage is told as `Corrupt`, and then the index is to be made again ([`WordIndex::create`]).
//! Never: decides what exact search finds; knows where files are, what a mailbox is, or who may see what; reads a clock; starts a timer.
//!
//! Memory: a writer has 15 MB for words (tantivy's least), [`WORDS_WAITING_MAX`](crate::limits::WORDS_WAITING_MAX) of messages on their way to it, 40 bytes
//! for each message that was added since the last commit and 900 for each that was removed or replaced
//! ([`WORDS_CHANGES_MAX`](crate::limits::WORDS_CHANGES_MAX)), three threads, and while it merges the packed dictionaries of what is merged
//! ([`WORDS_MERGE_TERMS_MAX`](crate::limits::WORDS_MERGE_TERMS_MAX)) and their columns. A reader has for each segment one bit a message where some were removed,
//! the first keys of the dictionaries' blocks and one block for each of six or seven open files; for all of them together
//! [`WORDS_COLUMNS_MAX`](crate::limits::WORDS_COLUMNS_MAX) of columns. A question takes 48 bytes for each message of the account that has one of its words,
//! [`WORDS_WALK`](crate::limits::WORDS_WALK) terms of each dictionary that it walks through, and up to 1.8 MB for each fuzzy word.

mod ask;
mod block;
mod directory;
mod expand;
mod fault;
mod files;
mod look;
mod merge;
mod read;
mod schema;
mod score;
mod suggest;
mod term;
mod token;
mod write;

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use tantivy::Index;

use crate::error::{Error, Result};

pub use ask::{Ask, Field, Fields, Fuzziness, Hits};
pub use files::{Files, NewFile, OpenFile};
pub use look::look;
pub use read::Reader;
pub use schema::SCHEMA_VERSION;
pub use suggest::Suggested;
pub use token::words_of;
pub use write::Writer;

use directory::WordFiles;

/// An opened index.
#[derive(Clone)]
pub struct WordIndex {
    index: Index,
    files: WordFiles,
    fields: Arc<schema::Fields>,
    rules: u32,
    /// Bytes of columns that are kept.
    kept: Arc<AtomicUsize>,
}

impl WordIndex {
    /// Whether there is one.
    ///
    /// # Errors
    /// `Io`.
    pub fn is_there(files: &dyn Files) -> Result<bool> {
        directory::is_there(files).map_err(Error::io("the word index"))
    }

    /// Makes an empty index in place of whatever is there. `rules` is the version of the rules by which texts were taken out of messages.
    ///
    /// # Errors
    /// `Io`.
    pub fn create(files: Arc<dyn Files>, rules: u32) -> Result<WordIndex> {
        directory::clear(&*files).map_err(Error::io("the word index"))?;
        WordIndex::over(files, rules, |files, fields| {
            let schema = fields.schema.clone();
            Index::create(files, schema, schema::settings())
        })
    }

    /// Opens what is there.
    ///
    /// # Errors
    /// `Corrupt` when it is damaged, not there, or made by other rules or another version: [`WordIndex::create`] makes it anew. `Io`.
    pub fn open(files: Arc<dyn Files>, rules: u32) -> Result<WordIndex> {
        let index = WordIndex::over(files, rules, |files, _| Index::open(files))?;
        if index.index.schema() != index.fields.schema {
            return Err(Error::corrupt("the word index", 0, "it has another schema"));
        }
        index.payload()?;
        // Opens every file that counts: what is missing or cut short is known now.
        index.reader()?;
        Ok(index)
    }

    fn over(
        files: Arc<dyn Files>,
        rules: u32,
        open: impl FnOnce(WordFiles, &schema::Fields) -> tantivy::Result<Index>,
    ) -> Result<WordIndex> {
        let files = WordFiles::new(files).map_err(Error::io("the word index"))?;
        let fields = Arc::new(schema::Fields::new());
        let trouble = files.trouble.clone();
        trouble.guard(|| {
            let opened = open(files.clone(), &fields);
            let mut index = opened.map_err(|error| trouble.error(error))?;
            index.set_tokenizers(schema::tokenizers());
            Ok(WordIndex {
                index,
                files,
                fields,
                rules,
                kept: Arc::default(),
            })
        })
    }

    /// What the last commit had; `None` before the first.
    ///
    /// # Errors
    /// `Corrupt` also when other rules or another version made it; `Io`.
    pub fn payload(&self) -> Result<Option<Vec<u8>>> {
        let trouble = &self.files.trouble;
        trouble.guard(|| {
            let meta = self.index.load_metas();
            let meta = meta.map_err(|error| trouble.error(error))?;
            let Some(payload) = meta.payload else {
                return Ok(None);
            };
            let damaged = |found| Error::corrupt("the word index", 0, found);
            let kept = payload.strip_prefix(&version(self.rules));
            let kept = kept.ok_or_else(|| damaged("it was made by other rules"))?;
            let bytes = BASE64.decode(kept);
            bytes.map(Some).map_err(|_| damaged("its payload is none"))
        })
    }

    /// Reads and compares every block of every file that counts.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn check(&self) -> Result<()> {
        let trouble = &self.files.trouble;
        for path in self.counting()? {
            match self.files.check(&path) {
                // A merge took it away meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                ended => ended.map_err(|error| trouble.io(&error))?,
            }
        }
        Ok(())
    }

    /// Files of the last commit.
    fn counting(&self) -> Result<BTreeSet<PathBuf>> {
        let trouble = &self.files.trouble;
        trouble.guard(|| {
            let meta = self.index.load_metas();
            let meta = meta.map_err(|error| trouble.error(error))?;
            let mut there = self.files.names().map_err(|error| trouble.io(&error))?;
            let ids = meta.segments.iter().map(|segment| segment.id());
            let ids: Vec<String> = ids.map(|id| id.uuid_string()).collect();
            // That none of them is missing was known when they were opened.
            there.retain(|path| {
                let stem = path.to_string_lossy();
                ids.iter().any(|id| stem.starts_with(id.as_str()))
            });
            Ok(there)
        })
    }

    /// Who writes; one at a time.
    ///
    /// # Errors
    /// `Corrupt`, `Io`: also when there is one already.
    pub fn writer(&self) -> Result<Writer> {
        Writer::new(self.clone())
    }

    /// Who asks, of the last commit.
    ///
    /// # Errors
    /// `Corrupt`, `Io`.
    pub fn reader(&self) -> Result<Reader> {
        Reader::new(self.clone())
    }
}

/// What a payload begins with.
fn version(rules: u32) -> String {
    format!("{SCHEMA_VERSION} {rules} ")
}

#[cfg(test)]
mod tests;
