//! The last commit, opened: its segments, and the way from a hit to its message.
//!
//! Promises: a question sees one commit from its beginning to its end; segments that a refresh finds again stay open as they are.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use tantivy::directory::{Directory, META_LOCK};
use tantivy::fastfield::Column;
use tantivy::index::{InvertedIndexReader, SegmentId};
use tantivy::postings::{BlockSegmentPostings, TermInfo};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocId, SegmentReader, TantivyError};

use crate::error::{Error, Result};
use crate::limits::{WORDS_ACCOUNTS_MAX, WORDS_COLUMNS_MAX};
use crate::text::TextId;

use super::ask::{Field, Patience};
use super::fault::Trouble;
use super::{WordIndex, schema, term};

/// Asks of the last commit that was there when it was made or refreshed. Clones share it.
#[derive(Clone)]
pub struct Reader(Arc<Inner>);

struct Inner {
    index: WordIndex,
    current: RwLock<Arc<Snapshot>>,
}

impl Reader {
    pub(super) fn new(index: WordIndex) -> Result<Reader> {
        let snapshot = Snapshot::load(&index, None)?;
        Ok(Reader(Arc::new(Inner {
            index,
            current: RwLock::new(Arc::new(snapshot)),
        })))
    }

    /// From now on answers are of the last commit.
    ///
    /// # Errors
    /// `Corrupt`, `Io`; then it is as it was.
    pub fn refresh(&self) -> Result<()> {
        let snapshot = Snapshot::load(&self.0.index, Some(&self.snapshot()))?;
        let mut current = self.0.current.write();
        let current = current.as_mut();
        match current {
            Ok(current) => **current = Arc::new(snapshot),
            Err(poisoned) => **poisoned.get_mut() = Arc::new(snapshot),
        }
        Ok(())
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        let current = self.0.current.read();
        current.unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn trouble(&self) -> &Trouble {
        &self.0.index.files.trouble
    }

    /// Segments of the commit: what a question costs grows with them.
    pub fn segments(&self) -> usize {
        self.snapshot().segments.len()
    }

    /// Messages in the index, of all accounts.
    pub fn messages(&self) -> u64 {
        let snapshot = self.snapshot();
        let messages = snapshot.segments.iter();
        messages
            .map(|segment| u64::from(segment.reader.num_docs()))
            .sum()
    }
}

/// A commit.
pub(super) struct Snapshot {
    pub(super) segments: Vec<Arc<Segment>>,
    /// Messages of accounts and words of their bodies, for those that were asked about.
    sizes: Mutex<HashMap<u64, Size>>,
}

/// What an account has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    pub(super) messages: u64,
    pub(super) words: u64,
}

impl Snapshot {
    pub(super) fn load(index: &WordIndex, before: Option<&Snapshot>) -> Result<Snapshot> {
        let trouble = &index.files.trouble;
        trouble.guard(|| {
            let load = || -> tantivy::Result<Vec<Arc<Segment>>> {
                // While this is held no file goes away.
                let lock = index.index.directory().acquire_lock(&META_LOCK);
                let _lock = lock.map_err(|error| TantivyError::LockFailure(error, None))?;
                let known = before.iter().flat_map(|before| &before.segments);
                let known: HashMap<_, _> = known.map(|known| (known.name(), known)).collect();
                let mut segments = Vec::new();
                for segment in index.index.searchable_segments()? {
                    let name = (segment.id(), segment.meta().delete_opstamp());
                    segments.push(match known.get(&name) {
                        Some(known) => Arc::clone(known),
                        None => Arc::new(Segment::open(index, SegmentReader::open(&segment)?)?),
                    });
                }
                Ok(segments)
            };
            let segments = load().map_err(|error| trouble.error(error))?;
            Ok(Snapshot {
                segments,
                sizes: Mutex::default(),
            })
        })
    }

    /// What an account has in this commit.
    pub(super) fn size(&self, account: u64, patience: &mut Patience<'_>) -> Result<Size> {
        let sizes = || self.sizes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(size) = sizes().get(&account) {
            return Ok(*size);
        }
        let key = term::account(account);
        let mut size = Size::default();
        for segment in &self.segments {
            let Some(info) = segment.get(&segment.keys, key.as_bytes())? else {
                continue;
            };
            let columns = segment.columns()?;
            segment.each(&segment.keys, &info, patience, &mut |doc, _| {
                size.messages += 1;
                size.words += columns.length(doc);
            })?;
        }
        let mut sizes = sizes();
        if sizes.len() >= WORDS_ACCOUNTS_MAX {
            sizes.clear();
        }
        sizes.insert(account, size);
        Ok(size)
    }
}

/// A segment that is open.
pub(super) struct Segment {
    reader: SegmentReader,
    delete_opstamp: Option<u64>,
    pub(super) keys: Arc<InvertedIndexReader>,
    bodies: Arc<InvertedIndexReader>,
    headers: Arc<InvertedIndexReader>,
    columns: OnceLock<Columns>,
    range: OnceLock<(u64, u64)>,
    /// Bytes of columns of all segments that are kept.
    kept: Arc<AtomicUsize>,
    trouble: Trouble,
}

