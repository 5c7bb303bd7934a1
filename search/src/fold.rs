//! The one folding for text and needle: i;unicode-casemap (RFC 5051), and collapsing of white space, as which a NUL counts.
//!
//! Promises: folding is idempotent and folds each character by itself, so a text contains what it contained before; ASCII stays one
//! byte a character. Never: looks at language or locale.
//!
//! The mappings are of the Unicode versions of the standard library and of unicode-normalization, newer than those of RFC 5051.
//! Decompositions that UnicodeData.txt does not list (Hangul syllables, which decompose by rule) are left out, as in the RFC, and
//! so is reordering of combining marks.

use unicode_normalization::char::decompose_compatible;

/// Hangul syllables, which decompose by rule and not by UnicodeData.txt.
const HANGUL_SYLLABLES: std::ops::RangeInclusive<char> = '\u{ac00}'..='\u{d7a3}';

/// `text` folded (RFC 5051, 2.1): every character in its simple titlecase, decomposed as far as possible.
pub fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    fold_into(&mut folded, text);
    folded
}

/// [`fold`] behind what is there.
pub fn fold_into(folded: &mut String, text: &str) {
    let mut rest = text;
    while !rest.is_empty() {
        let ascii = rest.bytes().position(|byte| !byte.is_ascii());
        let (ascii, other) = rest.split_at(ascii.unwrap_or(rest.len()));
        let start = folded.len();
        folded.push_str(ascii);
        folded[start..].make_ascii_uppercase();
        let end = other.bytes().position(|byte| byte.is_ascii());
        let (foreign, after) = other.split_at(end.unwrap_or(other.len()));
        for character in foreign.chars() {
            fold_character(character, folded);
        }
        rest = after;
    }
}

/// Every run of white space (Unicode White_Space, line ends among it, and NUL) as one space.
pub fn collapse(text: &str) -> String {
    let mut collapsed = String::with_capacity(text.len());
    collapse_onto(&mut collapsed, text);
    collapsed
}

/// [`collapse`] for text that comes in pieces: `collapsed` is what came before, or the end of it.
pub fn collapse_onto(collapsed: &mut String, text: &str) {
    let mut is_in_run = collapsed.ends_with(' ');
    if text.is_ascii() {
        // Words are copied, not characters.
        for word in text.split_inclusive(is_ascii_space) {
            let letters = word.trim_end_matches(is_ascii_space);
            collapsed.push_str(letters);
            is_in_run &= letters.is_empty();
            if letters.len() < word.len() && !is_in_run {
                collapsed.push(' ');
                is_in_run = true;
            }
        }
        return;
    }
    for character in text.chars() {
        let is_space = character.is_whitespace() || character == '\0';
        if !is_space {
            collapsed.push(character);
        } else if !is_in_run {
            collapsed.push(' ');
        }
        is_in_run = is_space;
    }
}

/// What `char::is_whitespace` takes of ASCII, and NUL.
fn is_ascii_space(character: char) -> bool {
    matches!(character, '\0' | '\t'..='\r' | ' ')
}

/// Folds, then collapses: text and needle as the text store has them.
pub fn fold_collapsed(text: &str) -> String {
    if text.is_ascii() {
        ascii_fold_collapsed(text)
    } else {
        collapse(&fold(text))
    }
}

/// The same in one pass: most headers are ASCII.
fn ascii_fold_collapsed(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    let mut is_in_run = false;
    for byte in text.bytes() {
        let is_space = is_ascii_space(char::from(byte));
        if !is_space {
            folded.push(char::from(byte.to_ascii_uppercase()));
        } else if !is_in_run {
            folded.push(' ');
        }
        is_in_run = is_space;
    }
    folded
}

/// Whether a folded text contains a folded needle; an empty needle is in every text.
pub fn contains(folded_haystack: &str, folded_needle: &str) -> bool {
    folded_haystack.contains(folded_needle)
}

