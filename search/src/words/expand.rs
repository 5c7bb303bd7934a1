//! Which words of an account are meant: those spelled so, those that begin so, those nearby.
//!
//! Promises: only the account's part of a dictionary is walked, some terms at a time; what is found depends on the account's messages alone, not on
//! how they lie in segments. Words that only removed messages have are not found.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::rc::Rc;
use std::sync::OnceLock;

use levenshtein_automata::{DFA, Distance, LevenshteinAutomatonBuilder, SINK_STATE};
use tantivy::index::InvertedIndexReader;
use tantivy::postings::TermInfo;

use crate::error::Result;
use crate::limits::{WORDS_SPELLINGS_MAX, WORDS_WALK};

use super::ask::{Field, Fields, Patience, Wanted};
use super::read::{Segment, Snapshot};
use super::term;

/// How a spelling came to be meant, nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Nearness {
    Same,
    Longer,
    /// So many edits away.
    Edits(u8),
}

/// A word of an account.
#[derive(Clone)]
pub(super) struct Spelling {
    pub(super) word: String,
    /// Messages that have it, summed over the fields.
    pub(super) count: u64,
    pub(super) places: Vec<Place>,
}

/// Where a word stands.
#[derive(Clone)]
pub(super) struct Place {
    /// Number of the segment in the snapshot.
    pub(super) segment: usize,
    pub(super) field: Field,
    pub(super) info: TermInfo,
}

/// An account's words in some fields.
pub(super) struct Vocabulary<'s> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) account: &'s str,
    pub(super) fields: Fields,
}

/// Tells whether a word is meant.
pub(super) type Judge<'j> = &'j dyn Fn(&[u8]) -> bool;

/// What a word of a question may mean.
struct Meaning<'w> {
    wanted: &'w Wanted,
    near: Rc<Near>,
    best: Best,
}

fn nearness(wanted: &Wanted, near: &Near, word: &[u8]) -> Option<Nearness> {
    match near.distance(word) {
        Some(0) => Some(Nearness::Same),
        _ if wanted.is_prefix && word.starts_with(wanted.word.as_bytes()) => Some(Nearness::Longer),
        edits => edits.map(Nearness::Edits),
    }
}

/// For each word the nearest [`WORDS_SPELLINGS_MAX`] spellings, of equal ones the most frequent. The dictionaries are walked through once for all.
pub(super) fn expand(
    of: &Vocabulary<'_>,
    wanted: &[Wanted],
    patience: &mut Patience<'_>,
) -> Result<Vec<Vec<(Nearness, Spelling)>>> {
    let meaning = |wanted| Meaning {
        wanted,
        near: Rc::new(Near::new(&wanted.word, wanted.edits)),
        best: Best::new(WORDS_SPELLINGS_MAX),
    };
    let mut meanings: Vec<Meaning<'_>> = wanted.iter().map(meaning).collect();
    let mut walked: Vec<&mut Meaning<'_>> = Vec::new();
    for meaning in &mut meanings {
        match meaning.wanted.edits == 0 && !meaning.wanted.is_prefix {
            true => {
                let one = of.one(&meaning.wanted.word, patience)?;
                one.into_iter()
                    .for_each(|one| meaning.best.offer(Nearness::Same, one));
            }
            false => walked.push(meaning),
        }
    }
    if let Some(first) = walked.first() {
        // A prefix alone has a range of its own.
        let beginning = match (first.wanted.edits, walked.len()) {
            (0, 1) => first.wanted.word.as_str(),
            _ => "",
        };
        let judges: Vec<_> = walked
            .iter()
            .map(|meaning| (meaning.wanted, Rc::clone(&meaning.near)))
            .collect();
        let is_meant = |word: &[u8]| {
            judges
                .iter()
                .any(|(wanted, near)| nearness(wanted, near, word).is_some())
        };
        of.walk(beginning, &is_meant, patience, &mut |spelling| {
            for meaning in &mut walked {
                if let Some(near) =
                    nearness(meaning.wanted, &meaning.near, spelling.word.as_bytes())
                {
                    meaning.best.offer(near, spelling.clone());
                }
            }
        })?;
    }
    Ok(meanings
        .into_iter()
        .map(|meaning| meaning.best.sorted())
        .collect())
}