impl Segment {
    fn open(index: &WordIndex, reader: SegmentReader) -> tantivy::Result<Segment> {
        let fields = &index.fields;
        Ok(Segment {
            delete_opstamp: reader.delete_opstamp(),
            keys: reader.inverted_index(fields.keys)?,
            bodies: reader.inverted_index(fields.bodies)?,
            headers: reader.inverted_index(fields.headers)?,
            reader,
            columns: OnceLock::new(),
            range: OnceLock::new(),
            kept: Arc::clone(&index.kept),
            trouble: index.files.trouble.clone(),
        })
    }

    fn name(&self) -> (SegmentId, Option<u64>) {
        (self.reader.segment_id(), self.delete_opstamp)
    }

    /// Where the words of a field are.
    pub(super) fn words(&self, field: Field) -> &Arc<InvertedIndexReader> {
        match field {
            Field::Body => &self.bodies,
            _ => &self.headers,
        }
    }

    /// Whether some of its messages were removed: then what its dictionaries count is too much.
    pub(super) fn has_removed(&self) -> bool {
        self.reader.has_deletes()
    }

    pub(super) fn get(&self, words: &InvertedIndexReader, term: &[u8]) -> Result<Option<TermInfo>> {
        words
            .terms()
            .get(term)
            .map_err(|error| self.trouble.io(&error))
    }

    pub(super) fn io(&self, error: &std::io::Error) -> Error {
        self.trouble.io(error)
    }

    /// Tells the messages that have a term, and how often.
    pub(super) fn each(
        &self,
        words: &InvertedIndexReader,
        info: &TermInfo,
        patience: &mut Patience<'_>,
        hit: &mut dyn FnMut(DocId, u32),
    ) -> Result<()> {
        let option = IndexRecordOption::WithFreqs;
        let postings = words.read_block_postings_from_terminfo(info, option);
        let mut postings: BlockSegmentPostings =
            postings.map_err(|error| self.trouble.io(&error))?;
        let alive = self.reader.alive_bitset();
        while postings.block_len() > 0 {
            patience.step(postings.block_len())?;
            for at in 0..postings.block_len() {
                let doc = postings.doc(at);
                if alive.is_none_or(|alive| alive.is_alive(doc)) {
                    hit(doc, postings.freq(at));
                }
            }
            postings.advance();
        }
        Ok(())
    }

    /// How many messages have a term.
    pub(super) fn count(
        &self,
        words: &InvertedIndexReader,
        info: &TermInfo,
        patience: &mut Patience<'_>,
    ) -> Result<u64> {
        if !self.has_removed() {
            return Ok(u64::from(info.doc_freq));
        }
        let mut count = 0;
        self.each(words, info, patience, &mut |_, _| count += 1)?;
        Ok(count)
    }

    /// Its columns: kept while those of all segments are few, else read for this question.
    pub(super) fn columns(&self) -> Result<Columns> {
        if let Some(columns) = self.columns.get() {
            return Ok(columns.clone());
        }
        let columns = Columns::read(&self.reader);
        let (columns, bytes) = columns.map_err(|error| self.trouble.error(error))?;
        let before = self.kept.fetch_add(bytes, Ordering::Relaxed);
        let is_first =
            before + bytes <= WORDS_COLUMNS_MAX && self.columns.set(columns.clone()).is_ok();
        if !is_first {
            self.kept.fetch_sub(bytes, Ordering::Relaxed);
        }
        Ok(columns)
    }

    /// Whether it may have a message of this position.
    pub(super) fn may_have(&self, position: u64) -> Result<bool> {
        let range = match self.range.get() {
            Some(range) => *range,
            None => {
                let positions = self.reader.fast_fields().u64(schema::POSITION);
                let positions = positions.map_err(|error| self.trouble.error(error))?;
                *self
                    .range
                    .get_or_init(|| (positions.min_value(), positions.max_value()))
            }
        };
        Ok(range.0 <= position && position <= range.1)
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if let Some(columns) = self.columns.get() {
            self.kept.fetch_sub(columns.bytes, Ordering::Relaxed);
        }
    }
}

/// The columns of a segment.
#[derive(Clone)]
pub(super) struct Columns {
    epoch: Column<u64>,
    position: Column<u64>,
    number: Column<u64>,
    length: Column<u64>,
    bytes: usize,
}

impl Columns {
    fn read(reader: &SegmentReader) -> tantivy::Result<(Columns, usize)> {
        let fast = reader.fast_fields();
        let names = [
            schema::EPOCH,
            schema::POSITION,
            schema::NUMBER,
            schema::LENGTH,
        ];
        let mut bytes = 0_usize;
        for name in names {
            let column = fast.column_num_bytes(name)?.get_bytes();
            bytes = bytes.saturating_add(usize::try_from(column).unwrap_or(usize::MAX));
        }
        let columns = Columns {
            epoch: fast.u64(schema::EPOCH)?,
            position: fast.u64(schema::POSITION)?,
            number: fast.u64(schema::NUMBER)?,
            length: fast.u64(schema::LENGTH)?,
            bytes,
        };
        Ok((columns, bytes))
    }

    /// Words of the bodies.
    pub(super) fn length(&self, doc: DocId) -> u64 {
        self.length.first(doc).unwrap_or(0)
    }

    /// Which message it is; `None`: that is none.
    pub(super) fn id(&self, doc: DocId) -> Option<TextId> {
        Some(TextId {
            epoch: u32::try_from(self.epoch.first(doc)?).ok()?,
            position: self.position.first(doc)?,
            number: u16::try_from(self.number.first(doc)?).ok()?,
        })
    }
}
