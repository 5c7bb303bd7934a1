//! What a search looks for in texts, and one pass over a message that finds all of it.
//!
//! Promises: every text is decoded and folded once a message, however much is looked for; a needle of any length is found wherever it
//! stands; the clock is looked at for each needle and piece.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use coldpost_search::fold::{collapse_onto, contains, fold, fold_collapsed};
use coldpost_search::text::{Ask, Kind as TextKind, TextId};

use super::by_words::{WordHits, Words};
use super::too_long;
use crate::error::{Error, Kind, Result};
use crate::limits::SEARCH_TEXTS_MAX;
use crate::mail::decode;
use crate::mail::part::Part;
use crate::mail::text::{Piece, Scope, texts};
use crate::query::{Query, WordsIn};

/// The folded texts that a planned query looks for in bodies, each once, in order.
#[derive(Clone, Default)]
pub(super) struct Needles {
    body: Vec<String>,
    text: Vec<String>,
    /// Names, and what is looked for in the values of such fields.
    fields: Vec<(String, String)>,
    pub(super) words: Words,
}

/// Which messages have which, as the text store says: in the order of [`Needles::asks`].
pub(super) struct StoreHits {
    needles: Needles,
    sets: Vec<BTreeSet<TextId>>,
    /// None where nobody was asked.
    words: Option<Arc<WordHits>>,
}

/// Which of them a message has.
pub(super) struct Hits<'n> {
    needles: &'n Needles,
    body: Vec<bool>,
    text: Vec<bool>,
    words: Vec<Option<f32>>,
}

impl Needles {
    /// # Errors
    /// `Limit` beyond [`SEARCH_TEXTS_MAX`].
    pub(super) fn of(query: &Query) -> Result<Needles> {
        let mut needles = Needles::default();
        let mut words = Vec::new();
        needles.collect(query, &mut words);
        needles.words = Words::of(words);
        for list in [&mut needles.body, &mut needles.text] {
            list.sort_unstable();
            list.dedup();
        }
        needles.fields.sort_unstable();
        needles.fields.dedup();
        let count =
            needles.body.len() + needles.text.len() + needles.fields.len() + needles.words.len();
        if count > SEARCH_TEXTS_MAX {
            let text = format!("a search looks for at most {SEARCH_TEXTS_MAX} different texts");
            return Err(Error::new(Kind::Limit, text));
        }
        Ok(needles)
    }

    fn collect(&mut self, query: &Query, words: &mut Vec<(WordsIn, String)>) {
        match query {
            Query::And(list) | Query::Or(list) => {
                list.iter().for_each(|q| self.collect(q, words));
            }
            Query::Not(inner) => self.collect(inner, words),
            Query::Fuzzy(place, text) => words.push((*place, text.clone())),
            Query::Body(needle) => self.body.push(needle.clone()),
            Query::Text(needle) => self.text.push(needle.clone()),
            Query::Header(name, needle) => self.fields.push((fold(name), needle.clone())),
            _ => {}
        }
    }

    /// What the text store is asked: for each text of bodies, of bodies and header, of fields.
    pub(super) fn asks(&self) -> Vec<Ask> {
        let body = self
            .body
            .iter()
            .map(|needle| Ask::any(TextKind::Body, needle));
        let text = self
            .text
            .iter()
            .flat_map(|needle| TextKind::ALL.map(|kind| Ask::any(kind, needle)));
        let fields = self
            .fields
            .iter()
            .map(|(name, needle)| Ask::field(name, needle));
        body.chain(text).chain(fields).collect()
    }

    /// What it answered.
    pub(super) fn hits(
        &self,
        sets: Vec<BTreeSet<TextId>>,
        words: Option<Arc<WordHits>>,
    ) -> StoreHits {
        StoreHits {
            needles: self.clone(),
            sets,
            words,
        }
    }

    /// Looks through a message.
    ///
    /// # Errors
    /// `Limit` after `deadline`.
    pub(super) fn find(&self, raw: &[u8], parts: &[Part], deadline: Instant) -> Result<Hits<'_>> {
        let mut body: Vec<bool> = self.body.iter().map(String::is_empty).collect();
        let mut text: Vec<bool> = self.text.iter().map(String::is_empty).collect();
        let in_body = [(&*self.body, &mut *body), (&*self.text, &mut *text)];
        pass(raw, parts, Scope::Body, in_body.into(), deadline)?;
        let in_header = [(&*self.text, &mut *text)];
        pass(raw, parts, Scope::Header, in_header.into(), deadline)?;
        Ok(Hits {
            needles: self,
            body,
            text,
            words: self.words.find(raw, parts, deadline)?,
        })
    }
}

