//! Writes words: messages come and go, a commit makes them count, together with where in the journal that is.
//!
//! Promises: what was added and removed counts from a commit on, all of it or nothing; an id that is there is replaced; segments stay few, for
//! each commit merges what has become too many; memory is bounded (see `words`).
//! Never: goes on after an error. It is closed then, and made anew from the index, whose last commit stands.
//! A crash leaves: files that the last commit does not name; the next writer removes them.

use std::collections::HashSet;
use std::io;

use base64::Engine as _;
use tantivy::index::{SegmentComponent, SegmentId, SegmentMeta};
use tantivy::indexer::{IndexWriterOptions, NoMergePolicy};
use tantivy::schema::{TantivyDocument, Term};
use tantivy::{IndexWriter, TantivyError};

use crate::error::{Error, Result};
use crate::limits::{
    WORDS_CHANGES_MAX, WORDS_DISTINCT_MAX, WORDS_PAYLOAD_MAX, WORDS_TEXT_MAX, WORDS_WRITER_MEMORY,
};
use crate::text::TextId;

use super::ask::Field;
use super::directory::bytes_of;
use super::merge::{self, Candidate};
use super::read::Reader;
use super::schema::{BETWEEN, Room, Waiting};
use super::token::each_word;
use super::{BASE64, WordIndex, term, version};

/// Changes an index.
pub struct Writer {
    index: WordIndex,
    /// `None` after an error.
    writer: Option<IndexWriter<Waiting>>,
    reader: Reader,
    /// What was added since the last commit.
    added: HashSet<(u64, TextId)>,
    changes: usize,
    room: Room,
}

impl Writer {
    pub(super) fn new(index: WordIndex) -> Result<Writer> {
        let options = IndexWriterOptions::builder()
            .memory_budget_per_thread(WORDS_WRITER_MEMORY)
            .num_worker_threads(1)
            .num_merge_threads(1)
            .build();
        let trouble = &index.files.trouble;
        let writer = trouble.guard(|| {
            let writer = index.index.writer_with_options(options);
            writer.map_err(|error| trouble.error(error))
        })?;
        writer.set_merge_policy(Box::new(NoMergePolicy));
        trouble.guard(|| sweep(&index, &writer))?;
        let reader = index.reader()?;
        Ok(Writer {
            index,
            writer: Some(writer),
            reader,
            added: HashSet::new(),
            changes: 0,
            room: Room::default(),
        })
    }

    /// A reader that shows each commit as soon as it is done, and shares the writer's open files.
    pub fn reader(&self) -> Reader {
        self.reader.clone()
    }

    /// Changes since the last commit; [`WORDS_CHANGES_MAX`] are the most.
    pub fn changes(&self) -> usize {
        self.changes
    }

    /// Adds a message with its folded texts, in place of one with this id. Of all its texts together the first [`WORDS_TEXT_MAX`] bytes count, and
    /// [`WORDS_DISTINCT_MAX`] different words.
    ///
    /// # Errors
    /// `Io`: also when a commit is due. `Corrupt`.
    pub fn add(&mut self, account: u64, id: TextId, texts: &[(Field, &str)]) -> Result<()> {
        self.change(|index, writer, reader, added, room| {
            let (mut message, words) = terms(account, texts, index);
            let fields = &index.fields;
            message.add_u64(fields.epoch, u64::from(id.epoch));
            message.add_u64(fields.position, id.position);
            message.add_u64(fields.number, u64::from(id.number));
            message.add_u64(fields.length, words.count);
            let account_key = term::account(account);
            let id_key = term::id(id);
            let key = format!("{account_key}{id_key}");
            if !added.insert((account, id)) || is_there(reader, &key, id)? {
                writer.delete_term(Term::from_field_text(fields.keys, &key));
            }
            message.add_text(
                fields.keys,
                format!("{account_key}{BETWEEN}{BETWEEN}{id_key}"),
            );
            let message = Waiting {
                document: message,
                room: room.take(words.bytes),
            };
            let added = writer.add_document(message);
            added.map_err(|error| index.files.trouble.error(error))?;
            Ok(())
        })
    }

