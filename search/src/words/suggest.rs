//! Words of an account for who types: how one goes on, and what may have been meant.

use crate::error::Result;
use crate::fold::fold;
use crate::limits::WORDS_SPELLINGS_MAX;

use super::ask::{Fields, Fuzziness, Patience};
use super::expand::{Best, Near, Nearness, Vocabulary};
use super::read::Reader;
use super::term;
use super::token::words_of;

/// A word of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggested {
    /// Folded.
    pub word: String,
    /// Messages of the account that have it; one that has it in two of the fields counts twice.
    pub count: u64,
    /// Edits between it and what was asked; 0 for a word that goes on.
    pub edits: u8,
}

impl Reader {
    /// The words of an account that begin so, most frequent first, at most [`WORDS_SPELLINGS_MAX`]. Of a text its last word counts.
    ///
    /// # Errors
    /// `Corrupt`, `Io`; `Late` when it is told so.
    pub fn complete(
        &self,
        account: u64,
        prefix: &str,
        fields: Fields,
        most: usize,
        is_late: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<Suggested>> {
        let Some(prefix) = words_of(&fold(prefix)).pop() else {
            return Ok(Vec::new());
        };
        let any = |_: &[u8]| Some(Nearness::Same);
        self.suggested(account, (&prefix, fields), &any, most, is_late)
    }

    /// The words of an account nearest to one, at most two edits away, of equally near ones the most frequent first; the word itself too.
    ///
    /// # Errors
    /// `Corrupt`, `Io`; `Late` when it is told so.
    pub fn suggest(
        &self,
        account: u64,
        word: &str,
        fields: Fields,
        most: usize,
        is_late: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<Suggested>> {
        let Some(word) = words_of(&fold(word)).pop() else {
            return Ok(Vec::new());
        };
        let edits = Fuzziness::ByLength.edits(word.chars().count());
        let near = Near::new(&word, edits);
        let nearness = |word: &[u8]| near.distance(word).map(Nearness::Edits);
        let beginning = if edits == 0 { word.as_str() } else { "" };
        self.suggested(account, (beginning, fields), &nearness, most, is_late)
    }

    fn suggested(
        &self,
        account: u64,
        (beginning, fields): (&str, Fields),
        nearness: &dyn Fn(&[u8]) -> Option<Nearness>,
        most: usize,
        is_late: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<Suggested>> {
        let most = most.min(WORDS_SPELLINGS_MAX);
        if most == 0 {
            return Ok(Vec::new());
        }
        let snapshot = self.snapshot();
        let mut patience = Patience::new(is_late);
        let patience = &mut patience;
        self.trouble().guard(|| {
            patience.ask()?;
            let vocabulary = Vocabulary {
                snapshot: &snapshot,
                account: &term::account(account),
                fields,
            };
            let mut best = Best::new(most);
            let is_meant = |word: &[u8]| nearness(word).is_some();
            vocabulary.walk(beginning, &is_meant, patience, &mut |spelling| {
                if let Some(near) = nearness(spelling.word.as_bytes()) {
                    best.offer(near, spelling);
                }
            })?;
            let suggested = best.sorted().into_iter().map(|(near, spelling)| Suggested {
                word: spelling.word,
                count: spelling.count,
                edits: match near {
                    Nearness::Edits(edits) => edits,
                    Nearness::Same | Nearness::Longer => 0,
                },
            });
            Ok(suggested.collect())
        })
    }
}