/// Titlecase and decomposition until nothing changes: what comes out of a decomposition may have a titlecase of its own.
fn fold_character(character: char, folded: &mut String) {
    let title = simple_titlecase(character);
    if HANGUL_SYLLABLES.contains(&title) {
        folded.push(title);
        return;
    }
    decompose_compatible(title, |part| {
        let part_title = if part == title {
            part
        } else {
            simple_titlecase(part)
        };
        folded.push(part_title);
    });
}

/// The Simple_Titlecase_Mapping of UnicodeData.txt, which the standard library does not have: made from its full uppercase mapping,
/// which differs only where it has several characters, for digraphs and for Georgian.
fn simple_titlecase(character: char) -> char {
    match character {
        // The digraphs DŽ, LJ, NJ, DZ have a titlecase form of their own.
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        // Georgian has capitals but no titlecase.
        '\u{10d0}'..='\u{10fa}' | '\u{10fd}'..='\u{10ff}' => character,
        // Greek with iota subscript: one character in simple mappings.
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => {
            shift(character, 8)
        }
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => shift(character, 9),
        _ => {
            let mut upper = character.to_uppercase();
            match (upper.next(), upper.next()) {
                (Some(one), None) => one,
                _ => character,
            }
        }
    }
}

fn shift(character: char, by: u32) -> char {
    char::from_u32(u32::from(character) + by).unwrap_or(character)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn case_and_composition_do_not_matter() {
        for (a, b) in [
            ("Grüße", "GRU\u{308}ßE"),
            ("ǆ ǅ Ǆ", "Dž dž DŽ"),
            ("ﬁn", "FIN"),
            ("Ａｂ①", "ab1"),
            ("ᾲ", "\u{1f70}\u{345}"),
            ("ᾳ", "ᾼ"),
            ("σς", "ΣΣ"),
            ("Ⅷ", "viii"),
        ] {
            assert_eq!(fold(a), fold(b), "{a} and {b}");
        }
    }

    #[test]
    fn what_differs_by_more_than_case_stays_different() {
        for (a, b) in [
            ("ß", "ss"),
            ("ı", "İ"),
            ("가", "각"),
            ("ა", "Ა"),
            ("a", "ä"),
        ] {
            assert!(!contains(&fold(a), &fold(b)) || a == b, "{a} and {b}");
        }
        assert!(!contains(&fold("각"), &fold("가")));
    }

    #[test]
    fn white_space_collapses_to_one_space() {
        expect![[r#"" a b c ""#]]
            .assert_eq(&format!("{:?}", collapse("\t a\r\n b\u{a0}\u{2003}c\n")));
    }

    proptest! {
        #[test]
        fn folding_twice_changes_nothing_more(text in any::<String>()) {
            let once = fold(&text);
            prop_assert_eq!(fold(&once), once);
        }

        #[test]
        fn ascii_is_folded_and_collapsed_like_all_text(text in "[\\x00-\\x7f]{0,40}") {
            prop_assert_eq!(fold_collapsed(&text), collapse(&fold(&text)));
        }

        #[test]
        fn a_text_in_pieces_collapses_like_the_whole(text in "[a \\n\u{a0}]{0,20}", at in 0usize..20) {
            let at = text.char_indices().map(|(at, _)| at).nth(at).unwrap_or(0);
            let mut collapsed = collapse(&text[..at]);
            collapse_onto(&mut collapsed, &text[at..]);
            prop_assert_eq!(collapsed, collapse(&text));
        }

        #[test]
        fn a_part_of_a_text_is_found_in_it(text in any::<String>(), start in 0usize..64, length in 0usize..64) {
            let characters: Vec<char> = text.chars().collect();
            let start = start.min(characters.len());
            let part: String = characters[start..(start + length).min(characters.len())].iter().collect();
            prop_assert!(contains(&fold(&text), &fold(&part)));
            prop_assert!(contains(&fold(&text), &fold(&part.to_ascii_lowercase())));
        }
    }
}