impl Hits<'_> {
    /// Whether the message has what a BODY or TEXT key asks for.
    pub(super) fn answer(&self, query: &Query) -> bool {
        let (needles, hits, needle) = match query {
            Query::Body(needle) => (&self.needles.body, &self.body, needle),
            Query::Text(needle) => (&self.needles.text, &self.text, needle),
            Query::Fuzzy(place, text) => {
                let at = self.needles.words.number(*place, text);
                return at.is_some_and(|at| matches!(self.words.get(at), Some(Some(_))));
            }
            _ => return false,
        };
        let at = needles.binary_search(needle);
        at.is_ok_and(|at| hits.get(at) == Some(&true))
    }
}

impl Hits<'_> {
    /// How well it has all words that are asked for.
    pub(super) fn score(&self) -> f32 {
        self.words.iter().flatten().sum()
    }
}

impl StoreHits {
    /// How well a message has all words that are asked for.
    pub(super) fn score(&self, id: TextId) -> f32 {
        self.words.as_ref().map_or(0.0, |words| words.score(id))
    }

    /// Which messages of the account have which words.
    pub(super) fn words(&self) -> Option<Arc<WordHits>> {
        self.words.clone()
    }

    /// Whether a message has the text that a key asks for; `None`: it asks for none.
    pub(super) fn answer(&self, query: &Query, id: TextId) -> Option<bool> {
        let Needles {
            body, text, fields, ..
        } = &self.needles;
        let has = |number: usize| self.sets.get(number).is_some_and(|set| set.contains(&id));
        Some(match query {
            Query::Body(needle) | Query::Text(needle) if needle.is_empty() => true,
            Query::Body(needle) => body.binary_search(needle).is_ok_and(has),
            Query::Text(needle) => text.binary_search(needle).is_ok_and(|at| {
                let at = body.len() + 2 * at;
                has(at) || has(at + 1)
            }),
            Query::Fuzzy(place, text) => {
                let words = self.words.as_ref();
                words.is_some_and(|words| words.has(*place, text, id))
            }
            Query::Header(name, needle) => {
                let wanted = (fold(name), needle.clone());
                let at = fields.binary_search(&wanted);
                at.is_ok_and(|at| has(body.len() + 2 * text.len() + at))
            }
            _ => return None,
        })
    }
}

