//! What can be asked of words, and what comes back.

use crate::fold::fold;
use crate::limits::WORDS_ASK_MAX;
use crate::text::TextId;

use super::token::words_of;

/// What of a message a word stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// Its bodies.
    Body,
    /// From.
    From,
    /// To.
    To,
    /// Cc.
    Cc,
    /// Bcc.
    Bcc,
    /// Subject.
    Subject,
}

impl Field {
    /// All, in the order in which their scores are added.
    pub const ALL: [Field; 6] = [
        Field::Body,
        Field::From,
        Field::To,
        Field::Cc,
        Field::Bcc,
        Field::Subject,
    ];

    /// What stands before words of header fields.
    pub(super) fn letter(self) -> Option<u8> {
        match self {
            Field::Body => None,
            Field::From => Some(b'f'),
            Field::To => Some(b't'),
            Field::Cc => Some(b'c'),
            Field::Bcc => Some(b'b'),
            Field::Subject => Some(b's'),
        }
    }
}

/// A set of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields(u8);

impl Fields {
    /// Bodies and header fields.
    pub const ALL: Fields = Fields(0b11_1111);
    /// Bodies only.
    pub const BODIES: Fields = Fields(0b00_0001);
    /// All header fields.
    pub const HEADERS: Fields = Fields(0b11_1110);

    /// These.
    pub fn of(fields: &[Field]) -> Fields {
        let bits = fields.iter().map(|field| 1 << (*field as u8));
        Fields(bits.fold(0, |all, bit: u8| all | bit))
    }

    /// Whether one of them is it.
    pub fn has(self, field: Field) -> bool {
        self.0 & Fields::of(&[field]).0 != 0
    }
}

/// How far a spelling may be from what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fuzziness {
    /// Not at all.
    Exact,
    /// Words of up to three characters not at all, up to seven by one edit, longer ones by two. Two neighbours that changed places are one edit.
    ByLength,
}

impl Fuzziness {
    /// Edits that a word of so many characters may be away.
    pub fn edits(self, characters: usize) -> u8 {
        match (self, characters) {
            (Fuzziness::Exact, _) | (_, ..=3) => 0,
            (Fuzziness::ByLength, 4..=7) => 1,
            (Fuzziness::ByLength, _) => 2,
        }
    }
}

/// A word that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) word: String,
    pub(super) edits: u8,
    /// Whether longer words that begin so are meant, too.
    pub(super) is_prefix: bool,
}

/// Words all of which a message must have, each in one of the fields.
#[derive(Clone, Debug)]
pub struct Ask {
    pub(super) wanted: Vec<Wanted>,
    pub(super) fields: Fields,
    /// Whether the last of them is the last word of the text.
    ends_so: bool,
}

impl Ask {
    /// The first [`WORDS_ASK_MAX`] different words of a text. Without a word nothing matches.
    pub fn new(text: &str, fields: Fields, fuzziness: Fuzziness) -> Ask {
        let mut wanted: Vec<Wanted> = Vec::new();
        let mut ends_so = false;
        for word in words_of(&fold(text)) {
            let edits = fuzziness.edits(word.chars().count());
            let is_new = wanted.iter().all(|known| known.word != word);
            ends_so = is_new && wanted.len() < WORDS_ASK_MAX;
            if ends_so {
                wanted.push(Wanted {
                    word,
                    edits,
                    is_prefix: false,
                });
            }
        }
        Ask {
            wanted,
            fields,
            ends_so,
        }
    }

    /// The last word of the text may be the beginning of one; where it stands in the text before, it is one.
    pub fn with_prefix(mut self) -> Ask {
        if let Some(last) = self.wanted.last_mut() {
            last.is_prefix = self.ends_so;
        }
        self
    }

    /// Whether it has no words.
    pub fn is_empty(&self) -> bool {
        self.wanted.is_empty()
    }

    /// Its words, folded.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.wanted.iter().map(|wanted| wanted.word.as_str())
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Hits {
    /// Messages that match.
    pub total: usize,
    /// The best of them, best first; of equal ones the newest first.
    pub hits: Vec<(TextId, f32)>,
}

/// Who may say that it takes too long, asked now and then.
pub(super) struct Patience<'p> {
    is_late: &'p mut dyn FnMut() -> bool,
    steps: usize,
}

/// Steps of a few dozen nanoseconds between two questions.
const STEPS: usize = 4096;

impl<'p> Patience<'p> {
    pub(super) fn new(is_late: &'p mut dyn FnMut() -> bool) -> Patience<'p> {
        Patience { is_late, steps: 0 }
    }

    /// So many steps were taken.
    pub(super) fn step(&mut self, steps: usize) -> crate::Result<()> {
        self.steps += steps;
        if self.steps < STEPS {
            return Ok(());
        }
        self.ask()
    }

    pub(super) fn ask(&mut self) -> crate::Result<()> {
        self.steps = 0;
        match (self.is_late)() {
            true => Err(crate::Error::Late),
            false => Ok(()),
        }
    }
}
