//! Words that a query asks for: what is asked of the word index, and of a message that it does not have.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Instant;

use coldpost_search::fold::{collapse_onto, fold};
use coldpost_search::limits::WORDS_TEXT_MAX;
use coldpost_search::text::TextId;
use coldpost_search::words::{Ask, Field, Fields, Fuzziness, look};

use super::too_long;
use crate::error::Result;
use crate::mail::part::Part;
use crate::mail::text::{Scope, texts};
use crate::query::WordsIn;
use crate::words::fields_of;

/// What is asked for, each once, in order.
#[derive(Clone, Default)]
pub(super) struct Words {
    keys: Vec<(WordsIn, String)>,
    asks: Vec<Ask>,
}

/// Which messages have which of them, and how well.
#[derive(Clone, Default)]
pub(super) struct WordHits {
    keys: Vec<(WordsIn, String)>,
    scores: Vec<BTreeMap<TextId, f32>>,
}

impl Words {
    pub(super) fn of(mut keys: Vec<(WordsIn, String)>) -> Words {
        keys.sort_unstable();
        keys.dedup();
        let asks = keys.iter().map(|(place, text)| ask(*place, text));
        Words {
            asks: asks.collect(),
            keys,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn asks(&self) -> &[Ask] {
        &self.asks
    }

    /// What the index answered, in the order of [`Words::asks`].
    pub(super) fn hits(&self, scores: Vec<BTreeMap<TextId, f32>>) -> WordHits {
        WordHits {
            keys: self.keys.clone(),
            scores,
        }
    }

    /// How well a message has each of them.
    ///
    /// # Errors
    /// `Limit` after `deadline`.
    pub(super) fn find(
        &self,
        raw: &[u8],
        parts: &[Part],
        deadline: Instant,
    ) -> Result<Vec<Option<f32>>> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let headers = folded(raw, parts, Scope::Header, deadline)?;
        let bodies = folded(raw, parts, Scope::Body, deadline)?;
        let mut texts = fields_of(&headers);
        texts.push((Field::Body, &bodies));
        Ok(self.asks.iter().map(|ask| look(ask, &texts)).collect())
    }

    /// Which key it is.
    pub(super) fn number(&self, place: WordsIn, text: &str) -> Option<usize> {
        number(&self.keys, place, text)
    }
}

impl WordHits {
    /// Whether a message has what a key asks for.
    pub(super) fn has(&self, place: WordsIn, text: &str, id: TextId) -> bool {
        let scores = number(&self.keys, place, text).and_then(|at| self.scores.get(at));
        scores.is_some_and(|scores| scores.contains_key(&id))
    }

    /// How well a message has all of them together.
    pub(super) fn score(&self, id: TextId) -> f32 {
        self.scores
            .iter()
            .filter_map(|scores| scores.get(&id))
            .sum()
    }
}

fn number(keys: &[(WordsIn, String)], place: WordsIn, text: &str) -> Option<usize> {
    let of = |(known, word): &(WordsIn, String)| (*known, word.as_str()).cmp(&(place, text));
    keys.binary_search_by(of).ok()
}

fn ask(place: WordsIn, text: &str) -> Ask {
    let fields = match place {
        WordsIn::Text => Fields::ALL,
        WordsIn::Body => Fields::BODIES,
        WordsIn::From => Fields::of(&[Field::From]),
        WordsIn::To => Fields::of(&[Field::To]),
        WordsIn::Cc => Fields::of(&[Field::Cc]),
        WordsIn::Bcc => Fields::of(&[Field::Bcc]),
        WordsIn::Subject => Fields::of(&[Field::Subject]),
    };
    Ask::new(text, fields, Fuzziness::ByLength)
}

/// The texts of a message, a line feed between two, as far as words of them are indexed.
fn folded(raw: &[u8], parts: &[Part], scope: Scope, deadline: Instant) -> Result<String> {
    let mut all = String::new();
    let mut late = false;
    // Why it ended is in `late`.
    let _ = texts(raw, parts, scope, &mut |piece| {
        if !piece.goes_on && !all.is_empty() {
            all.push('\n');
        }
        let mut folded = String::new();
        collapse_onto(&mut folded, &fold(piece.text));
        all.push_str(&folded);
        late = Instant::now() > deadline;
        match late || all.len() > WORDS_TEXT_MAX {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    if late { Err(too_long()) } else { Ok(all) }
}