    /// Removes a message, if it is there.
    ///
    /// # Errors
    /// `Io`: also when a commit is due. `Corrupt`.
    pub fn remove(&mut self, account: u64, id: TextId) -> Result<()> {
        self.change(|index, writer, reader, added, _| {
            let key = format!("{}{}", term::account(account), term::id(id));
            if added.remove(&(account, id)) || is_there(reader, &key, id)? {
                writer.delete_term(Term::from_field_text(index.fields.keys, &key));
            }
            Ok(())
        })
    }

    /// Removes all messages of an account.
    ///
    /// # Errors
    /// `Io`: also when a commit is due. `Corrupt`.
    pub fn remove_account(&mut self, account: u64) -> Result<()> {
        self.change(|index, writer, _, added, _| {
            let key = term::account(account);
            writer.delete_term(Term::from_field_text(index.fields.keys, &key));
            added.retain(|(of, _)| *of != account);
            Ok(())
        })
    }

    /// Makes all changes count and durable, together with `payload`; then merges what has become too many.
    ///
    /// # Errors
    /// `Io`, `Corrupt`. Then either the commit before or this one is the last: [`WordIndex::payload`] of the opened index says which.
    pub fn commit(&mut self, payload: &[u8]) -> Result<()> {
        if payload.len() > WORDS_PAYLOAD_MAX {
            return Err(refused("the payload of a commit is too long"));
        }
        let payload = format!("{}{}", version(self.index.rules), BASE64.encode(payload));
        self.run(|index, writer, _| {
            let commit = |writer: &mut IndexWriter<Waiting>| {
                let mut prepared = writer.prepare_commit()?;
                prepared.set_payload(&payload);
                prepared.commit()
            };
            commit(writer).map_err(|error| index.files.trouble.error(error))?;
            Ok(())
        })?;
        self.added.clear();
        self.changes = 0;
        self.run(|index, writer, reader| {
            while let Some(chosen) = to_merge(index)? {
                merge(index, writer, &chosen)?;
            }
            sweep(index, writer)?;
            reader.refresh()
        })
    }

    /// Rewrites one segment that still has words of removed messages; says whether there are more.
    ///
    /// # Errors
    /// `Io`, `Corrupt`.
    pub fn purge_deleted(&mut self) -> Result<bool> {
        self.run(|index, writer, reader| {
            let metas = segments(index)?.into_iter();
            let dirty = metas.filter(SegmentMeta::has_deletes);
            let dirty: Vec<SegmentId> = dirty.map(|meta| meta.id()).collect();
            let Some((first, more)) = dirty.split_first() else {
                return Ok(false);
            };
            merge(index, writer, &[*first])?;
            sweep(index, writer)?;
            reader.refresh()?;
            Ok(!more.is_empty())
        })
    }

    /// Runs what changes the index; closes after an error.
    fn run<T>(
        &mut self,
        work: impl FnOnce(&WordIndex, &mut IndexWriter<Waiting>, &Reader) -> Result<T>,
    ) -> Result<T> {
        let writer = self.writer.as_mut();
        let writer = writer.ok_or_else(|| refused("the writer was closed by an error before"))?;
        let (index, reader) = (&self.index, &self.reader);
        let done = index.files.trouble.guard(|| work(index, writer, reader));
        if done.is_err() {
            self.writer = None;
        }
        done
    }

    fn change(
        &mut self,
        work: impl FnOnce(
            &WordIndex,
            &IndexWriter<Waiting>,
            &Reader,
            &mut HashSet<(u64, TextId)>,
            &Room,
        ) -> Result<()>,
    ) -> Result<()> {
        if self.changes >= WORDS_CHANGES_MAX {
            return Err(refused("too many changes without a commit"));
        }
        self.changes += 1;
        let mut added = std::mem::take(&mut self.added);
        let room = self.room.clone();
        let done = self.run(|index, writer, reader| work(index, writer, reader, &mut added, &room));
        self.added = added;
        done
    }
}

fn refused(why: &'static str) -> Error {
    Error::io("the word index")(io::Error::new(io::ErrorKind::InvalidInput, why))
}

/// What a message has of words.
#[derive(Default)]
struct Words {
    /// Of its bodies.
    count: u64,
    /// Of all its terms.
    bytes: usize,
}