/// Marks what is found.
fn pass(
    raw: &[u8],
    parts: &[Part],
    scope: Scope,
    mut wanted: Vec<(&[String], &mut [bool])>,
    deadline: Instant,
) -> Result<()> {
    let open = |wanted: &[(&[String], &mut [bool])]| {
        let open = wanted.iter().flat_map(|(_, hits)| hits.iter());
        open.filter(|hit| !**hit).count()
    };
    if open(&wanted) == 0 {
        return Ok(());
    }
    let longest = wanted.iter().flat_map(|(n, _)| n.iter()).map(String::len);
    let mut stream = Stream::new(longest.max().unwrap_or(0));
    let mut late = false;
    // Why it ended is in `late`.
    let _ = texts(raw, parts, scope, &mut |piece| {
        stream.feed(piece);
        for (needles, hits) in &mut wanted {
            for (needle, hit) in needles.iter().zip(hits.iter_mut()) {
                *hit = *hit || contains(&stream.window, needle);
                late |= Instant::now() > deadline;
                if late {
                    return ControlFlow::Break(());
                }
            }
        }
        match open(&wanted) {
            0 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    if late { Err(too_long()) } else { Ok(()) }
}

/// The folded end of a text that comes in pieces, as far back as a needle may reach.
struct Stream {
    window: String,
    kept: usize,
}

impl Stream {
    fn new(longest: usize) -> Stream {
        Stream {
            window: String::new(),
            // One byte at least tells whether white space goes on.
            kept: longest.max(1),
        }
    }

    fn feed(&mut self, piece: Piece<'_>) {
        if piece.goes_on {
            let from = self.window.len().saturating_sub(self.kept);
            let from = (0..=from)
                .rev()
                .find(|&at| self.window.is_char_boundary(at));
            self.window.drain(..from.unwrap_or(0));
        } else {
            self.window.clear();
        }
        collapse_onto(&mut self.window, &fold(piece.text));
    }
}

/// Folded values of a message's fields, kept while the message is looked at.
#[derive(Default)]
pub(crate) struct FoldedFields {
    kept: Mutex<Vec<Folded>>,
}

struct Folded {
    name: String,
    values: Arc<[String]>,
}

impl FoldedFields {
    /// Whether a field `name` has the folded `needle`; `values` are asked for once a name.
    ///
    /// # Errors
    /// Those of `values`.
    pub(crate) fn has(
        &self,
        name: &str,
        needle: &str,
        values: impl FnOnce() -> Result<Vec<String>>,
    ) -> Result<bool> {
        let values = self.values(name, values)?;
        Ok(values.iter().any(|value| contains(value, needle)))
    }

    fn values(
        &self,
        name: &str,
        values: impl FnOnce() -> Result<Vec<String>>,
    ) -> Result<Arc<[String]>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folded) = kept.iter().find(|f| f.name.eq_ignore_ascii_case(name)) {
            return Ok(Arc::clone(&folded.values));
        }
        let values: Arc<[String]> = values()?
            .iter()
            .map(|value| fold_collapsed(value))
            .collect();
        kept.push(Folded {
            name: name.to_owned(),
            values: Arc::clone(&values),
        });
        Ok(values)
    }

    /// The same for the raw header of the message.
    pub(super) fn has_in(&self, header: &[u8], name: &str, needle: &str) -> bool {
        // A header at hand cannot fail.
        self.has(name, needle, || Ok(decode::header_text(header, name)))
            .unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limits::{SEARCH_SECONDS_MAX, TEXT_PIECE_MAX};
    use crate::mail::describe;

    fn hits(message: &str, queries: &[Query]) -> Vec<bool> {
        let query = crate::query::plan(&Query::Or(queries.to_vec()));
        let needles = Needles::of(&query).unwrap();
        let deadline = Instant::now() + Duration::from_secs(SEARCH_SECONDS_MAX);
        let raw = message.as_bytes();
        let hits = needles.find(raw, &describe(raw).parts, deadline).unwrap();
        let planned = queries.iter().map(crate::query::plan);
        planned.map(|query| hits.answer(&query)).collect()
    }

    #[test]
    fn a_needle_is_found_wherever_it_stands() {
        let long = "needle ".repeat(2_000);
        let spaced = format!("alpha{}omega", " ".repeat(6_000));
        for before in [
            0,
            TEXT_PIECE_MAX - 5_000,
            TEXT_PIECE_MAX - 1,
            TEXT_PIECE_MAX,
        ] {
            let filler = "é".repeat(before / 2);
            let message = format!("Subject: s\r\n\r\n{filler}{long}{spaced} end\r\n");
            let body = |needle: &str| Query::Body(needle.to_owned());
            let found = hits(
                &message,
                &[body(&long), body("Alpha OMEGA"), body("omegaend")],
            );
            assert_eq!(found, [true, true, false], "{before} bytes before");
        }
    }

    #[test]
    fn a_needle_is_not_found_across_two_texts() {
        let message = "Subject: one\r\nX: two\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nthree\r\n--b\r\n\r\nfour\r\n--b--\r\n";
        let text = |needle: &str| Query::Text(needle.to_owned());
        let found = hits(
            message,
            &[
                text("three four"),
                text("threefour"),
                text("one\nx: TWO"),
                text("four"),
            ],
        );
        assert_eq!(found, [false, false, false, true]);
    }

    #[test]
    fn an_empty_text_is_in_every_message() {
        let empty = [Query::Body(String::new()), Query::Text(String::new())];
        for message in ["", "Subject: x\r\n\r\n", "Content-Type: image/png\r\n\r\nx"] {
            assert_eq!(hits(message, &empty), [true, true], "{message:?}");
        }
    }

    #[test]
    fn too_many_texts_and_too_much_time_are_refused_and_not_half_answered() {
        let many = (0..=SEARCH_TEXTS_MAX).map(|n| Query::Text(n.to_string()));
        let refused = Needles::of(&Query::Or(many.collect())).map(|_| ());
        assert_eq!(refused.unwrap_err().kind(), Kind::Limit);
        let same = vec![Query::Text("A".to_owned()); 2 * SEARCH_TEXTS_MAX];
        let needles = Needles::of(&Query::Or(same)).unwrap();
        let raw = b"Subject: x\r\n\r\nbody\r\n";
        let late = needles
            .find(raw, &describe(raw).parts, Instant::now())
            .map(|_| ());
        assert_eq!(late.unwrap_err().kind(), Kind::Limit);
    }
}
