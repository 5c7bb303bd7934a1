//! Who matches, and how well: BM25 over the messages of the account.
//!
//! Promises: scores are made of counts of the account's messages that are there, added in an order that the question gives; so they are the same
//! to the last bit however the messages lie in segments, what was removed before, and whoever else is in the index.

use crate::error::{Error, Result};
use crate::text::TextId;

use super::ask::{Ask, Field, Hits, Patience};
use super::expand::{Nearness, Spelling, Vocabulary, expand};
use super::read::{Reader, Size, Snapshot};
use super::term;

/// How soon more of a word stops to matter (BM25).
const K1: f32 = 1.2;
/// How much long bodies are held back (BM25).
const B: f32 = 0.75;
/// What a word in a header field counts for: it says more about a message than one in its bodies.
const HEADER_WEIGHT: f32 = 2.0;

/// A message of a snapshot (segment, number in it) and what it has scored.
type Scored = (u64, f32);

impl Reader {
    /// The best `limit` messages of an account, and how many match.
    ///
    /// # Errors
    /// `Corrupt`, `Io`; `Late` when it is told so.
    pub fn ask(
        &self,
        account: u64,
        ask: &Ask,
        limit: usize,
        is_late: &mut dyn FnMut() -> bool,
    ) -> Result<Hits> {
        let mut hits = self.scores(account, ask, is_late)?;
        let total = hits.len();
        let best_first =
            |a: &(TextId, f32), b: &(TextId, f32)| b.1.total_cmp(&a.1).then(b.0.cmp(&a.0));
        if limit < total {
            if limit > 0 {
                hits.select_nth_unstable_by(limit - 1, best_first);
            }
            hits.truncate(limit);
        }
        hits.sort_unstable_by(best_first);
        Ok(Hits { total, hits })
    }

    /// All messages of an account that match, in their order, with their scores.
    ///
    /// # Errors
    /// `Corrupt`, `Io`; `Late` when it is told so.
    pub fn scores(
        &self,
        account: u64,
        ask: &Ask,
        is_late: &mut dyn FnMut() -> bool,
    ) -> Result<Vec<(TextId, f32)>> {
        let snapshot = self.snapshot();
        let mut patience = Patience::new(is_late);
        let patience = &mut patience;
        self.trouble().guard(|| {
            patience.ask()?;
            let found = scored(&snapshot, account, ask, patience)?;
            let mut scores = named(&snapshot, &found)?;
            scores.sort_unstable_by_key(|(id, _)| *id);
            Ok(scores)
        })
    }
}

/// By segment and number.
fn scored(
    snapshot: &Snapshot,
    account: u64,
    ask: &Ask,
    patience: &mut Patience<'_>,
) -> Result<Vec<Scored>> {
    let key = term::account(account);
    let vocabulary = Vocabulary {
        snapshot,
        account: &key,
        fields: ask.fields,
    };
    let size = snapshot.size(account, patience)?;
    if size.messages == 0 {
        return Ok(Vec::new());
    }
    let mut all: Option<Vec<Scored>> = None;
    for spellings in expand(&vocabulary, &ask.wanted, patience)? {
        let word = of_word(snapshot, size, &spellings, patience)?;
        let both = match all {
            None => word,
            Some(before) => in_both(&before, &word),
        };
        if both.is_empty() {
            return Ok(both);
        }
        all = Some(both);
    }
    Ok(all.unwrap_or_default())
}

/// Messages that have a word in one of the fields.
fn of_word(
    snapshot: &Snapshot,
    size: Size,
    spellings: &[(Nearness, Spelling)],
    patience: &mut Patience<'_>,
) -> Result<Vec<Scored>> {
    let mut sum = Vec::new();
    for field in Field::ALL {
        let mut found = of_field(snapshot, size, spellings, field, patience)?;
        let weight = rarity(size.messages, found.len()) * weight(field);
        for (_, score) in &mut found {
            *score *= weight;
        }
        sum = match sum.is_empty() {
            true => found,
            false => in_either(&sum, &found),
        };
    }
    Ok(sum)
}