/// The best of many.
pub(super) struct Best {
    most: usize,
    /// At most twice as many; the rest was worse.
    spellings: Vec<(Nearness, Spelling)>,
}

impl Best {
    pub(super) fn new(most: usize) -> Best {
        let spellings = Vec::new();
        Best { most, spellings }
    }

    pub(super) fn offer(&mut self, nearness: Nearness, spelling: Spelling) {
        self.spellings.push((nearness, spelling));
        if self.spellings.len() >= self.most.saturating_mul(2) {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.spellings.sort_by(|(near, a), (other, b)| {
            let near = near.cmp(other);
            near.then(b.count.cmp(&a.count)).then(a.word.cmp(&b.word))
        });
        self.spellings.truncate(self.most);
    }

    /// Nearest first, then the most frequent.
    pub(super) fn sorted(mut self) -> Vec<(Nearness, Spelling)> {
        self.cut();
        self.spellings
    }
}

/// Words within some edits of one.
pub(super) struct Near {
    word: String,
    automaton: Option<DFA>,
}

impl Near {
    pub(super) fn new(word: &str, edits: u8) -> Near {
        static ONE: OnceLock<LevenshteinAutomatonBuilder> = OnceLock::new();
        static TWO: OnceLock<LevenshteinAutomatonBuilder> = OnceLock::new();
        let builder = match edits {
            0 => None,
            1 => Some(ONE.get_or_init(|| LevenshteinAutomatonBuilder::new(1, true))),
            _ => Some(TWO.get_or_init(|| LevenshteinAutomatonBuilder::new(2, true))),
        };
        Near {
            word: word.to_owned(),
            automaton: builder.map(|builder| builder.build_dfa(word)),
        }
    }

    /// How many edits a word is away, if not more than asked.
    pub(super) fn distance(&self, word: &[u8]) -> Option<u8> {
        let Some(automaton) = &self.automaton else {
            return (word == self.word.as_bytes()).then_some(0);
        };
        let mut state = automaton.initial_state();
        for byte in word {
            state = automaton.transition(state, *byte);
            if state == SINK_STATE {
                return None;
            }
        }
        match automaton.distance(state) {
            Distance::Exact(edits) => Some(edits),
            Distance::AtLeast(_) => None,
        }
    }
}

impl<'s> Vocabulary<'s> {
    fn each_dictionary(&self) -> impl Iterator<Item = (usize, &'s Segment, Field)> {
        let fields = self.fields;
        let segments = self.snapshot.segments.iter().enumerate();
        segments.flat_map(move |(number, segment)| {
            let fields = Field::ALL
                .into_iter()
                .filter(move |field| fields.has(*field));
            fields.map(move |field| (number, &**segment, field))
        })
    }

    /// A word spelled so.
    fn one(&self, word: &str, patience: &mut Patience<'_>) -> Result<Option<Spelling>> {
        let mut spelling = Spelling {
            word: word.to_owned(),
            count: 0,
            places: Vec::new(),
        };
        for (segment, opened, field) in self.each_dictionary() {
            let mut term = term::field(self.account, field);
            term.extend_from_slice(word.as_bytes());
            if let Some(info) = opened.get(opened.words(field), &term)? {
                let place = Place {
                    segment,
                    field,
                    info,
                };
                self.put(&mut spelling, place, patience)?;
            }
        }
        Ok((spelling.count > 0).then_some(spelling))
    }

    fn put(&self, to: &mut Spelling, place: Place, patience: &mut Patience<'_>) -> Result<()> {
        if let Some(segment) = self.snapshot.segments.get(place.segment) {
            to.count += segment.count(segment.words(place.field), &place.info, patience)?;
            to.places.push(place);
        }
        Ok(())
    }