/// The terms of a message's texts.
fn terms(account: u64, texts: &[(Field, &str)], index: &WordIndex) -> (TantivyDocument, Words) {
    let account = term::account(account);
    let (mut bodies, mut headers) = (account.clone(), account);
    let (start, mut words) = (bodies.len(), Words::default());
    let mut room = WORDS_TEXT_MAX;
    let mut known = Distinct::default();
    // Headers first: they are short, and no body takes their room.
    let order = texts.iter().filter(|(field, _)| *field != Field::Body);
    let order = order.chain(texts.iter().filter(|(field, _)| *field == Field::Body));
    for (field, text) in order {
        room -= each_word(text, room, &mut |word| {
            if !known.takes(&headers, &bodies, word) {
                return;
            }
            let to = match field.letter() {
                None => &mut bodies,
                Some(_) => &mut headers,
            };
            to.push(BETWEEN);
            to.extend(field.letter().map(char::from));
            to.push_str(word);
            words.count += u64::from(*field == Field::Body);
        });
    }
    words.bytes = bodies.len() + headers.len();
    let mut message = TantivyDocument::default();
    if bodies.len() > start {
        message.add_text(index.fields.bodies, bodies);
    }
    if headers.len() > start {
        message.add_text(index.fields.headers, headers);
    }
    (message, words)
}

/// Different words of a message, looked for only where there are so many words that they may be too many.
#[derive(Default)]
struct Distinct {
    words: usize,
    known: HashSet<String>,
}

impl Distinct {
    /// Whether a word counts, given those that do.
    fn takes(&mut self, headers: &str, bodies: &str, word: &str) -> bool {
        self.words += 1;
        if self.words <= WORDS_DISTINCT_MAX {
            return true;
        }
        if self.known.is_empty() {
            let headers = headers.split(BETWEEN).skip(1);
            let headers = headers.map(|word| word.get(1..).unwrap_or_default());
            let before = headers.chain(bodies.split(BETWEEN).skip(1));
            self.known = before.map(str::to_owned).collect();
        }
        if self.known.contains(word) {
            return true;
        }
        let is_room = self.known.len() < WORDS_DISTINCT_MAX;
        if is_room {
            self.known.insert(word.to_owned());
        }
        is_room
    }
}

/// Whether the last commit has a message: most that are added are new, and no deletion has to look for them then.
fn is_there(reader: &Reader, key: &str, id: TextId) -> Result<bool> {
    for segment in &reader.snapshot().segments {
        if segment.may_have(id.position)? && segment.get(&segment.keys, key.as_bytes())?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn segments(index: &WordIndex) -> Result<Vec<SegmentMeta>> {
    let metas = index.index.searchable_segment_metas();
    metas.map_err(|error| index.files.trouble.error(error))
}

fn to_merge(index: &WordIndex) -> Result<Option<Vec<SegmentId>>> {
    let metas = segments(index)?;
    let mut candidates = Vec::with_capacity(metas.len());
    for meta in &metas {
        let terms = meta.relative_path(SegmentComponent::Terms);
        let bytes = bytes_of(&index.files, &terms);
        candidates.push(Candidate {
            messages: meta.num_docs(),
            terms_bytes: bytes.map_err(|error| index.files.trouble.io(&error))?,
        });
    }
    let chosen = merge::choose(&candidates);
    let chosen = chosen.map(|chosen| chosen.into_iter().filter_map(|number| metas.get(number)));
    Ok(chosen.map(|chosen| chosen.map(SegmentMeta::id).collect()))
}

fn merge(index: &WordIndex, writer: &mut IndexWriter<Waiting>, chosen: &[SegmentId]) -> Result<()> {
    let merged: std::result::Result<_, TantivyError> = writer.merge(chosen).wait();
    merged.map_err(|error| index.files.trouble.error(error))?;
    Ok(())
}

/// Removes the files that no segment has any more: while tantivy merges, it takes those of the merged ones for still wanted.
fn sweep(index: &WordIndex, writer: &IndexWriter<Waiting>) -> Result<()> {
    let swept = writer.garbage_collect_files().wait();
    let swept = swept.map_err(|error| index.files.trouble.error(error))?;
    match swept.failed_to_delete_files.is_empty() {
        true => Ok(()),
        false => Err(refused(
            "files of words that were removed could not be deleted",
        )),
    }
}
