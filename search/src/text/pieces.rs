//! The texts of one message and kind, folded and put one behind the other, in pieces of bounded length.
//!
//! Promises: pieces joined (each without what it repeats) are the texts, a line feed between two; memory for one piece.

use crate::fold::{collapse_onto, fold_into};
use crate::limits::{TEXT_OVERLAP, TEXT_PIECE_MAX};

use super::BETWEEN;

/// A piece of the texts of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece<'t> {
    /// Folded.
    pub text: &'t str,
    /// Bytes at its beginning that the piece before ends with.
    pub repeats: usize,
    /// Its number; `None` where it is all there is.
    pub number: Option<u32>,
}

/// Takes texts and gives pieces.
#[derive(Default)]
pub struct Pieces {
    text: String,
    folded: String,
    repeats: usize,
    given: u32,
}

impl Pieces {
    /// Adds decoded text, which goes on where the last one ended, or is another text. `give` gets pieces that are full.
    pub fn add(&mut self, decoded: &str, goes_on: bool, give: &mut dyn FnMut(Piece<'_>)) {
        if !goes_on && !self.text.is_empty() && !self.text.ends_with(BETWEEN) {
            self.text.push(BETWEEN);
        }
        self.folded.clear();
        fold_into(&mut self.folded, decoded);
        collapse_onto(&mut self.text, &self.folded);
        while self.text.len() > TEXT_PIECE_MAX {
            self.give(floor(&self.text, TEXT_PIECE_MAX), give);
        }
    }

    fn give(&mut self, end: usize, give: &mut dyn FnMut(Piece<'_>)) {
        give(Piece {
            text: &self.text[..end],
            repeats: self.repeats,
            number: Some(self.given),
        });
        let kept = ceil(&self.text, end - TEXT_OVERLAP);
        self.text.drain(..kept);
        self.repeats = end - kept;
        self.given += 1;
    }

    /// The last piece, or all of it; and makes ready for another message.
    pub fn end(&mut self, give: &mut dyn FnMut(Piece<'_>)) {
        let number = (self.given > 0).then_some(self.given);
        give(Piece {
            text: &self.text,
            repeats: self.repeats,
            number,
        });
        self.text.clear();
        (self.repeats, self.given) = (0, 0);
    }
}

fn floor(text: &str, at: usize) -> usize {
    let mut borders = (0..=at.min(text.len())).rev();
    borders.find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

fn ceil(text: &str, at: usize) -> usize {
    let mut borders = at.min(text.len())..=text.len();
    borders.find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fold::fold_collapsed;

    fn joined(texts: &[(String, bool)]) -> (String, Vec<usize>) {
        let (mut pieces, mut whole, mut lengths) = (Pieces::default(), String::new(), Vec::new());
        let mut give = |piece: Piece<'_>| {
            assert!(whole.ends_with(&piece.text[..piece.repeats]));
            whole.push_str(&piece.text[piece.repeats..]);
            lengths.push(piece.text.len());
        };
        for (text, goes_on) in texts {
            pieces.add(text, *goes_on, &mut give);
        }
        pieces.end(&mut give);
        (whole, lengths)
    }

    proptest! {
        #[test]
        fn texts_in_steps_are_the_texts_folded_as_a_whole(texts in prop::collection::vec(("[a-zé \\n\\x00ﬁ]{0,9}", any::<bool>()), 0..6)) {
            let mut wholes: Vec<String> = Vec::new();
            for (text, goes_on) in &texts {
                match wholes.last_mut() {
                    Some(last) if *goes_on => last.push_str(text),
                    _ => wholes.push(text.clone()),
                }
            }
            let folded = wholes.iter().map(|text| fold_collapsed(text));
            let folded: Vec<String> = folded.filter(|text| !text.is_empty()).collect();
            let (whole, _) = joined(&texts);
            prop_assert_eq!(whole.trim_end_matches('\n'), folded.join("\n"));
        }
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_loses_nothing() {
        let text = "ж€x".repeat(600_000);
        let (whole, lengths) = joined(&[("a".to_owned(), false), (text.clone(), false)]);
        assert_eq!(whole, format!("A\n{}", fold_collapsed(&text)));
        assert!(lengths.len() > 2 && lengths.iter().all(|&length| length <= TEXT_PIECE_MAX));
    }
}
