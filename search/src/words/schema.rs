//! What tantivy is told of a message: its words, its name, and the columns that lead from a hit back to it.
//!
//! Promises: nothing of the text is stored but the words; no field norms, whose average would be that of all accounts.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use tantivy::IndexSettings;
use tantivy::schema::document::Document;
use tantivy::schema::{
    Field as Slot, IndexRecordOption, NumericOptions, Schema, TantivyDocument, TextFieldIndexing,
    TextOptions,
};
use tantivy::tokenizer::{TextAnalyzer, Token, TokenStream, Tokenizer, TokenizerManager};

use crate::limits::WORDS_WAITING_MAX;

/// Version of all that is kept: schema, terms, what counts as a word. What was made by another is made again.
pub const SCHEMA_VERSION: u32 = 1;

/// Stands between terms that a document hands in; no word has it.
pub(super) const BETWEEN: char = '\n';
const TERMS: &str = "terms";

/// Names of the columns of a message.
pub(super) const EPOCH: &str = "epoch";
pub(super) const POSITION: &str = "position";
pub(super) const NUMBER: &str = "number";
pub(super) const LENGTH: &str = "length";

/// The fields by their numbers.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    pub(super) schema: Schema,
    /// Account, and account with id: whose message it is and which.
    pub(super) keys: Slot,
    pub(super) bodies: Slot,
    pub(super) headers: Slot,
    pub(super) epoch: Slot,
    pub(super) position: Slot,
    pub(super) number: Slot,
    /// Words of the bodies.
    pub(super) length: Slot,
}

impl Fields {
    pub(super) fn new() -> Fields {
        let words = |option| {
            let indexing = TextFieldIndexing::default();
            let indexing = indexing.set_tokenizer(TERMS).set_fieldnorms(false);
            TextOptions::default().set_indexing_options(indexing.set_index_option(option))
        };
        let mut schema = Schema::builder();
        let keys = schema.add_text_field("keys", words(IndexRecordOption::Basic));
        let bodies = schema.add_text_field("bodies", words(IndexRecordOption::WithFreqs));
        let headers = schema.add_text_field("headers", words(IndexRecordOption::WithFreqs));
        let fast = || NumericOptions::default().set_fast();
        let epoch = schema.add_u64_field(EPOCH, fast());
        let position = schema.add_u64_field(POSITION, fast());
        let number = schema.add_u64_field(NUMBER, fast());
        let length = schema.add_u64_field(LENGTH, fast());
        Fields {
            schema: schema.build(),
            keys,
            bodies,
            headers,
            epoch,
            position,
            number,
            length,
        }
    }
}

/// How tantivy keeps what it stores beside the words, which is nothing.
pub(super) fn settings() -> IndexSettings {
    IndexSettings {
        docstore_compress_dedicated_thread: false,
        ..IndexSettings::default()
    }
}

pub(super) fn tokenizers() -> TokenizerManager {
    // With tantivy's own: it wants one by name for fields that are no text, too.
    let tokenizers = TokenizerManager::default();
    tokenizers.register(TERMS, TextAnalyzer::builder(Terms::default()).build());
    tokenizers
}

/// Takes terms apart: the first line stands before each of the others.
#[derive(Clone, Default)]
struct Terms {
    token: Token,
}

struct TermStream<'t> {
    account: &'t str,
    rest: Option<&'t str>,
    token: &'t mut Token,
}

impl Tokenizer for Terms {
    type TokenStream<'t> = TermStream<'t>;

    fn token_stream<'t>(&'t mut self, text: &'t str) -> TermStream<'t> {
        self.token.reset();
        let split = text.split_once(BETWEEN);
        TermStream {
            account: split.map_or(text, |(account, _)| account),
            rest: split.map(|(_, rest)| rest),
            token: &mut self.token,
        }
    }
}

impl TokenStream for TermStream<'_> {
    fn advance(&mut self) -> bool {
        let Some(rest) = self.rest else {
            return false;
        };
        let split = rest.split_once(BETWEEN);
        let word = split.map_or(rest, |(word, _)| word);
        self.rest = split.map(|(_, rest)| rest);
        self.token.text.clear();
        self.token.text.push_str(self.account);
        self.token.text.push_str(word);
        self.token.position = self.token.position.wrapping_add(1);
        true
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

/// A message on its way to the indexing thread.
pub(super) struct Waiting {
    pub(super) document: TantivyDocument,
    /// Freed when the message is indexed, or given up.
    pub(super) room: Taken,
}

impl Document for Waiting {
    type Value<'a> = <TantivyDocument as Document>::Value<'a>;
    type FieldsValuesIter<'a> = <TantivyDocument as Document>::FieldsValuesIter<'a>;

    fn iter_fields_and_values(&self) -> Self::FieldsValuesIter<'_> {
        self.document.iter_fields_and_values()
    }

    fn into_tantivy_document(self) -> TantivyDocument {
        let Waiting { document, room } = self;
        drop(room);
        document
    }
}

/// Room for messages that wait: the queue of tantivy counts messages, not bytes.
#[derive(Clone, Default)]
pub(super) struct Room(Arc<(Mutex<usize>, Condvar)>);

/// Bytes of it.
pub(super) struct Taken {
    room: Room,
    bytes: usize,
}

impl Room {
    /// Waits until there is room; a message alone always has it.
    pub(super) fn take(&self, bytes: usize) -> Taken {
        let (used, freed) = &*self.0;
        let mut used = used.lock().unwrap_or_else(PoisonError::into_inner);
        while *used > 0 && *used + bytes > WORDS_WAITING_MAX {
            used = freed.wait(used).unwrap_or_else(PoisonError::into_inner);
        }
        *used += bytes;
        Taken {
            room: self.clone(),
            bytes,
        }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        let (used, freed) = &*self.room.0;
        *used.lock().unwrap_or_else(PoisonError::into_inner) -= self.bytes;
        freed.notify_all();
    }
}
