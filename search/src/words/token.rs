//! Cuts folded text into words: UAX 29, and pairs of characters where a script has no spaces.
//!
//! Promises: text and query are cut by the same function, in time linear in the text; a word has 1 to [`WORD_MAX`] bytes, no combining mark,
//! no white space and no control.
//! Never: an error. Of longer texts the beginning counts.

use unicode_normalization::char::is_combining_mark;
use unicode_segmentation::UnicodeSegmentation;

use crate::limits::{WORD_MAX, WORDS_TEXT_MAX};

/// Tells the words of a folded text, in their order; gives the bytes that were looked at, at most `room` and [`WORDS_TEXT_MAX`].
pub(super) fn each_word(folded: &str, room: usize, word: &mut dyn FnMut(&str)) -> usize {
    let text = beginning(folded, room.min(WORDS_TEXT_MAX));
    if text.is_ascii() {
        spaced(text, word);
        return text.len();
    }
    // Without what UAX 29 looks past (WB4) no look ahead is long: endless marks would cost quadratic time.
    let bare: String = text.chars().filter_map(bare).collect();
    let mut rest = bare.as_str();
    while let Some(first) = rest.chars().next() {
        let is_first = is_unspaced(first);
        let end = rest.find(|character| is_unspaced(character) != is_first);
        let (run, after) = rest.split_at(end.unwrap_or(rest.len()));
        match is_first {
            true => pairs(run, word),
            false => spaced(run, word),
        }
        rest = after;
    }
    text.len()
}

/// The words of a folded text.
pub fn words_of(folded: &str) -> Vec<String> {
    let mut words = Vec::new();
    each_word(folded, usize::MAX, &mut |word| words.push(word.to_owned()));
    words
}

fn spaced(text: &str, word: &mut dyn FnMut(&str)) {
    for found in text.unicode_words() {
        word(beginning(found, WORD_MAX));
    }
}

/// Each two neighbours; one alone.
fn pairs(run: &str, word: &mut dyn FnMut(&str)) {
    let starts = run.char_indices().map(|(at, _)| at);
    let mut starts = starts.chain([run.len()]);
    let (mut first, mut second) = (starts.next(), starts.next());
    let mut is_alone = true;
    for third in starts {
        if let Some(pair) = first.and_then(|first| run.get(first..third)) {
            word(pair);
        }
        (first, second) = (second, Some(third));
        is_alone = false;
    }
    if is_alone && second.is_some() {
        word(run);
    }
}

/// At most so many bytes, whole characters.
fn beginning(text: &str, bytes: usize) -> &str {
    let end = (0..=bytes.min(text.len())).rev();
    let end = end.into_iter().find(|at| text.is_char_boundary(*at));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// Without what is no part of a spelling: combining marks, joiners, soft hyphens and other format characters, skin colours.
fn bare(character: char) -> Option<char> {
    match character {
        '\u{2019}' => Some('\''),
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}' => None,
        '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' => None,
        '\u{feff}' | '\u{ff9e}' | '\u{ff9f}' | '\u{1f3fb}'..='\u{1f3ff}' => None,
        '\u{e0000}'..='\u{e0fff}' => None,
        _ => (!is_combining_mark(character)).then_some(character),
    }
}

/// Letters of scripts whose words are not set apart: Han, Hiragana, Katakana; Thai, Lao, Myanmar and Khmer, which UAX 29 leaves to dictionaries.
fn is_unspaced(character: char) -> bool {
    let is_of_them = matches!(character,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}'
        | '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}' | '\u{3031}'..='\u{309f}'
        | '\u{30a1}'..='\u{30fa}' | '\u{30fc}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}'
        | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3fffd}');
    is_of_them && character.is_alphanumeric() && !is_digit(character)
}

/// Digits of those scripts make numbers, which are words.
fn is_digit(character: char) -> bool {
    matches!(character, '\u{e50}'..='\u{e59}' | '\u{ed0}'..='\u{ed9}' | '\u{1040}'..='\u{1049}' | '\u{1090}'..='\u{1099}' | '\u{17e0}'..='\u{17e9}')
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use expect_test::expect;
    use proptest::prelude::*;

    use super::*;
    use crate::fold::fold;

    fn cut(text: &str) -> String {
        words_of(&fold(text)).join(" ")
    }

    #[test]
    fn words_are_those_of_uax_29_without_marks_and_pairs_where_there_are_no_spaces() {
        let cut = [
            "Résumé, don’t  can't",
            "user@example.com 3.14 2026-11-27 foo_bar",
            "Kran\u{ad}ken\u{200d}haus",
            "東京都の天気 猫 カタカナ日本A4判",
            "ﾃﾞｰﾀ 한국어 문서",
            "ภาษาไทย ๑๒",
            "Grüße \u{308} -- !! 👍🏽",
        ]
        .map(cut)
        .join("\n");
        expect![[r#"
            RESUME DON'T CAN'T
            USER EXAMPLE.COM 3.14 2026 11 27 FOO_BAR
            KRANKENHAUS
            東京 京都 都の の天 天気 猫 カタ タカ カナ ナ日 日本 A4 判
            テー ータ 한국어 문서
            ภา าษ ษา าไ ไท ทย ๑๒
            GRUßE"#]]
        .assert_eq(&cut);
    }

    #[test]
    fn a_long_word_counts_to_its_limit_and_a_long_text_to_its_own() {
        let word = "Ä".repeat(40);
        assert_eq!(words_of(&word), ["Ä".repeat(32)]);
        let text = "AB ".repeat(WORDS_TEXT_MAX);
        let mut count = 0;
        let bytes = each_word(&text, usize::MAX, &mut |_| count += 1);
        assert_eq!((bytes, count), (WORDS_TEXT_MAX, WORDS_TEXT_MAX.div_ceil(3)));
    }

    #[test]
    fn odd_texts_cost_linear_time() {
        for unit in [
            "A",
            "A.",
            "\u{301}",
            "A\u{301}'",
            "'\u{200d}",
            "東",
            "👍🏽",
            "🇩",
            ".\u{ad}1",
            "A\u{5f}",
        ] {
            let text = unit.repeat(10_000_000 / unit.len());
            let start = Instant::now();
            each_word(&text, usize::MAX, &mut |_| {});
            assert!(start.elapsed() < Duration::from_secs(10), "{unit:?}");
        }
    }

    proptest! {
        #[test]
        fn a_word_is_one_word_again_and_has_none_of_what_it_never_has(text in any::<String>()) {
            for word in words_of(&fold(&text)) {
                prop_assert!(!word.is_empty() && word.len() <= WORD_MAX);
                prop_assert!(!word.chars().any(|c| is_combining_mark(c) || c.is_whitespace() || c.is_control()));
                prop_assert_eq!(words_of(&word), [word.clone()]);
            }
        }

        #[test]
        fn words_of_texts_side_by_side_are_those_of_both(a in "[ -~äß東のカ\u{301}]{0,20}", b in "[ -~äß東のカ\u{301}]{0,20}") {
            let (a, b) = (fold(&a), fold(&b));
            prop_assert_eq!(words_of(&format!("{a} {b}")), [words_of(&a), words_of(&b)].concat());
        }
    }
}