    /// Tells all words with a beginning that are meant, in their order, each with all its places.
    pub(super) fn walk(
        &self,
        beginning: &str,
        judge: Judge<'_>,
        patience: &mut Patience<'_>,
        found: &mut dyn FnMut(Spelling),
    ) -> Result<()> {
        let mut walks: Vec<Walk<'_>> = Vec::new();
        let mut next = BinaryHeap::new();
        for (number, segment, field) in self.each_dictionary() {
            let mut walk = Walk::new(number, segment, field, self.account, beginning);
            if let Some(word) = walk.word(judge, patience)? {
                next.push(Reverse((word, walks.len())));
            }
            walks.push(walk);
        }
        let mut current: Option<Spelling> = None;
        while let Some(Reverse((word, number))) = next.pop() {
            let Some(walk) = walks.get_mut(number) else {
                continue;
            };
            let Some(place) = walk.take() else {
                continue;
            };
            if current.as_ref().is_none_or(|current| current.word != word) {
                let spelling = Spelling {
                    word,
                    count: 0,
                    places: Vec::new(),
                };
                let before = current.replace(spelling);
                before
                    .filter(|before| before.count > 0)
                    .into_iter()
                    .for_each(&mut *found);
            }
            if let Some(current) = &mut current {
                self.put(current, place, patience)?;
            }
            if let Some(word) = walk.word(judge, patience)? {
                next.push(Reverse((word, number)));
            }
        }
        current
            .filter(|last| last.count > 0)
            .into_iter()
            .for_each(found);
        Ok(())
    }
}

/// A walk through the words of an account in one dictionary.
struct Walk<'s> {
    number: usize,
    segment: &'s Segment,
    words: &'s InvertedIndexReader,
    field: Field,
    /// Bytes before the word.
    before: usize,
    from: Vec<u8>,
    to: Vec<u8>,
    is_at_end: bool,
    /// What is meant of the terms that were read.
    meant: VecDeque<(String, TermInfo)>,
}

impl<'s> Walk<'s> {
    fn new(
        number: usize,
        segment: &'s Segment,
        field: Field,
        account: &str,
        beginning: &str,
    ) -> Walk<'s> {
        let mut from = term::field(account, field);
        let before = from.len();
        from.extend_from_slice(beginning.as_bytes());
        Walk {
            number,
            segment,
            words: segment.words(field),
            field,
            before,
            to: term::behind(&from),
            from,
            is_at_end: false,
            meant: VecDeque::new(),
        }
    }

    /// The word at which it stands.
    fn word(&mut self, judge: Judge<'_>, patience: &mut Patience<'_>) -> Result<Option<String>> {
        while self.meant.is_empty() && !self.is_at_end {
            let read = self.read(judge);
            let steps = read.map_err(|error| self.segment.io(&error))?;
            patience.step(steps)?;
        }
        Ok(self.meant.front().map(|(word, ..)| word.clone()))
    }

    fn take(&mut self) -> Option<Place> {
        let (_, info) = self.meant.pop_front()?;
        Some(Place {
            segment: self.number,
            field: self.field,
            info,
        })
    }

    /// Reads the next terms; gives how many.
    fn read(&mut self, judge: Judge<'_>) -> std::io::Result<usize> {
        let range = self.words.terms().range().ge(&self.from).lt(&self.to);
        let limit = u64::try_from(WORDS_WALK).unwrap_or(u64::MAX);
        let mut stream = range.limit(limit).into_stream()?;
        let mut read = 0;
        while let Some((term, info)) = stream.next() {
            read += 1;
            let word = term.get(self.before..).unwrap_or_default();
            if judge(word) {
                let word = String::from_utf8_lossy(word).into_owned();
                self.meant.push_back((word, info.clone()));
            }
            if read >= WORDS_WALK {
                self.from.clear();
                self.from.extend_from_slice(term);
                self.from.push(0);
                return Ok(read);
            }
        }
        self.is_at_end = true;
        Ok(read)
    }
}
