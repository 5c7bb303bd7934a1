//! The words around a hit, for people: cut out of a text as it was before it was folded.
//!
//! Promises: what is marked folds to the needle; white space is one space; linear in the text. Never: says that there is no hit because it shows none.

use std::ops::Range;

use crate::fold::{collapse_onto, fold_into};

/// Some words of a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Excerpt {
    /// The words, on one line.
    pub text: String,
    /// Where in them the needles stand, in order, bytes.
    pub marks: Vec<Range<usize>>,
    /// Whether more stands before and behind them.
    pub is_cut: (bool, bool),
}

/// A text that is folded, with where each character came from.
struct Folded {
    text: String,
    /// Where the folded form of a character begins, and the character itself.
    from: Vec<(usize, usize)>,
    end: usize,
}

impl Folded {
    fn new(text: &str) -> Folded {
        let (mut folded, mut one, mut from) = (String::new(), String::new(), Vec::new());
        for (at, character) in text.char_indices() {
            one.clear();
            fold_into(&mut one, character.encode_utf8(&mut [0; 4]));
            let before = folded.len();
            collapse_onto(&mut folded, &one);
            if folded.len() > before {
                from.push((before, at));
            }
        }
        Folded {
            text: folded,
            from,
            end: text.len(),
        }
    }

    /// Where the character begins that a folded byte is of.
    fn start(&self, folded: usize) -> usize {
        let at = self.from.partition_point(|(begins, _)| *begins <= folded);
        let before = at.checked_sub(1).and_then(|at| self.from.get(at));
        before.map_or(0, |(_, start)| *start)
    }

    /// Where the character ends whose folded form ends there or behind.
    fn end(&self, folded: usize) -> usize {
        let at = self.from.partition_point(|(begins, _)| *begins < folded);
        self.from.get(at).map_or(self.end, |(_, start)| *start)
    }
}

/// The words around the first hit of folded `needles` in a decoded text, about `width` characters on either side; `None` where none is in it.
pub fn excerpt(text: &str, needles: &[&str], width: usize) -> Option<Excerpt> {
    let folded = &Folded::new(text);
    let needles = needles.iter().filter(|needle| !needle.is_empty());
    let hits = |from: usize| {
        let found = needles.clone().filter_map(move |needle| {
            let at = folded_find(&folded.text, needle, from)?;
            Some(at..at + needle.len())
        });
        found.min_by_key(|hit| (hit.start, usize::MAX - hit.end))
    };
    let first = hits(0)?;
    let hit = folded.start(first.start)..folded.end(first.end);
    let start = back(text, hit.start, width);
    let end = forward(text, hit.end, width);
    let mut out = Excerpt {
        is_cut: (start > 0, end < text.len()),
        ..Excerpt::default()
    };
    let (mut at, mut next) = (start, Some(first));
    while let Some(found) = next {
        let mark = folded.start(found.start)..folded.end(found.end);
        if mark.start >= end {
            break;
        }
        collapse_onto(&mut out.text, text.get(at..mark.start).unwrap_or_default());
        let begins = out.text.len();
        let marked = text.get(mark.start..mark.end.min(end)).unwrap_or_default();
        collapse_onto(&mut out.text, marked);
        out.marks.push(begins..out.text.len());
        at = mark.end.max(at);
        next = hits(found.end);
    }
    if at < end {
        collapse_onto(&mut out.text, text.get(at..end).unwrap_or_default());
    }
    Some(out)
}

fn folded_find(text: &str, needle: &str, from: usize) -> Option<usize> {
    let at = text.get(from..)?.find(needle)?;
    Some(from + at)
}

/// The beginning of the word that is so many characters before `at`.
fn back(text: &str, at: usize, width: usize) -> usize {
    let before = text.get(..at).unwrap_or_default();
    let far = before
        .char_indices()
        .rev()
        .nth(width)
        .map_or(0, |(at, _)| at);
    let words = before.get(far..).unwrap_or_default();
    match far {
        0 => 0,
        _ => words.find(char::is_whitespace).map_or(far, |gap| {
            let rest = words.get(gap..).unwrap_or_default();
            far + gap + (rest.len() - rest.trim_start().len())
        }),
    }
}

/// The end of the word that is so many characters behind `at`.
fn forward(text: &str, at: usize, width: usize) -> usize {
    let behind = text.get(at..).unwrap_or_default();
    let Some((far, _)) = behind.char_indices().nth(width) else {
        return text.len();
    };
    let words = behind.get(..far).unwrap_or_default();
    at + words.rfind(char::is_whitespace).unwrap_or(far)
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use proptest::prelude::*;

    use super::*;
    use crate::fold::fold_collapsed;

    fn check(text: &str, needles: &[&str], expected: &Expect) {
        let folded: Vec<String> = needles
            .iter()
            .map(|needle| fold_collapsed(needle))
            .collect();
        let folded: Vec<&str> = folded.iter().map(String::as_str).collect();
        let shown = excerpt(text, &folded, 20).map_or("nothing".to_owned(), |excerpt| {
            let mut shown = excerpt.text.clone();
            for mark in excerpt.marks.iter().rev() {
                shown.insert(mark.end, ']');
                shown.insert(mark.start, '[');
            }
            let (before, behind) = excerpt.is_cut;
            let dots = |is_cut| if is_cut { "…" } else { "" };
            format!("{}{shown}{}", dots(before), dots(behind))
        });
        expected.assert_eq(&shown);
    }

    #[test]
    fn the_words_around_a_hit_are_as_they_were_written() {
        let text = "Sehr geehrte Damen und Herren,\r\n\r\nanbei die Rechnung  Nr.\r\n17 vom letzten Monat. Mit freundlichen Grüßen";
        check(
            text,
            &["rechnung nr. 17"],
            &expect!["…anbei die [Rechnung Nr. 17] vom letzten Monat.…"],
        );
        check(text, &["GRÜßEN"], &expect!["…Mit freundlichen [Grüßen]"]);
        check(
            text,
            &["sehr", "damen"],
            &expect!["[Sehr] geehrte [Damen] und…"],
        );
        check(text, &["nowhere"], &expect!["nothing"]);
    }

    #[test]
    fn a_character_is_marked_whole_where_a_part_of_it_is_meant() {
        check("a ﬁnal e\u{301}t", &["fi"], &expect!["a [ﬁ]nal ét"]);
    }

    proptest! {
        #[test]
        fn what_is_marked_folds_to_what_was_looked_for(text in "[a-c é \\n]{0,80}", needle in "[a-cé]{1,3}") {
            let folded = fold_collapsed(&needle);
            let has = fold_collapsed(&text).contains(&folded);
            let shown = excerpt(&text, &[&folded], 10);
            prop_assert_eq!(shown.is_some(), has);
            for (at, mark) in shown.iter().flat_map(|shown| shown.marks.iter().map(move |mark| (shown, mark))) {
                prop_assert!(fold_collapsed(&at.text[mark.clone()]).contains(&folded));
            }
        }
    }
}