/// Messages that have one of the spellings in a field; of several the best counts, so their order does not.
fn of_field(
    snapshot: &Snapshot,
    size: Size,
    spellings: &[(Nearness, Spelling)],
    field: Field,
    patience: &mut Patience<'_>,
) -> Result<Vec<Scored>> {
    let mut found: Vec<Scored> = Vec::new();
    let mut unique = 0;
    let average = size.words as f32 / size.messages as f32;
    for (nearness, spelling) in spellings {
        let near = closeness(*nearness);
        for place in spelling.places.iter().filter(|place| place.field == field) {
            let Some(segment) = snapshot.segments.get(place.segment) else {
                continue;
            };
            let columns = segment.columns()?;
            let address = u64::try_from(place.segment).unwrap_or(u64::MAX) << 32;
            segment.each(
                segment.words(field),
                &place.info,
                patience,
                &mut |doc, frequency| {
                    let length = match field {
                        Field::Body => columns.length(doc) as f32 / average,
                        _ => 1.0,
                    };
                    let frequency = frequency as f32;
                    let score = frequency * (K1 + 1.0) / (frequency + K1 * (1.0 - B + B * length));
                    found.push((address | u64::from(doc), near * score));
                },
            )?;
        }
        if found.len() > 4096 + unique * 2 {
            best_of_each(&mut found);
            unique = found.len();
        }
    }
    best_of_each(&mut found);
    Ok(found)
}

fn best_of_each(found: &mut Vec<Scored>) {
    found.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    found.dedup_by_key(|(address, _)| *address);
}

/// What a word in a field counts for.
pub(super) fn weight(field: Field) -> f32 {
    match field {
        Field::Body => 1.0,
        _ => HEADER_WEIGHT,
    }
}

/// How much of its score a spelling keeps.
pub(super) fn closeness(nearness: Nearness) -> f32 {
    match nearness {
        Nearness::Same => 1.0,
        Nearness::Longer => 0.75,
        Nearness::Edits(1) => 0.5,
        Nearness::Edits(_) => 0.25,
    }
}

/// What a word counts for that so many of the account's messages have.
fn rarity(messages: u64, having: usize) -> f32 {
    let (messages, having) = (messages as f64, having as f64);
    let rarity = (1.0 + (messages - having + 0.5) / (having + 0.5)).ln();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a logarithm needs no more digits than a score has"
    )]
    let rarity = rarity as f32;
    rarity
}

/// Both are in order; scores are added.
fn in_both(a: &[Scored], b: &[Scored]) -> Vec<Scored> {
    let mut both = Vec::with_capacity(a.len().min(b.len()));
    let mut rest = b.iter().peekable();
    for (address, score) in a {
        while rest.next_if(|(other, _)| other < address).is_some() {}
        if let Some((_, other)) = rest.next_if(|(other, _)| other == address) {
            both.push((*address, score + other));
        }
    }
    both
}

fn in_either(a: &[Scored], b: &[Scored]) -> Vec<Scored> {
    let mut all = Vec::with_capacity(a.len() + b.len());
    let mut rest = b.iter().peekable();
    for (address, score) in a {
        while let Some(other) = rest.next_if(|(other, _)| other < address) {
            all.push(*other);
        }
        let other = rest.next_if(|(other, _)| other == address);
        all.push((*address, score + other.map_or(0.0, |(_, other)| *other)));
    }
    all.extend(rest);
    all
}

/// The messages by their ids.
fn named(snapshot: &Snapshot, found: &[Scored]) -> Result<Vec<(TextId, f32)>> {
    let mut named = Vec::with_capacity(found.len());
    for of_segment in found.chunk_by(|a, b| a.0 >> 32 == b.0 >> 32) {
        let number = of_segment.first().map_or(0, |(address, _)| address >> 32);
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        let Some(segment) = snapshot.segments.get(number) else {
            continue;
        };
        let columns = segment.columns()?;
        for (address, score) in of_segment {
            let doc = u32::try_from(address & u64::from(u32::MAX)).unwrap_or(u32::MAX);
            let id = columns.id(doc);
            let id =
                id.ok_or_else(|| Error::corrupt("the word index", 0, "a message has no id"))?;
            named.push((id, *score));
        }
    }
    Ok(named)
}
